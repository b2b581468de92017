//! A request's head: first line, fields, framing (RFC 9112 §3).

use std::mem::MaybeUninit;
use std::ops::Range;

use http::Method;

use super::{FIELDS, Fields, Flaw, Framing, METHOD};
use crate::buffer::Buffer;

/// The versions that are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Version {
    /// A client that knows neither chunks nor kept connections.
    Http10,
    /// The common one.
    Http11,
    /// A request that came over HTTP/2 and was put into this form.
    Http2,
}

/// A request's head, in its one reading.
pub(crate) struct RequestHead {
    method: Method,
    version: Version,
    fields: Fields,
    /// Path and query, within the text of the fields.
    target: Range<usize>,
    /// How long the path is.
    path: usize,
    /// The authority of an absolute target.
    authority: Option<Range<usize>>,
    framing: Framing,
}

impl RequestHead {
    /// Reads a whole head, its empty line at its end.
    ///
    /// # Errors
    /// What is wrong first.
    pub(crate) fn parse(head: &[u8]) -> Result<Self, Flaw> {
        let mut text = Buffer::small();
        text.extend_from_slice(head);
        let mut space = [const { MaybeUninit::uninit() }; FIELDS];
        let mut request = httparse::Request::new(&mut []);
        match request.parse_with_uninit_headers(head, &mut space) {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Flaw::Field),
            Err(httparse::Error::Version) => return Err(version_flaw(head)),
            Err(error) => return Err(flaw(error)),
        }
        let (Some(method), Some(target), Some(minor)) = (request.method, request.path, request.version) else {
            return Err(Flaw::FirstLine);
        };
        // The library is lenient about blanks between the words.
        let line = method.len() + target.len() + 2;
        if head.get(line..line + 10) != Some(if minor == 1 { b"HTTP/1.1\r\n" } else { b"HTTP/1.0\r\n" }) {
            return Err(Flaw::FirstLine);
        }
        let version = if minor == 1 { Version::Http11 } else { Version::Http10 };
        if method.len() > METHOD {
            return Err(Flaw::FirstLine);
        }
        let start = method.len() + 1;
        let method = Method::from_bytes(method.as_bytes()).map_err(|_| Flaw::FirstLine)?;
        let fields = request.headers.iter().map(|field| (field.name.as_bytes(), field.value));
        let fields = Fields::index(text, head, fields).ok_or(Flaw::HeadTooLarge)?;
        let framing = Framing::of_request(&fields, version)?;
        let (authority, path) = split(target, &method)?;
        let authority = authority.map(|part| start + part.start..start + part.end);
        let target = start + path.start..start + path.end;
        Ok(Self::assemble(method, version, fields, target, authority, framing))
    }

    /// The same from parts that another protocol carried: names in lower case, `host` among the fields, which are so
    /// many of so many bytes, or about.
    ///
    /// # Errors
    /// When the target is no path.
    pub(crate) fn from_parts<'f>(
        method: Method,
        target: &str,
        fields: impl Iterator<Item = (&'f str, &'f [u8])>,
        (count, bytes): (usize, usize),
        framing: Framing,
    ) -> Result<Self, Flaw> {
        let (None, _) = split(target, &method)? else { return Err(Flaw::Target) };
        let mut text = Fields::behind(target, count, bytes);
        for (name, value) in fields {
            if !text.push(name, value) {
                return Err(Flaw::HeadTooLarge);
            }
        }
        Ok(Self::assemble(method, Version::Http2, text, 0..target.len(), None, framing))
    }

    fn assemble(
        method: Method,
        version: Version,
        fields: Fields,
        target: Range<usize>,
        authority: Option<Range<usize>>,
        framing: Framing,
    ) -> Self {
        let text = &fields.text()[target.clone()];
        let path = memchr::memchr(b'?', text).unwrap_or(text.len());
        Self { method, version, fields, target, path, authority, framing }
    }

    /// The method, in the case it came.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The version.
    pub(crate) fn version(&self) -> Version {
        self.version
    }

    /// The fields.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Drops fields by their names, as if they had never come. Framing was read before, and stays.
    pub(crate) fn drop_named(&mut self, is_dropped: impl Fn(&[u8]) -> bool) {
        self.fields.drop_named(is_dropped);
    }

    /// How long it is when it is written out, or about.
    pub(crate) fn size(&self) -> usize {
        self.fields.text().len() + ": \r\n".len() * self.fields.len()
    }

    /// Path and query, byte for byte.
    pub(crate) fn target(&self) -> &str {
        self.text(self.target.clone())
    }

    /// The path, raw.
    pub(crate) fn path(&self) -> &str {
        self.text(self.target.start..self.target.start + self.path)
    }

    /// The query, raw and without its mark.
    pub(crate) fn query(&self) -> Option<&str> {
        self.target().get(self.path + 1..)
    }

    /// The authority, when the target was an absolute URI.
    pub(crate) fn authority(&self) -> Option<&str> {
        self.authority.clone().map(|place| self.text(place))
    }

    /// Where its body ends.
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether a list field holds a word, in any case.
    pub(crate) fn lists(&self, name: &str, word: &str) -> bool {
        lists(&self.fields, name, word)
    }

    /// Targets are visible ASCII.
    fn text(&self, place: Range<usize>) -> &str {
        std::str::from_utf8(&self.fields.text()[place]).unwrap_or_default()
    }
}

