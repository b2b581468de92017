//! Durations and sizes, written with their unit.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{Leaf, ValueError, leaf};

/// A duration with its unit: `250ms`, `60s`, `5m`, `24h`, `7d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(Duration);

impl Period {
    /// A period of that many milliseconds.
    pub const fn from_millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The period as the standard library has it.
    pub const fn duration(self) -> Duration {
        self.0
    }
}

impl FromStr for Period {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const EXAMPLE: &str = "write a number and a unit: 250ms, 60s, 5m, 24h or 7d";
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let millis_per_unit = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "" => return Err(ValueError::new("has no unit").hint(EXAMPLE)),
            _ => return Err(ValueError::new("is not a duration").hint(EXAMPLE)),
        };
        let millis = number.parse::<u64>().ok().and_then(|number| number.checked_mul(millis_per_unit));
        match millis {
            Some(millis) if millis <= LONGEST_MILLIS => Ok(Self::from_millis(millis)),
            Some(_) => Err(ValueError::new("is longer than ten years")),
            None => Err(ValueError::new("is not a duration").hint(EXAMPLE)),
        }
    }
}

const LONGEST_MILLIS: u64 = 10 * 366 * 86_400_000;

impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let millis = self.0.as_millis();
        match millis {
            0 => f.write_str("0s"),
            _ if millis.is_multiple_of(3_600_000) => write!(f, "{}h", millis / 3_600_000),
            _ if millis.is_multiple_of(60_000) => write!(f, "{}m", millis / 60_000),
            _ if millis.is_multiple_of(1_000) => write!(f, "{}s", millis / 1_000),
            _ => write!(f, "{millis}ms"),
        }
    }
}

leaf!(Period, "postern-duration", "A duration with its unit: ms, s, m, h or d.", "60s");

/// A size in bytes: a number, or a text with a unit (`10MiB`, `64KiB`, `1GiB`, `500kB`, `10MB`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ByteSize(u64);

impl ByteSize {
    /// That many bytes.
    pub const fn new(bytes: u64) -> Self {
        Self(bytes)
    }

    /// The size in bytes.
    pub const fn bytes(self) -> u64 {
        self.0
    }
}

const UNITS: [(&str, u64); 8] = [
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("KB", 1_000),
    ("B", 1),
];

impl FromStr for ByteSize {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let at = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
        let (number, unit) = text.split_at(at);
        let factor = match unit {
            "" => Some(1),
            unit => UNITS.iter().find(|(name, _)| *name == unit).map(|(_, factor)| *factor),
        };
        match (number.parse::<u64>(), factor) {
            (Ok(number), Some(factor)) => number.checked_mul(factor).map(Self),
            _ => None,
        }
        .ok_or_else(|| ValueError::new("is not a size").hint("write bytes, or a number and a unit: 64KiB, 10MiB"))
    }
}

impl fmt::Display for ByteSize {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match UNITS[..3].iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor)) {
            Some((unit, factor)) => write!(f, "{}{unit}", self.0 / factor),
            None => write!(f, "{}B", self.0),
        }
    }
}

impl Leaf for ByteSize {
    const FORMAT: &'static str = "postern-size";
    const DESCRIPTION: &'static str = "A size: bytes as a number, or a text with a unit.";
    const EXAMPLE: &'static str = "10MiB";
}

impl serde::Serialize for ByteSize {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> serde::Deserialize<'de> for ByteSize {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl serde::de::Visitor<'_> for Either {
            type Value = ByteSize;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number of bytes or a text such as \"10MiB\"")
            }
            fn visit_u64<E: serde::de::Error>(self, bytes: u64) -> Result<ByteSize, E> {
                Ok(ByteSize(bytes))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<ByteSize, E> {
                text.parse().map_err(|error| E::custom(format_args!("{} {error}", crate::problem::shown(text))))
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl schemars::JsonSchema for ByteSize {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ByteSize".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": ["string", "integer"], "minimum": 0, "format": Self::FORMAT,
            "description": Self::DESCRIPTION, "examples": [Self::EXAMPLE],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_need_their_unit() {
        for (text, millis) in
            [("250ms", 250), ("60s", 60_000), ("5m", 300_000), ("24h", 86_400_000), ("1d", 86_400_000), ("0s", 0)]
        {
            assert_eq!(text.parse::<Period>().unwrap().duration().as_millis(), millis);
        }
        for text in ["", "5", "s", "5 s", "-5s", "1.5s", "5sec", "99999999999999999999s", "99999999d", "٣s"] {
            assert!(text.parse::<Period>().is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_written_reads_the_same() {
        for millis in [0, 1, 999, 1_000, 59_000, 60_000, 3_600_000, 86_400_000, 90_061_001] {
            let period = Period::from_millis(millis);
            assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
        }
        for bytes in [0, 1, 1_000, 1_024, 10 << 20, 3 << 30, u64::MAX] {
            assert_eq!(ByteSize(bytes).to_string().parse::<ByteSize>().unwrap(), ByteSize(bytes));
        }
    }

    #[test]
    fn sizes_are_numbers_or_texts() {
        assert_eq!(serde_json::from_str::<ByteSize>("10").unwrap(), ByteSize(10));
        assert_eq!(serde_json::from_str::<ByteSize>("\"10MiB\"").unwrap(), ByteSize(10 << 20));
        for text in ["-1", "1.5", "\"10 MiB\"", "\"MiB\"", "true", "\"99999999999999GiB\""] {
            assert!(serde_json::from_str::<ByteSize>(text).is_err(), "{text}");
        }
    }
}
