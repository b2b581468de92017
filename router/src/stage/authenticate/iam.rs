//! The form of AWS signatures (SigV4 and SigV4A), in a header or in a query.
//!
//! The router cannot verify them, it has no keys: it passes on what is well-formed and refuses what is not,
//! so that a request without any signature never reaches a destination that trusts the router to ask for one.

use super::Flaw;

/// The two algorithms of AWS signatures.
#[derive(Clone, Copy)]
enum Kind {
    /// SigV4: signed for one region.
    Hmac,
    /// SigV4A: signed for a set of regions, so the scope names none.
    Ecdsa,
}

impl Kind {
    fn of(name: &str) -> Option<Self> {
        match name {
            "AWS4-HMAC-SHA256" => Some(Self::Hmac),
            "AWS4-ECDSA-P256-SHA256" => Some(Self::Ecdsa),
            _ => None,
        }
    }
}

/// Whether that is one of our schemes. To the letter, as AWS reads it.
pub(super) fn is_scheme(scheme: &str) -> bool {
    Kind::of(scheme).is_some()
}

/// Whether a query carries a signature, or a part of one. Escaped spellings of the names are none: AWS SDKs
/// never write them, and what is not seen here is refused as missing.
pub(super) fn is_presigned(query: &str) -> bool {
    parameters(query).any(|(name, _)| name == "X-Amz-Signature" || name == "X-Amz-Algorithm")
}

/// `Credential=…, SignedHeaders=…, Signature=…`, each once, in any order.
pub(super) fn check_header(scheme: &str, credentials: &str) -> Result<(), Flaw> {
    let kind = Kind::of(scheme).ok_or(Flaw::SignatureForm)?;
    let mut parts = Parts::default();
    for part in credentials.split(',') {
        let (name, value) = part.trim_start_matches(' ').split_once('=').ok_or(Flaw::SignatureForm)?;
        match name {
            "Credential" => once(&mut parts.credential, value)?,
            "SignedHeaders" => once(&mut parts.signed_headers, value)?,
            "Signature" => once(&mut parts.signature, value)?,
            _ => return Err(Flaw::SignatureForm),
        }
    }
    parts.check(kind, &["/"], &[";"])
}

/// The same as parameters of a presigned URL, where separators may be escaped.
pub(super) fn check_query(query: &str) -> Result<(), Flaw> {
    let mut parts = Parts::default();
    let (mut algorithm, mut date, mut expires) = (None, None, None);
    for (name, value) in parameters(query) {
        match name {
            "X-Amz-Algorithm" => once(&mut algorithm, value)?,
            "X-Amz-Credential" => once(&mut parts.credential, value)?,
            "X-Amz-SignedHeaders" => once(&mut parts.signed_headers, value)?,
            "X-Amz-Signature" => once(&mut parts.signature, value)?,
            "X-Amz-Date" => once(&mut date, value)?,
            "X-Amz-Expires" => once(&mut expires, value)?,
            _ => {}
        }
    }
    let kind = algorithm.and_then(Kind::of).ok_or(Flaw::SignatureForm)?;
    let dated = date.is_some_and(|date| date.len() == 16 && date.bytes().all(|byte| byte.is_ascii_alphanumeric()));
    let bounded = expires.is_none_or(|text| (1..=6).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit()));
    if !dated || !bounded {
        return Err(Flaw::SignatureForm);
    }
    parts.check(kind, &["/", "%2F", "%2f"], &[";", "%3B", "%3b"])
}

#[derive(Default)]
struct Parts<'r> {
    credential: Option<&'r str>,
    signed_headers: Option<&'r str>,
    signature: Option<&'r str>,
}

impl Parts<'_> {
    fn check(&self, kind: Kind, slashes: &[&str], semicolons: &[&str]) -> Result<(), Flaw> {
        let (Some(credential), Some(signed_headers), Some(signature)) =
            (self.credential, self.signed_headers, self.signature)
        else {
            return Err(Flaw::SignatureForm);
        };
        let fine = is_credential(kind, &split(credential, slashes))
            && is_header_list(&split(signed_headers, semicolons))
            && is_signature(kind, signature);
        fine.then_some(()).ok_or(Flaw::SignatureForm)
    }
}

/// `KEY/DATE/REGION/SERVICE/aws4_request`; SigV4A has no region in it.
fn is_credential(kind: Kind, parts: &[&str]) -> bool {
    let (key, date, region, service) = match (kind, parts) {
        (Kind::Hmac, [key, date, region, service, "aws4_request"]) => (*key, *date, Some(*region), *service),
        (Kind::Ecdsa, [key, date, service, "aws4_request"]) => (*key, *date, None, *service),
        _ => return false,
    };
    let word = |text: &str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
    };
    (16..=128).contains(&key.len())
        && key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && date.len() == 8
        && date.bytes().all(|byte| byte.is_ascii_digit())
        && region.is_none_or(word)
        && word(service)
}

/// Lower-case names, `host` among them: AWS refuses a signature that leaves it open.
fn is_header_list(names: &[&str]) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
    names.contains(&"host") && names.iter().all(|name| !name.is_empty() && name.bytes().all(fits))
}

/// 32 bytes in hex, or an ECDSA signature in DER in hex (at most 72 bytes).
fn is_signature(kind: Kind, text: &str) -> bool {
    let length = match kind {
        Kind::Hmac => text.len() == 64,
        Kind::Ecdsa => (16..=144).contains(&text.len()) && text.len().is_multiple_of(2),
    };
    length && text.bytes().all(|byte| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte))
}

fn once<'r>(place: &mut Option<&'r str>, value: &'r str) -> Result<(), Flaw> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(Flaw::SignatureForm),
    }
}

pub(super) fn parameters(query: &str) -> impl Iterator<Item = (&str, &str)> {
    query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")))
}

/// Splits at every one of `separators`, of which no two begin alike.
pub(super) fn split<'r>(text: &'r str, separators: &[&str]) -> Vec<&'r str> {
    let mut parts = Vec::new();
    let mut rest = text;
    let next = |rest: &str| {
        separators.iter().filter_map(|one| rest.find(one).map(|at| (at, one.len()))).min_by_key(|(at, _)| *at)
    };
    while let Some((at, length)) = next(rest) {
        parts.push(&rest[..at]);
        rest = &rest[at + length..];
    }
    parts.push(rest);
    parts
}
