//! How often something may happen.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use super::{ValueError, leaf};

/// How often something may happen: `100/s`, `60/m`, `1000/h`, `50000/d`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Rate {
    count: u32,
    unit: char,
}

/// The most in one unit: what comes more often than every microsecond is no limit for one process.
const MOST: u32 = 1_000_000;

impl Rate {
    /// The time from one to the next when they come evenly.
    pub fn interval(self) -> Duration {
        let seconds = match self.unit {
            's' => 1,
            'm' => 60,
            'h' => 3_600,
            _ => 86_400,
        };
        Duration::from_secs(seconds) / self.count
    }

    /// How many in one second, rounded up.
    pub fn per_second(self) -> u32 {
        let nanos = self.interval().as_nanos().max(1);
        u32::try_from(1_000_000_000_u128.div_ceil(nanos)).unwrap_or(MOST)
    }
}

impl FromStr for Rate {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const EXAMPLE: &str = "write how many and in what time: 100/s, 60/m, 1000/h or 50000/d";
        let bad = || ValueError::new("is no rate").hint(EXAMPLE);
        let (count, unit) = text.split_once('/').ok_or_else(bad)?;
        let unit = match unit {
            "s" => 's',
            "m" => 'm',
            "h" => 'h',
            "d" => 'd',
            _ => return Err(bad()),
        };
        if count.is_empty() || !count.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(bad());
        }
        match count.parse::<u32>() {
            Ok(0) => Err(ValueError::new("lets nobody through").hint("write 1 or more")),
            Ok(count) if count <= MOST => Ok(Self { count, unit }),
            _ => Err(ValueError::new(format!("is more than {MOST} in its time")).hint("leave it out for no limit")),
        }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.count, self.unit)
    }
}

leaf!(
    Rate,
    "postern-rate",
    "How often something may happen: in a second (s), minute (m), hour (h) or day (d).",
    "100/s"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_written_as_it_is_read() {
        for (text, nanos, per_second) in [
            ("1/s", 1_000_000_000_u64, 1),
            ("100/s", 10_000_000, 100),
            ("60/m", 1_000_000_000, 1),
            ("90/m", 666_666_666, 2),
            ("1/d", 86_400_000_000_000, 1),
            ("1000000/s", 1_000, 1_000_000),
        ] {
            let rate: Rate = text.parse().unwrap();
            assert_eq!(rate.to_string(), text);
            assert_eq!(rate.interval(), Duration::from_nanos(nanos), "{text}");
            assert_eq!(rate.per_second(), per_second, "{text}");
        }
        for text in
            ["", "/", "/s", "1", "1/", "0/s", "-1/s", "1.5/s", "1/ms", "1/S", "1/s ", "1000001/s", "99999999999/s"]
        {
            assert!(text.parse::<Rate>().is_err(), "{text}");
        }
    }
}
