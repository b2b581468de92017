//! The boundary's layers around a registration's policies: defaults below, overrides above.

use crate::document::{AnyOf, Authorization, BodyPolicy, Identity, PathRule, PolicySet, RouteTimeouts};
use crate::limits;
use crate::problem::{Problem, ProblemKind, pointer_token, shown};

use super::{Boundary, identity};

/// What holds for a registration: field by field the override, else its own, else the default; then what
/// its path rules demand. Scopes add up, so that no layer can take another's demand away.
pub(super) fn effective(boundary: &Boundary, registered: &PolicySet, rules: &[&PathRule]) -> PolicySet {
    let document = boundary.document();
    let (upper, own, lower) = (&document.overrides.policies, registered, &document.defaults.policies);
    let demanded = rules.iter().find_map(|rule| rule.require.authentication.as_ref());
    // A default that is not enough here is not what anybody asked for.
    let usual = lower.authentication.as_ref().filter(|usual| demanded.is_none_or(|one| satisfies(usual, one)));
    let given = upper.authentication.as_ref().or(own.authentication.as_ref());
    let scopes = [&upper.authorization, &own.authorization, &lower.authorization];
    let required = rules.iter().map(|rule| &rule.require.authorization);
    // Destructured without `..`, so that a new policy cannot be forgotten here.
    let PolicySet { authentication: _, authorization: _, identity_headers, timeouts, body, path, websocket } = upper;
    let RouteTimeouts { connect, first_byte, idle, total } = timeouts;
    let BodyPolicy { max } = body;
    let headers = identity_headers.as_ref().or(own.identity_headers.as_ref()).or(lower.identity_headers.as_ref());
    PolicySet {
        authentication: given.or(usual).or(demanded).cloned(),
        authorization: together(scopes.into_iter().chain(required)),
        identity_headers: headers.cloned(),
        timeouts: RouteTimeouts {
            connect: connect.or(own.timeouts.connect).or(lower.timeouts.connect),
            first_byte: first_byte.or(own.timeouts.first_byte).or(lower.timeouts.first_byte),
            idle: idle.or(own.timeouts.idle).or(lower.timeouts.idle),
            total: total.or(own.timeouts.total).or(lower.timeouts.total),
        },
        body: BodyPolicy { max: max.or(own.body.max).or(lower.body.max) },
        path: path.or(own.path).or(lower.path),
        websocket: websocket.or(own.websocket).or(lower.websocket),
    }
}

/// Whether whoever passes `one` has passed `demanded`.
pub(super) fn satisfies(one: &AnyOf, demanded: &AnyOf) -> bool {
    one.any_of.iter().all(|way| demanded.any_of.contains(way))
}

fn together<'a>(parts: impl Iterator<Item = &'a Option<Authorization>>) -> Option<Authorization> {
    let mut all: Option<Authorization> = None;
    for part in parts.flatten() {
        all.get_or_insert_default().scopes.extend(part.scopes.iter().cloned());
    }
    if let Some(Authorization { scopes }) = &mut all {
        scopes.sort();
        scopes.dedup();
    }
    all
}

/// What can be said of a set of policies on its own.
pub(super) fn check_policies(problems: &mut Vec<Problem>, at: &str, policies: &PolicySet, known: &Identity) {
    if let Some(any_of) = &policies.authentication {
        identity::check_any_of(problems, &format!("{at}/authentication"), any_of, known);
    }
    if let Some(authorization) = &policies.authorization {
        check_scopes(problems, &format!("{at}/authorization"), authorization);
    }
    for (header, claim) in policies.identity_headers.iter().flatten() {
        let name = header.as_str();
        let at = format!("{at}/identity_headers/{}", pointer_token(name));
        if NEVER_SET.contains(&name) || NEVER_BEGIN.iter().any(|prefix| name.starts_with(prefix)) {
            problems.push(
                Problem::new(at, ProblemKind::Invalid, "is a header that the router or the protocol needs itself")
                    .hint("choose another name, e.g. x-user-id"),
            );
        } else if claim.len() > 256 || claim.split('.').any(str::is_empty) || claim.chars().any(char::is_control) {
            problems
                .push(Problem::new(at, ProblemKind::Invalid, "names no claim").hint("e.g. sub, or realm_access.roles"));
        }
    }
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

/// Whether every scope is one (RFC 6749 §3.3: scope-token).
pub(super) fn check_scopes(problems: &mut Vec<Problem>, at: &str, authorization: &Authorization) {
    check_scope_words(problems, at, &authorization.scopes);
}

/// Words as RFC 6749 §3.3 has them: they go into challenges as they are.
pub(super) fn check_scope_words(problems: &mut Vec<Problem>, at: &str, scopes: &[String]) {
    for (index, scope) in scopes.iter().enumerate() {
        let fits = scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
        if scope.is_empty() || scope.len() > 256 || !fits {
            problems.push(
                Problem::new(
                    format!("{at}/scopes/{index}"),
                    ProblemKind::Invalid,
                    format!("{} is no scope", shown(scope)),
                )
                .hint("one word without spaces, quotes and backslashes, as in orders.read"),
            );
        }
    }
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
