//! What is right, if sometimes rare: it arrives once and to the letter, however it is sent.

use postern_tests::Case;

use super::{TARGET, get, post_sized, with_line};

/// Values and fields that a client may send.
const FIELDS: [(&str, &str); 34] = [
    ("accept", "*/*"),
    ("accept", "text/html, application/xhtml+xml;q=0.9, image/avif"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("accept-language", "de-CH, fr;q=0.9, *;q=0.1"),
    ("authorization", "Bearer abc.def-ghi_jkl~+/="),
    ("authorization", "Basic dXNlcjp3b3Jk"),
    ("cookie", "a=b; c=\"d e\"; f=g=h"),
    ("cookie", "a=b; a=c"),
    ("content-type", "multipart/form-data; boundary=\"a b:c\""),
    ("date", "Tue, 15 Nov 1994 08:12:31 GMT"),
    ("if-none-match", "W/\"a\", \"b\""),
    ("if-modified-since", "Sat, 29 Oct 1994 19:43:31 GMT"),
    ("range", "bytes=0-499, -500"),
    ("referer", "http://other.example.org/a?b#c"),
    ("origin", "null"),
    ("user-agent", "Mozilla/5.0 (X11; Linux x86_64) a/1.0 (b; (c))"),
    ("cache-control", "no-cache, max-age=0"),
    ("pragma", "no-cache"),
    ("x-empty", ""),
    ("x-colon", "a:b:c"),
    ("x-colons", ":::"),
    ("x-equals", "a=b;c=d,e"),
    ("x-quotes", "\"a\\\"b\""),
    ("x-braces", "{\"a\": [1, 2]}"),
    ("x-percent", "%0d%0aa: b"),
    ("x-backslash", "\\r\\n"),
    ("x-request", "GET / HTTP/1.1"),
    ("x-chunk", "0"),
    ("x-content-length", "5"),
    ("x-transfer-encoding", "chunked"),
    ("content-lengths", "5"),
    ("transfer-encodings", "chunked"),
    ("x", "y"),
    ("1", "2"),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (name, value) in FIELDS {
        let bytes = get(&format!("{name}: {value}\r\n"));
        cases.push(Case::forwarded(format!("{name}: {value}"), bytes, "GET", TARGET, "").keeps(name, value));
    }
    for (layout, field) in [
        ("no blank", "x-a:b"),
        ("a tab", "x-a:\tb"),
        ("blanks behind", "x-a: b   "),
        ("tabs and blanks", "x-a: \t b \t "),
        ("capitals", "X-A: b"),
    ] {
        let bytes = get(&format!("{field}\r\n"));
        cases.push(Case::forwarded(layout, bytes, "GET", TARGET, "").keeps("x-a", "b"));
    }
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        let bytes = with_line(&format!("{method} {TARGET}/m HTTP/1.1"));
        cases.push(Case::forwarded(format!("{method} without a body"), bytes, method, &format!("{TARGET}/m"), ""));
        if method != "HEAD" {
            let bytes = post_sized("", "hello").replacen("POST", method, 1);
            cases.push(Case::forwarded(format!("{method} with a body"), bytes, method, TARGET, "hello"));
        }
    }
    let all: Vec<u8> = (0..=255).collect();
    let head = super::post("content-length: 256\r\n", "").into_bytes();
    cases.push(Case::forwarded("every byte in a body", [head, all.clone()].concat(), "POST", TARGET, all));
    for size in [1, 1_000, 20_000] {
        let body = "x\r\n0\r\n\r\n".repeat(size / 8 + 1);
        cases.push(Case::forwarded(format!("a body of {}", body.len()), post_sized("", &body), "POST", TARGET, body));
    }
    cases
}
