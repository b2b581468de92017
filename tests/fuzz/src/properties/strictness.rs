//! The closed list of what hyper takes and the codec refuses, and of the few things that are the other way round.
//!
//! Each entry has a reason and a condition that is told from the bytes alone; a difference that meets none of them
//! is a finding. An entry that is never met is found by the differential run, which counts them.

use super::chunks::End;
use super::requests::Parts;
use crate::http1::Flaw;

/// Why two servers see different things, each for a stated reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Difference {
    /// hyper ends a line at LF alone (RFC 9112 §2.2 allows it); others do not, so a head has two ends.
    BareLf,
    /// hyper reads over any number of empty lines in front of a request; the codec over one.
    EmptyLines,
    /// The codec knows methods of at most 32 characters: none that is registered is longer.
    LongMethod,
    /// hyper takes `*`, targets without a path, other schemes, fragments and bytes beyond ASCII.
    TargetForm,
    /// hyper drops Content-Length beside Transfer-Encoding (RFC 9112 §6.1 allows it); whoever reads the other one
    /// sees another body.
    LengthBesideCoding,
    /// hyper takes equal lengths that stand twice and zeros in front of one.
    LengthTwice,
    LengthZeros,
    /// The codec takes lengths of at most 19 digits, all of which fit 64 bits; hyper some of 20.
    LengthDigits,
    /// hyper takes any list of codings that ends in chunked; the codec chunked alone, once, in one field.
    CodingList,
    /// hyper takes blanks behind a chunk's size.
    ChunkBlank,
    /// hyper counts no digits of a size as long as its number fits.
    ChunkDigits,
    /// hyper has wider bounds for extensions and trailers.
    ChunkBounds,
    /// hyper reads over control bytes in an extension.
    ChunkExtensionByte,
    /// hyper lets a trailer's line be what its parser of heads lets pass: ended by LF alone.
    TrailerLf,
    /// The other way round: `http::Uri` refuses what RFC 3986 does not know; the codec takes any visible ASCII but
    /// `#`, since paths are judged by `canonical_path` and queries are passed on byte for byte.
    UriCharacter,
    /// `http::Uri` judges the authority of an absolute target; the codec leaves that to `stage::identify`, which
    /// compares it with Host.
    UriAuthority,
}

/// A head that hyper takes and the codec refuses. `bytes` begin with it.
pub(super) fn in_head(bytes: &[u8], flaw: Flaw) -> Difference {
    let text = String::from_utf8_lossy(head_of(bytes)).to_ascii_lowercase();
    let line = bytes.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
    let values = |wanted: &str| -> Vec<String> {
        let fields = text.lines().skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(name, _)| *name == wanted).map(|(_, value)| value.trim().to_owned()).collect()
    };
    let (codings, lengths) = (values("transfer-encoding"), values("content-length"));
    let found = match flaw {
        Flaw::BareLf => Some(Difference::BareLf).filter(|_| has_bare_lf(bytes)),
        Flaw::FirstLine if line.is_empty() => Some(Difference::EmptyLines),
        Flaw::FirstLine => {
            let method = line.split(|byte| *byte == b' ').next().unwrap_or_default();
            Some(Difference::LongMethod).filter(|_| method.len() > 32)
        }
        Flaw::Target => {
            let target = line.split(|byte| *byte == b' ').nth(1).unwrap_or_default();
            Some(Difference::TargetForm).filter(|_| is_odd_target(target))
        }
        Flaw::TwoFramings | Flaw::ContentLength if !codings.is_empty() && !lengths.is_empty() => {
            Some(Difference::LengthBesideCoding)
        }
        Flaw::ContentLength if lengths.len() > 1 || lengths[0].contains(',') => Some(Difference::LengthTwice),
        Flaw::ContentLength if !lengths[0].bytes().all(|byte| byte.is_ascii_digit()) => None,
        Flaw::ContentLength if lengths[0].starts_with('0') => Some(Difference::LengthZeros),
        Flaw::ContentLength => Some(Difference::LengthDigits).filter(|_| lengths[0].len() == 20),
        Flaw::TransferEncoding | Flaw::TransferCoding => {
            let last = codings.last().and_then(|value| value.rsplit(',').next()).unwrap_or_default();
            Some(Difference::CodingList)
                .filter(|_| last.trim() == "chunked" && (codings.len() > 1 || codings[0].contains(',')))
        }
        _ => None,
    };
    found.unwrap_or_else(|| panic!("hyper takes what the codec refuses: {flaw:?}"))
}

/// Up to the empty line, whichever way lines end.
fn head_of(bytes: &[u8]) -> &[u8] {
    let end = bytes.windows(2).position(|pair| pair == b"\n\n").unwrap_or(bytes.len());
    let strict = bytes.windows(3).position(|window| window == b"\n\r\n").unwrap_or(bytes.len());
    &bytes[..end.min(strict)]
}

fn has_bare_lf(bytes: &[u8]) -> bool {
    (0..bytes.len()).any(|at| bytes[at] == b'\n' && (at == 0 || bytes[at - 1] != b'\r'))
}

fn is_odd_target(target: &[u8]) -> bool {
    let lower = target.to_ascii_lowercase();
    let rest = [&b"http://"[..], b"https://"].into_iter().find_map(|scheme| lower.strip_prefix(scheme));
    let has_no_path = rest.is_some_and(|rest| rest.iter().find(|byte| matches!(byte, b'/' | b'?')) != Some(&b'/'));
    has_no_path
        || (!target.starts_with(b"/") && rest.is_none())
        || target.iter().any(|byte| !matches!(byte, 0x21..=0x7e) || *byte == b'#')
}

/// A body that hyper takes and the codec refuses, or waits for. `from` is where the request begins.
pub(super) fn in_body(data: &[u8], from: usize, end: End) -> Difference {
    let End::Flawed(flaw, at) = end else { panic!("hyper sees a body's end where the codec waits: {from}") };
    let line = data[..at].iter().rposition(|byte| *byte == b'\n').map_or(from, |at| at + 1);
    let before = &data[line..at];
    let found = match (flaw, data[at]) {
        (Flaw::ChunkTooLong, _) => Some(Difference::ChunkBounds),
        (_, b' ' | b'\t') if !before.is_empty() && before.iter().all(u8::is_ascii_hexdigit) => {
            Some(Difference::ChunkBlank)
        }
        (_, byte) if byte.is_ascii_hexdigit() && before.len() >= 15 => Some(Difference::ChunkDigits),
        (_, byte) if before.contains(&b';') && (byte.is_ascii_control()) => Some(Difference::ChunkExtensionByte),
        (_, b'\n') if before.is_empty() || before.contains(&b':') => Some(Difference::TrailerLf),
        _ => None,
    };
    found.unwrap_or_else(|| panic!("hyper takes a body that the codec refuses: {flaw:?} at {at}"))
}

/// A head that the codec takes and hyper refuses.
pub(super) fn of_hyper(parts: &Parts) -> Difference {
    if parts.target.bytes().any(|byte| b"\"<>\\^`{|}".contains(&byte)) {
        return Difference::UriCharacter;
    }
    assert!(parts.authority.is_some(), "the codec takes what hyper refuses: {parts:?}");
    Difference::UriAuthority
}

/// A body that the codec takes and hyper refuses.
pub(super) fn of_hyper_in_body(body: &[u8], bytes: &[u8]) -> Difference {
    panic!(
        "the codec takes a body that hyper refuses: {:?} of {:?}",
        body.escape_ascii().to_string(),
        bytes.escape_ascii().to_string()
    )
}
