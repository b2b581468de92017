//! WebSocket on the wire, as far as somebody in the middle must know it (RFC 6455): what a handshake is answered
//! with, where one frame ends and the next begins, and the frame that says goodbye.
//!
//! Does no I/O and reads no clock or randomness: whoever has them gives bytes and keys. Must never know what frames
//! carry, routes or destinations.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

#[cfg(test)]
mod tests;

/// What every key is joined with (RFC 6455 §1.3).
const JOINED: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// The version of the protocol (RFC 6455 §4.1).
pub(crate) const VERSION: &str = "13";

/// What a `Sec-WebSocket-Key` must be answered with in `Sec-WebSocket-Accept`.
pub(crate) fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(JOINED).finalize())
}

/// A key as a client makes one, of 16 random bytes.
pub(crate) fn key(random: u128) -> String {
    STANDARD.encode(random.to_be_bytes())
}

/// Whether a `Sec-WebSocket-Key` is one: 16 bytes in base64. The bits that the last letter has to spare are not
/// looked at: some clients leave something there.
pub(crate) fn is_key(value: &[u8]) -> bool {
    let [letters @ .., b'=', b'='] = value else { return false };
    letters.len() == 22 && letters.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/'))
}

/// Why a connection ends, as its last frame says it (RFC 6455 §7.4.1 and the registry made there).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goodbye {
    /// This end leaves.
    GoingAway = 1001,
    /// What it was led to is no longer there.
    Lost = 1011,
    /// Come again: somebody will be there.
    Restart = 1012,
}

impl Goodbye {
    /// The frame as a server sends it.
    pub(crate) fn to_client(self) -> [u8; 4] {
        let [high, low] = (self as u16).to_be_bytes();
        [0x88, 2, high, low]
    }

    /// The frame as a client sends it, hidden behind a key (RFC 6455 §5.3).
    pub(crate) fn to_server(self, mask: [u8; 4]) -> [u8; 8] {
        let [high, low] = (self as u16).to_be_bytes();
        [0x88, 0x82, mask[0], mask[1], mask[2], mask[3], high ^ mask[0], low ^ mask[1]]
    }
}

/// What came is no frame; where the next one begins cannot be known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Lost;

/// Where in a frame one direction of a connection is (RFC 6455 §5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Frames {
    place: Place,
    /// A frame that says goodbye has begun.
    goodbye: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// In a frame's head, of which so many bytes are there.
    Head { bytes: [u8; LONGEST], there: usize },
    /// So many bytes of its payload are still to come.
    Payload(u64),
    /// Nobody knows.
    Lost,
}

/// Two bytes, of the length, eight more, and the key. The key is not looked at, but it is counted.
const LONGEST: usize = 14;

impl Default for Place {
    fn default() -> Self {
        Self::Head { bytes: [0; LONGEST], there: 0 }
    }
}

impl Frames {
    /// Whether the next byte begins a frame.
    pub(crate) fn is_between(&self) -> bool {
        matches!(self.place, Place::Head { there: 0, .. })
    }

    /// Whether a frame that says goodbye has gone by.
    pub(crate) fn has_said_goodbye(&self) -> bool {
        self.goodbye
    }

    /// Whether the bytes can no longer be told apart.
    pub(crate) fn is_lost(&self) -> bool {
        self.place == Place::Lost
    }

    /// Goes by these bytes.
    pub(crate) fn pass(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            match self.pass_frame(bytes) {
                Ok(passed) => bytes = &bytes[passed..],
                Err(Lost) => return,
            }
        }
    }

    /// Goes by what these bytes hold of one frame, and says how many that are.
    pub(crate) fn pass_frame(&mut self, bytes: &[u8]) -> Result<usize, Lost> {
        let mut passed = 0;
        loop {
            let left = &bytes[passed..];
            match &mut self.place {
                Place::Lost => return Err(Lost),
                Place::Payload(to_come) => {
                    let here = usize::try_from(*to_come).unwrap_or(usize::MAX).min(left.len());
                    *to_come -= here as u64;
                    if *to_come == 0 {
                        self.place = Place::default();
                    }
                    return Ok(passed + here);
                }
                Place::Head { bytes: head, there } => {
                    let Some(byte) = left.first() else { return Ok(passed) };
                    (head[*there], *there) = (*byte, *there + 1);
                    passed += 1;
                    let (first, length) = (head[0], payload_of(&head[..*there]));
                    if let Some(length) = length {
                        self.enter(first, length)?;
                        if length == Some(0) {
                            return Ok(passed);
                        }
                    }
                }
            }
        }
    }

    /// A head is whole.
    fn enter(&mut self, first: u8, length: Option<u64>) -> Result<(), Lost> {
        // Opcodes that nobody has defined yet, and lengths that cannot be (RFC 6455 §5.2).
        let known = matches!(first & 0x0f, 0x0..=0x2 | 0x8..=0xa);
        let Some(length) = length.filter(|_| known) else {
            self.place = Place::Lost;
            return Err(Lost);
        };
        self.goodbye |= first & 0x0f == 0x8;
        self.place = if length == 0 { Place::default() } else { Place::Payload(length) };
        Ok(())
    }
}

/// How much payload follows, once the head is whole; none of it when the length cannot be.
fn payload_of(head: &[u8]) -> Option<Option<u64>> {
    let &[_, second, ref more @ ..] = head else { return None };
    let wide = match second & 0x7f {
        126 => 2,
        127 => 8,
        _ => 0,
    };
    let key = if second & 0x80 == 0 { 0 } else { 4 };
    if more.len() < wide + key {
        return None;
    }
    let length = match wide {
        0 => u64::from(second & 0x7f),
        _ => more[..wide].iter().fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
    };
    Some((length <= i64::MAX as u64).then_some(length))
}
