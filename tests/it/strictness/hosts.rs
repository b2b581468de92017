//! `Host`: once, a plain name that is listed, with at most a port (RFC 9112 §3.2, RFC 9110 §7.2).

use postern_tests::Case;

use super::{HIDDEN, TARGET, latin};

/// Values that are no name with at most a port, or another one. Each character is one byte.
const VALUES: [&str; 84] = [
    "", " ", "a b", "api.example.com api.example.com", "api.example.com other", "api.example.com,api.example.com",
    "api.example.com, other.example.org", "api.example.com;a", "api.example.com/", "api.example.com/c",
    "/api.example.com", "//api.example.com", "http://api.example.com", "http://api.example.com/",
    "user@api.example.com", "user:word@api.example.com", "@api.example.com", "api.example.com@",
    "api.example.com@other.example.org", "other.example.org@api.example.com", "api.example.com?a", "api.example.com#a",
    "api.example.com\\", "api.example.com\\@other", "\"api.example.com\"", "'api.example.com'", "(api.example.com)",
    "<api.example.com>", "{api.example.com}", ":80", ":", "api.example.com:0", "api.example.com:65536",
    "api.example.com:99999", "api.example.com:100000", "api.example.com:000000080", "api.example.com:-1",
    "api.example.com:+80", "api.example.com:80a", "api.example.com:a", "api.example.com:0x50", "api.example.com:80:80",
    "api.example.com:80,80", "api.example.com:80/", "api.example.com: 80", "api.example.com :80",
    "api.example.com:8 0", "api.example.com:80@other", "[::1]", "[::1]:80", "[::ffff:127.0.0.1]", "::1",
    "[fe80::1%25lo]", "[api.example.com]", "[", "]", "[]", "127.0.0.1", "127.0.0.1:80", "127.1", "2130706433",
    "0x7f000001", "0177.0.0.1", "169.254.169.254", "api.example.com.", "api.example.com.:80", ".api.example.com",
    "api..example.com", ".", "..", "api%2eexample.com", "%61pi.example.com", "api.example.com%00",
    "api.example.com%0d%0a", "api_.example.com", "api.exam_ple.com", "_.api.example.com", "*", "*.api.example.com",
    "-.api.example.com", "-a.api.example.com", "a-.api.example.com", "b\u{fc}cher.example.com",
    "api.example.com\u{a0}",
];

/// Names that are names, and not answered here.
const OTHERS: [&str; 12] = [
    "other.example.org", "example.com", "com", "localhost", "a.b.api.example.com", "api.example.com.other.example.org",
    "xapi.example.com", "api-example.com", "api.example.co", "xn--bcher-kva.example.com", "internal", "metadata",
];

/// Several fields, or none.
const SEVERAL: [(&str, &str); 14] = [
    ("none", ""),
    ("two alike", "host: api.example.com\r\nhost: api.example.com\r\n"),
    ("two alike in another case", "host: api.example.com\r\nHOST: API.EXAMPLE.COM\r\n"),
    ("two that differ", "host: api.example.com\r\nhost: other.example.org\r\n"),
    ("two that differ, the other first", "host: other.example.org\r\nhost: api.example.com\r\n"),
    ("an empty one behind", "host: api.example.com\r\nhost:\r\n"),
    ("an empty one in front", "host:\r\nhost: api.example.com\r\n"),
    ("two with a port", "host: api.example.com\r\nhost: api.example.com:80\r\n"),
    ("two apart", "host: api.example.com\r\nx-a: b\r\nhost: api.example.com\r\n"),
    ("three", "host: api.example.com\r\nhost: api.example.com\r\nhost: api.example.com\r\n"),
    ("two answered hosts", "host: api.example.com\r\nhost: www.api.example.com\r\n"),
    ("only another name", "x-forwarded-host: api.example.com\r\n"),
    ("only one that connection names", "connection: host\r\n"),
    ("two wrong ones", "host: a b\r\nhost: c d\r\n"),
];

fn get(fields: &str) -> Vec<u8> {
    latin(&format!("GET {TARGET} HTTP/1.1\r\n{fields}x-marker: mk0000000\r\n\r\n"))
}

fn post(fields: &str) -> Vec<u8> {
    let length = HIDDEN.len();
    latin(&format!("POST {TARGET} HTTP/1.1\r\n{fields}x-marker: mk0000000\r\ncontent-length: {length}\r\n\r\n{HIDDEN}"))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for value in VALUES {
        let fields = format!("host: {value}\r\n");
        let name = value.escape_default();
        cases.push(Case::declined(format!("GET of {name}"), get(&fields), &[400, 421]));
        cases.push(Case::declined(format!("POST of {name}"), post(&fields), &[400, 421]));
    }
    for value in OTHERS {
        let fields = format!("host: {value}\r\n");
        cases.push(Case::declined(format!("GET of {value}"), get(&fields), &[421]));
        cases.push(Case::declined(format!("POST of {value}"), post(&fields), &[421]));
        cases.push(Case::declined(format!("{value} with a port"), get(&format!("host: {value}:80\r\n")), &[421]));
    }
    for (name, fields) in SEVERAL {
        cases.push(Case::declined(format!("GET with {name}"), get(fields), &[400]));
        cases.push(Case::declined(format!("POST with {name}"), post(fields), &[400]));
        let old = String::from_utf8(get(fields)).unwrap().replace("HTTP/1.1", "HTTP/1.0");
        cases.push(Case::declined(format!("1.0 with {name}"), old, &[400, 421, 426, 505]));
        let absolute = String::from_utf8(get(fields)).unwrap();
        let absolute = absolute.replace(" /c", " http://api.example.com/c");
        cases.push(Case::declined(format!("absolute with {name}"), absolute, &[400]));
    }
    for label in [64, 200] {
        let fields = format!("host: {}.api.example.com\r\n", "a".repeat(label));
        cases.push(Case::declined(format!("a label of {label}"), get(&fields), &[400, 421]));
    }
    for bytes in [254, 1_000, 8_000] {
        let fields = format!("host: {}api.example.com\r\n", "a.".repeat(bytes / 2));
        cases.push(Case::declined(format!("{bytes} bytes"), get(&fields), &[400, 421]));
    }
    for (name, fields) in
        [("in the next line", "host:\r\n api.example.com\r\n"), ("continued", "host: api.\r\n example.com\r\n")]
    {
        cases.push(Case::refused(name, get(fields)));
    }
    // Leading zeros of a port say nothing else, and nobody writes them.
    cases.push(Case::either("port 080", get("host: api.example.com:080\r\n")));
    cases.push(Case::either("an empty port", get("host: api.example.com:\r\n")));
    for (name, fields) in [
        ("plain", "host: api.example.com\r\n"),
        ("in capitals", "HOST: API.EXAMPLE.COM\r\n"),
        ("without a blank", "host:api.example.com\r\n"),
        ("between blanks", "host: \t api.example.com \t \r\n"),
        ("with a port", "host: api.example.com:80\r\n"),
        ("with another port", "host: api.example.com:8443\r\n"),
        ("with the last port", "host: api.example.com:65535\r\n"),
        ("by the wildcard", "host: www.api.example.com\r\n"),
        ("by the wildcard with hyphens", "host: a-b--c.api.example.com\r\n"),
        (
            "with others of its kind",
            "x-host: a\r\nhost: api.example.com\r\nx-forwarded-host: forged\r\nx-original-host: forged\r\n",
        ),
    ] {
        cases.push(Case::forwarded(format!("right: {name}"), get(fields), "GET", TARGET, ""));
    }
    cases
}
