//! One request over a session, until its answer's head.
//!
//! Owns the way to a session, and what may be sent once more when a stream came to nothing. Must never know the
//! client's Host or URI.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use h2::RecvStream;
use h2::client::ResponseFuture;
use http::{Response, StatusCode};
use tokio::time::Instant;

use super::super::connect::Offer;
use super::super::deadline::{Deadlines, Waiting};
use super::super::http1::Connection;
use super::super::{Answer, Content, Phases, UpstreamBody, Upstreams, is_idempotent, limits};
use super::upload::Upload;
use super::{Look, OverHttp2, Sending, Slot, is_unprocessed, rejection, response_head};
use crate::alarm::Alarm;
use crate::body::{ClientBody, Metered};
use crate::http1::Outbound;
use crate::reject::{Reason, Rejection};
use crate::snapshot::{Destination, Speaks};

/// The way to a destination that may speak HTTP/2.
pub(in crate::upstream) enum Reached {
    /// A place on a session.
    Session(Slot),
    /// HTTP/1.1 after all, perhaps on a connection that was just made.
    Http1(Option<Box<Connection>>),
}

/// An attempt that brought no answer.
struct Failure {
    rejection: Rejection,
    /// What the destination may have done.
    done: Done,
    /// Whether the session goes, or went.
    lost: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Done {
    /// Nothing: it never got the request.
    Unsent,
    /// Nothing: it says that it did not look at it.
    Nothing,
    /// Nobody knows: the session ended before an answer.
    Unknown,
    /// It is of no use to ask.
    Whatever,
}

impl Upstreams {
    /// A place on a session, or HTTP/1.1 where TLS agrees on it.
    pub(in crate::upstream) async fn reach(
        &self,
        destination: &Destination,
        deadlines: &Deadlines,
        phases: &mut Phases,
    ) -> Result<Reached, Rejection> {
        let deadline = deadlines.connect(Instant::now());
        let reached = self.reach_until(destination, deadline, phases).await;
        // Whichever ended first: a total that is over is what the client has to know.
        reached.map_err(|rejection| deadlines.check_total(Instant::now()).err().unwrap_or(rejection))
    }

    async fn reach_until(
        &self,
        destination: &Destination,
        deadline: Instant,
        phases: &mut Phases,
    ) -> Result<Reached, Rejection> {
        self.sessions.reap_from_now_on();
        let duty = match self.sessions.place(destination).look(destination, deadline).await? {
            Look::Slot(slot) => {
                self.reused.set(self.reused.get() + 1);
                phases.reused = slot.reused;
                return Ok(Reached::Session(slot));
            }
            Look::Http1 => return Ok(Reached::Http1(None)),
            Look::Dial(duty) => duty,
        };
        let stream = match self.dialer.dial(destination, Offer::All, deadline, phases).await {
            Ok(stream) => stream,
            Err(rejection) => {
                duty.fail(&rejection);
                return Err(rejection);
            }
        };
        match (destination.speaks(), destination.tls().is_some(), stream.agreed_on_http2()) {
            (Speaks::Either, _, false) => {
                duty.spoke_http1();
                Ok(Reached::Http1(Some(Box::new(Connection::new(stream)))))
            }
            (_, true, false) => {
                let rejection = Rejection::new(Reason::TlsFailed, "the destination does not agree on HTTP/2");
                duty.fail(&rejection);
                Err(rejection)
            }
            _ => duty.succeed(stream, deadline).await.map(Reached::Session),
        }
    }

