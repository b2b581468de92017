//! Durations counted in buckets of exponential width, by one thread, read by any.
//!
//! The buckets are those of a Prometheus native histogram of schema 2: four to every doubling, with bounds of
//! 2^(n/4) seconds, so one could be exposed as it is. What is estimated from them is off by less than 9 %
//! ((2^¼ − 1) ÷ (2^¼ + 1), within the bucket). Memory is had when it is first needed, sixteen buckets at a time:
//! what takes about as long every time needs one or two pieces. Must never know what took so long.

use std::sync::OnceLock;
use std::time::Duration;

use super::metrics::CellU64;

/// The first bucket holds all that took up to 2^LOWEST seconds, which is 15 µs.
const LOWEST: i32 = -16;
/// Buckets to every doubling, and doublings: the last bucket holds all that took longer than 2^7.5 seconds, three minutes.
const STEPS: usize = 4;
const DOUBLINGS: usize = 24;
const BUCKETS: usize = STEPS * DOUBLINGS;
/// Buckets that are made at once.
const PIECE: usize = 16;

/// What is behind the point of 1, 2^¼, 2^½ and 2^¾.
const MANTISSA: u64 = (1 << 52) - 1;
const WITHIN: [u64; STEPS] = [
    0,
    1.189_207_115_002_721_f64.to_bits() & MANTISSA,
    std::f64::consts::SQRT_2.to_bits() & MANTISSA,
    1.681_792_830_507_429_f64.to_bits() & MANTISSA,
];

/// A bound that is shown: a power of two in seconds, and how it is written; as a float in both forms, 1.0 and not 1.
pub(super) type Bound = (i32, &'static str);

/// Of what there is one for each route or destination: fine where private APIs answer and coarse elsewhere, because
/// every bound is a line for each of them.
pub(super) const COARSE: &[Bound] = &[
    (-10, "0.0009765625"),
    (-8, "0.00390625"),
    (-6, "0.015625"),
    (-5, "0.03125"),
    (-4, "0.0625"),
    (-3, "0.125"),
    (-2, "0.25"),
    (-1, "0.5"),
    (0, "1.0"),
    (1, "2.0"),
    (3, "8.0"),
    (5, "32.0"),
];

/// Of what there is once.
pub(super) const FINE: &[Bound] = &[
    (-16, "0.0000152587890625"),
    (-15, "0.000030517578125"),
    (-14, "0.00006103515625"),
    (-13, "0.0001220703125"),
    (-12, "0.000244140625"),
    (-11, "0.00048828125"),
    (-10, "0.0009765625"),
    (-9, "0.001953125"),
    (-8, "0.00390625"),
    (-7, "0.0078125"),
    (-6, "0.015625"),
    (-5, "0.03125"),
    (-4, "0.0625"),
    (-3, "0.125"),
    (-2, "0.25"),
    (-1, "0.5"),
    (0, "1.0"),
    (1, "2.0"),
    (2, "4.0"),
    (3, "8.0"),
    (4, "16.0"),
    (5, "32.0"),
];

/// The cells.
#[derive(Default)]
pub(super) struct Histogram {
    nanos: CellU64,
    pieces: [OnceLock<Box<[CellU64; PIECE]>>; BUCKETS / PIECE],
}

impl Histogram {
    /// Counts one.
    pub(super) fn count(&self, took: Duration) {
        self.nanos.add(u64::try_from(took.as_nanos()).unwrap_or(u64::MAX));
        let bucket = bucket(took);
        let piece = self.pieces[bucket / PIECE].get_or_init(Box::default);
        piece[bucket % PIECE].add(1);
    }

    /// Adds what is in it.
    pub(super) fn sum_up(&self, sum: &mut Sum) {
        sum.nanos = sum.nanos.wrapping_add(self.nanos.value());
        for (index, piece) in self.pieces.iter().enumerate() {
            let Some(piece) = piece.get() else { continue };
            for (total, cell) in sum.buckets[index * PIECE..].iter_mut().zip(&**piece) {
                *total += cell.value();
            }
        }
    }
}

/// What several of them hold together.
pub(super) struct Sum {
    nanos: u64,
    buckets: [u64; BUCKETS],
}

impl Default for Sum {
    fn default() -> Self {
        Self { nanos: 0, buckets: [0; BUCKETS] }
    }
}

impl Sum {
    /// The sum of several.
    pub(super) fn of<'h>(histograms: impl IntoIterator<Item = &'h Histogram>) -> Self {
        let mut sum = Self::default();
        histograms.into_iter().for_each(|one| one.sum_up(&mut sum));
        sum
    }

    /// How many took up to each of the bounds, which rise.
    pub(super) fn up_to<'b>(&self, bounds: &'b [Bound]) -> impl Iterator<Item = (&'b str, u64)> {
        let (mut below, mut next) = (0, 0);
        bounds.iter().map(move |&(power, text)| {
            let end = usize::try_from(power - LOWEST).map_or(0, |doublings| doublings * STEPS + 1).min(BUCKETS);
            below += self.buckets[next..end].iter().sum::<u64>();
            next = end;
            (text, below)
        })
    }

    /// How many there are.
    pub(super) fn total(&self) -> u64 {
        self.buckets.iter().sum()
    }

    /// What they took together.
    #[allow(clippy::cast_precision_loss, reason = "what is lost is below a microsecond")]
    pub(super) fn seconds(&self) -> f64 {
        self.nanos as f64 / 1e9
    }
}

