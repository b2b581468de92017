//! What is wrong where a request arrived: the API, the stage, the policies, the signature, the service.
//!
//! Must never tell a body: see [`super::word`].

use super::names::{self, AwsName};
use super::word::{Answered, By, Flaw, Word};
use super::{ANSWER, API_ID, IAM, POLICY, Place, STAGE, Step};

/// What came of asking.
pub(crate) enum Outcome {
    /// An answer.
    Answered(Answered),
    /// None, and the reason that serving would give.
    Failed { code: &'static str, detail: String, remedy: String },
    /// Nobody was asked: the way there is not open.
    NotAsked,
}

/// How it was asked.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    /// Whether the request was signed with an AWS key, and what the router has against the signature.
    pub(crate) signed: Option<Result<(), String>>,
    /// Whether it brought headers of a caller's.
    pub(crate) credentials: bool,
    /// Whether it went to an address of the internet.
    pub(crate) public: bool,
    /// Seconds after 1970.
    pub(crate) now: i64,
}

/// How far the clocks of caller and AWS may differ ("Signature Version 4", time stamps).
const SKEW: i64 = 300;

/// Judges what came of asking.
pub(crate) fn judge(place: &Place, outcome: &Outcome, asked: &Asked) -> Vec<Step> {
    let steps = [API_ID, STAGE, POLICY, IAM];
    match outcome {
        Outcome::NotAsked => {
            let all = steps.into_iter().chain([ANSWER]);
            all.map(|step| Step::skipped(step, "not asked: the way there is not open")).collect()
        }
        Outcome::Failed { code, detail, remedy } => {
            let before = steps.into_iter().map(|step| Step::skipped(step, "there is no answer to tell it from"));
            before.chain([Step::failed(ANSWER, format!("{code}: {detail}"), remedy.clone())]).collect()
        }
        Outcome::Answered(answered) => {
            let word = answered.word();
            vec![
                api(place, &word, asked),
                stage(place, answered, &word, asked),
                policy(answered, &word),
                iam(place, answered, &word, asked),
                answer(place, answered, &word, asked),
            ]
        }
    }
}

fn api(place: &Place, word: &Word, asked: &Asked) -> Step {
    let Place { host, .. } = place;
    match (names::read(host), word) {
        (Some(AwsName::Api { api, region }), Word::Forbidden) if asked.public => Step::failed(
            API_ID,
            format!(
                "{api} in {region} was asked for at API Gateway's public address, where a private API is Forbidden"
            ),
            "turn on private DNS of the execute-api endpoint in the router's VPC, or dial the endpoint (dial in the boundary)",
        ),
        (Some(AwsName::Api { api, region }), Word::Forbidden) => Step::unclear(
            API_ID,
            format!("{api} in {region}, by Host: Forbidden, so perhaps the endpoint knows no such API"),
            format!(
                "aws apigateway get-rest-api --rest-api-id {api} --region {region}: is it there, of type PRIVATE, and in \
                 the account that the endpoint's policy lets through"
            ),
        ),
        (Some(AwsName::Api { api, region }), _) => Step::ok(API_ID, format!("{api} in {region}, by Host")),
        (Some(AwsName::Endpoint { region }), _) => Step::failed(
            API_ID,
            format!("Host {host} is the endpoint's own name, which chooses no API; x-apigw-api-id is never forwarded"),
            format!("set destination.host of the registration to API_ID.execute-api.{region}.amazonaws.com"),
        ),
        (None, Word::Forbidden) => Step::failed(
            API_ID,
            format!("API Gateway answers, and Host {host} chooses no API of it"),
            "set destination.host to API_ID.execute-api.REGION.amazonaws.com, or associate the private custom domain with \
             this endpoint",
        ),
        (None, _) => Step::skipped(API_ID, format!("{host} is no name of API Gateway")),
    }
}

fn stage(place: &Place, answered: &Answered, word: &Word, asked: &Asked) -> Step {
    let Place { target, method, .. } = place;
    let first = names::first_segment(target);
    let is_api = matches!(names::read(&place.host), Some(AwsName::Api { .. }));
    match word {
        Word::UnknownMethod if is_api && is_unsigned(place, asked) => Step::unclear(
            STAGE,
            format!(
                "perhaps the API has no {method} for {target}; of a request without a good signature it says the same"
            ),
            "see iam first; then compare stage and path with what is deployed",
        ),
        Word::UnknownMethod if is_api && answered.status == 403 => Step::failed(
            STAGE,
            format!("the API has no {method} for {target}: stage {first:?}, and behind it a path it does not know"),
            "compare stage and path with what is deployed (aws apigateway get-stages, get-resources); deploy the API; \
             give --path and --method of a call that is there",
        ),
        Word::UnknownMethod => Step::failed(
            STAGE,
            format!("there is no {method} for {target} behind this name"),
            "compare the base path mapping of the domain and the path with what is deployed; a custom domain has no stage \
             in its path",
        ),
        Word::Forbidden if is_api && place.prefix.is_empty() && !place.iam => Step::failed(
            STAGE,
            format!("destination.url has no path, so API Gateway takes {first:?} of {target} for the stage"),
            "let destination.url end with the stage: https://NAME/prod",
        ),
        Word::Forbidden if is_api => Step::unclear(
            STAGE,
            format!("{first:?}, by {target}: Forbidden, so perhaps there is no such stage"),
            "aws apigateway get-stages --rest-api-id …: is it there, and deployed",
        ),
        Word::Own if !is_api && !answered.gateway => Step::skipped(STAGE, "no API Gateway"),
        Word::Fine if !is_api => Step::skipped(STAGE, "no name with a stage behind it"),
        Word::WantsTls => Step::skipped(STAGE, "no API Gateway"),
        _ if is_api => Step::ok(STAGE, format!("{first:?}, by {target}")),
        _ => Step::skipped(STAGE, "no name with a stage behind it"),
    }
}

