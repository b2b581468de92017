//! How often who was let pass and refused, and who would have been: cells of each core's own.
//!
//! Bounded by what there is: layers, kinds of demands, modes. Which policy it was stands in the access log.

use postern_config::document::Mode;

use super::exposition::Exposition;
use super::metrics::{CellU64, Metrics};
use super::registry;
use crate::rights::{Kind, LAYERS, Verdict};

const MODES: [Mode; 2] = [Mode::Enforce, Mode::Shadow];
const VERDICTS: [&str; 2] = ["denied", "allowed"];
const COUNT: usize = LAYERS.len() * Kind::ALL.len() * MODES.len() * VERDICTS.len();

/// One cell for each layer, kind, mode and verdict.
pub(crate) struct DecisionCells([CellU64; COUNT]);

impl Default for DecisionCells {
    fn default() -> Self {
        Self(std::array::from_fn(|_| CellU64::default()))
    }
}

impl DecisionCells {
    /// Counts what was decided of one request.
    pub(super) fn count(&self, verdicts: &[Verdict]) {
        for verdict in verdicts {
            let mode = usize::from(verdict.mode == Mode::Shadow);
            self.0[place(verdict.layer.index(), verdict.kind as usize, mode, usize::from(verdict.allowed))].add(1);
        }
    }
}

fn place(layer: usize, kind: usize, mode: usize, verdict: usize) -> usize {
    ((layer * Kind::ALL.len() + kind) * MODES.len() + mode) * VERDICTS.len() + verdict
}

/// The exposition.
pub(super) fn decisions(out: &mut Exposition, metrics: &Metrics) {
    let mut samples = out.family(&registry::DECISIONS);
    for (layer, layer_word) in LAYERS.iter().enumerate() {
        for kind in Kind::ALL {
            for (mode, in_mode) in MODES.iter().enumerate() {
                for (verdict, verdict_word) in VERDICTS.iter().enumerate() {
                    let at = place(layer, kind as usize, mode, verdict);
                    let count = metrics.sum(|core| &core.decisions.0[at]);
                    if count > 0 {
                        samples.value([layer_word, kind.word(), in_mode.word(), verdict_word], count);
                    }
                }
            }
        }
    }
}
