//! What became of pushes of the figures: cells of the thread that pushes.

use std::sync::atomic::{AtomicU64, Ordering};

use super::exposition::Exposition;
use super::registry;

/// What became of one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PushResult {
    /// The collector took it.
    Taken,
    /// It took it but for some of the figures.
    TakenInPart,
    /// It did not.
    NotTaken,
}

const RESULTS: [(PushResult, &str); 3] =
    [(PushResult::Taken, "taken"), (PushResult::TakenInPart, "taken_in_part"), (PushResult::NotTaken, "not_taken")];

/// How many of each.
#[derive(Default)]
pub(crate) struct PushCells([AtomicU64; RESULTS.len()]);

impl PushCells {
    /// Counts one.
    pub(crate) fn count(&self, result: PushResult) {
        self.0[result as usize].fetch_add(1, Ordering::Relaxed);
    }
}

/// The exposition.
pub(super) fn pushes(out: &mut Exposition, cells: &PushCells) {
    let mut samples = out.family(&registry::METRIC_PUSHES);
    for (result, word) in RESULTS {
        samples.value([word], cells.0[result as usize].load(Ordering::Relaxed));
    }
}
