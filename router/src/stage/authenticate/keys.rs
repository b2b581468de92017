//! Public and shared keys of an issuer, parsed once: a key is only ever used for its own kind of algorithm.

use aws_lc_rs::signature::{self, ParsedPublicKey, RsaParameters, RsaPublicKeyComponents, VerificationAlgorithm};
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
    material: Material,
}

/// What signatures are checked with.
enum Material {
    /// Parsed for each algorithm that it is for, in their order. Nothing of it is computed again for a signature, which
    /// for RSA would cost as much as the signature does; jsonwebtoken parses anew each time.
    Public(Box<[ParsedPublicKey]>),
    Shared(DecodingKey),
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
        let material = match document.kty.as_str() {
            "RSA" => rsa(document, &algorithms)?,
            "EC" => on_curve(&elliptic(document)?, &algorithms)?,
            "OKP" => on_curve(&exactly(document.x.as_deref(), 32)?, &algorithms)?,
            "oct" => shared(document, secrets, &mut algorithms)?,
            _ => return Err("is of an unknown type"),
        };
        Ok(Self { kid: document.kid.as_deref().map(Box::from), algorithms: algorithms.into(), material })
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
        let Some(place) = self.algorithms.iter().position(|one| *one == algorithm) else { return false };
        let message = message.as_bytes();
        match &self.material {
            Material::Public(parsed) => parsed.get(place).is_some_and(|key| {
                URL_SAFE_NO_PAD.decode(signature).is_ok_and(|signature| key.verify_sig(message, &signature).is_ok())
            }),
            Material::Shared(secret) => hmac_of(algorithm)
                .is_some_and(|hmac| jsonwebtoken::crypto::verify(signature, message, secret, hmac).unwrap_or(false)),
        }
    }
}

fn rsa(document: &Jwk, algorithms: &[Algorithm]) -> Result<Material, &'static str> {
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
    let key = RsaPublicKeyComponents { n: modulus, e: exponent };
    let parsed = |algorithm: &Algorithm| {
        rsa_scheme(*algorithm).and_then(|scheme| key.to_parsed_public_key(scheme).ok()).ok_or("is not a sound RSA key")
    };
    algorithms.iter().map(parsed).collect::<Result<_, _>>().map(Material::Public)
}

fn elliptic(document: &Jwk) -> Result<Vec<u8>, &'static str> {
    let length = if document.crv.as_deref() == Some("P-256") { 32 } else { 48 };
    // An uncompressed point, SEC 1 §2.3.3.
    let mut point = vec![0x04];
    point.extend(exactly(document.x.as_deref(), length)?.iter());
    point.extend(exactly(document.y.as_deref(), length)?.iter());
    Ok(point)
}

/// Parsing a point tells whether it lies on the curve.
fn on_curve(point: &[u8], algorithms: &[Algorithm]) -> Result<Material, &'static str> {
    let parsed = |algorithm: &Algorithm| {
        curve_scheme(*algorithm)
            .and_then(|scheme| ParsedPublicKey::new(scheme, point).ok())
            .ok_or("is no point of its curve")
    };
    algorithms.iter().map(parsed).collect::<Result<_, _>>().map(Material::Public)
}

/// RFC 7518 §3.2: a shared key is at least as long as the hash. A shorter one can be guessed from any token,
/// so algorithms that it is too short for are taken away.
fn shared(document: &Jwk, secrets: &Secrets, algorithms: &mut Vec<Algorithm>) -> Result<Material, &'static str> {
    let reference = document.k.as_deref().ok_or("has no key in it")?;
    let secret = member(Some(secrets.resolve(reference).ok_or("names a secret that is not there")?))?;
    algorithms.retain(|algorithm| secret.len() >= shortest(*algorithm));
    if algorithms.is_empty() {
        return Err("is shorter than the hash of its algorithm");
    }
    Ok(Material::Shared(DecodingKey::from_secret(&secret)))
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

/// RFC 7518 §3.3 and §3.5.
fn rsa_scheme(algorithm: Algorithm) -> Option<&'static RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &signature::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &signature::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &signature::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &signature::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &signature::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &signature::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

/// RFC 7518 §3.4 and RFC 8037 §3.1.
fn curve_scheme(algorithm: Algorithm) -> Option<&'static dyn VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &signature::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &signature::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &signature::ED25519,
        _ => return None,
    })
}

/// RFC 7518 §3.2.
fn hmac_of(algorithm: Algorithm) -> Option<jsonwebtoken::Algorithm> {
    Some(match algorithm {
        Algorithm::HS256 => jsonwebtoken::Algorithm::HS256,
        Algorithm::HS384 => jsonwebtoken::Algorithm::HS384,
        Algorithm::HS512 => jsonwebtoken::Algorithm::HS512,
        _ => return None,
    })
}

/// Below, keys are within reach of whoever can pay for it; above, one check costs milliseconds.
const RSA_BITS_MIN: usize = 2048;
const RSA_BITS_MAX: usize = 8192;
