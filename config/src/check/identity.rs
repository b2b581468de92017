//! Issuers and realms that can work. Keys are in `keys`, hashes in `hashes`.

use crate::document::{AnyOf, Authenticator, BasicRealm, Identity, JwtIssuer, LockoutPolicy};
use crate::limits;
use crate::problem::{Problem, ProblemKind, shown};

use super::lists::{bounded, unique, unknown_name};
use super::{api_keys, external, hashes, keys, mtls, revoked, rights, tokens};

pub(super) fn check(problems: &mut Vec<Problem>, identity: &Identity) {
    bounded(problems, "/identity/jwt", identity.jwt.len(), limits::ISSUERS);
    bounded(problems, "/identity/basic", identity.basic.len(), limits::ISSUERS);
    unique(problems, identity.jwt.iter().map(|one| &one.name), |index| format!("/identity/jwt/{index}/name"));
    unique(problems, identity.basic.iter().map(|one| &one.name), |index| format!("/identity/basic/{index}/name"));
    for (index, issuer) in identity.jwt.iter().enumerate() {
        check_issuer(problems, &format!("/identity/jwt/{index}"), issuer);
    }
    revoked::check(problems, identity);
    for (index, realm) in identity.basic.iter().enumerate() {
        check_realm(problems, &format!("/identity/basic/{index}"), realm);
    }
    api_keys::check(problems, identity);
    mtls::check(problems, identity);
}

/// Whether every way that is named exists.
pub(super) fn check_any_of(problems: &mut Vec<Problem>, at: &str, any_of: &AnyOf, identity: &Identity) {
    if any_of.any_of.is_empty() {
        problems.push(
            Problem::new(format!("{at}/any_of"), ProblemKind::Missing, "is empty, so nobody could pass")
                .hint("name a way, or write [none]"),
        );
    }
    if any_of.signed_for.is_some() && !any_of.any_of.contains(&Authenticator::Iam) {
        problems.push(
            Problem::new(format!("{at}/signed_for"), ProblemKind::Contradiction, "is for iam, which is none of any_of")
                .hint("take it out"),
        );
    }
    unique(problems, any_of.any_of.iter(), |index| format!("{at}/any_of/{index}"));
    external::check_beside(problems, at, any_of, identity);
    for (index, way) in any_of.any_of.iter().enumerate() {
        let at = format!("{at}/any_of/{index}");
        match way {
            Authenticator::Jwt(name) if identity.jwt.iter().all(|one| one.name != *name) => {
                let known = identity.jwt.iter().map(|one| one.name.as_str());
                problems.push(unknown_name(at, "jwt issuer", name.as_str(), known));
            }
            Authenticator::Basic(name) if identity.basic.iter().all(|one| one.name != *name) => {
                let known = identity.basic.iter().map(|one| one.name.as_str());
                problems.push(unknown_name(at, "basic realm", name.as_str(), known));
            }
            Authenticator::ApiKey(name) if identity.api_key.iter().all(|one| one.name != *name) => {
                let known = identity.api_key.iter().map(|one| one.name.as_str());
                problems.push(unknown_name(at, "api_key realm", name.as_str(), known));
            }
            Authenticator::Mtls(name) if identity.mtls.iter().all(|one| one.name != *name) => {
                let known = identity.mtls.iter().map(|one| one.name.as_str());
                problems.push(unknown_name(at, "mtls realm", name.as_str(), known));
            }
            Authenticator::External(name) if identity.external.iter().all(|one| one.name != *name) => {
                let known = identity.external.iter().map(|one| one.name.as_str());
                problems.push(unknown_name(at, "external authorizer", name.as_str(), known));
            }
            Authenticator::Jwt(_)
            | Authenticator::Basic(_)
            | Authenticator::ApiKey(_)
            | Authenticator::Mtls(_)
            | Authenticator::External(_) => {}
            Authenticator::Iam | Authenticator::None => {}
        }
    }
}

