//! Wrong passwords, counted by who was named and from where: after too many, that place is told to wait.
//!
//! Owns the counts, a bounded number of them. What is counted is a user's name together with the client's network: a
//! stranger who guesses locks the name for itself and for nobody elsewhere. Names are counted whether anybody has them or
//! not, so a lock tells nothing of that. Times are arguments. Must never know requests or routes, nor see a password.

use std::net::{IpAddr, Ipv6Addr};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use postern_config::document::Mode;
use quick_cache::sync::Cache;
use sha2::Sha256;

/// When somebody is told to wait.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct LockoutRule {
    /// How many wrong passwords are too many.
    pub(crate) failures: u32,
    /// In what time.
    pub(crate) within: Duration,
    /// How long to wait.
    pub(crate) lasts: Duration,
    /// Whether that is insisted on.
    pub(crate) mode: Mode,
}

/// The counts. Shared by all cores; written only when a password was wrong.
pub(crate) struct Lockout {
    counts: Cache<Place, Count>,
    /// Held over reading and writing one count, so that none is lost. Behind tens of milliseconds of hashing, it is not felt.
    counting: Mutex<()>,
    begun: AtomicU64,
    /// Those that nobody was held to.
    tried: AtomicU64,
}

/// A realm, a name and a network, as half a keyed digest: what is kept gives no name away.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Place([u8; 16]);

#[derive(Clone, Copy)]
struct Count {
    failures: u32,
    since: Instant,
    until: Option<Instant>,
}

impl Default for Lockout {
    fn default() -> Self {
        Self {
            counts: Cache::new(PLACES),
            counting: Mutex::default(),
            begun: AtomicU64::new(0),
            tried: AtomicU64::new(0),
        }
    }
}

