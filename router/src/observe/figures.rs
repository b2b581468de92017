//! Figures as they stand at one moment, for who sends them elsewhere: what a scrape would be told, unwritten.
//!
//! Must never know where they come from, or where they go.

use super::histogram::{Bound, Sum};
use super::registry::Told;

/// A family with all that is told of it.
pub(crate) struct Figures {
    pub(crate) told: &'static Told,
    pub(crate) points: Vec<Point>,
}

/// One of its samples; of a histogram, all that have the same labels.
pub(crate) struct Point {
    /// In the order in which the registry has their names.
    pub(crate) labels: Vec<String>,
    pub(crate) figure: Figure,
}

/// What a sample says.
#[derive(Debug, PartialEq)]
pub(crate) enum Figure {
    Whole(i64),
    Real(f64),
    Histogram(Buckets),
}

/// A histogram.
#[derive(Debug, PartialEq)]
pub(crate) struct Buckets {
    /// Upper bounds in seconds, which rise and are within their bucket.
    pub(crate) bounds: Vec<f64>,
    /// How many there are in each, and, at last, above all bounds.
    pub(crate) counts: Vec<u64>,
    /// What all of them took together, in seconds.
    pub(crate) sum: f64,
}

impl Buckets {
    /// Those of a sum between the bounds that are shown.
    pub(super) fn of(sum: &Sum, bounds: &[Bound]) -> Self {
        let mut before = 0;
        let up_to = sum.up_to(bounds).map(|(_, count)| count).chain([sum.total()]);
        let counts = up_to.map(|count| count - std::mem::replace(&mut before, count)).collect();
        let bounds = bounds.iter().map(|(power, _)| f64::from(*power).exp2()).collect();
        Self { bounds, counts, sum: sum.seconds() }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u64 {
        self.counts.iter().sum()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::histogram::Histogram;
    use super::*;

    #[test]
    fn buckets_hold_what_lies_between_two_bounds() {
        let histogram = Histogram::default();
        for millis in [0, 500, 501, 1_000, 1_001, 9_000] {
            histogram.count(Duration::from_millis(millis));
        }
        let buckets = Buckets::of(&Sum::of([&histogram]), &[(-1, "0.5"), (0, "1.0"), (3, "8.0")]);
        assert_eq!(buckets, Buckets { bounds: vec![0.5, 1.0, 8.0], counts: vec![2, 2, 1, 1], sum: 12.002 });
        assert_eq!(buckets.count(), 6);
    }
}
