//! How much a client of HTTP/2 may say in one turn, apart from what its bodies hold.
//!
//! A field of the static table is one byte on the wire and a hundred in memory (RFC 7541 §2.3.1) until its head has the
//! form in which it is kept. The library takes in all heads that have come before any of them is looked at, so that a
//! hundred requests in one segment would be a megabyte at once. Here only so much of them is let in before those that
//! came are seen to. Follows the frames by their lengths (RFC 9113 §4.1). Must never know what a frame says, nor
//! refuse one.

/// The most bytes of frames other than DATA in one turn: some fifteen heads of a hundred fields, or a whole batch of
/// ordinary ones.
const A_TURN: usize = 2 * 1024;

const PREFACE: usize = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".len();
const FRAME_HEAD: usize = 9;
const DATA: u8 = 0;

/// Where in its frames a client stands, and what it has said in this turn.
pub(super) struct Intake {
    /// So many bytes are to come of what began last.
    left: usize,
    /// Whether those are a body's.
    body: bool,
    /// The head of a frame, as far as it has come.
    head: [u8; FRAME_HEAD],
    came: usize,
    /// What may still come in this turn.
    room: usize,
}

impl Intake {
    /// Of a connection that has said nothing, not even its preface.
    pub(super) fn new() -> Self {
        Self { left: PREFACE, body: false, head: [0; FRAME_HEAD], came: 0, room: A_TURN }
    }

    /// What may be read at once: none until the [next turn](Self::turn) when this one has had its share.
    pub(super) fn room(&self) -> usize {
        if self.body { self.left + self.room } else { self.room }
    }

    /// The next turn has its own share.
    pub(super) fn turn(&mut self) {
        self.room = A_TURN;
    }

    /// These bytes have come.
    pub(super) fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            let part = if self.left > 0 { self.pass(bytes.len()) } else { self.begin(bytes) };
            bytes = &bytes[part..];
        }
    }

    /// Goes on in what has begun; says how far.
    fn pass(&mut self, bytes: usize) -> usize {
        let part = bytes.min(self.left);
        self.left -= part;
        if !self.body {
            self.room = self.room.saturating_sub(part);
        }
        self.body &= self.left > 0;
        part
    }

    /// Goes on in the head of a frame; says how far.
    fn begin(&mut self, bytes: &[u8]) -> usize {
        let part = bytes.len().min(FRAME_HEAD - self.came);
        self.head[self.came..self.came + part].copy_from_slice(&bytes[..part]);
        self.came += part;
        self.room = self.room.saturating_sub(part);
        if self.came == FRAME_HEAD {
            let [high, middle, low, kind, ..] = self.head;
            self.left = usize::from(high) << 16 | usize::from(middle) << 8 | usize::from(low);
            self.body = kind == DATA && self.left > 0;
            self.came = 0;
        }
        part
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(kind: u8, length: usize) -> Vec<u8> {
        let [_, .., high, middle, low] = length.to_be_bytes();
        let mut frame = vec![high, middle, low, kind, 0, 0, 0, 0, 1];
        frame.resize(FRAME_HEAD + length, 0);
        frame
    }

    fn begun() -> Intake {
        let mut intake = Intake::new();
        intake.take(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");
        intake.turn();
        intake
    }

    #[test]
    fn bodies_take_no_room_and_everything_else_does() {
        let mut intake = begun();
        intake.take(&frame(1, 100));
        assert_eq!(intake.room(), A_TURN - 109);
        // All of a body may come, and what follows it as far as there is room.
        let body = frame(0, 16_384);
        intake.take(&body[..FRAME_HEAD]);
        assert_eq!(intake.room(), 16_384 + A_TURN - 118);
        intake.take(&body[FRAME_HEAD..]);
        assert_eq!(intake.room(), A_TURN - 118);
        intake.take(&frame(4, A_TURN));
        assert_eq!(intake.room(), 0);
        intake.turn();
        assert_eq!(intake.room(), A_TURN);
    }

    #[test]
    fn it_stands_at_the_same_place_however_the_bytes_come() {
        let bytes = [frame(1, 0), frame(0, 0), frame(0, 300), frame(9, 70), frame(0, 5), frame(4, 18)].concat();
        for size in 1..=bytes.len() {
            let mut intake = begun();
            bytes.chunks(size).for_each(|bytes| intake.take(bytes));
            assert_eq!((intake.room(), intake.left, intake.came), (A_TURN - 6 * FRAME_HEAD - 88, 0, 0), "by {size}");
        }
    }

    #[test]
    fn what_is_said_before_the_first_frame_counts_as_well() {
        assert_eq!(Intake::new().room(), A_TURN);
        let mut intake = Intake::new();
        intake.take(&[0; 20]);
        assert_eq!((intake.room(), intake.left), (A_TURN - 20, 4));
    }
}
