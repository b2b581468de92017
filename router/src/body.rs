//! Bodies on their way through: pulled piece by piece by whoever sends them on, counted and bounded, never
//! gathered.
//!
//! Must never know routes or policies.

use std::cell::Cell;
use std::rc::Rc;
use std::task::{Context, Poll};

use crate::http1::{Flaw, Framing};
use crate::reject::{Reason, Rejection};

/// A client's body, wherever it comes from.
pub(crate) trait ClientBody {
    /// Whether many of them share a connection, so that little may be read ahead for each.
    const SHARES: bool = false;

    /// Ready once there is a [piece](Self::piece), or with `false` at the end.
    ///
    /// # Errors
    /// How the client failed; nothing more will come.
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyFault>>;

    /// The bytes that are there; empty before they were polled for.
    fn piece(&self) -> &[u8];

    /// Lets go of that many bytes of the piece.
    fn consume(&mut self, bytes: usize);

    /// Ready when the client is no longer there to be answered. Asked only when the body is over.
    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()>;

    /// An answer is on its way: from now on the body may be silent for as long as the exchange is not.
    fn be_patient(&mut self) {}

    /// Trailers behind a body that is over, where the protocol has any that may go on.
    fn trailers(&mut self) -> Option<http::HeaderMap> {
        None
    }
}

impl<B: ClientBody> ClientBody for &mut B {
    const SHARES: bool = B::SHARES;

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        (**self).poll_piece(context)
    }

    fn piece(&self) -> &[u8] {
        (**self).piece()
    }

    fn consume(&mut self, bytes: usize) {
        (**self).consume(bytes);
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        (**self).poll_gone(context)
    }

    fn be_patient(&mut self) {
        (**self).be_patient();
    }

    fn trailers(&mut self) -> Option<http::HeaderMap> {
        (**self).trailers()
    }
}

/// Why the client's body ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyFault {
    /// The client went away.
    #[error("the client closed the connection in the middle of its body")]
    ClientClosed,
    /// More bytes came than the route takes.
    #[error("the client's body is larger than the route takes")]
    TooLarge,
    /// The bytes came too slowly.
    #[error("the client's body came too slowly")]
    TooSlow,
    /// The framing between the bytes is none.
    #[error("the client's body: {0}")]
    Flawed(Flaw),
}

impl From<BodyFault> for Rejection {
    fn from(fault: BodyFault) -> Self {
        let reason = match fault {
            BodyFault::ClientClosed => Reason::ClientClosed,
            BodyFault::TooLarge => Reason::BodyTooLarge,
            BodyFault::TooSlow => Reason::BodyTooSlow,
            BodyFault::Flawed(_) => Reason::BodyMalformed,
        };
        Self::new(reason, fault.to_string())
    }
}

/// A client's body of at most so many bytes, which are counted as they go on.
pub(crate) struct Metered<B> {
    inner: B,
    framing: Framing,
    left: u64,
    counted: Option<Rc<Cell<u64>>>,
}

impl<B: ClientBody> Metered<B> {
    /// At most `max` bytes; `counted` is raised by each that goes on.
    pub(crate) fn new(inner: B, framing: Framing, max: u64, counted: Option<Rc<Cell<u64>>>) -> Self {
        Self { inner, framing, left: max, counted }
    }

    /// Where it ends.
    pub(crate) fn framing(&self) -> Framing {
        self.framing
    }
}

impl<B: ClientBody> ClientBody for Metered<B> {
    const SHARES: bool = B::SHARES;

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        let polled = self.inner.poll_piece(context);
        match polled {
            Poll::Ready(Ok(true)) if self.inner.piece().len() as u64 > self.left => {
                Poll::Ready(Err(BodyFault::TooLarge))
            }
            polled => polled,
        }
    }

    fn piece(&self) -> &[u8] {
        self.inner.piece()
    }

    fn consume(&mut self, bytes: usize) {
        #[cfg(test)]
        crate::faults::strike_at(self.inner.piece());
        self.left -= bytes as u64;
        if let Some(counted) = &self.counted {
            counted.set(counted.get() + bytes as u64);
        }
        self.inner.consume(bytes);
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.inner.poll_gone(context)
    }

    fn be_patient(&mut self) {
        self.inner.be_patient();
    }

    fn trailers(&mut self) -> Option<http::HeaderMap> {
        self.inner.trailers()
    }
}
