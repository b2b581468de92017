//! The answer's body on its way down.
//!
//! Whoever passes it on need not know which protocol brings it. Over HTTP/1 it
//! owns the connection until the last byte: at the end it goes back to be kept, on any failure or when the body is
//! dropped before, it is closed. What is left of the request goes up meanwhile. Nothing is gathered; a piece goes on
//! as it came. Must never know where it goes.

use std::borrow::Cow;
use std::task::{Context, Poll, ready};

use tokio::time::Instant;

use super::deadline::Deadlines;
use super::http1::{Connection, ReadFault, Rest};
use super::http2::OverHttp2;
use super::pool::Place;
use super::upload::{SendFault, Upload};
use crate::body::{BodyFault, ClientBody};
use crate::pipe::Pipe;
use crate::reject::{Reason, Rejection};

/// The body of a destination's answer, whatever protocol brings it.
#[allow(clippy::large_enum_variant, reason = "the large one is the common one, and a box would cost an allocation")]
pub(crate) enum UpstreamBody<B> {
    /// On a connection of its own.
    Http1(OverHttp1<B>),
    /// On a stream of a session.
    Http2(Box<OverHttp2<B>>),
}

/// The body of an answer that has a connection for itself.
pub(crate) struct OverHttp1<B> {
    /// Held until the end; `None` from then on.
    lease: Option<Lease<B>>,
    rest: Rest,
    /// So many bytes of data are at the front.
    ready: usize,
    /// How much may be read at once.
    most: usize,
    deadlines: Deadlines,
    /// Since when the destination is waited for; `None` while there are pieces to be had. A client that does not
    /// read is not the destination's idleness.
    waiting_since: Option<Instant>,
    /// Whether its end was passed on.
    finished: bool,
}

/// The connection of an exchange, and where it goes afterwards.
pub(super) struct Lease<B> {
    pub(super) connection: Box<Connection>,
    pub(super) upload: Upload<B>,
    pub(super) place: Place,
    /// Whether the answer lets the connection be used again.
    pub(super) keeps_alive: bool,
    /// The client's body failed; what was answered by then is still passed on.
    pub(super) fault: Option<BodyFault>,
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

impl<B: ClientBody> UpstreamBody<B> {
    /// From now on, reads no more than that at once. HTTP/2 has windows for that.
    pub(crate) fn read_at_most(&mut self, bytes: usize) {
        if let Self::Http1(body) = self {
            body.read_at_most(bytes);
        }
    }

    /// Ready once there is a [piece](Self::piece), or with `false` at the end.
    ///
    /// # Errors
    /// Why there is no more; nothing else will come.
    pub(crate) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, UpstreamFault>> {
        match self {
            Self::Http1(body) => body.poll_piece(context),
            Self::Http2(body) => body.poll_piece(context),
        }
    }

    /// Sends on what is left of the request while the answer is already on its way.
    pub(crate) fn poll_upload(&mut self, context: &mut Context<'_>) {
        match self {
            Self::Http1(body) => body.poll_upload(context),
            Self::Http2(body) => body.poll_upload(context),
        }
    }

    /// Whether something of the request is still to be sent.
    pub(crate) fn is_uploading(&self) -> bool {
        match self {
            Self::Http1(body) => {
                body.lease.as_ref().is_some_and(|lease| !lease.upload.ended() && lease.fault.is_none())
            }
            Self::Http2(body) => body.is_uploading(),
        }
    }

