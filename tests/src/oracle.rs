//! What may stand on a wire: a small parser of HTTP/1.1 that takes what RFC 9112 lets a sender write, and nothing
//! of what it lets a recipient tolerate.
//!
//! It judges what the router sends, to either side. It shares no code with the router and is stricter than any real
//! server: what passes here is read in the same way by all of them.

// Named from here, since others take this file into their own crates.
#[cfg(test)]
#[path = "oracle/tests.rs"]
mod tests;

/// A message with one reading.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Message {
    /// The method, or empty.
    pub method: String,
    /// The target, or empty.
    pub target: String,
    /// The status, or 0.
    pub status: u16,
    /// Names in lower case, in the order they came. Bytes beyond ASCII stand as the characters of the same number.
    pub fields: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
    /// What stood behind the last chunk.
    pub trailers: Vec<(String, String)>,
}

impl Message {
    /// The first field of that name.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every field of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.fields.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str()).collect()
    }
}

/// Why there is no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// All well so far, and not at its end.
    More,
    /// It has no reading, or several.
    Wrong(String),
}

/// What an answer belongs to, which decides where it ends.
#[derive(Debug, Clone, Copy, Default)]
pub struct Asked {
    /// Whether the request was `HEAD`.
    pub by_head: bool,
    /// Whether the request spoke 1.0, so that the answer may too, and must not come in chunks.
    pub old: bool,
    /// Whether no more bytes will come.
    pub ended: bool,
}

type Parsed<T> = Result<T, Stop>;

fn wrong<T>(why: impl Into<String>) -> Parsed<T> {
    Err(Stop::Wrong(why.into()))
}

/// Reads one request as the router may send it; with it comes how many bytes it took.
///
/// # Errors
/// When it is not whole, or not in the one form that nobody reads differently.
pub fn request(bytes: &[u8]) -> Parsed<(Message, usize)> {
    let mut reader = Reader { bytes, at: 0 };
    let mut message = request_line(reader.line()?)?;
    message.fields = reader.fields()?;
    check_request_fields(&message)?;
    match framing(&message)? {
        Framing::Chunked => reader.chunks(&mut message)?,
        Framing::Length(length) => message.body = reader.take(length)?.to_vec(),
        Framing::Nothing => {}
    }
    match message.trailers.is_empty() {
        true => Ok((message, reader.at)),
        false => wrong("trailers"),
    }
}

/// Reads one answer as the router may send it; with it comes how many bytes it took.
///
/// # Errors
/// When it is not whole, or not in the one form that nobody reads differently.
pub fn answer(bytes: &[u8], asked: Asked) -> Parsed<(Message, usize)> {
    let mut reader = Reader { bytes, at: 0 };
    let mut message = status_line(reader.line()?, asked)?;
    message.fields = reader.fields()?;
    check_answer_fields(&message)?;
    let framing = framing(&message)?;
    if asked.old && matches!(framing, Framing::Chunked) {
        return wrong("chunks for a client of 1.0");
    }
    let unframed = message.status < 200 || message.status == 204;
    if unframed && !matches!(framing, Framing::Nothing) {
        return wrong(format!("framing of a {}", message.status));
    }
    let bodiless = unframed || message.status == 304 || asked.by_head;
    match framing {
        _ if bodiless => {}
        Framing::Chunked => reader.chunks(&mut message)?,
        Framing::Length(length) => message.body = reader.take(length)?.to_vec(),
        Framing::Nothing if asked.ended => message.body = reader.take(bytes.len() - reader.at)?.to_vec(),
        Framing::Nothing => return Err(Stop::More),
    }
    Ok((message, reader.at))
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// A line without its end, which is CR LF and nothing else.
    fn line(&mut self) -> Parsed<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let Some(end) = rest.iter().position(|byte| matches!(byte, b'\r' | b'\n')) else { return Err(Stop::More) };
        match (rest[end], rest.get(end + 1)) {
            (b'\r', Some(b'\n')) => {
                self.at += end + 2;
                Ok(&rest[..end])
            }
            (b'\r', None) => Err(Stop::More),
            (b'\r', Some(_)) => wrong("a bare CR"),
            _ => wrong("a bare LF"),
        }
    }

    fn take(&mut self, length: usize) -> Parsed<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        if rest.len() < length {
            return Err(Stop::More);
        }
        self.at += length;
        Ok(&rest[..length])
    }

    fn fields(&mut self) -> Parsed<Vec<(String, String)>> {
        let mut fields = Vec::new();
        loop {
            match self.line()? {
                [] => return Ok(fields),
                line => fields.push(field(line)?),
            }
        }
    }

    fn chunks(&mut self, message: &mut Message) -> Parsed<()> {
        loop {
            let size = chunk_size(self.line()?)?;
            if size == 0 {
                message.trailers = self.fields()?;
                return Ok(());
            }
            message.body.extend_from_slice(self.take(size)?);
            if self.take(2)? != b"\r\n" {
                return wrong("a chunk that does not end where it says");
            }
        }
    }
}

