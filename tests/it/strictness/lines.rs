//! Line ends, at every place of a message: CR LF and nothing else, and no line goes on in the next
//! (RFC 9112 §2.2 and §5.2).

use postern_tests::Case;

use super::{FIELDS, TARGET, get, post};

/// The lines of a whole request and what each may be called; the last of the head is empty.
const HEAD: [(&str, &str); 7] = [
    ("the request line", "POST /c/mk0000000 HTTP/1.1"),
    ("host", "host: api.example.com"),
    ("the marker", "x-marker: mk0000000"),
    ("a field", "x-a: 1"),
    ("an empty field", "x-b:"),
    ("the encoding", "transfer-encoding: chunked"),
    ("the end of the head", ""),
];

const BODY: [(&str, &str); 4] =
    [("the size", "5"), ("the data", "hello"), ("the last chunk", "0"), ("the end of the body", "")];

const ENDS: [(&str, &str); 9] = [
    ("LF", "\n"),
    ("CR", "\r"),
    ("CR CR LF", "\r\r\n"),
    ("LF CR", "\n\r"),
    ("LF LF", "\n\n"),
    ("CR SP LF", "\r \n"),
    ("NUL CR LF", "\0\r\n"),
    ("VT", "\u{b}"),
    ("FF CR LF", "\u{c}\r\n"),
];

/// The lines with another end behind one of them.
fn with_end(at: usize, end: &str) -> String {
    let lines = HEAD.iter().chain(&BODY).enumerate();
    lines.flat_map(|(index, (_, line))| [*line, if index == at { end } else { "\r\n" }]).collect()
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (at, (place, _)) in HEAD.iter().chain(&BODY).enumerate() {
        for (what, end) in ENDS {
            let name = format!("{what} behind {place}");
            // The head's end must be beyond doubt also when nothing comes behind it.
            let bytes = format!("{}x\r\n", with_end(at, end));
            cases.push(match at < HEAD.len() {
                true => Case::refused(name, bytes),
                false => Case::broken(name, bytes),
            });
        }
    }
    cases.push(Case::refused("LF everywhere", with_end(usize::MAX, "").replace("\r\n", "\n")));
    cases.push(Case::refused("CR everywhere", format!("{}x", with_end(usize::MAX, "").replace("\r\n", "\r"))));
    cases.push(Case::refused("LF everywhere and no body", get("").replace("\r\n", "\n")));
    for (name, fields) in [
        ("LF hides a field", "x-a: 1\nx-b: forged\r\n"),
        ("LF hides an encoding", "x-a: 1\ntransfer-encoding: chunked\r\n"),
        ("LF hides a length", "x-a: 1\ncontent-length: 50\r\n"),
        ("CR hides a field", "x-a: 1\rx-b: forged\r\n"),
        ("LF LF hides a request", "x-a: 1\n\nGET /smuggled/mk0000000 HTTP/1.1\r\nhost: api.example.com\r\n"),
        ("CR LF LF hides a request", "x-a: 1\r\n\nGET /smuggled/mk0000000 HTTP/1.1\r\nhost: api.example.com\r\n"),
        ("LF CR LF hides a request", "x-a: 1\n\r\nGET /smuggled/mk0000000 HTTP/1.1\r\nhost: api.example.com\r\n"),
        ("CR LF CR hides a request", "x-a: 1\r\n\rGET /smuggled/mk0000000 HTTP/1.1\r\nhost: api.example.com\r\n"),
    ] {
        cases.push(Case::refused(name, get(fields)));
    }
    folds(&mut cases);
    cases
}

fn folds(cases: &mut Vec<Case>) {
    for blank in [" ", "\t", "  ", " \t "] {
        let shown = blank.escape_default();
        for field in ["x-a: 1", "x-a:", "content-length: 0", "connection: close", "cookie: a=b"] {
            let name = format!("{field} goes on behind {shown:?}");
            cases.push(Case::refused(name, get(&format!("{field}\r\n{blank}2\r\n"))));
            let name = format!("{field} goes on behind {shown:?} with a colon");
            cases.push(Case::refused(name, get(&format!("{field}\r\n{blank}x-b: forged\r\n"))));
        }
        let first = format!("GET {TARGET} HTTP/1.1\r\n{blank}{FIELDS}\r\n");
        cases.push(Case::refused(format!("{shown:?} before the first field"), first));
        let nothing = format!("GET {TARGET} HTTP/1.1\r\n{blank}\r\n{FIELDS}\r\n");
        cases.push(Case::refused(format!("a line of {shown:?} before the first field"), nothing));
        cases.push(Case::refused(format!("a line of {shown:?} as the last"), get(&format!("{blank}\r\n"))));
        let host = get("").replace("host: api", &format!("host:\r\n{blank}api"));
        cases.push(Case::refused(format!("host goes on behind {shown:?}"), host));
        let line = get("").replace(" HTTP/1.1", &format!("\r\n{blank}HTTP/1.1"));
        cases.push(Case::refused(format!("the request line goes on behind {shown:?}"), line));
    }
    let body = post("content-length:\r\n 0\r\n content-length: 5\r\n", "hello");
    cases.push(Case::refused("a length goes on in another", body));
}
