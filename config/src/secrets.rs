//! Shared keys and peppers that a boundary carries, on their way out of it: they go into a file of their own, mode
//! 0600, beside the merged file, and never into the merged file.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::document::BoundaryDocument;

/// The file's name, beside the merged file.
pub const FILE_NAME: &str = "secrets.json";

/// What stands in front of a secret's name where the secret itself stood.
pub const REFERENCE: &str = "secret:";

/// Secrets by name. Never shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets(BTreeMap<String, String>);

impl Secrets {
    /// Takes every secret out of a boundary and leaves its name there.
    pub fn take_from(document: &mut BoundaryDocument) -> Self {
        let mut secrets = BTreeMap::new();
        for issuer in &mut document.identity.jwt {
            let keys = issuer.jwks.iter_mut().flat_map(|set| &mut set.keys);
            for (index, key) in keys.enumerate() {
                // What is a name already has no secret to take.
                if let Some(secret) = key.k.take_if(|text| !text.starts_with(REFERENCE)) {
                    let name = format!("jwt/{}/{index}", issuer.name);
                    key.k = Some(format!("{REFERENCE}{name}"));
                    secrets.insert(name, secret);
                }
            }
        }
        for realm in &mut document.identity.api_key {
            if !realm.pepper.starts_with(REFERENCE) {
                let name = format!("api_key/{}", realm.name);
                let pepper = std::mem::replace(&mut realm.pepper, format!("{REFERENCE}{name}"));
                secrets.insert(name, pepper);
            }
        }
        Self(secrets)
    }

    /// The secret that `reference` names.
    pub fn resolve(&self, reference: &str) -> Option<&str> {
        self.0.get(reference.strip_prefix(REFERENCE)?).map(String::as_str)
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Vec<u8> {
        serde_json::to_vec_pretty(self).unwrap_or_default()
    }

    /// Reads the bytes of the file.
    ///
    /// # Errors
    /// In words that show nothing of what is in it.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, &'static str> {
        serde_json::from_slice(bytes).map_err(|_| "the file of secrets is not readable JSON")
    }
}

impl fmt::Debug for Secrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_stays_in_a_boundary_or_is_shown() {
        let mut document: BoundaryDocument = serde_json::from_value(serde_json::json!({
            "apiVersion": "postern/v1", "kind": "Boundary", "hosts": ["a.example.com"],
            "destinations": [{"name": "a", "hosts": ["b.example.com"]}],
            "identity": {"jwt": [{"name": "corp", "issuer": "x", "audiences": ["a"], "jwks": {"keys": [
                {"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {"kty": "oct", "k": "c2VjcmV0"},
            ]}}], "api_key": [{"name": "partners", "pepper": "cGVwcGVy", "consumers": []}]},
        }))
        .unwrap();
        let secrets = Secrets::take_from(&mut document);
        let text = serde_json::to_string(&document).unwrap();
        assert!(text.contains("secret:jwt/corp/1") && !text.contains("c2VjcmV0"));
        assert_eq!(secrets.resolve("secret:jwt/corp/1"), Some("c2VjcmV0"));
        assert!(text.contains("secret:api_key/partners") && !text.contains("cGVwcGVy"));
        assert_eq!(secrets.resolve("secret:api_key/partners"), Some("cGVwcGVy"));
        assert_eq!(secrets.resolve("jwt/corp/1"), None);
        assert!(!format!("{secrets:?} {document:?}").contains("c2VjcmV0"));
        assert_eq!(Secrets::from_bytes(&secrets.to_bytes()), Ok(secrets));
        assert!(Secrets::take_from(&mut document).is_empty());
        assert!(!Secrets::from_bytes(b"{\"a\": c2VjcmV0}").unwrap_err().contains("c2V"));
    }
}
