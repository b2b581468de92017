//! What a client sends over HTTP/1: heads, and the bodies behind them.
//!
//! Owns the bytes that were read and not yet used, and the clocks of a client that keeps us waiting. Must never
//! know what a request asks for.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::Instant;

use super::pace::Pace;
use crate::alarm::Alarm;
use crate::body::{BodyFault, ClientBody};
use crate::buffer::{self, Buffer};
use crate::http1::{ChunkDecoder, Flaw, Framing, HeadEnd, REQUEST_HEAD, RequestHead};
use crate::inbox::Inbox;

/// How long a client may keep us waiting.
#[derive(Debug, Clone, Copy)]
pub(super) struct Clocks {
    /// For the rest of a head.
    pub(super) head: Duration,
    /// Between two requests.
    pub(super) idle: Duration,
    /// For the next byte of a body.
    pub(super) body: Duration,
}

/// Why no head came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoHead {
    /// The client has closed, or kept silent between two requests for too long.
    Ended,
    /// A head was begun and is too long in coming.
    TooSlow,
    /// What came is no head.
    Flawed(Flaw),
    /// HTTP/2 by prior knowledge: what was read belongs to it.
    Http2,
}

/// The reading side of a connection.
pub(super) struct Reader<'c, S> {
    io: &'c RefCell<S>,
    inbox: Inbox,
    scan: HeadEnd,
    body: Body,
    /// How the body failed; nothing behind it can be told from it.
    fault: Option<BodyFault>,
    /// So many of the unused bytes are the body's, without framing in between.
    ready: usize,
    /// Owed to a client that waits for it before it sends a body: what is left of the interim answer.
    invitation: &'static [u8],
    clocks: Clocks,
    alarm: Alarm,
    waiting_since: Option<Instant>,
    pace: Pace,
    first: bool,
    /// An empty line stood in front of this request already.
    let_pass: bool,
}

#[derive(Clone, Copy)]
enum Body {
    Over,
    Length(u64),
    Chunked(ChunkDecoder),
}

const INVITATION: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

/// What a client that speaks HTTP/2 with prior knowledge begins with (RFC 9113 §3.4).
const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

impl<'c, S: AsyncRead + AsyncWrite + Unpin> Reader<'c, S> {
    pub(super) fn new(io: &'c RefCell<S>, clocks: Clocks) -> Self {
        Self {
            io,
            inbox: Inbox::default(),
            scan: HeadEnd::default(),
            body: Body::Over,
            fault: None,
            ready: 0,
            invitation: b"",
            clocks,
            alarm: Alarm::default(),
            waiting_since: None,
            pace: Pace::default(),
            first: true,
            let_pass: false,
        }
    }

    /// The next head, once it is there. The body before must be [over](Self::body_is_over).
    pub(super) fn poll_head(&mut self, context: &mut Context<'_>) -> Poll<Result<RequestHead, NoHead>> {
        loop {
            if let Some(found) = self.find_head().transpose() {
                self.waiting_since = None;
                return Poll::Ready(found);
            }
            match self.poll_more(context, buffer::MEDIUM) {
                Poll::Ready(Ok(0)) | Poll::Ready(Err(_)) => return Poll::Ready(Err(NoHead::Ended)),
                // The clock of a head begins with its first byte.
                Poll::Ready(Ok(came)) if came == self.unused().len() => self.waiting_since = None,
                Poll::Ready(Ok(_)) => {}
                Poll::Pending => {
                    let begun = !self.unused().is_empty();
                    let patience = if begun { self.clocks.head } else { self.clocks.idle };
                    let since = *self.waiting_since.get_or_insert_with(Instant::now);
                    ready!(self.alarm.poll(since + patience, context));
                    return Poll::Ready(Err(if begun { NoHead::TooSlow } else { NoHead::Ended }));
                }
            }
        }
    }

