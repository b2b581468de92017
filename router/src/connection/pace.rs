//! How fast a body comes.
//!
//! A client that sends a byte now and then is never silent and never done. Only the time counts in which it is waited
//! for: how fast a destination takes what came is not its doing. Must never know how bodies are framed.

use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::time::Instant;

use crate::alarm::Alarm;

/// The least that a body must bring while it is waited for.
const BYTES_A_SECOND: f64 = 240.0;

/// The pace of one body.
pub(super) struct Pace {
    /// The least, in bytes a second.
    least: f64,
    /// How long it was waited for since it was last measured, and what came meanwhile.
    waited: Duration,
    bytes: u64,
    /// Since when it is waited for now.
    since: Option<Instant>,
}

impl Default for Pace {
    fn default() -> Self {
        Self::at_least(BYTES_A_SECOND)
    }
}

impl Pace {
    /// Of a body that is a row of messages: there may be few of them, but not none.
    pub(super) fn of_messages() -> Self {
        Self::at_least(0.0)
    }

    fn at_least(least: f64) -> Self {
        Self { least, waited: Duration::ZERO, bytes: 0, since: None }
    }

    /// So many bytes came.
    pub(super) fn came(&mut self, bytes: usize) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += since.elapsed();
        }
    }

    /// It is waited for. Ready when it was for `patience` and too little came in that time.
    pub(super) fn poll_too_slow(
        &mut self,
        patience: Duration,
        alarm: &mut Alarm,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            let since = *self.since.get_or_insert_with(Instant::now);
            let left = patience.saturating_sub(self.waited);
            ready!(alarm.poll(since + left, context));
            if self.bytes as f64 <= (self.waited + left).as_secs_f64() * self.least {
                return Poll::Ready(());
            }
            *self = Self::at_least(self.least);
        }
    }
}
