//! How often who asked: the counts of all limits, a bounded number of them, shared by all cores without a lock.
//!
//! A count is one instant: when the one before would be forgotten (GCRA, the leaky bucket as a meter of ITU-T I.371). An
//! instant that has passed says no more than no count at all, so its place is free without anybody sweeping. Times are
//! arguments. Must never know requests, routes or who is behind a key.

use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

use postern_config::document::{Limit, LimitBy, Mode};

/// Counts that fit: with 16 bytes each, 2 MiB, of which what is never used costs nothing.
const SETS: usize = 1 << 14;
/// Places that a key may have: two lines of a processor's cache.
const WAYS: usize = 8;

/// A compiled limit.
#[derive(Debug)]
pub(crate) struct Quota {
    /// How it is called.
    pub(crate) name: Box<str>,
    /// Who has a count of its own.
    pub(crate) by: LimitBy,
    /// Whether what comes too often is refused.
    pub(crate) mode: Mode,
    /// As it was written: `100/s`.
    pub(crate) rate: Box<str>,
    /// How many may come at once.
    pub(crate) burst: u32,
    /// Nanoseconds from one to the next.
    interval: u64,
    /// So far may the instant lie ahead before one more.
    tolerance: u64,
    /// Whose it is, so that counts of two limits with the same name are two.
    scope: Box<str>,
}

impl Quota {
    /// The limit of what `scope` names: a route, or a realm of keys.
    pub(crate) fn compile(limit: &Limit, scope: &str) -> Self {
        let interval = u64::try_from(limit.rate.interval().as_nanos()).unwrap_or(u64::MAX).max(1);
        Self {
            name: limit.name.as_str().into(),
            by: limit.by,
            mode: limit.mode,
            rate: limit.rate.to_string().into(),
            burst: limit.burst(),
            interval,
            tolerance: interval.saturating_mul(u64::from(limit.burst().max(1)) - 1),
            scope: scope.into(),
        }
    }
}

/// The counts.
pub(crate) struct Limiter {
    sets: Box<[[Slot; WAYS]]>,
    hasher: RandomState,
    start: Instant,
    /// Counts that were forgotten before their time, because there were too many.
    forgotten: AtomicU64,
}

/// A key, and its instant in nanoseconds after the start. Two words that are written one after the other: who reads between
/// them counts one request for another's key, which is the worst that comes of it.
#[derive(Default)]
struct Slot {
    key: AtomicU64,
    until: AtomicU64,
}

/// Who is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Counted<'a> {
    /// A proved caller: by what, and its name.
    Caller(&'a str, &'a str),
    /// A client's network.
    Client(IpAddr),
    /// Whoever asks.
    All,
}

impl Limiter {
    /// Without any count.
    pub(crate) fn new(start: Instant) -> Self {
        let sets = std::iter::repeat_with(Default::default).take(SETS).collect();
        Self { sets, hasher: RandomState::new(), start, forgotten: AtomicU64::new(0) }
    }

    /// Counts one request; when it comes too early it is not counted, and how much too early is said.
    pub(crate) fn take(&self, quota: &Quota, who: Counted<'_>, now: Instant) -> Result<(), Duration> {
        let now = u64::try_from(now.saturating_duration_since(self.start).as_nanos()).unwrap_or(u64::MAX);
        let slot = self.slot(self.key(quota, who), now);
        let mut until = slot.until.load(Relaxed);
        loop {
            let from = until.max(now);
            if from - now > quota.tolerance {
                return Err(Duration::from_nanos(from - now - quota.tolerance));
            }
            match slot.until.compare_exchange_weak(until, from.saturating_add(quota.interval), Relaxed, Relaxed) {
                Ok(_) => return Ok(()),
                Err(newer) => until = newer,
            }
        }
    }

    /// Counts that were forgotten before their time.
    pub(crate) fn forgotten(&self) -> u64 {
        self.forgotten.load(Relaxed)
    }

    /// Keyed by the process's own random numbers: nobody outside can choose whom to be counted with. A limit that was changed
    /// counts anew.
    fn key(&self, quota: &Quota, who: Counted<'_>) -> u64 {
        let who = match who {
            Counted::Client(address) => Counted::Client(network(address)),
            other => other,
        };
        self.hasher.hash_one((&quota.scope, &quota.name, quota.interval, quota.burst, who)).max(1)
    }

    /// The place of a key: its own, a free one, or the one that would be free soonest. Who is new on two cores at the same
    /// instant may be counted on two places for that instant.
    #[allow(clippy::cast_possible_truncation, reason = "the low bits choose a set")]
    fn slot(&self, key: u64, now: u64) -> &Slot {
        let set = &self.sets[key as usize % SETS];
        loop {
            let (mut soonest, mut least) = (&set[0], u64::MAX);
            for slot in set {
                if slot.key.load(Relaxed) == key {
                    return slot;
                }
                let until = slot.until.load(Relaxed);
                if until < least {
                    (soonest, least) = (slot, until);
                }
            }
            let former = soonest.key.load(Relaxed);
            if soonest.key.compare_exchange(former, key, Relaxed, Relaxed).is_err() {
                continue;
            }
            if least > now {
                soonest.until.store(0, Relaxed);
                self.forgotten.fetch_add(1, Relaxed);
            }
        }
    }
}

