//! Keys that tokens can be verified with: sound, public, and each for its own kind of algorithm.
//!
//! Must never know where a key comes from, or show what is in one.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::document::{Algorithm, Jwk};
use crate::problem::{Problem, ProblemKind, shown};
use crate::secrets::{REFERENCE, Reference};

/// Checks the keys of an issuer that accepts `algorithms`; none listed means what the keys say.
pub(super) fn check(problems: &mut Vec<Problem>, at: &str, keys: &[Jwk], algorithms: &[Algorithm]) {
    for (index, key) in keys.iter().enumerate() {
        let at = format!("{at}/jwks/keys/{index}");
        problems.extend(key_problems(key).into_iter().map(|problem| problem.under(&at)));
        if let Some(kid) = &key.kid
            && keys[..index].iter().any(|earlier| earlier.kid.as_ref() == Some(kid) && earlier.kty == key.kty)
        {
            problems.push(
                Problem::new(format!("{at}/kid"), ProblemKind::Duplicate, format!("{} is listed twice", shown(kid)))
                    .hint("a token that names it could mean either key"),
            );
        }
    }
    for (index, algorithm) in algorithms.iter().enumerate() {
        if !keys.is_empty() && !keys.iter().any(|key| algorithms_of(key).contains(algorithm)) {
            problems.push(
                Problem::new(
                    format!("{at}/algorithms/{index}"),
                    ProblemKind::Contradiction,
                    format!("no key can be used for {algorithm}"),
                )
                .hint("take it out, or add its key"),
            );
        }
    }
}

/// What is wrong with one key, with places inside it. Keys that were fetched are held against it too: one
/// that is not sound is left out there, so that it costs no other.
pub fn key_problems(key: &Jwk) -> Vec<Problem> {
    let mut problems = Vec::new();
    if key.d.is_some() {
        problems.push(
            Problem::new("/d", ProblemKind::Invalid, "is a private key")
                .hint("publish the public half alone, and replace this key: it is no longer secret"),
        );
    }
    if key.usage.as_deref().is_some_and(|usage| usage != "sig") {
        problems.push(Problem::new("/use", ProblemKind::Invalid, "is not for signatures").hint("write sig"));
    }
    match key.kty.as_str() {
        "RSA" => check_rsa(&mut problems, key),
        "EC" => check_elliptic(&mut problems, key),
        "OKP" => check_edwards(&mut problems, key),
        "oct" => check_shared(&mut problems, key),
        other => {
            let message = format!("{} is no known type of key", shown(other));
            problems.push(Problem::new("/kty", ProblemKind::Unsupported, message).hint("RSA, EC, OKP or oct"));
            return problems;
        }
    }
    let possible = of_kind(key);
    if key.alg.is_some_and(|alg| !possible.is_empty() && !possible.contains(&alg)) {
        problems.push(
            Problem::new("/alg", ProblemKind::Contradiction, format!("is no algorithm for a key of type {}", key.kty))
                .hint("a key is only ever used for its own kind of algorithm"),
        );
    }
    problems
}

/// The algorithms that a key can be used for: those of its type and curve, or the one that it names. A shared
/// key is used for none whose hash is longer than the key (RFC 7518 §3.2).
pub fn algorithms_of(key: &Jwk) -> Vec<Algorithm> {
    let length = shared_length(key);
    let mut algorithms = of_kind(key).to_vec();
    algorithms.retain(|alg| key.alg.is_none_or(|only| only == *alg));
    algorithms.retain(|alg| length.is_none_or(|length| length >= hash_length(*alg)));
    algorithms
}

fn of_kind(key: &Jwk) -> &'static [Algorithm] {
    use Algorithm::{ES256, ES384, EdDSA, HS256, HS384, HS512, PS256, PS384, PS512, RS256, RS384, RS512};
    match (key.kty.as_str(), key.crv.as_deref()) {
        ("RSA", _) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        ("EC", Some("P-256")) => &[ES256],
        ("EC", Some("P-384")) => &[ES384],
        ("OKP", Some("Ed25519")) => &[EdDSA],
        ("oct", _) => &[HS256, HS384, HS512],
        _ => &[],
    }
}

fn hash_length(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS256 => 32,
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 0,
    }
}

/// The length of a shared key, when it stands there and not in the file of secrets.
fn shared_length(key: &Jwk) -> Option<usize> {
    let elsewhere = |text: &str| text.starts_with(REFERENCE) || Reference::read(text).is_some();
    let text = key.k.as_deref().filter(|text| key.kty == "oct" && !elsewhere(text))?;
    decode(text).map(|bytes| bytes.len())
}

