//! The request's body on its way up.
//!
//! Owns how far the upload got, so that a failure of the *client's* body is never blamed on the destination.
//! Assumes that whoever made the body bounds its size and pace. Must never know where the bytes come from.

use std::cell::Cell;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use crate::reject::Reason;

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
}

impl BodyFault {
    /// The reason that the client gets.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::ClientClosed => Reason::ClientClosed,
            Self::TooLarge => Reason::BodyTooLarge,
            Self::TooSlow => Reason::BodyTooSlow,
        }
    }
}

/// The one body type of all upstream connections: nothing, or somebody's body in a box.
pub(super) struct RequestBody(Option<Streaming>);

struct Streaming {
    source: Box<dyn Body<Data = Bytes, Error = BodyFault> + Unpin>,
    /// What is still to come of an announced length. The engine neither waits for bytes that an ended body owes nor
    /// minds those beyond: the first leaves the destination waiting, the second would be cut.
    owed: Option<u64>,
    progress: Rc<Progress>,
}

#[derive(Default)]
struct Progress {
    ended: Cell<bool>,
    waiting: Cell<bool>,
    fault: Cell<Option<BodyFault>>,
}

/// Looks on while the connection reads the body.
#[derive(Clone)]
pub(super) struct Upload(Option<Rc<Progress>>);

impl RequestBody {
    /// A body, and the one who looks on. An empty body costs nothing.
    pub(super) fn new<B>(source: B) -> (Self, Upload)
    where
        B: Body<Data = Bytes, Error = BodyFault> + Unpin + 'static,
    {
        if source.is_end_stream() {
            return (Self::empty(), Upload(None));
        }
        let progress = Rc::new(Progress::default());
        let upload = Upload(Some(Rc::clone(&progress)));
        let owed = source.size_hint().exact();
        (Self(Some(Streaming { source: Box::new(source), owed, progress })), upload)
    }

    /// No body.
    pub(super) fn empty() -> Self {
        Self(None)
    }

    /// Whether nothing is sent.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_none()
    }
}

impl Upload {
    /// Whether there is nothing left to send.
    pub(super) fn ended(&self) -> bool {
        self.0.as_ref().is_none_or(|progress| progress.ended.get())
    }

    /// Whether it is the client who keeps everyone waiting.
    pub(super) fn waits_for_client(&self) -> bool {
        self.0.as_ref().is_some_and(|progress| progress.waiting.get() && !progress.ended.get())
    }

    /// How the client failed, if it did.
    pub(super) fn fault(&self) -> Option<BodyFault> {
        self.0.as_ref().and_then(|progress| progress.fault.get())
    }
}

impl Streaming {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let polled = Pin::new(self.source.as_mut()).poll_frame(cx).map(|next| self.measured(next));
        self.progress.waiting.set(polled.is_pending());
        match &polled {
            Poll::Ready(None) => self.progress.ended.set(true),
            Poll::Ready(Some(Err(fault))) => self.progress.fault.set(Some(*fault)),
            Poll::Ready(Some(Ok(_))) | Poll::Pending => {}
        }
        polled
    }

    /// A body that ends before its announced length belongs to a client that went; one that goes on is too large.
    fn measured(&mut self, next: Option<Result<Frame<Bytes>, BodyFault>>) -> Option<Result<Frame<Bytes>, BodyFault>> {
        let Some(owed) = self.owed else { return next };
        match next {
            None if owed > 0 => Some(Err(BodyFault::ClientClosed)),
            Some(Ok(frame)) => {
                let came = frame.data_ref().map_or(0, |data| data.len() as u64);
                self.owed = Some(owed.saturating_sub(came));
                Some(if came > owed { Err(BodyFault::TooLarge) } else { Ok(frame) })
            }
            next => next,
        }
    }
}

impl Drop for Streaming {
    /// A connection lets go of a body that it needs no more, for example when all announced bytes were sent.
    fn drop(&mut self) {
        self.progress.ended.set(true);
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        self.0.as_mut().map_or(Poll::Ready(None), |streaming| streaming.poll(cx))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|streaming| streaming.owed.unwrap_or(0) == 0 && streaming.source.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), |streaming| streaming.source.size_hint())
    }
}
