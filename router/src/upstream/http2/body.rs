//! An answer's body on its way down over HTTP/2.
//!
//! Owns its stream until the last byte: dropped before, the stream is reset and the session goes on. What is left of
//! the request goes up meanwhile. The destination sends no more than what was passed on makes room for. Must never
//! know where it goes.

use std::task::{Context, Poll, ready};

use bytes::{Buf, Bytes};
use h2::RecvStream;
use http::HeaderMap;
use tokio::time::{Instant, timeout};

use super::super::body::UpstreamFault;
use super::super::deadline::Deadlines;
use super::super::limits;
use super::upload::Upload;
use super::{Slot, rejection};
use crate::alarm::Alarm;
use crate::body::{BodyFault, ClientBody};
use crate::http1::{FIELDS, Framing, ResponseHead};
use crate::reject::{Reason, Rejection};

/// The body of an answer that comes over a session.
pub(crate) struct OverHttp2<B> {
    /// Held until the end; `None` from then on.
    open: Option<Open<B>>,
    piece: Bytes,
    trailers: Option<HeaderMap>,
    deadlines: Deadlines,
    /// Since when the destination is waited for; `None` while there are pieces to be had.
    waiting_since: Option<Instant>,
    alarm: Alarm,
    /// Whether its end was passed on.
    pub(in crate::upstream) finished: bool,
}

/// The stream of an exchange.
struct Open<B> {
    stream: RecvStream,
    upload: Upload<B>,
    slot: Slot,
    /// The client's body failed; what was answered by then is still passed on.
    fault: Option<BodyFault>,
}

impl<B: ClientBody> OverHttp2<B> {
    pub(super) fn new(
        stream: RecvStream,
        mut upload: Upload<B>,
        slot: Slot,
        head: &ResponseHead,
        deadlines: Deadlines,
    ) -> Self {
        upload.be_patient();
        let open = if head.framing() == Framing::None {
            see_off(stream, &upload, slot);
            None
        } else {
            Some(Open { stream, upload, slot, fault: None })
        };
        let (piece, alarm) = (Bytes::new(), Alarm::default());
        Self { open, piece, trailers: None, deadlines, waiting_since: None, alarm, finished: false }
    }

    /// Ready once there is a [piece](Self::piece), or with `false` at the end.
    pub(in crate::upstream) fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, UpstreamFault>> {
        self.poll_upload(context);
        loop {
            if !self.piece.is_empty() {
                self.waiting_since = None;
                return Poll::Ready(Ok(true));
            }
            let Some(open) = &mut self.open else { return Poll::Ready(Ok(false)) };
            match open.stream.poll_data(context) {
                Poll::Ready(Some(Ok(bytes))) => self.piece = bytes,
                Poll::Ready(Some(Err(error))) => return Poll::Ready(Err(self.fail(&error))),
                Poll::Ready(None) => match ready!(open.stream.poll_trailers(context)) {
                    Ok(trailers) if trailers.as_ref().is_none_or(|some| some.len() <= FIELDS) => {
                        self.trailers = trailers;
                        self.open = None;
                    }
                    Ok(_) => {
                        self.open = None;
                        return Poll::Ready(Err(
                            Rejection::new(Reason::DestinationProtocol, "too many trailers").into()
                        ));
                    }
                    Err(error) => return Poll::Ready(Err(self.fail(&error))),
                },
                Poll::Pending => return self.poll_silence(context).map(Err),
            }
        }
    }

    /// Sends on what is left of the request while the answer is already on its way.
    pub(in crate::upstream) fn poll_upload(&mut self, context: &mut Context<'_>) {
        let Some(Open { upload, fault, .. }) = &mut self.open else { return };
        if fault.is_none()
            && let Poll::Ready(Err(broken)) = upload.poll(context)
        {
            *fault = Some(broken);
        }
    }

    /// Whether something of the request is still to be sent.
    pub(in crate::upstream) fn is_uploading(&self) -> bool {
        self.open.as_ref().is_some_and(|open| open.upload.goes_on() && open.fault.is_none())
    }

    /// Ready when the client is no longer there.
    pub(in crate::upstream) fn poll_gone(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.open.as_mut().map_or(Poll::Pending, |open| open.upload.poll_gone(context))
    }

    /// The bytes that are there.
    pub(in crate::upstream) fn piece(&self) -> &[u8] {
        &self.piece
    }

    /// Lets go of bytes of the piece; the destination may send as many again.
    pub(in crate::upstream) fn consume(&mut self, bytes: usize) {
        self.piece.advance(bytes);
        if let Some(Open { stream, .. }) = &mut self.open {
            // It fails when more is given back than came.
            let _ = stream.flow_control().release_capacity(bytes);
            if self.piece.is_empty() && stream.is_end_stream() {
                self.open = None;
            }
        }
    }

    /// Trailers behind the end.
    pub(in crate::upstream) fn trailers(&mut self) -> Option<HeaderMap> {
        self.trailers.take()
    }

    /// Whether everything was had.
    pub(in crate::upstream) fn is_over(&self) -> bool {
        self.open.is_none() && self.piece.is_empty() && self.trailers.is_none()
    }

    fn fail(&mut self, error: &h2::Error) -> UpstreamFault {
        match self.open.take().and_then(|open| open.fault) {
            // The stream broke because the client's own body did.
            Some(client) => Rejection::from(client).into(),
            None => rejection(error).into(),
        }
    }

    /// Comes to an end when neither side moves for too long, or when what the destination waits for will never come.
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<UpstreamFault> {
        let Some(open) = &mut self.open else { return Poll::Pending };
        if let Some(client) = open.fault {
            open.upload.cancel();
            self.open = None;
            return Poll::Ready(Rejection::from(client).into());
        }
        let since = *self.waiting_since.get_or_insert_with(Instant::now);
        let due = self.deadlines.silence_ends(since.max(open.upload.moved()));
        ready!(self.alarm.poll(due, context));
        open.slot.doubt();
        self.open = None;
        Poll::Ready(self.deadlines.silence(Instant::now()))
    }
}

/// Waits a moment for the end of a stream that brings nothing more: resets are what destinations count.
fn see_off<B: ClientBody>(mut stream: RecvStream, upload: &Upload<B>, slot: Slot) {
    if stream.is_end_stream() || !upload.ended() {
        return;
    }
    tokio::task::spawn_local(async move {
        let _ = timeout(limits::SEE_OFF, stream.data()).await;
        drop((stream, slot));
    });
}
