//! All breakers there are: one for each destination and policy, for as long as a snapshot leads there.
//!
//! So a breaker outlives generations that leave both as they were. Locked while a snapshot is compiled and while figures are
//! told, never on a request's way.

use std::collections::{BTreeMap, HashMap};
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Instant;

use postern_config::document::{self, Mode};

use super::{Breaker, State};

/// All breakers of one router.
pub(crate) struct Breakers {
    cores: usize,
    start: Instant,
    known: Mutex<Index>,
}

/// What there is, weakly: whoever leads there holds it.
#[derive(Default)]
struct Index {
    breakers: HashMap<Box<str>, Weak<Breaker>>,
    /// How often those of a destination opened. A policy that was changed goes on with it.
    opened: HashMap<(Arc<str>, Mode), Weak<AtomicU64>>,
    /// With how many entries it is looked through for what is gone.
    full: usize,
}

/// What there is to tell of the breakers of one destination that have one mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Known {
    /// 0 when all are closed, 1 when one is half-open, 2 when one is open.
    pub(crate) state: u64,
    /// How often they opened.
    pub(crate) opened: u64,
}

impl Default for Breakers {
    /// Those of a command, which sends nothing.
    fn default() -> Self {
        Self::new(1, Instant::now())
    }
}

impl Breakers {
    /// Without any breaker, for so many cores.
    pub(crate) fn new(cores: usize, start: Instant) -> Self {
        Self { cores, start, known: Mutex::default() }
    }

    /// The breaker of the destination with that key and that name; none where the policy is off.
    pub(crate) fn breaker(&self, key: &str, name: &Arc<str>, policy: &document::Breaker) -> Option<Arc<Breaker>> {
        // Without `..`, so that a new field cannot be forgotten in the key.
        let document::Breaker { failures: _, ratio: _, within: _, opens_for: _, mode } = policy;
        if *mode == Mode::Off {
            return None;
        }
        let (failures, ratio) = (policy.failures(), policy.ratio());
        let asked = format!("{failures} {ratio} {} {} {mode:?}", policy.within(), policy.opens_for());
        let key = format!("{name} {asked} {key}").into_boxed_str();
        let mut index = self.index();
        if let Some(breaker) = index.breakers.get(&key).and_then(Weak::upgrade) {
            return Some(breaker);
        }
        index.sweep();
        let opened = index.opened(name, *mode);
        let breaker = Arc::new(Breaker::new(Arc::clone(name), policy, self.cores, self.start, opened));
        index.breakers.insert(key, Arc::downgrade(&breaker));
        Some(breaker)
    }

    /// What there is to tell, by destination and mode.
    pub(crate) fn told(&self, now: Instant) -> BTreeMap<(Arc<str>, Mode), Known> {
        let mut told = BTreeMap::new();
        for breaker in self.index().breakers.values().filter_map(Weak::upgrade) {
            let state = match breaker.state(now) {
                State::Closed => 0,
                State::HalfOpen | State::Trying => 1,
                State::Open(_) => 2,
            };
            let opened = breaker.opened.load(Relaxed);
            let known = told.entry((Arc::clone(&breaker.destination), breaker.mode)).or_insert(Known { state, opened });
            known.state = known.state.max(state);
        }
        told
    }

    /// How many entries there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index().breakers.len()
    }

    fn index(&self) -> MutexGuard<'_, Index> {
        // Nothing that holds the lock can leave it half written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Index {
    fn opened(&mut self, name: &Arc<str>, mode: Mode) -> Arc<AtomicU64> {
        let known = self.opened.entry((Arc::clone(name), mode)).or_default();
        known.upgrade().unwrap_or_else(|| {
            let fresh = Arc::default();
            *known = Arc::downgrade(&fresh);
            fresh
        })
    }

    /// Lets go of what is gone, whenever there may be twice as much as there was.
    fn sweep(&mut self) {
        if self.breakers.len() < self.full {
            return;
        }
        self.breakers.retain(|_, breaker| breaker.strong_count() > 0);
        self.opened.retain(|_, opened| opened.strong_count() > 0);
        self.full = (self.breakers.len() * 2).max(64);
    }
}