    /// Ready when the client is no longer there.
    pub(crate) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Http1(body) => body.poll_gone(context),
            Self::Http2(body) => body.poll_gone(context),
        }
    }

    /// The bytes that are there.
    pub(crate) fn piece(&self) -> &[u8] {
        match self {
            Self::Http1(body) => body.piece(),
            Self::Http2(body) => body.piece(),
        }
    }

    /// Lets go of bytes of the piece.
    pub(crate) fn consume(&mut self, bytes: usize) {
        match self {
            Self::Http1(body) => body.consume(bytes),
            Self::Http2(body) => body.consume(bytes),
        }
    }

    /// How many bytes may go on without being looked at.
    pub(crate) fn unread(&self) -> u64 {
        match self {
            Self::Http1(body) => body.unread(),
            Self::Http2(_) => 0,
        }
    }

    /// Ready once some of what is [unread](Self::unread) is in the pipe.
    ///
    /// # Errors
    /// Why there is no more; nothing else will come.
    pub(crate) fn poll_fill(&mut self, context: &mut Context<'_>, pipe: &mut Pipe) -> Poll<Result<(), UpstreamFault>> {
        match self {
            Self::Http1(body) => body.poll_fill(context, pipe),
            Self::Http2(_) => Poll::Ready(Ok(())),
        }
    }

    /// Trailers behind the end, where the destination's protocol has any that may go on.
    pub(crate) fn trailers(&mut self) -> Option<http::HeaderMap> {
        match self {
            Self::Http1(_) => None,
            Self::Http2(body) => body.trailers(),
        }
    }

    /// Whether everything was had.
    pub(crate) fn is_over(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_over(),
            Self::Http2(body) => body.is_over(),
        }
    }

    /// Notes that its end was passed on.
    pub(crate) fn finish(&mut self) {
        match self {
            Self::Http1(body) => body.finished = true,
            Self::Http2(body) => body.finished = true,
        }
    }

    /// Whether its end was passed on.
    pub(crate) fn is_finished(&self) -> bool {
        match self {
            Self::Http1(body) => body.finished,
            Self::Http2(body) => body.finished,
        }
    }
}

impl<B: ClientBody> OverHttp1<B> {
    pub(super) fn new(lease: Lease<B>, rest: Rest, deadlines: Deadlines) -> Self {
        let (lease, most) = (Some(lease), usize::MAX);
        let mut body = Self { lease, rest, ready: 0, most, deadlines, waiting_since: None, finished: false };
        if body.rest.is_over() {
            body.release();
        }
        body
    }

    /// Ready once there is a [piece](Self::piece), or with `false` at the end.
    ///
    /// # Errors
    /// Why there is no more; nothing else will come.
    pub(super) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, UpstreamFault>> {
        loop {
            if self.ready > 0 {
                return Poll::Ready(Ok(true));
            }
            let Some(lease) = &mut self.lease else { return Poll::Ready(Ok(false)) };
            match self.rest.look(&mut lease.connection) {
                Ok(ready) => self.ready = ready,
                Err(flaw) => return Poll::Ready(Err(self.fail(ReadFault::Flawed(flaw)))),
            }
            if self.rest.is_over() {
                self.release();
                continue;
            }
            if self.ready > 0 {
                self.waiting_since = None;
                continue;
            }
            let most = self.rest.worth().min(self.most);
            ready!(self.poll_read(context, |connection, context| connection.poll_more(context, most)))?;
        }
    }

    /// How many bytes may go on without being looked at: those that are still to come of a body of known length, when
    /// nothing of it is here and nothing lies between it and the socket.
    pub(super) fn unread(&self) -> u64 {
        match (&self.lease, self.rest) {
            (Some(lease), Rest::Length(left))
                if lease.connection.is_clean() && lease.connection.stream.plain().is_some() =>
            {
                left
            }
            _ => 0,
        }
    }

    /// Ready once some of what is [unread](Self::unread) is in the pipe.
    ///
    /// # Errors
    /// Why there is no more; nothing else will come.
    pub(super) fn poll_fill(&mut self, context: &mut Context<'_>, pipe: &mut Pipe) -> Poll<Result<(), UpstreamFault>> {
        let most = self.unread();
        let filled = ready!(self.poll_read(context, |connection, context| connection.poll_fill(context, pipe, most)))?;
        self.rest.take(filled);
        if self.rest.is_over() {
            self.release();
        }
        Poll::Ready(Ok(()))
    }

