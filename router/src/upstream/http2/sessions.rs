//! Sessions: connections to destinations over which many exchanges run at once.
//!
//! Owns them per destination: how many streams one carries, when the next is dialled, when one is old, idle, in
//! doubt or of no use. Assumes that two destinations that must not share connections have different keys. Must never
//! know requests.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use bytes::Bytes;
use h2::client::{Builder, Connection, SendRequest};
use h2::{Ping, PingPong};
use socket2::{SockRef, TcpKeepalive};
use tokio::sync::Notify;
use tokio::time::{Instant, interval, timeout, timeout_at};

use super::super::connect::Stream;
use super::super::connections::Presence;
use super::super::credit::Credit;
use super::super::limits;
use super::rejection;
use crate::reject::{Reason, Rejection};
use crate::snapshot::Destination;

/// The sessions of one core.
#[derive(Default)]
pub(in crate::upstream) struct Sessions {
    places: RefCell<HashMap<Arc<str>, Rc<Place>>>,
    reaped: Cell<bool>,
}

/// What there is of one destination.
#[derive(Default)]
pub(in crate::upstream) struct Place {
    sessions: RefCell<Vec<Rc<Session>>>,
    /// The dial under way: one at a time, for what one session carries need not be dialled for each.
    dial: RefCell<Option<Rc<Dial>>>,
    /// Told when a stream ends.
    room: Notify,
    /// Until when it is believed that the destination agrees on HTTP/1.1 alone.
    http1_until: Cell<Option<Instant>>,
    credit: Credit,
}

/// One connection.
struct Session {
    sender: SendRequest<Bytes>,
    peer: IpAddr,
    too_old_at: Instant,
    open: Cell<usize>,
    idle_since: Cell<Instant>,
    /// Nothing new is begun on it.
    over: Cell<bool>,
    /// A stream waited in vain: nothing new is begun before the destination has answered a ping.
    doubted: Cell<bool>,
    doubts: Rc<Notify>,
    /// Gone with the connection, which may be before the session is looked at again.
    presence: Weak<Presence>,
}

/// What became of a dial, for those who wait for it.
#[derive(Default)]
struct Dial {
    failure: RefCell<Option<(Reason, String)>>,
    ended: Notify,
    over: Cell<bool>,
}

/// The place of one stream on a session, given back when dropped.
pub(in crate::upstream) struct Slot {
    session: Rc<Session>,
    place: Rc<Place>,
    /// Whether the session had carried something before.
    pub(in crate::upstream) reused: bool,
}

/// What a request finds.
pub(in crate::upstream) enum Look {
    /// A place on a session.
    Slot(Slot),
    /// Nothing; it is up to the finder to dial.
    Dial(Dialling),
    /// The destination spoke HTTP/1.1 when it was last asked.
    Http1,
}

/// The duty to dial; those who wait go on when it is dropped.
pub(in crate::upstream) struct Dialling {
    place: Rc<Place>,
    dial: Rc<Dial>,
}

impl Sessions {
    /// The place of a destination.
    pub(in crate::upstream) fn place(&self, destination: &Destination) -> Rc<Place> {
        let mut places = self.places.borrow_mut();
        match places.get(destination.key()) {
            Some(known) => Rc::clone(known),
            None => Rc::clone(places.entry(Arc::clone(destination.key())).or_default()),
        }
    }

    /// Lets go of what belongs to no destination in `served`; streams in use come to their end.
    pub(in crate::upstream) fn retain(&self, served: &HashSet<Arc<str>>) {
        self.places.borrow_mut().retain(|key, _| served.contains(key));
    }

    /// How many sessions carry nothing.
    pub(in crate::upstream) fn idle(&self) -> usize {
        let places = self.places.borrow();
        places.values().map(|place| place.sessions.borrow().iter().filter(|one| one.open.get() == 0).count()).sum()
    }

    /// One task per core looks through them now and then.
    pub(in crate::upstream) fn reap_from_now_on(self: &Rc<Self>) {
        if self.reaped.replace(true) {
            return;
        }
        let sessions = Rc::downgrade(self);
        tokio::task::spawn_local(async move {
            let mut turns = interval(limits::REAP_EVERY);
            loop {
                turns.tick().await;
                let Some(sessions) = sessions.upgrade() else { return };
                sessions.places.borrow().values().for_each(|place| place.prune(Instant::now()));
            }
        });
    }
}

