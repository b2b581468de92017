//! What is told of panics: where they happened, and never what was at hand there.
//!
//! A panic costs the request that it happened over, and whoever handles requests sees to that; here it is only told.
//! Must never know what was being done.

use std::panic::PanicHookInfo;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// A request that makes the router panic can be sent a thousand times a second.
const SAID_EVERY: Duration = Duration::from_secs(1);

/// Tells of every panic of this process in a line like all others.
pub(crate) fn tell() {
    let told = Mutex::new(Told::default());
    std::panic::set_hook(Box::new(move |info| {
        let count = told.lock().unwrap_or_else(PoisonError::into_inner).say(Instant::now());
        if let Some(count) = count {
            let thread = std::thread::current();
            let thread = thread.name().unwrap_or_default();
            tracing::error!(thread, at = place(info), count, "the router panicked; this is the last place");
        }
    }));
}

/// The line of the source. The words of a panic may repeat what a client sent, credentials too.
fn place(info: &PanicHookInfo<'_>) -> String {
    info.location().map(ToString::to_string).unwrap_or_default()
}

/// What was told already.
#[derive(Default)]
struct Told {
    last: Option<Instant>,
    unsaid: u64,
}

impl Told {
    /// Whether to say it now: how many times it happened since it was last said, this one among them.
    fn say(&mut self, now: Instant) -> Option<u64> {
        self.unsaid += 1;
        if self.last.is_some_and(|last| now.duration_since(last) < SAID_EVERY) {
            return None;
        }
        self.last = Some(now);
        Some(std::mem::take(&mut self.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thousand_panics_are_two_lines() {
        let (mut told, began) = (Told::default(), Instant::now());
        assert_eq!(told.say(began), Some(1));
        for _ in 0..998 {
            assert_eq!(told.say(began + Duration::from_millis(999)), None);
        }
        assert_eq!(told.say(began + Duration::from_secs(1)), Some(999));
    }
}
