//! The codec beside the strict oracle, which shares no code with it and takes only what a sender may write.
//!
//! What the oracle takes, the codec takes, with the same parts and the same end. What the codec takes and the oracle
//! does not is in a closed list: each entry is what a client may send and the router never sends on, and the stage that
//! sees to that is named. Without the entries of that list, the oracle takes what the router makes of it.

use super::answers::Answer;
use super::chunks::{Body, End, HEAD, decode, encode};
use super::oracle::{self, Asked, Message, Stop};
use super::requests::{Parts, says_framing};
use crate::buffer::Buffer;
use crate::http1::{FIELDS, Framing, Outbound};

/// Why the codec takes what the oracle does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Leniency {
    /// Clients of 1.0 are served; what is sent on is 1.1 (`stage::transform`).
    Version10,
    /// Absolute targets, and the authority of CONNECT: the first must name the host, the second is refused
    /// (`stage::identify`).
    TargetForm,
    /// Host is judged by `stage::identify` and written anew by `stage::transform`.
    Host,
    /// Hop by hop, or with a twin name: taken off or refused (`stage::transform`, `stage::identify`).
    Field,
    /// `Chunked` in any case (RFC 9112 §7); written anew (`http1::Outbound`).
    CodingCase,
    /// Zeros in front of a chunk's size, which RFC 9112 §7.1 allows; written anew.
    ChunkZeros,
    /// Extensions of chunks are read over and dropped.
    ChunkExtension,
    /// Trailers are read over and dropped.
    Trailers,
    /// RFC 9112 §4 wants a blank behind the status, and many leave it out; written anew.
    NoBlankBehindStatus,
    /// Framing where no body can be, which senders leave in: not looked at, not passed on.
    FramingOfNothing,
}

/// Of a request whose head ends there, which the codec took or not.
pub(super) fn request(data: &[u8], end: usize, parts: Option<Parts>) {
    let judged = oracle::request(data);
    let Some(parts) = parts else {
        if let Ok((message, _)) = &judged {
            assert!(is_beyond_bounds(message), "the oracle takes what the codec refuses: {message:?}");
        }
        return;
    };
    let mut leniencies = of_request(&parts);
    let (body, taken) = match parts.framing {
        Framing::None | Framing::UntilClose => (Some(Vec::new()), end),
        Framing::Length(length) => {
            let length = usize::try_from(length).unwrap_or(usize::MAX);
            let body = data[end..].get(..length).map(<[u8]>::to_vec);
            (body, end.saturating_add(length))
        }
        Framing::Chunked => {
            let body = decode(&data[end..], &[data.len() - end]);
            match body.end {
                End::Whole(length) => {
                    leniencies.extend(of_chunks(&body));
                    (Some(body.data), end + length)
                }
                _ => (None, data.len()),
            }
        }
    };
    match (&judged, &body) {
        (Ok((message, judged_end)), Some(body)) => {
            assert!(leniencies.is_empty(), "the oracle takes {leniencies:?}, which it should not: mend the list");
            assert_eq!(*judged_end, taken, "another end than the oracle sees");
            assert_eq!((&message.method[..], &message.target), (parts.method.as_str(), &parts.target));
            assert_eq!(message.fields, named(&parts.fields));
            assert_eq!(message.body, *body, "another body than the oracle sees");
        }
        (Ok(_), None) => panic!("the oracle sees a body that the codec does not"),
        (Err(Stop::More), None) => {}
        (Err(Stop::More), Some(_)) => panic!("the oracle waits for more where the codec is done"),
        (Err(Stop::Wrong(_)), None) => {}
        (Err(Stop::Wrong(why)), Some(_)) => assert!(!leniencies.is_empty(), "the codec takes what is wrong: {why}"),
    }
    if let Some(body) = body {
        sent_on(&parts, &body);
    }
}

