//! Connections evenly over the cores.
//!
//! The kernel spreads new connections by a hash, which is uneven for few and long ones. A core that has clearly more
//! than another hands what it accepted on to that one: once, before a byte is read. Must never know HTTP.

use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use super::Guest;

/// How many connections more a core may have than the one with the fewest before it hands on.
const SLACK: usize = 4;

/// What all cores know of one another's connections.
pub(crate) struct Spread(Vec<Desk>);

struct Desk {
    open: AtomicUsize,
    incoming: UnboundedSender<Handed>,
}

/// An accepted connection on its way to another core.
pub(crate) struct Handed {
    /// Which of the listeners took it.
    pub(super) entrance: usize,
    pub(super) stream: TcpStream,
    pub(super) guest: Guest,
}

/// A core's own end.
pub(crate) type Incoming = UnboundedReceiver<Handed>;

impl Spread {
    /// For so many cores; each gets its end.
    pub(crate) fn over(cores: usize) -> (Self, Vec<Incoming>) {
        let (desks, ends) = (0..cores)
            .map(|_| {
                let (incoming, end) = unbounded_channel();
                (Desk { open: AtomicUsize::new(0), incoming }, end)
            })
            .unzip();
        (Self(desks), ends)
    }

    /// The core that shall have one more; it is counted there from now on.
    pub(super) fn place(&self, here: usize) -> usize {
        let open = |core: usize| self.0[core].open.load(Ordering::Relaxed);
        let fewest = (0..self.0.len()).min_by_key(|core| open(*core)).unwrap_or(here);
        let there = if open(here) > open(fewest) + SLACK { fewest } else { here };
        self.0[there].open.fetch_add(1, Ordering::Relaxed);
        there
    }

    /// Hands a connection on. What a core that is ending does not take is closed.
    pub(super) fn hand(&self, core: usize, handed: Handed) {
        if self.0[core].incoming.send(handed).is_err() {
            self.gone(core);
        }
    }

    /// Notes that a connection of a core is over.
    pub(super) fn gone(&self, core: usize) {
        self.0[core].open.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_core_has_clearly_more_than_another() {
        let (spread, _ends) = Spread::over(3);
        let mut counts = [0_usize; 3];
        for _ in 0..300 {
            counts[spread.place(0)] += 1;
        }
        assert!(counts.iter().max().unwrap() - counts.iter().min().unwrap() <= SLACK + 1, "{counts:?}");
        // What ends makes room where it was.
        (0..50).for_each(|_| spread.gone(2));
        let places: Vec<usize> = (0..40).map(|_| spread.place(0)).collect();
        assert!(places.iter().all(|core| *core == 2), "{places:?}");
    }

    #[test]
    fn a_single_core_keeps_what_it_takes() {
        let (spread, _ends) = Spread::over(1);
        assert!((0..20).all(|_| spread.place(0) == 0));
    }
}
