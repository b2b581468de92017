//! Requests from a grammar: mostly right, with one or two things that are odd, so that every rule is met again and
//! again beside all the others. The same seed gives the same bytes.

use fastrand::Rng;

const METHODS: [&str; 12] =
    ["GET", "GET", "POST", "POST", "PUT", "HEAD", "DELETE", "OPTIONS", "PATCH", "get", "CONNECT", "X-LONG-METHOD-NAME"];
const ODD_METHODS: [&str; 7] =
    ["", "G ET", "G\tET", "GET\0", "G(T", "METHOD-OF-MORE-THAN-THIRTY-TWO-CHARACTERS", "\r\nGET"];
const TARGETS: [&str; 10] =
    ["/", "/a", "/a/b?c=d", "/%2e%2e/a", "/a//b", "/a;b=c", "/a?b=/../c", "/a%20b", "http://a.example/b", "/a?%"];
const ODD_TARGETS: [&str; 22] = [
    "*", "", "a", "a.example:80", "/a b", "/a#b", "/a\tb", "/a\0", "/\u{e9}", "http://", "http://a.example",
    "http://a.example?b", "http:///a", "HTTP://a.example/b", "https://u@a.example/", "ftp://a.example/b", "//a/b",
    "/<a>", "/a|b", "/\"", "http://a:b:c/", "/a\\b",
];
const VERSIONS: [&str; 3] = ["HTTP/1.1", "HTTP/1.1", "HTTP/1.0"];
const ODD_VERSIONS: [&str; 9] =
    ["HTTP/2.0", "HTTP/1.2", "HTTP/1.", "http/1.1", "HTTP/1.1 ", " HTTP/1.1", "", "HTTP/11", "HTTP/0.9"];
const NAMES: [&str; 14] = [
    "accept", "X-A", "x-a", "cookie", "connection", "te", "expect", "upgrade", "trailer", "x_a", "x.a", "user-agent",
    "keep-alive", "!#$%&'*+-.^_`|~",
];
const ODD_NAMES: [&str; 12] = ["", " x", "x ", "x\t", "x y", "x(y)", "x\0", "x\r", "\u{e9}", "x\n", "host", "x:y"];
const VALUES: [&str; 12] =
    ["", "1", "a b", "a,b", "trailers", "100-continue", "close", "keep-alive", "h2c", "\t a \t", "\u{e9}", "\"a\""];
const ODD_VALUES: [&str; 8] = ["\0", "a\0b", "a\rb", "a\nb", "a\r\n b", "\u{7f}", "\u{1}", "a\r\n\tb"];
const LENGTHS: [&str; 23] = [
    "0", "00", "05", "+5", "-5", "5,5", "5, 5", "5,6", "0x5", " 5", "5 ", "", "5;", "5a", "18446744073709551613",
    "18446744073709551615", "18446744073709551616", "9223372036854775808", "1", "6", "100", "5\t", "\u{b}5",
];
const CODINGS: [&str; 18] = [
    "chunked", "Chunked", "CHUNKED", "gzip, chunked", "chunked, gzip", "chunked, chunked", "identity", "", "x",
    "chunked;a=b", " chunked", "chunked ", "\tchunked", "\u{b}chunked", "chunked,", ",chunked", "xchunked", "gzip",
];
const ENDS: [&str; 7] = ["\n", "\r", "\r\r\n", "\n\r", " \r\n", "", "\r\n\r\n"];
const ODD_SIZES: [&str; 16] = [
    "05", "0000000000000005", "00000000000000005", "5 ", "5\t", " 5", "+5", "0x5", "", "5;a=b", "5;a=\"b\"", "5;\0",
    "5;a\n", "FFFFFFFFFFFFFFFF", "10000000000000000", "g",
];

/// A few requests of one connection. Characters are bytes.
pub(crate) fn connection(rng: &mut Rng) -> Vec<u8> {
    let mut text = String::new();
    for _ in 0..1 + rng.usize(..3) {
        // One in four is right in everything.
        let mut odd = Oddness { left: [0, 1, 1, 2][rng.usize(..4)] };
        request(&mut text, rng, &mut odd);
    }
    let mut bytes: Vec<u8> = text.chars().map(|c| u8::try_from(u32::from(c)).unwrap_or(0xff)).collect();
    if rng.u8(..16) == 0 && !bytes.is_empty() {
        let at = rng.usize(..bytes.len());
        match rng.u8(..3) {
            0 => bytes.truncate(at),
            1 => bytes[at] = rng.u8(..),
            _ => bytes.insert(at, rng.u8(..)),
        }
    }
    bytes
}

/// How many odd things are still to come; each place that could have one may take it.
struct Oddness {
    left: u8,
}

impl Oddness {
    fn takes(&mut self, rng: &mut Rng, one_in: u8) -> bool {
        let taken = self.left > 0 && rng.u8(..one_in) == 0;
        self.left -= u8::from(taken);
        taken
    }

