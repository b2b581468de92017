//! Documents are mappings with named fields. Serde's derive also takes a list for one, field by field in the
//! order of the source code: `policies: []` would read as "no policies", and a new field would change what a
//! list means. Nobody writes that on purpose.

use std::fmt;

use serde::de::{Deserializer, MapAccess, Visitor};

/// A deserializer that hands a struct over only when it is a mapping.
pub(crate) struct Mapping<D>(pub(crate) D);

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Mapping<D> {
    type Error = D::Error;

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_struct(name, fields, MappingOnly(visitor))
    }

    // A derived struct asks for nothing else; whatever does gets the same care.
    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_map(MappingOnly(visitor))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map enum identifier ignored_any
    }
}

struct MappingOnly<V>(V);

impl<'de, V: Visitor<'de>> Visitor<'de> for MappingOnly<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a mapping")
    }

    fn visit_map<A: MapAccess<'de>>(self, fields: A) -> Result<V::Value, A::Error> {
        self.0.visit_map(fields)
    }
}

/// Makes `Serialize` and `Deserialize` of structs whose derive says `#[serde(remote = "Self")]`: that gives
/// the derived functions without the traits, so that the deserializer can be put in between.
macro_rules! mapping {
    ($($type:ty),+ $(,)?) => {$(
        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                <$type>::deserialize($crate::document::mapping::Mapping(deserializer))
            }
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                <$type>::serialize(self, serializer)
            }
        }
    )+};
}
pub(crate) use mapping;
