//! Tokens for destinations that can be told from everything else that goes there.

use crate::document::{IdentityToken, PolicySet};
use crate::problem::{Problem, ProblemKind, pointer_token, shown};

use super::lists::bounded;
use super::{layers, rights};

/// Claims that the router writes itself (RFC 7519 §4.1), by what the caller was proved, and
/// where it came in.
const OWN: [&str; 9] = ["iss", "sub", "aud", "iat", "nbf", "exp", "jti", "via", "route"];

/// Most claims besides: a token goes with every request.
const CLAIMS: usize = 32;

pub(super) fn check(problems: &mut Vec<Problem>, at: &str, policies: &PolicySet) {
    let Some(token) = &policies.identity_token else { return };
    let at = format!("{at}/identity_token");
    let header = token.header();
    if header != IdentityToken::HEADER && layers::is_never_set(header) {
        problems.push(
            Problem::new(
                format!("{at}/header"),
                ProblemKind::Invalid,
                "is a header that the router or the protocol needs itself",
            )
            .hint(format!("leave it out for {}", IdentityToken::HEADER)),
        );
    }
    if policies.identity_headers.iter().flatten().any(|(name, _)| name.as_str() == header) {
        problems.push(
            Problem::new(format!("{at}/header"), ProblemKind::Contradiction, "is one of identity_headers as well")
                .hint("give each a name of its own"),
        );
    }
    if token.audience.is_empty() || token.audience.len() > 256 || token.audience.chars().any(char::is_control) {
        problems.push(Problem::new(format!("{at}/audience"), ProblemKind::Invalid, "names nobody").hint(
            "a name that the destination knows itself by, e.g. orders: without one, a token for it would pass anywhere",
        ));
    }
    if !(10..=3_600).contains(&token.ttl().duration().as_secs()) {
        problems.push(
            Problem::new(
                format!("{at}/ttl"),
                ProblemKind::Limit,
                format!("\"{}\" is not between 10s and 1h", token.ttl()),
            )
            .hint("leave it out for 60s: who steals a token has it for that long"),
        );
    }
    bounded(problems, &format!("{at}/claims"), token.claims.len(), CLAIMS);
    for (name, path) in &token.claims {
        let at = format!("{at}/claims/{}", pointer_token(name));
        if OWN.contains(&name.as_str()) {
            problems.push(
                Problem::new(at, ProblemKind::Invalid, format!("{} is the router's to say", shown(name)))
                    .hint("choose another name"),
            );
        } else if name.is_empty() || name.len() > 256 || !rights::is_claim_path(path) {
            problems
                .push(Problem::new(at, ProblemKind::Invalid, "names no claim").hint("e.g. sub, or realm_access.roles"));
        }
    }
}
