//! Whether a destination is asked at all: one that failed too often is left alone for a while (the circuit breaker of
//! Nygard's *Release It!*).
//!
//! Owns the states — closed, open, half-open — and the counts that they follow from; `breakers` knows all there are. Each
//! core counts for itself and all see one gate, so nothing locks. Times are arguments. Must never know requests, routes, or
//! what a refusal looks like.

mod breakers;
#[cfg(test)]
mod tests;
mod window;

use std::sync::Arc;
use std::sync::atomic::Ordering::{AcqRel, Acquire, Relaxed, Release};
use std::sync::atomic::{AtomicU32, AtomicU64};
use std::time::{Duration, Instant};

use postern_config::document::{self, Mode};

pub(crate) use self::breakers::Breakers;
pub(crate) use self::window::Counts;

use self::window::{SLICES, Window};

/// The breaker of one destination, as one policy asks for it.
pub(crate) struct Breaker {
    /// The boundary's name for the destination.
    destination: Arc<str>,
    mode: Mode,
    /// As it was asked for, in words.
    words: Box<str>,
    failures: u64,
    /// In parts of a million.
    ratio: u64,
    /// Nanoseconds of a slice of the window.
    slice: u64,
    /// Nanoseconds.
    opens_for: u64,
    start: Instant,
    /// 0 when closed; else, above the lowest bit, until when nothing passes, in nanoseconds after the start. The lowest bit is
    /// set while one request tries whether the destination is well again: then it is until when that one has the gate to itself.
    gate: AtomicU64,
    /// How often it closed: what was begun before does not count after.
    era: AtomicU32,
    /// One for each core.
    windows: Box<[Window]>,
    /// How often it opened, with all others of this destination and mode.
    opened: Arc<AtomicU64>,
}

const CLOSED: u64 = 0;
const TRYING: u64 = 1;
/// Open until long ago.
const HALF_OPEN: u64 = 2;

/// What a breaker does with the next request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    /// It passes.
    Closed,
    /// It may try whether the destination is well again.
    HalfOpen,
    /// Another one is trying that.
    Trying,
    /// None passes for so long.
    Open(Duration),
}

/// What became of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The destination did its part.
    Answered,
    /// It did not.
    Failed,
    /// Nothing is known of the destination: the client went away, for example.
    Unknown,
}

/// How a breaker changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It opened, after so much.
    Opened(Counts),
    /// It opened again, because the trial failed.
    StaysOpen,
    /// It closed.
    Closed,
}

/// The leave to ask the destination. What becomes of it is to be told; a trial that nobody tells of is as if it had not been.
pub(crate) struct Pass {
    breaker: Arc<Breaker>,
    era: u32,
    /// The gate as this request set it, when it is the one that tries.
    trial: Option<u64>,
}

impl Breaker {
    fn new(
        destination: Arc<str>,
        policy: &document::Breaker,
        cores: usize,
        start: Instant,
        opened: Arc<AtomicU64>,
    ) -> Self {
        let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let (failures, ratio, within, opens_for) =
            (policy.failures(), policy.ratio(), policy.within(), policy.opens_for());
        Self {
            destination,
            mode: policy.mode,
            words: format!("{failures} failures within {within} that are {ratio} of all open it for {opens_for}")
                .into(),
            failures: failures.into(),
            ratio: ratio.millionths().into(),
            slice: (nanos(within.duration()) / SLICES).max(1),
            opens_for: nanos(opens_for.duration()),
            start,
            gate: AtomicU64::new(CLOSED),
            era: AtomicU32::new(0),
            windows: (0..cores.max(1)).map(|_| Window::default()).collect(),
            opened,
        }
    }

    /// The boundary's name for the destination.
    pub(crate) fn destination(&self) -> &Arc<str> {
        &self.destination
    }

    /// Whether requests are refused while it is open.
    pub(crate) fn mode(&self) -> Mode {
        self.mode
    }

    /// As it was asked for.
    pub(crate) fn words(&self) -> &str {
        &self.words
    }

    /// What would become of a request; nothing changes.
    pub(crate) fn state(&self, now: Instant) -> State {
        self.state_of(self.gate.load(Acquire), self.nanos(now))
    }

    fn state_of(&self, gate: u64, now: u64) -> State {
        match (gate & TRYING == TRYING, gate >> 1) {
            _ if gate == CLOSED => State::Closed,
            (_, until) if until <= now => State::HalfOpen,
            (true, _) => State::Trying,
            (false, until) => State::Open(Duration::from_nanos(until - now)),
        }
    }

