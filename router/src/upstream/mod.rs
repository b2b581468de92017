//! Requests to destinations.
//!
//! Owns `forward`: a kept or a new connection, one attempt, deadlines, and what is safe to send again. One
//! [`Upstreams`] lives on each core; nothing in it is shared and nothing locks. Assumes that the head is already
//! what the destination shall see. Must never know the client's Host or URI: what is dialled, asked for and
//! verified comes from the compiled destination alone.

mod body;
mod connect;
mod deadline;
mod http1;
mod limits;
mod pool;
mod resolve;
#[cfg(test)]
mod tests;
mod tls;
mod upload;

use std::cell::Cell;
use std::collections::HashSet;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderValue, Method, Request, Response, StatusCode, Version};
use http_body::Body;
use tokio::time::{Instant, sleep_until};

pub(crate) use self::body::{UpstreamBody, UpstreamFault};
pub(crate) use self::resolve::Resolver;
pub(crate) use self::tls::{ClientConfigs, Verify};
pub(crate) use self::upload::BodyFault;

use self::body::Lease;
use self::connect::Dialer;
use self::deadline::{Deadlines, Waiting};
use self::http1::{Connection, Incoming};
use self::pool::Pool;
use self::upload::{RequestBody, Upload};
use crate::reject::{Reason, Rejection};
use crate::snapshot::{Destination, Timeouts};

/// The way to all destinations from one core.
pub(crate) struct Upstreams {
    dialer: Dialer,
    pool: Rc<Pool>,
    reused: Cell<u64>,
    repeated: Cell<u64>,
}

/// How long each phase of an exchange took. A kept connection has only the last.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Phases {
    /// Name to addresses.
    pub(crate) resolve: Option<Duration>,
    /// TCP.
    pub(crate) connect: Option<Duration>,
    /// TLS.
    pub(crate) tls: Option<Duration>,
    /// From the last byte sent to the answer's head.
    pub(crate) first_byte: Option<Duration>,
    /// Whether the connection was a kept one.
    pub(crate) reused: bool,
}

/// What was done since the start, on this core.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counters {
    /// Sockets that were asked to connect.
    pub(crate) dials: u64,
    /// Of these, the ones that did not.
    pub(crate) failed_dials: u64,
    /// Resolved addresses that were refused: no socket was made for them.
    pub(crate) refused_addresses: u64,
    /// Lookups that were begun.
    pub(crate) lookups: u64,
    /// Requests that a kept connection was tried for.
    pub(crate) reused: u64,
    /// Of these, the ones that went to a new connection after all.
    pub(crate) repeated: u64,
}

impl Upstreams {
    /// To be made on the core that uses it.
    pub(crate) fn new(resolver: Resolver) -> Self {
        Self { dialer: Dialer::new(resolver), pool: Rc::default(), reused: Cell::new(0), repeated: Cell::new(0) }
    }

    /// Sends a request and brings the answer's head; its body follows.
    ///
    /// The head's target is the origin form as it shall be sent, and its `Host` the destination's. Dropping the
    /// future closes the connection.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn forward<B>(
        &self,
        destination: &Arc<Destination>,
        timeouts: Timeouts,
        head: http::request::Parts,
        body: B,
        phases: &mut Phases,
    ) -> Result<Response<UpstreamBody>, Rejection>
    where
        B: Body<Data = Bytes, Error = BodyFault> + Unpin + 'static,
    {
        let deadlines = Deadlines::new(timeouts, Instant::now());
        let (body, upload) = RequestBody::new(body);
        let request = framed(head, body, destination)?;
        let place = self.pool.place(destination);
        let (connection, answer) = self.exchange(destination, &deadlines, request, &upload, phases).await?;
        let lease = Lease { connection, upload, place };
        Ok(answer.map(|incoming| UpstreamBody::new(incoming, lease, deadlines)))
    }

    /// Drops kept connections of destinations that are served no more. Those in use go when their exchange ends.
    pub(crate) fn retain(&self, served: &HashSet<Arc<str>>) {
        self.pool.retain(served);
    }

    /// How many connections are kept.
    pub(crate) fn idle_connections(&self) -> usize {
        self.pool.len()
    }

    /// What was done since the start.
    pub(crate) fn counters(&self) -> Counters {
        let dials = self.dialer.dials();
        Counters {
            dials: dials.dials,
            failed_dials: dials.failed,
            refused_addresses: dials.refused,
            lookups: self.dialer.lookups(),
            reused: self.reused.get(),
            repeated: self.repeated.get(),
        }
    }

    /// A kept connection first. It may have been closed a moment ago without our knowing; then the request goes
    /// to a new one, if it is sure that this cannot do anything twice.
    async fn exchange(
        &self,
        destination: &Destination,
        deadlines: &Deadlines,
        mut request: Request<RequestBody>,
        upload: &Upload,
        phases: &mut Phases,
    ) -> Result<(Connection, Response<Incoming>), Rejection> {
        if let Some(mut kept) = self.pool.take(destination) {
            self.reused.set(self.reused.get() + 1);
            phases.reused = true;
            let spare = spare(&request);
            match answer(&mut kept, request, deadlines, upload, phases).await {
                Ok(response) => return Ok((kept, response)),
                Err(Failure { again: Again::Unsent(unsent), .. }) => request = *unsent,
                Err(Failure { again: Again::Lost, rejection }) => request = spare.ok_or(rejection)?,
                Err(Failure { again: Again::Never, rejection }) => return Err(rejection),
            }
            self.repeated.set(self.repeated.get() + 1);
            phases.reused = false;
        }
        let mut connection = self.open(destination, deadlines, phases).await?;
        let response =
            answer(&mut connection, request, deadlines, upload, phases).await.map_err(|failure| failure.rejection)?;
        Ok((connection, response))
    }

    async fn open(
        &self,
        destination: &Destination,
        deadlines: &Deadlines,
        phases: &mut Phases,
    ) -> Result<Connection, Rejection> {
        let deadline = deadlines.connect(Instant::now());
        let dialled = self.dialer.dial(destination, deadline, phases).await;
        // Whichever ended first: a total that is over is what the client has to know.
        let stream = dialled.map_err(|rejection| deadlines.check_total(Instant::now()).err().unwrap_or(rejection))?;
        Connection::open(stream).await
    }
}

