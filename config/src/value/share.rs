//! Shares of a whole, written in percent.

use std::fmt;
use std::str::FromStr;

use super::{ValueError, leaf};

/// A share of a whole: `100%`, `10%`, `0.5%`, `0%`; to four digits behind the point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

/// What the whole is.
const WHOLE: u32 = 1_000_000;

impl Share {
    /// The whole.
    pub const ALL: Self = Self(WHOLE);

    /// One half.
    pub const HALF: Self = Self(WHOLE / 2);

    /// In parts of a million.
    pub const fn millionths(self) -> u32 {
        self.0
    }
}

impl FromStr for Share {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let bad = || ValueError::new("is no share").hint("write a percentage from 0% to 100%, e.g. 0.5%");
        let number = text.strip_suffix('%').ok_or_else(bad)?;
        let (whole, rest) = number.split_once('.').unwrap_or((number, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(rest) || whole.len() > 3 || rest.len() > 4 {
            return Err(bad());
        }
        let parts: u32 = format!("{whole}{rest:0<4}").parse().map_err(|_| bad())?;
        if parts > WHOLE { Err(bad()) } else { Ok(Self(parts)) }
    }
}

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, rest) = (self.0 / 10_000, self.0 % 10_000);
        match rest {
            0 => write!(f, "{whole}%"),
            rest => write!(f, "{whole}.{}%", format!("{rest:04}").trim_end_matches('0')),
        }
    }
}

leaf!(Share, "postern-share", "A share of a whole, in percent.", "0.5%");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_written_as_it_is_read() {
        for (text, parts) in
            [("0%", 0), ("100%", WHOLE), ("10%", 100_000), ("0.5%", 5_000), ("0.0001%", 1), ("99.99%", 999_900)]
        {
            let share: Share = text.parse().unwrap();
            assert_eq!((share.millionths(), share.to_string().as_str()), (parts, text));
        }
        for text in ["", "%", "1", "0.5", "-1%", "101%", "100.0001%", "1e2%", " 1%", "1 %", "0.00001%", ".5%", "5.%"] {
            assert!(text.parse::<Share>().is_err(), "{text}");
        }
    }
}
