//! When waiting ends.
//!
//! Owns the arithmetic of an exchange's timeouts, on instants that are arguments; only the wait for an answer looks at
//! a clock. Must never know what is waited for.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use super::body::UpstreamFault;
use crate::alarm::Alarm;
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
        Self { timeouts, total: timeouts.total.map(|total| after(began, total)) }
    }

    /// Until when a connection must stand.
    pub(super) fn connect(&self, now: Instant) -> Instant {
        self.bounded(after(now, self.timeouts.connect))
    }

    /// Ready with the reason once an answer is no longer worth waiting for.
    pub(super) fn poll_over(&self, waiting: Waiting, alarm: &mut Alarm, context: &mut Context<'_>) -> Poll<Rejection> {
        let mut due = self.look_again(waiting.moved);
        loop {
            ready!(alarm.poll(due, context));
            match self.answer(waiting, Instant::now()) {
                Ok(again) => due = again,
                Err(rejection) => return Poll::Ready(rejection),
            }
        }
    }

    /// When to look again whether an answer is still worth waiting for. Nothing can become due before: whatever
    /// moves from now on gets at least this long.
    fn look_again(&self, now: Instant) -> Instant {
        self.bounded(after(now, self.timeouts.first_byte.min(self.timeouts.idle)))
    }

    /// Whether to go on waiting for an answer, and until when at most before looking again.
    fn answer(&self, waiting: Waiting, now: Instant) -> Result<Instant, Rejection> {
        self.check_total(now).map_err(|over| match waiting.for_client {
            // Nobody else's time ran out.
            true => Rejection::new(Reason::BodyTooSlow, "the client's body was not done when the time was over"),
            false => over,
        })?;
        let (patience, reason, words) = if waiting.for_client {
            (self.timeouts.idle, Reason::BodyTooSlow, "no byte of the client's body")
        } else {
            (self.timeouts.first_byte, Reason::DestinationTimeout, "no byte of the answer")
        };
        let due = after(waiting.moved, patience);
        if now >= due {
            return Err(Rejection::new(reason, format!("{words} for {patience:?}")));
        }
        Ok(due.min(self.look_again(now)))
    }

    /// When a destination that is silent since `since` has been so for too long.
    pub(super) fn silence_ends(&self, since: Instant) -> Instant {
        self.bounded(after(since, self.timeouts.idle))
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

/// A timeout is as long as somebody wrote it; one beyond the end of the clock is as good as none.
fn after(begin: Instant, length: Duration) -> Instant {
    begin.checked_add(length).unwrap_or_else(|| begin + A_YEAR)
}

const A_YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_endless_timeout_is_no_overflow() {
        let (now, endless) = (Instant::now(), Duration::MAX);
        let timeouts = Timeouts { connect: endless, first_byte: endless, idle: endless, total: Some(endless) };
        let deadlines = Deadlines::new(timeouts, now);
        let waiting = Waiting { moved: now, for_client: false };
        assert!(deadlines.answer(waiting, now).is_ok_and(|due| due > now));
        assert!(deadlines.silence_ends(now) > now && deadlines.connect(now) > now);
    }

    #[test]
    fn the_total_bounds_every_phase() {
        let now = Instant::now();
        let total = Duration::from_millis(10);
        let deadlines = Deadlines::new(Timeouts { total: Some(total), ..Timeouts::default() }, now);
        for due in [deadlines.connect(now), deadlines.look_again(now), deadlines.silence_ends(now)] {
            assert_eq!(due, now + total);
        }
        for (for_client, reason) in [(true, Reason::BodyTooSlow), (false, Reason::TotalTimeout)] {
            let over = deadlines.answer(Waiting { moved: now, for_client }, now + total);
            assert_eq!(over.unwrap_err().reason, reason);
        }
        assert!(deadlines.check_total(now).is_ok());
        assert_eq!(deadlines.check_total(now + total).unwrap_err().reason, Reason::TotalTimeout);
        assert_eq!(deadlines.silence(now + total).reason, Reason::TotalTimeout);
    }
}
