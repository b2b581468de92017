//! Authorizers that can be asked: reached by a destination of the boundary, with identity sources that have one reading and
//! that no other way of the same route reads.

use std::collections::BTreeSet;

use crate::document::{
    AnyOf, ApiKeyRealm, Authenticator, AuthorizerFormat, BoundaryDocument, Destination, ExternalAuthorizer, Identity,
    Target, TokenPlace,
};
use crate::limits;
use crate::problem::{Problem, ProblemKind};
use crate::value::{HeaderName, Period};

use super::lists::{bounded, unique};
use super::{targets, tokens};

pub(super) fn check(problems: &mut Vec<Problem>, document: &BoundaryDocument) {
    let authorizers = &document.identity.external;
    bounded(problems, "/identity/external", authorizers.len(), limits::AUTHORIZERS);
    unique(problems, authorizers.iter().map(|one| &one.name), |index| format!("/identity/external/{index}/name"));
    for (index, authorizer) in authorizers.iter().enumerate() {
        let at = format!("/identity/external/{index}");
        // Who takes all destinations away wants nothing reached, and is not held up by what was asked over them.
        if !document.destinations.is_empty()
            && let Err((field, message)) = reached_by(&document.destinations, authorizer)
        {
            problems.push(
                Problem::new(format!("{at}/{field}"), ProblemKind::NotFound, message)
                    .hint("list it in destinations: what an authorizer is asked over is allowed there, as for routes"),
            );
        }
        check_sources(problems, &at, authorizer);
        check_format(problems, &at, authorizer);
        check_bounds(problems, &at, authorizer);
    }
}

/// The destination over which an authorizer is asked: the first that allows all of it.
///
/// # Errors
/// The field that the nearest one refuses, and why.
pub fn reached_by<'d>(
    destinations: &'d [Destination],
    authorizer: &ExternalAuthorizer,
) -> Result<&'d Destination, (&'static str, String)> {
    let target = Target { url: authorizer.url.clone(), host: authorizer.host.clone(), weight: 1 };
    let mut nearest: Option<(u8, &'static str, String)> = None;
    let host = &target.url.host;
    for destination in destinations.iter().filter(|one| one.hosts.iter().any(|pattern| pattern.matches(host))) {
        match targets::refuses(destination, &[], &target) {
            None => return Ok(destination),
            Some((near, field, message)) => {
                if nearest.as_ref().is_none_or(|(known, ..)| near > *known) {
                    nearest = Some((near, field, message));
                }
            }
        }
    }
    Err(nearest.map_or_else(
        || ("url", format!("no destination of the boundary lists the host {host}")),
        |(_, field, message)| (field, message),
    ))
}

fn check_sources(problems: &mut Vec<Problem>, at: &str, authorizer: &ExternalAuthorizer) {
    let at = format!("{at}/identity_sources");
    let sources = &authorizer.identity_sources;
    bounded(problems, &at, sources.len(), limits::IDENTITY_SOURCES);
    match (authorizer.speaks, sources.as_slice()) {
        (_, []) => problems.push(
            Problem::new(&at, ProblemKind::Missing, "is empty, so one answer would hold for everybody")
                .hint("name what callers prove themselves with, e.g. [{header: authorization}]"),
        ),
        (AuthorizerFormat::Token, [_, _, ..]) => problems.push(
            Problem::new(&at, ProblemKind::Contradiction, "names several, and speaks: token sends one")
                .hint("name one, or write speaks: request"),
        ),
        _ => {}
    }
    let mut seen = BTreeSet::new();
    for (index, source) in sources.iter().enumerate() {
        let at = format!("{at}/{index}");
        if !reads_authorization(source) {
            tokens::check_place(problems, &at, source, "choose the header that callers prove themselves with");
        }
        if !seen.insert(place_of(source)) {
            problems.push(Problem::new(at, ProblemKind::Duplicate, "is listed twice"));
        }
    }
}

fn check_format(problems: &mut Vec<Problem>, at: &str, authorizer: &ExternalAuthorizer) {
    let ExternalAuthorizer { speaks, payload, headers, copy, account, .. } = authorizer;
    let is_plain = *speaks == AuthorizerFormat::Plain;
    for (field, given, of) in [
        ("payload", payload.is_some() && *speaks != AuthorizerFormat::Request, "request"),
        ("headers", !headers.is_empty() && !is_plain, "plain"),
        ("copy", !copy.is_empty() && !is_plain, "plain"),
        ("account", account.is_some() && is_plain, "token and request"),
    ] {
        if given {
            let message = format!("belongs to speaks: {of}");
            problems.push(
                Problem::new(format!("{at}/{field}"), ProblemKind::Contradiction, message)
                    .hint("take it out: it would change nothing"),
            );
        }
    }
    for (field, names) in [("headers", headers), ("copy", copy)] {
        let at = format!("{at}/{field}");
        bounded(problems, &at, names.len(), limits::TOKEN_RULES);
        unique(problems, names.iter(), |index| format!("{at}/{index}"));
    }
    for (index, _) in headers.iter().enumerate().filter(|(_, name)| is_the_router_s(name.as_str())) {
        problems.push(
            Problem::new(format!("{at}/headers/{index}"), ProblemKind::Invalid, "is a header that the router writes")
                .hint("take it out: the authorizer is told of method, host, path and client in x-forwarded-*"),
        );
    }
    if account.as_ref().is_some_and(|one| one.len() != 12 || !one.bytes().all(|byte| byte.is_ascii_digit())) {
        problems.push(
            Problem::new(format!("{at}/account"), ProblemKind::Invalid, "is no account id")
                .hint("12 digits, in quotes"),
        );
    }
}

fn check_bounds(problems: &mut Vec<Problem>, at: &str, authorizer: &ExternalAuthorizer) {
    let beyond = |period: Option<Period>, least: u128, most: u128| {
        period.is_some_and(|period| !(least..=most).contains(&period.duration().as_millis()))
    };
    for (field, beyond, message) in [
        ("ttl", beyond(authorizer.ttl, 0, limits::VERDICT_MILLIS), "is longer than an hour"),
        ("timeout", beyond(authorizer.timeout, 1, limits::AUTHORIZER_MILLIS), "is nothing, or longer than 30 seconds"),
        (
            "max_in_flight",
            authorizer.max_in_flight.is_some_and(|most| !(1..=limits::AUTHORIZER_CALLS).contains(&most)),
            "is not between 1 and 1000",
        ),
    ] {
        if beyond {
            problems.push(Problem::new(format!("{at}/{field}"), ProblemKind::Limit, message));
        }
    }
}

/// Whether an authorizer that is named can be told from the other ways beside it: what two of them read could be either's.
pub(super) fn check_beside(problems: &mut Vec<Problem>, at: &str, any_of: &AnyOf, identity: &Identity) {
    let named = |way: &Authenticator| match way {
        Authenticator::External(name) => identity.external.iter().find(|one| one.name == *name),
        _ => None,
    };
    let mut first = None;
    for (index, way) in any_of.any_of.iter().enumerate() {
        let Some(authorizer) = named(way) else { continue };
        let at = format!("{at}/any_of/{index}");
        if let Some(first) = first.replace(way) {
            problems.push(
                Problem::new(&at, ProblemKind::Contradiction, format!("stands beside {first}"))
                    .hint("name one authorizer: nobody could say which of them is to be asked"),
            );
        }
        let reads = |place: TokenPlace| authorizer.identity_sources.iter().any(|one| place_of(one) == place_of(&place));
        for other in any_of.any_of.iter().filter(|other| place_of_way(other, identity).is_some_and(reads)) {
            problems.push(
                Problem::new(&at, ProblemKind::Contradiction, format!("reads what {other} reads as well"))
                    .hint("give the authorizer other identity sources, or a route of its own"),
            );
        }
    }
}

/// Header, cookie or query parameter.
type Place<'d> = (Option<&'d str>, Option<&'d str>, Option<&'d str>);

