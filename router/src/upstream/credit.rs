//! How often requests to a destination may be sent once more.
//!
//! A request that was lost on a kept connection may be sent again where that does no harm. A destination that fails
//! would get each twice, just when it is in trouble: so what is sent again in vain is a share of what is sent. What
//! never left is no load, and what was well answered then cost a client nothing: neither is counted. Must never know
//! requests.

use std::cell::Cell;

use http::StatusCode;

use super::limits;

/// What a destination has that never lost a request.
const WHOLE: u32 = limits::REPEATS_AT_ONCE * limits::REQUESTS_PER_REPEAT;

/// What is left for one destination, in parts of one request.
pub(super) struct Credit(Cell<u32>);

impl Default for Credit {
    fn default() -> Self {
        Self(Cell::new(WHOLE))
    }
}

impl Credit {
    /// One more request was sent.
    pub(super) fn earn(&self) {
        self.add(1);
    }

    /// What was spent was answered with this status: a destination that answers well has it back.
    pub(super) fn answered(&self, status: StatusCode) {
        if !status.is_server_error() {
            self.add(limits::REQUESTS_PER_REPEAT);
        }
    }

    fn add(&self, parts: u32) {
        self.0.set((self.0.get() + parts).min(WHOLE));
    }

    /// Whether it says no more than one that is new.
    pub(super) fn is_whole(&self) -> bool {
        self.0.get() == WHOLE
    }

    /// Whether one may be sent again; that is counted.
    pub(super) fn spend(&self) -> bool {
        let left = self.0.get().checked_sub(limits::REQUESTS_PER_REPEAT);
        self.0.set(left.unwrap_or(self.0.get()));
        left.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_at_once_and_then_a_tenth_but_all_that_are_well_answered() {
        let repeated = |status| {
            let credit = Credit::default();
            let sent = (0..1_000).filter(|_| {
                credit.earn();
                credit.spend().then(|| credit.answered(status)).is_some()
            });
            sent.count()
        };
        assert_eq!(repeated(StatusCode::SERVICE_UNAVAILABLE), 163);
        assert_eq!(repeated(StatusCode::NOT_FOUND), 1_000);
    }
}
