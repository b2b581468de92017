//! Paths: the canonical copy that every decision is made on, and roots.
//!
//! A path that two programs could read differently is refused, not repaired: the raw bytes are what
//! is forwarded, so a repair here would let the decision and the destination disagree.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{ValueError, leaf};
use crate::limits;

/// Why a path has two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, thiserror::Error)]
pub enum PathError {
    /// Longer than [`limits::PATH_BYTES`].
    #[error("path is longer than 8192 bytes")]
    TooLong,
    /// Does not begin with `/`.
    #[error("path does not begin with /")]
    NotAbsolute,
    /// A segment `.` or `..`, plain or escaped.
    #[error("path has a dot segment")]
    DotSegment,
    /// An empty segment that is not the last.
    #[error("path has an empty segment")]
    EmptySegment,
    /// `%` without two hexadecimal digits.
    #[error("path has a broken percent escape")]
    BadEscape,
    /// An escaped `/`, `\`, `;` or control byte. Of the third some proxies make a plain one, at which servers cut.
    #[error("path has an escaped slash, backslash, semicolon or control byte")]
    EscapedSeparator,
    /// Escapes of more bytes than their character needs (RFC 3629 §10): some decoders make a `/` or a `.` of them.
    #[error("path has an overlong escape")]
    Overlong,
    /// An escape of an escape: a second decoding would change the path.
    #[error("path is escaped twice")]
    EscapedTwice,
    /// `\`, `;`, `#`, a control byte, or another byte that does not belong in a path.
    #[error("path has a character that does not belong there")]
    BadCharacter,
}

/// The canonical copy of a raw request path (without its query): escapes of characters that may stand
/// plain are decoded, the others written with upper-case digits. Borrowed when nothing changes,
/// which is the common case.
///
/// # Errors
/// When the path has two readings (RFC 3986 §6.2.2 normalisations disagree between implementations).
pub fn canonical_path(raw: &[u8]) -> Result<Cow<'_, str>, PathError> {
    if raw.len() > limits::PATH_BYTES {
        return Err(PathError::TooLong);
    }
    if raw.first() != Some(&b'/') {
        return Err(PathError::NotAbsolute);
    }
    let plain = raw.iter().all(|&byte| CLASS[usize::from(byte)] == Class::Plain);
    let canonical = if plain {
        Cow::Borrowed(std::str::from_utf8(raw).map_err(|_| PathError::BadCharacter)?)
    } else {
        Cow::Owned(decode(raw)?)
    };
    check_segments(&canonical)?;
    Ok(canonical)
}

fn decode(raw: &[u8]) -> Result<String, PathError> {
    let mut canonical = String::with_capacity(raw.len());
    let mut rest = raw;
    while let Some((&byte, behind)) = rest.split_first() {
        rest = behind;
        match CLASS[usize::from(byte)] {
            Class::Plain => canonical.push(char::from(byte)),
            Class::Refused => return Err(PathError::BadCharacter),
            Class::Escape => {
                let (high, low) = escape(rest).ok_or(PathError::BadEscape)?;
                rest = &rest[2..];
                let decoded = high << 4 | low;
                match decoded {
                    b'/' | b'\\' | b';' | 0..=0x1f | 0x7f => return Err(PathError::EscapedSeparator),
                    _ if CLASS[usize::from(decoded)] == Class::Plain => canonical.push(char::from(decoded)),
                    _ => {
                        canonical.push('%');
                        canonical.push(char::from(HEX[usize::from(high)]));
                        canonical.push(char::from(HEX[usize::from(low)]));
                    }
                }
            }
        }
    }
    // Looked for in what came out, since the digits of the inner escape may be escaped themselves: %25%32e.
    let is_escaped_twice = |at: usize| escape(&canonical.as_bytes()[at + "%25".len()..]).is_some();
    if canonical.match_indices("%25").any(|(at, _)| is_escaped_twice(at)) {
        return Err(PathError::EscapedTwice);
    }
    if canonical.match_indices('%').any(|(at, _)| is_overlong(&canonical.as_bytes()[at + 1..])) {
        return Err(PathError::Overlong);
    }
    Ok(canonical)
}

