//! HTTP/1.1 on the wire, strictly: heads, bodies' framing, chunks (RFC 9112).
//!
//! Owns what is one message and what is none, for both sides: bytes in, facts out. A message with two readings is
//! a [`Flaw`]; nothing is repaired. Does no I/O and reads no clock: whoever has the socket feeds it. Must never
//! know routes, policies, or who sent the bytes.

mod chunked;
mod fields;
mod flaw;
mod framing;
mod head;
mod outbound;
mod request;
mod response;
#[cfg(test)]
mod tests;
pub(crate) mod twins;

pub(crate) use chunked::{ChunkDecoder, LAST_CHUNK, write_chunk};
pub(crate) use fields::{Fields, text, write_field};
pub(crate) use flaw::Flaw;
pub(crate) use framing::{Framing, content_length};
pub(crate) use head::HeadEnd;
pub(crate) use outbound::Outbound;
pub(crate) use request::{RequestHead, Version};
pub(crate) use response::ResponseHead;

/// The most bytes of a request's head that are ever kept: the largest target, the largest header section, and
/// room for method and version. The exact bounds of both are the matter of whoever judges the head.
pub(crate) const REQUEST_HEAD: usize = 8 * 1024 + 24 * 1024 + 512;

/// The most bytes of an answer's head: what two bytes can count, and a little room.
pub(crate) const RESPONSE_HEAD: usize = 65_000;

/// The longest method; the longest that is registered has 16 characters.
const METHOD: usize = 32;

/// The most fields that are told apart in one head; one more is refused.
pub(crate) const FIELDS: usize = 128;

/// Whether a byte may stand in a token (RFC 9110 §5.6.2).
pub(crate) const fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'!' | b'#' | b'$' | b'%' | b'&' | b'\'' | b'*' | b'+' | b'-' | b'.' | b'^' | b'_' | b'`' | b'|' | b'~'
        )
}

/// Whether a byte may stand in a field's value (RFC 9110 §5.5): visible, blank, tab, or beyond ASCII.
pub(crate) const fn is_value(byte: u8) -> bool {
    byte == b'\t' || (byte >= b' ' && byte != 0x7f)
}
