//! Issuers, keys, realms and hashes that can work.

use crate::document::{Algorithm, AnyOf, Authenticator, BasicRealm, Identity, Jwk, JwtIssuer};
use crate::problem::{Problem, ProblemKind};

use super::boundary::{unique, unknown_name};

pub(super) fn check(problems: &mut Vec<Problem>, identity: &Identity) {
    unique(problems, identity.jwt.iter().map(|one| &one.name), |index| format!("/identity/jwt/{index}/name"));
    unique(problems, identity.basic.iter().map(|one| &one.name), |index| format!("/identity/basic/{index}/name"));
    for (index, issuer) in identity.jwt.iter().enumerate() {
        check_issuer(problems, &format!("/identity/jwt/{index}"), issuer);
    }
    for (index, realm) in identity.basic.iter().enumerate() {
        check_realm(problems, &format!("/identity/basic/{index}"), realm);
    }
}

/// Whether every way that is named exists.
pub(super) fn check_any_of(problems: &mut Vec<Problem>, at: &str, any_of: &AnyOf, identity: &Identity) {
    if any_of.any_of.is_empty() {
        problems.push(
            Problem::new(format!("{at}/any_of"), ProblemKind::Missing, "is empty, so nobody could pass")
                .hint("name a way, or write [none]"),
        );
    }
    for (index, way) in any_of.any_of.iter().enumerate() {
        let at = format!("{at}/any_of/{index}");
        match way {
            Authenticator::Jwt(name) if identity.jwt.iter().all(|one| one.name != *name) => {
                problems.push(unknown_name(
                    at,
                    "jwt issuer",
                    name.as_str(),
                    identity.jwt.iter().map(|one| one.name.as_str()),
                ));
            }
            Authenticator::Basic(name) if identity.basic.iter().all(|one| one.name != *name) => {
                problems.push(unknown_name(
                    at,
                    "basic realm",
                    name.as_str(),
                    identity.basic.iter().map(|one| one.name.as_str()),
                ));
            }
            _ => {}
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
        if url.as_ref().is_some_and(|url| !url.starts_with("https://")) {
            problems.push(
                Problem::new(format!("{at}/{field}"), ProblemKind::Invalid, "is not an https URL")
                    .hint("whoever can change keys on the way can make tokens"),
            );
        }
    }
    for (index, key) in issuer.jwks.iter().flat_map(|set| &set.keys).enumerate() {
        check_key(problems, &format!("{at}/jwks/keys/{index}"), key);
    }
}

fn check_key(problems: &mut Vec<Problem>, at: &str, key: &Jwk) {
    if key.d.is_some() {
        problems.push(
            Problem::new(format!("{at}/d"), ProblemKind::Invalid, "is a private key")
                .hint("publish the public half alone, and replace this key: it is no longer secret"),
        );
    }
    if key.usage.as_deref().is_some_and(|usage| usage != "sig") {
        problems.push(
            Problem::new(format!("{at}/use"), ProblemKind::Invalid, "is not a key for signatures").hint("write sig"),
        );
    }
    let needed: &[(&str, &Option<String>)] = match key.kty.as_str() {
        "RSA" => &[("n", &key.n), ("e", &key.e)],
        "EC" => &[("crv", &key.crv), ("x", &key.x), ("y", &key.y)],
        "OKP" => &[("crv", &key.crv), ("x", &key.x)],
        "oct" => &[("k", &key.k)],
        _ => {
            problems.push(
                Problem::new(
                    format!("{at}/kty"),
                    ProblemKind::Unsupported,
                    format!("{} is no known type of key", crate::problem::shown(&key.kty)),
                )
                .hint("RSA, EC, OKP or oct"),
            );
            return;
        }
    };
    for (field, value) in needed {
        if value.as_deref().is_none_or(str::is_empty) {
            problems.push(Problem::new(
                at,
                ProblemKind::Missing,
                format!("the field \"{field}\" of a key of type {} is missing", key.kty),
            ));
        }
    }
    if key.alg.is_some_and(|alg| !algorithms_of(key).contains(&alg)) {
        problems.push(
            Problem::new(
                format!("{at}/alg"),
                ProblemKind::Contradiction,
                format!("is no algorithm for a key of type {}", key.kty),
            )
            .hint("a key is only ever used for its own kind of algorithm"),
        );
    }
}

/// The algorithms that a key can be used for: those of its type and curve, or the one that it names.
pub fn algorithms_of(key: &Jwk) -> Vec<Algorithm> {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    let possible: &[Algorithm] = match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        ("EC", Some("P-256")) => &[ES256],
        ("EC", Some("P-384")) => &[ES384],
        ("OKP", Some("Ed25519")) => &[EdDSA],
        ("oct", _) => &[HS256, HS384, HS512],
        _ => &[],
    };
    possible.iter().copied().filter(|alg| key.alg.is_none_or(|only| only == *alg)).collect()
}

fn check_realm(problems: &mut Vec<Problem>, at: &str, realm: &BasicRealm) {
    unique(problems, realm.users.iter().map(|user| &user.name), |index| format!("{at}/users/{index}/name"));
    for (index, user) in realm.users.iter().enumerate() {
        let at = format!("{at}/users/{index}");
        if user.name.is_empty() || user.name.contains(':') || user.name.chars().any(char::is_control) {
            problems.push(
                Problem::new(
                    format!("{at}/name"),
                    ProblemKind::Invalid,
                    format!("{} is no user name", crate::problem::shown(&user.name)),
                )
                .hint("RFC 7617 leaves no room for a colon in it"),
            );
        }
        // The hash itself is never shown: it is half a secret.
        let known = ["$argon2id$", "$2a$", "$2b$", "$2y$"].iter().any(|prefix| user.hash.starts_with(prefix));
        if !known || !user.hash.is_ascii() {
            problems.push(
                Problem::new(format!("{at}/hash"), ProblemKind::Invalid, "is neither an argon2id nor a bcrypt hash")
                    .hint("make one with: htpasswd -nbB USER PASSWORD, or argon2 SALT -id -e"),
            );
        }
    }
}
