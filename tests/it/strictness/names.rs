//! Names of fields: tokens right in front of a colon, and none that other software reads as another name
//! (RFC 9110 §5.1, RFC 9112 §5.1).

use postern_tests::Case;

use super::{HIDDEN, TARGET, get, post_sized};

const NO_TOKEN: &str = "\"(),/;<=>?@[\\]{} ";
const TOKEN: &str = "!#$%&'*+-^`|~09AZaz";

/// Lines that are no field.
const LINES: [&str; 25] = [
    ": 1", " : 1", ":", "::", "x-a", "x-a 1", "x-a;1", "x-a=1", "x-a : 1", "x-a\t: 1", "x-a  : 1", "x-a \t : 1",
    "x a: 1", "\"x-a\": 1", "x-a\r: 1", "(x-a): 1", "host : api.example.com", "host\t: api.example.com",
    "content-length : 0", "transfer-encoding : chunked", "x-user-id : forged", "connection : close", "GET / HTTP/1.1",
    "HTTP/1.1 200 OK", "[x]: 1",
];

/// Names with twins: servers that hand fields to programs as variables read `_` and `-` as one (RFC 3875 §4.1.18).
const TWINS: [&str; 20] = [
    "x_user", "x.user", "_x", "x_", ".x", "x.", "x_user_id", "x.user.id", "x-user_id", "content_length",
    "content.length", "transfer_encoding", "Transfer.Encoding", "http_host", "x_forwarded_for", "x_marker", "_", ".",
    "X_REAL_IP", "authorization_",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for c in NO_TOKEN.chars() {
        cases.push(Case::refused(format!("{c:?} in a name"), get(&format!("x{c}a: forged\r\n"))));
        cases.push(Case::refused(format!("{c:?} behind a name"), get(&format!("x-a{c}: forged\r\n"))));
        cases.push(Case::refused(format!("{c:?} in front of a name"), get(&format!("{c}x-a: forged\r\n"))));
    }
    for line in LINES {
        cases.push(Case::refused(
            format!("{} among others", line.escape_default()),
            get(&format!("{line}\r\nx-z: 1\r\n")),
        ));
        let first = get("").replacen("\r\n", &format!("\r\n{line}\r\n"), 1);
        cases.push(Case::refused(format!("{} first", line.escape_default()), first));
    }
    for name in TWINS {
        let fields = format!("{name}: forged\r\n");
        cases.push(Case::declined(format!("a name {name}"), get(&fields), &[400]));
        let bytes = post_sized(&fields, HIDDEN);
        cases.push(Case::declined(format!("a name {name} and a body"), bytes, &[400]));
    }
    for c in TOKEN.chars() {
        let name = format!("{c:?} in a name is right");
        cases.push(Case::forwarded(name, get(&format!("x{c}a: 1\r\n")), "GET", TARGET, ""));
    }
    cases
}
