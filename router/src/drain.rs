//! How the router ends: signal → lame duck → stop accepting → wait → deadline.
//!
//! Must never know HTTP.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::watch;

/// Where the router stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Phase {
    /// Taking requests.
    Serving,
    /// Still taking them, while load balancers learn that it will not for long. Answers close connections.
    LameDuck,
    /// Taking no new connections; what is open ends.
    Closing,
    /// Ending what has not ended by itself.
    Over,
}

/// Tells every thread where the router stands, and counts what is still open.
pub(crate) struct Drain {
    phase: watch::Sender<Phase>,
    open: AtomicUsize,
}

impl Drain {
    pub(crate) fn new() -> Self {
        Self { phase: watch::Sender::new(Phase::Serving), open: AtomicUsize::new(0) }
    }

    /// Where the router stands.
    pub(crate) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// Whether it is ending.
    pub(crate) fn is_ending(&self) -> bool {
        self.phase() != Phase::Serving
    }

    /// Resolves once the router is at `phase` or beyond.
    pub(crate) async fn reached(&self, phase: Phase) {
        let mut receiver = self.phase.subscribe();
        // The sender lives as long as this.
        let _ = receiver.wait_for(|now| *now >= phase).await;
    }

    /// Notes one more open connection.
    pub(crate) fn opened(&self) {
        self.open.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes that a connection is over.
    pub(crate) fn closed(&self) {
        self.open.fetch_sub(1, Ordering::Relaxed);
    }

    /// How many connections are open.
    pub(crate) fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    /// Ends everything in its order; returns when nothing is open any more, or the deadline has passed.
    pub(crate) async fn run(&self, lame_duck: Duration, deadline: Duration) {
        let end = tokio::time::Instant::now() + deadline;
        self.phase.send_replace(Phase::LameDuck);
        tokio::time::sleep(lame_duck).await;
        self.phase.send_replace(Phase::Closing);
        while self.open() > 0 && tokio::time::Instant::now() < end {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        self.phase.send_replace(Phase::Over);
    }
}
