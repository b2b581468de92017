//! A request's head as it is written for a destination.

use http::{HeaderName, Method};

use super::Framing;
use crate::buffer::Buffer;
use crate::digits;

/// A head that is written but for what belongs to its body.
pub(crate) struct Outbound {
    head: Buffer,
    method: Method,
    /// Whether another protocol is asked for.
    pub(crate) upgrade: bool,
    /// Whether the client takes trailers, for protocols that say so (`TE: trailers`).
    pub(crate) te_trailers: bool,
    /// Fields that the client's trailers may not carry.
    pub(crate) barred: Box<[HeaderName]>,
}

impl Outbound {
    /// `head` is the first line and fields, each with its line end.
    pub(crate) fn new(head: Buffer, method: Method, upgrade: bool) -> Self {
        Self { head, method, upgrade, te_trailers: false, barred: Box::default() }
    }

    /// The method.
    pub(crate) fn method(&self) -> &Method {
        &self.method
    }

    /// The whole head. Framing is said here and nowhere else, so that head and body cannot disagree.
    pub(crate) fn framed(self, framing: Framing) -> Buffer {
        let Self { mut head, method, .. } = self;
        match framing {
            Framing::Length(length) => {
                head.extend_from_slice(b"content-length: ");
                digits::decimal(&mut head, length);
                head.extend_from_slice(b"\r\n");
            }
            Framing::Chunked | Framing::UntilClose => head.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            // RFC 9110 §8.6: some servers answer 411 without it.
            Framing::None if matches!(method, Method::POST | Method::PUT | Method::PATCH) => {
                head.extend_from_slice(b"content-length: 0\r\n");
            }
            Framing::None => {}
        }
        head.extend_from_slice(b"\r\n");
        head
    }
}