impl Place {
    /// A place on a session, or what to do for one; waits while somebody else dials, or while every session is full.
    pub(in crate::upstream) async fn look(
        self: &Rc<Self>,
        destination: &Destination,
        deadline: Instant,
    ) -> Result<Look, Rejection> {
        loop {
            let now = Instant::now();
            if let Some(slot) = self.take(destination, now) {
                return Ok(Look::Slot(slot));
            }
            if self.http1_until.get().is_some_and(|until| now < until) {
                return Ok(Look::Http1);
            }
            let dial = self.dial.borrow().clone();
            let late = match dial {
                Some(dial) => {
                    if timeout_at(deadline, dial.until_over()).await.is_ok() {
                        dial.check()?;
                        continue;
                    }
                    (Reason::DestinationConnectTimeout, "no session in time")
                }
                None if self.sessions.borrow().len() < limits::SESSIONS => {
                    let dial = Rc::new(Dial::default());
                    self.dial.replace(Some(Rc::clone(&dial)));
                    return Ok(Look::Dial(Dialling { place: Rc::clone(self), dial }));
                }
                None => {
                    if timeout_at(deadline, self.room.notified()).await.is_ok() {
                        continue;
                    }
                    (Reason::Overloaded, "every session with the destination is full")
                }
            };
            return Err(Rejection::new(late.0, late.1));
        }
    }

    /// A place on a session that lives and that this destination may still use.
    fn take(self: &Rc<Self>, destination: &Destination, now: Instant) -> Option<Slot> {
        self.prune(now);
        let sessions = self.sessions.borrow();
        // The key should say as much; the address is asked about again because this is where it counts.
        let fit = |session: &Session| session.has_room() && destination.permits(session.peer).is_ok();
        let session = sessions.iter().find(|session| fit(session))?;
        Some(self.slot(session, true))
    }

    fn slot(self: &Rc<Self>, session: &Rc<Session>, reused: bool) -> Slot {
        session.open.set(session.open.get() + 1);
        session.tell_presence();
        Slot { session: Rc::clone(session), place: Rc::clone(self), reused }
    }

    /// Lets go of sessions that carry nothing new any more; their streams come to their end.
    fn prune(&self, now: Instant) {
        self.sessions.borrow_mut().retain(|session| session.is_of_use(now));
    }
}

impl Dial {
    async fn until_over(&self) {
        while !self.over.get() {
            self.ended.notified().await;
        }
    }

    /// Whoever waited fails as the one who dialled did: dialling once more for each would take as long again. But
    /// how long to wait is everyone's own.
    fn check(&self) -> Result<(), Rejection> {
        match &*self.failure.borrow() {
            None | Some((Reason::DestinationConnectTimeout | Reason::TotalTimeout, _)) => Ok(()),
            Some((reason, detail)) => Err(Rejection::new(*reason, detail.clone())),
        }
    }
}

impl Dialling {
    /// Makes a session of a stream, with a place on it.
    pub(in crate::upstream) async fn succeed(self, stream: Stream, deadline: Instant) -> Result<Slot, Rejection> {
        self.place.http1_until.set(None);
        let session = match timeout_at(deadline, Session::open(stream)).await {
            Ok(opened) => opened,
            Err(_) => Err(Rejection::new(Reason::DestinationConnectTimeout, "no answer in time: HTTP/2")),
        };
        match session {
            Ok(session) => {
                self.place.sessions.borrow_mut().push(Rc::clone(&session));
                Ok(self.place.slot(&session, false))
            }
            Err(rejection) => {
                self.fail(&rejection);
                Err(rejection)
            }
        }
    }

    /// Tells those who wait why there is none.
    pub(in crate::upstream) fn fail(&self, rejection: &Rejection) {
        self.dial.failure.replace(Some((rejection.reason, rejection.detail.to_string())));
    }

    /// The destination agreed on HTTP/1.1: for a while it is not asked again.
    pub(in crate::upstream) fn spoke_http1(&self) {
        self.place.http1_until.set(Some(Instant::now() + limits::HTTP1_FOR));
    }
}

impl Drop for Dialling {
    fn drop(&mut self) {
        self.dial.over.set(true);
        self.place.dial.replace(None);
        self.dial.ended.notify_waiters();
    }
}

impl Slot {
    /// What sends a request over the session.
    pub(super) fn sender(&self) -> SendRequest<Bytes> {
        self.session.sender.clone()
    }

