//! The answer's body on its way down.
//!
//! Owns the connection until the last byte: at the end it goes back to be kept, on any failure or when the body is
//! dropped before, it is closed. Nothing is gathered; a frame goes on as it came. Must never know where it goes.

use std::borrow::Cow;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};

use super::deadline::Deadlines;
use super::http1::{self, BodyError, Connection, Incoming};
use super::pool::Place;
use super::upload::Upload;
use crate::reject::{Reason, Rejection};

/// The body of a destination's answer.
pub(crate) struct UpstreamBody {
    incoming: Incoming,
    /// Held until the end; `None` from then on.
    lease: Option<Lease>,
    deadlines: Deadlines,
    /// Since when the destination is waited for; `None` while frames are there to be had. A client that does not
    /// read is not the destination's idleness.
    waiting_since: Option<Instant>,
    /// Armed when the destination first keeps us waiting, and looked at again only when it fires.
    alarm: Option<Pin<Box<Sleep>>>,
}

/// The connection of an exchange, and where it goes afterwards.
pub(super) struct Lease {
    pub(super) connection: Connection,
    pub(super) upload: Upload,
    pub(super) place: Place,
}

/// Why an answer's body ends before its end.
#[derive(Debug, thiserror::Error)]
#[error("{}: {detail}", reason.code())]
pub(crate) struct UpstreamFault {
    /// Why.
    pub(crate) reason: Reason,
    /// For the log alone.
    pub(crate) detail: Cow<'static, str>,
}

impl From<Rejection> for UpstreamFault {
    fn from(rejection: Rejection) -> Self {
        Self { reason: rejection.reason, detail: rejection.detail }
    }
}

impl UpstreamBody {
    pub(super) fn new(incoming: Incoming, lease: Lease, deadlines: Deadlines) -> Self {
        let mut body = Self { incoming, lease: Some(lease), deadlines, waiting_since: None, alarm: None };
        if body.incoming.is_end_stream() {
            body.release();
        }
        body
    }

    /// The exchange is over: the connection is kept if the request was sent to its end too. If not, the
    /// destination has answered without reading it all, and what is left would stand in front of the next request.
    fn release(&mut self) {
        self.alarm = None;
        if let Some(Lease { connection, upload, place }) = self.lease.take()
            && upload.ended()
        {
            place.keep(connection);
        }
    }

    fn fail(&mut self, error: &BodyError) -> UpstreamFault {
        let fault = self.lease.take().and_then(|lease| lease.upload.fault());
        match fault {
            // The connection broke because the client's own body did.
            Some(fault) => Rejection::new(fault.reason(), fault.to_string()).into(),
            None => http1::rejection(error).into(),
        }
    }

    /// Comes to an end only when the destination keeps silent for too long.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<UpstreamFault> {
        let now = Instant::now();
        let since = *self.waiting_since.get_or_insert(now);
        let due = self.deadlines.silence_ends(since);
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        loop {
            ready!(alarm.as_mut().poll(cx));
            let now = Instant::now();
            if now >= due {
                self.lease = None;
                return Poll::Ready(self.deadlines.silence(now));
            }
            alarm.as_mut().reset(due);
        }
    }
}

impl Body for UpstreamBody {
    type Data = Bytes;
    type Error = UpstreamFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UpstreamFault>>> {
        let polled = Pin::new(&mut self.incoming).poll_frame(cx);
        let Poll::Ready(next) = polled else {
            if self.lease.is_none() {
                // Failed before: nothing will come.
                return Poll::Ready(None);
            }
            return self.poll_silence(cx).map(|fault| Some(Err(fault)));
        };
        self.waiting_since = None;
        match next {
            Some(Ok(frame)) => {
                if self.incoming.is_end_stream() {
                    self.release();
                }
                Poll::Ready(Some(Ok(frame)))
            }
            Some(Err(error)) => Poll::Ready(Some(Err(self.fail(&error)))),
            None => {
                self.release();
                Poll::Ready(None)
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.incoming.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.incoming.size_hint()
    }
}
