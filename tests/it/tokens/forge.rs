//! Keys of every kind, with their private halves, and tokens of any shape.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use postern_tests::seconds_from_now;
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_supported_type;
use rustls::pki_types::PrivateKeyDer;
use rustls::sign::SigningKey;
use serde_json::{Map, Value, json};
use sha2::{Sha256, Sha384, Sha512};

pub(super) const ISSUER: &str = "https://login.example.com/";
/// Clocks may differ by that much, as the boundary says.
pub(super) const LEEWAY: i64 = 60;

/// A key pair.
pub(super) struct Pair {
    pub(super) pair: KeyPair,
    private: Arc<dyn SigningKey>,
}

impl Pair {
    fn new(pair: KeyPair) -> Self {
        let der = PrivateKeyDer::try_from(pair.serialize_der()).unwrap();
        Self { private: any_supported_type(&der).unwrap(), pair }
    }

    pub(super) fn rsa(size: RsaKeySize) -> Self {
        Self::new(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, size).unwrap())
    }

    pub(super) fn p256() -> Self {
        Self::new(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap())
    }

    fn p384() -> Self {
        Self::new(KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap())
    }

    fn ed() -> Self {
        Self::new(KeyPair::generate_for(&PKCS_ED25519).unwrap())
    }

    /// The signature as JWS has it: ECDSA's as two numbers of fixed length (RFC 7518 §3.4).
    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let der = self.sign_der(algorithm, message);
        match algorithm {
            "ES256" => fixed(&der, 32),
            "ES384" => fixed(&der, 48),
            _ => der,
        }
    }

    /// The signature as certificates have it.
    pub(super) fn sign_der(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        let scheme = match algorithm {
            "RS256" => SignatureScheme::RSA_PKCS1_SHA256,
            "RS384" => SignatureScheme::RSA_PKCS1_SHA384,
            "RS512" => SignatureScheme::RSA_PKCS1_SHA512,
            "PS256" => SignatureScheme::RSA_PSS_SHA256,
            "PS384" => SignatureScheme::RSA_PSS_SHA384,
            "PS512" => SignatureScheme::RSA_PSS_SHA512,
            "ES256" => SignatureScheme::ECDSA_NISTP256_SHA256,
            "ES384" => SignatureScheme::ECDSA_NISTP384_SHA384,
            "EdDSA" => SignatureScheme::ED25519,
            other => panic!("{other}"),
        };
        self.private.choose_scheme(&[scheme]).unwrap().sign(message).unwrap()
    }

    /// The public half as a JWK.
    pub(super) fn jwk(&self, kid: &str) -> Value {
        let raw = self.pair.public_key_raw();
        match (raw.first(), raw.len()) {
            (_, 32) => json!({"kty": "OKP", "crv": "Ed25519", "x": encode(raw), "kid": kid}),
            (Some(4), 65) => {
                json!({"kty": "EC", "crv": "P-256", "x": encode(&raw[1..33]), "y": encode(&raw[33..]), "kid": kid})
            }
            (Some(4), 97) => {
                json!({"kty": "EC", "crv": "P-384", "x": encode(&raw[1..49]), "y": encode(&raw[49..]), "kid": kid})
            }
            // RSAPublicKey of 2048 bits: two heads of four bytes, a zero, the modulus, a head of two, the exponent.
            _ => json!({"kty": "RSA", "n": encode(&raw[9..265]), "e": encode(&raw[267..]), "kid": kid}),
        }
    }
}

/// Keys of the issuer, and of strangers.
pub(super) struct Forge {
    pub(super) rsa: Pair,
    pub(super) only_rs256: Pair,
    pub(super) p256: Pair,
    pub(super) p384: Pair,
    pub(super) ed: Pair,
    pub(super) secret: Vec<u8>,
    pub(super) strange_rsa: Pair,
    pub(super) strange_p256: Pair,
    pub(super) strange_ed: Pair,
}

/// Every algorithm, with the name of the key that it is for.
pub(super) const ALGORITHMS: [(&str, &str); 12] = [
    ("RS256", "rsa"),
    ("RS384", "rsa"),
    ("RS512", "rsa"),
    ("PS256", "rsa"),
    ("PS384", "rsa"),
    ("PS512", "rsa"),
    ("ES256", "p256"),
    ("ES384", "p384"),
    ("EdDSA", "ed"),
    ("HS256", "hs"),
    ("HS384", "hs"),
    ("HS512", "hs"),
];

impl Forge {
    pub(super) fn new() -> Self {
        Self {
            rsa: Pair::rsa(RsaKeySize::_2048),
            only_rs256: Pair::rsa(RsaKeySize::_2048),
            p256: Pair::p256(),
            p384: Pair::p384(),
            ed: Pair::ed(),
            secret: (0..64).map(|byte| byte * 3 + 1).collect(),
            strange_rsa: Pair::rsa(RsaKeySize::_2048),
            strange_p256: Pair::p256(),
            strange_ed: Pair::ed(),
        }
    }

