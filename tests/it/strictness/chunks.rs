//! Chunks: a size in hexadecimal digits, as much data, a line end (RFC 9112 §7.1). Extensions are let go, and bounded.

use postern_tests::Case;

use super::{HIDDEN, TARGET, get, latin, post};

/// Lines in place of a size of 5. Each character is one byte.
const SIZES: [&str; 44] = [
    "", " ", "-5", "+5", "0x5", "0X5", "x5", "5x", "5g", "g", "5h", "5 5", "5\t5", " 5", "\t5", "5 ", "5\t", "5 \t",
    "5,", "5.0", "5_", "_5", "5_0", "\"5\"", "(5)", "5=", "5:", "5\u{0}", "\u{0}5", "5\u{b}", "\u{b}5", "5\u{c}",
    "5\u{80}", "\u{a0}5", "\u{ef}\u{bc}\u{95}", "fffffffffffffffff", "10000000000000005", "00000000000000005",
    "ffffffffffffffff", "fffffffffffffffb", "8000000000000005", "100000005x", "five", "0-5",
];

/// Behind a size. The first half is by the grammar, the rest nearly.
const EXTENSIONS: [&str; 18] = [
    ";a", ";a=b", ";a=\"b\"", ";a;b;c", ";a=b;c=d", ";a=\"b;c\"", ";a=\"b\\\"c\"", " ;a", " ; a = b", "\t;\ta",
    ";a=\"\"", ";", ";;", ";=", ";a=", ";a=\"b", ";a b", ";a='b'",
];

/// Extensions that nobody may let go.
const BAD_EXTENSIONS: [&str; 16] = [
    ";a\n", ";a\r", ";a\nb", ";a\rb", ";\n", ";\r", ";a=\"\n\"", ";a=\"\r\"", ";a=\"\r\n\"", ";a\u{0}", ";\u{0}",
    ";a=\u{b}", ";a\u{7f}", ";a\u{1}=b", "\n;a", "\r;a",
];

fn chunked(body: &str) -> Vec<u8> {
    latin(&post("transfer-encoding: chunked\r\n", body))
}

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut broken = |name: String, body: &str| cases.push(Case::broken(name, chunked(body)));
    for size in SIZES {
        let name = size.escape_default();
        broken(format!("first size {name}"), &format!("{size}\r\nhello\r\n0\r\n\r\n"));
        broken(format!("second size {name}"), &format!("5\r\nhello\r\n{size}\r\nworld\r\n0\r\n\r\n"));
    }
    for extension in BAD_EXTENSIONS {
        let name = extension.escape_default();
        broken(format!("extension {name}"), &format!("5{extension}\r\nhello\r\n0\r\n\r\n"));
        broken(format!("last extension {name}"), &format!("5\r\nhello\r\n0{extension}\r\n\r\n"));
    }
    for bytes in [262, 300, 1_024, 65_536] {
        let extension = "a".repeat(bytes);
        broken(format!("an extension of {bytes}"), &format!("5;{extension}\r\nhello\r\n0\r\n\r\n"));
        broken(format!("a last extension of {bytes}"), &format!("5\r\nhello\r\n0;{extension}\r\n\r\n"));
        broken(format!("{} extensions", bytes / 2), &format!("5{}\r\nhello\r\n0\r\n\r\n", ";a".repeat(bytes / 2)));
        broken(format!("an endless size of {bytes}"), &format!("{}5\r\nhello\r\n0\r\n\r\n", "0".repeat(bytes)));
    }
    for zero in ["-0", "+0", "0x0", "0x", "00000000000000000", "0 ", " 0", "0\t", "o", "0,0"] {
        broken(format!("last size {zero:?}"), &format!("5\r\nhello\r\n{zero}\r\n\r\n"));
    }
    for (name, body) in [
        ("no end of data", "5\r\nhello0\r\n\r\n"),
        ("a blank behind data", "5\r\nhello \r\n0\r\n\r\n"),
        ("a byte behind data", "5\r\nhellox\r\n0\r\n\r\n"),
        ("data too short", "6\r\nhello\r\n0\r\n\r\n"),
        ("data too short by two", "7\r\nhello\r\n0\r\n\r\n"),
        ("data too long", "4\r\nhello\r\n0\r\n\r\n"),
        ("two line ends behind data", "5\r\nhello\r\n\r\n0\r\n\r\n"),
        ("a line end in front", "\r\n5\r\nhello\r\n0\r\n\r\n"),
        ("a blank line end", "5\r\nhello\r\n0\r\n \r\n\r\n"),
        ("no chunks at all", "hello, world\r\n\r\n"),
        ("a request in place of a size", HIDDEN),
        ("a request behind a size", &format!("5\r\nhello\r\n{HIDDEN}")),
        ("a request behind the last size", &format!("5\r\nhello\r\n0\r\n{HIDDEN}")),
        ("data behind the last size", "5\r\nhello\r\n0\r\nhello\r\n\r\n"),
    ] {
        broken(name.to_owned(), body);
    }
    lines_at_their_bound(&mut cases);
    cut_short(&mut cases);
    borderline(&mut cases);
    right(&mut cases);
    cases
}

