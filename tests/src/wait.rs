//! Waiting for something to become true, instead of for time to pass.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

/// Asks until there is an answer; fails the test after half a minute: longer than anything takes on a busy machine.
pub fn eventually<T>(what: &str, ask: impl FnMut() -> Option<T>) -> T {
    eventually_within(Duration::from_secs(30), what, ask)
}

/// Asks until there is an answer; fails the test after `patience`.
pub fn eventually_within<T>(patience: Duration, what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + patience;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < end, "waited {patience:?} for {what}");
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A gate that keeps threads waiting until a test opens it, and tells how many have come to it.
#[derive(Default)]
pub struct Gate {
    state: Mutex<(bool, usize)>,
    moved: Condvar,
}

impl Gate {
    /// A closed one.
    pub fn closed() -> Arc<Self> {
        Arc::default()
    }

    /// Waits until it is open.
    pub fn pass(&self) {
        let mut state = self.state.lock().unwrap();
        state.1 += 1;
        self.moved.notify_all();
        drop(self.moved.wait_while(state, |(open, _)| !*open).unwrap());
    }

    /// Lets everyone pass, now and later.
    pub fn open(&self) {
        self.state.lock().unwrap().0 = true;
        self.moved.notify_all();
    }

    /// Waits until so many have come.
    pub fn until_waiting(&self, count: usize) {
        let state = self.state.lock().unwrap();
        let patience = Duration::from_secs(20);
        let (state, late) = self.moved.wait_timeout_while(state, patience, |(_, come)| *come < count).unwrap();
        assert!(!late.timed_out(), "waited {patience:?} for {count} to come, {} did", state.1);
    }
}