    fn find_head(&mut self) -> Result<Option<RequestHead>, NoHead> {
        if self.first {
            if self.unused().starts_with(PREFACE) {
                return Err(NoHead::Http2);
            }
            // No request begins like this; the rest of it comes.
            if PREFACE.starts_with(self.unused()) {
                return Ok(None);
            }
        }
        // One empty line in front of a request is let pass (RFC 9112 §2.2).
        let fresh = !self.scan.has_first_line() && !self.let_pass;
        if fresh && self.unused().starts_with(b"\r\n") {
            // One for each request, however they come: any number would keep a silent connection alive.
            self.let_pass = true;
            self.skip(2);
            self.scan = HeadEnd::default();
        }
        let bytes = self.inbox.unused();
        match self.scan.find(bytes).map_err(NoHead::Flawed)? {
            Some(length) if length > 2 && length <= REQUEST_HEAD => {
                let head = RequestHead::parse(&bytes[..length]).map_err(NoHead::Flawed)?;
                (self.scan, self.first, self.let_pass) = (HeadEnd::default(), false, false);
                self.skip(length);
                self.begin_body(&head);
                Ok(Some(head))
            }
            Some(2) => Err(NoHead::Flawed(Flaw::FirstLine)),
            None if bytes.len() <= REQUEST_HEAD => Ok(None),
            _ if self.scan.has_first_line() => Err(NoHead::Flawed(Flaw::HeadTooLarge)),
            _ => Err(NoHead::Flawed(Flaw::FirstLineTooLong)),
        }
    }

    fn begin_body(&mut self, head: &RequestHead) {
        self.body = match head.framing() {
            Framing::None | Framing::UntilClose => Body::Over,
            Framing::Length(length) => Body::Length(length),
            Framing::Chunked => Body::Chunked(ChunkDecoder::default()),
        };
        let waits = !matches!(self.body, Body::Over) && head.lists("expect", "100-continue");
        self.invitation = if waits { INVITATION } else { b"" };
        self.pace = Pace::default();
    }

    /// Whether nothing of a next request has come.
    pub(super) fn is_idle(&self) -> bool {
        self.unused().is_empty()
    }

    /// Whether the body was read to its end.
    pub(super) fn body_is_over(&self) -> bool {
        matches!(self.body, Body::Over)
    }

    /// Whether what is left of the body is worth reading, so that the connection can go on.
    pub(super) fn can_drain(&self) -> bool {
        match self.body {
            Body::Over => true,
            _ if self.fault.is_some() => false,
            // It may come or not: nobody invited it.
            _ if !self.invitation.is_empty() => false,
            Body::Length(left) => left <= DRAINED,
            // Nobody knows how much is to come.
            Body::Chunked(_) => false,
        }
    }

    /// Reads and drops what is left of a body, up to a bound. Says whether it came to its end.
    pub(super) async fn drain(&mut self) -> bool {
        if !self.can_drain() || self.fault.is_some() {
            return self.body_is_over();
        }
        let mut left = DRAINED;
        while !self.body_is_over() {
            if std::future::poll_fn(|context| self.poll_piece(context)).await.is_err() {
                return false;
            }
            let bytes = self.ready;
            let Some(rest) = left.checked_sub(bytes as u64) else { return false };
            left = rest;
            self.consume(bytes);
        }
        true
    }

    /// Closes this side, then reads and drops whatever comes until the client closes, for a moment: closing with unread bytes would take
    /// the answer away from under the client (RFC 9112 §9.6).
    pub(super) async fn linger(&mut self) {
        let _ = std::future::poll_fn(|context| Pin::new(&mut *self.io.borrow_mut()).poll_shutdown(context)).await;
        let end = Instant::now() + LINGER;
        let mut left = LINGER_BYTES;
        std::future::poll_fn(|context| {
            loop {
                self.inbox = Inbox::default();
                match self.poll_more(context, buffer::MEDIUM) {
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(()),
                    Poll::Ready(Ok(came)) => match left.checked_sub(came) {
                        Some(rest) => left = rest,
                        None => return Poll::Ready(()),
                    },
                    Poll::Pending => return self.alarm.poll(end, context),
                }
            }
        })
        .await;
    }

    /// What was read beyond the last request, when the connection goes over to another protocol.
    pub(super) fn into_unused(self) -> Buffer {
        self.inbox.into_unused()
    }

    fn unused(&self) -> &[u8] {
        self.inbox.unused()
    }

