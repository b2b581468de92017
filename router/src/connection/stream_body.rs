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

/// A request's body as its stream brings it; nothing, when the head was all. Boxed, since each future that it is handed
/// to keeps room for it twice, and a connection has a hundred of them.
pub(super) struct StreamBody(Option<Box<Flow>>);

/// A body under way.
struct Flow {
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
        if incoming.is_end_stream() {
            return Self(None);
        }
        let talks = head.fields().get("content-type").is_some_and(grpc::is_grpc);
        Self(Some(Box::new(Flow {
            incoming,
            piece: Bytes::new(),
            trailers: None,
            over: false,
            patient: false,
            idle,
            alarm: Alarm::default(),
            pace: if talks { Pace::of_messages() } else { Pace::default() },
        })))
    }
}

impl ClientBody for StreamBody {
    const SHARES: bool = true;

    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        self.0.as_mut().map_or(Poll::Ready(Ok(false)), |flow| flow.poll_piece(context))
    }

    fn piece(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |flow| &flow.piece)
    }

    fn consume(&mut self, bytes: usize) {
        self.0.iter_mut().for_each(|flow| flow.piece.advance(bytes));
    }

    /// The library drops the whole exchange when its stream is reset.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn be_patient(&mut self) {
        self.0.iter_mut().for_each(|flow| flow.patient = true);
    }

    fn trailers(&mut self) -> Option<HeaderMap> {
        let mut trailers = self.0.as_mut()?.trailers.take()?;
        transform::request_trailers(&mut trailers);
        Some(trailers)
    }
}

impl Flow {
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
}
