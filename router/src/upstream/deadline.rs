//! When waiting ends.
//!
//! Owns the arithmetic of an exchange's timeouts. Instants are arguments; nothing here looks at a clock. Must never
//! know what is waited for.

use tokio::time::Instant;

use super::body::UpstreamFault;
use crate::reject::{Reason, Rejection};
use crate::snapshot::Timeouts;

/// The timeouts of one exchange, and when it began.
#[derive(Clone, Copy)]
pub(super) struct Deadlines {
    timeouts: Timeouts,
    total: Option<Instant>,
}

/// What is known when an answer is waited for.
#[derive(Clone, Copy)]
pub(super) struct Waiting {
    /// When the request was last moved on: its beginning, or the last byte sent.
    pub(super) moved: Instant,
    /// Whether it is the client who keeps everyone waiting.
    pub(super) for_client: bool,
}

impl Deadlines {
    pub(super) fn new(timeouts: Timeouts, began: Instant) -> Self {
        Self { timeouts, total: timeouts.total.map(|total| began + total) }
    }

    /// Until when a connection must stand.
    pub(super) fn connect(&self, now: Instant) -> Instant {
        self.bounded(now + self.timeouts.connect)
    }

    /// When to look again whether an answer is still worth waiting for. Nothing can become due before: whatever
    /// moves from now on gets at least this long.
    pub(super) fn look_again(&self, now: Instant) -> Instant {
        self.bounded(now + self.timeouts.first_byte.min(self.timeouts.idle))
    }

    /// Whether to go on waiting for an answer, and until when at most before looking again.
    pub(super) fn answer(&self, waiting: Waiting, now: Instant) -> Result<Instant, Rejection> {
        self.check_total(now)?;
        let (patience, reason, words) = if waiting.for_client {
            (self.timeouts.idle, Reason::BodyTooSlow, "no byte of the client's body")
        } else {
            (self.timeouts.first_byte, Reason::DestinationTimeout, "no byte of the answer")
        };
        let due = waiting.moved + patience;
        if now >= due {
            return Err(Rejection::new(reason, format!("{words} for {patience:?}")));
        }
        Ok(due.min(self.look_again(now)))
    }

    /// When a destination that is silent since `since` has been so for too long.
    pub(super) fn silence_ends(&self, since: Instant) -> Instant {
        self.bounded(since + self.timeouts.idle)
    }

    /// What to say then.
    pub(super) fn silence(&self, now: Instant) -> UpstreamFault {
        let rejection = self.check_total(now).err().unwrap_or_else(|| {
            Rejection::new(Reason::DestinationIdle, format!("no byte for {:?}", self.timeouts.idle))
        });
        rejection.into()
    }

    /// Whether there is time left at all.
    pub(super) fn check_total(&self, now: Instant) -> Result<(), Rejection> {
        match (self.total, self.timeouts.total) {
            (Some(total), Some(length)) if now >= total => {
                Err(Rejection::new(Reason::TotalTimeout, format!("not done within {length:?}")))
            }
            _ => Ok(()),
        }
    }

    fn bounded(&self, due: Instant) -> Instant {
        self.total.map_or(due, |total| due.min(total))
    }
}
