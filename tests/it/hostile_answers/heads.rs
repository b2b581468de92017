//! Status lines and fields: what is no head of HTTP/1.1, and what is one with too much in it.

use super::{Hostile, Then, latin, ok};

/// Lines in place of `HTTP/1.1 200 OK`. Each character is one byte.
const LINES: [&str; 60] = [
    "HTTP/2.0 200 OK", "HTTP/2 200 OK", "HTTP/3.0 200 OK", "HTTP/0.9 200 OK", "http/1.1 200 OK", "Http/1.1 200 OK",
    "HTTP/1.1 99 OK", "HTTP/1.1 1000 OK", "HTTP/1.1 2000 OK", "HTTP/1.1 20 OK", "HTTP/1.1 2 OK", "HTTP/1.1 000 OK",
    "HTTP/1.1 099 OK", "HTTP/1.1 600 OK", "HTTP/1.1 999 OK", "HTTP/1.1 -200 OK", "HTTP/1.1 +200 OK", "HTTP/1.1 2x0 OK",
    "HTTP/1.1 abc OK", "HTTP/1.1 200OK", "HTTP/1.1 200x OK", "HTTP/1.1 200.5 OK", "HTTP/1.1 0x200 OK",
    "HTTP/1.1 20\u{b2} OK", "HTTP/1.1  200 OK", "HTTP/1.1\t200 OK", "HTTP/1.1 200\tOK", "HTTP/1.1", "HTTP/1.1 ",
    "HTTP/1.1 OK", "HTTP/1.1 OK 200", " HTTP/1.1 200 OK", "\tHTTP/1.1 200 OK", "xHTTP/1.1 200 OK", "HTTP/1.1200 OK",
    "HTTP/11 200 OK", "HTTP/1 200 OK", "HTTP/1. 200 OK", "HTTP/1.1.1 200 OK", "HTTP/1,1 200 OK", "HTTP/01.1 200 OK",
    "HTTP/1.01 200 OK", "HTTP 200 OK", "HTTP/", "ICY 200 OK", "RTSP/1.0 200 OK", "SIP/2.0 200 OK", "HTTPS/1.1 200 OK",
    "200 OK", "220 mail ready", "SSH-2.0-OpenSSH_9.9", "GET / HTTP/1.1", "POST /h/0 HTTP/1.1", "{\"error\": 1}",
    "<html><body>no</body></html>", "HTTP/1.1 200 O\u{0}K", "HTTP/1.1 200 O\u{1}K", "HTTP/1.1 200 O\u{7f}K",
    "HTTP/1.1 200 O\rK", "content-length: 2",
];

/// Fields that are none. Each character is one byte.
const FIELDS: [&str; 40] = [
    "x-a", "x-a 1", ": 1", " : 1", ":", "x-a : 1", "x-a\t: 1", "x a: 1", "x(a): 1", "x\"a\": 1", "x,a: 1", "x/a: 1",
    "x;a: 1", "x=a: 1", "x?a: 1", "x@a: 1", "x[a]: 1", "x\\a: 1", "x{a}: 1", "x<a>: 1", "x\u{0}a: 1", "x\u{1}a: 1",
    "x\u{7f}a: 1", "x\u{80}a: 1", "x\u{e9}a: 1", "x-a: \u{0}", "x-a: b\u{0}c", "x-a: b\u{1}c", "x-a: b\u{8}c",
    "x-a: b\u{b}c", "x-a: b\u{c}c", "x-a: b\u{1b}c", "x-a: b\u{7f}c", "x-a: b\rc", "x-a: b\rset-cookie: forged",
    "\rx-a: b", "content-length : 2", "transfer-encoding : chunked", "set-cookie : forged", "HTTP/1.1 200 OK",
];

fn with_field(field: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{field}\r\ncontent-length: 2\r\n\r\nok")
}