fn chunk_size(line: &[u8]) -> Parsed<usize> {
    let text = std::str::from_utf8(line).unwrap_or_default();
    let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    if !plain || (text.len() > 1 && text.starts_with('0')) {
        return wrong(format!("a chunk size {:?}", latin(line)));
    }
    usize::from_str_radix(text, 16).or_else(|_| wrong("a chunk size beyond measure"))
}

fn request_line(line: &[u8]) -> Parsed<Message> {
    let words: Vec<&[u8]> = line.split(|byte| *byte == b' ').collect();
    let [method, target, b"HTTP/1.1"] = words[..] else {
        return wrong(format!("a request line {:?}", latin(line)));
    };
    if !is_token(method) {
        return wrong(format!("a method {:?}", latin(method)));
    }
    let plain = target.iter().all(|byte| matches!(byte, 0x21..=0x7e) && *byte != b'#');
    if !plain || target.first() != Some(&b'/') {
        return wrong(format!("a target {:?}", latin(target)));
    }
    Ok(Message { method: latin(method), target: latin(target), ..Message::default() })
}

fn status_line(line: &[u8], asked: Asked) -> Parsed<Message> {
    let old = if asked.old { line.strip_prefix(b"HTTP/1.0 ") } else { None };
    let rest = line.strip_prefix(b"HTTP/1.1 ").or(old);
    let Some((&[a, b, c], behind)) = rest.and_then(<[u8]>::split_first_chunk) else {
        return wrong(format!("a status line {:?}", latin(line)));
    };
    let is_status = matches!(a, b'1'..=b'5') && b.is_ascii_digit() && c.is_ascii_digit();
    // Appendix A of RFC 9112: the blank stands there also in front of no reason.
    if !is_status || behind.first() != Some(&b' ') || !behind.iter().copied().all(is_text) {
        return wrong(format!("a status line {:?}", latin(line)));
    }
    let status = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
    Ok(Message { status, ..Message::default() })
}

fn field(line: &[u8]) -> Parsed<(String, String)> {
    if matches!(line.first(), Some(b' ' | b'\t')) {
        return wrong("a folded line");
    }
    let Some(colon) = line.iter().position(|byte| *byte == b':') else {
        return wrong(format!("a field without colon {:?}", latin(line)));
    };
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    if !is_token(name) {
        return wrong(format!("a name {:?}", latin(name)));
    }
    if !value.iter().copied().all(is_text) {
        return wrong(format!("a value {:?}", latin(value)));
    }
    Ok((latin(name).to_ascii_lowercase(), latin(value).trim_matches([' ', '\t']).to_owned()))
}

/// `tchar` of RFC 9110 §5.6.2.
fn is_token(bytes: &[u8]) -> bool {
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !bytes.is_empty() && bytes.iter().all(fits)
}

/// What a value or a reason is made of (RFC 9110 §5.5).
fn is_text(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}

fn latin(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

enum Framing {
    Chunked,
    Length(usize),
    Nothing,
}

fn framing(message: &Message) -> Parsed<Framing> {
    let encodings: Vec<&str> = message.all("transfer-encoding");
    let lengths: Vec<&str> = message.all("content-length");
    match (&encodings[..], &lengths[..]) {
        ([], []) => Ok(Framing::Nothing),
        (["chunked"], []) => Ok(Framing::Chunked),
        ([], [length]) => {
            let plain =
                length.bytes().all(|byte| byte.is_ascii_digit()) && (*length == "0" || !length.starts_with('0'));
            match length.parse() {
                Ok(length) if plain => Ok(Framing::Length(length)),
                _ => wrong(format!("a length {length:?}")),
            }
        }
        _ => wrong(format!("framing by {encodings:?} and {lengths:?}")),
    }
}

/// Hop by hop, or settled by the router itself (RFC 9110 §7.6.1).
const NEVER_SENT: [&str; 6] =
    ["keep-alive", "proxy-connection", "proxy-authenticate", "proxy-authorization", "upgrade", "http2-settings"];

fn check_request_fields(message: &Message) -> Parsed<()> {
    let hosts: Vec<&str> = message.all("host");
    let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-.:".contains(&byte);
    if hosts.len() != 1 || hosts[0].is_empty() || !hosts[0].bytes().all(is_host) {
        return wrong(format!("hosts {hosts:?}"));
    }
    for (name, value) in &message.fields {
        let allowed = match name.as_str() {
            "te" => value == "trailers",
            "connection" | "trailer" | "expect" => false,
            // Read by others as the same name with a hyphen.
            name => !NEVER_SENT.contains(&name) && !name.contains(['_', '.']),
        };
        if !allowed {
            return wrong(format!("the field {name}: {value}"));
        }
    }
    Ok(())
}

fn check_answer_fields(message: &Message) -> Parsed<()> {
    for (name, value) in &message.fields {
        let allowed = match name.as_str() {
            "connection" => ["close", "keep-alive"].contains(&value.as_str()),
            "te" | "trailer" => false,
            name => !NEVER_SENT.contains(&name),
        };
        if !allowed {
            return wrong(format!("the field {name}: {value}"));
        }
    }
    Ok(())
}
