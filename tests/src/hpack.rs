//! Header blocks of HTTP/2 (RFC 7541): written by hand, so that a test says which representation goes out, and read
//! as far as a client needs that lets the other side keep no table.

use std::collections::HashMap;
use std::sync::OnceLock;

/// A header block in the making. Nothing is checked: what no decent client sends can be written too.
#[derive(Debug, Clone, Default)]
pub struct Block(Vec<u8>);

impl Block {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// What every request begins with: to the host that test sites answer.
    pub fn request(method: &str, path: &str) -> Self {
        let block = Self::new().field(":method", method).field(":scheme", "http").field(":path", path);
        block.field(":authority", crate::documents::HOST)
    }

    /// The same in few bytes: `GET` and `http` from the static table, names too.
    pub fn short(path: &str) -> Self {
        let block = Self::new().indexed(2).indexed(6).named(4, path);
        block.named(1, crate::documents::HOST)
    }

    /// A field, both parts literal, not to be remembered.
    #[must_use]
    pub fn field(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.push(0);
        self.string(name.as_ref()).string(value.as_ref())
    }

    /// A field whose name stands in a table, not to be remembered.
    #[must_use]
    pub fn named(self, index: usize, value: impl AsRef<[u8]>) -> Self {
        self.integer(0, 4, index).string(value.as_ref())
    }

    /// A field, both parts literal, to be remembered.
    #[must_use]
    pub fn remembered(mut self, name: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.0.push(0x40);
        self.string(name.as_ref()).string(value.as_ref())
    }

    /// A field that stands in a table.
    #[must_use]
    pub fn indexed(self, index: usize) -> Self {
        self.integer(0x80, 7, index)
    }

    /// So many times the same field of a table.
    #[must_use]
    pub fn repeated(self, index: usize, times: usize) -> Self {
        (0..times).fold(self, |block, _| block.indexed(index))
    }

    /// A new size of the table.
    #[must_use]
    pub fn resized(self, size: usize) -> Self {
        self.integer(0x20, 5, size)
    }

    /// Any bytes.
    #[must_use]
    pub fn raw(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    /// The bytes so far.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    fn string(self, text: &[u8]) -> Self {
        self.integer(0, 7, text.len()).raw(text)
    }

    /// An integer behind the bits of a representation (RFC 7541 §5.1).
    fn integer(mut self, bits: u8, prefix: u32, value: usize) -> Self {
        let most = (1 << prefix) - 1;
        if value < most {
            self.0.push(bits | u8::try_from(value).unwrap());
            return self;
        }
        self.0.push(bits | u8::try_from(most).unwrap());
        let mut rest = value - most;
        while rest >= 0x80 {
            self.0.push(u8::try_from(rest & 0x7f).unwrap() | 0x80);
            rest >>= 7;
        }
        self.0.push(u8::try_from(rest).unwrap());
        self
    }
}

/// The fields of a block, from a side that was told to keep no table.
///
/// # Errors
/// What it holds that is no field, or one of a table that is not there.
pub fn fields(block: &[u8]) -> Result<Vec<(String, String)>, String> {
    let mut reader = Reader { rest: block };
    let mut fields = Vec::new();
    while let Some(first) = reader.rest.first().copied() {
        if first & 0x80 != 0 {
            let index = reader.integer(7)?;
            let (name, value) = entry(index)?;
            fields.push((name.to_owned(), value.to_owned()));
        } else if first & 0xe0 == 0x20 {
            reader.integer(5)?;
        } else {
            let index = reader.integer(if first & 0x40 != 0 { 6 } else { 4 })?;
            let name = if index == 0 { reader.string()? } else { entry(index)?.0.to_owned() };
            fields.push((name, reader.string()?));
        }
    }
    Ok(fields)
}