/// Whether a signature is asked for that the request does not have.
fn is_unsigned(place: &Place, asked: &Asked) -> bool {
    place.iam && !matches!(asked.signed, Some(Ok(())))
}

fn policy(answered: &Answered, word: &Word) -> Step {
    let Word::Denied { by, explicit, anonymous } = *word else {
        return match word {
            Word::Forbidden | Word::UnknownMethod | Word::Signature(_) => {
                Step::skipped(POLICY, "not known: the request did not come so far")
            }
            _ if !answered.gateway => Step::skipped(POLICY, "no word of API Gateway"),
            _ => Step::ok(POLICY, "no policy refuses"),
        };
    };
    let how = if explicit { "an explicit deny" } else { "nothing allows it (implicit deny)" };
    let resource = answered.resource().map_or_else(String::new, |resource| format!(" for {resource}"));
    let who = if anonymous { "a caller without a name" } else { "the caller" };
    match by {
        By::Resource if explicit => Step::failed(
            POLICY,
            format!("the API's resource policy refuses {who}{resource}: {how}"),
            "look at the conditions of its Deny: aws:SourceVpce must be the endpoint that the router comes through \
             (aws:SourceVpc its VPC, aws:VpcSourceIp its addresses); deploy the API after every change",
        ),
        By::Resource => Step::failed(
            POLICY,
            format!("the API's resource policy does not let {who} in{resource}: {how}"),
            "let the policy allow execute-api:Invoke for this stage, method and path; where it names AWS principals, every \
             method needs AWS_IAM and a signed request; deploy the API after every change",
        ),
        By::Endpoint => Step::failed(
            POLICY,
            format!("the VPC endpoint's policy refuses {who}{resource}: {how}"),
            "let the policy of the execute-api endpoint allow execute-api:Invoke of this API",
        ),
        By::Identity => Step::ok(POLICY, "the API's resource policy is not what refuses"),
        By::Unsaid => Step::unclear(
            POLICY,
            format!("access is denied{resource}: {how}, and it is not said by which policy"),
            "look at the API's resource policy and, for another account's caller, at both sides",
        ),
    }
}

fn iam(place: &Place, answered: &Answered, word: &Word, asked: &Asked) -> Step {
    let apart = answered.date.map(|date| asked.now - date).filter(|apart| apart.abs() > SKEW);
    if let Word::Signature(flaw) = word {
        return flawed(*flaw, apart);
    }
    if let Some(Err(why)) = &asked.signed {
        let remedy = "let the caller sign anew for what the destination gets: postern-router explain shows it";
        return Step::failed(IAM, format!("the router refuses this signature itself: {why}"), remedy);
    }
    if let Some(apart) = apart {
        let found = format!("clocks differ: the destination's says {} s otherwise than here", apart.abs());
        return Step::failed(IAM, found, "set the clock; AWS refuses signatures that are five minutes off");
    }
    match (word, &asked.signed) {
        (Word::Denied { by: By::Identity, explicit, .. }, _) => {
            let how = if *explicit { "an explicit deny" } else { "nothing allows it (implicit deny)" };
            let resource = answered.resource().unwrap_or("this resource");
            let remedy = "let the caller's role allow execute-api:Invoke on that resource; look at boundaries and service \
                          control policies too";
            Step::failed(IAM, format!("a policy of the caller's refuses {resource}: {how}"), remedy)
        }
        (Word::Denied { by: By::Unsaid, .. }, Some(_)) => Step::unclear(
            IAM,
            "access is denied to a signed request, and it is not said by which policy",
            "let the caller's role allow execute-api:Invoke on this API",
        ),
        (_, Some(Ok(()))) => Step::ok(IAM, "signed, and the signature is not what is refused"),
        (Word::Fine, _) if place.iam => Step::unclear(
            IAM,
            "the route asks for AWS signatures, and the destination answers without one",
            "set the method's authorization to AWS_IAM: whoever reaches the API past the router is not asked",
        ),
        (_, None) if place.iam => Step::unclear(
            IAM,
            "the route asks for AWS signatures, and this request has none; API Gateway calls that MissingAuthenticationToken \
             too",
            "give the headers of a signed request with -H",
        ),
        _ => Step::skipped(IAM, "not signed, and no signature is asked for"),
    }
}

