//! What an issuer's tokens must say and where they stand: rules that can be met, and places with one reading.
//!
//! Must never know keys.

use crate::document::{JwtIssuer, TokenPlace};
use crate::limits;
use crate::problem::{Problem, ProblemKind, shown};

use super::lists::{bounded, unique};
use super::rights;

pub(super) fn check(problems: &mut Vec<Problem>, at: &str, issuer: &JwtIssuer) {
    for (field, values) in [("types", &issuer.types), ("authorized_parties", &issuer.authorized_parties)] {
        let at = format!("{at}/{field}");
        bounded(problems, &at, values.len(), limits::TOKEN_RULES);
        unique(problems, values.iter(), |index| format!("{at}/{index}"));
        for (index, _) in values.iter().enumerate().filter(|(_, value)| !is_word(value)) {
            problems.push(Problem::new(format!("{at}/{index}"), ProblemKind::Invalid, "is empty, or no plain text"));
        }
    }
    bounded(problems, &format!("{at}/claims"), issuer.claims.len(), limits::TOKEN_RULES);
    for (index, rule) in issuer.claims.iter().enumerate() {
        let at = format!("{at}/claims/{index}");
        if rule.claim.len() > 256 || rule.claim.split('.').any(str::is_empty) || !is_word(&rule.claim) {
            problems.push(
                Problem::new(format!("{at}/claim"), ProblemKind::Invalid, "names no claim")
                    .hint("e.g. tenant, or realm_access.roles"),
            );
        }
        if rule.any_of.is_empty() {
            problems.push(
                Problem::new(format!("{at}/any_of"), ProblemKind::Missing, "is empty, so no token could pass")
                    .hint("name the values that are accepted"),
            );
        }
        bounded(problems, &format!("{at}/any_of"), rule.any_of.len(), limits::TOKEN_RULES);
    }
    rights::check_scopes(problems, at, &issuer.scopes);
    if let Some(place) = &issuer.token {
        check_place(
            problems,
            &format!("{at}/token"),
            place,
            "for Authorization: Bearer leave token out; else choose a name such as x-token",
        );
    }
}

/// Whether a place is one, with a name that has one spelling; `remedy` is for a header that is another's.
pub(super) fn check_place(problems: &mut Vec<Problem>, at: &str, place: &TokenPlace, remedy: &str) {
    let given = [place.header.is_some(), place.cookie.is_some(), place.query.is_some()];
    match given.iter().filter(|given| **given).count() {
        1 => {}
        0 => {
            problems.push(Problem::new(at, ProblemKind::Missing, "names no place").hint("give header, cookie or query"))
        }
        _ => problems.push(
            Problem::new(at, ProblemKind::Contradiction, "names more than one place")
                .hint("give one of header, cookie and query"),
        ),
    }
    if let Some(header) = &place.header
        && (FRAMING.contains(&header.as_str()) || header.as_str() == "authorization")
    {
        problems.push(
            Problem::new(format!("{at}/header"), ProblemKind::Invalid, "is a header that means something else")
                .hint(remedy),
        );
    }
    for (field, name) in [("cookie", &place.cookie), ("query", &place.query)] {
        // Letters that nobody escapes, so that the name has one spelling.
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if let Some(name) = name
            && (name.is_empty() || name.len() > 128 || !name.bytes().all(fits))
        {
            problems.push(
                Problem::new(format!("{at}/{field}"), ProblemKind::Invalid, format!("{} is no name", shown(name)))
                    .hint("letters, digits and - _ ."),
            );
        }
    }
}

fn is_word(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1_024 && !text.chars().any(char::is_control)
}

/// Headers of the connection, the body or the host, and those that a destination signs or reads otherwise.
const FRAMING: [&str; 14] = [
    "host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "content-length", "content-type",
    "upgrade", "expect", "cookie", "forwarded", "x-amz-date", "x-request-id",
];
