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
        self.came_at(bytes, Instant::now);
    }

    /// The same at a time that is asked for only when it matters.
    fn came_at(&mut self, bytes: usize, now: impl FnOnce() -> Instant) {
        self.bytes += bytes as u64;
        if let Some(since) = self.since.take() {
            self.waited += now().duration_since(since);
        }
    }

    /// When it will have been waited for as long as `patience`, nothing coming any more.
    fn due(&mut self, patience: Duration, now: impl FnOnce() -> Instant) -> Instant {
        *self.since.get_or_insert_with(now) + patience.saturating_sub(self.waited)
    }

    /// Whether too little came by then; else it is measured anew.
    fn was_too_slow(&mut self, patience: Duration) -> bool {
        let slow = self.bytes as f64 <= self.waited.max(patience).as_secs_f64() * self.least;
        if !slow {
            *self = Self::at_least(self.least);
        }
        slow
    }

    /// It is waited for. Ready when it was for `patience` and too little came in that time.
    pub(super) fn poll_too_slow(
        &mut self,
        patience: Duration,
        alarm: &mut Alarm,
        context: &mut Context<'_>,
    ) -> Poll<()> {
        loop {
            ready!(alarm.poll(self.due(patience, Instant::now), context));
            if self.was_too_slow(patience) {
                return Poll::Ready(());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_secs(30);

    /// When a body is given up whose pieces come so long after one another, counted from its beginning.
    fn given_up(mut pace: Pace, pieces: impl IntoIterator<Item = (f64, usize)>) -> Option<f64> {
        let begun = Instant::now();
        let mut now = begun;
        for (pause, bytes) in pieces {
            let comes = now + Duration::from_secs_f64(pause);
            loop {
                let due = pace.due(PATIENCE, || now);
                if due >= comes {
                    break;
                }
                now = now.max(due);
                if pace.was_too_slow(PATIENCE) {
                    return Some((now - begun).as_secs_f64());
                }
            }
            now = comes;
            pace.came_at(bytes, || now);
        }
        None
    }

    #[test]
    fn a_body_just_above_the_least_pace_passes_and_one_at_it_is_given_up() {
        let steady = |bytes: usize| given_up(Pace::default(), std::iter::repeat_n((1.0, bytes), 600));
        assert_eq!(steady(241), None);
        assert_eq!(steady(240), Some(30.0));
        assert_eq!(steady(239), Some(30.0));
        assert_eq!(steady(0), Some(30.0));
        // In few large pieces as in many small ones.
        assert_eq!(given_up(Pace::default(), std::iter::repeat_n((29.0, 29 * 250), 100)), None);
        assert_eq!(given_up(Pace::default(), std::iter::repeat_n((31.0, 1 << 20), 2)), Some(30.0));
    }

    #[test]
    fn a_burst_buys_the_time_in_which_it_came_and_no_more() {
        for burst in [7_201, 1 << 20, 1 << 30] {
            let trickle = std::iter::repeat_n((1.0, 1), 600);
            assert_eq!(given_up(Pace::default(), std::iter::once((1.0, burst)).chain(trickle)), Some(60.0), "{burst}");
        }
        // Too small for even that.
        let trickle = std::iter::repeat_n((1.0, 0), 600);
        assert_eq!(given_up(Pace::default(), std::iter::once((1.0, 7_200)).chain(trickle)), Some(30.0));
    }

    #[test]
    fn while_nobody_waits_for_it_a_body_is_not_too_slow() {
        let mut pace = Pace::default();
        let begun = Instant::now();
        pace.due(PATIENCE, || begun);
        pace.came_at(1, || begun + Duration::from_secs(1));
        // A destination took nothing for an hour. What is left of the patience counts from when it is waited for again.
        let later = begun + Duration::from_secs(3_600);
        assert_eq!(pace.due(PATIENCE, || later), later + Duration::from_secs(29));
    }

    #[test]
    fn messages_may_be_few_and_not_none() {
        let rare = std::iter::repeat_n((29.0, 1), 100);
        assert_eq!(given_up(Pace::of_messages(), rare), None);
        assert_eq!(given_up(Pace::of_messages(), [(31.0, 1)]), Some(30.0));
    }
}
