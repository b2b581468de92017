//! A request on its way up: its head, and the body behind it.
//!
//! Owns the framing of what is sent, and how far it got, so that a failure of the *client's* body is never blamed
//! on the destination. Assumes that whoever made the body bounds its size and pace. Must never know where the
//! bytes come from.

use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::AsyncWrite;
use tokio::time::Instant;

use crate::body::{BodyFault, ClientBody};
use crate::buffer::Buffer;
use crate::http1::{Framing, LAST_CHUNK, write_chunk};

/// A request that is being sent over HTTP/1.
pub(super) struct Upload<B> {
    body: B,
    framing: Framing,
    /// The head, and pieces that were put behind it to go out in one write.
    out: Buffer,
    sent: usize,
    /// Whether `out` holds everything from the beginning, so that it can be sent once more.
    whole: bool,
    /// Whether it is sent only this once, so that nothing is kept of what was sent.
    once: bool,
    /// Whether a byte went to the connection in use.
    begun: bool,
    phase: Phase,
    /// Whether the client keeps everyone waiting.
    waiting: bool,
    moved: Instant,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// Pieces are still to come; of a body of known length so many bytes.
    Body(u64),
    /// Everything is in `out`.
    Last,
    /// Everything is sent.
    Done,
}

/// Why a request could not be sent to its end.
pub(super) enum SendFault {
    /// The client's doing.
    Client(BodyFault),
    /// The connection's end.
    Broken(io::Error),
}

/// What is put together to go out in one write.
const TOGETHER: usize = 20 * 1024;

/// Longer pieces are written from where they are.
const LONG: usize = 4 * 1024;

/// The largest chunk made of a piece, and what stands around it at most.
const CHUNK: usize = 64 * 1024;
const CHUNK_FRAME: usize = 24;

impl<B: ClientBody> Upload<B> {
    /// `head` is the whole head, its framing and its empty line included.
    pub(super) fn new(head: Buffer, body: B, framing: Framing, now: Instant) -> Self {
        let phase = match framing {
            Framing::None => Phase::Last,
            Framing::Length(length) => Phase::Body(length),
            Framing::Chunked | Framing::UntilClose => Phase::Body(0),
        };
        Self {
            body,
            framing,
            out: head,
            sent: 0,
            whole: true,
            once: false,
            begun: false,
            phase,
            waiting: false,
            moved: now,
        }
    }

