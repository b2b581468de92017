//! A request's body as its HTTP/2 stream brings it.
//!
//! Owns the piece that came and the clock of a client that keeps us waiting. Must never know where it goes.

use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Body as _;
use hyper::body::Incoming;

use super::pace::Pace;
use crate::alarm::Alarm;
use crate::body::{BodyFault, ClientBody};
use crate::http1::RequestHead;
use crate::reject::grpc;
use crate::stage::transform;

/// A request's body as its stream brings it.
pub(super) struct StreamBody {
    incoming: Incoming,
    piece: Bytes,
    trailers: Option<HeaderMap>,
    over: bool,
    /// Silence is no fault any more.
    patient: bool,
    idle: Duration,
    alarm: Alarm,
    pace: Pace,
}

impl StreamBody {
    /// Of the request with that head. What is no call of gRPC must come at a pace; messages come when there are any.
    pub(super) fn new(incoming: Incoming, idle: Duration, head: &RequestHead) -> Self {
        let talks = head.fields().get("content-type").is_some_and(grpc::is_grpc);
        let over = incoming.is_end_stream();
        Self {
            incoming,
            piece: Bytes::new(),
            trailers: None,
            over,
            patient: false,
            idle,
            alarm: Alarm::default(),
            pace: if talks { Pace::of_messages() } else { Pace::default() },
        }
    }
}

impl ClientBody for StreamBody {
    const SHARES: bool = true;

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        loop {
            if !self.piece.is_empty() || self.over {
                return Poll::Ready(Ok(!self.over));
            }
            match Pin::new(&mut self.incoming).poll_frame(context) {
                Poll::Ready(None) => self.over = true,
                Poll::Ready(Some(Err(_))) => return Poll::Ready(Err(BodyFault::ClientClosed)),
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(data) => {
                        self.pace.came(data.len());
                        self.piece = data;
                    }
                    Err(frame) => self.trailers = frame.into_trailers().ok(),
                },
                Poll::Pending if self.patient => return Poll::Pending,
                Poll::Pending => {
                    ready!(self.pace.poll_too_slow(self.idle, &mut self.alarm, context));
                    return Poll::Ready(Err(BodyFault::TooSlow));
                }
            }
        }
    }

    fn piece(&self) -> &[u8] {
        &self.piece
    }

    fn consume(&mut self, bytes: usize) {
        self.piece.advance(bytes);
    }

    /// The library drops the whole exchange when its stream is reset.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn be_patient(&mut self) {
        self.patient = true;
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        let mut trailers = self.trailers.take()?;
        transform::request_trailers(&mut trailers);
        Some(trailers)
    }
}
