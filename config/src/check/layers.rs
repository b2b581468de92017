//! The boundary's layers around a registration's policies: defaults below, overrides above.

use crate::cedar::Vocabulary;
use crate::document::{
    AnyOf, Authorization, BodyPolicy, Identity, Mode, PathRule, PolicySet, Registration, RouteTimeouts, Telemetry,
};
use crate::limits;
use crate::problem::{Problem, ProblemKind, pointer_token};

use super::{Boundary, Layer, identity, identity_token, rights};

/// What holds for a registration: field by field the override, else its own, else the default; then what
/// its path rules demand. What callers must be allowed adds up, so that no layer can take another's demand away.
pub(super) fn effective(boundary: &Boundary, registered: &PolicySet, rules: &[&PathRule]) -> PolicySet {
    let document = boundary.document();
    let (upper, own, lower) = (&document.overrides.policies, registered, &document.defaults.policies);
    let demanded = rules.iter().find_map(|rule| rule.require.authentication.as_ref());
    // A default that is not enough here is not what anybody asked for.
    let usual = lower.authentication.as_ref().filter(|usual| demanded.is_none_or(|one| satisfies(usual, one)));
    let given = upper.authentication.as_ref().or(own.authentication.as_ref());
    let demands = [&upper.authorization, &lower.authorization];
    let required = rules.iter().map(|rule| &rule.require.authorization);
    // Destructured without `..`, so that a new policy cannot be forgotten here.
    let PolicySet {
        authentication: _,
        authorization: _,
        identity_headers,
        identity_token,
        timeouts,
        body,
        telemetry,
        path,
        websocket,
    } = upper;
    let RouteTimeouts { connect, first_byte, idle, total } = timeouts;
    let BodyPolicy { max } = body;
    let Telemetry { access_log, audit } = telemetry;
    let headers = identity_headers.as_ref().or(own.identity_headers.as_ref()).or(lower.identity_headers.as_ref());
    PolicySet {
        authentication: given.or(usual).or(demanded).cloned(),
        authorization: together(own.authorization.as_ref(), demands.into_iter().chain(required)),
        identity_headers: headers.cloned(),
        identity_token: identity_token
            .as_ref()
            .or(own.identity_token.as_ref())
            .or(lower.identity_token.as_ref())
            .cloned(),
        timeouts: RouteTimeouts {
            connect: connect.or(own.timeouts.connect).or(lower.timeouts.connect),
            first_byte: first_byte.or(own.timeouts.first_byte).or(lower.timeouts.first_byte),
            idle: idle.or(own.timeouts.idle).or(lower.timeouts.idle),
            total: total.or(own.timeouts.total).or(lower.timeouts.total),
        },
        body: BodyPolicy { max: max.or(own.body.max).or(lower.body.max) },
        telemetry: Telemetry {
            access_log: access_log.or(own.telemetry.access_log).or(lower.telemetry.access_log),
            audit: audit.or(own.telemetry.audit).or(lower.telemetry.audit),
        },
        path: path.or(own.path).or(lower.path),
        websocket: websocket.or(own.websocket).or(lower.websocket),
    }
}

impl Boundary {
    /// Which layer each policy of a registration's route comes from, for whoever asks why it is so. What callers must be
    /// allowed adds up over layers: see [`Boundary::demands`].
    pub fn origins<'b>(&'b self, registration: &'b Registration) -> Vec<(&'static str, Layer<'b>)> {
        let (document, own) = (self.document(), &registration.policies);
        let (upper, lower) = (&document.overrides.policies, &document.defaults.policies);
        let governing = self.governing(registration);
        let mut origins = Vec::new();
        let mut tell = |policy, layers: [bool; 3]| {
            let layer = match layers {
                [true, ..] => Layer::Override,
                [_, true, _] => Layer::Registration,
                [.., true] => Layer::Default,
                [false, false, false] => return,
            };
            origins.push((policy, layer));
        };
        let demanded = governing.claimed.iter().find_map(|rule| Some((rule, rule.require.authentication.as_ref()?)));
        let usual = lower.authentication.as_ref().filter(|usual| demanded.is_none_or(|(_, one)| satisfies(usual, one)));
        tell("authentication", [upper.authentication.is_some(), own.authentication.is_some(), usual.is_some()]);
        // Destructured without `..`, so that a new policy cannot be forgotten here.
        let PolicySet {
            authentication: _,
            authorization: _,
            identity_headers,
            identity_token,
            timeouts,
            body,
            telemetry,
            path,
            websocket,
        } = upper;
        let RouteTimeouts { connect, first_byte, idle, total } = timeouts;
        let (mine, usual) = (&own.timeouts, &lower.timeouts);
        let headers = [identity_headers.is_some(), own.identity_headers.is_some(), lower.identity_headers.is_some()];
        tell("identity_headers", headers);
        let token = [identity_token.is_some(), own.identity_token.is_some(), lower.identity_token.is_some()];
        tell("identity_token", token);
        tell("timeouts.connect", [connect.is_some(), mine.connect.is_some(), usual.connect.is_some()]);
        tell("timeouts.first_byte", [first_byte.is_some(), mine.first_byte.is_some(), usual.first_byte.is_some()]);
        tell("timeouts.idle", [idle.is_some(), mine.idle.is_some(), usual.idle.is_some()]);
        tell("timeouts.total", [total.is_some(), mine.total.is_some(), usual.total.is_some()]);
        tell("body.max", [body.max.is_some(), own.body.max.is_some(), lower.body.max.is_some()]);
        let (mine, usual) = (&own.telemetry, &lower.telemetry);
        let Telemetry { access_log, audit } = telemetry;
        tell("telemetry.access_log", [access_log.is_some(), mine.access_log.is_some(), usual.access_log.is_some()]);
        tell("telemetry.audit", [audit.is_some(), mine.audit.is_some(), usual.audit.is_some()]);
        tell("path", [path.is_some(), own.path.is_some(), lower.path.is_some()]);
        tell("websocket", [websocket.is_some(), own.websocket.is_some(), lower.websocket.is_some()]);
        let nobody = origins.iter().all(|(policy, _)| *policy != "authentication");
        if let (true, Some((rule, _))) = (nobody, demanded) {
            origins.insert(0, ("authentication", Layer::Rule(&rule.prefix)));
        }
        origins
    }
}

