//! Leaf values: each can only hold something valid, because parsing is the only way to make one.
//!
//! Must never know: other values of the same document, or what a value is used for.

mod address;
mod certificate;
mod host;
mod name;
mod path;
mod quantity;
mod rate;
mod share;
mod template;
mod timestamp;
mod url;

pub use address::{Forbidden, Network, forbidden, is_private};
pub use certificate::{CertificateUri, Fingerprint, SpiffePattern, is_spiffe_id};
pub use host::{HostName, HostPattern};
pub use name::{HeaderName, Method, Name, Scheme};
pub use path::{PathError, RootPath, canonical_path};
pub use quantity::{ByteSize, Period};
pub use rate::Rate;
pub use share::Share;
pub use template::{Segment, Template};
pub use timestamp::Timestamp;
pub use url::DestinationUrl;

/// Why a text is not a value: what is wrong with it, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct ValueError {
    /// What is wrong. Lower case, no full stop, without the found text.
    pub message: String,
    /// What to write instead.
    pub hint: Option<String>,
}

impl ValueError {
    pub(crate) fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), hint: None }
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

/// A value whose wire form is one string. The schema names it by `FORMAT`, so that the one
/// definition of what is valid is `FromStr`.
pub(crate) trait Leaf: std::str::FromStr<Err = ValueError> {
    /// The JSON Schema `format` of this value.
    const FORMAT: &'static str;
    /// One sentence for the schema's readers.
    const DESCRIPTION: &'static str;
    /// A value worth copying.
    const EXAMPLE: &'static str;
}

/// Parses `text` as the leaf of that schema format: `None` for a format that is not ours.
pub(crate) fn check_format(format: &str, text: &str) -> Option<Result<(), ValueError>> {
    fn parse<L: Leaf>(text: &str) -> Result<(), ValueError> {
        text.parse::<L>().map(drop)
    }
    Some(match format {
        HostName::FORMAT => parse::<HostName>(text),
        HostPattern::FORMAT => parse::<HostPattern>(text),
        Name::FORMAT => parse::<Name>(text),
        HeaderName::FORMAT => parse::<HeaderName>(text),
        Method::FORMAT => parse::<Method>(text),
        RootPath::FORMAT => parse::<RootPath>(text),
        Template::FORMAT => parse::<Template>(text),
        DestinationUrl::FORMAT => parse::<DestinationUrl>(text),
        Network::FORMAT => parse::<Network>(text),
        Period::FORMAT => parse::<Period>(text),
        Rate::FORMAT => parse::<Rate>(text),
        Share::FORMAT => parse::<Share>(text),
        ByteSize::FORMAT => parse::<ByteSize>(text),
        CertificateUri::FORMAT => parse::<CertificateUri>(text),
        SpiffePattern::FORMAT => parse::<SpiffePattern>(text),
        Fingerprint::FORMAT => parse::<Fingerprint>(text),
        Timestamp::FORMAT => parse::<Timestamp>(text),
        crate::document::Authenticator::FORMAT => parse::<crate::document::Authenticator>(text),
        crate::document::RevokedText::FORMAT => parse::<crate::document::RevokedText>(text),
        _ => return None,
    })
}

macro_rules! leaf {
    ($type:ty, $format:literal, $description:literal, $example:literal) => {
        impl $crate::value::Leaf for $type {
            const FORMAT: &'static str = $format;
            const DESCRIPTION: &'static str = $description;
            const EXAMPLE: &'static str = $example;
        }

        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                $crate::value::deserialize_leaf(deserializer)
            }
        }

        impl schemars::JsonSchema for $type {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($type).into()
            }

            fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
                schemars::json_schema!({
                    "type": "string", "format": $format,
                    "description": $description, "examples": [$example],
                })
            }
        }
    };
}
pub(crate) use leaf;

/// Reads a leaf from a string, borrowed where the input allows it.
pub(crate) fn deserialize_leaf<'de, L: Leaf, D: serde::Deserializer<'de>>(deserializer: D) -> Result<L, D::Error> {
    struct Text<L>(std::marker::PhantomData<L>);
    impl<L: Leaf> serde::de::Visitor<'_> for Text<L> {
        type Value = L;
        fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "a string such as \"{}\"", L::EXAMPLE)
        }
        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<L, E> {
            text.parse().map_err(|error: ValueError| {
                let text = crate::problem::without_credentials(text);
                E::custom(format_args!("{} {error}", crate::problem::shown(&text)))
            })
        }
    }
    deserializer.deserialize_str(Text(std::marker::PhantomData))
}
