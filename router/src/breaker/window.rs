//! What became of the requests of the last moments, counted by one core.
//!
//! One core writes, every core reads: a count is a load and a store and no locked instruction. Times are slices of the
//! breaker's window, numbered. Must never know what is done with the counts.

use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::{Acquire, Relaxed, Release};

/// Slices that a window consists of: what is counted is never older than the window, and at most a tenth younger.
pub(super) const SLICES: u64 = COUNT as u64;
const COUNT: usize = 10;

/// Requests that are over, and how many of them failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    pub(crate) attempts: u64,
    pub(crate) failures: u64,
}

/// The counts of one core, on cache lines that no other core writes.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Window([Slice; COUNT]);

#[derive(Default)]
struct Slice {
    /// Which slice it is, and of which era.
    tag: AtomicU64,
    /// Attempts in the upper half, failures in the lower.
    counts: AtomicU64,
}

impl Window {
    /// Counts one request. Only its own core may.
    pub(super) fn count(&self, era: u32, number: u64, failed: bool) {
        let Slice { tag, counts } = self.slice(number);
        let now = tag_of(era, number);
        if tag.load(Relaxed) != now {
            counts.store(0, Relaxed);
            // Who sees the new tag sees none of the old counts.
            tag.store(now, Release);
        }
        let before = counts.load(Relaxed);
        let full = before >> 32 == u64::from(u32::MAX);
        let after = if full { before } else { before + (1 << 32) + u64::from(failed) };
        counts.store(after, Relaxed);
    }

    /// What was counted in the window that ends with the slice `number`.
    pub(super) fn sum(&self, era: u32, number: u64) -> Counts {
        let mut sum = Counts::default();
        for number in number.saturating_sub(SLICES - 1)..=number {
            let Slice { tag, counts } = self.slice(number);
            if tag.load(Acquire) == tag_of(era, number) {
                let counts = counts.load(Relaxed);
                sum.attempts += counts >> 32;
                sum.failures += counts & u64::from(u32::MAX);
            }
        }
        sum
    }

    #[allow(clippy::cast_possible_truncation, reason = "the rest of a division by ten")]
    fn slice(&self, number: u64) -> &Slice {
        &self.0[(number % SLICES) as usize]
    }
}

/// Never that of an empty slice. Eras that have the same lower half lie 65 536 openings apart.
fn tag_of(era: u32, number: u64) -> u64 {
    (u64::from(era) << 48) | ((number + 1) & ((1 << 48) - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_older_than_the_window_is_not_counted_and_what_is_of_another_era_never_was() {
        let window = Window::default();
        for number in 0..25 {
            window.count(0, number, number % 2 == 0);
            let seen = (number + 1).min(SLICES);
            let failures = (0..=number).rev().take(10).filter(|one| one % 2 == 0).count() as u64;
            assert_eq!(window.sum(0, number), Counts { attempts: seen, failures }, "{number}");
        }
        assert_eq!(window.sum(0, 30).attempts, 4);
        assert_eq!(window.sum(0, 34), Counts::default());
        assert_eq!(window.sum(1, 24), Counts::default());
        window.count(1, 24, true);
        assert_eq!(window.sum(1, 24), Counts { attempts: 1, failures: 1 });
        assert_eq!(window.sum(0, 24).attempts, 9, "the slice is the new era's");
    }

    #[test]
    fn a_slice_that_is_full_keeps_its_share() {
        let window = Window::default();
        window.count(0, 0, true);
        window.slice(0).counts.store(u64::MAX << 32 | 7, Relaxed);
        window.count(0, 0, true);
        assert_eq!(window.sum(0, 0), Counts { attempts: u64::from(u32::MAX), failures: 7 });
    }

    #[test]
    fn cores_do_not_share_cache_lines() {
        assert_eq!(size_of::<Window>() % 128, 0);
    }
}