fn place_of(source: &TokenPlace) -> Place<'_> {
    (source.header.as_ref().map(HeaderName::as_str), source.cookie.as_deref(), source.query.as_deref())
}

/// Where another way finds its credentials.
fn place_of_way(way: &Authenticator, identity: &Identity) -> Option<TokenPlace> {
    let authorization = || TokenPlace { header: AUTHORIZATION.parse().ok(), ..TokenPlace::default() };
    match way {
        Authenticator::Iam | Authenticator::Basic(_) => Some(authorization()),
        Authenticator::Jwt(name) => {
            let issuer = identity.jwt.iter().find(|one| one.name == *name)?;
            Some(issuer.token.clone().unwrap_or_else(authorization))
        }
        Authenticator::ApiKey(name) => identity.api_key.iter().find(|one| one.name == *name).map(ApiKeyRealm::place),
        // A certificate stands in no request.
        Authenticator::None | Authenticator::Mtls(_) | Authenticator::External(_) => None,
    }
}

fn reads_authorization(source: &TokenPlace) -> bool {
    place_of(source) == (Some(AUTHORIZATION), None, None)
}

const AUTHORIZATION: &str = "authorization";

/// What the router writes itself, of the message and of the request that it is about.
fn is_the_router_s(name: &str) -> bool {
    const NAMES: [&str; 12] = [
        "host", "connection", "keep-alive", "te", "trailer", "transfer-encoding", "content-length", "content-type",
        "upgrade", "expect", "forwarded", "x-request-id",
    ];
    NAMES.contains(&name) || name.starts_with("x-forwarded-") || name.starts_with("proxy-")
}
