//! Instants as people write them (RFC 3339), always in UTC.

use std::fmt;
use std::str::FromStr;

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ValueError, leaf};

/// An instant, to the second, in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(OffsetDateTime);

impl Timestamp {
    /// That many seconds after 1970; the ends of the calendar when it lies beyond them.
    pub fn from_unix(seconds: i64) -> Self {
        let bounded = seconds.clamp(FIRST_SECOND, LAST_SECOND);
        Self(OffsetDateTime::from_unix_timestamp(bounded).unwrap_or(OffsetDateTime::UNIX_EPOCH))
    }

    /// Seconds after 1970.
    pub fn unix(self) -> i64 {
        self.0.unix_timestamp()
    }
}

const FIRST_SECOND: i64 = 0;
/// The last second of the year 9999, the last that RFC 3339 can write.
const LAST_SECOND: i64 = 253_402_300_799;

impl FromStr for Timestamp {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        OffsetDateTime::parse(text, &Rfc3339)
            .map(|instant| Self::from_unix(instant.unix_timestamp()))
            .map_err(|_| ValueError::new("is not an instant").hint("write RFC 3339, as in 2026-12-31T00:00:00Z"))
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.format(&Rfc3339).map_err(|_| fmt::Error)?;
        f.write_str(&text)
    }
}

leaf!(Timestamp, "postern-instant", "An instant in RFC 3339.", "2026-12-31T00:00:00Z");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_written_in_utc() {
        let instant: Timestamp = "2026-12-31T01:00:00+01:00".parse().unwrap();
        assert_eq!(instant.to_string(), "2026-12-31T00:00:00Z");
        assert_eq!(Timestamp::from_unix(instant.unix()), instant);
        assert_eq!(Timestamp::from_unix(i64::MAX).to_string(), "9999-12-31T23:59:59Z");
        assert!("tomorrow".parse::<Timestamp>().is_err());
    }
}
