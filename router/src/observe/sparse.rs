//! Counts by a small number, of which few are ever met: methods with classes of status, reasons.
//!
//! One thread writes, any reads. Four places stand where they are needed without asking for memory; more are had when
//! there is more to tell apart. Must never know what is counted.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU8, Ordering};

use super::metrics::CellU64;

const PLACES: usize = 4;

/// The counts.
#[derive(Default)]
pub(super) struct Sparse {
    /// One more than what is counted there; 0 where nothing is yet.
    keys: [AtomicU8; PLACES],
    counts: [CellU64; PLACES],
    more: OnceLock<Box<Sparse>>,
}

impl Sparse {
    /// Counts one of `key`, which is below [`KEYS`].
    pub(super) fn count(&self, key: u8) {
        let mark = key + 1;
        let mut here = self;
        loop {
            for (place, count) in here.keys.iter().zip(&here.counts) {
                let found = place.load(Ordering::Relaxed);
                if found == 0 {
                    place.store(mark, Ordering::Relaxed);
                }
                if found == 0 || found == mark {
                    return count.add(1);
                }
            }
            here = here.more.get_or_init(Box::default);
        }
    }

    /// Every key with its count.
    pub(super) fn each(&self, mut tell: impl FnMut(u8, u64)) {
        let mut next = Some(self);
        while let Some(here) = next {
            for (place, count) in here.keys.iter().zip(&here.counts) {
                if let Some(key) = place.load(Ordering::Relaxed).checked_sub(1) {
                    tell(key, count.value());
                }
            }
            next = here.more.get().map(|more| &**more);
        }
    }
}

/// Keys are below that.
const KEYS: usize = 96;

/// What several of them hold together.
pub(super) struct Sum([u64; KEYS]);

impl Sum {
    /// The sum of several.
    pub(super) fn of<'s>(all: impl IntoIterator<Item = &'s Sparse>) -> Self {
        let mut sum = [0; KEYS];
        all.into_iter().for_each(|one| one.each(|key, count| sum[usize::from(key) % KEYS] += count));
        Self(sum)
    }

    /// Keys that were counted, in their order.
    pub(super) fn counted(&self) -> impl Iterator<Item = (usize, u64)> {
        self.0.iter().copied().enumerate().filter(|(_, count)| *count > 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_comes_back_and_little_memory_is_had() {
        let sparse = Sparse::default();
        for turn in 0..3_u8 {
            for key in 0..=40 {
                (0..=turn).for_each(|_| sparse.count(key * 2));
            }
        }
        let sum = Sum::of([&sparse, &sparse]);
        assert_eq!(sum.counted().collect::<Vec<_>>(), (0..=40).map(|key| (key * 2, 12)).collect::<Vec<_>>());
        assert!(size_of::<Sparse>() <= 56, "{}", size_of::<Sparse>());
        let few = Sparse::default();
        (0..250).for_each(|turn| few.count(turn % 4));
        assert!(few.more.get().is_none());
    }
}