/// Whether whoever passes `one` has passed `demanded`.
pub(crate) fn satisfies(one: &AnyOf, demanded: &AnyOf) -> bool {
    one.mode <= demanded.mode && one.any_of.iter().all(|way| demanded.any_of.contains(way))
}

/// What a route shows of all that its layers demand: its own demand, and with it the scopes of the others. Decided is
/// by [`Boundary::demands`].
fn together<'a>(
    own: Option<&Authorization>,
    layers: impl Iterator<Item = &'a Option<Authorization>>,
) -> Option<Authorization> {
    let mut all = own.cloned();
    // Where its own is not enforced, others' scopes in it would read as if they were not either.
    if own.is_some_and(|own| own.mode != Mode::Enforce) {
        return all;
    }
    for part in layers.flatten().filter(|part| part.mode == Mode::Enforce && !part.scopes.is_empty()) {
        all.get_or_insert_default().scopes.extend(part.scopes.iter().cloned());
    }
    if let Some(all) = &mut all {
        all.scopes.sort();
        all.scopes.dedup();
    }
    all
}

/// What can be said of a set of policies on its own. `variables` are those of the route's template, where it is known.
pub(super) fn check_policies(
    problems: &mut Vec<Problem>,
    at: &str,
    policies: &PolicySet,
    known: &Identity,
    words: &Vocabulary,
    variables: Option<&[&str]>,
) {
    if let Some(any_of) = &policies.authentication {
        identity::check_any_of(problems, &format!("{at}/authentication"), any_of, known);
    }
    if let Some(demand) = &policies.authorization {
        rights::check_demand(problems, &format!("{at}/authorization"), demand, words, variables);
    }
    for (header, claim) in policies.identity_headers.iter().flatten() {
        let name = header.as_str();
        let at = format!("{at}/identity_headers/{}", pointer_token(name));
        if is_never_set(name) {
            problems.push(
                Problem::new(at, ProblemKind::Invalid, "is a header that the router or the protocol needs itself")
                    .hint("choose another name, e.g. x-user-id"),
            );
        } else if !rights::is_claim_path(claim) {
            problems
                .push(Problem::new(at, ProblemKind::Invalid, "names no claim").hint("e.g. sub, or realm_access.roles"));
        }
    }
    identity_token::check(problems, at, policies);
    let timeouts = &policies.timeouts;
    for (field, period) in [
        ("connect", timeouts.connect),
        ("first_byte", timeouts.first_byte),
        ("idle", timeouts.idle),
        ("total", timeouts.total),
    ] {
        let Some(period) = period else { continue };
        let at = format!("{at}/timeouts/{field}");
        if period.duration().is_zero() {
            problems.push(
                Problem::new(at, ProblemKind::Invalid, "is zero, so every request would fail")
                    .hint("leave it out for the default"),
            );
        } else if period.duration().as_secs() > limits::TIMEOUT_SECONDS {
            problems.push(
                Problem::new(at, ProblemKind::Limit, format!("\"{period}\" is longer than a day"))
                    .hint("what takes longer is better asked for again"),
            );
        }
    }
}

/// Whether no policy may set a header.
pub(super) fn is_never_set(name: &str) -> bool {
    NEVER_SET.contains(&name) || NEVER_BEGIN.iter().any(|prefix| name.starts_with(prefix))
}

/// Headers that frame a message, name a host, carry credentials, or that the router writes itself; and those
/// by which frameworks let a client change the method or the path behind a gateway's back.
const NEVER_SET: [&str; 25] = [
    "host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "expect", "via", "forwarded",
    "authorization", "cookie", "set-cookie", "date", "max-forwards", "x-request-id", "x-real-ip", "x-method-override",
    "x-original-url", "x-original-uri", "x-original-host", "x-rewrite-url", "traceparent", "tracestate", "baggage",
];

/// The same, by how they begin.
const NEVER_BEGIN: [&str; 8] =
    ["content-", "proxy-", "sec-", "x-amz", "x-apigw-", "x-forwarded-", "x-http-method", "x-postern-"];
