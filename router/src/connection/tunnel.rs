//! A connection that went over to WebSocket: bytes both ways, in one task, until either side or the router ends it.
//!
//! Owns how long a tunnel may last, and its end: whoever is still there is told by a last frame, where one can stand.
//! Assumes that both sides have agreed. Must never know what is in a frame.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{Instant, timeout};

use super::way::{Broken, Parting, Way, poll_silence};
use crate::alarm::Alarm;
use crate::buffer::Buffer;
use crate::drain::Phase;
use crate::observe::Exchange;
use crate::reject::Reason;
use crate::services::Core;
use crate::tunnels::Lead;
use crate::upstream::Stream;
use crate::websocket::Goodbye;

/// Both sides have agreed to speak WebSocket; what is known of them.
pub(super) struct Opened {
    /// The connection to the destination.
    pub(super) stream: Stream,
    /// What came over it behind the head of its answer.
    pub(super) came: Buffer,
    /// What the client sent before it was answered.
    pub(super) early: Buffer,
    /// The record, which is finished with the tunnel.
    pub(super) exchange: Box<Exchange>,
}

/// How long the last frames may take, and the last words of the other sides after them.
const PARTING: Duration = Duration::from_secs(1);
/// How long one side may be silent after the other has ended.
const HALF_CLOSED: Duration = Duration::from_secs(30);

/// Why a tunnel ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    /// Both sides have ended it.
    Done,
    /// The client is gone.
    Client,
    /// The destination went without a goodbye.
    Destination,
    /// Nobody said anything.
    Idle,
    /// It lasted as long as any may.
    Lifetime,
    /// Its route is no more, or leads elsewhere.
    Unrouted,
    /// The router ends.
    Draining,
}

/// Passes bytes until it is over.
pub(super) async fn run<C>(core: &Rc<Core>, client: C, opened: Opened)
where
    C: AsyncRead + AsyncWrite + Unpin,
{
    let Some(mut tunnel) = Tunnel::new(core, client, opened) else { return };
    let mut closing = pin!(core.shared.drain.reached(Phase::Closing));
    let end = poll_fn(|context| tunnel.poll(context, closing.as_mut())).await;
    tunnel.part(end).await;
    tunnel.finish(end);
}

struct Tunnel<C> {
    client: C,
    stream: Stream,
    /// From the client to the destination.
    up: Way,
    /// From the destination to the client.
    down: Way,
    /// The client has said its last word.
    client_ended: bool,
    exchange: Box<Exchange>,
    lead: Rc<Lead>,
    limits: Limits,
    moved: Instant,
    alarm: Alarm,
}

/// How long it may last.
struct Limits {
    idle: Duration,
    grace: Duration,
    end: Instant,
}

impl<C: AsyncRead + AsyncWrite + Unpin> Tunnel<C> {
    fn new(core: &Core, client: C, opened: Opened) -> Option<Self> {
        let Opened { stream, came, early, exchange } = opened;
        let record = &exchange.record;
        let (route, destination) = (record.route.as_ref()?, record.tunnel.as_ref()?);
        let late = core.snapshot().is_none_or(|live| live.header.generation != record.generation);
        let lead = core.tunnels.open(&route.id, destination, late);
        let now = Instant::now();
        let limits = Limits {
            idle: route.websocket.unwrap_or_default(),
            grace: core.shared.tunnel_grace,
            end: now + core.shared.tunnel_lifetime,
        };
        let (up, down) = (Way::new(early), Way::new(came));
        let alarm = Alarm::default();
        Some(Self { client, stream, up, down, client_ended: false, exchange, lead, limits, moved: now, alarm })
    }

    fn poll(&mut self, context: &mut Context<'_>, closing: Pin<&mut impl Future<Output = ()>>) -> Poll<End> {
        let before = (self.up.passed, self.down.passed);
        let end = self.poll_up(context).or_else(|| self.poll_down(context));
        self.count(before);
        // Behind its goodbye a client has no more to say, but some leave it to the other side to hang up.
        let done = self.down.is_over() && (self.up.is_over() || self.up.has_said_goodbye());
        if let Some(end) = end.or(done.then_some(End::Done)) {
            return Poll::Ready(end);
        }
        if closing.poll(context).is_ready() {
            return Poll::Ready(End::Draining);
        }
        let half = self.up.is_over() || self.down.is_over();
        let patience = if half { self.limits.idle.min(HALF_CLOSED) } else { self.limits.idle };
        let mut due = (self.moved + patience, End::Idle);
        let gone = self.lead.poll_gone(context).map(|since| since + self.limits.grace);
        for other in [Some((self.limits.end, End::Lifetime)), gone.map(|at| (at, End::Unrouted))].into_iter().flatten()
        {
            due = if other.0 < due.0 { other } else { due };
        }
        self.alarm.poll(due.0, context).map(|()| due.1)
    }