pub(super) fn cases() -> Vec<Hostile> {
    let mut cases = Vec::new();
    for line in LINES {
        let bytes = latin(&format!("{line}\r\ncontent-length: 2\r\n\r\nok"));
        cases.push(Hostile::refused(format!("status line {}", line.escape_default()), bytes));
    }
    for field in FIELDS {
        cases.push(Hostile::refused(format!("field {}", field.escape_default()), latin(&with_field(field))));
    }
    for (name, bytes) in [
        ("nothing but line ends", &b"\r\n\r\n\r\n\r\n"[..]),
        ("zeros", &[0; 64]),
        ("ones", &[0xff; 64]),
        ("an alert of TLS", &[0x15, 3, 3, 0, 2, 2, 40]),
        ("a hello of TLS", &[0x16, 3, 3, 0, 4, 2, 0, 0, 0]),
        ("settings of HTTP/2", &[0, 0, 0, 4, 0, 0, 0, 0, 0]),
        ("the preface of HTTP/2", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
        ("a word", b"x"),
        ("nothing", b""),
        ("half a status line", b"HTTP/1.1 20"),
        ("a status line", b"HTTP/1.1 200 OK\r\n"),
        ("half a field", b"HTTP/1.1 200 OK\r\ncontent-le"),
        ("no end of the head", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n"),
        ("half an end of the head", b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r"),
    ] {
        cases.push(Hostile::refused(format!("{name}, then the end"), bytes).then(Then::Close));
        cases.push(Hostile::refused(format!("{name}, then a reset"), bytes).then(Then::Reset));
    }
    line_ends(&mut cases);
    sizes(&mut cases);
    for (name, bytes, body) in [
        ("no reason", "HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nok".to_owned(), "ok"),
        ("an empty reason", "HTTP/1.1 200 \r\ncontent-length: 2\r\n\r\nok".to_owned(), "ok"),
        ("a long reason", format!("HTTP/1.1 200 {}\r\ncontent-length: 2\r\n\r\nok", "a b ".repeat(100)), "ok"),
        ("odd blanks", with_field("x-a:\t b \t"), "ok"),
        ("a plain answer", ok("fine"), "fine"),
    ] {
        cases.push(Hostile::clean(name, bytes, 200, body).kept());
    }
    for (name, line) in [("1.2", "HTTP/1.2 200 OK"), ("a reason beyond ASCII", "HTTP/1.1 200 \u{e9}")] {
        let bytes = latin(&format!("{line}\r\ncontent-length: 2\r\n\r\nok"));
        cases.push(Hostile::either(name, bytes, 200, "ok").kept());
    }
    for name in ["x_a", "x.a", "x!#$%&'*+-.^_`|~a"] {
        cases.push(Hostile::either(format!("a name {name}"), with_field(&format!("{name}: 1")), 200, "ok").kept());
    }
    cases.push(Hostile::either("an empty line in front", format!("\r\n{}", ok("ok")), 200, "ok").kept());
    cases.push(Hostile::either("a value beyond ASCII", latin(&with_field("x-a: \u{e9}")), 200, "ok").kept());
    cases
}

fn line_ends(cases: &mut Vec<Hostile>) {
    let lines = ["HTTP/1.1 200 OK", "x-a: b", "content-length: 2", ""];
    for (at, line) in lines.iter().enumerate() {
        for (what, end) in [("LF", "\n"), ("CR", "\r"), ("CR CR LF", "\r\r\n"), ("LF CR", "\n\r")] {
            let each = lines.iter().enumerate();
            let head: String = each.flat_map(|(index, line)| [*line, if index == at { end } else { "\r\n" }]).collect();
            let name = format!("{what} behind {line:?}");
            // Without its last byte this may be a head that is not yet whole.
            cases.push(Hostile::refused(name, format!("{head}ok\r\n\r\n")).then(Then::Close));
        }
    }
    cases.push(Hostile::refused("LF everywhere", ok("ok").replace("\r\n", "\n")));
    for blank in [" ", "\t"] {
        // RFC 9112 §5.2: a gateway refuses it, or puts a blank in its place.
        let folded = with_field(&format!("x-a: b\r\n{blank}c"));
        cases.push(Hostile::either(format!("a value that goes on behind {blank:?}"), folded, 200, "ok"));
        let first = with_field("x-a: b").replacen("x-a", &format!("{blank}x-a"), 1);
        cases.push(Hostile::refused(format!("{blank:?} before the first field"), first));
        let length = format!("HTTP/1.1 200 OK\r\ncontent-length:\r\n{blank}2\r\n\r\nok");
        cases.push(Hostile::either(format!("a length that goes on behind {blank:?}"), length, 200, "ok"));
        let two = format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{blank}0\r\n\r\nok");
        cases.push(Hostile::refused(format!("a length that goes on behind {blank:?} with more digits"), two));
    }
}

fn sizes(cases: &mut Vec<Hostile>) {
    let many = |count: usize| (0..count).map(|index| format!("x-{index}: 1\r\n")).collect::<String>();
    let with = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}content-length: 2\r\n\r\nok");
    cases.push(Hostile::clean("128 fields", with(&many(127)), 200, "ok").kept());
    cases.push(
        Hostile::clean("60 KiB of a field", with(&format!("x-a: {}\r\n", "a".repeat(60 << 10))), 200, "ok").kept(),
    );
    for count in [129, 200, 1_000] {
        cases.push(Hostile::refused(format!("{count} fields"), with(&many(count - 1))));
    }
    for kib in [66, 128, 256, 1_024] {
        let long = "a".repeat(kib << 10);
        cases.push(Hostile::refused(format!("a value of {kib} KiB"), with(&format!("x-a: {long}\r\n"))));
        cases.push(Hostile::refused(format!("a name of {kib} KiB"), with(&format!("{long}: b\r\n"))));
        let bytes = format!("HTTP/1.1 200 {long}\r\ncontent-length: 2\r\n\r\nok");
        cases.push(Hostile::refused(format!("a reason of {kib} KiB"), bytes));
    }
}