    /// Sends a request over a session and brings the answer's head; its body follows.
    pub(in crate::upstream) async fn over_http2<B: ClientBody>(
        &self,
        mut slot: Slot,
        destination: &Arc<Destination>,
        deadlines: Deadlines,
        outbound: Outbound,
        body: Metered<B>,
        phases: &mut Phases,
    ) -> Result<Answer<Metered<B>>, Rejection> {
        if outbound.upgrade {
            return Err(Rejection::new(Reason::UpgradeNotSupported, "the destination speaks HTTP/2"));
        }
        let (method, framing) = (outbound.method().clone(), body.framing());
        let mut upload = Upload::new(Sending::new(outbound, framing)?, body, framing, Instant::now());
        let repeatable = is_idempotent(&method) && upload.is_bodiless();
        let (mut again, mut spent) = (true, false);
        slot.credit().earn();
        let response = loop {
            let failure = match answer(&slot, destination, &mut upload, &deadlines, phases).await {
                Ok(response) => break response,
                Err(failure) => failure,
            };
            let may_repeat = match failure.done {
                Done::Unsent if slot.reused => true,
                Done::Unsent | Done::Nothing => upload.is_untouched() && std::mem::take(&mut again),
                Done::Unknown => {
                    spent = repeatable && std::mem::take(&mut again) && slot.credit().spend();
                    spent
                }
                Done::Whatever => false,
            };
            if !may_repeat {
                return Err(failure.rejection);
            }
            self.repeated.set(self.repeated.get() + 1);
            phases.attempts += 1;
            drop(slot);
            slot = match self.reach(destination, &deadlines, phases).await? {
                Reached::Session(slot) => slot,
                Reached::Http1(_) => return Err(failure.rejection),
            };
        };
        let (parts, stream) = response.into_parts();
        if spent {
            slot.credit().answered(parts.status);
        }
        let head = response_head(&parts, &method, stream.is_end_stream())?;
        let body = OverHttp2::new(stream, upload, slot, &head, deadlines);
        Ok(Answer { head, content: Content::Body(UpstreamBody::Http2(Box::new(body))) })
    }
}

/// One request on one stream, until the answer's head.
async fn answer<B: ClientBody>(
    slot: &Slot,
    destination: &Destination,
    upload: &mut Upload<B>,
    deadlines: &Deadlines,
    phases: &mut Phases,
) -> Result<Response<RecvStream>, Failure> {
    let never = |rejection| Failure { rejection, done: Done::Whatever, lost: false };
    let request = upload.sending().request(destination).map_err(never)?;
    let (future, stream) = slot.sender().send_request(request, upload.ended()).map_err(|error| {
        slot.give_up();
        Failure { rejection: rejection(&error), done: Done::Unsent, lost: true }
    })?;
    upload.attach(stream);
    let mut pending = Pending { future, interim: 0, alarm: Alarm::default() };
    let answered = poll_fn(|context| pending.poll(upload, deadlines, context)).await;
    match &answered {
        Ok(_) => phases.first_byte = Some(upload.moved().elapsed()),
        Err(failure) => {
            upload.cancel();
            if failure.lost {
                slot.give_up();
            } else if failure.rejection.reason == Reason::DestinationTimeout {
                slot.doubt();
            }
        }
    }
    answered
}

/// A stream whose answer is waited for.
struct Pending {
    future: ResponseFuture,
    interim: u32,
    alarm: Alarm,
}

impl Pending {
    fn poll<B: ClientBody>(
        &mut self,
        upload: &mut Upload<B>,
        deadlines: &Deadlines,
        context: &mut Context<'_>,
    ) -> Poll<Result<Response<RecvStream>, Failure>> {
        let never = |rejection| Poll::Ready(Err(Failure { rejection, done: Done::Whatever, lost: false }));
        if let Poll::Ready(Err(fault)) = upload.poll(context) {
            return never(fault.into());
        }
        // The router invited the client by itself, if at all.
        while let Poll::Ready(Some(Ok(interim))) = self.future.poll_informational(context) {
            self.interim += 1;
            if interim.status() == StatusCode::SWITCHING_PROTOCOLS || self.interim > limits::INTERIM {
                return never(Rejection::new(Reason::DestinationProtocol, "an interim answer that may not be there"));
            }
        }
        if let Poll::Ready(answered) = Pin::new(&mut self.future).poll(context) {
            return Poll::Ready(answered.map_err(|error| Failure {
                rejection: rejection(&error),
                lost: error.is_io() || error.is_go_away(),
                done: match error.is_io() {
                    _ if self.interim > 0 => Done::Whatever,
                    true => Done::Unknown,
                    false if is_unprocessed(&error) => Done::Nothing,
                    false => Done::Whatever,
                },
            }));
        }
        if upload.poll_gone(context).is_ready() {
            return never(Rejection::new(Reason::ClientClosed, "before the answer"));
        }
        let waiting = Waiting { moved: upload.moved(), for_client: upload.waits_for_client() };
        deadlines
            .poll_over(waiting, &mut self.alarm, context)
            .map(|rejection| Err(Failure { rejection, done: Done::Whatever, lost: false }))
    }
}
