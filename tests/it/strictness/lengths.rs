//! `Content-Length`: digits, once (RFC 9112 §6.3, RFC 9110 §8.6).

use postern_tests::Case;

use super::{HIDDEN, TARGET, get, latin, post};

/// Values that somebody takes for 5, or for nothing. Each character is one byte.
const OTHERS: [&str; 54] = [
    "+5",
    "-5",
    "-0",
    "+0",
    "0x5",
    "0X5",
    "0b101",
    "0o5",
    "5,5",
    "5, 5",
    "5, 6",
    "6, 5",
    "5,",
    ",5",
    "5;",
    "5;a=b",
    "5 5",
    "5\t5",
    "5.0",
    "5e0",
    "5_0",
    "5a",
    "a5",
    "five",
    "\"5\"",
    "'5'",
    "(5)",
    "#5",
    "5#",
    "5%",
    "%35",
    "5/5",
    "",
    " ",
    "\t",
    "5\u{0}",
    "\u{0}5",
    "5\u{b}",
    "\u{b}5",
    "5\u{c}",
    "5\u{7f}",
    "5\u{80}",
    "\u{a0}5",
    "\u{ef}\u{bc}\u{95}",
    "\u{d9}\u{a5}",
    "18446744073709551616",
    "18446744073709551621",
    "99999999999999999999999999",
    "36893488147419103237",
    "340282366920938463463374607431768211461",
    "-18446744073709551611",
    "4294967301x",
    "NaN",
    "inf",
];

/// Several fields, or one over several lines.
const SEVERAL: [&str; 18] = [
    "content-length: 5\r\ncontent-length: 5\r\n",
    "content-length: 5\r\ncontent-length: 5\r\ncontent-length: 5\r\n",
    "content-length: 5\r\nContent-Length: 5\r\n",
    "content-length: 5\r\ncontent-length: 6\r\n",
    "content-length: 6\r\ncontent-length: 5\r\n",
    "content-length: 0\r\ncontent-length: 5\r\n",
    "content-length: 5\r\ncontent-length: 0\r\n",
    "content-length: 5\r\ncontent-length: 05\r\n",
    "content-length: 5\r\ncontent-length:\r\n",
    "content-length:\r\ncontent-length: 5\r\n",
    "content-length: 5\r\nx-a: b\r\ncontent-length: 5\r\n",
    "content-length: 5\r\ncontent-length: x\r\n",
    "content-length:\r\n 5\r\n",
    "content-length:\r\n\t5\r\n",
    "content-length: \r\n 5\r\n",
    "content-length: 5\r\n 5\r\n",
    "content-length : 5\r\n",
    "content-length\t: 5\r\n",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for other in OTHERS {
        let fields = format!("content-length: {other}\r\n");
        let name = other.escape_default();
        cases.push(Case::refused(format!("POST of {name}"), latin(&post(&fields, "hello"))));
        cases.push(Case::refused(format!("GET of {name}"), latin(&get(&fields))));
    }
    for fields in SEVERAL {
        cases.push(Case::refused(fields.escape_default().to_string(), post(fields, "hello")));
        let name = format!("{} and a request", fields.escape_default());
        cases.push(Case::refused(name, post(fields, &format!("hello{HIDDEN}"))));
    }
    for zeros in ["05", "005", "0000000000000005", "000000000000000000000005"] {
        let fields = format!("content-length: {zeros}\r\n");
        cases.push(Case::either(format!("a length {zeros}"), post(&fields, "hello")));
    }
    cases.push(Case::either("a length 00", get("content-length: 00\r\n")));
    // One number, and more than a body may have.
    for huge in ["10485761", "4294967301", "9223372036854775807", "9223372036854775808", "18446744073709551615"] {
        let fields = format!("content-length: {huge}\r\n");
        cases.push(Case::declined(format!("a length {huge}"), post(&fields, HIDDEN), &[400, 413]));
    }
    for length in [1, 6, 100, 1_000] {
        let body = &"hello"[..5.min(length - 1)];
        let name = format!("{} of {length} bytes", body.len());
        cases.push(Case::broken(name, post(&format!("content-length: {length}\r\n"), body)).cut());
    }
    for (fields, body) in [
        ("content-length: 5\r\n", "hello"),
        ("CONTENT-LENGTH: 5\r\n", "hello"),
        ("content-length:5\r\n", "hello"),
        ("content-length:\t5\t\r\n", "hello"),
        ("content-length:   5   \r\n", "hello"),
        ("content-length: 0\r\n", ""),
        ("", ""),
    ] {
        let name = format!("right: {}", fields.escape_default());
        cases.push(Case::forwarded(name, post(fields, body), "POST", TARGET, body));
    }
    let hidden = post(&format!("content-length: {}\r\n", HIDDEN.len()), HIDDEN);
    cases.push(Case::forwarded("a body that looks like a request", hidden, "POST", TARGET, HIDDEN));
    cases.push(Case::forwarded(
        "a GET with a body",
        format!("{}hello", get("content-length: 5\r\n")),
        "GET",
        TARGET,
        "hello",
    ));
    cases
}