/// A line has 256 bytes with its end, whatever stands in it; a size has sixteen digits.
fn lines_at_their_bound(cases: &mut Vec<Case>) {
    for size in ["5", "0000000000000005"] {
        for filling in ["a", ";a", " "] {
            let line = |bytes: usize| {
                let begin = format!("{size};");
                let filled = filling.repeat(bytes);
                format!("{begin}{}\r\n", &filled[..bytes - begin.len() - 2])
            };
            let body = |bytes: usize| chunked(&format!("{}hello\r\n0\r\n\r\n", line(bytes)));
            let what = |bytes: usize| format!("a line of {bytes} for {size} filled with {filling:?}");
            cases.push(Case::forwarded(what(256), body(256), "POST", TARGET, "hello"));
            cases.push(Case::broken(what(257), body(257)));
            let last = |bytes: usize| chunked(&format!("5\r\nhello\r\n{}\r\n", line(bytes).replacen('5', "0", 1)));
            cases.push(Case::forwarded(format!("last: {}", what(256)), last(256), "POST", TARGET, "hello"));
            cases.push(Case::broken(format!("last: {}", what(257)), last(257)));
        }
    }
}

/// A body that ends too early, at each byte.
fn cut_short(cases: &mut Vec<Case>) {
    let whole = "5\r\nhello\r\n1;a=b\r\n!\r\n0\r\n\r\n";
    for length in 0..whole.len() {
        let part = &whole[..length];
        cases.push(Case::broken(format!("cut behind {}", part.escape_default()), chunked(part)).cut());
    }
}

fn borderline(cases: &mut Vec<Case>) {
    let mut either = |name: String, body: &str| cases.push(Case::either(name, chunked(body)));
    for extension in EXTENSIONS {
        let name = extension.escape_default();
        either(format!("short extension {name}"), &format!("5{extension}\r\nhello\r\n0\r\n\r\n"));
        either(format!("short last extension {name}"), &format!("5\r\nhello\r\n0{extension}\r\n\r\n"));
    }
    either("an extension of 200".to_owned(), &format!("5;{}\r\nhello\r\n0\r\n\r\n", "a".repeat(200)));
    either("an extension to each of 2000".to_owned(), &format!("{}0\r\n\r\n", "1;abcdefgh\r\nx\r\n".repeat(2_000)));
    for size in ["05", "005", "0000000000000005"] {
        either(format!("size {size}"), &format!("{size}\r\nhello\r\n0\r\n\r\n"));
    }
    for zero in ["00", "000", "0000000000000000"] {
        either(format!("last size {zero}"), &format!("5\r\nhello\r\n{zero}\r\n\r\n"));
    }
}

fn right(cases: &mut Vec<Case>) {
    let hidden = format!("{:x}\r\n{HIDDEN}\r\n0\r\n\r\n", HIDDEN.len());
    let many: String = "x".repeat(300);
    for (name, body, content) in [
        ("nothing", "0\r\n\r\n", ""),
        ("one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("two chunks", "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n", "hello"),
        ("a capital digit", "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
        ("a small digit", "b\r\n0123456789x\r\n0\r\n\r\n", "0123456789x"),
        ("line ends as data", "4\r\n\r\n\r\n\r\n0\r\n\r\n", "\r\n\r\n"),
        ("a body as data", "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
        ("a request as data", &hidden, HIDDEN),
        ("many chunks", &format!("{}0\r\n\r\n", "1\r\nx\r\n".repeat(300)), &many),
        ("a chunk of 300", &format!("12c\r\n{many}\r\n0\r\n\r\n"), &many),
    ] {
        cases.push(Case::forwarded(format!("right: {name}"), chunked(body), "POST", TARGET, content));
    }
    let get = format!("{}5\r\nhello\r\n0\r\n\r\n", get("transfer-encoding: chunked\r\n"));
    cases.push(Case::forwarded("right: a GET", get.clone(), "GET", TARGET, "hello"));
    let delete = get.replacen("GET", "DELETE", 1);
    cases.push(Case::forwarded("right: a DELETE", delete, "DELETE", TARGET, "hello"));
}
