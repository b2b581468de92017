//! The one pointer to the snapshot in use, and what is known of the files that came and did not go live.
//!
//! Must never know where snapshots come from.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwapOption;

use super::Snapshot;

/// Shared by every core; a core reads it through an [`arc_swap::Cache`] of its own.
#[derive(Default)]
pub(crate) struct Store {
    live: Arc<ArcSwapOption<Snapshot>>,
    /// Raised with every swap, so that a core can tell that something changed without touching the pointer.
    swaps: AtomicU64,
    status: Mutex<Status>,
}

/// What became of the files; for `/snapshot`, `/readyz` and metrics, never asked by a request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Status {
    /// Loads that went live.
    pub(crate) loads: u64,
    /// Loads that did not, by reason.
    pub(crate) failures: std::collections::BTreeMap<&'static str, u64>,
    /// Why the file that lies there now is not the one that is served.
    pub(crate) rejected: Option<Rejected>,
    /// How long the last good load took, in seconds: reading and checking, then compiling.
    pub(crate) read_seconds: f64,
    pub(crate) compile_seconds: f64,
}

/// A file that did not go live.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Rejected {
    /// A word of a closed list.
    pub(crate) reason: &'static str,
    /// For a person.
    pub(crate) message: String,
    /// Since when, in seconds after 1970.
    pub(crate) since: i64,
}

/// A core's own view of the pointer: half a nanosecond to read.
pub(crate) type View = arc_swap::Cache<Arc<ArcSwapOption<Snapshot>>, Option<Arc<Snapshot>>>;

impl Store {
    /// The snapshot in use.
    pub(crate) fn live(&self) -> Option<Arc<Snapshot>> {
        self.live.load_full()
    }

    /// A view for one core.
    pub(crate) fn view(&self) -> View {
        arc_swap::Cache::new(Arc::clone(&self.live))
    }

    /// How often the pointer was swapped.
    pub(crate) fn swaps(&self) -> u64 {
        self.swaps.load(Ordering::Acquire)
    }

    /// Puts a snapshot into use. Requests that are under way end with theirs.
    pub(crate) fn publish(&self, snapshot: Arc<Snapshot>, read_seconds: f64, compile_seconds: f64) {
        // Before the swap: whoever sees the new generation shall not be told that a file before it was refused.
        let mut status = self.status();
        self.live.store(Some(snapshot));
        self.swaps.fetch_add(1, Ordering::Release);
        status.loads += 1;
        status.rejected = None;
        (status.read_seconds, status.compile_seconds) = (read_seconds, compile_seconds);
    }

    /// Notes that a file did not go live; what is served stays.
    pub(crate) fn reject(&self, reason: &'static str, message: String, now: i64) {
        let mut status = self.status();
        *status.failures.entry(reason).or_default() += 1;
        let since = match &status.rejected {
            Some(before) if before.reason == reason && before.message == message => before.since,
            _ => now,
        };
        status.rejected = Some(Rejected { reason, message, since });
    }

    /// Notes that the file that lies there is the one that is served.
    pub(crate) fn settled(&self) {
        self.status().rejected = None;
    }

    /// What became of the files.
    pub(crate) fn status(&self) -> MutexGuard<'_, Status> {
        // Nothing that holds the lock can leave the status half written.
        self.status.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
