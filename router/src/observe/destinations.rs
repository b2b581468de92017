//! What is counted of each destination, by the boundary's name for it: attempts, answers, failures, connections, times.
//!
//! Bounded by what is served: series are made when a destination is first asked and go with it. Must never know an
//! address.

use std::collections::{BTreeMap, HashSet};
use std::sync::{Arc, OnceLock};

use super::exposition::Exposition;
use super::histogram::{self, COARSE, Histogram};
use super::metrics::{CellU64, Metrics};
use super::routes::{CLASS_WORDS, class};
use super::sparse::{self, Sparse};
use super::{Record, registry};
use crate::reject::{Fault, Reason};

/// The cells of one destination on one core.
#[derive(Default)]
pub(crate) struct DestinationSeries {
    name: Arc<str>,
    attempts: CellU64,
    reused: CellU64,
    answers: [CellU64; CLASS_WORDS.len()],
    failures: OnceLock<Box<Sparse>>,
    connect: Histogram,
    first_byte: Histogram,
}

impl DestinationSeries {
    pub(super) fn new(name: &Arc<str>) -> Self {
        Self { name: Arc::clone(name), ..Self::default() }
    }

    /// Whether it is that of a destination that is served.
    pub(crate) fn is_in(&self, served: &HashSet<&str>) -> bool {
        served.contains(&*self.name)
    }

    /// Counts a request that is over.
    pub(super) fn count(&self, record: &Record) {
        let phases = &record.phases;
        self.attempts.add(phases.attempts.into());
        if phases.reused {
            self.reused.add(1);
        }
        if let Some(first_byte) = phases.first_byte {
            self.first_byte.count(first_byte);
            self.answers[usize::from(class(record.status))].add(1);
        }
        if let Some(connect) = phases.connect {
            self.connect.count(connect + phases.tls.unwrap_or_default());
        }
        if let Some(reason) = record.reason.filter(|reason| is_theirs(*reason)) {
            self.failures.get_or_init(Box::default).count(reason as u8);
        }
    }
}

/// Whether a request that a destination was asked came to nothing there.
fn is_theirs(reason: Reason) -> bool {
    reason.fault() == Fault::Destination || reason == Reason::DestinationAddressForbidden
}

/// The exposition.
pub(super) fn destinations(out: &mut Exposition, metrics: &Metrics) {
    let mut all = BTreeMap::<Arc<str>, Vec<Arc<DestinationSeries>>>::new();
    for series in metrics.cores.iter().flat_map(|core| core.destinations.all()) {
        all.entry(Arc::clone(&series.name)).or_default().push(series);
    }
    let sum = |cores: &[Arc<DestinationSeries>], cell: &dyn Fn(&DestinationSeries) -> &CellU64| -> u64 {
        cores.iter().map(|series| cell(series).value()).sum()
    };
    let mut samples = out.family(&registry::ATTEMPTS);
    for (name, cores) in &all {
        samples.value([name], sum(cores, &|series| &series.attempts));
    }
    let mut samples = out.family(&registry::DESTINATION_ANSWERS);
    for (name, cores) in &all {
        for (class, word) in CLASS_WORDS.iter().enumerate() {
            let count = sum(cores, &|series| &series.answers[class]);
            if count > 0 {
                samples.value([name, word], count);
            }
        }
    }
    let mut samples = out.family(&registry::DESTINATION_FAILURES);
    let reasons: Vec<Reason> = Reason::all().collect();
    for (name, cores) in &all {
        let failures = cores.iter().filter_map(|series| series.failures.get());
        for (key, count) in sparse::Sum::of(failures.map(|sparse| &**sparse)).counted() {
            samples.value([name, reasons[key].code()], count);
        }
    }
    let mut samples = out.family(&registry::DESTINATION_REUSED);
    for (name, cores) in &all {
        samples.value([name], sum(cores, &|series| &series.reused));
    }
    let mut samples = out.family(&registry::DESTINATION_CONNECT);
    for (name, cores) in &all {
        let sum = histogram::Sum::of(cores.iter().map(|series| &series.connect));
        samples.histogram([name], &sum, COARSE);
    }
    let mut samples = out.family(&registry::DESTINATION_FIRST_BYTE);
    for (name, cores) in &all {
        let sum = histogram::Sum::of(cores.iter().map(|series| &series.first_byte));
        samples.histogram([name], &sum, COARSE);
    }
    connections(out, metrics);
}

fn connections(out: &mut Exposition, metrics: &Metrics) {
    let mut all = BTreeMap::<Arc<str>, [u64; 4]>::new();
    for one in metrics.cores.iter().flat_map(|core| core.upstream_connections.all()) {
        let sums = all.entry(Arc::clone(one.name())).or_default();
        let counts = [one.open(), one.idle(), one.sessions(), one.streams()];
        sums.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
    }
    let mut samples = out.family(&registry::OPEN_CONNECTIONS);
    for (name, [open, idle, _, _]) in &all {
        samples.value([name, "active"], open.saturating_sub(*idle));
        samples.value([name, "idle"], *idle);
    }
    let mut samples = out.family(&registry::SESSIONS);
    for (name, [_, _, sessions, _]) in &all {
        samples.value([name], *sessions);
    }
    let mut samples = out.family(&registry::STREAMS);
    for (name, [_, _, _, streams]) in &all {
        samples.value([name], *streams);
    }
}