/// Bucket n holds what is longer than 2^((n − 1) / 4 + LOWEST) seconds and no longer than 2^(n / 4 + LOWEST).
fn bucket(took: Duration) -> usize {
    let bits = took.as_secs_f64().to_bits();
    let doublings = i32::try_from(bits >> 52).unwrap_or(0) - 1_023 - LOWEST;
    let Ok(doublings) = usize::try_from(doublings) else { return 0 };
    let within = WITHIN.iter().filter(|bound| bits & MANTISSA > **bound).count();
    (doublings * STEPS + within).min(BUCKETS - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_duration_is_in_the_bucket_whose_bounds_hold_it() {
        let bound = |bucket: usize| 2_f64.powf(bucket as f64 / STEPS as f64 + f64::from(LOWEST));
        for step in 0..200_000_u64 {
            // From a nanosecond to an hour and a half, in steps of a part in ten thousand.
            let nanos = 1.000_146_5_f64.powi(i32::try_from(step).unwrap());
            let took = Duration::from_secs_f64(nanos / 1e9);
            let (found, seconds) = (bucket(took), took.as_secs_f64());
            assert!(found == BUCKETS - 1 || seconds <= bound(found) * (1.0 + 1e-12), "{took:?} in {found}");
            assert!(found == 0 || seconds > bound(found - 1) * (1.0 - 1e-12), "{took:?} in {found}");
        }
        assert_eq!(bucket(Duration::ZERO), 0);
        assert_eq!(bucket(Duration::MAX), BUCKETS - 1);
    }

    #[test]
    fn bounds_are_inclusive_and_sums_are_whole() {
        let histogram = Histogram::default();
        for took in
            [Duration::ZERO, Duration::from_secs(1), Duration::from_nanos(1_000_000_001), Duration::from_secs(9)]
        {
            histogram.count(took);
        }
        let sum = Sum::of([&histogram, &histogram]);
        let bounds = [(-16, "a"), (-1, "b"), (0, "c"), (1, "d"), (3, "e"), (5, "f")];
        let counts: Vec<_> = sum.up_to(&bounds).map(|(_, count)| count).collect();
        assert_eq!(counts, [2, 2, 4, 6, 6, 8]);
        assert_eq!(sum.total(), 8);
        assert!((sum.seconds() - 22.000_000_002).abs() < 1e-9);
        for (power, text) in COARSE.iter().chain(FINE) {
            assert!((LOWEST..=7).contains(power) && text.contains('.'), "{text}");
            assert_eq!(text.parse(), Ok(f64::from(*power).exp2()), "{power}");
        }
    }

    #[test]
    fn memory_is_had_where_durations_are() {
        let histogram = Histogram::default();
        assert!(size_of::<Histogram>() <= 104, "{}", size_of::<Histogram>());
        (10..=50).for_each(|millis| histogram.count(Duration::from_millis(millis)));
        assert_eq!(histogram.pieces.iter().filter(|piece| piece.get().is_some()).count(), 1);
    }
}