    /// How many requests to this destination may be sent once more.
    pub(super) fn credit(&self) -> &Credit {
        &self.place.credit
    }

    /// The session takes nothing new.
    pub(super) fn give_up(&self) {
        self.session.over.set(true);
    }

    /// A stream waited in vain: it may be the stream's fault alone, or nobody is there any more.
    pub(super) fn doubt(&self) {
        if !self.session.doubted.replace(true) {
            self.session.doubts.notify_one();
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.session.open.set(self.session.open.get() - 1);
        self.session.idle_since.set(Instant::now());
        self.session.tell_presence();
        self.place.room.notify_waiters();
    }
}

impl Session {
    async fn open(stream: Stream) -> Result<Rc<Self>, Rejection> {
        let (peer, presence) = (stream.peer(), Rc::downgrade(stream.presence()));
        // A peer that vanished without a word takes many exchanges with it, so it is noticed sooner than elsewhere.
        let keepalive = TcpKeepalive::new().with_time(limits::SESSION_SILENCE).with_interval(limits::SESSION_PROBE);
        let socket = SockRef::from(stream.tcp());
        // Without them it is noticed later.
        let _ = socket.set_tcp_keepalive(&keepalive.with_retries(2));
        let _ = socket.set_tcp_user_timeout(Some(limits::SESSION_SILENCE + limits::SESSION_PROBE * 2));
        let mut http = Builder::new();
        http.initial_window_size(limits::WINDOW)
            .initial_connection_window_size(limits::SESSION_WINDOW)
            .max_header_list_size(limits::HEADER_LIST)
            .header_table_size(limits::HEADER_TABLE)
            .max_send_buffer_size(limits::SEND_BUFFER)
            .initial_max_send_streams(limits::STREAMS)
            .max_concurrent_streams(0)
            .enable_push(false);
        let (sender, mut connection) = http.handshake::<_, Bytes>(stream).await.map_err(|error| rejection(&error))?;
        let pings = connection.ping_pong();
        // Give or take a tenth, so that sessions made together do not go together.
        let age = limits::AGE.mul_f64(0.9 + 0.2 * fastrand::f64());
        let now = Instant::now();
        let session = Rc::new(Self {
            sender,
            peer,
            too_old_at: now + age,
            open: Cell::new(0),
            idle_since: Cell::new(now),
            over: Cell::new(false),
            doubted: Cell::new(false),
            doubts: Rc::default(),
            presence,
        });
        let doubts = Rc::clone(&session.doubts);
        tokio::task::spawn_local(drive(connection, pings, doubts, Rc::downgrade(&session)));
        Ok(session)
    }

    /// Whether it carries something is counted.
    fn tell_presence(&self) {
        if let Some(presence) = self.presence.upgrade() {
            presence.carries(self.open.get());
        }
    }

    fn has_room(&self) -> bool {
        !self.doubted.get() && self.open.get() < limits::STREAMS.min(self.sender.current_max_send_streams())
    }

    fn is_of_use(&self, now: Instant) -> bool {
        let idle = self.open.get() == 0 && now.duration_since(self.idle_since.get()) >= limits::IDLE_FOR;
        !self.over.get() && !idle && now < self.too_old_at
    }
}

/// Moves a session's bytes until it ends: by itself when nobody holds it any more, or because nobody answers.
async fn drive(
    connection: Connection<Stream, Bytes>,
    mut pings: Option<PingPong>,
    doubts: Rc<Notify>,
    session: Weak<Session>,
) {
    let mut connection = std::pin::pin!(connection);
    loop {
        tokio::select! {
            // However it ended, its streams have heard.
            _ = &mut connection => break,
            answered = settle(&mut pings, &doubts) => match (answered, session.upgrade()) {
                (true, Some(session)) => session.doubted.set(false),
                (true, None) => {}
                (false, _) => break,
            },
        }
    }
    if let Some(session) = session.upgrade() {
        session.over.set(true);
    }
}

/// Waits until the session is in doubt, then asks. Servers count pings that come without a cause, so there are no
/// others; TCP notices by itself who vanished.
async fn settle(pings: &mut Option<PingPong>, doubts: &Notify) -> bool {
    doubts.notified().await;
    let Some(pings) = pings else { return false };
    timeout(limits::PONG, pings.ping(Ping::opaque())).await.is_ok_and(|pong| pong.is_ok())
}
