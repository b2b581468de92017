//! What a request is, as far as rights may depend on it.

use std::net::IpAddr;

/// The facts of a request that rights may depend on. Headers are none of them: whoever sends a request writes them.
pub(crate) struct Circumstances<'r> {
    /// The method.
    pub(crate) method: &'r str,
    /// The host, without port.
    pub(crate) host: &'r str,
    /// The canonical path; none when only a part of it has one reading.
    pub(crate) path: Option<&'r str>,
    /// The client, as far as trusted proxies vouch for it.
    pub(crate) client: IpAddr,
    /// In seconds after 1970.
    pub(crate) now: i64,
}

/// A variable of a route's path.
pub(crate) struct Variable {
    pub(super) name: String,
    /// The place of its segment.
    pub(super) place: usize,
    /// Whether it takes all segments from there on.
    pub(super) rest: bool,
}

impl Variable {
    /// What it stands for in `path`, decoded: what a policy compares is what the destination reads. None when that is
    /// no text.
    pub(super) fn value(&self, path: &str) -> Option<String> {
        let mut segments =
            path.strip_prefix('/').unwrap_or(path).splitn(self.place + if self.rest { 1 } else { 2 }, '/');
        decoded(segments.nth(self.place).unwrap_or_default())
    }
}

fn decoded(text: &str) -> Option<String> {
    if !text.contains('%') {
        return Some(text.to_owned());
    }
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        rest = tail;
        if *first != b'%' {
            bytes.push(*first);
            continue;
        }
        let [high, low, tail @ ..] = tail else { return None };
        let digit = |byte: u8| char::from(byte).to_digit(16);
        bytes.push(u8::try_from(digit(*high)? * 16 + digit(*low)?).ok()?);
        rest = tail;
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_variable_is_its_segment_decoded() {
        let value = |place, rest, path| Variable { name: "x".to_owned(), place, rest }.value(path);
        assert_eq!(value(1, false, "/orders/7/items").as_deref(), Some("7"));
        assert_eq!(value(2, false, "/orders/7/items").as_deref(), Some("items"));
        assert_eq!(value(1, true, "/orders/7/items").as_deref(), Some("7/items"));
        assert_eq!(value(1, true, "/orders").as_deref(), Some(""));
        assert_eq!(value(0, true, "/a/b").as_deref(), Some("a/b"));
        assert_eq!(value(0, false, "/j%C3%BCrgen").as_deref(), Some("jürgen"));
        assert_eq!(value(0, false, "/%2525").as_deref(), Some("%25"));
        assert_eq!(value(0, false, "/%FF"), None);
        assert_eq!(value(0, false, "/%4"), None);
    }
}
