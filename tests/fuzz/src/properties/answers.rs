//! Heads of answers: one reading for each method they may answer, and a body whose end nobody sees elsewhere.

use http::Method;

use super::against_oracle;
use super::chunks::{Body, End, decode};
use super::requests::{end_of_head, is_plain_fields};
use crate::http1::{Flaw, Framing, RESPONSE_HEAD, ResponseHead};

/// What an answer says, with the body that the codec sees behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    /// Whether something stands behind the status, be it a blank alone.
    pub(super) has_blank: bool,
    pub(super) keeps_alive: bool,
    pub(super) fields: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) framing: Framing,
    /// The body and where it ends, when it is there.
    pub(super) body: Option<(Vec<u8>, usize)>,
    /// The same in chunks.
    pub(super) chunks: Option<Body>,
}

impl Answer {
    fn of(data: &[u8], end: usize, head: &ResponseHead) -> Self {
        let (mut body, mut chunks) = (None, None);
        match head.framing() {
            Framing::None => body = Some((Vec::new(), end)),
            Framing::UntilClose => body = Some((data[end..].to_vec(), data.len())),
            Framing::Length(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                body = data[end..].get(..length).map(|body| (body.to_vec(), end + length));
            }
            Framing::Chunked => {
                let read = decode(&data[end..], &[data.len() - end]);
                if let End::Whole(length) = read.end {
                    body = Some((read.data.clone(), end + length));
                    chunks = Some(read);
                }
            }
        }
        Self {
            status: head.status().as_u16(),
            has_blank: data[12] == b' ',
            keeps_alive: head.keeps_alive(),
            fields: head.fields().iter().map(|(name, value)| (name.to_vec(), value.to_vec())).collect(),
            framing: head.framing(),
            body,
            chunks,
        }
    }
}

/// Every property of bytes that may be an answer.
pub(super) fn check(data: &[u8]) {
    let _ = ResponseHead::parse(data, &Method::GET);
    let Ok(Some(end)) = end_of_head(data) else { return };
    if end > RESPONSE_HEAD {
        return;
    }
    let read = |method| ResponseHead::parse(&data[..end], &method).map(|head| Answer::of(data, end, &head));
    let (got, by_head) = (read(Method::GET), read(Method::HEAD));
    assert_eq!(read(Method::GET), got, "two readings of the same bytes");
    assert_eq!(read(Method::POST), got, "the method matters where it must not");
    for (by_head, answer) in [(false, &got), (true, &by_head)] {
        if let Ok(answer) = answer {
            has_one_framing(answer, by_head);
            is_plain_fields(&answer.fields);
            is_whole(&data[..end], answer);
            survives_writing(data, answer, by_head);
        }
        against_oracle::answer(data, by_head, answer.as_ref().ok());
    }
    // HEAD changes where the body ends and nothing else.
    match (got, by_head) {
        (Ok(got), Ok(by_head)) => {
            assert_eq!((got.status, got.fields), (by_head.status, by_head.fields));
            assert_eq!(by_head.framing, Framing::None);
        }
        (got, by_head) => assert_eq!(got.err(), by_head.err(), "HEAD makes a head good"),
    }
}

/// The status is one of five classes, and the fields say the framing once, in the one spelling.
fn has_one_framing(answer: &Answer, by_head: bool) {
    assert!((100..600).contains(&answer.status), "{}", answer.status);
    let all = |wanted: &str| -> Vec<&[u8]> {
        let named = answer.fields.iter().filter(|(name, _)| name.eq_ignore_ascii_case(wanted.as_bytes()));
        named.map(|(_, value)| &value[..]).collect()
    };
    let said = match (&all("transfer-encoding")[..], &all("content-length")[..]) {
        ([], []) => Framing::UntilClose,
        ([coding], []) if coding.eq_ignore_ascii_case(b"chunked") => Framing::Chunked,
        ([], [length]) => {
            let text = std::str::from_utf8(length).unwrap();
            let number: u64 = text.parse().unwrap();
            assert_eq!(number.to_string(), text, "a length in another spelling");
            if number == 0 { Framing::None } else { Framing::Length(number) }
        }
        (codings, lengths) => panic!("a head with the framing {codings:?} and {lengths:?}"),
    };
    let bodiless = by_head || answer.status < 200 || [204, 304].contains(&answer.status);
    assert_eq!(answer.framing, if bodiless { Framing::None } else { said });
    assert!(!answer.keeps_alive || answer.framing != Framing::UntilClose, "kept although its body ends with it");
}

/// No part of an accepted head is one, nor is it one with something behind it.
fn is_whole(head: &[u8], answer: &Answer) {
    assert!(head.starts_with(b"HTTP/1.1 ") || head.starts_with(b"HTTP/1.0 "));
    assert_eq!(std::str::from_utf8(&head[9..12]).ok().and_then(|text| text.parse().ok()), Some(answer.status));
    for cut in 1..head.len().min(5) {
        let part = ResponseHead::parse(&head[..head.len() - cut], &Method::GET);
        assert!(part.is_err(), "a head without its last {cut} bytes");
    }
    for byte in [b'\r', b'\n', b'x', 0] {
        assert!(ResponseHead::parse(&[head, &[byte]].concat(), &Method::GET).is_err(), "a head and {byte}");
    }
}

/// What was read and is written again is read as the same.
fn survives_writing(data: &[u8], answer: &Answer, by_head: bool) {
    let mut written = [&data[..9], answer.status.to_string().as_bytes(), b" \r\n"].concat();
    for (name, value) in &answer.fields {
        written.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
    }
    written.extend_from_slice(b"\r\n");
    if written.len() > RESPONSE_HEAD {
        return;
    }
    let method = if by_head { Method::HEAD } else { Method::GET };
    let end = written.len();
    let again: Result<Answer, Flaw> =
        ResponseHead::parse(&written, &method).map(|head| Answer::of(&written, end, &head));
    let again = again.expect("a head that was read");
    assert_eq!((again.status, again.framing, again.keeps_alive), (answer.status, answer.framing, answer.keeps_alive));
    assert_eq!(again.fields, answer.fields, "other fields when written again");
}