    /// Sends as much as can be sent. Ready when everything is.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut (impl AsyncWrite + Unpin),
    ) -> Poll<Result<(), SendFault>> {
        loop {
            self.waiting = false;
            if matches!(self.phase, Phase::Body(_)) && self.out.len() - self.sent < TOGETHER {
                match self.body.poll_piece(context) {
                    Poll::Ready(Ok(true)) if self.is_beyond() => {
                        return Poll::Ready(Err(SendFault::Client(BodyFault::TooLarge)));
                    }
                    Poll::Ready(Ok(true)) if self.is_long() => {
                        ready!(self.poll_long(context, stream)).map_err(SendFault::Broken)?;
                        continue;
                    }
                    Poll::Ready(Ok(more)) => {
                        self.gather(more)?;
                        continue;
                    }
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(SendFault::Client(fault))),
                    Poll::Pending => self.waiting = true,
                }
            }
            if self.sent < self.out.len() {
                let written = Pin::new(&mut *stream).poll_write(context, &self.out[self.sent..]);
                self.sent += ready!(progress(written)).map_err(SendFault::Broken)?;
                self.begun = true;
                if self.sent == self.out.len() {
                    self.moved = Instant::now();
                }
                continue;
            }
            match self.phase {
                Phase::Done => return Poll::Ready(Ok(())),
                Phase::Last => {
                    ready!(Pin::new(&mut *stream).poll_flush(context)).map_err(SendFault::Broken)?;
                    self.phase = Phase::Done;
                    if self.once {
                        (self.out, self.sent, self.whole) = (Buffer::default(), 0, false);
                    }
                }
                Phase::Body(_) if self.waiting => {
                    ready!(Pin::new(&mut *stream).poll_flush(context)).map_err(SendFault::Broken)?;
                    return Poll::Pending;
                }
                Phase::Body(_) => {}
            }
        }
    }

    /// Whether the piece is longer than what was announced.
    fn is_beyond(&self) -> bool {
        matches!((self.framing, self.phase), (Framing::Length(_), Phase::Body(owed)) if self.body.piece().len() as u64 > owed)
    }

    /// Whether the piece is written from where it is.
    fn is_long(&self) -> bool {
        matches!(self.framing, Framing::Length(_)) && self.body.piece().len() > LONG
    }

    fn poll_long(&mut self, context: &mut Context<'_>, stream: &mut (impl AsyncWrite + Unpin)) -> Poll<io::Result<()>> {
        let parts = [IoSlice::new(&self.out[self.sent..]), IoSlice::new(self.body.piece())];
        let parts = if self.sent < self.out.len() { &parts[..] } else { &parts[1..] };
        let written = ready!(progress(Pin::new(&mut *stream).poll_write_vectored(context, parts)))?;
        let of_out = written.min(self.out.len() - self.sent);
        self.sent += of_out;
        (self.begun, self.whole) = (true, false);
        self.moved = Instant::now();
        self.account(written - of_out);
        Poll::Ready(Ok(()))
    }

    /// Puts a piece, or the end, behind what is to be written.
    fn gather(&mut self, more: bool) -> Result<(), SendFault> {
        if self.sent == self.out.len() {
            self.out.clear();
            (self.sent, self.whole) = (0, false);
        }
        match (self.framing, more) {
            (Framing::Length(_), true) => {
                let bytes = self.body.piece().len();
                self.out.make_room(bytes);
                self.out.extend_from_slice(self.body.piece());
                self.account(bytes);
            }
            // A client that went does not owe the destination fewer bytes than it announced.
            (Framing::Length(_), false) => return Err(SendFault::Client(BodyFault::ClientClosed)),
            (_, true) => {
                let bytes = self.body.piece().len().min(CHUNK);
                self.out.make_room(bytes + CHUNK_FRAME);
                write_chunk(&mut self.out, &self.body.piece()[..bytes]);
                self.body.consume(bytes);
            }
            (_, false) => {
                self.out.extend_from_slice(LAST_CHUNK);
                self.phase = Phase::Last;
            }
        }
        Ok(())
    }

    fn account(&mut self, bytes: usize) {
        if bytes == 0 {
            return;
        }
        self.body.consume(bytes);
        if let Phase::Body(owed) = &mut self.phase {
            *owed = owed.saturating_sub(bytes as u64);
            if *owed == 0 {
                self.phase = Phase::Last;
            }
        }
    }

    /// Whether there is nothing left to send.
    pub(super) fn ended(&self) -> bool {
        self.phase == Phase::Done
    }

    /// Whether not a byte was sent, and all can be.
    pub(super) fn is_unsent(&self) -> bool {
        self.whole && !self.begun
    }

    /// From now on, nothing is sent on another connection.
    pub(super) fn only_once(&mut self) {
        self.once = true;
    }

    /// Begins anew, on another connection.
    pub(super) fn rewind(&mut self) {
        (self.sent, self.begun) = (0, false);
        if self.phase == Phase::Done {
            self.phase = Phase::Last;
        }
    }

    /// Whether there is no body at all.
    pub(super) fn is_bodiless(&self) -> bool {
        self.framing == Framing::None
    }

    /// Whether it is the client who keeps everyone waiting.
    pub(super) fn waits_for_client(&self) -> bool {
        self.waiting && !self.ended()
    }

    /// When the last byte was sent that could be.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// Ready when the client is no longer there. Meant for when everything is sent.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.ended() { self.body.poll_gone(context) } else { Poll::Pending }
    }
}

/// A write of nothing is a connection's end.
fn progress(written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
    match written {
        Poll::Ready(Ok(0)) => Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
        written => written,
    }
}
