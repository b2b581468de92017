//! How many connections with each destination are open, how many of them carry nothing, and how many streams those of
//! HTTP/2 carry.
//!
//! One core writes, anybody may read. Assumes that destinations are told apart by the boundary's names for them. Must
//! never know addresses or requests.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The connections of one core with one destination.
pub(crate) struct Connections {
    name: Arc<str>,
    open: AtomicU64,
    idle: AtomicU64,
    sessions: AtomicU64,
    streams: AtomicU64,
}

impl Connections {
    fn with(name: Arc<str>) -> Self {
        Self { name, open: 0.into(), idle: 0.into(), sessions: 0.into(), streams: 0.into() }
    }

    /// The boundary's name for the destination.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// All of them.
    pub(crate) fn open(&self) -> u64 {
        self.open.load(Ordering::Relaxed)
    }

    /// Those that carry nothing.
    pub(crate) fn idle(&self) -> u64 {
        self.idle.load(Ordering::Relaxed)
    }

    /// Those that speak HTTP/2.
    pub(crate) fn sessions(&self) -> u64 {
        self.sessions.load(Ordering::Relaxed)
    }

    /// What these carry.
    pub(crate) fn streams(&self) -> u64 {
        self.streams.load(Ordering::Relaxed)
    }
}

/// Adds to a number that nobody else writes.
fn add(cell: &AtomicU64, amount: i64) {
    cell.store(cell.load(Ordering::Relaxed).wrapping_add_signed(amount), Ordering::Relaxed);
}

/// The connections of one core.
#[derive(Default)]
pub(super) struct Census {
    known: RefCell<HashMap<Arc<str>, Arc<Connections>>>,
    newly_met: RefCell<Vec<Arc<Connections>>>,
}

impl Census {
    /// A connection was opened.
    pub(super) fn opened(&self, name: &Arc<str>) -> Rc<Presence> {
        let mut known = self.known.borrow_mut();
        let counted = known.entry(Arc::clone(name)).or_insert_with(|| {
            let fresh = Arc::new(Connections::with(Arc::clone(name)));
            self.newly_met.borrow_mut().push(Arc::clone(&fresh));
            fresh
        });
        add(&counted.open, 1);
        Rc::new(Presence { counted: Arc::clone(counted), idle: Cell::new(false), streams: Cell::new(None) })
    }

    /// Those that were not told of before.
    pub(super) fn newly_met(&self) -> Vec<Arc<Connections>> {
        self.newly_met.take()
    }

    /// Lets go of all but these.
    pub(super) fn retain(&self, served: &HashSet<&str>) {
        self.known.borrow_mut().retain(|name, _| served.contains(&**name));
    }
}

/// That a connection is there; it is counted for as long.
pub(super) struct Presence {
    counted: Arc<Connections>,
    idle: Cell<bool>,
    /// How many streams it carries, where it is a session.
    streams: Cell<Option<usize>>,
}

impl Presence {
    /// It carries something, or nothing.
    pub(super) fn set_idle(&self, idle: bool) {
        if self.idle.replace(idle) != idle {
            add(&self.counted.idle, if idle { 1 } else { -1 });
        }
    }

    /// It is a session that carries so many streams, and is idle when there is none.
    pub(super) fn carries(&self, streams: usize) {
        self.set_idle(streams == 0);
        self.set_streams(Some(streams));
    }

    fn set_streams(&self, streams: Option<usize>) {
        let count = |streams: Option<usize>| streams.and_then(|count| i64::try_from(count).ok()).unwrap_or_default();
        let before = self.streams.replace(streams);
        add(&self.counted.sessions, i64::from(streams.is_some()) - i64::from(before.is_some()));
        add(&self.counted.streams, count(streams) - count(before));
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.set_idle(false);
        self.set_streams(None);
        add(&self.counted.open, -1);
    }
}
