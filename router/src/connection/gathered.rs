//! A stream whose writes of one turn go out together, and which takes in so much in a turn.
//!
//! The library writes each answer by itself, also when several were ready in the same turn. Here what is written is
//! kept until whoever owns the connection says that the turn is over: fewer system calls, and inside TLS fewer
//! records. Assumes that [`poll_send`](Gathered::poll_send) is called after every turn. Must never know what is written.

use std::cell::RefCell;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use smallvec::SmallVec;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::intake::Intake;
use crate::buffer::{Buffer, MEDIUM};

/// A stream that is shared with whoever says when a turn is over.
pub(super) struct Gathered<S>(Rc<RefCell<Outbox<S>>>);

struct Outbox<S> {
    stream: S,
    out: Buffer,
    sent: usize,
    intake: Intake,
}

/// Longer writes go out from where they are, with what was kept in front of them.
const LONG: usize = 8 * 1024;

impl<S> Gathered<S> {
    pub(super) fn new(stream: S) -> Self {
        Self(Rc::new(RefCell::new(Outbox { stream, out: Buffer::default(), sent: 0, intake: Intake::new() })))
    }

    /// The same stream once more, for the library to write to.
    pub(super) fn share(&self) -> Self {
        Self(Rc::clone(&self.0))
    }
}

impl<S: AsyncWrite + Unpin> Gathered<S> {
    /// The turn is over: sends what was kept. Pending while the client does not take it, which keeps nobody from
    /// another turn.
    pub(super) fn poll_send(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.0.borrow_mut();
        outbox.intake.turn();
        outbox.poll_send(context)
    }
}

impl<S: AsyncWrite + Unpin> Outbox<S> {
    fn poll_send(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.sent < self.out.len() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(context, &self.out[self.sent..]))?;
            self.take(written)?;
        }
        Pin::new(&mut self.stream).poll_flush(context)
    }

    /// Sends what was kept and as much of `parts` as goes with it; says how much of them.
    fn poll_write_through(&mut self, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        loop {
            let kept = self.out.len() - self.sent;
            let written = {
                let unsent = (kept > 0).then(|| IoSlice::new(&self.out[self.sent..]));
                let all: SmallVec<[IoSlice<'_>; 8]> = unsent.into_iter().chain(parts.iter().copied()).collect();
                ready!(Pin::new(&mut self.stream).poll_write_vectored(context, &all))?
            };
            self.take(written.min(kept))?;
            if written > kept || kept == 0 {
                return Poll::Ready(Ok(written - kept));
            }
        }
    }

    fn take(&mut self, written: usize) -> io::Result<()> {
        if written == 0 && self.sent < self.out.len() {
            return Err(io::ErrorKind::WriteZero.into());
        }
        self.sent += written;
        if self.sent == self.out.len() {
            // A connection that has nothing to say holds no memory.
            (self.out, self.sent) = (Buffer::default(), 0);
        }
        Ok(())
    }

    fn keep(&mut self, parts: &[IoSlice<'_>]) {
        if self.out.capacity() == 0 {
            self.out = Buffer::medium();
        }
        for part in parts {
            self.out.extend_from_slice(part);
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathered<S> {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let Outbox { stream, intake, .. } = &mut *self.0.borrow_mut();
        if intake.room() == 0 {
            // What has come is seen to first; then it is this connection's turn again.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let most = intake.room().min(buffer.remaining());
        let mut part = ReadBuf::new(buffer.initialize_unfilled_to(most));
        ready!(Pin::new(stream).poll_read(context, &mut part))?;
        intake.take(part.filled());
        let read = part.filled().len();
        buffer.advance(read);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathered<S> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let mut outbox = self.0.borrow_mut();
        let bytes = parts.iter().map(|part| part.len()).sum();
        if bytes < LONG && outbox.out.len() + bytes <= MEDIUM {
            outbox.keep(parts);
            return Poll::Ready(Ok(bytes));
        }
        outbox.poll_write_through(context, parts)
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    /// Nothing goes out before the turn is over.
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outbox = self.0.borrow_mut();
        ready!(outbox.poll_send(context))?;
        Pin::new(&mut outbox.stream).poll_shutdown(context)
    }
}
