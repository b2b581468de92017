//! What would happen to a request, and why: the same stages as serving, asked one by one.
//!
//! Must never decide anything itself, or send a byte anywhere.

mod asked;
mod chosen;

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_config::document::{LimitBy, Mode};
use serde::Serialize;

pub(crate) use self::asked::{Asked, Assumed, claims, odd_names, parameters};
use crate::http1::{Framing, RequestHead};
use crate::limiter::Quota;
use crate::lockout::LockoutRule;
use crate::pipeline::{check_signature, circumstances, outbound, spared};
use crate::principal::Principal;
use crate::reject::{Reason, Rejection};
use crate::rights::{Kind, Verdict};
use crate::snapshot::table::{Outranked, Passed};
use crate::snapshot::{RoutePlan, Snapshot, Timeouts};
use crate::stage::authenticate::{Certificates, Outcome, Relayed, SKEW, Way, assume, authenticate};
use crate::stage::authorize::{Permit, authorize};
use crate::stage::find::{find, outranked};
use crate::stage::identify::{Arrival, Request, RequestId, RequestPath, Trust, identify, without_odd_names};
use crate::stage::limit::{limit_body, quotas};
use crate::stage::transform;
use crate::stage::upgrade::upgrade;

/// What would happen.
#[derive(Debug, Serialize)]
pub(crate) struct Explanation {
    /// The route that answers.
    pub(crate) route: Option<String>,
    /// The reason why the router answers by itself; none when the request is forwarded.
    pub(crate) reason: Option<&'static str>,
    /// The status that goes with the reason.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<u16>,
    /// The boundary's name of the destination.
    pub(crate) destination: Option<String>,
    /// The request as the destination would see it.
    pub(crate) forwarded: Option<Forwarded>,
    /// The generation that was asked.
    pub(crate) generation: u64,
    /// How it came to this.
    pub(crate) steps: Vec<Step>,
}

/// A request as a destination would see it.
#[derive(Debug, Serialize)]
pub(crate) struct Forwarded {
    pub(crate) method: String,
    pub(crate) target: String,
    /// The connection: scheme, name and port that are dialled.
    pub(crate) dialled: String,
    pub(crate) headers: Vec<(String, String)>,
}

/// One decision.
#[derive(Debug, Serialize)]
pub(crate) struct Step {
    pub(crate) stage: &'static str,
    pub(crate) verdict: String,
}

/// Explains a request at an instant, in seconds after 1970. `live` is the running router's own time, which alone knows what
/// breakers are open.
pub(crate) fn explain(snapshot: &Snapshot, asked: Asked, now: i64, live: Option<Instant>) -> Explanation {
    let mut explanation = Explanation {
        route: None,
        reason: None,
        status: None,
        destination: None,
        forwarded: None,
        generation: snapshot.header.generation,
        steps: Vec::new(),
    };
    let now = asked.assumed.at.unwrap_or(now);
    if let Err(rejection) = walk(snapshot, asked, now, live, &mut explanation) {
        explanation.reason = Some(rejection.reason.code());
        explanation.status = Some(rejection.reason.status().as_u16());
        let detail = if rejection.detail.is_empty() { rejection.reason.public() } else { &*rejection.detail };
        explanation.step("refused", format!("{}: {detail}", rejection.reason.code()));
    }
    explanation
}

/// The order of `pipeline::run`, which a differential test holds it to.
fn walk(
    snapshot: &Snapshot,
    asked: Asked,
    now: i64,
    live: Option<Instant>,
    explanation: &mut Explanation,
) -> Result<(), Rejection> {
    let Asked { head, tls, assumed: Assumed { client, claims, certificate, odd_names, .. } } = asked;
    let peer = client.unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let odd_names = odd_names.unwrap_or_default();
    let arrival = Arrival { peer, tls, certificate: certificate.map(Rc::new), odd_names };
    let request = read(snapshot, head, &arrival, explanation)?;
    let route = answers(snapshot, &request, now, explanation)?;
    explanation.step("policies", origins(&route));

    let principal = match &claims {
        Some(claims) => assume(&route.ways, claims)?,
        None => prove(&route, &request, &arrival, now, explanation)?,
    };
    explanation.step("authenticate", format!("{} by {}", principal.name(), principal.via()));
    let count = route.rights.count();
    let decided = authorize(route, principal, &circumstances(&request, now), true);
    for verdict in &decided.verdicts {
        explanation.step("authorize", words_of(verdict));
    }
    let permit = decided.permit?;
    explanation.step("authorize", format!("permitted, with demands of {count} layers"));
    limit_body(permit.route(), request.head.framing())?;
    for quota in quotas(permit.route(), permit.principal()) {
        explanation.step("limit", rate(quota));
    }
    explanation.step("limit", limits(permit.route()));

    let route = permit.route();
    let handshake = upgrade(&request.head, route.websocket.is_some())?;
    explanation.step("upgrade", upgrades(route.websocket, handshake.is_some()));

    let targets = &permit.route().targets;
    let target = chosen::choose(targets, live, explanation)?;
    if permit.principal().has_signed() {
        let told = match check_signature(&request, snapshot, &permit, target, now, SKEW)? {
            Some(verdict) => words_of(&verdict),
            None => "can be right for this destination, which checks it".to_owned(),
        };
        explanation.step("signature", told);
    }
    let destination = &target.destination;
    explanation.destination = Some(destination.name().to_string());
    let vouched = vouched(&permit, explanation);
    let written = outbound(&request, peer, snapshot, &permit, target, handshake.is_some(), vouched, None);
    let written = written.framed(Framing::None);
    let head = RequestHead::parse(&written)?;
    let scheme = if destination.tls().is_some() { "https" } else { "http" };
    let dialled = format!("{scheme}://{}:{}", destination.dial(), destination.port());
    explanation
        .step("forward", format!("{} {} to {dialled} as {:?}", head.method(), head.target(), destination.host()));
    let fields = head.fields().iter();
    let headers = fields.map(|(name, value)| {
        (String::from_utf8_lossy(name).to_lowercase(), String::from_utf8_lossy(value).into_owned())
    });
    explanation.forwarded = Some(Forwarded {
        method: head.method().to_string(),
        target: head.target().to_owned(),
        dialled,
        headers: headers.collect(),
    });
    Ok(())
}