/// An attempt that brought no answer.
struct Failure {
    rejection: Rejection,
    again: Again,
}

/// Whether the same request may be sent once more.
enum Again {
    /// Not a byte was sent; here it is.
    Unsent(Box<Request<RequestBody>>),
    /// The connection went before a byte of an answer; the destination may or may not have seen the request.
    Lost,
    /// There was an answer of a kind, or time is up, or the client failed.
    Never,
}

/// One request on one connection, until the answer's head.
async fn answer(
    connection: &mut Connection,
    request: Request<RequestBody>,
    deadlines: &Deadlines,
    upload: &Upload,
    phases: &mut Phases,
) -> Result<Response<Incoming>, Failure> {
    let began = Instant::now();
    let mut sending = pin!(connection.send(request));
    let mut alarm = pin!(sleep_until(deadlines.look_again(began)));
    loop {
        tokio::select! {
            biased;
            sent = &mut sending => {
                let response = sent.map_err(|failure| judge(failure, upload))?;
                phases.first_byte = Some(connection.wrote_at().max(began).elapsed());
                return checked(response);
            }
            () = &mut alarm => {
                let waiting = Waiting { moved: connection.wrote_at().max(began), for_client: upload.waits_for_client() };
                match deadlines.answer(waiting, Instant::now()) {
                    Ok(again) => alarm.as_mut().reset(again),
                    Err(rejection) => return Err(Failure { rejection, again: Again::Never }),
                }
            }
        }
    }
}

fn judge(failure: http1::SendFailure, upload: &Upload) -> Failure {
    let http1::SendFailure { unsent, rejection, lost } = failure;
    if let Some(fault) = upload.fault() {
        let rejection = Rejection::new(fault.reason(), fault.to_string());
        return Failure { rejection, again: Again::Never };
    }
    let again = match unsent {
        Some(unsent) => Again::Unsent(Box::new(unsent)),
        None if lost => Again::Lost,
        None => Again::Never,
    };
    Failure { rejection, again }
}

/// No upgrade is ever asked for here, so a 101 is an answer to something else (RFC 9110 §15.2.2); what follows it
/// is not HTTP.
fn checked(response: Response<Incoming>) -> Result<Response<Incoming>, Failure> {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        let rejection = Rejection::new(Reason::DestinationProtocol, "101 although no upgrade was asked for");
        return Err(Failure { rejection, again: Again::Never });
    }
    Ok(response)
}

/// The same request once more, when it may be sent twice: a method whose repetition means the same (RFC 9110
/// §9.2.2), and no body that is gone by then.
fn spare(request: &Request<RequestBody>) -> Option<Request<RequestBody>> {
    let idempotent =
        matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
    if !idempotent || !request.body().is_empty() {
        return None;
    }
    let mut spare = Request::new(RequestBody::empty());
    *spare.method_mut() = request.method().clone();
    *spare.uri_mut() = request.uri().clone();
    *spare.headers_mut() = request.headers().clone();
    Some(spare)
}

/// The request as it goes out. Framing is said here and nowhere else, so that head and body cannot disagree.
fn framed(
    mut head: http::request::Parts,
    body: RequestBody,
    destination: &Destination,
) -> Result<Request<RequestBody>, Rejection> {
    let meant = head.headers.get_all(HOST).iter().eq([destination.host()]);
    if head.uri.authority().is_some() || !meant {
        return Err(Rejection::new(Reason::Internal, "a head for another destination"));
    }
    head.version = Version::HTTP_11;
    head.headers.remove(CONTENT_LENGTH);
    head.headers.remove(TRANSFER_ENCODING);
    let says_length = matches!(head.method, Method::POST | Method::PUT | Method::PATCH);
    if body.is_empty() && says_length {
        // RFC 9110 §8.6: some servers answer 411 without it.
        head.headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    } else if !body.is_empty() && body.size_hint().exact().is_none() {
        // Without this the engine would leave out the body of a GET whose length is unknown.
        head.headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
    }
    Ok(Request::from_parts(head, body))
}
