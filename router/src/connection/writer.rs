//! What a client gets over HTTP/1: heads with their framing, bodies as they come.
//!
//! Owns the framing of answers and the clock of a client that does not read. Must never know where an answer comes
//! from.

use std::cell::RefCell;
use std::future::poll_fn;
use std::io::IoSlice;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use http::StatusCode;
use tokio::io::AsyncWrite;
use tokio::time::Instant;

use super::{Transport, date};
use crate::alarm::Alarm;
use crate::body::ClientBody;
use crate::buffer::Buffer;
use crate::digits;
use crate::http1::{Framing, LAST_CHUNK, ResponseHead, Version, content_length, write_chunk, write_field};
use crate::observe::Exchange;
use crate::pipe::Pipe;
use crate::reject::{Local, Reason};
use crate::stage::identify::RequestId;
use crate::stage::transform;
use crate::upstream::UpstreamBody;

/// What the request says about its answer.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    /// No body follows, whatever the head says.
    pub(super) head_only: bool,
    /// What the client understands.
    pub(super) version: Version,
    /// The connection ends with this answer.
    pub(super) ending: bool,
}

/// The writing side of a connection.
pub(super) struct Writer<'c, S> {
    io: &'c RefCell<S>,
    out: Buffer,
    sent: usize,
    /// While an answer passes through without being looked at.
    pipe: Option<Pipe>,
    stall: Duration,
    alarm: Alarm,
    stalled_since: Option<Instant>,
}

/// What goes out together.
const TOGETHER: usize = 20 * 1024;

/// Longer pieces are written from where they are.
const LONG: usize = 4 * 1024;

/// When more than this is to come, a pipe is worth its system calls.
const THROUGH: u64 = 32 * 1024;

/// The largest chunk made of a piece.
const CHUNK: usize = 256 * 1024;

/// What becomes of a connection behind an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum After {
    /// The next request.
    Next,
    /// Its end.
    Close,
    /// A reset: a close would make what came look whole.
    Abort,
}

/// Why an answer did not get to its end.
enum Cut {
    /// The client went, or takes nothing.
    Client,
    /// The destination, for this reason.
    Upstream(Reason),
}

impl<'c, S: AsyncWrite + Transport + Unpin> Writer<'c, S> {
    /// A client that takes not a byte for as long as `stall` would otherwise hold a connection here and one to the
    /// destination for ever.
    pub(super) fn new(io: &'c RefCell<S>, stall: Duration) -> Self {
        Self { io, out: Buffer::default(), sent: 0, pipe: None, stall, alarm: Alarm::default(), stalled_since: None }
    }

    /// Writes an answer of the router's own.
    pub(super) async fn local(&mut self, answer: &Local, terms: Terms, mut exchange: Box<Exchange>) -> After {
        self.status_line(answer.status);
        for (name, value) in &answer.headers {
            self.field(name.as_str().as_bytes(), value.as_bytes());
        }
        self.field(b"date", date::now().as_bytes());
        self.finish_head(Framing::Length(answer.body.len() as u64), terms);
        if !terms.head_only {
            self.out.extend_from_slice(&answer.body);
        }
        let written = poll_fn(|context| self.poll_write_out(context, |_| {})).await;
        if written.is_ok() {
            exchange.answer_complete(if terms.head_only { 0 } else { answer.body.len() as u64 });
        }
        self.rest();
        if written.is_ok() && !terms.ending { After::Next } else { After::Close }
    }

    /// Tells the client that the protocol changes now. Says whether it is still there.
    pub(super) async fn switching(&mut self, head: &ResponseHead, id: &RequestId) -> bool {
        self.status_line(head.status());
        transform::response(head, id, &mut self.out, |_| {});
        self.field(b"connection", b"upgrade");
        self.field(b"upgrade", b"websocket");
        self.out.extend_from_slice(b"\r\n");
        let written = poll_fn(|context| self.poll_write_out(context, |_| {})).await;
        self.rest();
        written.is_ok()
    }

