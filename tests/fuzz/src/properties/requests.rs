//! Heads of requests: one end however they come, one reading, and a reading that survives being written again.

use http::Method;

use super::{against_hyper, against_oracle, ends, ways_to_cut};
use crate::buffer::Buffer;
use crate::http1::{FIELDS, Flaw, Framing, HeadEnd, Outbound, REQUEST_HEAD, RequestHead, Version};

/// What a head says, apart from where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Parts {
    pub(super) method: Method,
    pub(super) old: bool,
    pub(super) authority: Option<String>,
    pub(super) target: String,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) framing: Framing,
}

impl Parts {
    pub(super) fn of(head: &RequestHead) -> Self {
        assert_eq!(head.path().len() + head.query().map_or(0, |query| query.len() + 1), head.target().len());
        assert!(!head.path().contains('?'));
        Self {
            method: head.method().clone(),
            old: head.version() == Version::Http10,
            authority: head.authority().map(str::to_owned),
            target: head.target().to_owned(),
            fields: head.fields().iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            framing: head.framing(),
        }
    }

    /// Every value under a name in lower case.
    pub(super) fn all<'p>(&'p self, name: &'p str) -> impl Iterator<Item = &'p [u8]> {
        self.fields.iter().filter(move |(known, _)| known.eq_ignore_ascii_case(name.as_bytes())).map(|(_, v)| &**v)
    }

    /// The target in the form it came in, but for the scheme.
    pub(super) fn written_target(&self) -> String {
        match &self.authority {
            Some(authority) if self.target.is_empty() => authority.clone(),
            Some(authority) => format!("http://{authority}{}", self.target),
            None => self.target.clone(),
        }
    }

    /// As a head, with or without what says the framing.
    fn written(&self, with_framing: bool) -> Vec<u8> {
        let version = if self.old { "1.0" } else { "1.1" };
        let mut text = format!("{} {} HTTP/{version}\r\n", self.method, self.written_target()).into_bytes();
        for (name, value) in self.fields.iter().filter(|(name, _)| with_framing || !says_framing(name)) {
            text.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
        }
        text
    }
}

pub(super) fn says_framing(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"content-length") || name.eq_ignore_ascii_case(b"transfer-encoding")
}

/// Every property of bytes that may be a request.
pub(super) fn check(data: &[u8]) {
    let found = end_of_head(data);
    // Nothing that comes, seen by `HeadEnd` or not, makes a head that cannot be asked.
    if let Ok(head) = RequestHead::parse(data) {
        Parts::of(&head);
    }
    if let Ok(Some(end)) = found
        && end <= REQUEST_HEAD
    {
        let (head, again) = (RequestHead::parse(&data[..end]), RequestHead::parse(&data[..end]));
        let (parts, again) = (head.as_ref().map(Parts::of), again.as_ref().map(Parts::of));
        assert_eq!(parts, again, "two readings of the same bytes");
        if let Ok(parts) = &parts {
            is_plain(parts);
            has_one_framing(parts);
            is_whole(&data[..end]);
            survives_writing(parts);
        }
        against_oracle::request(data, end, parts.ok());
    }
    against_hyper::compare(data);
}

/// The end of a head does not depend on how it comes, and is where an empty line is.
pub(super) fn end_of_head(data: &[u8]) -> Result<Option<usize>, Flaw> {
    let whole = HeadEnd::default().find(data);
    for pieces in ways_to_cut(data) {
        let mut scan = HeadEnd::default();
        let mut found = Ok(None);
        for end in ends(data.len(), &pieces) {
            found = scan.find(&data[..end]);
            if found != Ok(None) {
                break;
            }
        }
        assert_eq!(found, whole, "another end in pieces of {pieces:?}");
    }
    let bare = (0..data.len()).find(|at| data[*at] == b'\n' && (*at == 0 || data[*at - 1] != b'\r'));
    let empty = match data.starts_with(b"\r\n") {
        true => Some(2),
        false => data.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4),
    };
    let expected = match (bare, empty) {
        (Some(bare), Some(empty)) if bare < empty => Err(Flaw::BareLf),
        (_, Some(empty)) => Ok(Some(empty)),
        (Some(_), None) => Err(Flaw::BareLf),
        (None, None) => Ok(None),
    };
    assert_eq!(whole, expected, "not the end that one sees");
    whole
}

