//! Targets: a path that everybody reads alike, or an absolute one that agrees with `Host` (RFC 9112 §3.2).

use postern_tests::Case;

use super::{FIELDS, HIDDEN, TARGET, with_line};

/// Pieces of a path that servers read in different ways.
const PIECES: [&str; 69] = [
    "/.", "/..", "/./", "/../", "/a/../b", "/a/./b", "/%2e", "/%2E", "/%2e%2e", "/%2E%2E/", "/.%2e", "/%2e.",
    "/a/%2e%2e/b", "/..;/", "/.;x/", "/a/..%2fb", "/%2e%2e%2f", "/a%2fb", "/a%2Fb", "/%2f", "/a%5cb", "/a%5Cb",
    "/%5c..", "/a\\b", "/\\", "/..\\", "/a%00b", "/%00", "/a%01", "/a%08", "/a%09b", "/a%0ab", "/a%0Ab", "/a%0d%0a",
    "/a%1f", "/a%7f", "//", "//a", "/a//b", "/a///b", "/;", "/a;b", "/a;b=c/d", "/;a=b", "/%", "/a%", "/a%2", "/a%zz",
    "/a%g0", "/a%0g", "/a%-1", "/a%u0041", "/a%%20", "/%25%32%65", "/%252e", "/%252f", "/%255c", "/%2500", "/a\"b",
    "/a<b", "/a>b", "/a`b", "/%3B", "/a%3bb", "/..%3B/", "/a%3bb=c/d", "/%c0%ae%c0%ae/", "/%c0%af", "/a%e0%80%afb",
];

/// Targets that are no path of this host, with what they may be answered. The marker is in a field of its own.
const FOREIGN: [&str; 44] = [
    "*",
    "*x",
    "c/mk0000000",
    "c",
    "?x",
    "?",
    "..",
    ".",
    "~",
    "api.example.com",
    "api.example.com:80",
    "api.example.com/c",
    "http:",
    "http:/",
    "http://",
    "http:///c",
    "http:/c",
    "http:c",
    "http//api.example.com/c",
    "://api.example.com/c",
    "//api.example.com/c",
    "http://other.example.org/c",
    "http://other.example.org:80/c",
    "https://other.example.org/c",
    "http://user@api.example.com/c",
    "http://user:word@api.example.com/c",
    "http://@api.example.com/c",
    "http://api.example.com@other.example.org/c",
    "http://other.example.org@api.example.com/c",
    "http://[::1]/c",
    "http://[api.example.com]/c",
    "http://127.0.0.1/c",
    "http://localhost/c",
    "http://api.example.com:99999/c",
    "http://api.example.com:x/c",
    "http://api.example.com:-1/c",
    "http://api.example.com%2f@other/c",
    "http://api.example.com%00/c",
    "http://api.example.com\\@other/c",
    "http://api.example.com./c",
    "http://api.exam_ple.com/c",
    "http://api.example.com,other/c",
    "http://api.example.com/../c",
    "http://api.example.com/a%2fb",
];