    /// Passes a destination's answer on.
    pub(super) async fn upstream<B: ClientBody>(
        &mut self,
        head: &ResponseHead,
        mut body: UpstreamBody<B>,
        terms: Terms,
        mut exchange: Box<Exchange>,
    ) -> After {
        let bodiless = terms.head_only || matches!(head.status(), StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
        let framing = match (head.framing(), terms.version) {
            (Framing::Chunked | Framing::UntilClose, Version::Http10) => Framing::UntilClose,
            (Framing::UntilClose, _) => Framing::Chunked,
            (framing, _) => framing,
        };
        let terms = Terms { ending: terms.ending || framing == Framing::UntilClose, ..terms };
        self.status_line(head.status());
        let mut dated = false;
        transform::response(head, &exchange.id, &mut self.out, |name| {
            dated |= name.len() == 4 && name.eq_ignore_ascii_case(b"date");
        });
        if !dated {
            // RFC 9110 §6.6.1: whoever has a clock may add it.
            self.field(b"date", date::now().as_bytes());
        }
        if bodiless {
            // The length of what is not sent, where it was said (RFC 9110 §8.6).
            let said = content_length(head.fields()).ok().flatten().filter(|_| head.status() != StatusCode::NO_CONTENT);
            self.finish_bodiless(said, terms);
        } else {
            self.finish_head(framing, terms);
        }
        let passed = poll_fn(|context| self.poll_pass(context, &mut body, framing, &mut exchange)).await;
        self.rest();
        match passed {
            Ok(()) => {
                exchange.answer_complete(0);
                if terms.ending { After::Close } else { After::Next }
            }
            Err(Cut::Client) => After::Close,
            Err(Cut::Upstream(reason)) => {
                exchange.answer_failed(reason);
                if framing != Framing::UntilClose {
                    return After::Close;
                }
                self.io.borrow().abort();
                After::Abort
            }
        }
    }

    fn poll_pass<B: ClientBody>(
        &mut self,
        context: &mut Context<'_>,
        body: &mut UpstreamBody<B>,
        framing: Framing,
        exchange: &mut Exchange,
    ) -> Poll<Result<(), Cut>> {
        loop {
            if self.passes_through(body, framing) {
                ready!(self.poll_write_out(context, |context| body.poll_upload(context))).map_err(|()| Cut::Client)?;
                ready!(self.poll_through(context, body, exchange))?;
                continue;
            }
            if self.out.len() - self.sent < TOGETHER && !body.is_finished() {
                match body.poll_piece(context) {
                    Poll::Ready(Ok(true)) => {
                        let long = framing != Framing::Chunked && body.piece().len() > LONG;
                        let bytes = if long {
                            ready!(self.poll_long(context, body))?
                        } else {
                            self.gather(body.piece(), framing)
                        };
                        body.consume(bytes);
                        exchange.answer_bytes(bytes as u64);
                        continue;
                    }
                    Poll::Ready(Ok(false)) => {
                        if framing == Framing::Chunked {
                            self.out.extend_from_slice(LAST_CHUNK);
                        }
                        body.finish();
                        continue;
                    }
                    Poll::Ready(Err(fault)) => {
                        // What came before goes to the client, and then it sees that the rest is missing.
                        let _ = self.poll_write_out(context, |_| {});
                        return Poll::Ready(Err(Cut::Upstream(fault.reason)));
                    }
                    Poll::Pending => {}
                }
            }
            if self.sent == self.out.len() && !body.is_finished() {
                // What there is goes to the client before more is waited for.
                let _ = Pin::new(&mut *self.io.borrow_mut()).poll_flush(context);
                return body.poll_gone(context).map(|()| Err(Cut::Client));
            }
            ready!(self.poll_write_out(context, |context| body.poll_upload(context))).map_err(|()| Cut::Client)?;
            if body.is_finished() {
                return Poll::Ready(Ok(()));
            }
        }
    }

    /// Whether what is to come goes on inside the kernel.
    fn passes_through<B: ClientBody>(&mut self, body: &UpstreamBody<B>, framing: Framing) -> bool {
        if self.pipe.is_none()
            && matches!(framing, Framing::Length(_))
            && body.unread() > THROUGH
            && self.io.borrow().plain().is_some()
        {
            self.pipe = Pipe::take();
        }
        self.pipe.is_some()
    }

    /// Passes on what is to come, up to the body's end.
    fn poll_through<B: ClientBody>(
        &mut self,
        context: &mut Context<'_>,
        body: &mut UpstreamBody<B>,
        exchange: &mut Exchange,
    ) -> Poll<Result<(), Cut>> {
        while let Some(pipe) = &mut self.pipe {
            if pipe.held() > 0 {
                let drained = match self.io.borrow().plain() {
                    Some(socket) => pipe.poll_drain(socket, context),
                    None => Poll::Ready(Ok(0)),
                };
                if drained.is_pending() {
                    body.poll_upload(context);
                }
                let bytes = ready!(self.taken(&drained, context)).map_err(|()| Cut::Client)?;
                exchange.answer_bytes(bytes as u64);
            } else if body.unread() == 0 {
                self.pipe = None;
            } else {
                match body.poll_fill(context, pipe) {
                    Poll::Ready(Ok(())) => {}
                    Poll::Ready(Err(fault)) => return Poll::Ready(Err(Cut::Upstream(fault.reason))),
                    Poll::Pending => return body.poll_gone(context).map(|()| Err(Cut::Client)),
                }
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Puts a piece behind what is to be written; says how much of it.
    fn gather(&mut self, piece: &[u8], framing: Framing) -> usize {
        if self.sent == self.out.len() {
            self.rest();
        }
        if self.out.capacity() == 0 {
            self.out = Buffer::medium();
        }
        let bytes = piece.len().min(CHUNK);
        if framing == Framing::Chunked {
            write_chunk(&mut self.out, &piece[..bytes]);
        } else {
            self.out.extend_from_slice(&piece[..bytes]);
        }
        bytes
    }

    /// Writes a long piece from where it is, behind what is still to go out.
    fn poll_long<B: ClientBody>(
        &mut self,
        context: &mut Context<'_>,
        body: &mut UpstreamBody<B>,
    ) -> Poll<Result<usize, Cut>> {
        let written = {
            let parts = [IoSlice::new(&self.out[self.sent..]), IoSlice::new(body.piece())];
            let parts = if self.sent < self.out.len() { &parts[..] } else { &parts[1..] };
            Pin::new(&mut *self.io.borrow_mut()).poll_write_vectored(context, parts)
        };
        if written.is_pending() {
            body.poll_upload(context);
        }
        let written = ready!(self.taken(&written, context)).map_err(|()| Cut::Client)?;
        let of_out = written.min(self.out.len() - self.sent);
        self.sent += of_out;
        Poll::Ready(Ok(written - of_out))
    }

    /// Writes out what there is; `meanwhile` is called when the client keeps us waiting.
    fn poll_write_out(
        &mut self,
        context: &mut Context<'_>,
        mut meanwhile: impl FnMut(&mut Context<'_>),
    ) -> Poll<Result<(), ()>> {
        while self.sent < self.out.len() {
            let written = Pin::new(&mut *self.io.borrow_mut()).poll_write(context, &self.out[self.sent..]);
            if written.is_pending() {
                meanwhile(context);
            }
            self.sent += ready!(self.taken(&written, context))?;
        }
        Pin::new(&mut *self.io.borrow_mut()).poll_flush(context).map_err(|_| ())
    }

    /// What the client took; an error when it takes nothing for too long.
    fn taken(&mut self, written: &Poll<std::io::Result<usize>>, context: &mut Context<'_>) -> Poll<Result<usize, ()>> {
        match written {
            Poll::Ready(Ok(bytes @ 1..)) => {
                self.stalled_since = None;
                Poll::Ready(Ok(*bytes))
            }
            Poll::Ready(_) => Poll::Ready(Err(())),
            Poll::Pending => {
                let since = *self.stalled_since.get_or_insert_with(Instant::now);
                ready!(self.alarm.poll(since + self.stall, context));
                Poll::Ready(Err(()))
            }
        }
    }

    /// Keeps no memory while there is nothing to write.
    fn rest(&mut self) {
        self.out = Buffer::default();
        self.sent = 0;
        self.pipe = None;
    }

    fn status_line(&mut self, status: StatusCode) {
        self.out = Buffer::medium();
        self.sent = 0;
        self.out.extend_from_slice(b"HTTP/1.1 ");
        self.out.extend_from_slice(status.as_str().as_bytes());
        self.out.push(b' ');
        self.out.extend_from_slice(status.canonical_reason().unwrap_or_default().as_bytes());
        self.out.extend_from_slice(b"\r\n");
    }

    fn field(&mut self, name: &[u8], value: &[u8]) {
        write_field(&mut self.out, name, value);
    }

    fn finish_head(&mut self, framing: Framing, terms: Terms) {
        match framing {
            Framing::None => self.out.extend_from_slice(b"content-length: 0\r\n"),
            Framing::Length(length) => self.length(length),
            Framing::Chunked => self.out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
            Framing::UntilClose => {}
        }
        self.end_head(terms);
    }

    fn finish_bodiless(&mut self, said: Option<u64>, terms: Terms) {
        if let Some(length) = said {
            self.length(length);
        }
        self.end_head(terms);
    }

    fn length(&mut self, length: u64) {
        self.out.extend_from_slice(b"content-length: ");
        digits::decimal(&mut self.out, length);
        self.out.extend_from_slice(b"\r\n");
    }

    fn end_head(&mut self, terms: Terms) {
        let end: &[u8] = if terms.ending { b"connection: close\r\n\r\n" } else { b"\r\n" };
        self.out.extend_from_slice(end);
    }
}
