//! Connections that wait for their next request.
//!
//! Owns them per destination, the youngest use first, bounded in number, idleness and age. Assumes that two
//! destinations that must not share connections have different keys. Must never know requests.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet, VecDeque};
use std::rc::{Rc, Weak};
use std::sync::Arc;

use http::StatusCode;
use tokio::time::{Instant, interval};

use super::credit::Credit;
use super::http1::Connection;
use super::limits;
use crate::snapshot::Destination;

/// The idle connections of one core.
#[derive(Default)]
pub(super) struct Pool {
    idle: RefCell<HashMap<Arc<str>, Kept, foldhash::fast::RandomState>>,
    count: Cell<usize>,
    reaped: Cell<bool>,
    /// What is served, and how often that changed.
    served: RefCell<HashSet<Arc<str>>>,
    changes: Cell<u64>,
}

/// A place to give a connection back to.
pub(super) struct Place {
    pool: Rc<Pool>,
    key: Arc<str>,
    changes: u64,
}

/// Those to one destination.
#[derive(Default)]
struct Kept {
    idle: VecDeque<Idle>,
    credit: Credit,
}

struct Idle {
    connection: Box<Connection>,
    since: Instant,
}

impl Pool {
    /// The connection used last, if one lives that this destination may still use.
    /// With `surely` it is asked of the system, not only of the runtime, whether it lives.
    pub(super) fn take(&self, destination: &Destination, surely: bool, now: Instant) -> Option<Box<Connection>> {
        let mut idle = self.idle.borrow_mut();
        let kept = idle.get_mut(destination.key())?;
        while let Some(Idle { mut connection, since }) = kept.idle.pop_back() {
            self.count.set(self.count.get() - 1);
            // The key should say as much; the address is asked about again because this is where it counts.
            let permitted = destination.permits(connection.peer()).is_ok();
            if permitted && is_young(&connection, since, now) && connection.is_fit(surely) {
                connection.stream.presence().set_idle(false);
                kept.credit.earn();
                return Some(connection);
            }
        }
        None
    }

    /// Whether a request that was lost on one of them may be sent again, as far as that is a matter of how many are.
    pub(super) fn may_repeat(&self, destination: &Destination) -> bool {
        self.idle.borrow_mut().entry(Arc::clone(destination.key())).or_default().credit.spend()
    }

    /// What was sent again was answered with this status.
    pub(super) fn repeated(&self, destination: &Destination, status: StatusCode) {
        self.idle.borrow().get(destination.key()).iter().for_each(|kept| kept.credit.answered(status));
    }

    /// Where a connection to `destination` goes when its exchange is over.
    pub(super) fn place(self: &Rc<Self>, destination: &Destination) -> Place {
        Place { pool: Rc::clone(self), key: Arc::clone(destination.key()), changes: self.changes.get() }
    }

    /// Drops what belongs to no destination in `served`; what is in use goes when it comes back.
    pub(super) fn retain(&self, served: &HashSet<Arc<str>>) {
        self.idle.borrow_mut().retain(|key, _| served.contains(key));
        self.recount();
        self.served.borrow_mut().clone_from(served);
        self.changes.set(self.changes.get() + 1);
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.count.get()
    }

    fn recount(&self) {
        self.count.set(self.idle.borrow().values().map(|kept| kept.idle.len()).sum());
    }

    /// What is taken last-in-first-out leaves the rest lying: one task per core looks through it now and then.
    fn reap_from_now_on(self: &Rc<Self>) {
        if self.reaped.replace(true) {
            return;
        }
        let pool = Rc::downgrade(self);
        tokio::task::spawn_local(reap(pool));
    }

    /// Drops what is of no use any more.
    pub(super) fn reap(&self, now: Instant) {
        self.idle.borrow_mut().retain(|_, kept| {
            kept.idle.retain_mut(|idle| is_young(&idle.connection, idle.since, now) && idle.connection.is_fit(false));
            // A destination that fails has none idle; how often it was asked again is not forgotten for that.
            !kept.idle.is_empty() || !kept.credit.is_whole()
        });
        self.recount();
    }
}

impl Place {
    /// Keeps a connection whose exchange is over, or drops it: when it is old, when there are enough, or when
    /// its destination has gone since.
    pub(super) fn keep(self, connection: Box<Connection>) {
        let Self { pool, key, changes } = self;
        let now = Instant::now();
        let served = changes == pool.changes.get() || pool.served.borrow().contains(&key);
        if !served || pool.count.get() >= limits::IDLE || !is_young(&connection, now, now) {
            return;
        }
        pool.reap_from_now_on();
        let mut idle = pool.idle.borrow_mut();
        let kept = match idle.get_mut(&key) {
            Some(kept) => kept,
            None => idle.entry(key).or_default(),
        };
        if kept.idle.len() >= limits::IDLE_PER_DESTINATION {
            kept.idle.pop_front();
            pool.count.set(pool.count.get() - 1);
        }
        connection.stream.presence().set_idle(true);
        kept.idle.push_back(Idle { connection, since: now });
        pool.count.set(pool.count.get() + 1);
    }
}

async fn reap(pool: Weak<Pool>) {
    let mut turns = interval(limits::REAP_EVERY);
    loop {
        turns.tick().await;
        let Some(pool) = pool.upgrade() else { return };
        pool.reap(Instant::now());
    }
}

fn is_young(connection: &Connection, since: Instant, now: Instant) -> bool {
    now.duration_since(since) < limits::IDLE_FOR && now < connection.too_old_at()
}
