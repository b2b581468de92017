//! Requests to destinations.
//!
//! Owns `forward`: a kept or a new connection, one attempt, deadlines, and what is safe to send again. One
//! [`Upstreams`] lives on each core; nothing in it is shared and nothing locks. Assumes that the head is already
//! what the destination shall see. Must never know the client's Host or URI: what is dialled, asked for and
//! verified comes from the compiled destination alone.

mod body;
mod connect;
mod connections;
mod credit;
mod deadline;
mod http1;
mod http2;
mod limits;
mod pool;
pub(crate) mod probe;
mod resolve;
pub(crate) mod shown;
#[cfg(test)]
mod tests;
mod tls;
mod upload;

use std::cell::Cell;
use std::collections::HashSet;
use std::future::poll_fn;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Method, StatusCode};
use tokio::time::Instant;

pub(crate) use self::body::{UpstreamBody, UpstreamFault};
pub(crate) use self::connect::Stream;
pub(crate) use self::connections::Connections;
pub(crate) use self::resolve::{Resolver, Unresolved};
pub(crate) use self::tls::{ClientConfigs, Verify};

use self::body::{Lease, OverHttp1};
use self::connect::{Dialer, Offer};
use self::deadline::{Deadlines, Waiting};
use self::http1::{Connection, Rest};
use self::http2::{Reached, Sessions};
use self::pool::Pool;
use self::upload::{SendFault, Upload};
use crate::body::{ClientBody, Metered};
use crate::buffer::Buffer;
use crate::http1::{Outbound, ResponseHead};
use crate::reject::{Reason, Rejection};
use crate::snapshot::{Destination, Speaks, Timeouts};

/// The way to all destinations from one core.
pub(crate) struct Upstreams {
    dialer: Dialer,
    pool: Rc<Pool>,
    sessions: Rc<Sessions>,
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
    /// What passed before the destination was asked; none when it never was.
    pub(crate) decided: Option<Duration>,
    /// How often it was tried.
    pub(crate) attempts: u32,
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
        let (reused, repeated) = (Cell::new(0), Cell::new(0));
        Self { dialer: Dialer::new(resolver), pool: Rc::default(), sessions: Rc::default(), reused, repeated }
    }

    /// Sends a request that `began` then, and brings the answer's head; its body follows. Dropping the future closes
    /// the connection, or resets the stream.
    ///
    /// # Errors
    /// Why there is no answer.
    pub(crate) async fn forward<B: ClientBody>(
        &self,
        destination: &Arc<Destination>,
        timeouts: Timeouts,
        outbound: Outbound,
        body: Metered<B>,
        phases: &mut Phases,
        began: Instant,
    ) -> Result<Answer<Metered<B>>, Rejection> {
        phases.decided = Some(began.elapsed());
        phases.attempts = 1;
        let deadlines = Deadlines::new(timeouts, began);
        let mut fresh = None;
        // A WebSocket is HTTP/1.1's: where either is spoken, that one is.
        let over_http1 = match destination.speaks() {
            Speaks::Http1 => true,
            Speaks::Either => outbound.upgrade,
            Speaks::Http2 => false,
        };
        if !over_http1 {
            // Boxed, so that the common way's future is not as large as this one's.
            match Box::pin(self.reach(destination, &deadlines, phases)).await? {
                Reached::Http1(connection) => fresh = connection,
                Reached::Session(slot) => {
                    let exchange = self.over_http2(slot, destination, deadlines, outbound, body, phases);
                    return Box::pin(exchange).await;
                }
            }
        }
        let (method, upgrade, framing) = (outbound.method().clone(), outbound.upgrade, body.framing());
        let mut upload = Upload::new(outbound.framed(framing), body, framing, began);
        let place = self.pool.place(destination);
        let (connection, head) = self.exchange(destination, fresh, &deadlines, &method, &mut upload, phases).await?;
        if head.status() == StatusCode::SWITCHING_PROTOCOLS {
            // No upgrade was asked for, so this is an answer to something else (RFC 9110 §15.2.2); what follows is
            // not HTTP.
            if !upgrade || !upload.ended() {
                return Err(Rejection::new(Reason::DestinationProtocol, "101 although no upgrade was asked for"));
            }
            return Ok(Answer { head, content: Content::Tunnel(Box::new(connection.into_parts())) });
        }
        let keeps_alive = head.keeps_alive();
        let rest = Rest::of(head.framing());
        let lease = Lease { connection, upload, place, keeps_alive, fault: None };
        Ok(Answer { content: Content::Body(UpstreamBody::Http1(OverHttp1::new(lease, rest, deadlines))), head })
    }

    /// Drops kept connections of destinations that are served no more. Those in use go when their exchange ends.
    pub(crate) fn retain(&self, served: &HashSet<Arc<str>>) {
        self.pool.retain(served);
        self.sessions.retain(served);
    }

    /// How many connections carry nothing and are kept.
    pub(crate) fn idle_connections(&self) -> usize {
        self.pool.len() + self.sessions.idle()
    }

    /// Destinations that a connection was first opened with since this was last asked.
    pub(crate) fn newly_met(&self) -> Vec<Arc<Connections>> {
        self.dialer.census.newly_met()
    }

    /// Counts no more with whom there will be no connections.
    pub(crate) fn forget_connections(&self, served: &HashSet<&str>) {
        self.dialer.census.retain(served);
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
    /// to a new one, if it is sure that this cannot do anything twice. `fresh` is a connection that was just made.
    async fn exchange<B: ClientBody>(
        &self,
        destination: &Destination,
        fresh: Option<Box<Connection>>,
        deadlines: &Deadlines,
        method: &Method,
        upload: &mut Upload<B>,
        phases: &mut Phases,
    ) -> Result<(Box<Connection>, ResponseHead), Rejection> {
        let repeatable = is_idempotent(method) && upload.is_bodiless();
        let mut spent = false;
        while fresh.is_none()
            && let Some(mut kept) = self.pool.take(destination, !repeatable, upload.moved())
        {
            self.reused.set(self.reused.get() + 1);
            phases.reused = true;
            match answer(&mut kept, upload, method, deadlines, phases).await {
                Ok(head) => return Ok((kept, head)),
                Err(failure) if failure.lost && upload.is_unsent() => upload.rewind(),
                Err(failure) if failure.lost && repeatable && self.pool.may_repeat(destination) => {
                    spent = true;
                    upload.rewind();
                }
                Err(failure) => return Err(failure.rejection),
            }
            self.repeated.set(self.repeated.get() + 1);
            phases.attempts += 1;
            phases.reused = false;
            if repeatable {
                break;
            }
        }
        let mut connection = match fresh {
            Some(fresh) => fresh,
            // Boxed, so that what waits for an answer has not the size of what dials.
            None => Box::pin(self.open(destination, deadlines, phases)).await?,
        };
        upload.only_once();
        match answer(&mut connection, upload, method, deadlines, phases).await {
            Ok(head) => {
                if spent {
                    self.pool.repeated(destination, head.status());
                }
                Ok((connection, head))
            }
            Err(failure) => Err(failure.rejection),
        }
    }

    async fn open(
        &self,
        destination: &Destination,
        deadlines: &Deadlines,
        phases: &mut Phases,
    ) -> Result<Box<Connection>, Rejection> {
        let deadline = deadlines.connect(Instant::now());
        let dialled = self.dialer.dial(destination, Offer::Http1, deadline, phases).await;
        // Whichever ended first: a total that is over is what the client has to know.
        let stream = dialled.map_err(|rejection| deadlines.check_total(Instant::now()).err().unwrap_or(rejection))?;
        Ok(Box::new(Connection::new(stream)))
    }
}

