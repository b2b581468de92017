//! Bodies on their way through: counted and bounded, never buffered.
//!
//! Must never know heads, routes or policies.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::{Instant, Sleep};

use crate::observe::Exchange;
use crate::upstream::{BodyFault, UpstreamBody, UpstreamFault};

/// A client's body on its way up: at most so many bytes, and never silent for longer than so.
pub(crate) struct ClientBody {
    inner: Incoming,
    left: u64,
    idle: Duration,
    /// Armed when the client is waited for; a body that is there at once never makes one.
    silence: Option<Pin<Box<Sleep>>>,
    counted: std::rc::Rc<std::cell::Cell<u64>>,
}

impl ClientBody {
    /// At most `max` bytes; `counted` is raised by each that passes.
    pub(crate) fn new(inner: Incoming, max: u64, idle: Duration, counted: std::rc::Rc<std::cell::Cell<u64>>) -> Self {
        Self { inner, left: max, idle, silence: None, counted }
    }

    fn waited_too_long(&mut self, context: &mut Context<'_>) -> bool {
        let idle = self.idle;
        let silence = self.silence.get_or_insert_with(|| Box::pin(tokio::time::sleep(idle)));
        silence.as_mut().poll(context).is_ready()
    }
}

impl Body for ClientBody {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        let this = &mut *self;
        match Pin::new(&mut this.inner).poll_frame(context) {
            Poll::Pending if this.waited_too_long(context) => Poll::Ready(Some(Err(BodyFault::TooSlow))),
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => Poll::Ready(Some(Err(BodyFault::ClientClosed))),
            Poll::Ready(Some(Ok(frame))) => {
                let length = frame.data_ref().map_or(0, |data| data.len() as u64);
                if length > this.left {
                    return Poll::Ready(Some(Err(BodyFault::TooLarge)));
                }
                this.left -= length;
                this.counted.set(this.counted.get() + length);
                if let Some(silence) = &mut this.silence {
                    silence.as_mut().reset(Instant::now() + this.idle);
                }
                Poll::Ready(Some(Ok(frame)))
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

/// An answer's body on its way down, with the record of its exchange: whenever this is dropped, the record is
/// finished.
pub(crate) struct AnswerBody {
    source: Source,
    exchange: Exchange,
}

#[allow(clippy::large_enum_variant, reason = "the large one is the common one, and a box would cost an allocation")]
enum Source {
    Local(Option<Bytes>),
    Upstream(UpstreamBody),
}

impl AnswerBody {
    /// A body of the router's own.
    pub(crate) fn local(bytes: Bytes, mut exchange: Exchange) -> Self {
        exchange.answer_complete(bytes.len() as u64);
        Self { source: Source::Local((!bytes.is_empty()).then_some(bytes)), exchange }
    }

    /// A destination's body.
    pub(crate) fn upstream(body: UpstreamBody, mut exchange: Exchange) -> Self {
        if body.is_end_stream() {
            exchange.answer_complete(0);
        }
        Self { source: Source::Upstream(body), exchange }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = UpstreamFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamFault>>> {
        let this = &mut *self;
        let body = match &mut this.source {
            Source::Local(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(bytes)))),
            Source::Upstream(body) => body,
        };
        let polled = Pin::new(&mut *body).poll_frame(context);
        match &polled {
            Poll::Pending => {}
            Poll::Ready(None) => this.exchange.answer_complete(0),
            Poll::Ready(Some(Ok(frame))) => {
                this.exchange.answer_bytes(frame.data_ref().map_or(0, |data| data.len() as u64));
                // The last frame may be the last poll: then nobody comes to hear the end.
                if body.is_end_stream() {
                    this.exchange.answer_complete(0);
                }
            }
            Poll::Ready(Some(Err(fault))) => this.exchange.answer_failed(fault.reason),
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Local(bytes) => bytes.is_none(),
            Source::Upstream(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Local(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Upstream(body) => body.size_hint(),
        }
    }
}