fn check_issuer(problems: &mut Vec<Problem>, at: &str, issuer: &JwtIssuer) {
    if issuer.issuer.is_empty() {
        problems.push(Problem::new(format!("{at}/issuer"), ProblemKind::Missing, "is empty"));
    }
    if issuer.audiences.is_empty() || issuer.audiences.iter().any(String::is_empty) {
        problems.push(
            Problem::new(format!("{at}/audiences"), ProblemKind::Missing, "names no audience")
                .hint("without one, a token made for any other service of this issuer would pass"),
        );
    }
    if issuer.leeway.duration().as_secs() > 600 {
        problems.push(Problem::new(format!("{at}/leeway"), ProblemKind::Limit, "is longer than ten minutes"));
    }
    if issuer.roles_claim.as_deref().is_some_and(|path| !rights::is_claim_path(path)) {
        problems.push(
            Problem::new(format!("{at}/roles_claim"), ProblemKind::Invalid, "names no claim")
                .hint("e.g. roles, or realm_access.roles"),
        );
    }
    let sources = [issuer.jwks.is_some(), issuer.jwks_url.is_some(), issuer.discovery_url.is_some()];
    match sources.iter().filter(|given| **given).count() {
        1 => {}
        0 => problems
            .push(Problem::new(at, ProblemKind::Missing, "has no keys").hint("give jwks, jwks_url or discovery_url")),
        _ => problems.push(
            Problem::new(at, ProblemKind::Contradiction, "has more than one source of keys")
                .hint("give one of jwks, jwks_url and discovery_url"),
        ),
    }
    for (field, url) in [("jwks_url", &issuer.jwks_url), ("discovery_url", &issuer.discovery_url)] {
        if url.as_ref().is_some_and(|url| !can_be_fetched(url)) {
            problems.push(
                Problem::new(format!("{at}/{field}"), ProblemKind::Invalid, "is not an https URL")
                    .hint("whoever can change keys on the way can make tokens"),
            );
        }
    }
    tokens::check(problems, at, issuer);
    unique(problems, issuer.algorithms.iter(), |index| format!("{at}/algorithms/{index}"));
    if let Some(set) = &issuer.jwks {
        keys::check(problems, at, &set.keys, &issuer.algorithms);
    }
}

/// An https URL without user and fragment; http to this machine alone, which the syncer takes only when told to.
pub fn can_be_fetched(url: &str) -> bool {
    let plain = ["http://localhost", "http://127.0.0.1", "http://[::1]"];
    let rest = url
        .strip_prefix("https://")
        .or_else(|| plain.iter().find_map(|start| url.strip_prefix(start).filter(|rest| rest.starts_with([':', '/']))));
    let fits = |rest: &str| !rest.starts_with('/') && rest.bytes().all(|byte| (0x21..0x7f).contains(&byte));
    rest.is_some()
        && url.len() <= 2_048
        && url.split_once("://").is_some_and(|(_, rest)| fits(rest))
        && !url.contains(['@', '#'])
}

fn check_realm(problems: &mut Vec<Problem>, at: &str, realm: &BasicRealm) {
    bounded(problems, &format!("{at}/users"), realm.users.len(), limits::USERS);
    unique(problems, realm.users.iter().map(|user| &user.name), |index| format!("{at}/users/{index}/name"));
    check_lockout(problems, &format!("{at}/lockout"), &realm.lockout);
    for (index, user) in realm.users.iter().enumerate() {
        let at = format!("{at}/users/{index}");
        if user.name.is_empty() || user.name.contains(':') || user.name.chars().any(char::is_control) {
            problems.push(
                Problem::new(
                    format!("{at}/name"),
                    ProblemKind::Invalid,
                    format!("{} is no user name", shown(&user.name)),
                )
                .hint("RFC 7617 leaves no room for a colon in it"),
            );
        }
        if let Err(fault) = hashes::check(&user.hash) {
            problems.push(
                Problem::new(format!("{at}/hash"), ProblemKind::Invalid, fault)
                    .hint("make one with: argon2 SALT -id -e, htpasswd -nbB USER PASSWORD, or openssl passwd -6"),
            );
        }
        for (place, role) in user.roles.iter().enumerate() {
            if role.is_empty() || role.chars().any(char::is_control) {
                problems.push(Problem::new(
                    format!("{at}/roles/{place}"),
                    ProblemKind::Invalid,
                    format!("{} is no role", shown(role)),
                ));
            }
        }
        for (place, scope) in user.scopes.iter().enumerate() {
            if scope.is_empty() || scope.contains(|c: char| c.is_whitespace() || c.is_control()) {
                problems.push(Problem::new(
                    format!("{at}/scopes/{place}"),
                    ProblemKind::Invalid,
                    format!("{} is no scope", shown(scope)),
                ));
            }
        }
    }
}

fn check_lockout(problems: &mut Vec<Problem>, at: &str, policy: &LockoutPolicy) {
    let LockoutPolicy { failures, within, lasts, mode: _ } = policy;
    if failures.is_some_and(|failures| !(1..=limits::LOCKOUT_FAILURES).contains(&failures)) {
        problems.push(
            Problem::new(format!("{at}/failures"), ProblemKind::Limit, "is not between 1 and 1000000")
                .hint("10 when left out"),
        );
    }
    for (field, period) in [("within", within), ("for", lasts)] {
        if period.is_some_and(|period| !(1..=limits::TIMEOUT_SECONDS).contains(&period.duration().as_secs())) {
            problems.push(
                Problem::new(
                    format!("{at}/{field}"),
                    ProblemKind::Limit,
                    "is shorter than a second or longer than a day",
                )
                .hint("5m when left out"),
            );
        }
    }
}