fn entry(index: usize) -> Result<(&'static str, &'static str), String> {
    let row = index.checked_sub(1).and_then(|at| STATIC.get(at));
    let row = row.ok_or_else(|| format!("field {index} of a table that is to be empty"))?;
    Ok(row.split_once(' ').unwrap_or((row, "")))
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, String> {
        let (first, rest) = self.rest.split_first().ok_or("a block that ends too early")?;
        self.rest = rest;
        Ok(*first)
    }

    fn integer(&mut self, prefix: u32) -> Result<usize, String> {
        let most = (1 << prefix) - 1;
        let mut value = usize::from(self.byte()?) & most;
        if value < most {
            return Ok(value);
        }
        for shift in (0..28).step_by(7) {
            let byte = self.byte()?;
            value += usize::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err("an integer beyond measure".to_owned())
    }

    fn string(&mut self) -> Result<String, String> {
        let coded = self.rest.first().is_some_and(|first| first & 0x80 != 0);
        let length = self.integer(7)?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or("a string that ends too early")?;
        self.rest = rest;
        let text = if coded { decoded(text) } else { text.to_vec() };
        Ok(text.iter().copied().map(char::from).collect())
    }
}

/// Text out of Huffman's code: within a length, codes go up with the symbols, so lengths are all that is to be known.
fn decoded(text: &[u8]) -> Vec<u8> {
    let mut found = Vec::new();
    let (mut code, mut length) = (0_u32, 0);
    for bit in text.iter().flat_map(|byte| (0..8).rev().map(move |at| u32::from(byte >> at & 1))) {
        (code, length) = (code << 1 | bit, length + 1);
        if let Some(symbol) = symbol(code, length) {
            found.push(symbol);
            (code, length) = (0, 0);
        }
    }
    found
}

fn symbol(code: u32, length: u8) -> Option<u8> {
    static CODES: OnceLock<HashMap<(u8, u32), u8>> = OnceLock::new();
    let codes = CODES.get_or_init(|| {
        let mut codes = HashMap::new();
        let mut next = 0;
        for length in 1..=30 {
            next <<= 1;
            for symbol in (0..=u8::MAX).filter(|symbol| LENGTHS[usize::from(*symbol)] == length) {
                codes.insert((length, next), symbol);
                next += 1;
            }
        }
        codes
    });
    codes.get(&(length, code)).copied()
}

/// How many bits each byte takes (RFC 7541, appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; 256] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6, 5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5, 6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23, 24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23, 21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25, 19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23, 26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
];

/// The static table (RFC 7541, appendix A): name, and value where it has one.
const STATIC: [&str; 61] = [
    ":authority", ":method GET", ":method POST", ":path /", ":path /index.html", ":scheme http", ":scheme https",
    ":status 200", ":status 204", ":status 206", ":status 304", ":status 400", ":status 404", ":status 500",
    "accept-charset", "accept-encoding gzip, deflate", "accept-language", "accept-ranges", "accept",
    "access-control-allow-origin", "age", "allow", "authorization", "cache-control", "content-disposition",
    "content-encoding", "content-language", "content-length", "content-location", "content-range", "content-type",
    "cookie", "date", "etag", "expect", "expires", "from", "host", "if-match", "if-modified-since", "if-none-match",
    "if-range", "if-unmodified-since", "last-modified", "link", "location", "max-forwards", "proxy-authenticate",
    "proxy-authorization", "range", "referer", "refresh", "retry-after", "server", "set-cookie",
    "strict-transport-security", "transfer-encoding", "user-agent", "vary", "via", "www-authenticate",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again_and_the_examples_of_the_rfc_too() {
        let block = Block::request("GET", "/a").indexed(8).repeated(16, 2).field("x", "y".repeat(300)).resized(4_000);
        let read = fields(block.bytes()).unwrap();
        assert_eq!(read.len(), 8);
        assert_eq!(read[2], (":path".to_owned(), "/a".to_owned()));
        assert_eq!(read[4], (":status".to_owned(), "200".to_owned()));
        assert_eq!(read[6], ("accept-encoding".to_owned(), "gzip, deflate".to_owned()));
        assert_eq!(read[7].1.len(), 300);
        // Appendix C.4.1 and C.6.1.
        let example = [0xf1, 0xe3, 0xc2, 0xe5, 0xf2, 0x3a, 0x6b, 0xa0, 0xab, 0x90, 0xf4, 0xff];
        assert_eq!(decoded(&example), b"www.example.com");
        let example =
            [0x9d, 0x29, 0xad, 0x17, 0x18, 0x63, 0xc7, 0x8f, 0x0b, 0x97, 0xc8, 0xe9, 0xae, 0x82, 0xae, 0x43, 0xd3];
        assert_eq!(decoded(&example), b"https://www.example.com");
        assert!(fields(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff]).is_err());
        assert!(fields(&[0xbe]).is_err());
    }
}
