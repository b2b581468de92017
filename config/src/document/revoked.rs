//! Tokens of an issuer that are not taken although they are sound.
//!
//! Owns the compact form of many: texts are read straight into one list, which everything after it shares.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeSeed, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::{Mode, is_default, mapping};
use crate::revocation::{self, Entry};
use crate::value::{Timestamp, ValueError, leaf};

/// Tokens that are not taken although they are sound.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RevokedTokens {
    /// By their ids.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jti: Vec<String>,
    /// By their subjects: all tokens of a caller.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sub: Vec<String>,
    /// By the keys that signed them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub kid: Vec<String>,
    /// Those that were made (`iat`) before this instant, or do not say when.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub issued_before: Option<Timestamp>,
    /// Many of any kind, as digests: `postern-syncer token digests` makes them. A text holds any number of them.
    #[serde(default, skip_serializing_if = "is_default")]
    pub digests: RevokedDigests,
    /// Whether who brings one is refused. In `shadow` it is taken, and told that it would have been refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

mapping!(RevokedTokens);

/// Many revoked tokens, sorted, each once. A million of them take 16 MB however often this is cloned.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct RevokedDigests(Arc<Vec<Entry>>);

impl RevokedDigests {
    /// How many.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// Whether this is one of them.
    pub fn holds(&self, entry: &Entry) -> bool {
        self.0.binary_search(entry).is_ok()
    }
}

impl FromIterator<Entry> for RevokedDigests {
    fn from_iter<I: IntoIterator<Item = Entry>>(entries: I) -> Self {
        Self::of(entries.into_iter().collect())
    }
}

impl RevokedDigests {
    fn of(mut entries: Vec<Entry>) -> Self {
        entries.sort_unstable();
        entries.dedup();
        entries.shrink_to_fit();
        Self(Arc::new(entries))
    }
}

/// Digests of revoked tokens, one behind the other.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RevokedText(String);

impl FromStr for RevokedText {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match revocation::read_text(text, &mut Vec::new()) {
            Ok(()) => Ok(Self(text.to_owned())),
            Err(fault) => {
                Err(ValueError::new(fault).hint("base64url, 16 bytes for each: postern-syncer token digests makes it"))
            }
        }
    }
}

impl fmt::Display for RevokedText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

leaf!(
    RevokedText,
    "postern-revoked",
    "Digests of revoked tokens, one behind the other, in base64url.",
    "q83vEjRWeJCrze8SNFZ4kA"
);

impl fmt::Debug for RevokedDigests {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} digests", self.count())
    }
}

impl Serialize for RevokedDigests {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(self.0.chunks(revocation::ENTRIES_A_TEXT).map(revocation::to_text))
    }
}

impl<'de> Deserialize<'de> for RevokedDigests {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_seq(Texts)
    }
}

impl JsonSchema for RevokedDigests {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RevokedDigests".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        Vec::<RevokedText>::json_schema(generator)
    }
}

struct Texts;

impl<'de> Visitor<'de> for Texts {
    type Value = RevokedDigests;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of texts")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut texts: A) -> Result<RevokedDigests, A::Error> {
        let mut entries = Vec::new();
        while texts.next_element_seed(Text(&mut entries))?.is_some() {}
        Ok(RevokedDigests::of(entries))
    }
}

/// One text, read to the end of what was read before.
struct Text<'l>(&'l mut Vec<Entry>);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for Text<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text of digests")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<(), E> {
        revocation::read_text(text, self.0).map_err(E::custom)
    }
}
