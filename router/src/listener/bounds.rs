//! What one core takes in at once: handshakes, and connections from one address; and the places of a listener.
//!
//! Counts of one core: a bound over the process is shared out among them, but for places. Must never know TLS or HTTP.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::{IpAddr, Ipv6Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// TLS handshakes under way at once, over the process: each is some milliseconds of computing, and a socket and
/// some 10 KB that a stranger holds for nothing.
const HANDSHAKES: usize = 256;

/// The least time between two lines about the same trouble.
const SAID_EVERY: Duration = Duration::from_secs(10);

/// What settings ask.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    /// Cores that share what is bounded over the process.
    pub(crate) cores: usize,
    /// Connections from one address over the process; 0 for no bound.
    pub(crate) per_address: usize,
    /// For one handshake.
    pub(crate) handshake: Duration,
}

/// One core's counts.
pub(crate) struct Door {
    pub(super) handshake: Duration,
    pub(super) handshakes: Semaphore,
    per_address: Option<usize>,
    addresses: RefCell<HashMap<IpAddr, usize>>,
    pub(super) accept_failed: Sparing,
    pub(super) handshake_failed: Sparing,
    pub(super) address_refused: Sparing,
    pub(super) listener_full: Sparing,
}

impl Door {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let cores = bounds.cores.max(1);
        Self {
            handshake: bounds.handshake,
            handshakes: Semaphore::new((HANDSHAKES / cores).max(1)),
            per_address: (bounds.per_address > 0).then(|| bounds.per_address.div_ceil(cores)),
            addresses: RefCell::default(),
            accept_failed: Sparing::default(),
            handshake_failed: Sparing::default(),
            address_refused: Sparing::default(),
            listener_full: Sparing::default(),
        }
    }

    /// Room for one more connection from an address, or none.
    pub(super) fn admit(self: &Rc<Self>, peer: IpAddr) -> Option<Admitted> {
        let Some(most) = self.per_address else { return Some(Admitted(None)) };
        let neighbourhood = neighbourhood(peer);
        let mut addresses = self.addresses.borrow_mut();
        let open = addresses.entry(neighbourhood).or_insert(0);
        if *open >= most {
            return None;
        }
        *open += 1;
        Some(Admitted(Some((Rc::clone(self), neighbourhood))))
    }
}

/// The places of one listener, which all cores take from: unlike what is shared out, a core that others left all places
/// to may use them all. Taken once for a connection, and never on a request's way.
#[derive(Clone)]
pub(crate) struct Places(Option<Arc<Semaphore>>);

/// A connection's place, held for as long as it is open.
pub(super) type Place = Option<OwnedSemaphorePermit>;

impl Places {
    /// So many of them; any number, when there is none.
    pub(crate) fn of(bound: Option<usize>) -> Self {
        Self(bound.map(|bound| Arc::new(Semaphore::new(bound.min(Semaphore::MAX_PERMITS)))))
    }

    /// One of them at once, or nothing while all are taken.
    pub(super) fn at_once(&self) -> Option<Place> {
        match &self.0 {
            None => Some(None),
            Some(places) => Arc::clone(places).try_acquire_owned().ok().map(Some),
        }
    }

    /// One of them, as soon as there is one; who asked first is first.
    pub(super) async fn one(&self) -> Place {
        match &self.0 {
            None => None,
            // They are never closed.
            Some(places) => Arc::clone(places).acquire_owned().await.ok(),
        }
    }
}

/// Who counts as one: an IPv6 host has a whole /64 to choose its address from (RFC 4291 §2.5.4).
fn neighbourhood(peer: IpAddr) -> IpAddr {
    match peer {
        IpAddr::V4(_) => peer,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
    }
}

/// A connection that was let in, counted while this lives.
pub(super) struct Admitted(Option<(Rc<Door>, IpAddr)>);

impl Admitted {
    /// One that nobody counts.
    pub(super) fn uncounted() -> Self {
        Self(None)
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let Some((door, neighbourhood)) = self.0.take() else { return };
        if let Entry::Occupied(mut entry) = door.addresses.borrow_mut().entry(neighbourhood) {
            *entry.get_mut() -= 1;
            if *entry.get() == 0 {
                entry.remove();
            }
        }
    }
}

/// Keeps a trouble that anybody can make a thousand times a second out of the log.
#[derive(Default)]
pub(super) struct Sparing {
    said: Cell<Option<Instant>>,
    unsaid: Cell<u64>,
}

impl Sparing {
    /// Whether to say it now: how many times it happened since it was last said, this one among them.
    pub(super) fn say(&self) -> Option<u64> {
        let count = self.unsaid.get() + 1;
        if self.said.get().is_some_and(|said| said.elapsed() < SAID_EVERY) {
            self.unsaid.set(count);
            return None;
        }
        self.unsaid.set(0);
        self.said.set(Some(Instant::now()));
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn door(cores: usize, per_address: usize) -> Rc<Door> {
        Rc::new(Door::new(Bounds { cores, per_address, handshake: Duration::from_secs(5) }))
    }

    #[test]
    fn an_address_has_so_many_connections_and_no_trace_stays_of_it() {
        let door = door(2, 5);
        let address = |text: &str| text.parse::<IpAddr>().unwrap();
        let mut open: Vec<_> = (0..3).map(|_| door.admit(address("10.0.0.1")).unwrap()).collect();
        assert!(door.admit(address("10.0.0.1")).is_none());
        assert!(door.admit(address("10.0.0.2")).is_some());
        open.pop();
        assert!(door.admit(address("10.0.0.1")).is_some());
        drop(open);
        assert!(door.addresses.borrow().is_empty());
    }

    #[test]
    fn all_addresses_of_one_network_of_hosts_count_as_one() {
        let door = door(1, 1);
        let open = door.admit("2001:db8::1".parse().unwrap());
        assert!(open.is_some());
        assert!(door.admit("2001:db8::ffff:1".parse().unwrap()).is_none());
        assert!(door.admit("2001:db8:0:1::1".parse().unwrap()).is_some());
    }

    #[test]
    fn a_listener_has_so_many_places_for_all_cores_and_one_that_is_left_is_taken_again() {
        let places = Places::of(Some(2));
        let elsewhere = places.clone();
        let (first, second) = (places.at_once(), elsewhere.at_once());
        assert!(first.is_some() && second.is_some());
        assert!(places.at_once().is_none() && elsewhere.at_once().is_none());
        drop(first);
        assert!(elsewhere.at_once().is_some());
        let any = Places::of(None);
        assert!((0..100).map(|_| any.at_once()).collect::<Vec<_>>().iter().all(Option::is_some));
    }

    #[test]
    fn without_a_bound_nobody_is_counted() {
        let door = door(1, 0);
        let open: Vec<_> = (0..100).map(|_| door.admit("10.0.0.1".parse().unwrap())).collect();
        assert!(open.iter().all(Option::is_some));
        assert!(door.addresses.borrow().is_empty());
    }
}