    fn pick<'t>(&mut self, rng: &mut Rng, one_in: u8, plain: &[&'t str], odd: &[&'t str]) -> &'t str {
        let from = if self.takes(rng, one_in) { odd } else { plain };
        from[rng.usize(..from.len())]
    }

    fn end(&mut self, rng: &mut Rng) -> &'static str {
        self.pick(rng, 24, &["\r\n"], &ENDS)
    }
}

fn request(text: &mut String, rng: &mut Rng, odd: &mut Oddness) {
    if odd.takes(rng, 16) {
        *text += ["\r\n", "\r\n\r\n", "\n", "\r", " "][rng.usize(..5)];
    }
    let method = odd.pick(rng, 12, &METHODS, &ODD_METHODS);
    let target = odd.pick(rng, 6, &TARGETS, &ODD_TARGETS);
    let version = odd.pick(rng, 12, &VERSIONS, &ODD_VERSIONS);
    let blank = odd.pick(rng, 24, &[" "], &["  ", "\t", "", "\u{b}"]);
    let end = odd.end(rng);
    *text += &format!("{method}{blank}{target} {version}{end}");
    if !odd.takes(rng, 16) {
        *text += "host: a.example\r\n";
    }
    for _ in 0..rng.usize(..4) {
        field(text, rng, odd);
    }
    let framing = rng.u8(..4);
    let size = [0, 1, 5, 17, 300][rng.usize(..5)];
    match framing {
        0 => {}
        1 => length(text, rng, odd, size),
        _ => coding(text, rng, odd),
    }
    if odd.takes(rng, 8) {
        length(text, rng, odd, size);
    }
    if odd.takes(rng, 8) {
        coding(text, rng, odd);
    }
    *text += odd.end(rng);
    match framing {
        0 => {}
        1 => *text += &data(rng, size),
        _ => chunks(text, rng, odd),
    }
}

fn field(text: &mut String, rng: &mut Rng, odd: &mut Oddness) {
    let name = odd.pick(rng, 12, &NAMES, &ODD_NAMES);
    let colon = odd.pick(rng, 24, &[":", ": "], &["", " :", "\t:", "::"]);
    let value = odd.pick(rng, 12, &VALUES, &ODD_VALUES);
    let end = odd.end(rng);
    *text += &format!("{name}{colon}{value}{end}");
}

fn length(text: &mut String, rng: &mut Rng, odd: &mut Oddness, size: usize) {
    let name = odd.pick(
        rng,
        16,
        &["content-length", "Content-Length"],
        &["content_length", "content-length ", "content-lengt"],
    );
    let right = size.to_string();
    let value = odd.pick(rng, 3, &[&right], &LENGTHS);
    let end = odd.end(rng);
    *text += &format!("{name}: {value}{end}");
}

fn coding(text: &mut String, rng: &mut Rng, odd: &mut Oddness) {
    let names = ["transfer-encoding", "Transfer-Encoding"];
    let name = odd.pick(rng, 16, &names, &["transfer_encoding", "transfer-encoding ", "te", " transfer-encoding"]);
    let value = odd.pick(rng, 3, &["chunked"], &CODINGS);
    let end = odd.end(rng);
    *text += &format!("{name}: {value}{end}");
}

fn data(rng: &mut Rng, size: usize) -> String {
    // Sometimes what looks like a request or a chunk.
    let hidden = ["GET /hidden HTTP/1.1\r\nhost: a.example\r\n\r\n", "0\r\n\r\n", "abcdefgh"][rng.usize(..3)];
    hidden.chars().cycle().take(size).collect()
}

fn chunks(text: &mut String, rng: &mut Rng, odd: &mut Oddness) {
    if odd.takes(rng, 32) {
        *text += &format!("1;{}\r\na\r\n", "x".repeat(rng.usize(240..300)));
    }
    for _ in 0..rng.usize(..4) {
        let size = 1 + rng.usize(..20);
        let right = match rng.u8(..3) {
            0 => format!("{size:X}"),
            1 => format!("{size:x};a=b"),
            _ => format!("{size:x}"),
        };
        let line = odd.pick(rng, 6, &[&right], &ODD_SIZES);
        let end = odd.end(rng);
        *text += &format!("{line}{end}{}", data(rng, size));
        *text += odd.end(rng);
    }
    let last = odd.pick(rng, 8, &["0"], &["00", "0;a", "0 ", "-0", "", "0000000000000000", "00000000000000000"]);
    let end = odd.end(rng);
    *text += &format!("{last}{end}");
    if rng.u8(..5) == 0 {
        field(text, rng, odd);
    }
    if odd.takes(rng, 32) {
        *text += &"x: 1\r\n".repeat(rng.usize(60..70));
    }
    *text += odd.end(rng);
}
