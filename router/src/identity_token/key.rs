//! A key that the router signs with, read from its file: what it signs by, and what of it everybody may know.
//!
//! Must never let a byte of the private half into a message.

use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use postern_config::file::read_bounded;
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::listener::SetupError;

/// Largest file read. A key has some 200 bytes.
const PEM_BYTES: u64 = 64 * 1024;

/// A key, ready to sign. Two are equal when they are the same key.
pub(crate) struct SigningKey {
    encoding: EncodingKey,
    header: Header,
    /// The public half (RFC 7517).
    public: Value,
    /// Its thumbprint (RFC 7638).
    kid: Box<str>,
}

impl PartialEq for SigningKey {
    fn eq(&self, other: &Self) -> bool {
        self.kid == other.kid
    }
}

impl SigningKey {
    /// Reads a PKCS #8 key as PEM: P-256 or Ed25519.
    ///
    /// # Errors
    /// When it is none, or does not verify what it signs.
    pub(crate) fn read(file: &Path) -> Result<Self, SetupError> {
        let unusable = |why: &str| SetupError::Unusable { file: PathBuf::from(file), error: why.to_owned() };
        let text = Zeroizing::new(read_bounded(file, PEM_BYTES)?);
        // What the library says about a broken key may quote it.
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| SetupError::NoKey(file.to_owned()))?;
        let PrivateKeyDer::Pkcs8(der) = &key else {
            return Err(unusable(
                "it is not in PKCS #8 form; make one with openssl genpkey, or turn it with openssl pkcs8",
            ));
        };
        let signing = rustls::crypto::aws_lc_rs::sign::any_supported_type(&key)
            .map_err(|_| unusable("it is no key that is known; make a P-256 or an Ed25519 key"))?;
        let spki = signing.public_key().ok_or_else(|| unusable("it has no public half"))?;
        let known = public_half(&spki).ok_or_else(|| unusable("it is neither P-256 nor Ed25519"));
        let (algorithm, members) = known?;
        let (encoding, decoding) = match (algorithm, members.as_slice()) {
            (Algorithm::ES256, [(_, x), (_, y)]) => {
                let point = [&[0x04][..], x, y].concat();
                (EncodingKey::from_ec_der(der.secret_pkcs8_der()), DecodingKey::from_ec_der(&point))
            }
            (_, [(_, x), ..]) => (EncodingKey::from_ed_der(der.secret_pkcs8_der()), DecodingKey::from_ed_der(x)),
            _ => return Err(unusable("it has no public half")),
        };
        let (public, kid) = jwk(algorithm, &members);
        let mut header = Header::new(algorithm);
        header.kid = Some(kid.clone());
        // Found out now and not by the destinations.
        let signature = jsonwebtoken::crypto::sign(b"postern", &encoding, algorithm);
        let verified = signature.and_then(|made| jsonwebtoken::crypto::verify(&made, b"postern", &decoding, algorithm));
        if !verified.unwrap_or(false) {
            return Err(unusable("it does not verify what it signs"));
        }
        Ok(Self { encoding, header, public, kid: kid.into() })
    }

    /// A token with these claims.
    pub(super) fn sign(&self, claims: &Map<String, Value>) -> Result<String, jsonwebtoken::errors::Error> {
        jsonwebtoken::encode(&self.header, claims, &self.encoding)
    }

    /// What everybody may know.
    pub(super) fn public(&self) -> &Value {
        &self.public
    }

    /// By what name tokens mean it.
    pub(super) fn kid(&self) -> &str {
        &self.kid
    }
}

/// The algorithm of a public key, and its coordinates by their names.
type Members = Vec<(&'static str, Vec<u8>)>;

/// Reads `SubjectPublicKeyInfo` (RFC 5480 §2, RFC 8410 §4): for either kind everything before the key has one form.
fn public_half(spki: &[u8]) -> Option<(Algorithm, Members)> {
    const P256: [u8; 27] = [
        0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a, 0x86, 0x48,
        0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
    ];
    const ED25519: [u8; 12] = [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
    if let Some(point) = spki.strip_prefix(&P256).filter(|point| point.len() == 64) {
        return Some((Algorithm::ES256, vec![("x", point[..32].to_vec()), ("y", point[32..].to_vec())]));
    }
    let point = spki.strip_prefix(&ED25519).filter(|point| point.len() == 32)?;
    Some((Algorithm::EdDSA, vec![("x", point.to_vec())]))
}

/// The public key as it is published, and its name: a hash over its members in the order of the alphabet (RFC 7638 §3).
fn jwk(algorithm: Algorithm, members: &Members) -> (Value, String) {
    let (curve, kind, name) = match algorithm {
        Algorithm::ES256 => ("P-256", "EC", "ES256"),
        _ => ("Ed25519", "OKP", "EdDSA"),
    };
    let mut text = format!(r#"{{"crv":"{curve}","kty":"{kind}""#);
    let mut public = json!({ "kty": kind, "crv": curve });
    for (member, bytes) in members {
        let encoded = URL_SAFE_NO_PAD.encode(bytes);
        text.push_str(&format!(r#","{member}":"{encoded}""#));
        public[*member] = encoded.into();
    }
    text.push('}');
    let kid = URL_SAFE_NO_PAD.encode(Sha256::digest(text.as_bytes()));
    public["kid"] = kid.as_str().into();
    public["alg"] = name.into();
    public["use"] = "sig".into();
    (public, kid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thumbprint_is_that_of_rfc_8037() {
        // Appendix A.3.
        let x = URL_SAFE_NO_PAD.decode("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap();
        let (public, kid) = jwk(Algorithm::EdDSA, &vec![("x", x)]);
        assert_eq!(kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        assert_eq!(public["kid"], kid.as_str());
    }

    #[test]
    fn keys_of_two_kinds_are_read_and_others_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("key.pem");
        let read = |text: &str| {
            std::fs::write(&file, text).unwrap();
            SigningKey::read(&file)
        };
        let pem = |kind| rcgen::KeyPair::generate_for(kind).unwrap().serialize_pem();
        for (kind, name) in [(&rcgen::PKCS_ECDSA_P256_SHA256, "ES256"), (&rcgen::PKCS_ED25519, "EdDSA")] {
            let key = read(&pem(kind)).unwrap_or_else(|error| panic!("{error}"));
            assert_eq!(key.public()["alg"], name);
            assert_eq!(key.sign(&Map::new()).unwrap().split('.').count(), 3);
        }
        let good = pem(&rcgen::PKCS_ED25519);
        for bad in ["", "no key", &good[..good.len() / 2], &pem(&rcgen::PKCS_ECDSA_P384_SHA384)] {
            let error = read(bad).err().unwrap().to_string();
            assert!(error.contains("key.pem") && !good.lines().any(|line| error.contains(line)), "{error}");
        }
    }
}
