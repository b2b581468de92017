//! Lengths and encodings of answers (RFC 9112 §6.3): who reads them otherwise gives a client somebody else's answer.

use super::{Ask, Hostile, Then, latin};

/// What stands in a body and must never be an answer.
const HIDDEN: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";

fn with(fields: &str, body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}\r\n{body}")
}

/// Values of `Content-Length` that are no number of bytes, or not one. Each character is one byte.
const LENGTHS: [&str; 24] = [
    "+2", "-2", "-0", "0x2", "2.0", "2e0", "2a", "a2", "two", "", " ", "\"2\"", "2 2", "2;", "2, 3", "3, 2", "2,",
    ",2", "2_0", "18446744073709551616", "18446744073709551618", "99999999999999999999999", "2\u{b}", "\u{d9}\u{a2}",
];

/// Values of `Transfer-Encoding` that are not `chunked`.
const ENCODINGS: [&str; 18] = [
    "gzip", "identity", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity, chunked", "xchunked",
    "chunkedx", "chunked;q=1", "\"chunked\"", "", "chun ked", "chunked\u{b}", "deflate", "br, chunked", "x",
    "chunked identity", "0",
];

pub(super) fn cases() -> Vec<Hostile> {
    let mut cases = Vec::new();
    for length in LENGTHS {
        let bytes = latin(&with(&format!("content-length: {length}\r\n"), "ok"));
        cases.push(Hostile::refused(format!("length {}", length.escape_default()), bytes).then(Then::Close));
    }
    for encoding in ENCODINGS {
        let fields = format!("transfer-encoding: {encoding}\r\n");
        let bytes = with(&fields, "2\r\nok\r\n0\r\n\r\n");
        cases.push(Hostile::refused(format!("encoding {}", encoding.escape_default()), bytes).then(Then::Close));
    }
    for (name, fields) in [
        ("a length before an encoding", "content-length: 12\r\ntransfer-encoding: chunked\r\n"),
        ("a length behind an encoding", "transfer-encoding: chunked\r\ncontent-length: 12\r\n"),
        ("a length of 0 before an encoding", "content-length: 0\r\ntransfer-encoding: chunked\r\n"),
        ("a length beside capitals", "Content-Length: 2\r\nTransfer-Encoding: Chunked\r\n"),
        ("a length beside identity", "content-length: 2\r\ntransfer-encoding: identity\r\n"),
        ("a length beside gzip", "content-length: 2\r\ntransfer-encoding: gzip\r\n"),
        ("a length beside two encodings", "content-length: 2\r\ntransfer-encoding: gzip, chunked\r\n"),
        ("a length beside an unknown one", "content-length: 2\r\ntransfer-encoding: xchunked\r\n"),
        ("a length beside an empty one", "content-length: 2\r\ntransfer-encoding:\r\n"),
        ("a length that is none beside an encoding", "content-length: x\r\ntransfer-encoding: chunked\r\n"),
        ("two lengths that differ", "content-length: 2\r\ncontent-length: 12\r\n"),
        ("two lengths that differ, the longer first", "content-length: 12\r\ncontent-length: 2\r\n"),
        ("a length and an empty one", "content-length: 2\r\ncontent-length:\r\n"),
        ("a length and no number", "content-length: 2\r\ncontent-length: x\r\n"),
        ("two encodings", "transfer-encoding: gzip\r\ntransfer-encoding: chunked\r\n"),
        ("an encoding twice", "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n"),
        ("an encoding and an empty one", "transfer-encoding: chunked\r\ntransfer-encoding:\r\n"),
        ("an encoding and identity", "transfer-encoding: chunked\r\ntransfer-encoding: identity\r\n"),
    ] {
        cases.push(Hostile::refused(name, with(fields, "2\r\nok\r\n0\r\n\r\n")).then(Then::Close));
        let hidden = with(fields, &format!("0\r\n\r\n{HIDDEN}"));
        cases.push(Hostile::refused(format!("{name}, and an answer"), hidden));
    }
    for (name, fields) in [
        ("a length twice", "content-length: 2\r\ncontent-length: 2\r\n"),
        ("a length in a list", "content-length: 2, 2\r\n"),
        ("a length with zeros", "content-length: 002\r\n"),
    ] {
        // RFC 9112 §6.3: may be taken as one number.
        cases.push(Hostile::either(name, with(fields, "ok"), 200, "ok").kept());
    }
    let old = "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    cases.push(Hostile::refused("an encoding in 1.0", old).then(Then::Close));
    let old = "HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    cases.push(Hostile::refused("an encoding in 1.0, kept", old));
    for ask in [Ask::Get, Ask::Post, Ask::Old] {
        let name = ["GET", "HEAD", "POST", "1.0"][ask as usize];
        for encoding in ["chunked", "Chunked", "CHUNKED"] {
            let bytes = with(&format!("transfer-encoding: {encoding}\r\n"), "2\r\nok\r\n0\r\n\r\n");
            cases.push(Hostile::clean(format!("{encoding} for {name}"), bytes, 200, "ok").ask(ask).kept());
        }
        let bytes = with("content-length: 2\r\n", "ok");
        cases.push(Hostile::clean(format!("a length for {name}"), bytes, 200, "ok").ask(ask).kept());
        let bytes = with("", "all of it");
        cases.push(
            Hostile::clean(format!("until the end for {name}"), bytes, 200, "all of it").ask(ask).then(Then::Close),
        );
        let bytes = with("connection: close\r\n", "all of it");
        let name = format!("until the announced end for {name}");
        cases.push(Hostile::clean(name, bytes, 200, "all of it").ask(ask).then(Then::Close));
    }
    cases
}