    /// Leave for one request to go there.
    ///
    /// # Errors
    /// The state that it is in when it gives none.
    pub(crate) fn admit(self: &Arc<Self>, now: Instant) -> Result<Pass, State> {
        let now = self.nanos(now);
        let gate = self.gate.load(Acquire);
        let pass = |trial| Pass { breaker: Arc::clone(self), era: self.era.load(Relaxed), trial };
        match self.state_of(gate, now) {
            State::Closed => Ok(pass(None)),
            // For as long as it stays open: what takes longer does not keep the next from trying.
            State::HalfOpen => {
                let tried = self.until(now) | TRYING;
                match self.gate.compare_exchange(gate, tried, AcqRel, Acquire) {
                    Ok(_) => Ok(pass(Some(tried))),
                    // Somebody was quicker, and may even be back.
                    Err(newer) => match self.state_of(newer, now) {
                        State::Closed => Ok(pass(None)),
                        State::HalfOpen => Err(State::Trying),
                        state => Err(state),
                    },
                }
            }
            state => Err(state),
        }
    }

    /// Closes it, unless it was found ill again meanwhile. Whose trial it was does not matter: well is well.
    fn close(&self) -> Option<Turn> {
        let mut gate = self.gate.load(Acquire);
        // The era first: who passes from now on is of the new one.
        let mut begun = false;
        while gate & TRYING == TRYING {
            if !std::mem::replace(&mut begun, true) {
                self.era.fetch_add(1, Release);
            }
            match self.gate.compare_exchange(gate, CLOSED, AcqRel, Acquire) {
                Ok(_) => return Some(Turn::Closed),
                Err(newer) => gate = newer,
            }
        }
        None
    }

    /// Opens when it has failed too often. What is rare is looked at by all cores, what is common is counted by one.
    fn judge(&self, era: u32, number: u64, now: u64) -> Option<Turn> {
        let mut counts = Counts::default();
        for window in &self.windows {
            let Counts { attempts, failures } = window.sum(era, number);
            counts.attempts += attempts;
            counts.failures += failures;
        }
        let many = counts.failures >= self.failures;
        if !many || counts.failures.saturating_mul(1_000_000) < counts.attempts.saturating_mul(self.ratio) {
            return None;
        }
        // It may have opened and closed while that was summed up.
        if self.era.load(Acquire) != era {
            return None;
        }
        // Of those who notice at once, one opens it.
        self.gate.compare_exchange(CLOSED, self.until(now), AcqRel, Relaxed).ok()?;
        self.opened.fetch_add(1, Relaxed);
        Some(Turn::Opened(counts))
    }

    /// The gate of a breaker that opens now. Never that of a closed one: it opens for a millisecond at least.
    fn until(&self, now: u64) -> u64 {
        now.saturating_add(self.opens_for).max(1) << 1
    }

    fn nanos(&self, now: Instant) -> u64 {
        u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX)
    }
}

impl Pass {
    /// Whose it is.
    pub(crate) fn breaker(&self) -> &Breaker {
        &self.breaker
    }

    /// Tells what became of the request, on the core that it ran on; what that changes is told back.
    pub(crate) fn ended(&mut self, outcome: Outcome, core: usize, now: Instant) -> Option<Turn> {
        let breaker = &self.breaker;
        let now = breaker.nanos(now);
        match (self.trial, outcome) {
            (_, Outcome::Unknown) => None,
            (Some(_), Outcome::Answered) => {
                let turn = breaker.close();
                self.trial = None;
                turn
            }
            (Some(tried), Outcome::Failed) => {
                // Another tries by now, or has: that one decides.
                let stays = breaker.gate.compare_exchange(tried, breaker.until(now), AcqRel, Relaxed).is_ok();
                self.trial = None;
                stays.then(|| {
                    breaker.opened.fetch_add(1, Relaxed);
                    Turn::StaysOpen
                })
            }
            (None, outcome) => {
                let era = breaker.era.load(Acquire);
                if era != self.era {
                    return None;
                }
                let (failed, number) = (outcome == Outcome::Failed, now / breaker.slice);
                breaker.windows[core % breaker.windows.len()].count(era, number, failed);
                if failed { breaker.judge(era, number, now) } else { None }
            }
        }
    }
}

impl Drop for Pass {
    fn drop(&mut self) {
        if let Some(tried) = self.trial {
            // Unless another tries by now.
            let _ = self.breaker.gate.compare_exchange(tried, HALF_OPEN, Release, Relaxed);
        }
    }
}
