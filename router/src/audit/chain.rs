//! Lines of which each names the one before by its digest, so that none can be changed, left out or put in unseen.
//!
//! A line is one JSON object. It begins with its number, then come its fields, then the digest of the line before
//! (`previous`), and last its own (`hash`), which covers every byte in front of it. With a key the digest is an HMAC:
//! then nobody without the key can write the chain anew. Pure. Must never know files, nor what lines say.

use std::fmt::Write as _;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};

/// What stands in the first line where others name the one before.
pub(super) const NOTHING: &str = "0000000000000000000000000000000000000000000000000000000000000000";

const PREVIOUS: &str = ",\"previous\":\"";
const HASH: &str = ",\"hash\":\"";
const END: &str = "\"}\n";
const HEX: usize = 64;

/// The end of a chain: what the next line needs to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Link {
    /// The number of the last line.
    pub(super) number: u64,
    /// Its digest.
    pub(super) hash: String,
}

impl Link {
    /// Before the first line.
    pub(super) fn first() -> Self {
        Self { number: 0, hash: NOTHING.to_owned() }
    }

    /// The next line, with its line feed. `fields` are members of a JSON object without its braces.
    pub(super) fn next(&mut self, fields: &str, key: Option<&[u8]>) -> String {
        self.number += 1;
        let mut line = format!("{{\"n\":{},{fields}{PREVIOUS}{}\"", self.number, self.hash);
        self.hash = digest(line.as_bytes(), key);
        let _ = write!(line, "{HASH}{}{END}", self.hash);
        line
    }

    /// Reads the number and the digest of a line that nobody doubts; `None` when it is not a line of a chain.
    pub(super) fn read(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (_, hash) = split(text)?;
        Some(Self { number: number(text)?, hash: hash.to_owned() })
    }

    /// Holds a line, with its line feed, against the one before. Says where the chain stands behind it.
    pub(super) fn check(&self, line: &[u8], key: Option<&[u8]>) -> Result<Self, &'static str> {
        let text = std::str::from_utf8(line).map_err(|_| "is no text")?;
        let (covered, hash) = split(text).ok_or("is not whole")?;
        if digest(covered.as_bytes(), key) != hash {
            return Err("was changed: its digest does not cover it");
        }
        let previous =
            covered.strip_suffix('"').and_then(|front| front.len().checked_sub(HEX).map(|at| front.split_at(at)));
        let Some((front, previous)) = previous else { return Err("is not whole") };
        if !front.ends_with(PREVIOUS) || previous != self.hash {
            return Err("does not follow the line before: one was taken out, put in or changed");
        }
        match number(text) {
            Some(number) if number == self.number + 1 => Ok(Self { number, hash: hash.to_owned() }),
            _ => Err("has not the number that follows"),
        }
    }

    /// What stands before a line, when that line is the first that there is: older files may have been put away.
    pub(super) fn before(line: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(line).ok()?;
        let (covered, _) = split(text)?;
        let front = covered.strip_suffix('"')?;
        let previous = front.get(front.len().checked_sub(HEX)?..)?;
        Some(Self { number: number(text)?.checked_sub(1)?, hash: previous.to_owned() })
    }
}

/// What the digest covers, and the digest.
fn split(line: &str) -> Option<(&str, &str)> {
    let front = line.strip_suffix(END)?;
    let at = front.len().checked_sub(HEX + HASH.len())?;
    let (covered, rest) = (front.get(..at)?, front.get(at..)?);
    Some((covered, rest.strip_prefix(HASH)?))
}

fn number(line: &str) -> Option<u64> {
    let digits = line.strip_prefix("{\"n\":")?;
    digits.get(..digits.find(',')?)?.parse().ok()
}

fn digest(bytes: &[u8], key: Option<&[u8]>) -> String {
    match key.map(Hmac::<Sha256>::new_from_slice) {
        Some(Ok(mut keyed)) => {
            keyed.update(bytes);
            hex(&keyed.finalize().into_bytes())
        }
        // HMAC takes keys of every length.
        Some(Err(_)) | None => hex(&Sha256::digest(bytes)),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(HEX), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn chain(length: usize, key: Option<&[u8]>) -> Vec<String> {
        let mut link = Link::first();
        (0..length).map(|at| link.next(&format!("\"kind\":\"test\",\"at\":{at}"), key)).collect()
    }

    fn broken_at(lines: &[String], key: Option<&[u8]>) -> Option<usize> {
        let mut link = Link::first();
        for (at, line) in lines.iter().enumerate() {
            match link.check(line.as_bytes(), key) {
                Ok(next) => link = next,
                Err(_) => return Some(at),
            }
        }
        None
    }

    #[test]
    fn a_line_is_json_and_carries_its_number() {
        let line = &chain(2, None)[1];
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!((&value["n"], &value["at"]), (&2.into(), &1.into()));
        assert_eq!(value["hash"].as_str().map(str::len), Some(HEX));
        assert_eq!(Link::read(line.as_bytes()).unwrap().number, 2);
        assert_eq!(Link::before(line.as_bytes()).unwrap().number, 1);
    }

    #[test]
    fn whoever_has_not_the_key_cannot_write_the_chain_anew() {
        let forged = chain(3, None);
        assert_eq!(broken_at(&forged, Some(b"key")), Some(0));
        assert_eq!(broken_at(&chain(3, Some(b"other")), Some(b"key")), Some(0));
        assert_eq!(broken_at(&chain(3, Some(b"key")), Some(b"key")), None);
    }

    proptest! {
        #[test]
        fn the_first_line_that_was_touched_is_named(length in 2_usize..8, at in 0_usize..8, byte in 0_usize..400, flip in 1_u8..255, kind in 0..4) {
            let at = at % (length - 1);
            let mut lines = chain(length, None);
            let expected = match kind {
                0 => { lines.remove(at); at }
                1 => { let again = lines[at].clone(); lines.insert(at, again); at + 1 }
                2 => { lines.swap(at, at + 1); at }
                _ => {
                    let mut bytes = lines[at].clone().into_bytes();
                    let place = byte % bytes.len();
                    bytes[place] ^= flip & 0x7f;
                    prop_assume!(flip & 0x7f != 0);
                    lines[at] = String::from_utf8_lossy(&bytes).into_owned();
                    at
                }
            };
            prop_assert_eq!(broken_at(&lines, None), Some(expected));
        }
    }
}
