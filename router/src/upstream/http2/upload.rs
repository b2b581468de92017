//! A request's body on its way up over HTTP/2.
//!
//! Owns how much of it was taken from the client, never more than the destination gave room for. Assumes that
//! whoever made the body bounds its size and pace. Must never know where the bytes come from.

use std::task::{Context, Poll};

use bytes::Bytes;
use h2::SendStream;
use tokio::time::Instant;

use super::super::limits;
use super::Sending;
use crate::body::{BodyFault, ClientBody};
use crate::http1::Framing;

/// A body, and the stream that it goes to.
pub(super) struct Upload<B> {
    body: B,
    sending: Sending,
    /// Of a body of known length so many bytes are still to come.
    owed: Option<u64>,
    /// `None` before there is a stream, and when nothing more goes to it.
    stream: Option<SendStream<Bytes>>,
    /// Whether something was taken from the client.
    begun: bool,
    /// Whether everything was sent.
    ended: bool,
    /// Whether the client keeps everyone waiting.
    waiting: bool,
    moved: Instant,
}

impl<B: ClientBody> Upload<B> {
    pub(super) fn new(sending: Sending, body: B, framing: Framing, now: Instant) -> Self {
        let owed = framing.exact();
        let ended = framing == Framing::None;
        Self { body, sending, owed, stream: None, begun: false, ended, waiting: false, moved: now }
    }

    pub(super) fn sending(&self) -> &Sending {
        &self.sending
    }

    /// Where it goes.
    pub(super) fn attach(&mut self, stream: SendStream<Bytes>) {
        self.stream = Some(stream);
        self.moved = Instant::now();
    }

    /// Sends as much as can be sent. A destination that takes no more is no fault: its answer says what is.
    pub(super) fn poll(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BodyFault>> {
        self.waiting = false;
        loop {
            let (false, Some(stream)) = (self.ended, &mut self.stream) else { return Poll::Ready(Ok(())) };
            match self.body.poll_piece(context) {
                Poll::Ready(Ok(true)) => {}
                Poll::Ready(Ok(false)) => return Poll::Ready(self.finish()),
                Poll::Ready(Err(fault)) => return Poll::Ready(Err(fault)),
                Poll::Pending => {
                    self.waiting = true;
                    return Poll::Pending;
                }
            }
            let length = self.body.piece().len();
            if self.owed.is_some_and(|owed| length as u64 > owed) {
                return Poll::Ready(Err(BodyFault::TooLarge));
            }
            stream.reserve_capacity(length.min(limits::SEND_BUFFER));
            if stream.capacity() == 0 {
                match std::task::ready!(stream.poll_capacity(context)) {
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => {
                        self.stream = None;
                        continue;
                    }
                }
            }
            let bytes = stream.capacity().min(length);
            if bytes > 0 && stream.send_data(Bytes::copy_from_slice(&self.body.piece()[..bytes]), false).is_err() {
                self.stream = None;
                continue;
            }
            self.body.consume(bytes);
            self.owed = self.owed.map(|owed| owed - bytes as u64);
            (self.begun, self.moved) = (true, Instant::now());
        }
    }

    /// Sends the end, with the client's trailers if there are any.
    fn finish(&mut self) -> Result<(), BodyFault> {
        // A client that went does not owe the destination fewer bytes than it announced.
        if self.owed.is_some_and(|owed| owed > 0) {
            return Err(BodyFault::ClientClosed);
        }
        let trailers = self.body.trailers().map(|trailers| self.sending.trailers(&trailers));
        if let Some(stream) = &mut self.stream {
            let sent = match trailers {
                Some(trailers) if !trailers.is_empty() => stream.send_trailers(trailers),
                _ => stream.send_data(Bytes::new(), true),
            };
            if sent.is_err() {
                self.stream = None;
            }
        }
        (self.ended, self.moved) = (true, Instant::now());
        Ok(())
    }

    /// Tells the destination that the rest of the request will not come.
    pub(super) fn cancel(&mut self) {
        if let Some(mut stream) = self.stream.take()
            && !self.ended
        {
            stream.send_reset(h2::Reason::CANCEL);
        }
    }

    /// Whether something is to be sent that the destination still takes.
    pub(super) fn goes_on(&self) -> bool {
        !self.ended && self.stream.is_some()
    }

    /// Whether nothing was taken from the client, so that all of it can be sent once more.
    pub(super) fn is_untouched(&self) -> bool {
        !self.begun
    }

    /// Whether there is no body at all.
    pub(super) fn is_bodiless(&self) -> bool {
        self.owed == Some(0)
    }

    /// Whether there is nothing left to send.
    pub(super) fn ended(&self) -> bool {
        self.ended
    }

    /// Whether it is the client who keeps everyone waiting.
    pub(super) fn waits_for_client(&self) -> bool {
        self.waiting && !self.ended
    }

    /// When the last byte was sent that could be.
    pub(super) fn moved(&self) -> Instant {
        self.moved
    }

    /// An answer has begun: from now on a client may be silent for as long as the exchange is not.
    pub(super) fn be_patient(&mut self) {
        self.body.be_patient();
    }

    /// Ready when the client is no longer there. Meant for when everything is sent.
    pub(super) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.ended { self.body.poll_gone(context) } else { Poll::Pending }
    }
}