fn check_rsa(problems: &mut Vec<Problem>, key: &Jwk) {
    if let Some(modulus) = number(problems, key, "n", key.n.as_deref()) {
        let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
        if !(2_048..=8_192).contains(&bits) {
            problems.push(
                Problem::new("/n", ProblemKind::Limit, format!("has {bits} bits, and 2048 to 8192 are taken"))
                    .hint("shorter keys can be broken, longer ones cost more than they protect"),
            );
        } else if modulus.last().is_some_and(|byte| byte % 2 == 0) {
            problems.push(Problem::new("/n", ProblemKind::Invalid, "is no modulus of a key"));
        }
    }
    if let Some(exponent) = number(problems, key, "e", key.e.as_deref()) {
        let odd = exponent.last().is_some_and(|byte| byte % 2 == 1);
        // An exponent of 1 verifies anything; a long one is a way to burn CPU.
        if !odd || exponent == [1] || exponent.len() > 4 {
            problems
                .push(Problem::new("/e", ProblemKind::Invalid, "is no sound exponent").hint("AQAB is the usual one"));
        }
    }
}

fn check_elliptic(problems: &mut Vec<Problem>, key: &Jwk) {
    let length = match key.crv.as_deref() {
        Some("P-256") => 32,
        Some("P-384") => 48,
        other => return unknown_curve(problems, other, "P-256 or P-384"),
    };
    coordinate(problems, key, "x", key.x.as_deref(), length);
    coordinate(problems, key, "y", key.y.as_deref(), length);
}

fn check_edwards(problems: &mut Vec<Problem>, key: &Jwk) {
    match key.crv.as_deref() {
        Some("Ed25519") => coordinate(problems, key, "x", key.x.as_deref(), 32),
        other => unknown_curve(problems, other, "Ed25519"),
    }
}

fn unknown_curve(problems: &mut Vec<Problem>, found: Option<&str>, known: &str) {
    problems.push(match found {
        Some(found) => {
            let message = format!("{} is no curve that is taken", shown(found));
            Problem::new("/crv", ProblemKind::Unsupported, message).hint(known)
        }
        None => Problem::new("", ProblemKind::Missing, "the field \"crv\" is missing").hint(known),
    });
}

fn check_shared(problems: &mut Vec<Problem>, key: &Jwk) {
    // In the merged file a name stands in its place.
    if key.k.as_deref().is_some_and(|text| text.strip_prefix(REFERENCE).is_some_and(|name| !name.is_empty())) {
        return;
    }
    match key.k.as_deref().and_then(Reference::read) {
        Some(Ok(_)) => return,
        Some(Err(problem)) => return problems.push(problem.under("/k")),
        None => {}
    }
    if let Some(hint) = key.k.as_deref().and_then(Reference::hint_for) {
        let message = "is neither base64url nor a reference";
        return problems.push(Problem::new("/k", ProblemKind::Invalid, message).hint(hint));
    }
    let Some(bytes) = member(problems, key, "k", key.k.as_deref()) else { return };
    let least = key.alg.map_or(32, hash_length);
    if bytes.len() < least {
        let message = format!("has {} bytes, fewer than the {least} of its hash", bytes.len());
        problems.push(
            Problem::new("/k", ProblemKind::Limit, message)
                .hint("a shorter key can be guessed from any token; 64 random bytes in base64url serve every HS*"),
        );
    }
}

fn coordinate(problems: &mut Vec<Problem>, key: &Jwk, field: &str, text: Option<&str>, length: usize) {
    let Some(bytes) = member(problems, key, field, text) else { return };
    if bytes.len() != length {
        let message = format!("has {} bytes, and the curve's coordinates have {length}", bytes.len());
        problems.push(Problem::new(format!("/{field}"), ProblemKind::Invalid, message));
    }
}

/// A member without the zero byte that some issuers write in front.
fn number(problems: &mut Vec<Problem>, key: &Jwk, field: &str, text: Option<&str>) -> Option<Vec<u8>> {
    let bytes = member(problems, key, field, text)?;
    let from = bytes.iter().position(|byte| *byte != 0).unwrap_or(bytes.len());
    Some(bytes[from..].to_vec())
}

fn member(problems: &mut Vec<Problem>, key: &Jwk, field: &str, text: Option<&str>) -> Option<Vec<u8>> {
    let Some(text) = text.filter(|text| !text.is_empty()) else {
        let message = format!("the field \"{field}\" of a key of type {} is missing", key.kty);
        problems.push(Problem::new("", ProblemKind::Missing, message));
        return None;
    };
    let bytes = decode(text);
    if bytes.is_none() {
        problems.push(
            Problem::new(format!("/{field}"), ProblemKind::Invalid, "is not base64url")
                .hint("letters, digits, - and _; not + and /"),
        );
    }
    bytes
}

/// RFC 7515 §2 leaves the padding out; people write it all the same.
fn decode(text: &str) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).ok()
}
