//! A length and an encoding in one head (RFC 9112 §6.1): whoever believes the other one sees another message.

use postern_tests::Case;

use super::{HIDDEN, post};

/// Encodings in spellings that somebody, somewhere, takes for `chunked`.
const ENCODINGS: [&str; 30] = [
    "transfer-encoding: chunked\r\n",
    "Transfer-Encoding: chunked\r\n",
    "TRANSFER-ENCODING: CHUNKED\r\n",
    "transfer-encoding:chunked\r\n",
    "transfer-encoding:\tchunked\r\n",
    "transfer-encoding: chunked \t\r\n",
    "transfer-encoding : chunked\r\n",
    "transfer-encoding\t: chunked\r\n",
    "x-a: b\r\n transfer-encoding: chunked\r\n",
    "transfer-encoding: xchunked\r\n",
    "transfer-encoding: identity\r\n",
    "transfer-encoding: gzip, chunked\r\n",
    "transfer-encoding: chunked, identity\r\n",
    "transfer-encoding: ,chunked\r\n",
    "transfer-encoding: \"chunked\"\r\n",
    "transfer-encoding: chunked;q=1\r\n",
    "transfer-encoding:\r\n chunked\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: x\r\ntransfer-encoding: chunked\r\n",
    "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n",
    "transfer-encoding:\r\n",
    "transfer-encoding: chunked\u{b}\r\n",
    "transfer-encoding: \u{b}chunked\r\n",
    "transfer-encoding: \u{0}chunked\r\n",
    "x-a: b\ntransfer-encoding: chunked\r\n",
    "x-a: b\rtransfer-encoding: chunked\r\n",
    "transfer-encoding: chunk\r\n",
    "transfer-encoding\u{0}: chunked\r\n",
    "transfer-encoding: chunked\r\n\r: x\r\n",
    "\u{1}transfer-encoding: chunked\r\n",
];

pub(super) fn cases() -> Vec<Case> {
    // By its length the first body holds the hidden request, by its chunks it ends in front of it; for the second
    // it is the other way round.
    let behind = format!("0\r\n\r\n{HIDDEN}");
    let within = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let mut cases = Vec::new();
    for encoding in ENCODINGS {
        let long = format!("content-length: {}\r\n", behind.len());
        for (body, length) in [(&behind, long.as_str()), (&within, "Content-Length: 4\r\n")] {
            let what = length.trim();
            let name = encoding.escape_default();
            cases.push(Case::refused(format!("{name} behind {what}"), post(&format!("{length}{encoding}"), body)));
            cases.push(Case::refused(format!("{name} before {what}"), post(&format!("{encoding}{length}"), body)));
        }
    }
    for (length, encoding) in
        [("0", "chunked"), ("5", "chunked"), ("+5", "chunked"), ("5, 5", "chunked"), ("", "chunked")]
    {
        let fields = format!("content-length: {length}\r\ntransfer-encoding: {encoding}\r\n");
        cases.push(Case::refused(
            format!("{encoding} with length {length:?}"),
            post(&fields, "5\r\nhello\r\n0\r\n\r\n"),
        ));
        let apart = format!("content-length: {length}\r\nx-a: b\r\nx-b: c\r\ntransfer-encoding: {encoding}\r\n");
        let name = format!("{encoding} apart from length {length:?}");
        cases.push(Case::refused(name, post(&apart, "5\r\nhello\r\n0\r\n\r\n")));
    }
    cases
}
