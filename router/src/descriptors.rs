//! How many files and sockets the process may have open, and for how many connections that is enough.
//!
//! Owns the process's own bound of them (`RLIMIT_NOFILE`, getrlimit(2)). Must never know who connects.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// For listeners, logs, the configuration, the admin address and what each thread waits with.
const OWN: u64 = 64;
/// For a client's connection, and for the one to a destination that its request needs.
const EACH: u64 = 2;

/// Takes all that the system lets this process have: many start with 1 024 of what may be a million. Says how many there
/// are then; `None` where nobody counts.
pub(crate) fn raise() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current != maximum {
        // What is not granted is left as it was.
        let _ = setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum });
    }
    getrlimit(Resource::Nofile).current
}

/// How many connections of those that are asked for there is room for. One too many would be a client that is let in and
/// whose requests find no way on.
pub(crate) fn room(descriptors: Option<u64>, asked: usize) -> usize {
    let most =
        descriptors.map_or(usize::MAX, |all| usize::try_from(all.saturating_sub(OWN) / EACH).unwrap_or(usize::MAX));
    asked.min(most).max(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_is_let_in_who_could_not_be_sent_on() {
        assert_eq!(room(Some(1_024), 10_000), 480);
        assert_eq!(room(Some(20_064), 10_000), 10_000);
        assert_eq!(room(Some(20_063), 10_000), 9_999);
        assert_eq!(room(Some(10), 10_000), 1);
        assert_eq!(room(None, 10_000), 10_000);
    }
}