impl Lockout {
    /// The place of an attempt. `key` is the process's own.
    pub(crate) fn place(key: &[u8; 64], realm: &[u8], name: &[u8], client: IpAddr) -> Place {
        let mut mac = Hmac::<Sha256>::new(key.into());
        mac.update(b"lockout");
        for part in [realm, name] {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        match network(client) {
            IpAddr::V4(address) => mac.update(&address.octets()),
            IpAddr::V6(address) => mac.update(&address.octets()),
        }
        let digest: [u8; 32] = mac.finalize().into_bytes().into();
        let mut half = [0; 16];
        half.copy_from_slice(&digest[..16]);
        Place(half)
    }

    /// How long that place still has to wait.
    pub(crate) fn remaining(&self, place: &Place, now: Instant) -> Option<Duration> {
        let until = self.counts.get(place)?.until?;
        until.checked_duration_since(now).filter(|left| !left.is_zero())
    }

    /// A password was wrong.
    pub(crate) fn failed(&self, place: Place, rule: LockoutRule, now: Instant) {
        if rule.mode == Mode::Off {
            return;
        }
        let _counting = self.counting.lock().unwrap_or_else(PoisonError::into_inner);
        let known = self.counts.get(&place).filter(|count| match count.until {
            // What was asked before the lock began is no new reason for one.
            Some(until) => now < until,
            None => now.saturating_duration_since(count.since) < rule.within,
        });
        let mut count = known.unwrap_or(Count { failures: 0, since: now, until: None });
        count.failures = count.failures.saturating_add(1);
        if count.until.is_none() && count.failures >= rule.failures {
            count.until = Some(now + rule.lasts);
            let counted = if rule.mode == Mode::Enforce { &self.begun } else { &self.tried };
            counted.fetch_add(1, Ordering::Relaxed);
        }
        self.counts.insert(place, count);
    }

    /// How often somebody was told to wait.
    pub(crate) fn begun(&self) -> u64 {
        self.begun.load(Ordering::Relaxed)
    }

    /// How often somebody would have been, where that is only tried out.
    pub(crate) fn tried(&self) -> u64 {
        self.tried.load(Ordering::Relaxed)
    }
}

/// Whose address it is, as far as one can tell: hosts choose the lower half of an IPv6 address as they like (RFC 8981).
fn network(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

/// Most counts. With two threads and 50 ms a check, filling it takes half an hour, which is longer than a count lasts.
const PLACES: usize = 65_536;

#[cfg(test)]
mod tests {
    use super::*;

    const RULE: LockoutRule = LockoutRule {
        failures: 3,
        within: Duration::from_secs(60),
        lasts: Duration::from_secs(300),
        mode: Mode::Enforce,
    };

    fn at(name: &str, client: &str) -> Place {
        Lockout::place(&[7; 64], b"basic:ops", name.as_bytes(), client.parse().unwrap())
    }

    #[test]
    fn too_many_in_time_lock_and_fewer_or_slower_do_not() {
        let (lockout, now, place) = (Lockout::default(), Instant::now(), at("alice", "192.0.2.1"));
        let after = |seconds| now + Duration::from_secs(seconds);
        for _ in 0..2 {
            lockout.failed(place, RULE, now);
        }
        assert_eq!(lockout.remaining(&place, now), None);
        // The window ended: this is the first of the next one.
        lockout.failed(place, RULE, after(60));
        lockout.failed(place, RULE, after(61));
        assert_eq!(lockout.remaining(&place, after(61)), None);
        lockout.failed(place, RULE, after(119));
        assert_eq!(lockout.remaining(&place, after(119)), Some(RULE.lasts));
        assert_eq!(lockout.begun(), 1);
        // What was under way when it began makes it no longer.
        lockout.failed(place, RULE, after(200));
        assert_eq!(lockout.remaining(&place, after(418)), Some(Duration::from_secs(1)));
        assert_eq!(lockout.remaining(&place, after(419)), None);
        // Afterwards everything begins anew.
        lockout.failed(place, RULE, after(419));
        lockout.failed(place, RULE, after(420));
        assert_eq!((lockout.remaining(&place, after(420)), lockout.begun()), (None, 1));
    }

    #[test]
    fn what_is_tried_out_is_counted_apart_and_what_is_off_is_not() {
        let now = Instant::now();
        for (mode, begun, tried) in [(Mode::Enforce, 1, 0), (Mode::Shadow, 0, 1), (Mode::Off, 0, 0)] {
            let (lockout, place) = (Lockout::default(), at("alice", "192.0.2.1"));
            for _ in 0..4 {
                lockout.failed(place, LockoutRule { mode, ..RULE }, now);
            }
            assert_eq!((lockout.begun(), lockout.tried()), (begun, tried), "{mode:?}");
            assert_eq!(lockout.remaining(&place, now).is_some(), mode != Mode::Off, "{mode:?}");
        }
    }

    #[test]
    fn a_lock_is_of_one_name_and_one_network() {
        let (lockout, now) = (Lockout::default(), Instant::now());
        for _ in 0..3 {
            lockout.failed(at("alice", "192.0.2.1"), RULE, now);
            lockout.failed(at("alice", "2001:db8:1:2:3::4"), RULE, now);
        }
        let is_locked = |name, client| lockout.remaining(&at(name, client), now).is_some();
        for client in ["192.0.2.1", "::ffff:192.0.2.1", "2001:db8:1:2::", "2001:db8:1:2:ffff::9"] {
            assert!(is_locked("alice", client), "{client}");
            assert!(!is_locked("bob", client) && !is_locked("Alice", client), "{client}");
        }
        for client in ["192.0.2.2", "2001:db8:1:3::4", "::192.0.2.1"] {
            assert!(!is_locked("alice", client), "{client}");
        }
        let elsewhere = Lockout::place(&[7; 64], b"basic:other", b"alice", "192.0.2.1".parse().unwrap());
        assert_eq!(lockout.remaining(&elsewhere, now), None);
    }

    #[test]
    fn any_number_of_names_takes_a_bounded_place() {
        let (lockout, now) = (Lockout::default(), Instant::now());
        for index in 0..u64::try_from(PLACES).unwrap() * 2 {
            let mut place = [0; 16];
            place[..8].copy_from_slice(&index.to_be_bytes());
            lockout.failed(Place(place), RULE, now);
        }
        assert!(lockout.counts.len() <= PLACES);
    }
}
