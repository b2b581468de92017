//! A token's form, before any key is looked at: three parts, one reading, nothing that would have to be
//! understood and is not.
//!
//! The library behind does the signature maths; how its own decoder reads headers and claims (both leniently,
//! the latter against the system's clock) is not used.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use postern_config::document::Algorithm;
use serde_json::{Map, Value};

use super::{Flaw, json};

/// A token that is well-formed, of which nothing is proved yet.
pub(super) struct Token<'r> {
    /// What the signature is over: header, dot, payload.
    pub(super) signed: &'r str,
    /// Base64url, not yet decoded.
    pub(super) signature: &'r str,
    /// What the header says; a key must agree.
    pub(super) algorithm: Algorithm,
    /// What it says that it is; the issuer must agree.
    pub(super) typ: Option<String>,
    /// The key that is asked for.
    pub(super) kid: Option<String>,
    /// The payload.
    pub(super) claims: Map<String, Value>,
}

impl<'r> Token<'r> {
    /// Reads a compact serialization (RFC 7515 §7.1).
    pub(super) fn parse(text: &'r str) -> Result<Self, Flaw> {
        // Five parts are an encrypted token (RFC 7516 §7.1), an empty last one is an unsecured one.
        let mut parts = text.split('.');
        let (Some(header), Some(payload), Some(signature), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(Flaw::TokenParts);
        };
        if header.is_empty() || payload.is_empty() || signature.is_empty() {
            return Err(Flaw::TokenParts);
        }
        let signed = &text[..header.len() + 1 + payload.len()];
        let Header { algorithm, typ, kid } = read_header(&part(header)?)?;
        let claims = part(payload)?;
        Ok(Self { signed, signature, algorithm, typ, kid, claims })
    }

    /// What it says of its issuer. Chooses whose keys verify it, and proves nothing.
    pub(super) fn issuer(&self) -> Option<&str> {
        self.claims.get("iss")?.as_str()
    }
}

/// Canonical base64url without padding (RFC 7515 §2), so that one token has one spelling.
fn part(text: &str) -> Result<Map<String, Value>, Flaw> {
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| Flaw::TokenEncoding)?;
    json::object(&bytes).ok_or(Flaw::TokenJson)
}

struct Header {
    algorithm: Algorithm,
    typ: Option<String>,
    kid: Option<String>,
}

/// `jku`, `x5u`, `jwk` and `x5c` name or bring a key of the sender's choice: they are not looked at.
fn read_header(header: &Map<String, Value>) -> Result<Header, Flaw> {
    if header.contains_key("crit") {
        // RFC 7515 §4.1.11: refuse what is not understood, and we understand no extension.
        return Err(Flaw::Critical);
    }
    if header.get("b64").is_some_and(|value| *value != Value::Bool(true)) {
        // RFC 7797: the payload would be signed unencoded.
        return Err(Flaw::Critical);
    }
    if header.contains_key("enc") || header.contains_key("zip") || !has_plain_content(header.get("cty")) {
        return Err(Flaw::NestedToken);
    }
    let typ = match header.get("typ") {
        None => None,
        Some(Value::String(typ)) => Some(typ.clone()),
        Some(_) => return Err(Flaw::TokenType),
    };
    let kid = match header.get("kid") {
        None => None,
        Some(Value::String(kid)) => Some(kid.clone()),
        Some(_) => return Err(Flaw::KeyIdType),
    };
    let algorithm = header.get("alg").and_then(Value::as_str).and_then(algorithm).ok_or(Flaw::Algorithm)?;
    Ok(Header { algorithm, typ, kid })
}

/// RFC 7519 §5.2: a content type of JWT is a token within the token.
fn has_plain_content(cty: Option<&Value>) -> bool {
    match cty {
        None => true,
        Some(Value::String(text)) => !without_application(text).to_ascii_lowercase().contains("jwt"),
        Some(_) => false,
    }
}

/// A media type as RFC 7515 §4.1.9 lets it be written.
pub(super) fn without_application(media_type: &str) -> &str {
    const PREFIX: &str = "application/";
    match media_type.get(..PREFIX.len()) {
        Some(start) if start.eq_ignore_ascii_case(PREFIX) => &media_type[PREFIX.len()..],
        _ => media_type,
    }
}

/// To the letter (RFC 7515 §4.1.1): `none` is not among them in any spelling.
fn algorithm(name: &str) -> Option<Algorithm> {
    Some(match name {
        "RS256" => Algorithm::RS256,
        "RS384" => Algorithm::RS384,
        "RS512" => Algorithm::RS512,
        "PS256" => Algorithm::PS256,
        "PS384" => Algorithm::PS384,
        "PS512" => Algorithm::PS512,
        "ES256" => Algorithm::ES256,
        "ES384" => Algorithm::ES384,
        "EdDSA" => Algorithm::EdDSA,
        "HS256" => Algorithm::HS256,
        "HS384" => Algorithm::HS384,
        "HS512" => Algorithm::HS512,
        _ => return None,
    })
}