/// What a destination answered.
pub(crate) struct Answer<B> {
    /// Its head, as it came.
    pub(crate) head: ResponseHead,
    /// What follows.
    pub(crate) content: Content<B>,
}

/// What follows the head of an answer.
#[allow(clippy::large_enum_variant, reason = "the large one is the common one, and a box would cost an allocation")]
pub(crate) enum Content<B> {
    /// A body.
    Body(UpstreamBody<B>),
    /// Another protocol, which was asked for: the stream, and what came over it already.
    Tunnel(Box<(Stream, Buffer)>),
}

/// An attempt that brought no answer.
struct Failure {
    rejection: Rejection,
    /// The connection went before a byte of an answer; the destination may or may not have seen the request.
    lost: bool,
}

/// One request on one connection, until the answer's head.
async fn answer<B: ClientBody>(
    connection: &mut Connection,
    upload: &mut Upload<B>,
    method: &Method,
    deadlines: &Deadlines,
    phases: &mut Phases,
) -> Result<ResponseHead, Failure> {
    let head = poll_fn(|context| poll_answer(connection, upload, method, deadlines, context)).await?;
    phases.first_byte = Some(upload.moved().elapsed());
    Ok(head)
}

fn poll_answer<B: ClientBody>(
    connection: &mut Connection,
    upload: &mut Upload<B>,
    method: &Method,
    deadlines: &Deadlines,
    context: &mut Context<'_>,
) -> Poll<Result<ResponseHead, Failure>> {
    let never = |rejection| Poll::Ready(Err(Failure { rejection, lost: false }));
    let mut broken = None;
    if !upload.ended() {
        match upload.poll(context, &mut connection.stream) {
            Poll::Ready(Err(SendFault::Client(fault))) => return never(fault.into()),
            // A destination that takes no more may have answered before.
            Poll::Ready(Err(SendFault::Broken(error))) => broken = Some(error),
            Poll::Ready(Ok(())) | Poll::Pending => {}
        }
    }
    if let Poll::Ready(head) = connection.poll_head(context, method, B::SHARES) {
        let lost = !connection.has_answered();
        return Poll::Ready(head.map_err(|fault| {
            let lost = lost && fault.is_end();
            Failure { rejection: fault.into(), lost }
        }));
    }
    if let Some(error) = broken {
        let lost = !connection.has_answered();
        return Poll::Ready(Err(Failure { rejection: http1::ReadFault::Broken(error).into(), lost }));
    }
    if upload.poll_gone(context).is_ready() {
        return never(Rejection::new(Reason::ClientClosed, "before the answer"));
    }
    let waiting = Waiting { moved: upload.moved(), for_client: upload.waits_for_client() };
    deadlines
        .poll_over(waiting, &mut connection.alarm, context)
        .map(|rejection| Err(Failure { rejection, lost: false }))
}

/// A method whose repetition means the same (RFC 9110 §9.2.2).
fn is_idempotent(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE)
}
