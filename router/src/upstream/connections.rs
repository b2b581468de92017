//! How many connections with each destination are open, and how many of them carry nothing.
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
}

impl Connections {
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
            let fresh = Arc::new(Connections { name: Arc::clone(name), open: 0.into(), idle: 0.into() });
            self.newly_met.borrow_mut().push(Arc::clone(&fresh));
            fresh
        });
        add(&counted.open, 1);
        Rc::new(Presence { counted: Arc::clone(counted), idle: Cell::new(false) })
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
}

impl Presence {
    /// It carries something, or nothing.
    pub(super) fn set_idle(&self, idle: bool) {
        if self.idle.replace(idle) != idle {
            add(&self.counted.idle, if idle { 1 } else { -1 });
        }
    }
}

impl Drop for Presence {
    fn drop(&mut self) {
        self.set_idle(false);
        add(&self.counted.open, -1);
    }
}