/// The request in its one reading.
fn read(
    snapshot: &Snapshot,
    head: RequestHead,
    arrival: &Arrival,
    explanation: &mut Explanation,
) -> Result<Request, Rejection> {
    let came = head.fields().len();
    let head = without_odd_names(head, arrival);
    if head.fields().len() < came {
        explanation.step("identify", "headers whose names have _ or . in them are dropped".to_owned());
    }
    let request = identify(Rc::new(head), arrival, &Trust::default(), &snapshot.hosts, RequestId::new(0))?;
    explanation.step("identify", identified(&request));
    Ok(request)
}

/// Which route answers, and which ones do not, though their hosts and paths fit.
fn answers(
    snapshot: &Snapshot,
    request: &Request,
    now: i64,
    explanation: &mut Explanation,
) -> Result<Arc<RoutePlan>, Rejection> {
    let mut passed = Vec::new();
    let found =
        find(snapshot, request, now, |route, why| passed.push(format!("{} is passed over: {}", route.id, words(&why))));
    for verdict in passed {
        explanation.step("match", verdict);
    }
    let route = found?;
    explanation.route = Some(route.id.to_string());
    explanation.step("match", format!("{} answers, of {}", route.id, route.owner));
    for (other, why) in outranked(snapshot, request, now) {
        explanation.step("match", format!("{} would as well, and comes after it: {}", other.id, comes_after(why)));
    }
    Ok(route)
}

fn prove(
    route: &RoutePlan,
    request: &Request,
    arrival: &Arrival,
    now: i64,
    explanation: &mut Explanation,
) -> Result<Principal, Rejection> {
    let shown = arrival.certificate.as_deref();
    if route.ways.iter().any(|way| matches!(way, Way::Mtls(_))) {
        let verdict = match shown {
            Some(_) => "the certificate is taken to be verified, under authorities without a name",
            None => "no certificate is shown; --certificate FILE shows one",
        };
        explanation.step("authenticate", verdict.to_owned());
    }
    let shown = Certificates { connection: shown, stands: true, relayed: shown.map(Relayed::Read) };
    let (fields, query) = (request.head.fields(), request.head.query());
    let found = authenticate(&route.ways, fields, query, shown, now, &Default::default());
    let found = match found {
        // No authorizer is asked about a path with two readings.
        Ok(Outcome::Consult(_)) if circumstances(request, now).path.is_none() => Err(Reason::PathAmbiguous.into()),
        found => found,
    };
    match found {
        Ok(Outcome::Proved(principal)) => {
            if let Some(verdict) = spared(&principal) {
                explanation.step("authenticate", words_of(&verdict));
            }
            Ok(principal)
        }
        Ok(Outcome::Ask(question)) => {
            explanation.step("authenticate", "the password is taken to be right: explain does not check it".to_owned());
            if question.lockout().mode == Mode::Shadow {
                explanation.step("authenticate", lockout(question.lockout()));
            }
            Ok(question.principal())
        }
        Ok(Outcome::Consult(external)) => {
            let words = format!("{} is taken to say yes and no more: explain does not ask it", external.via());
            explanation.step("authenticate", words);
            Ok(external.unasked())
        }
        Err(rejection) if !route.insists => {
            let verdict = Verdict::unproved(rejection.reason.code());
            explanation.step("authenticate", words_of(&verdict));
            Ok(Principal::anonymous())
        }
        Err(rejection) => Err(rejection),
    }
}

