//! The tunnels that are open on one core, so that a reload finds those which lead where nothing leads any more.
//!
//! A tunnel outlives the generation that it was opened under; what it leans on is told here by its names alone. Must
//! never know what goes through a tunnel, or how one is closed.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Waker};

use tokio::time::Instant;

use crate::snapshot::{RoutePlan, Snapshot};

/// The open ones. Looked at when a new generation is served, never on the way of bytes.
#[derive(Default)]
pub(crate) struct Tunnels {
    open: RefCell<Vec<Weak<Lead>>>,
    /// One was opened under another generation than the one that is served.
    late: Cell<bool>,
}

/// What one tunnel leans on.
pub(crate) struct Lead {
    route: Arc<str>,
    destination: Arc<str>,
    /// Since when it leans on nothing.
    gone: Cell<Option<Instant>>,
    waker: RefCell<Option<Waker>>,
}

impl Tunnels {
    /// Notes a tunnel, for as long as the lead is held. `late` when its generation is not the one served now.
    pub(crate) fn open(&self, route: &Arc<str>, destination: &Arc<str>, late: bool) -> Rc<Lead> {
        let lead = Rc::new(Lead {
            route: Arc::clone(route),
            destination: Arc::clone(destination),
            gone: Cell::new(None),
            waker: RefCell::default(),
        });
        self.open.borrow_mut().push(Rc::downgrade(&lead));
        self.late.set(self.late.get() || late);
        lead
    }

    /// How many there are; forgets those that ended.
    pub(crate) fn count(&self) -> usize {
        let mut open = self.open.borrow_mut();
        open.retain(|lead| lead.strong_count() > 0);
        open.len()
    }

    /// Whether one came too late for the last review.
    pub(crate) fn is_late(&self) -> bool {
        self.late.get()
    }

    /// Tells each tunnel whether its route still is there, lets WebSockets be opened, and leads to the same
    /// destination.
    pub(crate) fn review(&self, snapshot: &Snapshot, now: Instant) {
        self.late.set(false);
        if self.count() == 0 {
            return;
        }
        let routes = snapshot.table.routes();
        let routes: HashMap<&str, &RoutePlan> = routes.iter().map(|route| (&*route.id, &**route)).collect();
        for lead in self.open.borrow().iter().filter_map(Weak::upgrade) {
            let leads = routes.get(&*lead.route).is_some_and(|route| lead.stands_on(route));
            lead.note(leads, now);
        }
    }
}

impl Lead {
    fn stands_on(&self, route: &RoutePlan) -> bool {
        let leads = |key: &Arc<str>| **key == *self.destination;
        route.websocket.is_some() && route.targets.iter().any(|target| leads(target.destination.key()))
    }

    /// A route that comes back before the grace is over is there as if it had never gone.
    fn note(&self, leads: bool, now: Instant) {
        match (leads, self.gone.get()) {
            (true, _) => self.gone.set(None),
            (false, Some(_)) => {}
            (false, None) => {
                self.gone.set(Some(now));
                if let Some(waker) = self.waker.take() {
                    waker.wake();
                }
            }
        }
    }

    /// Since when it leans on nothing; wakes whoever asked when that changes.
    pub(crate) fn poll_gone(&self, context: &Context<'_>) -> Option<Instant> {
        let mut waker = self.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
            *waker = Some(context.waker().clone());
        }
        self.gone.get()
    }
}
