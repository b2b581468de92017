//! Trailers: read, bounded, and let go. Whoever takes one for a field is told a length, a host or a user by it.

use postern_tests::Case;

use super::{HIDDEN, TARGET, get, latin, post};

/// Good as fields, and never to arrive. Some must not be trailers at all (RFC 9110 §6.5.1), and may be refused.
const FIELDS: [&str; 20] = [
    "host: forged", "authorization: forged", "cookie: forged", "set-cookie: forged", "content-length: 5",
    "content-length: 0", "transfer-encoding: chunked", "content-type: forged", "content-encoding: forged",
    "connection: close", "te: forged", "trailer: forged", "upgrade: forged", "expect: 100-continue",
    "x-user-id: forged", "x-forwarded-for: forged", "x-request-id: forged", "cache-control: forged", "via: forged",
    "x_user: forged",
];

/// No fields. Each character is one byte.
const BAD: [&str; 18] = [
    "x-a : 1", " x-a: 1", "\tx-a: 1", ": 1", "x-a", "x a: 1", "x-a: 1\u{0}", "x-a: \u{1}", "x-a\u{0}: 1",
    "x-a: 1\nx-b: 2", "x-a: 1\rx-b: 2", "x-a: 1\r", "\nx-a: 1", "x-a: 1\r\n 2", "x-a: 1\r\n\t2", "(x): 1",
    "x\u{e9}: 1", "GET / HTTP/1.1",
];

fn with_trailers(fields: &str, trailers: &str) -> Vec<u8> {
    let fields = format!("transfer-encoding: chunked\r\n{fields}");
    latin(&post(&fields, &format!("5\r\nhello\r\n0\r\n{trailers}\r\n")))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for field in FIELDS {
        let trailer = format!("{field}\r\n");
        cases.push(Case::either(format!("{field} as a trailer"), with_trailers("", &trailer)));
        let name = field.split(':').next().unwrap();
        let announced = with_trailers(&format!("trailer: {name}\r\nte: trailers\r\n"), &trailer);
        cases.push(Case::either(format!("{field} as a trailer that is announced"), announced));
    }
    for bad in BAD {
        let name = bad.escape_default();
        cases.push(Case::broken(format!("{name} as a trailer"), with_trailers("", &format!("{bad}\r\n"))));
        let second = with_trailers("", &format!("x-z: 1\r\n{bad}\r\n"));
        cases.push(Case::broken(format!("{name} as a second trailer"), second));
    }
    for (name, trailers) in [
        ("a trailer of 64 KiB", format!("x-a: {}\r\n", "a".repeat(65_536))),
        ("64 KiB of trailers", "x-a: aaaaaaaa\r\n".repeat(4_400)),
        ("a thousand trailers", "x-a: b\r\n".repeat(1_000)),
    ] {
        cases.push(Case::broken(name, with_trailers("", &trailers)));
    }
    // Sixty-four of them, and 8 KiB with the empty line behind them.
    let many = |fields: usize| with_trailers("", &"x-a: b\r\n".repeat(fields));
    cases.push(Case::forwarded("right: 64 trailers", many(64), "POST", TARGET, "hello"));
    cases.push(Case::broken("65 trailers", many(65)));
    let long = |bytes: usize| with_trailers("", &format!("x-a: {}\r\n", "a".repeat(bytes - "x-a: \r\n\r\n".len())));
    cases.push(Case::forwarded("right: 8 KiB of trailers", long(8_192), "POST", TARGET, "hello"));
    cases.push(Case::broken("8 KiB of trailers and a byte", long(8_193)));
    cases.push(Case::broken("trailers without end", with_trailers("", "x-a: 1")).cut());
    for (name, fields, trailers) in [
        ("one", "", "x-a: forged\r\n"),
        ("two alike", "", "x-a: forged\r\nx-a: forged\r\n"),
        ("one that is announced", "trailer: x-a\r\n", "x-a: forged\r\n"),
        ("one that is announced and asked for", "te: trailers\r\ntrailer: x-a\r\n", "x-a: forged\r\n"),
        ("an empty one", "", "x-a:\r\n"),
        ("an announced one that does not come", "trailer: x-a\r\n", ""),
    ] {
        let bytes = with_trailers(fields, trailers);
        cases.push(Case::forwarded(format!("right: {name}"), bytes, "POST", TARGET, "hello"));
    }
    let hidden = format!("{}5\r\nhello\r\n0\r\nx-a: b\r\n{HIDDEN}", get("transfer-encoding: chunked\r\n"));
    cases.push(Case::broken("a request as a trailer", hidden));
    cases
}