    fn count(&mut self, (up, down): (u64, u64)) {
        let (up, down) = (self.up.passed - up, self.down.passed - down);
        if up + down > 0 {
            self.moved = Instant::now();
            let bytes_in = self.exchange.bytes_in();
            bytes_in.set(bytes_in.get() + up);
            self.exchange.answer_bytes(down);
        }
    }

    fn poll_up(&mut self, context: &mut Context<'_>) -> Option<End> {
        match self.up.poll(context, &mut self.client, &mut self.stream) {
            Poll::Pending => None,
            Poll::Ready(Ok(())) => {
                self.client_ended = true;
                let _ = Pin::new(&mut self.stream).poll_shutdown(context);
                None
            }
            Poll::Ready(Err(Broken::From)) => Some(End::Client),
            // It takes no more, but what it said before may still be on its way.
            Poll::Ready(Err(Broken::To)) => None,
        }
    }

    fn poll_down(&mut self, context: &mut Context<'_>) -> Option<End> {
        match self.down.poll(context, &mut self.stream, &mut self.client) {
            Poll::Pending => None,
            Poll::Ready(Err(Broken::To)) => Some(End::Client),
            Poll::Ready(_) if self.client_ended || self.down.has_said_goodbye() => {
                let _ = Pin::new(&mut self.client).poll_shutdown(context);
                None
            }
            Poll::Ready(_) => Some(End::Destination),
        }
    }

    /// Says goodbye to whoever is still there, each where a frame ends, and hears them out for a moment: closing with
    /// unread bytes would take the goodbye away from under them.
    async fn part(&mut self, end: End) {
        let (to_client, to_destination) = match end {
            End::Done | End::Client => return,
            End::Destination => (Goodbye::Lost, None),
            End::Idle | End::Lifetime => (Goodbye::GoingAway, Some(Goodbye::GoingAway)),
            End::Unrouted | End::Draining => (Goodbye::Restart, Some(Goodbye::GoingAway)),
        };
        let mask = fastrand::u32(..).to_be_bytes();
        let Self { client, stream, up, down, .. } = self;
        let mut to_client = Parting::new(&to_client.to_client());
        let mut to_destination = to_destination.map(|goodbye| Parting::new(&goodbye.to_server(mask)));
        let said = poll_fn(|context| {
            let one = down.poll_part(context, &mut to_client, stream, client);
            let other = to_destination.as_mut().map(|parting| up.poll_part(context, parting, client, stream));
            if one.is_ready() && other.is_none_or(|other| other.is_ready()) { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = timeout(PARTING, said).await;
        let (mut space, listens) = (Buffer::small(), to_destination.is_some());
        let heard = poll_fn(|context| {
            let one = poll_silence(context, client, &mut space);
            let other = if listens { poll_silence(context, stream, &mut space) } else { Poll::Ready(()) };
            if one.is_ready() && other.is_ready() { Poll::Ready(()) } else { Poll::Pending }
        });
        let _ = timeout(PARTING, heard).await;
    }

    fn finish(mut self, end: End) {
        let detail = match end {
            End::Done => "",
            // As with any exchange that is dropped before its end.
            End::Client => return,
            End::Destination => {
                self.exchange.record.detail = "the tunnel's destination went without a goodbye".into();
                return self.exchange.answer_failed(Reason::DestinationReset);
            }
            End::Idle => "the tunnel was silent for too long",
            End::Lifetime => "the tunnel lasted as long as any may",
            End::Unrouted => "the tunnel's route is gone or leads elsewhere",
            End::Draining => "the router ended the tunnel to end itself",
        };
        self.exchange.record.detail = detail.into();
        self.exchange.answer_complete(0);
    }
}