const SCHEMES: [&str; 8] = [
    "ftp://api.example.com/c", "file:///c", "javascript:c", "mailto:a@b", "data:,c", "ws://other/c", "gopher://x/c",
    "a:b",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for piece in PIECES {
        for target in [format!("{TARGET}{piece}"), format!("{piece}{TARGET}")] {
            let bytes = with_line(&format!("GET {target} HTTP/1.1"));
            cases.push(Case::declined(format!("target {target}"), bytes, &[400]));
        }
    }
    for target in [
        "/c/mk0000000#",
        "/c/mk0000000#a",
        "/#/c/mk0000000",
        "/c/mk0000000?a#b",
        "/c/mk0000000?#",
        "#",
        "#/c/mk0000000",
        "/c/mk0000000#?a",
        "/c/mk0000000/#/..",
        "http://api.example.com#/c/mk0000000",
        "http://api.example.com/c#mk0000000",
        "http://api.example.com#@other.example.org/c/mk0000000",
    ] {
        cases.push(Case::declined(format!("target {target}"), with_line(&format!("GET {target} HTTP/1.1")), &[400]));
    }
    for target in ["/c/mk0000000 /b", "/c/mk0000000?a b", "/ /c/mk0000000", "/c/mk0000000 ", "/c/mk0000000?a=b c=d"] {
        cases.push(Case::refused(format!("target {target:?}"), with_line(&format!("GET {target} HTTP/1.1"))));
    }
    for target in FOREIGN.iter().chain(&SCHEMES) {
        for method in ["GET", "OPTIONS"] {
            let bytes = with_line(&format!("{method} {target} HTTP/1.1"));
            cases.push(Case::declined(format!("{method} {target}"), bytes, &[400, 404, 421]));
        }
        let length = HIDDEN.len();
        let bytes = format!("POST {target} HTTP/1.1\r\n{FIELDS}content-length: {length}\r\n\r\n{HIDDEN}");
        cases.push(Case::declined(format!("POST {target} with a body"), bytes, &[400, 404, 421]));
    }
    for target in [
        "http://api.example.com/c/mk0000000",
        "HTTP://api.example.com/c/mk0000000",
        "http://API.EXAMPLE.COM/c/mk0000000",
        "http://api.example.com:80/c/mk0000000",
        "http://api.example.com:/c/mk0000000",
        "https://api.example.com/c/mk0000000",
        "http://api.example.com",
        "http://api.example.com?mk0000000",
        "http://api.example.com/c/mk0000000?a=b",
        "http://api.example.com:8080/c/mk0000000",
        "http://api.example.com:0/c/mk0000000",
        "ws://api.example.com/c/mk0000000",
    ] {
        cases.push(Case::either(format!("absolute {target}"), with_line(&format!("GET {target} HTTP/1.1"))));
    }
    lengths(&mut cases);
    borderline(&mut cases);
    right(&mut cases);
    cases
}

fn lengths(cases: &mut Vec<Case>) {
    for (bytes, statuses) in [(8_193, &[414][..]), (9_000, &[414]), (16_000, &[414]), (30_000, &[414, 400, 431])] {
        for begin in [format!("{TARGET}/"), format!("{TARGET}?")] {
            let target = format!("{begin}{}", "a".repeat(bytes - begin.len()));
            let name = format!("{bytes} bytes of {}", if begin.ends_with('?') { "query" } else { "path" });
            cases.push(Case::declined(name, with_line(&format!("GET {target} HTTP/1.1")), statuses));
        }
    }
    let target = format!("{TARGET}/{}", "a".repeat(8_192 - TARGET.len() - 1));
    let bytes = with_line(&format!("GET {target} HTTP/1.1"));
    cases.push(Case::forwarded("8192 bytes of path", bytes, "GET", &target, ""));
}

/// What RFC 3986 has no place for and some clients send.
fn borderline(cases: &mut Vec<Case>) {
    for tail in [
        "/a{b}", "/%ff", "/a|b", "/a^b", "/[a]", "?a=%00", "?a=%zz", "?a=%", "?a=\"b\"", "?<a>", "?a={b}", "?a|b",
        "?a\\b", "?a`b", "?a^b", "?[a]", "?;a", "?a;b", "?a%3Bb", "/%3f", "/%23",
    ] {
        cases.push(Case::either(format!("target {tail}"), with_line(&format!("GET {TARGET}{tail} HTTP/1.1"))));
    }
}

fn right(cases: &mut Vec<Case>) {
    for tail in [
        "", "/", "/a", "/a/", "/...", "/a..b", "/..a", "/a.", "/.a", "/%20", "/%C3%A9", "/%7Ea", "/~a", "/a@b:c",
        "/!$&'()*+,=", "/-._~", "?", "?a=b", "?a=b?c", "?a=%2F..%2F", "?a=//../b", "?http://x/", "?a=b&a=c&&",
        "/a=b,c", "/%41", "?a=%20",
    ] {
        let target = format!("{TARGET}{tail}");
        let bytes = with_line(&format!("GET {target} HTTP/1.1"));
        cases.push(Case::forwarded(format!("right target {tail}"), bytes, "GET", &target, ""));
    }
}
