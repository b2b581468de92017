//! Connections from the grammar, each given to the codec, the strict oracle and hyper.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use super::{against_hyper, grammar, requests};
use fastrand::Rng;

/// What came of a run.
#[derive(Debug, Default)]
pub struct Tally {
    /// Connections that were made.
    pub connections: u64,
    /// Requests that codec and hyper saw alike.
    pub alike: u64,
    /// How often each entry of the closed list ended a comparison.
    pub differences: BTreeMap<String, u64>,
    /// Bytes that broke a property: at most a hundred.
    pub findings: Vec<Vec<u8>>,
}

/// Makes so many connections from a seed and checks them all.
pub fn run(seed: u64, connections: u64) -> Tally {
    let mut rng = Rng::with_seed(seed);
    let mut tally = Tally::default();
    for _ in 0..connections {
        let bytes = grammar::connection(&mut rng);
        tally.connections += 1;
        let outcome = catch_unwind(AssertUnwindSafe(|| {
            requests::check(&bytes);
            against_hyper::compare(&bytes)
        }));
        match outcome {
            Ok(outcome) => {
                tally.alike += outcome.alike;
                if let Some(difference) = outcome.difference {
                    *tally.differences.entry(format!("{difference:?}")).or_default() += 1;
                }
            }
            Err(_) if tally.findings.len() < 100 => tally.findings.push(bytes),
            Err(_) => {}
        }
    }
    tally
}
