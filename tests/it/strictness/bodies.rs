//! Bodies of requests that are refused for their head: read away to a bound, or the connection ends. What is in them is
//! never a request (`threats.md` C6).

use postern_tests::Case;

use super::{FIELDS, HIDDEN, TARGET};

/// Why a request is refused before its body is looked at: the request line, its fields, the status.
const REFUSED: [(&str, &str, &str, &[u16]); 7] = [
    ("an unknown host", "POST /c/mk0000000 HTTP/1.1", "host: other.example.org\r\nx-marker: mk0000000\r\n", &[421]),
    ("no host", "POST /c/mk0000000 HTTP/1.1", "x-marker: mk0000000\r\n", &[400]),
    ("an odd path", "POST /c/mk0000000/../x HTTP/1.1", FIELDS, &[400]),
    ("an odd name", "POST /c/mk0000000 HTTP/1.1", "host: api.example.com\r\nx-marker: mk0000000\r\nx_a: 1\r\n", &[400]),
    ("TRACE", "TRACE /c/mk0000000 HTTP/1.1", FIELDS, &[400, 405, 501]),
    ("CONNECT", "CONNECT api.example.com:80 HTTP/1.1", FIELDS, &[400, 405, 501]),
    ("all of the server", "OPTIONS * HTTP/1.1", FIELDS, &[400]),
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (why, line, fields, statuses) in REFUSED {
        for requests in [1, 40, 700, 2_500] {
            let body = HIDDEN.repeat(requests);
            let length = body.len();
            let sized = format!("{line}\r\n{fields}content-length: {length}\r\n\r\n{body}");
            cases.push(Case::declined(format!("{why}, {length} bytes"), sized, statuses));
            let chunked =
                format!("{line}\r\n{fields}transfer-encoding: chunked\r\n\r\n{length:x}\r\n{body}\r\n0\r\n\r\n");
            cases.push(Case::declined(format!("{why}, {length} bytes in a chunk"), chunked, statuses));
        }
        let bad = format!("{line}\r\n{fields}transfer-encoding: chunked\r\n\r\nzz\r\n{HIDDEN}");
        cases.push(Case::broken(format!("{why}, a bad chunk"), bad));
        let expecting =
            format!("{line}\r\n{fields}expect: 100-continue\r\ncontent-length: {}\r\n\r\n{HIDDEN}", HIDDEN.len());
        cases.push(Case::declined(format!("{why}, and an expectation"), expecting, statuses));
    }
    // Announced as more than a body may have; what comes of it is still a body.
    let line = format!("POST {TARGET} HTTP/1.1\r\n{FIELDS}");
    for (name, framing) in [
        ("too long by a byte", "content-length: 10485761\r\n\r\n"),
        ("too long by far", "content-length: 999999999999\r\n\r\n"),
        ("too long and expected", "expect: 100-continue\r\ncontent-length: 999999999999\r\n\r\n"),
    ] {
        cases.push(Case::declined(name, format!("{line}{framing}{HIDDEN}"), &[413]));
    }
    let huge = format!("{line}transfer-encoding: chunked\r\n\r\nfffffff\r\n{HIDDEN}");
    cases.push(Case::broken("a chunk too long by far", huge));
    cases
}