/// Bounds that the codec has and the oracle has not.
fn is_beyond_bounds(message: &Message) -> bool {
    let bytes: usize = message.fields.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
    message.method.len() > 32
        || message.fields.len() > FIELDS
        || bytes + message.target.len() > 60_000
        || message.field("content-length").is_some_and(|length| length.len() > 19)
}

/// Whether a field is the matter of a later stage.
fn is_for_a_stage(name: &str, value: &str, of_request: bool) -> bool {
    const HOPS: [&str; 6] =
        ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "upgrade", "http2-settings"];
    match name {
        name if HOPS.contains(&name) => true,
        "trailer" => true,
        "te" => !of_request || value != "trailers",
        "connection" => of_request || !["close", "keep-alive"].contains(&value),
        "expect" => of_request,
        name => of_request && name.contains(['_', '.']),
    }
}

fn of_request(parts: &Parts) -> Vec<Leniency> {
    let mut found = Vec::new();
    let fields = named(&parts.fields);
    let hosts: Vec<&String> = fields.iter().filter(|(name, _)| name == "host").map(|(_, value)| value).collect();
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    for (leniency, applies) in [
        (Leniency::Version10, parts.old),
        (Leniency::TargetForm, parts.authority.is_some()),
        (Leniency::Host, hosts.len() != 1 || hosts[0].is_empty() || !hosts[0].bytes().all(is_host)),
        (Leniency::Field, fields.iter().any(|(name, value)| is_for_a_stage(name, value, true))),
        (Leniency::CodingCase, parts.all("transfer-encoding").any(|value| value != b"chunked")),
    ] {
        found.extend(applies.then_some(leniency));
    }
    found
}

/// Of a whole body.
fn of_chunks(body: &Body) -> Vec<Leniency> {
    let mut found = Vec::new();
    let last = body.framing.iter().rposition(|framing| !framing.is_empty()).unwrap_or(0);
    for (at, framing) in body.framing.iter().enumerate() {
        // Each begins with the line end of the data before it, but for the first.
        let text = if at == 0 { &framing[..] } else { framing.strip_prefix(b"\r\n").unwrap_or(framing) };
        let line = text.split(|byte| *byte == b'\r').next().unwrap_or_default();
        let size = line.split(|byte| *byte == b';').next().unwrap_or_default();
        for (leniency, applies) in [
            (Leniency::ChunkExtension, size.len() < line.len()),
            (Leniency::ChunkZeros, size.len() > 1 && size[0] == b'0'),
            (Leniency::Trailers, at == last && text.len() > line.len() + 4),
        ] {
            found.extend(applies.then_some(leniency));
        }
    }
    found
}

/// What the later stages leave of a request and the codec writes is one that the oracle takes, with the same body.
fn sent_on(parts: &Parts, body: &[u8]) {
    let target = if parts.target.is_empty() { "/" } else { &parts.target };
    let mut head = Buffer::small();
    head.extend_from_slice(format!("{} {target} HTTP/1.1\r\nhost: a\r\n", parts.method).as_bytes());
    let mut expected = vec![("host".to_owned(), "a".to_owned())];
    for ((name, value), (lower, text)) in parts.fields.iter().zip(named(&parts.fields)) {
        if says_framing(name) || lower == "host" || is_for_a_stage(&lower, &text, true) {
            continue;
        }
        head.extend_from_slice(&[name, &b": "[..], value, b"\r\n"].concat());
        expected.push((lower, text));
    }
    let mut sent = Outbound::new(head, parts.method.clone(), false).framed(parts.framing).to_vec();
    match parts.framing {
        Framing::Chunked => sent.extend(encode(body, &[body.len().max(1), 3])),
        _ => sent.extend_from_slice(body),
    }
    let (message, taken) = oracle::request(&sent).expect("what the router sends");
    assert_eq!(taken, sent.len(), "more is sent than a request");
    assert_eq!(message.body, body, "another body is sent");
    let fields = message.fields.into_iter().filter(|(name, _)| !says_framing(name.as_bytes()));
    assert_eq!(fields.collect::<Vec<_>>(), expected, "other fields are sent");
}

