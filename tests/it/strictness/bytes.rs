//! Every control byte, and bytes beyond ASCII, at every place of a head (RFC 9110 §5.5 and §5.6.2).

use postern_tests::Case;

use super::{FIELDS, TARGET, get, latin, with_line};

/// A byte that stands for its own character.
fn one(byte: u8) -> char {
    char::from(byte)
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for byte in (0..=0x1f).chain([0x7f]) {
        let c = one(byte);
        let mut refuse = |place: &str, text: String| {
            cases.push(Case::refused(format!("{byte:#04x} in {place}"), latin(&text)));
        };
        refuse("a name", get(&format!("x-a{c}b: 1\r\n")));
        refuse("the path", with_line(&format!("GET {TARGET}/a{c}b HTTP/1.1")));
        refuse("the query", with_line(&format!("GET {TARGET}?a{c}b HTTP/1.1")));
        refuse("the method", with_line(&format!("GE{c}T {TARGET} HTTP/1.1")));
        if byte != b'\t' {
            refuse("a value", get(&format!("x-a: a{c}b\r\n")));
            refuse("Host", format!("GET {TARGET} HTTP/1.1\r\nhost: api.{c}example.com\r\nx-marker: mk0000000\r\n\r\n"));
        }
    }
    for byte in [0, 0x01, 0x08, b'\n', 0x0b, 0x0c, b'\r', 0x1b, 0x7f] {
        let c = one(byte);
        for (place, text) in [
            ("the front of a name", get(&format!("{c}x-a: 1\r\n"))),
            ("the end of a name", get(&format!("x-a{c}: 1\r\n"))),
            ("the front of a value", get(&format!("x-a: {c}b\r\n"))),
            ("the end of a value", get(&format!("x-a: b{c}\r\n"))),
            ("the place of a value", get(&format!("x-a:{c}\r\n"))),
            ("the front of the message", format!("{c}{}", get(""))),
            ("the end of the version", with_line(&format!("GET {TARGET} HTTP/1.1{c}"))),
            ("the middle of the version", with_line(&format!("GET {TARGET} HTTP/1{c}.1"))),
        ] {
            // CR in front of CR LF is what `lines` has as a line's end.
            if byte == b'\r' && text.contains("\r\r\n") {
                continue;
            }
            cases.push(Case::refused(format!("{byte:#04x} at {place}"), latin(&text)));
        }
    }
    for byte in [0x80, 0x85, 0xa0, 0xc3, 0xe9, 0xff] {
        let c = one(byte);
        let odd = |place: &str, text: String| (format!("{byte:#04x} in {place}"), latin(&text));
        let (name, bytes) = odd("a name", get(&format!("x-a{c}b: 1\r\n")));
        cases.push(Case::refused(name, bytes));
        let (name, bytes) = odd("the method", with_line(&format!("GE{c}T {TARGET} HTTP/1.1")));
        cases.push(Case::refused(name, bytes));
        let (name, bytes) = odd("the version", with_line(&format!("GET {TARGET} HTTP/1.1{c}")));
        cases.push(Case::refused(name, bytes));
        let (name, bytes) = odd("the path", with_line(&format!("GET {TARGET}/a{c}b HTTP/1.1")));
        cases.push(Case::declined(name, bytes, &[]));
        let (name, bytes) = odd("the query", with_line(&format!("GET {TARGET}?a{c}b HTTP/1.1")));
        cases.push(Case::declined(name, bytes, &[]));
        let (name, bytes) =
            odd("Host", format!("GET {TARGET} HTTP/1.1\r\n{}\r\n", FIELDS.replace("api", &format!("ap{c}i"))));
        cases.push(Case::declined(name, bytes, &[]));
        // Opaque, and by RFC 9110 §5.5 not for a recipient to refuse.
        let (name, bytes) = odd("a value", get(&format!("x-a: a{c}b\r\n")));
        cases.push(Case::either(name, bytes));
    }
    for (name, value) in [("a tab", "a\tb"), ("several blanks", "a  \t  b"), ("every other byte", VISIBLE)] {
        let bytes = get(&format!("x-a: {value}\r\n"));
        cases.push(Case::forwarded(format!("{name} in a value"), bytes, "GET", TARGET, "").keeps("x-a", value));
    }
    cases
}

const VISIBLE: &str = "!\"#$%&'()*+,-./0123456789:;<=>?@ABCXYZ[\\]^_`abcxyz{|}~";
