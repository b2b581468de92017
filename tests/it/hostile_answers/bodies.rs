//! Bodies of answers that are not what their head says: a client never sees one of them as whole.

use super::{Ask, Hostile, Then, latin};

fn chunked(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{body}")
}

/// Bodies in bad chunks. Each character is one byte.
const BAD: [&str; 40] = [
    "zz\r\nok\r\n0\r\n\r\n",
    "\r\nok\r\n0\r\n\r\n",
    "-2\r\nok\r\n0\r\n\r\n",
    "+2\r\nok\r\n0\r\n\r\n",
    "0x2\r\nok\r\n0\r\n\r\n",
    " 2\r\nok\r\n0\r\n\r\n",
    "2 2\r\nok\r\n0\r\n\r\n",
    "2,\r\nok\r\n0\r\n\r\n",
    "2.0\r\nok\r\n0\r\n\r\n",
    "2\u{0}\r\nok\r\n0\r\n\r\n",
    "2\u{b}\r\nok\r\n0\r\n\r\n",
    "2\nok\r\n0\r\n\r\n",
    "2\rok\r\n0\r\n\r\n",
    "2\r\r\nok\r\n0\r\n\r\n",
    "2\r\nok\n0\r\n\r\n",
    "2\r\nok\r0\r\n\r\n",
    "2\r\nok0\r\n\r\n",
    "2\r\nok \r\n0\r\n\r\n",
    "3\r\nok\r\n0\r\n\r\n",
    "1\r\nok\r\n0\r\n\r\n",
    "fffffffffffffffff\r\nok\r\n0\r\n\r\n",
    "10000000000000002\r\nok\r\n0\r\n\r\n",
    "00000000000000002\r\nok\r\n0\r\n\r\n",
    "2\r\nok\r\n0\n\r\n",
    "2\r\nok\r\n0\r\n\n",
    "2\r\nok\r\n0\r\r\n\r\n",
    "2\r\nok\r\n-0\r\n\r\n",
    "2\r\nok\r\n0\r\nx\r\n\r\n",
    "2\r\nok\r\n0\r\n: x\r\n\r\n",
    "2\r\nok\r\n0\r\nx a: b\r\n\r\n",
    "2\r\nok\r\n0\r\nx: \u{0}\r\n\r\n",
    "2\r\nok\r\n0\r\nx: a\nb: c\r\n\r\n",
    "2\r\nok\r\n0\r\nHTTP/1.1 200 OK\r\n\r\n",
    "2;a\nb\r\nok\r\n0\r\n\r\n",
    "2;a\rb\r\nok\r\n0\r\n\r\n",
    "2;a\u{0}\r\nok\r\n0\r\n\r\n",
    "2\r\nok\r\n00000000000000000\r\n\r\n",
    "HTTP/1.1 200 OK\r\n\r\n",
    "ok",
    "2\r\nok\r\n\r\n0\r\n\r\n",
];

pub(super) fn cases() -> Vec<Hostile> {
    let mut cases = Vec::new();
    for body in BAD {
        let name = format!("chunks {}", body.escape_default());
        cases.push(Hostile::cut(name, latin(&chunked(body))).then(Then::Close));
    }
    for (name, body) in [
        ("a huge chunk", "7fffffffffffffff\r\nok".to_owned()),
        ("the hugest chunk", "ffffffffffffffff\r\nok".to_owned()),
        ("a chunk that wraps", "2\r\nok\r\nfffffffffffffffe\r\nok".to_owned()),
        ("an extension of 300", format!("2;{}\r\nok\r\n0\r\n\r\n", "a".repeat(300))),
        ("an extension of 64 KiB", format!("2;{}\r\nok\r\n0\r\n\r\n", "a".repeat(65_536))),
        ("a last extension of 64 KiB", format!("2\r\nok\r\n0;{}\r\n\r\n", "a".repeat(65_536))),
        ("a size of 64 KiB", format!("{}2\r\nok\r\n0\r\n\r\n", "0".repeat(65_536))),
        ("a trailer of 256 KiB", format!("2\r\nok\r\n0\r\nx: {}\r\n\r\n", "a".repeat(256 << 10))),
        ("ten thousand trailers", format!("2\r\nok\r\n0\r\n{}\r\n", "x: y\r\n".repeat(10_000))),
    ] {
        cases.push(Hostile::cut(name, chunked(&body)).then(Then::Close));
    }
    let whole = "2\r\nok\r\n1\r\n!\r\n0\r\n\r\n";
    for length in 0..whole.len() {
        let part = &whole[..length];
        let then = if length % 2 == 0 { Then::Close } else { Then::Reset };
        cases.push(Hostile::cut(format!("chunks cut behind {length} bytes"), chunked(part)).then(then));
    }
    for (sent, said) in [(0, 1_u64), (0, 100), (1, 2), (10, 11), (10, 1_000_000_000_000)] {
        for then in [Then::Close, Then::Reset] {
            let bytes = format!("HTTP/1.1 200 OK\r\ncontent-length: {said}\r\n\r\n{}", "x".repeat(sent));
            let how = if then == Then::Close { "closed" } else { "reset" };
            cases.push(Hostile::cut(format!("{how} behind {sent} of {said} bytes"), bytes.clone()).then(then));
            let name = format!("{how} behind {sent} of {said} bytes of a POST");
            cases.push(Hostile::cut(name, bytes).then(then).ask(Ask::Post));
        }
    }
    let until_end = "HTTP/1.1 200 OK\r\n\r\nhalf of it".to_owned();
    cases.push(Hostile::cut("reset in place of the end", until_end).then(Then::Reset));
    for (name, body) in [
        ("a short extension", "2;a=b\r\nok\r\n0;c\r\n\r\n"),
        ("zeros in front of a size", "0002\r\nok\r\n000\r\n\r\n"),
        ("a blank behind a size", "2 \r\nok\r\n0 \r\n\r\n"),
    ] {
        cases.push(Hostile::either(name, chunked(body), 200, "ok").kept());
    }
    for (name, trailers) in [
        ("a trailer", "x-a: forged\r\n"),
        ("a trailer that would be a length", "content-length: 0\r\n"),
        ("a trailer that would be an encoding", "transfer-encoding: chunked\r\n"),
        ("a trailer that would be a cookie", "set-cookie: forged\r\n"),
        ("a trailer that would be a reason", "x-postern-reason: forged\r\n"),
        ("a trailer that would end the connection", "connection: close\r\n"),
    ] {
        let bytes = chunked(&format!("2\r\nok\r\n0\r\n{trailers}\r\n"));
        cases.push(Hostile::either(name, bytes, 200, "ok").kept());
    }
    let announced = chunked("2\r\nok\r\n0\r\nx-a: forged\r\n\r\n").replacen("OK\r\n", "OK\r\ntrailer: x-a\r\n", 1);
    cases.push(Hostile::clean("an announced trailer", announced, 200, "ok").kept());
    cases
}