/// Of a chunked body alone.
pub(super) fn chunks(data: &[u8], body: &Body) {
    match (oracle::request(&[HEAD, data].concat()), body.end) {
        (Ok((message, taken)), End::Whole(end)) => {
            assert!(of_chunks(body).is_empty(), "the oracle takes {:?}: mend the list", of_chunks(body));
            assert_eq!((&message.body, taken), (&body.data, HEAD.len() + end));
        }
        (Ok(_), end) => panic!("the oracle sees a body where the codec sees {end:?}"),
        (Err(Stop::Wrong(why)), End::Whole(_)) => {
            assert!(!of_chunks(body).is_empty(), "the codec takes what is wrong: {why}");
        }
        (Err(Stop::More), End::Whole(_)) => panic!("the oracle waits for more where the codec is done"),
        (Err(_), _) => {}
    }
}

/// Of an answer whose head ends there, which the codec took or not; `rest` is its body as the codec reads it.
pub(super) fn answer(data: &[u8], by_head: bool, read: Option<&Answer>) {
    let asked = Asked { by_head, old: data.starts_with(b"HTTP/1.0"), ended: true };
    let judged = oracle::answer(data, asked);
    let Some(read) = read else {
        if let Ok((message, _)) = &judged {
            assert!(is_beyond_bounds(message), "the oracle takes what the codec refuses: {message:?}");
        }
        return;
    };
    let leniencies = of_answer(read);
    match (&judged, &read.body) {
        (Ok((message, taken)), Some((body, end))) => {
            assert!(leniencies.is_empty(), "the oracle takes {leniencies:?}, which it should not: mend the list");
            assert_eq!((message.status, *taken), (read.status, *end));
            assert_eq!(message.fields, named(&read.fields));
            assert_eq!(message.body, *body, "another body than the oracle sees");
        }
        // Trailers are bounded by number and by bytes; the oracle counts neither.
        (Ok((message, taken)), None) if message.trailers.len() > 64 || *taken > 8 * 1024 => {}
        (Ok(_), None) => panic!("the oracle sees a body that the codec does not"),
        (Err(Stop::More), Some(_)) => panic!("the oracle waits for more where the codec is done"),
        (Err(Stop::Wrong(why)), Some(_)) => assert!(!leniencies.is_empty(), "the codec takes what is wrong: {why}"),
        (Err(_), None) => {}
    }
}

fn of_answer(read: &Answer) -> Vec<Leniency> {
    let mut found = Vec::new();
    let fields = named(&read.fields);
    let all = |wanted: &str| fields.iter().any(|(name, _)| name == wanted);
    let framed = all("content-length") || all("transfer-encoding");
    let codings = fields.iter().filter(|(name, _)| name == "transfer-encoding");
    for (leniency, applies) in [
        (Leniency::NoBlankBehindStatus, !read.has_blank),
        (Leniency::FramingOfNothing, framed && (read.status < 200 || read.status == 204)),
        (Leniency::Field, fields.iter().any(|(name, value)| is_for_a_stage(name, value, false))),
        (Leniency::CodingCase, codings.into_iter().any(|(_, value)| value != "chunked")),
    ] {
        found.extend(applies.then_some(leniency));
    }
    // An answer may have trailers, which the oracle keeps apart.
    found.extend(read.chunks.iter().flat_map(of_chunks).filter(|found| *found != Leniency::Trailers));
    found
}

/// As the oracle writes fields.
fn named(fields: &[(Vec<u8>, Vec<u8>)]) -> Vec<(String, String)> {
    let latin = |bytes: &[u8]| bytes.iter().copied().map(char::from).collect::<String>();
    fields.iter().map(|(name, value)| (latin(name).to_ascii_lowercase(), latin(value))).collect()
}