/// The token that tells the destination who calls. Nobody but the running router can sign. What is only tried out is told.
fn vouched(permit: &Permit, explanation: &mut Explanation) -> Option<&'static str> {
    let (route, principal) = (permit.route(), permit.principal());
    if let Some(verdict) = transform::kept_back(route, |path| principal.claim(path)) {
        explanation.step("transform", words_of(&verdict));
    }
    let plan = route.identity_token.as_deref().filter(|_| principal.is_proved())?;
    if plan.mode == Mode::Enforce {
        return Some("…");
    }
    let verdict = Verdict::kept_back(Kind::IdentityToken, plan.header.as_str().to_owned());
    explanation.step("transform", words_of(&verdict));
    None
}

/// Which layer and which policy, and what they say.
fn words_of(verdict: &Verdict) -> String {
    let said = match (verdict.allowed, verdict.mode) {
        (true, Mode::Shadow) if verdict.would_set().is_some() => "would set; shadow",
        (true, Mode::Shadow) => "would permit; shadow",
        (true, _) => "permits",
        (false, Mode::Shadow) => "would refuse; shadow",
        (false, _) => "refuses",
    };
    match verdict.why.is_empty() {
        true => format!("{verdict} {said}"),
        false => format!("{verdict} {said}: {}", verdict.why),
    }
}

fn comes_after(why: Outranked) -> &'static str {
    match why {
        Outranked::Host => "the host is named less exactly",
        Outranked::Path => "the path is less specific",
        Outranked::Order => "it asks for less, or came later",
    }
}

/// Where the route's policies come from.
fn origins(route: &RoutePlan) -> String {
    match route.origins.is_empty() {
        true => "nobody says anything: what the router does by itself holds".to_owned(),
        false => route.origins.to_string(),
    }
}

/// What a limit lets through. Nothing is counted here.
fn rate(quota: &Quota) -> String {
    let whose = match quota.by {
        LimitBy::Caller => "each caller",
        LimitBy::Client => "each client",
        LimitBy::Route => "all callers together",
    };
    let tried = if quota.mode == Mode::Shadow { "; shadow" } else { "" };
    format!("{}: {} of {whose}, {} at once{tried}; explain does not count", quota.name, quota.rate, quota.burst)
}

/// Whom a lock-out would tell to wait. Nothing is counted here.
fn lockout(LockoutRule { failures, within, lasts, mode: _ }: LockoutRule) -> String {
    format!(
        "after {failures} wrong passwords in {within:?} it would refuse for {lasts:?}; shadow; explain does not count"
    )
}

fn limits(route: &RoutePlan) -> String {
    let Timeouts { connect, first_byte, idle, total } = route.timeouts;
    let total = total.map_or_else(String::new, |total| format!(", the whole within {total:?}"));
    let body = route.body_max;
    format!(
        "a body of at most {body} bytes; to connect {connect:?}, first byte within {first_byte:?}, silence of {idle:?}{total}"
    )
}

fn upgrades(idle: Option<Duration>, asked: bool) -> String {
    match (idle, asked) {
        (None, _) => "no WebSocket may be opened".to_owned(),
        (Some(idle), true) => format!("a WebSocket is asked for, which may be silent for {idle:?}"),
        (Some(idle), false) => format!("a WebSocket may be opened and be silent for {idle:?}; none is asked for"),
    }
}

fn identified(request: &Request) -> String {
    match &request.path {
        RequestPath::Ambiguous(front, error) => format!("host {}, path {front}… ({error})", request.host),
        RequestPath::Plain | RequestPath::Canonical(_) => format!("host {}, path {}", request.host, request.path()),
    }
}

impl Explanation {
    fn step(&mut self, stage: &'static str, verdict: String) {
        self.steps.push(Step { stage, verdict });
    }

    /// For a person.
    pub(crate) fn to_text(&self) -> String {
        let mut lines: Vec<String> =
            self.steps.iter().map(|step| format!("{:<12} {}", step.stage, step.verdict)).collect();
        if let Some(forwarded) = &self.forwarded {
            lines.push(String::new());
            lines.push(format!("{} {}", forwarded.method, forwarded.target));
            lines.extend(forwarded.headers.iter().map(|(name, value)| format!("{name}: {value}")));
        }
        lines.join("\n")
    }
}

fn words(why: &Passed) -> String {
    match why {
        Passed::Method => "it does not take this method".to_owned(),
        Passed::Header(name) => format!("the header {name} has not the value it asks for"),
        Passed::QueryParameter(name) => format!("the query parameter {name} has not the value it asks for"),
        Passed::Fence => "a path rule of the boundary lies between its root and this path".to_owned(),
        Passed::Ambiguous => "the path has two readings, and the route is not path: raw".to_owned(),
        Passed::LeaseExpired => "its lease has ended".to_owned(),
    }
}