    /// Reads once, however that is done, and sends on what is left of the request meanwhile.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        read: impl FnOnce(&mut Connection, &mut Context<'_>) -> Poll<std::io::Result<usize>>,
    ) -> Poll<Result<usize, UpstreamFault>> {
        self.poll_upload(context);
        let Some(lease) = &mut self.lease else { return Poll::Ready(Ok(0)) };
        if lease.fault.is_some() {
            // The destination waits for what will never come.
            return Poll::Ready(Err(self.fail(ReadFault::Ended)));
        }
        match read(&mut lease.connection, context) {
            Poll::Ready(Ok(bytes @ 1..)) => {
                self.waiting_since = None;
                return Poll::Ready(Ok(bytes));
            }
            Poll::Ready(Ok(0)) => match self.rest.at_end() {
                Ok(()) => self.lease = None,
                Err(fault) => return Poll::Ready(Err(self.fail(fault))),
            },
            Poll::Ready(Err(error)) => return Poll::Ready(Err(self.fail(ReadFault::Broken(error)))),
            Poll::Pending => return self.poll_silence(context).map(Err),
        }
        Poll::Ready(Ok(0))
    }

    /// From now on, reads no more than that at once.
    pub(super) fn read_at_most(&mut self, bytes: usize) {
        self.most = bytes;
    }

    /// Sends on what is left of the request while the answer is already on its way.
    pub(super) fn poll_upload(&mut self, context: &mut Context<'_>) {
        let Some(Lease { connection, upload, fault, .. }) = &mut self.lease else { return };
        if upload.ended() || fault.is_some() {
            return;
        }
        match upload.poll(context, &mut connection.stream) {
            Poll::Ready(Err(SendFault::Client(broken))) => *fault = Some(broken),
            // A destination that takes no more may still finish its answer.
            Poll::Ready(Err(SendFault::Broken(_))) => *fault = None,
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }

    /// Ready when the client is no longer there.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.lease.as_mut().map_or(Poll::Pending, |lease| lease.upload.poll_gone(context))
    }

    /// The bytes that are there.
    pub(super) fn piece(&self) -> &[u8] {
        self.lease.as_ref().map_or(&[], |lease| &lease.connection.unused()[..self.ready])
    }

    /// Lets go of bytes of the piece.
    pub(super) fn consume(&mut self, bytes: usize) {
        self.ready -= bytes;
        if let Some(lease) = &mut self.lease {
            lease.connection.skip(bytes);
        }
        self.rest.take(bytes);
        if self.ready == 0 && self.rest.is_over() {
            self.release();
        }
    }

    /// Whether everything was had.
    pub(super) fn is_over(&self) -> bool {
        self.lease.is_none()
    }

    /// The exchange is over: the connection is kept if the request was sent to its end too. If not, the
    /// destination has answered without reading it all, and what is left would stand in front of the next request.
    /// What came behind the answer is an answer to nothing.
    fn release(&mut self) {
        if let Some(Lease { mut connection, upload, place, keeps_alive, .. }) = self.lease.take()
            && keeps_alive
            && upload.ended()
            && connection.is_clean()
        {
            connection.rest();
            place.keep(connection);
        }
    }

    fn fail(&mut self, fault: ReadFault) -> UpstreamFault {
        let client = self.lease.take().and_then(|lease| lease.fault);
        match client {
            // The connection broke because the client's own body did.
            Some(client) => Rejection::from(client).into(),
            None => Rejection::from(fault).into(),
        }
    }

    /// Comes to an end only when the destination keeps silent for too long.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<UpstreamFault> {
        let Some(lease) = &mut self.lease else { return Poll::Pending };
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = self.deadlines.silence_ends(since);
        lease.connection.alarm.poll(due, context).map(|()| {
            self.lease = None;
            self.deadlines.silence(Instant::now())
        })
    }
}
