//! Mappings that are read without a choice: a key that stands twice, also in two spellings of one header
//! name, is an error.

use std::fmt::{self, Display};
use std::hash::Hash;
use std::marker::PhantomData;

use indexmap::IndexMap;
use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};

/// A mapping from distinct keys to texts.
pub(super) fn distinct<'de, K, D>(deserializer: D) -> Result<IndexMap<K, String>, D::Error>
where
    K: Deserialize<'de> + Display + Eq + Hash,
    D: Deserializer<'de>,
{
    deserializer.deserialize_map(Distinct(PhantomData))
}

/// The same, for a field that may be left out.
pub(super) fn distinct_if_given<'de, K, D>(deserializer: D) -> Result<Option<IndexMap<K, String>>, D::Error>
where
    K: Deserialize<'de> + Display + Eq + Hash,
    D: Deserializer<'de>,
{
    distinct(deserializer).map(Some)
}

struct Distinct<K>(PhantomData<K>);

impl<'de, K: Deserialize<'de> + Display + Eq + Hash> Visitor<'de> for Distinct<K> {
    type Value = IndexMap<K, String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Self::Value, A::Error> {
        let mut map = IndexMap::new();
        while let Some(key) = fields.next_key::<K>()? {
            if map.contains_key(&key) {
                return Err(A::Error::custom(format_args!("has \"{key}\" twice")));
            }
            map.insert(key, fields.next_value()?);
        }
        Ok(map)
    }
}