/// Whether a comma-separated field holds a word, in any case.
pub(super) fn lists(fields: &Fields, name: &str, word: &str) -> bool {
    fields
        .all(name)
        .flat_map(|value| value.split(|byte| *byte == b','))
        .any(|item| item.trim_ascii().eq_ignore_ascii_case(word.as_bytes()))
}

/// The authority, if there is one, and path with query: as places within the target (RFC 9112 §3.2).
fn split(target: &str, method: &Method) -> Result<(Option<Range<usize>>, Range<usize>), Flaw> {
    // A fragment is never sent (RFC 9110 §7.1), and what reads it as the end of the path reads another path.
    if !target.bytes().all(|byte| matches!(byte, 0x21..=0x7e) && byte != b'#') {
        return Err(Flaw::Target);
    }
    if target.starts_with('/') {
        return Ok((None, 0..target.len()));
    }
    let scheme = ["http://", "https://"]
        .iter()
        .find(|scheme| target.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
    match scheme {
        Some(scheme) => {
            let start = scheme.len();
            let end = target[start..].find(['/', '?']).map_or(target.len(), |at| start + at);
            // An empty path would have to be written anew, and so would one that is only a query.
            if end == start || !target[end..].starts_with('/') {
                return Err(Flaw::Target);
            }
            Ok((Some(start..end), end..target.len()))
        }
        // The authority form is CONNECT's, which is refused by its name.
        None if *method == Method::CONNECT => Ok((Some(0..target.len()), 0..0)),
        None => Err(Flaw::Target),
    }
}

/// A blank within the target moves the version out of its place.
fn version_flaw(head: &[u8]) -> Flaw {
    let line = head.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let mut words = line.split(|byte| *byte == b' ');
    match (words.nth(2), words.next()) {
        (Some([b'H', b'T', b'T', b'P', b'/', b'0'..=b'9', b'.', b'0'..=b'9']), None) => Flaw::Version,
        _ => Flaw::FirstLine,
    }
}

pub(super) fn flaw(error: httparse::Error) -> Flaw {
    match error {
        httparse::Error::HeaderName | httparse::Error::HeaderValue | httparse::Error::NewLine => Flaw::Field,
        httparse::Error::Token | httparse::Error::Status => Flaw::FirstLine,
        httparse::Error::TooManyHeaders => Flaw::TooManyFields,
        httparse::Error::Version => Flaw::Version,
    }
}