    /// The issuer as it stands in a boundary.
    pub(super) fn identity(&self) -> String {
        let mut only = self.only_rs256.jwk("only-rs256");
        only["alg"] = "RS256".into();
        let keys = json!([
            self.rsa.jwk("rsa"), only, self.p256.jwk("p256"), self.p384.jwk("p384"), self.ed.jwk("ed"),
            {"kty": "oct", "k": "secret:hs", "kid": "hs"},
        ]);
        format!(
            "identity: {{jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api, api-2], leeway: {LEEWAY}s, jwks: {}}}]}}",
            json!({"keys": keys})
        )
    }

    /// The file beside the merged one.
    pub(super) fn secrets(&self) -> String {
        json!({"hs": encode(&self.secret)}).to_string()
    }

    /// The signature that the issuer would make.
    pub(super) fn sign(&self, algorithm: &str, message: &[u8]) -> Vec<u8> {
        match algorithm {
            "ES256" => self.p256.sign(algorithm, message),
            "ES384" => self.p384.sign(algorithm, message),
            "EdDSA" => self.ed.sign(algorithm, message),
            "HS256" | "HS384" | "HS512" => mac(algorithm, &self.secret, message),
            _ => self.rsa.sign(algorithm, message),
        }
    }

    /// A token of these texts, signed by the issuer with that algorithm's key.
    pub(super) fn of_texts(&self, algorithm: &str, header: &str, claims: &str) -> String {
        signed(header, claims, |message| self.sign(algorithm, message))
    }

    /// A sound header and these claims, by the P-256 key.
    pub(super) fn with_claims(&self, claims: &str) -> String {
        self.of_texts("ES256", HEADER, claims)
    }

    /// This header and sound claims, by the P-256 key.
    pub(super) fn with_header(&self, header: &str) -> String {
        self.of_texts("ES256", header, &claims().to_string())
    }

    /// A sound token.
    pub(super) fn sound(&self, algorithm: &str) -> String {
        let kid = ALGORITHMS.iter().find(|(name, _)| *name == algorithm).unwrap().1;
        let header = json!({"alg": algorithm, "kid": kid, "typ": "JWT"}).to_string();
        self.of_texts(algorithm, &header, &claims().to_string())
    }
}

/// A sound header for the P-256 key.
pub(super) const HEADER: &str = r#"{"alg":"ES256","kid":"p256","typ":"JWT"}"#;

/// Sound claims.
pub(super) fn claims() -> Value {
    json!({"iss": ISSUER, "aud": "api", "sub": "carol", "iat": seconds_from_now(-5), "exp": seconds_from_now(3_600)})
}

/// Sound claims, with these instead or besides.
pub(super) fn claims_with(members: &Value) -> String {
    let mut all = claims();
    let members: Map<String, Value> = members.as_object().unwrap().clone();
    all.as_object_mut().unwrap().extend(members);
    all.to_string()
}

/// Sound claims without one.
pub(super) fn claims_without(member: &str) -> String {
    let mut all = claims();
    all.as_object_mut().unwrap().remove(member);
    all.to_string()
}

/// Sound claims in which one is this text, whatever JSON makes of it.
pub(super) fn claims_saying(member: &str, text: &str) -> String {
    let without = claims_without(member);
    format!("{},\"{member}\":{text}}}", without.strip_suffix('}').unwrap())
}

/// A token of these texts under whatever signature.
pub(super) fn signed(header: &str, claims: &str, sign: impl FnOnce(&[u8]) -> Vec<u8>) -> String {
    let message = format!("{}.{}", encode(header.as_bytes()), encode(claims.as_bytes()));
    let signature = sign(message.as_bytes());
    format!("{message}.{}", encode(&signature))
}

pub(super) fn mac(algorithm: &str, secret: &[u8], message: &[u8]) -> Vec<u8> {
    macro_rules! with {
        ($hash:ty) => {{
            let mut mac = Hmac::<$hash>::new_from_slice(secret).unwrap();
            mac.update(message);
            mac.finalize().into_bytes().to_vec()
        }};
    }
    match algorithm {
        "HS256" => with!(Sha256),
        "HS384" => with!(Sha384),
        _ => with!(Sha512),
    }
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

pub(super) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

/// The two numbers of a DER sequence, each in so many bytes.
fn fixed(der: &[u8], length: usize) -> Vec<u8> {
    // Short forms are enough for both curves.
    let first = usize::from(der[3]);
    let (r, s) = (&der[4..4 + first], &der[6 + first..]);
    let number = |bytes: &[u8]| {
        let bytes: Vec<u8> = bytes.iter().copied().skip_while(|byte| *byte == 0).collect();
        [vec![0; length - bytes.len()], bytes].concat()
    };
    [number(r), number(s)].concat()
}
