//! Shared keys and peppers that a boundary carries or refers to, on their way out of it: they go into a file of their own,
//! mode 0600, beside the merged file, and never into the merged file.
//!
//! In the merged file stands a name: `secret:PLACE#VERSION`. A name never comes to mean another secret: when the secret
//! changes, so does its version. So whoever reads one of the two files before and the other after a change finds a secret
//! that belongs there, or none.

mod reference;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

pub use self::reference::Reference;
use crate::api_key::Pepper;
use crate::check::key_problems;
use crate::document::{BoundaryDocument, Jwk};

/// The file's name, beside the merged file.
pub const FILE_NAME: &str = "secrets.json";

/// What stands in front of a secret's name where the secret itself stood.
pub const REFERENCE: &str = "secret:";

/// What stands in a name between the place and the version.
const VERSION: char = '#';

/// A secret. Never shown, and wiped when it is dropped.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretText(Zeroizing<String>);

impl SecretText {
    /// Takes a text.
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    /// The secret itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for SecretText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Serialize for SecretText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for SecretText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::new)
    }
}

/// Secrets by name, or by place before they have one. Never shown.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Secrets(BTreeMap<String, SecretText>);

/// What a secret is for.
#[derive(Debug, Clone, PartialEq)]
pub enum Purpose {
    /// A shared key; here are its other members.
    Key(Box<Jwk>),
    /// The pepper of a realm of keys.
    Pepper,
}

impl Purpose {
    /// Whether a text can serve.
    ///
    /// # Errors
    /// Why not, in words that show nothing of it.
    pub fn check(&self, secret: &SecretText) -> Result<(), String> {
        match self {
            _ if secret.expose().is_empty() => Err("is empty".to_owned()),
            Self::Pepper => Pepper::parse(secret.expose()).map(|_| ()).map_err(str::to_owned),
            // A reference or a name in the place of a secret would pass as one.
            Self::Key(_) if secret.expose().contains(':') => Err("is not base64url".to_owned()),
            Self::Key(key) => {
                let key = Jwk { k: Some(secret.expose().to_owned()), ..(**key).clone() };
                let problems = key_problems(&key);
                // Other members were checked with the document.
                problems.into_iter().find(|one| one.at == "/k").map_or(Ok(()), |one| Err(one.message))
            }
        }
    }
}

/// A secret that a boundary refers to.
#[derive(Debug, Clone, PartialEq)]
pub struct Wanted {
    /// Where in the boundary: `jwt/ISSUER/INDEX`, `api_key/REALM`.
    pub place: String,
    /// Where the secret itself is.
    pub reference: Reference,
    /// What it is for.
    pub purpose: Purpose,
}

/// What was taken out of a boundary.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Taken {
    /// The secrets that stood in it, by place.
    pub written: Secrets,
    /// The secrets that it refers to.
    pub wanted: Vec<Wanted>,
}

impl Taken {
    /// Takes every secret and every reference out of a boundary, and leaves the name of its place there. What is no sound
    /// reference stays where it is, for the check to find.
    pub fn from(document: &mut BoundaryDocument) -> Self {
        let mut taken = Self::default();
        for issuer in &mut document.identity.jwt {
            let keys = issuer.jwks.iter_mut().flat_map(|set| &mut set.keys);
            for (index, key) in keys.enumerate() {
                let Some(text) = key.k.take() else { continue };
                let purpose = Purpose::Key(Box::new(key.clone()));
                key.k = Some(taken.take(text, format!("jwt/{}/{index}", issuer.name), purpose));
            }
        }
        for realm in &mut document.identity.api_key {
            let pepper = std::mem::take(&mut realm.pepper);
            realm.pepper = taken.take(pepper, format!("api_key/{}", realm.name), Purpose::Pepper);
        }
        taken
    }

    /// Takes one, and gives what stands there instead.
    fn take(&mut self, text: String, place: String, purpose: Purpose) -> String {
        // What is a name already has no secret to take.
        if text.starts_with(REFERENCE) {
            return text;
        }
        let name = format!("{REFERENCE}{place}");
        match Reference::read(&text) {
            Some(Err(_)) => return text,
            // A slip of a reference: base64url has no colon.
            None if Reference::hint_for(&text).is_some() => return text,
            Some(Ok(reference)) => self.wanted.push(Wanted { place, reference, purpose }),
            None => _ = self.written.0.insert(place, SecretText::new(text)),
        }
        name
    }
}

