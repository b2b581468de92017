//! Bodies in chunks (RFC 9112 §7.1): sizes are read strictly, extensions and trailers are checked and dropped.

use super::{Flaw, is_token, is_value};

/// What ends a chunked body, without trailers.
pub(crate) const LAST_CHUNK: &[u8] = b"0\r\n\r\n";

/// The most bytes of a chunk's first line: a size and a bounded extension.
const LINE: u16 = 256;

/// The most bytes of all trailers.
const TRAILERS: u16 = 8 * 1024;

/// The most trailers.
const TRAILER_FIELDS: u16 = 64;

/// Reads chunks as their bytes come.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ChunkDecoder {
    state: State,
    /// Of the data of the chunk under way.
    left: u64,
    /// Bytes of the line or the trailers under way.
    used: u16,
    /// Trailers so far.
    trailers: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// At a chunk's first digit.
    SizeStart,
    Size,
    Extension,
    SizeLf,
    Data,
    DataCr,
    DataLf,
    /// At the beginning of a trailer's line, or of the last one.
    TrailerStart,
    TrailerName,
    TrailerValue,
    TrailerLf,
    EndLf,
    End,
}

/// What is at the beginning of the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// So many bytes of framing, to be dropped.
    pub(crate) framing: usize,
    /// Behind them, so many bytes of data.
    pub(crate) data: usize,
}

impl Default for ChunkDecoder {
    fn default() -> Self {
        Self { state: State::SizeStart, left: 0, used: 0, trailers: 0 }
    }
}

impl ChunkDecoder {
    /// Whether the last chunk and the trailers are over.
    pub(crate) fn is_done(&self) -> bool {
        self.state == State::End
    }

    /// Reads framing up to the next data, or as far as the bytes go. The data is then [taken](Self::take).
    ///
    /// # Errors
    /// When the framing is none; nothing behind it can be believed.
    pub(crate) fn decode(&mut self, bytes: &[u8]) -> Result<Decoded, Flaw> {
        let mut framing = 0;
        while self.state != State::Data && self.state != State::End && framing < bytes.len() {
            self.state = self.step(bytes[framing])?;
            framing += 1;
        }
        let data = match self.state {
            State::Data => usize::try_from(self.left).unwrap_or(usize::MAX).min(bytes.len() - framing),
            _ => 0,
        };
        Ok(Decoded { framing, data })
    }

    /// Notes that so many bytes of data are gone.
    pub(crate) fn take(&mut self, bytes: usize) {
        self.left = self.left.saturating_sub(bytes as u64);
        if self.left == 0 && self.state == State::Data {
            self.state = State::DataCr;
        }
    }

    fn step(&mut self, byte: u8) -> Result<State, Flaw> {
        self.used += 1;
        let bound = if self.in_trailers() { TRAILERS } else { LINE };
        if self.used > bound {
            return Err(Flaw::ChunkTooLong);
        }
        let next = match (self.state, byte) {
            (State::SizeStart | State::Size, digit) if digit.is_ascii_hexdigit() => {
                if self.left >> 60 != 0 {
                    return Err(Flaw::Chunk);
                }
                self.left = self.left << 4 | u64::from(char::from(digit).to_digit(16).unwrap_or(0));
                // Sixteen digits, and no more zeros in front than fit.
                if self.used > 16 {
                    return Err(Flaw::Chunk);
                }
                State::Size
            }
            (State::Size, b';') => State::Extension,
            (State::Size | State::Extension, b'\r') => State::SizeLf,
            (State::Extension, byte) if is_value(byte) => State::Extension,
            (State::SizeLf, b'\n') => {
                self.used = 0;
                if self.left == 0 { State::TrailerStart } else { State::Data }
            }
            (State::DataCr, b'\r') => State::DataLf,
            (State::DataLf, b'\n') => {
                self.used = 0;
                State::SizeStart
            }
            (State::TrailerStart, b'\r') => State::EndLf,
            (State::TrailerStart | State::TrailerName, byte) if is_token(byte) => State::TrailerName,
            (State::TrailerName, b':') => State::TrailerValue,
            (State::TrailerValue, b'\r') => State::TrailerLf,
            (State::TrailerValue, byte) if is_value(byte) => State::TrailerValue,
            (State::TrailerLf, b'\n') => {
                self.trailers += 1;
                if self.trailers > TRAILER_FIELDS {
                    return Err(Flaw::ChunkTooLong);
                }
                State::TrailerStart
            }
            (State::EndLf, b'\n') => State::End,
            _ => return Err(Flaw::Chunk),
        };
        Ok(next)
    }

    fn in_trailers(&self) -> bool {
        matches!(
            self.state,
            State::TrailerStart | State::TrailerName | State::TrailerValue | State::TrailerLf | State::EndLf
        )
    }
}

/// Writes a chunk of at least one byte.
pub(crate) fn write_chunk(out: &mut Vec<u8>, data: &[u8]) {
    let (text, length) = chunk_head(data.len());
    out.extend_from_slice(&text[..length]);
    out.extend_from_slice(data);
    out.extend_from_slice(b"\r\n");
}

/// The line in front of a chunk of `size` bytes: its text, of which the second value is the length.
fn chunk_head(size: usize) -> ([u8; 18], usize) {
    let mut text = [0; 18];
    let digits = (usize::BITS - size.leading_zeros()).div_ceil(4).max(1) as usize;
    for (place, slot) in text[..digits].iter_mut().enumerate() {
        let nibble = size >> (4 * (digits - 1 - place)) & 0xf;
        *slot = b"0123456789abcdef"[nibble];
    }
    text[digits] = b'\r';
    text[digits + 1] = b'\n';
    (text, digits + 2)
}
