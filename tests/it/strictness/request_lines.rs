//! Request lines: a method, a target and a version with one blank between them (RFC 9112 §3).

use postern_tests::Case;

use super::{FIELDS, HIDDEN, TARGET, get, post_sized, with_line};

/// Versions that this is not, or that are none.
const VERSIONS: [&str; 46] = [
    "", "HTTP", "HTTP/", "HTTP/1", "HTTP/1.", "HTTP/.1", "HTTP/11", "HTTP/1.10", "HTTP/1.11", "HTTP/01.1", "HTTP/1.01",
    "HTTP/1.1.1", "HTTP/1,1", "HTTP/1:1", "HTTP/1-1", "HTTP/a.b", "HTTP/1.x", "HTTP/x.1", "HTTP/-1.1", "HTTP/+1.1",
    "HTTP/0.9", "HTTP/0.0", "HTTP/0.1", "HTTP/2.0", "HTTP/2", "HTTP/2.1", "HTTP/3", "HTTP/3.0", "HTTP/9.9", "http/1.1",
    "Http/1.1", "HTTp/1.1", "HTTPS/1.1", "HTTP /1.1", "HTTP/ 1.1", "HTTP/1 .1", "HTTP/1. 1", "HTTP\\1.1", "FTP/1.1",
    "RTSP/1.0", "HTTP/1.1HTTP/1.1", "HTTP/1.1 HTTP/1.1", "HTTP/1.1;", "HTTP/1.1,", "XHTTP/1.1", "HTTP//1.1",
];

/// Lines that are none.
const LINES: [&str; 36] = [
    "GET  /c/mk0000000 HTTP/1.1", "GET /c/mk0000000  HTTP/1.1", "GET   /c/mk0000000   HTTP/1.1",
    "GET\t/c/mk0000000 HTTP/1.1", "GET /c/mk0000000\tHTTP/1.1", "GET\t/c/mk0000000\tHTTP/1.1",
    "GET \t/c/mk0000000 HTTP/1.1", "GET /c/mk0000000 HTTP/1.1 ", "GET /c/mk0000000 HTTP/1.1  ",
    "GET /c/mk0000000 HTTP/1.1\t", " GET /c/mk0000000 HTTP/1.1", "\tGET /c/mk0000000 HTTP/1.1",
    "  GET /c/mk0000000 HTTP/1.1", "GET  HTTP/1.1", "GET HTTP/1.1", "GET", "GET ", " /c/mk0000000 HTTP/1.1",
    "/c/mk0000000 HTTP/1.1", "/c/mk0000000", "HTTP/1.1", "HTTP/1.1 200 OK", "GET /c/mk0000000 x HTTP/1.1",
    "GET /c/mk0000000 /x HTTP/1.1", "GET POST /c/mk0000000 HTTP/1.1", "GET /c/mk0000000 HTTP/1.1 x",
    "GET /c/mk0000000 HTTP/1.1 host: x", "GET, /c/mk0000000 HTTP/1.1", "GET:/c/mk0000000 HTTP/1.1",
    "\"GET\" /c/mk0000000 HTTP/1.1", "host: api.example.com", ": x", "\u{16}\u{3}\u{1}", "{\"a\": 1}",
    "GET/c/mk0000000 HTTP/1.1", "GET /c/mk0000000HTTP/1.1",
];

const NO_TOKEN: &str = "\"(),/:;<=>?@[\\]{}";

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for version in VERSIONS {
        let line = format!("GET {TARGET} {version}");
        cases.push(Case::refused(format!("version {version:?}"), with_line(line.trim_end())));
        let post = post_sized("", HIDDEN).replacen("HTTP/1.1", version, 1);
        cases.push(Case::refused(format!("POST, version {version:?}"), post));
    }
    for line in LINES {
        cases.push(Case::refused(line.escape_default().to_string(), with_line(line)));
    }
    for c in NO_TOKEN.chars() {
        cases.push(Case::refused(format!("{c:?} in the method"), with_line(&format!("G{c}T {TARGET} HTTP/1.1"))));
    }
    for version in ["HTTP/1.2", "HTTP/1.9"] {
        // RFC 9110 §2.5: a higher minor version is to be read as the highest known one.
        cases.push(Case::either(format!("version {version}"), with_line(&format!("GET {TARGET} {version}"))));
    }
    cases.push(Case::either("version 1.0", with_line(&format!("GET {TARGET} HTTP/1.0"))));
    let kept = format!("GET {TARGET} HTTP/1.0\r\n{FIELDS}connection: keep-alive\r\n\r\n");
    cases.push(Case::either("version 1.0, kept", kept));
    for (name, front) in [("an empty line", "\r\n"), ("two empty lines", "\r\n\r\n"), ("nine empty lines", EMPTY)] {
        cases.push(Case::either(format!("{name} in front"), format!("{front}{}", get(""))));
        cases.push(Case::either(format!("{name} in front of a body"), format!("{front}{}", post_sized("", "hello"))));
    }
    for (name, front) in
        [("LF", "\n"), ("CR LF LF", "\r\n\n"), ("LF CR LF", "\n\r\n"), ("SP CR LF", " \r\n"), ("CR CR LF", "\r\r\n")]
    {
        cases.push(Case::refused(format!("{name} in front"), format!("{front}{}", get(""))));
    }
    let long = "X".repeat(300);
    for method in
        ["get", "Get", "post", "options", "PROPFIND", "M-SEARCH", "PURGE", "!#$%&'*+-.^_`|~", "A", "0", "TRACK", &long]
    {
        let name: String = method.chars().take(20).collect();
        cases.push(Case::either(format!("method {name}"), with_line(&format!("{method} {TARGET} HTTP/1.1"))));
    }
    for (method, length) in [("GET", 5), ("get", 5), ("PURGE", HIDDEN.len())] {
        let body = &HIDDEN[..length];
        let bytes = format!("{method} {TARGET} HTTP/1.1\r\n{FIELDS}content-length: {length}\r\n\r\n{body}");
        cases.push(Case::either(format!("method {method} with {length} bytes"), bytes));
    }
    cases
}

const EMPTY: &str = "\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n\r\n";
