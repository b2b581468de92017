//! An answer's head: status line, fields, framing (RFC 9112 §4).

use std::mem::MaybeUninit;

use http::{Method, StatusCode};

use super::request::{flaw, lists};
use super::{FIELDS, Fields, Flaw, Framing, Version};
use crate::buffer::Buffer;

/// An answer's head, in its one reading.
pub(crate) struct ResponseHead {
    status: StatusCode,
    version: Version,
    fields: Fields,
    framing: Framing,
}

impl ResponseHead {
    /// Reads a whole head, its empty line at its end, of the answer to a request with `method`.
    ///
    /// # Errors
    /// What is wrong first.
    pub(crate) fn parse(head: &[u8], method: &Method) -> Result<Self, Flaw> {
        // Blanks and versions that the library lets pass.
        let [b'H', b'T', b'T', b'P', b'/', b'1', b'.', minor @ (b'0' | b'1'), b' ', rest @ ..] = head else {
            return Err(Flaw::FirstLine);
        };
        let [b'1'..=b'9', b'0'..=b'9', b'0'..=b'9', b' ' | b'\r', ..] = rest else { return Err(Flaw::FirstLine) };
        let version = if *minor == b'1' { Version::Http11 } else { Version::Http10 };
        let mut text = Buffer::small();
        text.extend_from_slice(head);
        let mut space = [const { MaybeUninit::uninit() }; FIELDS];
        let mut response = httparse::Response::new(&mut []);
        let parsed =
            httparse::ParserConfig::default().parse_response_with_uninit_headers(&mut response, head, &mut space);
        match parsed {
            Ok(httparse::Status::Complete(length)) if length == head.len() => {}
            Ok(_) => return Err(Flaw::Field),
            Err(error) => return Err(flaw(error)),
        }
        // RFC 9110 §15: there are five classes.
        let code = response.code.filter(|code| *code < 600).ok_or(Flaw::FirstLine)?;
        let status = StatusCode::from_u16(code).map_err(|_| Flaw::FirstLine)?;
        let fields = response.headers.iter().map(|field| (field.name.as_bytes(), field.value));
        let fields = Fields::index(text, head, fields).ok_or(Flaw::HeadTooLarge)?;
        let framing = Framing::of_response(&fields, version, status, method)?;
        Ok(Self { status, version, fields, framing })
    }

    /// The same from parts that another protocol carried.
    pub(crate) fn from_parts(status: StatusCode, fields: Fields, framing: Framing) -> Self {
        Self { status, version: Version::Http2, fields, framing }
    }

    /// The status.
    pub(crate) fn status(&self) -> StatusCode {
        self.status
    }

    /// The fields.
    pub(crate) fn fields(&self) -> &Fields {
        &self.fields
    }

    /// Where the body ends.
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }

    /// Whether the connection may be used again, as far as the head says (RFC 9112 §9.3).
    pub(crate) fn keeps_alive(&self) -> bool {
        self.version != Version::Http10
            && self.framing != Framing::UntilClose
            && !lists(&self.fields, "connection", "close")
    }

    /// Whether a list field holds a word, in any case.
    pub(crate) fn lists(&self, name: &str, word: &str) -> bool {
        lists(&self.fields, name, word)
    }
}
