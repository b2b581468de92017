//! What is told of breakers: how they stand, how often they opened, and a line of the log when one opens or closes.

use std::time::Instant;

use super::exposition::Exposition;
use super::registry;
use crate::breaker::{Breaker, Breakers, Counts, Turn};

/// The exposition.
pub(super) fn breakers(out: &mut Exposition, breakers: &Breakers) {
    let told = breakers.told(Instant::now());
    let mut samples = out.family(&registry::BREAKER_STATE);
    for ((name, mode), known) in &told {
        samples.value([name, mode.word()], known.state);
    }
    let mut samples = out.family(&registry::BREAKER_OPENED);
    for ((name, mode), known) in &told {
        samples.value([name, mode.word()], known.opened);
    }
}

/// Tells whoever reads the log that one turned. As rare as `opens_for` makes it.
pub(crate) fn turned(breaker: &Breaker, turn: Turn) {
    let (destination, mode) = (&**breaker.destination(), breaker.mode().word());
    match turn {
        Turn::Opened(Counts { attempts, failures }) => {
            tracing::warn!(destination, mode, failures, attempts, "the breaker opens: the destination fails");
        }
        Turn::StaysOpen => tracing::info!(destination, mode, "the breaker stays open: the destination fails"),
        Turn::Closed => tracing::warn!(destination, mode, "the breaker closes: the destination answers"),
    }
}
