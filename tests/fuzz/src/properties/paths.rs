//! Canonical paths: whatever a destination makes of the raw path that is forwarded, it is the path that was decided on.
//!
//! The readings below are what servers are known to do to a path. An accepted path is the same under each of them: it
//! is never one path to the router and another to a destination.

use std::borrow::Cow;

use postern_config::value::{RootPath, Template, canonical_path};

/// Every property of bytes that may be a path.
pub(super) fn check(data: &[u8]) {
    canonical(data);
    // Most inputs fail at the first byte otherwise.
    if data.first() != Some(&b'/') {
        canonical(&[b"/", data].concat());
    }
    if let Ok(text) = std::str::from_utf8(data) {
        roots(text);
        templates(text);
    }
}

fn canonical(raw: &[u8]) {
    let canonical = match canonical_path(raw) {
        Ok(canonical) => canonical,
        Err(error) => {
            assert!(!is_beyond_doubt(raw), "a plain path is refused: {error}");
            return;
        }
    };
    assert_eq!(canonical_path(raw).as_deref(), Ok(&*canonical), "two readings");
    assert_eq!(canonical_path(canonical.as_bytes()).as_deref(), Ok(&*canonical), "no fixed point");
    assert!(matches!(canonical, Cow::Owned(_)) || canonical.as_bytes() == raw, "changed without a copy");
    assert!(canonical.len() <= raw.len());
    looks_canonical(&canonical);
    let decided = decode(canonical.as_bytes());
    assert_eq!(decode(raw), decided, "another path when decoded");
    for (name, read) in READINGS {
        assert_eq!(decode(&read(raw)), decided, "another path to a server that {name}");
        assert_eq!(read(&decode(raw)), decided, "another path to a server that decodes, then {name}");
    }
}

/// Segments of letters and digits: never in doubt.
fn is_beyond_doubt(raw: &[u8]) -> bool {
    raw.len() <= 8_192
        && raw.first() == Some(&b'/')
        && !raw.windows(2).any(|pair| pair == b"//")
        && raw.iter().all(|byte| byte.is_ascii_alphanumeric() || b"/-_~".contains(byte))
}

/// Nothing stands in it that could be read otherwise.
fn looks_canonical(path: &str) {
    assert!(path.starts_with('/') && path.len() <= 8_192);
    assert!(!path.contains("//"), "an empty segment");
    assert!(!path.split('/').any(|segment| segment == "." || segment == ".."), "a dot segment");
    assert!(path.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && !b"\\;?#\"<>`{}".contains(&byte)), "{path:?}");
    let bytes = path.as_bytes();
    for at in bytes.iter().enumerate().filter(|(_, byte)| **byte == b'%').map(|(at, _)| at) {
        let digits = bytes.get(at + 1..at + 3).expect("two digits");
        assert!(digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'A'..=b'F')), "an escape in lower case");
        let byte = u8::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap();
        assert!(!b"/\\.;".contains(&byte) && byte >= 0x20 && byte != 0x7f, "the escape of {byte:#x}");
        assert!(!byte.is_ascii_alphanumeric() && !b"-_~".contains(&byte), "an escape without need");
    }
}

/// Every escape decoded, once; a broken one stays.
fn decode(path: &[u8]) -> Vec<u8> {
    let mut decoded = Vec::with_capacity(path.len());
    let mut at = 0;
    while at < path.len() {
        let digit = |offset: usize| path.get(at + offset).and_then(|byte| char::from(*byte).to_digit(16));
        match (path[at], digit(1), digit(2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push(u8::try_from(high << 4 | low).unwrap());
                at += 3;
            }
            (byte, ..) => {
                decoded.push(byte);
                at += 1;
            }
        }
    }
    decoded
}

/// What a server makes of a path.
type Reading = fn(&[u8]) -> Vec<u8>;

/// What servers do to a path, each alone.
const READINGS: [(&str, Reading); 8] = [
    ("does nothing", <[u8]>::to_vec),
    ("decodes", decode),
    ("takes \\ for /", |path| path.iter().map(|byte| if *byte == b'\\' { b'/' } else { *byte }).collect()),
    ("merges slashes", |path| {
        let mut merged = path.to_vec();
        merged.dedup_by(|next, before| *next == b'/' && *before == b'/');
        merged
    }),
    ("cuts segments at ;", |path| {
        let front = |segment: &[u8]| segment.split(|byte| *byte == b';').next().unwrap_or_default().to_vec();
        path.split(|byte| *byte == b'/').map(front).collect::<Vec<_>>().join(&b'/')
    }),
    ("ends it at NUL", |path| path.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()),
    ("removes dot segments", without_dot_segments),
    ("removes blanks at its ends", |path| {
        let blank = |byte: &u8| byte.is_ascii_control();
        let from = path.iter().position(|byte| !blank(byte)).unwrap_or(path.len());
        let to = path.iter().rposition(|byte| !blank(byte)).map_or(from, |at| at + 1);
        path[from..to].to_vec()
    }),
];

/// RFC 3986 §5.2.4.
fn without_dot_segments(path: &[u8]) -> Vec<u8> {
    let mut kept: Vec<&[u8]> = Vec::new();
    let mut segments = path.split(|byte| *byte == b'/').skip(1).peekable();
    while let Some(segment) = segments.next() {
        let is_last = segments.peek().is_none();
        match segment {
            b"." | b".." => {
                if segment == b".." {
                    kept.pop();
                }
                if is_last {
                    kept.push(b"");
                }
            }
            segment => kept.push(segment),
        }
    }
    kept.iter().flat_map(|segment| [b"/", *segment]).flatten().copied().collect()
}

/// A root is its own canonical form, and covers by whole segments.
fn roots(text: &str) {
    let Ok(root) = text.parse::<RootPath>() else { return };
    assert_eq!(root.as_str(), text);
    assert_eq!(canonical_path(text.as_bytes()).as_deref(), Ok(text));
    assert!(text == "/" || !text.ends_with('/'));
    assert!(root.covers(&root));
    let joined: String = root.segments().flat_map(|segment| ["/", segment]).collect();
    assert_eq!(if joined.is_empty() { "/" } else { &joined }, text, "other segments");
    let whole: RootPath = "/".parse().unwrap();
    assert!(whole.covers(&root) && (root == whole || !root.covers(&whole)));
    for (behind, expected) in [("/x", true), ("x", text == "/")] {
        if let Ok(other) = format!("{}{behind}", text.trim_end_matches('/')).parse::<RootPath>() {
            assert_eq!(root.covers(&other), expected || text == "/", "{other} under {text}");
        }
    }
}

/// A template is written as it was read.
fn templates(text: &str) {
    let Ok(template) = text.parse::<Template>() else { return };
    let again: Template = template.to_string().parse().expect("a template that was read");
    assert_eq!(again, template, "another template when written");
}