/// Whether what follows a `%` begins a character that fewer bytes would do for.
fn is_overlong(digits: &[u8]) -> bool {
    matches!(
        digits,
        [b'C', b'0' | b'1', b'%', b'8' | b'9' | b'A' | b'B', ..]
            | [b'E', b'0', b'%', b'8' | b'9', ..]
            | [b'F', b'0', b'%', b'8', ..]
    )
}

/// The two digits that follow a `%`.
fn escape(rest: &[u8]) -> Option<(u8, u8)> {
    match rest {
        [high, low, ..] => Some((hex(*high)?, hex(*low)?)),
        _ => None,
    }
}

fn check_segments(canonical: &str) -> Result<(), PathError> {
    let mut segments = canonical[1..].split('/').peekable();
    while let Some(segment) = segments.next() {
        match segment {
            "." | ".." => return Err(PathError::DotSegment),
            "" if segments.peek().is_some() => return Err(PathError::EmptySegment),
            _ => {}
        }
    }
    Ok(())
}

fn hex(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

const HEX: &[u8; 16] = b"0123456789ABCDEF";

#[derive(Clone, Copy, PartialEq, Eq)]
enum Class {
    /// Stands for itself.
    Plain,
    /// Begins an escape.
    Escape,
    /// Is refused when it stands plain, and stays escaped when it was.
    Refused,
}

/// What each byte means in a path. Plain are the `pchar` of RFC 3986 §3.3 without `;` (some servers cut
/// there), and `[ ] | ^`, which browsers send as they are and nobody reads in two ways.
const CLASS: [Class; 256] = {
    let mut class = [Class::Refused; 256];
    let plain = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$&'()*+,=:@/[]|^";
    let mut index = 0;
    while index < plain.len() {
        class[plain[index] as usize] = Class::Plain;
        index += 1;
    }
    class[b'%' as usize] = Class::Escape;
    class
};

/// A canonical root path: `/`, or segments without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RootPath(Arc<str>);

impl RootPath {
    /// The root as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its segments, from the left; none for `/`.
    pub fn segments(&self) -> impl Iterator<Item = &str> + Clone {
        self.0.split('/').filter(|segment| !segment.is_empty())
    }

    /// Whether `other` is this root or lies below it, by whole segments.
    pub fn covers(&self, other: &Self) -> bool {
        &*self.0 == "/" || other.0.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl FromStr for RootPath {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        const EXAMPLE: &str = "write a path such as /orders";
        if text.contains(['{', '}']) || text.contains("/:") {
            return Err(ValueError::new("is not a root: has variables").hint("templates are for match.path"));
        }
        if let Some(plain) = text.strip_suffix("/*").or_else(|| text.strip_suffix("/**")) {
            let plain = if plain.is_empty() { "/" } else { plain };
            return Err(ValueError::new(
                "is not a root: ends with a wildcard, and everything below belongs to it already",
            )
            .hint(format!("write {plain}")));
        }
        if text.contains('?') {
            return Err(ValueError::new("is not a root: has a query").hint(EXAMPLE));
        }
        let canonical = canonical_path(text.as_bytes()).map_err(|error| {
            ValueError::new(format!("is not a root: {}", error.to_string().trim_start_matches("path "))).hint(EXAMPLE)
        })?;
        if canonical != text {
            return Err(ValueError::new("is not in canonical form").hint(format!("write {canonical}")));
        }
        if text.len() > 1 && text.ends_with('/') {
            return Err(ValueError::new("ends with a slash").hint(format!("write {}", text.trim_end_matches('/'))));
        }
        let root = Self(text.into());
        if root.segments().count() > limits::PATH_SEGMENTS {
            return Err(ValueError::new("has more than 64 segments").hint(EXAMPLE));
        }
        Ok(root)
    }
}

/// So that a table of roots can be asked with borrowed text.
impl std::borrow::Borrow<str> for RootPath {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RootPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

leaf!(RootPath, "postern-root", "A canonical path, matched by whole segments.", "/orders");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_two_readings_is_refused() {
        for (raw, expected) in [
            ("/a/../b", PathError::DotSegment),
            ("/a/%2e%2E/b", PathError::DotSegment),
            ("/a/.", PathError::DotSegment),
            ("/a/.%2e", PathError::DotSegment),
            ("/a//b", PathError::EmptySegment),
            ("//a", PathError::EmptySegment),
            ("/a%2fb", PathError::EscapedSeparator),
            ("/a%5Cb", PathError::EscapedSeparator),
            ("/a%3bb", PathError::EscapedSeparator),
            ("/a/..%3B/b", PathError::EscapedSeparator),
            ("/a%00", PathError::EscapedSeparator),
            ("/a%0d%0a", PathError::EscapedSeparator),
            ("/a%252e", PathError::EscapedTwice),
            ("/a%25%32e", PathError::EscapedTwice),
            ("/a%252%65", PathError::EscapedTwice),
            ("/a%c0%afb", PathError::Overlong),
            ("/%C0%AE%c0%ae/b", PathError::Overlong),
            ("/a%c1%9cb", PathError::Overlong),
            ("/a%e0%80%afb", PathError::Overlong),
            ("/a%f0%80%80%afb", PathError::Overlong),
            ("/a%", PathError::BadEscape),
            ("/a%4", PathError::BadEscape),
            ("/a%zz", PathError::BadEscape),
            ("/a%+1", PathError::BadEscape),
            ("/a\\b", PathError::BadCharacter),
            ("/a;b", PathError::BadCharacter),
            ("/a#b", PathError::BadCharacter),
            ("/a b", PathError::BadCharacter),
            ("/é", PathError::BadCharacter),
            ("a", PathError::NotAbsolute),
            ("", PathError::NotAbsolute),
            ("*", PathError::NotAbsolute),
        ] {
            assert_eq!(canonical_path(raw.as_bytes()), Err(expected), "{raw}");
        }
        assert_eq!(canonical_path(&[b'/'; 8_193]), Err(PathError::TooLong));
    }

    #[test]
    fn one_reading_has_one_canonical_form() {
        for (raw, canonical) in [
            ("/", "/"),
            ("/a/b/", "/a/b/"),
            ("/%61%7E", "/a~"),
            ("/a%3ab", "/a:b"),
            ("/%c3%a9", "/%C3%A9"),
            ("/a%20b", "/a%20b"),
            ("/a%3fb%23", "/a%3Fb%23"),
            // One byte for a character, as before UTF-8.
            ("/%c0_propos", "/%C0_propos"),
            ("/%e0%a0%80%f0%90%80%80", "/%E0%A0%80%F0%90%80%80"),
            ("/100%25", "/100%25"),
            ("/...", "/..."),
            ("/a,b=c@d!$&'()*+", "/a,b=c@d!$&'()*+"),
        ] {
            assert_eq!(canonical_path(raw.as_bytes()).unwrap(), canonical, "{raw}");
        }
    }

    #[test]
    fn canonical_forms_are_fixed_points() {
        proptest::proptest!(|(raw in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..40))| {
            let mut path = vec![b'/'];
            path.extend(raw);
            if let Ok(canonical) = canonical_path(&path) {
                let again = canonical_path(canonical.as_bytes());
                proptest::prop_assert_eq!(again.as_deref(), Ok(&*canonical));
            }
        });
    }

    #[test]
    fn a_root_covers_whole_segments_only() {
        let root: RootPath = "/orders".parse().unwrap();
        for (other, expected) in [("/orders", true), ("/orders/x", true), ("/ordersx", false), ("/", false)] {
            assert_eq!(root.covers(&other.parse().unwrap()), expected, "{other}");
        }
        assert!("/".parse::<RootPath>().unwrap().covers(&root));
        for text in [
            "/orders/", "orders", "/a//b", "/a/{id}", "/%61", "/a?b", "/a;b", "", "#registry", "/a/*", "/*", "/a/**",
            "/a/:id",
        ] {
            assert!(text.parse::<RootPath>().is_err(), "{text}");
        }
    }
}