    fn skip(&mut self, bytes: usize) {
        self.inbox.skip(bytes);
    }

    fn poll_more(&mut self, context: &mut Context<'_>, most: usize) -> Poll<std::io::Result<usize>> {
        self.inbox.poll_more(&mut *self.io.borrow_mut(), context, most)
    }

    /// Looks at the body's framing in front of the unused bytes. Says whether data is there, or the body is over.
    fn look(&mut self) -> Result<bool, BodyFault> {
        match &mut self.body {
            Body::Over => Ok(true),
            Body::Length(left) => {
                let there = self.inbox.unused().len();
                self.ready = usize::try_from(*left).unwrap_or(usize::MAX).min(there);
                Ok(self.ready > 0)
            }
            Body::Chunked(decoder) => {
                let decoded = decoder.decode(self.inbox.unused()).map_err(BodyFault::Flawed)?;
                let done = decoder.is_done();
                self.skip(decoded.framing);
                self.ready = decoded.data;
                if done {
                    self.body = Body::Over;
                }
                Ok(done || self.ready > 0)
            }
        }
    }

    fn poll_invite(&mut self, context: &mut Context<'_>) -> Poll<()> {
        while !self.invitation.is_empty() {
            let written = Pin::new(&mut *self.io.borrow_mut()).poll_write(context, self.invitation);
            match ready!(written) {
                Ok(bytes) if bytes > 0 => self.invitation = &self.invitation[bytes..],
                _ => self.invitation = b"",
            }
        }
        let _ = Pin::new(&mut *self.io.borrow_mut()).poll_flush(context);
        Poll::Ready(())
    }
}

/// The most of an unwanted body that is read so that a connection can go on.
const DRAINED: u64 = 64 * 1024;
/// How long, and how many bytes, a connection lingers that is about to be closed.
const LINGER: Duration = Duration::from_millis(500);
const LINGER_BYTES: usize = 1024 * 1024;
/// Bodies longer than this are read in large pieces.
const LONG: u64 = 64 * 1024;
/// How much is read of what comes after a request that is being served.
const AHEAD: usize = 32 * 1024;

impl<S: AsyncRead + AsyncWrite + Unpin> ClientBody for Reader<'_, S> {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        if let Some(fault) = self.fault {
            return Poll::Ready(Err(fault));
        }
        let polled = self.poll_data(context);
        if let Poll::Ready(Err(fault)) = polled {
            self.fault = Some(fault);
        }
        polled
    }

    fn piece(&self) -> &[u8] {
        &self.inbox.unused()[..self.ready]
    }

    fn consume(&mut self, bytes: usize) {
        self.ready -= bytes;
        match &mut self.body {
            Body::Over => {}
            Body::Length(left) => {
                *left -= bytes as u64;
                if *left == 0 {
                    self.body = Body::Over;
                }
            }
            Body::Chunked(decoder) => decoder.take(bytes),
        }
        self.skip(bytes);
    }

    fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        // Requests may wait behind this one; more than that is not read before its turn.
        while self.body_is_over() && self.unused().len() < AHEAD {
            match ready!(self.poll_more(context, buffer::MEDIUM)) {
                Ok(1..) => {}
                Ok(0) | Err(_) => return Poll::Ready(()),
            }
        }
        Poll::Pending
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Reader<'_, S> {
    fn poll_data(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        loop {
            if self.ready > 0 || self.look()? {
                return Poll::Ready(Ok(self.ready > 0));
            }
            if !self.invitation.is_empty() {
                ready!(self.poll_invite(context));
            }
            let most =
                if matches!(self.body, Body::Length(left) if left > LONG) { buffer::LARGE } else { buffer::MEDIUM };
            match self.poll_more(context, most) {
                Poll::Ready(Ok(bytes @ 1..)) => self.pace.came(bytes),
                Poll::Ready(_) => return Poll::Ready(Err(BodyFault::ClientClosed)),
                Poll::Pending => {
                    ready!(self.pace.poll_too_slow(self.clocks.body, &mut self.alarm, context));
                    return Poll::Ready(Err(BodyFault::TooSlow));
                }
            }
        }
    }
}
