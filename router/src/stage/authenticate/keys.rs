//! Public and shared keys of an issuer, parsed once: a key is only ever used for its own kind of algorithm.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use postern_config::check::algorithms_of;
use postern_config::document::{Algorithm, Jwk};
use postern_config::secrets::Secrets;
use zeroize::Zeroizing;

/// A key that can verify.
pub(super) struct Key {
    kid: Option<Box<str>>,
    algorithms: Box<[Algorithm]>,
    decoding: DecodingKey,
}

impl Key {
    /// Makes one from its document. `allowed` are the issuer's algorithms, empty for "what the keys say".
    ///
    /// # Errors
    /// Why it is of no use, in words that show nothing of the key.
    pub(super) fn compile(document: &Jwk, allowed: &[Algorithm], secrets: &Secrets) -> Result<Self, &'static str> {
        if document.usage.as_deref().is_some_and(|usage| usage != "sig") {
            return Err("is not for signatures");
        }
        let mut algorithms = algorithms_of(document);
        algorithms.retain(|algorithm| allowed.is_empty() || allowed.contains(algorithm));
        if algorithms.is_empty() {
            return Err("is for no algorithm that is accepted");
        }
        let decoding = match document.kty.as_str() {
            "RSA" => rsa(document)?,
            "EC" => elliptic(document)?,
            "OKP" => DecodingKey::from_ed_der(&exactly(document.x.as_deref(), 32)?),
            "oct" => shared(document, secrets, &mut algorithms)?,
            _ => return Err("is of an unknown type"),
        };
        Ok(Self { kid: document.kid.as_deref().map(Box::from), algorithms: algorithms.into(), decoding })
    }

    /// The name under which tokens ask for it.
    pub(super) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Whether it may be used for `algorithm`.
    pub(super) fn is_for(&self, algorithm: Algorithm) -> bool {
        self.algorithms.contains(&algorithm)
    }

    /// Whether `signature` is over `message`. The caller has asked [`is_for`](Self::is_for); a key of another
    /// family would be refused here once more.
    pub(super) fn verifies(&self, algorithm: Algorithm, message: &str, signature: &str) -> bool {
        self.is_for(algorithm)
            && jsonwebtoken::crypto::verify(signature, message.as_bytes(), &self.decoding, of_library(algorithm))
                .unwrap_or(false)
    }
}

fn rsa(document: &Jwk) -> Result<DecodingKey, &'static str> {
    let (modulus, exponent) = (member(document.n.as_deref())?, member(document.e.as_deref())?);
    // Some issuers write the sign byte of ASN.1 in front.
    let (modulus, exponent) = (without_zeros(&modulus), without_zeros(&exponent));
    let bits = modulus.len() * 8 - modulus.first().map_or(0, |byte| byte.leading_zeros() as usize);
    if !(RSA_BITS_MIN..=RSA_BITS_MAX).contains(&bits) {
        return Err("has fewer than 2048 or more than 8192 bits");
    }
    // An even modulus or exponent is no key; 1 verifies anything; a long exponent is a way to burn CPU.
    let odd = |number: &[u8]| number.last().is_some_and(|byte| byte % 2 == 1);
    if !odd(modulus) || !odd(exponent) || exponent == [1] || exponent.len() > 4 {
        return Err("is not a sound RSA key");
    }
    Ok(DecodingKey::from_rsa_raw_components(modulus, exponent))
}

fn elliptic(document: &Jwk) -> Result<DecodingKey, &'static str> {
    let length = if document.crv.as_deref() == Some("P-256") { 32 } else { 48 };
    // An uncompressed point, SEC 1 §2.3.3. Whether it lies on the curve is checked with each signature.
    let mut point = vec![0x04];
    point.extend(exactly(document.x.as_deref(), length)?.iter());
    point.extend(exactly(document.y.as_deref(), length)?.iter());
    Ok(DecodingKey::from_ec_der(&point))
}

/// RFC 7518 §3.2: a shared key is at least as long as the hash. A shorter one can be guessed from any token,
/// so algorithms that it is too short for are taken away.
fn shared(document: &Jwk, secrets: &Secrets, algorithms: &mut Vec<Algorithm>) -> Result<DecodingKey, &'static str> {
    let reference = document.k.as_deref().ok_or("has no key in it")?;
    let secret = member(Some(secrets.resolve(reference).ok_or("names a secret that is not there")?))?;
    algorithms.retain(|algorithm| secret.len() >= shortest(*algorithm));
    if algorithms.is_empty() {
        return Err("is shorter than the hash of its algorithm");
    }
    Ok(DecodingKey::from_secret(&secret))
}

fn shortest(algorithm: Algorithm) -> usize {
    match algorithm {
        Algorithm::HS384 => 48,
        Algorithm::HS512 => 64,
        _ => 32,
    }
}

fn exactly(text: Option<&str>, length: usize) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    member(text).and_then(|bytes| if bytes.len() == length { Ok(bytes) } else { Err("has a member of a wrong length") })
}

/// People write keys with padding, too: that is no ambiguity here, only in a token.
fn member(text: Option<&str>) -> Result<Zeroizing<Vec<u8>>, &'static str> {
    let text = text.ok_or("lacks a member")?.trim_end_matches('=');
    URL_SAFE_NO_PAD.decode(text).map(Zeroizing::new).map_err(|_| "has a member that is not base64url")
}

fn without_zeros(number: &[u8]) -> &[u8] {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    &number[zeros..]
}

fn of_library(algorithm: Algorithm) -> jsonwebtoken::Algorithm {
    use jsonwebtoken::Algorithm as Library;
    match algorithm {
        Algorithm::RS256 => Library::RS256,
        Algorithm::RS384 => Library::RS384,
        Algorithm::RS512 => Library::RS512,
        Algorithm::PS256 => Library::PS256,
        Algorithm::PS384 => Library::PS384,
        Algorithm::PS512 => Library::PS512,
        Algorithm::ES256 => Library::ES256,
        Algorithm::ES384 => Library::ES384,
        Algorithm::EdDSA => Library::EdDSA,
        Algorithm::HS256 => Library::HS256,
        Algorithm::HS384 => Library::HS384,
        Algorithm::HS512 => Library::HS512,
    }
}

/// Below, keys are within reach of whoever can pay for it; above, one check costs milliseconds.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;
