//! What passes and what is refused. Keys are made at run time: none lies in the repository.

mod forgeries;
mod realms;
mod requests;
mod tokens;

use std::sync::{Arc, OnceLock};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::HeaderValue;
use jsonwebtoken::{Algorithm as Signing, EncodingKey};
use postern_config::document::{Jwk, JwtIssuer};
use postern_config::secrets::Secrets;
use rcgen::{KeyPair, RsaKeySize, SignatureAlgorithm};
use serde_json::{Value, json};

use super::*;

/// Some day in 2026.
const NOW: i64 = 1_790_000_000;
const ISS: &str = "https://login.example.com/";

/// A key with its private half.
struct Signer {
    private: EncodingKey,
    public: Vec<u8>,
    /// The members of its JWK.
    jwk: Value,
}

/// The keys of all tests, made once.
struct Signers {
    rsa: Signer,
    other_rsa: Signer,
    p256: Signer,
    p384: Signer,
    ed: Signer,
    hs: Signer,
}

fn signers() -> &'static Signers {
    static SIGNERS: OnceLock<Signers> = OnceLock::new();
    SIGNERS.get_or_init(|| Signers {
        rsa: rsa(),
        other_rsa: rsa(),
        p256: elliptic(&rcgen::PKCS_ECDSA_P256_SHA256, "P-256"),
        p384: elliptic(&rcgen::PKCS_ECDSA_P384_SHA384, "P-384"),
        ed: {
            let pair = KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
            let public = pair.public_key_raw().to_vec();
            let jwk = json!({"kty": "OKP", "crv": "Ed25519", "x": b64(&public)});
            Signer { private: EncodingKey::from_ed_der(&pair.serialize_der()), public, jwk }
        },
        hs: {
            let secret = [7; 64];
            let jwk = json!({"kty": "oct", "k": "secret:hs"});
            Signer { private: EncodingKey::from_secret(&secret), public: Vec::new(), jwk }
        },
    })
}

fn rsa() -> Signer {
    let pair = KeyPair::generate_rsa_for(&rcgen::PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let public = pair.public_key_raw().to_vec();
    // RSAPublicKey of 2048 bits: SEQUENCE (4 bytes), INTEGER (4 bytes, a zero, 256 bytes), INTEGER (2 bytes, 3 bytes).
    let (modulus, exponent) = (&public[9..265], &public[267..]);
    let jwk = json!({"kty": "RSA", "n": b64(modulus), "e": b64(exponent)});
    // PKCS #8 puts 26 bytes in front of the PKCS #1 form that the library signs with.
    Signer { private: EncodingKey::from_rsa_der(&pair.serialize_der()[26..]), public, jwk }
}

fn elliptic(algorithm: &'static SignatureAlgorithm, crv: &str) -> Signer {
    let pair = KeyPair::generate_for(algorithm).unwrap();
    let public = pair.public_key_raw().to_vec();
    let (x, y) = public[1..].split_at((public.len() - 1) / 2);
    let jwk = json!({"kty": "EC", "crv": crv, "x": b64(x), "y": b64(y)});
    Signer { private: EncodingKey::from_ec_der(&pair.serialize_der()), public, jwk }
}

impl Signer {
    /// Its public half, under a name when one is given.
    fn key(&self, members: &Value) -> Jwk {
        let mut jwk = self.jwk.clone();
        jwk.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        serde_json::from_value(jwk).unwrap()
    }

    /// A token with exactly this header and payload.
    fn token(&self, algorithm: Signing, header: &str, payload: &str) -> String {
        let signed = format!("{}.{}", b64(header.as_bytes()), b64(payload.as_bytes()));
        let signature = jsonwebtoken::crypto::sign(signed.as_bytes(), &self.private, algorithm).unwrap();
        format!("{signed}.{signature}")
    }
}

fn b64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn secrets() -> Secrets {
    let file = json!({"hs": b64(&[7; 64]), "short": b64(&[7; 31]), "middle": b64(&[7; 48]), "broken": "!"});
    Secrets::from_bytes(file.to_string().as_bytes()).unwrap()
}

fn document(members: &Value, keys: &[Jwk]) -> JwtIssuer {
    let mut document = json!({"name": "corp", "issuer": ISS, "audiences": ["api", "api-2"]});
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let mut document: JwtIssuer = serde_json::from_value(document).unwrap();
    if !keys.is_empty() {
        document.jwks = Some(postern_config::document::Jwks { keys: keys.to_vec() });
    }
    document
}

fn issuer(keys: &[Jwk]) -> Way {
    Way::Jwt(Arc::new(Issuer::compile(&document(&json!({}), keys), &secrets()).unwrap()))
}

/// A token that stands in `Authorization`.
fn header_alone() -> Places<'static> {
    Places::from_slice(&[None])
}

/// One issuer with a named key of every public type.
fn corp() -> &'static [Way] {
    static CORP: OnceLock<Vec<Way>> = OnceLock::new();
    CORP.get_or_init(|| {
        let all = signers();
        vec![issuer(&[
            all.rsa.key(&json!({"kid": "rsa"})),
            all.other_rsa.key(&json!({"kid": "rsa-only-256", "alg": "RS256"})),
            all.p256.key(&json!({"kid": "p256"})),
            all.p384.key(&json!({"kid": "p384"})),
            all.ed.key(&json!({"kid": "ed"})),
        ])]
    })
}

/// Claims that pass, but for the members that are given; `null` takes one away.
fn claims(members: &Value) -> String {
    let mut claims =
        json!({"iss": ISS, "aud": "api", "sub": "u-1", "exp": NOW + 300, "iat": NOW - 5, "scope": "orders:read"});
    let map = claims.as_object_mut().unwrap();
    for (name, value) in members.as_object().unwrap() {
        if value.is_null() {
            map.remove(name);
        } else {
            map.insert(name.clone(), value.clone());
        }
    }
    claims.to_string()
}

/// The text of a token that passes at [`corp`].
fn good() -> String {
    signers().p256.token(Signing::ES256, r#"{"alg":"ES256","kid":"p256"}"#, &claims(&json!({})))
}

fn authorization(value: &str) -> Fields {
    Fields::from_iter([("authorization", value)])
}

/// What a token proves, or what is wrong with it. Tokens that no HTTP header can hold are asked about directly.
fn present(ways: &[Way], token: &str) -> Result<Principal, Flaw> {
    let value = format!("Bearer {token}");
    if HeaderValue::from_str(&value).is_err() {
        return by_token(ways, token, &header_alone(), NOW, &Memory::default());
    }
    match decide(ways, &authorization(&value), None, Certificates::default(), NOW, &Memory::default())? {
        Outcome::Proved(principal) => Ok(principal),
        Outcome::Ask(_) | Outcome::Consult(_) => panic!("a token is judged here"),
    }
}