/// What one client has to itself: an address of IPv4, 64 bits of IPv6 (RFC 6177 §2).
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => IpAddr::V6((u128::from(address) & !u128::from(u64::MAX)).into()),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn quota(text: &str) -> Quota {
        Quota::compile(&serde_json::from_str(text).unwrap(), "/orders#default")
    }

    fn passed(limiter: &Limiter, quota: &Quota, who: Counted<'_>, at: Instant, count: usize) -> usize {
        (0..count).filter(|_| limiter.take(quota, who, at).is_ok()).count()
    }

    #[test]
    fn as_many_pass_as_the_burst_and_then_as_the_rate_says() {
        let start = Instant::now();
        let limiter = Limiter::new(start);
        let quota = quota(r#"{"name":"a","rate":"10/s","burst":5}"#);
        let who = Counted::Caller("jwt:corp", "u-1");
        assert_eq!(passed(&limiter, &quota, who, start, 100), 5);
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(passed(&limiter, &quota, who, at(99), 100), 0);
        assert_eq!(limiter.take(&quota, who, at(99)), Err(Duration::from_millis(1)));
        assert_eq!(passed(&limiter, &quota, who, at(100), 100), 1);
        assert_eq!(passed(&limiter, &quota, who, at(350), 100), 2);
        assert_eq!(passed(&limiter, &quota, who, at(100_000), 100), 5, "no more than a burst after a pause");
        let evenly: usize = (0..1_000).map(|n| passed(&limiter, &quota, who, at(200_000 + n * 10), 1)).sum();
        assert_eq!(evenly, 5 + 99, "10 s of 100 a second");
    }

    #[test]
    fn everybody_has_a_count_of_its_own() {
        let start = Instant::now();
        let limiter = Limiter::new(start);
        let one = quota(r#"{"name":"a","rate":"1/m"}"#);
        let address = |text: &str| Counted::Client(text.parse().unwrap());
        let counted = [
            Counted::All,
            Counted::Caller("jwt:corp", "u-1"),
            Counted::Caller("jwt:corp", "u-2"),
            Counted::Caller("api_key:corp", "u-1"),
            address("192.0.2.1"),
            address("192.0.2.2"),
            address("2001:db8:0:1::1"),
            address("2001:db8:0:2::1"),
        ];
        for who in counted {
            assert_eq!(passed(&limiter, &one, who, start, 3), 1, "{who:?}");
        }
        for same in ["::ffff:192.0.2.1", "2001:db8:0:1:ffff::9"] {
            assert_eq!(passed(&limiter, &one, address(same), start, 1), 0, "{same}");
        }
        for other in
            [r#"{"name":"b","rate":"1/m"}"#, r#"{"name":"a","rate":"2/m"}"#, r#"{"name":"a","rate":"1/m","burst":2}"#]
        {
            assert!(limiter.take(&quota(other), Counted::All, start).is_ok(), "{other}");
        }
        let elsewhere = Quota::compile(&serde_json::from_str(r#"{"name":"a","rate":"1/m"}"#).unwrap(), "/pay#default");
        assert!(limiter.take(&elsewhere, Counted::All, start).is_ok());
    }

    #[test]
    fn cores_that_count_together_let_no_more_through() {
        let start = Instant::now();
        let limiter = Limiter::new(start);
        let quota = quota(r#"{"name":"a","rate":"1/h","burst":1000}"#);
        assert_eq!(passed(&limiter, &quota, Counted::All, start, 1), 1);
        let through: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| passed(&limiter, &quota, Counted::All, start, 1_000))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(through, 999);
    }

    #[test]
    fn too_many_callers_are_forgotten_and_counted_and_cost_no_memory() {
        let start = Instant::now();
        let limiter = Limiter::new(start);
        let quota = quota(r#"{"name":"a","rate":"1/h"}"#);
        let name = |n: usize| format!("u-{n}");
        let ask = |n| limiter.take(&quota, Counted::Caller("jwt:corp", &name(n)), start).is_ok();
        assert!((0..40_000).all(ask), "the first of each");
        let again = (0..40_000).filter(|n| ask(*n)).count();
        assert!(again < 400, "{again} were let through twice with a third of all places taken");
        assert!((40_000..SETS * WAYS * 2).all(ask));
        assert!(limiter.forgotten() > 100_000, "{}", limiter.forgotten());
    }

    #[test]
    fn what_has_passed_makes_room() {
        let start = Instant::now();
        let limiter = Limiter::new(start);
        let quota = quota(r#"{"name":"a","rate":"1000/s","burst":1}"#);
        for n in 0..SETS * WAYS * 2 {
            let at = start + Duration::from_millis(n as u64);
            assert!(limiter.take(&quota, Counted::Caller("jwt:corp", &n.to_string()), at).is_ok());
        }
        assert_eq!(limiter.forgotten(), 0);
    }
}
