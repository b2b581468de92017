//! The boundary's layers around a registration's policies: defaults below, overrides above.

use crate::document::{Authorization, Identity, PathRule, PolicySet};
use crate::problem::{Problem, ProblemKind};

use super::{Boundary, identity};

/// What holds for a registration: field by field the override, else its own, else the default; then what
/// the path rule demands. Scopes add up, so that no layer can take another's demand away.
pub(super) fn effective(boundary: &Boundary, registered: &PolicySet, rule: Option<&PathRule>) -> PolicySet {
    let document = boundary.document();
    let mut policies = over(&over(&document.overrides.policies, registered), &document.defaults.policies);
    if let Some(rule) = rule {
        if policies.authentication.is_none() {
            policies.authentication.clone_from(&rule.require.authentication);
        }
        policies.authorization = both(policies.authorization.as_ref(), rule.require.authorization.as_ref());
    }
    policies
}

fn over(upper: &PolicySet, lower: &PolicySet) -> PolicySet {
    // Destructured without `..`, so that a new policy cannot be forgotten here.
    let PolicySet { authentication, authorization, identity_headers, timeouts, body, path } = upper.clone();
    PolicySet {
        authentication: authentication.or_else(|| lower.authentication.clone()),
        authorization: both(authorization.as_ref(), lower.authorization.as_ref()),
        identity_headers: identity_headers.or_else(|| lower.identity_headers.clone()),
        timeouts: crate::document::RouteTimeouts {
            connect: timeouts.connect.or(lower.timeouts.connect),
            first_byte: timeouts.first_byte.or(lower.timeouts.first_byte),
            idle: timeouts.idle.or(lower.timeouts.idle),
            total: timeouts.total.or(lower.timeouts.total),
        },
        body: crate::document::BodyPolicy { max: body.max.or(lower.body.max) },
        path: path.or(lower.path),
    }
}

fn both(one: Option<&Authorization>, other: Option<&Authorization>) -> Option<Authorization> {
    let mut scopes: Vec<String> = one.into_iter().chain(other).flat_map(|part| part.scopes.iter().cloned()).collect();
    scopes.sort();
    scopes.dedup();
    (one.is_some() || other.is_some()).then_some(Authorization { scopes })
}

/// What can be said of a set of policies on its own.
pub(super) fn check_policies(problems: &mut Vec<Problem>, at: &str, policies: &PolicySet, known: &Identity) {
    if let Some(any_of) = &policies.authentication {
        identity::check_any_of(problems, &format!("{at}/authentication"), any_of, known);
    }
    for (index, scope) in policies.authorization.iter().flat_map(|one| &one.scopes).enumerate() {
        // RFC 6749 §3.3: scope-token.
        if scope.is_empty() || !scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e)) {
            problems.push(Problem::new(
                format!("{at}/authorization/scopes/{index}"),
                ProblemKind::Invalid,
                format!("{} is no scope", crate::problem::shown(scope)),
            ));
        }
    }
    for (header, claim) in policies.identity_headers.iter().flatten() {
        let at = format!("{at}/identity_headers/{}", crate::problem::pointer_token(header.as_str()));
        if NEVER_SET.contains(&header.as_str()) || header.as_str().starts_with("x-forwarded-") {
            problems.push(
                Problem::new(at, ProblemKind::Invalid, "is a header that the router or the protocol needs itself")
                    .hint("choose another name, e.g. x-user-id"),
            );
        } else if claim.is_empty() || claim.split('.').any(str::is_empty) {
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
        if period.is_some_and(|period| period.duration().is_zero()) {
            problems.push(
                Problem::new(
                    format!("{at}/timeouts/{field}"),
                    ProblemKind::Invalid,
                    "is zero, so every request would fail",
                )
                .hint("leave it out for the default"),
            );
        }
    }
}

/// Headers that frame a message, name a host, carry credentials, or that the router writes itself.
const NEVER_SET: [&str; 20] = [
    "host", "content-length", "transfer-encoding", "connection", "keep-alive", "te", "trailer", "upgrade", "expect",
    "via", "forwarded", "authorization", "proxy-authorization", "cookie", "date", "x-request-id", "x-real-ip",
    "x-apigw-api-id", "x-http-method-override", "x-amzn-trace-id",
];