fn flawed(flaw: Flaw, apart: Option<i64>) -> Step {
    let clock =
        apart.map_or_else(String::new, |apart| format!("; the clocks here and there differ by {} s", apart.abs()));
    let (found, remedy) = match flaw {
        Flaw::Expired => ("signature expired", "sign anew; set the clock of whoever signs"),
        Flaw::Early => ("signature not yet current", "set the clock of whoever signs, which is ahead"),
        Flaw::Mismatch => (
            "the signature does not match what arrived",
            "sign the Host, path and query that the destination gets (postern-router explain shows them); a rewrite or a \
             stage in front of the path changes what was signed; where those are right, the key is not",
        ),
        Flaw::Scope => ("signed for another region or service", "sign for execute-api in the API's region"),
        Flaw::Incomplete => (
            "the Authorization header is no AWS signature, and the method asks for one",
            "sign the request; a Bearer token is not taken where AWS_IAM is on",
        ),
        Flaw::TokenExpired => ("the security token has expired", "let the caller take new credentials of its role"),
        Flaw::UnknownKey => (
            "the security token or access key is not known",
            "look which key signed: it is deleted, of another partition, or its session token is missing",
        ),
    };
    Step::failed(IAM, format!("{found}{clock}"), remedy)
}

fn answer(place: &Place, answered: &Answered, word: &Word, asked: &Asked) -> Step {
    let found = answered.to_text();
    let failed = |what: &str, remedy: &str| Step::failed(ANSWER, format!("{found}: {what}"), remedy);
    let unclear = |what: &str, remedy: &str| Step::unclear(ANSWER, format!("{found}: {what}"), remedy);
    match word {
        Word::Fine => Step::ok(ANSWER, found),
        Word::UnknownMethod if is_unsigned(place, asked) => {
            unclear("no such call, or not signed", "see iam, then stage")
        }
        Word::UnknownMethod => failed("no such call", "see stage"),
        Word::Forbidden => failed(
            "Forbidden, which API Gateway says of many things",
            "see api-id and stage; if both are right, the method wants an API key (x-api-key), or a web ACL refuses",
        ),
        Word::Denied { by: By::Identity, .. } => failed("a policy refuses", "see iam"),
        Word::Denied { by: By::Unsaid, .. } => failed("a policy refuses", "see policy and iam"),
        Word::Denied { .. } => failed("a policy refuses", "see policy"),
        Word::Signature(_) => failed("the signature is refused", "see iam"),
        Word::AuthorizerDenied => failed(
            "the API's authorizer refuses the caller",
            "look at the policy that the authorizer answers for this caller and path",
        ),
        Word::Unauthorized if asked.credentials => failed(
            "what was sent does not prove a caller",
            "look at the token's issuer, audience and end, and at the authorizer",
        ),
        Word::Unauthorized => {
            unclear("it is reached, and asks for credentials", "give those of a caller with -H 'authorization: …'")
        }
        Word::Throttled => failed("too many requests", "look at usage plan, method and account limits; wait"),
        Word::IntegrationTimeout => failed(
            "API Gateway waited for its own integration in vain",
            "look at the integration: it took longer than its timeout (29 s unless raised), or its VPC link is broken",
        ),
        Word::AuthorizerBroken => {
            failed("the API's authorizer failed", "look at the log of the authorizer and its permissions")
        }
        Word::GatewayFailed => failed(
            "the API or its integration failed",
            "look at the API's execution log: mapping, Lambda permission, malformed integration answer",
        ),
        Word::WantsTls => failed("that port speaks TLS", "write https into destination.url"),
        Word::Own => own(place, answered, &unclear, &failed),
    }
}

/// What a service says by itself, or the load balancer in front of it.
fn own(
    place: &Place,
    answered: &Answered,
    unclear: &dyn Fn(&str, &str) -> Step,
    failed: &dyn Fn(&str, &str) -> Step,
) -> Step {
    let is_balancer = answered.server.as_deref().is_some_and(|server| server.starts_with("awselb"));
    match answered.status {
        502..=504 if is_balancer => failed(
            "the load balancer has no target that answers",
            "look at the health of its target group and the security group between balancer and targets",
        ),
        500.. => failed("the destination itself fails", "look at its log; the request arrived"),
        404 if is_balancer => unclear("no rule of the load balancer takes it", "compare its rules with Host and path"),
        404 | 405 => unclear(
            &format!("the destination itself does not know {} {}", place.method, place.target),
            "it is reached; give --path and --method of a call that it knows",
        ),
        403 => unclear(
            "the destination itself refuses",
            "it is reached; look at its own rights, or at a firewall before it",
        ),
        _ => unclear(
            "the destination itself refuses",
            "it is reached; give --path, --method and -H of a call that it takes",
        ),
    }
}