/// Nothing stands in a part that could end it.
fn is_plain(parts: &Parts) {
    is_plain_fields(&parts.fields);
    let target = parts.written_target();
    assert!(target.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'#'), "{target:?}");
    assert!(parts.target.is_empty() || parts.target.starts_with('/'), "{:?}", parts.target);
    assert!(!parts.target.is_empty() || parts.method == Method::CONNECT, "no target");
    assert!(parts.authority.as_deref() != Some(""), "an authority that is empty");
}

pub(super) fn is_plain_fields(fields: &[(Vec<u8>, Vec<u8>)]) {
    for (name, value) in fields {
        let is_token = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
        assert!(!name.is_empty() && name.iter().all(is_token), "the name {:?}", name.escape_ascii().to_string());
        let is_text = value.iter().all(|byte| *byte == b'\t' || (*byte >= b' ' && *byte != 0x7f));
        assert!(is_text && !has_blank_ends(value), "the value {:?}", value.escape_ascii().to_string());
    }
}

fn has_blank_ends(value: &[u8]) -> bool {
    [value.first(), value.last()].into_iter().flatten().any(|byte| matches!(byte, b' ' | b'\t'))
}

/// The fields say the framing once, in the one spelling.
fn has_one_framing(parts: &Parts) {
    let (codings, lengths): (Vec<_>, Vec<_>) =
        (parts.all("transfer-encoding").collect(), parts.all("content-length").collect());
    let expected = match (&codings[..], &lengths[..]) {
        ([], []) => Framing::None,
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") && !parts.old => Framing::Chunked,
        ([], [length]) => {
            let text = std::str::from_utf8(length).unwrap();
            let number: u64 = text.parse().unwrap();
            assert_eq!(number.to_string(), text, "a length in another spelling");
            if number == 0 { Framing::None } else { Framing::Length(number) }
        }
        _ => panic!("a head with the framing {codings:?} and {lengths:?}"),
    };
    assert_eq!(parts.framing, expected);
}

/// No part of an accepted head is a head, nor is it one with something behind it.
fn is_whole(head: &[u8]) {
    for cut in 1..head.len().min(5) {
        assert!(RequestHead::parse(&head[..head.len() - cut]).is_err(), "a head without its last {cut} bytes");
    }
    for byte in [b'\r', b'\n', b'x', 0] {
        assert!(RequestHead::parse(&[head, &[byte]].concat()).is_err(), "a head and {byte}");
    }
}

/// What was read and is written again is read as the same; so is what the router itself writes.
fn survives_writing(parts: &Parts) {
    let written = [&parts.written(true)[..], b"\r\n"].concat();
    // Blanks that were left out may stand here, so that it may be too long by those alone.
    if written.len() > usize::from(u16::MAX) {
        return;
    }
    let again = RequestHead::parse(&written).map(|head| Parts::of(&head));
    assert_eq!(again.as_ref(), Ok(parts), "read otherwise when written again");
    let plain = parts.authority.is_none() && parts.fields.iter().all(|(name, _)| name.is_ascii());
    if plain {
        let fields = parts.fields.iter().map(|(name, value)| (std::str::from_utf8(name).unwrap(), &value[..]));
        let size = (parts.fields.len(), parts.fields.iter().map(|(name, value)| name.len() + value.len()).sum());
        let carried =
            RequestHead::from_parts(parts.method.clone(), &parts.target, fields, size, parts.framing).unwrap();
        assert_eq!(Parts { old: parts.old, ..Parts::of(&carried) }, *parts, "read otherwise when carried");
    }
    // What is sent may have one field more than may come in.
    if parts.fields.len() == FIELDS && gains_a_field(parts) {
        return;
    }
    let mut head = Buffer::small();
    head.extend_from_slice(&parts.written(false));
    let sent = Outbound::new(head, parts.method.clone(), false).framed(parts.framing);
    let sent = RequestHead::parse(&sent).map(|head| Parts::of(&head)).expect("what the router writes");
    assert_eq!(sent.framing, parts.framing, "framed otherwise when sent");
    let others =
        |parts: &Parts| parts.fields.iter().filter(|(name, _)| !says_framing(name)).cloned().collect::<Vec<_>>();
    assert_eq!(others(&sent), others(parts), "other fields when sent");
}

/// Whether the router says that there is no body where the client said nothing of one (RFC 9110 §8.6).
fn gains_a_field(parts: &Parts) -> bool {
    matches!(parts.method, Method::POST | Method::PUT | Method::PATCH)
        && !parts.fields.iter().any(|(name, _)| says_framing(name))
}