impl Secrets {
    /// The secret that `reference` names.
    pub fn resolve(&self, reference: &str) -> Option<&str> {
        self.0.get(reference.strip_prefix(REFERENCE)?).map(SecretText::expose)
    }

    /// The secret of that name.
    pub fn get(&self, name: &str) -> Option<&SecretText> {
        self.0.get(name)
    }

    /// Adds one.
    pub fn insert(&mut self, name: String, secret: SecretText) {
        self.0.insert(name, secret);
    }

    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// Those of these names.
    pub fn only(&self, names: &BTreeSet<String>) -> Self {
        let named = self.0.iter().filter(|(name, _)| names.contains(*name));
        Self(named.map(|(name, secret)| (name.clone(), secret.clone())).collect())
    }

    /// These and those.
    #[must_use]
    pub fn and(&self, others: &Self) -> Self {
        let both = self.0.iter().chain(&others.0);
        Self(both.map(|(name, secret)| (name.clone(), secret.clone())).collect())
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The bytes of the file.
    pub fn to_bytes(&self) -> Zeroizing<Vec<u8>> {
        Zeroizing::new(serde_json::to_vec_pretty(self).unwrap_or_default())
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

/// The names of secrets that stand in a boundary.
pub fn names_in(document: &BoundaryDocument) -> BTreeSet<String> {
    let keys = document.identity.jwt.iter().filter_map(|issuer| issuer.jwks.as_ref()).flat_map(|set| &set.keys);
    let texts = keys.filter_map(|key| key.k.as_ref());
    let texts = texts.chain(document.identity.api_key.iter().map(|realm| &realm.pepper));
    texts.filter_map(|text| text.strip_prefix(REFERENCE)).map(str::to_owned).collect()
}

/// Writes the names of secrets into a boundary: `name_of` gives that of each place, or `None` for a place without a secret.
pub(crate) fn rename(document: &mut BoundaryDocument, name_of: impl Fn(&str) -> Option<String>) {
    let renamed = |text: &mut String| {
        if let Some(name) = text.strip_prefix(REFERENCE) {
            let place = place_of(name);
            *text = format!("{REFERENCE}{}", name_of(place).unwrap_or_else(|| place.to_owned()));
        }
    };
    let keys = document.identity.jwt.iter_mut().filter_map(|issuer| issuer.jwks.as_mut()).flat_map(|set| &mut set.keys);
    keys.filter_map(|key| key.k.as_mut()).for_each(renamed);
    document.identity.api_key.iter_mut().for_each(|realm| renamed(&mut realm.pepper));
}

/// The place in a name.
pub fn place_of(name: &str) -> &str {
    name.split_once(VERSION).map_or(name, |(place, _)| place)
}

/// A name for the secret of a place that no other secret had or will have, as far as `random` goes. From which reference it
/// came stands in it, so that it is found again after a restart; nothing in it tells of the secret.
pub fn new_name(place: &str, reference: Option<&Reference>, random: u64) -> String {
    format!("{place}{VERSION}{random:016x}{}", suffix(reference))
}

/// Whether the secret of that name came from `reference`, or was written out for `None`.
pub fn came_from(name: &str, reference: Option<&Reference>) -> bool {
    let version = name.split_once(VERSION).map(|(_, version)| version.get(16..).unwrap_or_default());
    version == Some(suffix(reference).as_str())
}

fn suffix(reference: Option<&Reference>) -> String {
    reference.map_or_else(String::new, |reference| format!(".{}", reference.mark()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(keys: &serde_json::Value, pepper: &str) -> BoundaryDocument {
        serde_json::from_value(serde_json::json!({
            "apiVersion": "postern/v1", "kind": "Boundary", "hosts": ["a.example.com"],
            "destinations": [{"name": "a", "hosts": ["b.example.com"]}],
            "identity": {"jwt": [{"name": "corp", "issuer": "x", "audiences": ["a"], "jwks": {"keys": keys}}],
                         "api_key": [{"name": "partners", "pepper": pepper, "consumers": []}]},
        }))
        .unwrap()
    }

    #[test]
    fn no_secret_stays_in_a_boundary_or_is_shown() {
        let keys = serde_json::json!([{"kty": "OKP", "crv": "Ed25519", "x": "AA"}, {"kty": "oct", "k": "c2VjcmV0"}]);
        let mut document = document(&keys, "cGVwcGVy");
        let taken = Taken::from(&mut document);
        let secrets = &taken.written;
        let text = serde_json::to_string(&document).unwrap();
        assert!(text.contains("secret:jwt/corp/1") && !text.contains("c2VjcmV0"));
        assert_eq!(secrets.resolve("secret:jwt/corp/1"), Some("c2VjcmV0"));
        assert!(text.contains("secret:api_key/partners") && !text.contains("cGVwcGVy"));
        assert_eq!(secrets.resolve("secret:api_key/partners"), Some("cGVwcGVy"));
        assert_eq!(secrets.resolve("jwt/corp/1"), None);
        assert!(!format!("{taken:?} {document:?} {:?}", secrets.get("jwt/corp/1")).contains("c2VjcmV0"));
        assert_eq!(Secrets::from_bytes(&secrets.to_bytes()).as_ref(), Ok(secrets));
        assert_eq!(Taken::from(&mut document), Taken::default());
        assert!(!Secrets::from_bytes(b"{\"a\": c2VjcmV0}").unwrap_err().contains("c2V"));
    }

    #[test]
    fn a_reference_leaves_with_what_it_is_for_and_a_bad_one_stays_for_the_check() {
        let keys =
            serde_json::json!([{"kty": "oct", "alg": "HS512", "k": "env:CORP"}, {"kty": "oct", "k": "ssm:corp"}]);
        let mut document = document(&keys, "file:/run/pepper");
        let taken = Taken::from(&mut document);
        assert!(taken.written.is_empty());
        let places: Vec<&str> = taken.wanted.iter().map(|one| one.place.as_str()).collect();
        assert_eq!(places, ["jwt/corp/0", "api_key/partners"]);
        let names: Vec<String> = names_in(&document).into_iter().collect();
        assert_eq!(names, ["api_key/partners", "jwt/corp/0"]);
        let problems = crate::Boundary::check(document).unwrap_err().0;
        assert_eq!((problems.len(), problems[0].at.as_str()), (1, "/identity/jwt/0/jwks/keys/1/k"));

        let check = |at: usize, bytes: usize| {
            let text = base64::Engine::encode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, vec![1; bytes]);
            taken.wanted[at].purpose.check(&SecretText::new(text))
        };
        assert_eq!((check(0, 64), check(1, 32)), (Ok(()), Ok(())));
        assert!(check(0, 63).is_err() && check(1, 31).is_err());
        for bad in ["", "env:OTHER", "secret:jwt/corp/1", "c2Vj cmV0"] {
            for wanted in &taken.wanted {
                let why = wanted.purpose.check(&SecretText::new(bad.to_owned())).unwrap_err();
                assert!(bad.is_empty() || !why.contains(bad));
            }
        }
    }

    #[test]
    fn a_name_tells_its_place_and_its_reference() {
        let reference = Reference::read("env:CORP").unwrap().unwrap();
        let other = Reference::read("env:OTHER").unwrap().unwrap();
        let name = new_name("jwt/corp/0", Some(&reference), 7);
        assert!(name.starts_with("jwt/corp/0#0000000000000007."));
        assert_eq!(place_of(&name), "jwt/corp/0");
        assert!(came_from(&name, Some(&reference)) && !came_from(&name, Some(&other)) && !came_from(&name, None));
        let written = new_name("jwt/corp/0", None, u64::MAX);
        assert!(came_from(&written, None) && !came_from(&written, Some(&reference)));
        assert!(!came_from("jwt/corp/0", None), "without a version nobody knows");

        let mut document = document(&serde_json::json!([{"kty": "oct", "k": "env:CORP"}]), "env:P");
        Taken::from(&mut document);
        for _ in 0..2 {
            rename(&mut document, |place| (place == "jwt/corp/0").then(|| name.clone()));
            assert_eq!(names_in(&document), ["api_key/partners".to_owned(), name.clone()].into());
        }
    }
}
