//! Credentials: tokens signed with keys of a test's own, and user names with passwords.

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ED25519, PKCS_RSA_SHA256, RsaKeySize, SigningKey as _};
use serde_json::{Value, json};
use sha2::Sha256;

/// What signs tokens, under a key id: the algorithm's name, if it was given no other.
pub struct Signer {
    key: SigningKey,
    kid: Option<String>,
}

enum SigningKey {
    /// HS256.
    Shared(Vec<u8>),
    /// RS256.
    Rsa(KeyPair),
    /// ES256.
    Ec(KeyPair),
    /// EdDSA on Ed25519.
    Ed(KeyPair),
}

impl Signer {
    /// HS256 with this secret.
    pub fn shared(secret: &[u8]) -> Self {
        Self::of(SigningKey::Shared(secret.to_vec()))
    }

    /// RS256 with a new key.
    pub fn rsa() -> Self {
        Self::of(SigningKey::Rsa(KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap()))
    }

    /// ES256 with a new key.
    pub fn ec() -> Self {
        Self::of(SigningKey::Ec(KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap()))
    }

    /// EdDSA with a new key.
    pub fn ed() -> Self {
        Self::of(SigningKey::Ed(KeyPair::generate_for(&PKCS_ED25519).unwrap()))
    }

    fn of(key: SigningKey) -> Self {
        Self { key, kid: None }
    }

    /// The same under a key id of its own.
    #[must_use]
    pub fn called(mut self, kid: &str) -> Self {
        self.kid = Some(kid.to_owned());
        self
    }

    /// The key id.
    pub fn kid(&self) -> &str {
        self.kid.as_deref().unwrap_or_else(|| self.algorithm())
    }

    /// The algorithm.
    pub fn algorithm(&self) -> &'static str {
        match &self.key {
            SigningKey::Shared(_) => "HS256",
            SigningKey::Rsa(_) => "RS256",
            SigningKey::Ec(_) => "ES256",
            SigningKey::Ed(_) => "EdDSA",
        }
    }

    /// The key as an issuer publishes it; a shared one as it stands in a boundary.
    pub fn jwk(&self) -> Value {
        let mut key = match &self.key {
            SigningKey::Shared(secret) => json!({"kty": "oct", "k": base64url(secret)}),
            SigningKey::Rsa(pair) => {
                let [n, e] = integers(pair.public_key_raw());
                json!({"kty": "RSA", "n": base64url(&n), "e": base64url(&e)})
            }
            SigningKey::Ec(pair) => {
                let point = pair.public_key_raw();
                json!({"kty": "EC", "crv": "P-256", "x": base64url(&point[1..33]), "y": base64url(&point[33..])})
            }
            SigningKey::Ed(pair) => json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(pair.public_key_raw())}),
        };
        key["kid"] = self.kid().into();
        key["alg"] = self.algorithm().into();
        key
    }

    /// The same under another key id.
    pub fn jwk_called(&self, kid: &str) -> Value {
        let mut key = self.jwk();
        key["kid"] = kid.into();
        key
    }

    /// The public key's bytes: what an attacker could sign with as if it were a shared secret.
    pub fn public_bytes(&self) -> Vec<u8> {
        match &self.key {
            SigningKey::Shared(secret) => secret.clone(),
            SigningKey::Rsa(pair) | SigningKey::Ec(pair) | SigningKey::Ed(pair) => pair.public_key_pem().into_bytes(),
        }
    }

    /// A token with these claims.
    pub fn token(&self, claims: &Value) -> String {
        self.token_with(&json!({"alg": self.algorithm(), "kid": self.kid(), "typ": "JWT"}), claims)
    }

    /// A token with that header, whatever it says.
    pub fn token_with(&self, header: &Value, claims: &Value) -> String {
        self.token_of(&header.to_string(), &claims.to_string())
    }

    /// A token of these texts.
    pub fn token_of(&self, header: &str, claims: &str) -> String {
        let signed = format!("{}.{}", base64url(header.as_bytes()), base64url(claims.as_bytes()));
        let signature = match &self.key {
            SigningKey::Shared(secret) => {
                let mut mac = Hmac::<Sha256>::new_from_slice(secret).unwrap();
                mac.update(signed.as_bytes());
                mac.finalize().into_bytes().to_vec()
            }
            SigningKey::Rsa(pair) | SigningKey::Ed(pair) => pair.sign(signed.as_bytes()).unwrap(),
            SigningKey::Ec(pair) => {
                let halves: [Vec<u8>; 2] = integers(&pair.sign(signed.as_bytes()).unwrap());
                halves.iter().flat_map(|half| [vec![0; 32 - half.len()], half.clone()].concat()).collect()
            }
        };
        format!("{signed}.{}", base64url(&signature))
    }
}

/// Bytes as tokens write them (RFC 7515 §2).
pub fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The two integers of a DER sequence, without leading zeros.
fn integers(der: &[u8]) -> [Vec<u8>; 2] {
    let (_, inside) = element(der);
    let (rest, first) = element(inside);
    let (_, second) = element(rest);
    [first, second].map(|bytes| bytes.iter().copied().skip_while(|byte| *byte == 0).collect())
}

/// What follows the first element, and what is in it.
fn element(der: &[u8]) -> (&[u8], &[u8]) {
    let (start, length) = match der[1] {
        short @ 0..=0x7f => (2, usize::from(short)),
        long => {
            let bytes = usize::from(long & 0x7f);
            (2 + bytes, der[2..2 + bytes].iter().fold(0, |length, byte| length << 8 | usize::from(*byte)))
        }
    };
    (&der[start + length..], &der[start..start + length])
}

/// The value of `Authorization` for a user and a password.
pub fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// An instant as tokens write it.
pub fn seconds_from_now(seconds: i64) -> i64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + seconds
}
