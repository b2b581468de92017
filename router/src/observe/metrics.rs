//! Counters: cells of each core's own, summed when somebody asks.
//!
//! A core writes its cells and nobody else does, so a count is a load and a store and no locked instruction.
//! Series of routes and destinations are made when they are first needed and dropped when they are gone.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use http::Method;

use super::breakers::breakers;
use super::configuration::configuration;
use super::decisions::{DecisionCells, decisions};
use super::destinations::{DestinationSeries, destinations};
use super::exposition::{Exposition, Format};
use super::figures::Figures;
use super::histogram::{FINE, Histogram, Sum};
use super::listeners::{Certificates, ListenerCells, listeners};
use super::pushes::{PushCells, pushes};
use super::routes::{RouteSeries, routes};
use super::shelf::Shelf;
use super::{Record, process, registry};
use crate::audit::Audit;
use crate::freshness::unix_now;
use crate::reject::Reason;
use crate::services::{Core, Shared};
use crate::snapshot::RoutePlan;
use crate::trace::TraceCounts;
use crate::upstream::Connections;

/// A cell that one thread writes and any may read.
#[derive(Default)]
pub(crate) struct CellU64(AtomicU64);

impl CellU64 {
    pub(crate) fn add(&self, amount: u64) {
        self.0.store(self.0.load(Ordering::Relaxed).wrapping_add(amount), Ordering::Relaxed);
    }

    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Ordering::Relaxed);
    }

    pub(crate) fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// How many reasons there are room for; a test holds it against the list.
const REASONS: usize = 96;

/// The cells of one core.
pub(crate) struct CoreMetrics {
    begun: CellU64,
    ended: CellU64,
    reasons: [CellU64; REASONS],
    phases: PhaseCells,
    pub(crate) accepted: CellU64,
    pub(crate) accept_failures: CellU64,
    pub(crate) connections: CellU64,
    pub(crate) listeners: ListenerCells,
    pub(super) decisions: DecisionCells,
    pub(crate) upstream_idle: CellU64,
    pub(crate) tunnels: CellU64,
    pub(crate) dials: CellU64,
    pub(crate) dials_refused: CellU64,
    pub(crate) routes: Shelf<RouteSeries>,
    /// Of requests that no route took, and of routes that are served no more.
    pub(super) no_route: Arc<RouteSeries>,
    pub(crate) destinations: Shelf<DestinationSeries>,
    pub(crate) upstream_connections: Shelf<Connections>,
}

/// The phases of requests.
#[derive(Default)]
struct PhaseCells {
    router: Histogram,
    resolve: Histogram,
    connect: Histogram,
    tls: Histogram,
    first_byte: Histogram,
}

impl CoreMetrics {
    fn new() -> Self {
        Self {
            begun: CellU64::default(),
            ended: CellU64::default(),
            reasons: std::array::from_fn(|_| CellU64::default()),
            phases: PhaseCells::default(),
            accepted: CellU64::default(),
            accept_failures: CellU64::default(),
            connections: CellU64::default(),
            listeners: ListenerCells::default(),
            decisions: DecisionCells::default(),
            upstream_idle: CellU64::default(),
            tunnels: CellU64::default(),
            dials: CellU64::default(),
            dials_refused: CellU64::default(),
            routes: Shelf::default(),
            no_route: Arc::default(),
            destinations: Shelf::default(),
            upstream_connections: Shelf::default(),
        }
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        self.begun.add(1);
    }

    /// An exchange is over.
    pub(super) fn end(&self, core: &Core, method: Option<&Method>, record: &Record, took: Duration) {
        self.ended.add(1);
        if let Some(reason) = record.reason {
            self.reasons[reason as usize].add(1);
        }
        self.decisions.count(&record.verdicts);
        self.phases.count(record, took);
        let counted = record.route.as_ref().and_then(|route| {
            let same = |one: &RoutePlan| one.id == route.id && one.owner == route.owner;
            let make = || core.serves(record.generation, same).then(|| RouteSeries::new(&route.id, &route.owner));
            core.route_series.with(&self.routes, &route.id, make, |series| series.count(method, record, took))
        });
        if counted.is_none() {
            self.no_route.count(method, record, took);
        }
        if let Some(name) = record.destination.as_ref().filter(|_| record.phases.attempts > 0) {
            let leads = |one: &RoutePlan| one.targets.iter().any(|target| target.destination.name() == name);
            let make = || core.serves(record.generation, leads).then(|| DestinationSeries::new(name));
            core.destination_series.with(&self.destinations, name, make, |series| series.count(record));
        }
    }
}

impl PhaseCells {
    fn count(&self, record: &Record, took: Duration) {
        let phases = &record.phases;
        // What was never handed to a destination was the router's alone.
        self.router.count(phases.decided.unwrap_or(took));
        let others = [
            (&self.resolve, phases.resolve),
            (&self.connect, phases.connect),
            (&self.tls, phases.tls),
            (&self.first_byte, phases.first_byte),
        ];
        for (cells, took) in others {
            if let Some(took) = took {
                cells.count(took);
            }
        }
    }
}

/// All cores together.
pub(crate) struct Metrics {
    pub(crate) cores: Vec<Arc<CoreMetrics>>,
    pub(crate) log_lines_dropped: Arc<AtomicU64>,
    /// Where decisions are noted, when they are.
    pub(crate) audit: Option<Arc<Audit>>,
    /// What became of traces.
    pub(crate) traces: Arc<TraceCounts>,
    /// What became of pushes of all this.
    pub(crate) pushes: Arc<PushCells>,
    /// Of the listeners that speak TLS, in the order of the settings.
    pub(crate) certificates: Vec<Certificates>,
    /// How long the last exposition was; the next will be about as long, and megabytes are not copied to make room.
    pub(crate) length: AtomicUsize,
}

impl Metrics {
    pub(crate) fn new(cores: usize) -> Self {
        process::begin();
        Self {
            cores: (0..cores).map(|_| Arc::new(CoreMetrics::new())).collect(),
            log_lines_dropped: Arc::default(),
            audit: None,
            traces: Arc::default(),
            pushes: Arc::default(),
            certificates: Vec::new(),
            length: AtomicUsize::new(32 * 1_024),
        }
    }

    pub(super) fn sum(&self, cell: impl Fn(&CoreMetrics) -> &CellU64) -> u64 {
        self.cores.iter().map(|core| cell(core).value()).sum()
    }

    /// Requests that are under way.
    pub(crate) fn in_flight(&self) -> u64 {
        self.sum(|core| &core.begun).saturating_sub(self.sum(|core| &core.ended))
    }
}

/// The exposition.
pub(crate) fn render(metrics: &Metrics, shared: &Shared, age_seconds: f64, format: Format) -> String {
    let expected = metrics.length.load(Ordering::Relaxed);
    let mut out = Exposition::new(format, expected + expected / 16);
    tell(&mut out, metrics, shared, age_seconds);
    let out = out.finish();
    metrics.length.store(out.len(), Ordering::Relaxed);
    out
}

/// The same as figures.
pub(crate) fn figures(metrics: &Metrics, shared: &Shared, age_seconds: f64) -> Vec<Figures> {
    let mut out = Exposition::gathering();
    tell(&mut out, metrics, shared, age_seconds);
    out.into_figures()
}

fn tell(out: &mut Exposition, metrics: &Metrics, shared: &Shared, age_seconds: f64) {
    requests(out, metrics);
    routes(out, metrics);
    decisions(out, metrics);
    out.single(&registry::LOCKOUTS, shared.passwords.lockouts());
    out.single(&registry::LOCKOUTS_TRIED, shared.passwords.lockouts_tried());
    out.single(&registry::LIMITS_FORGOTTEN, shared.limiter.forgotten());
    let [answered, failed] = shared.hints.counts();
    let mut samples = out.family(&registry::KEY_HINTS);
    samples.value(["answered"], answered);
    samples.value(["failed"], failed);
    destinations(out, metrics);
    breakers(out, &shared.breakers);
    connections(out, metrics);
    listeners(out, metrics, unix_now());
    configuration(out, &shared.store, age_seconds, shared.too_old.load(Ordering::Relaxed));
    out.single(&registry::LOG_DROPPED, metrics.log_lines_dropped.load(Ordering::Relaxed));
    out.single(&registry::AUDIT_LOST, metrics.audit.as_ref().map_or(0, |audit| audit.lost()));
    traces(out, &metrics.traces);
    pushes(out, &metrics.pushes);
    process::process(out);
}

fn requests(out: &mut Exposition, metrics: &Metrics) {
    out.single(&registry::ACTIVE_REQUESTS, metrics.in_flight());
    let mut samples = out.family(&registry::REJECTIONS);
    for reason in Reason::all() {
        let count = metrics.sum(|core| &core.reasons[reason as usize]);
        if count > 0 {
            samples.value([reason.code(), reason.fault().word()], count);
        }
    }
    let mut samples = out.family(&registry::PHASES);
    let mut phase = |name: &str, cells: fn(&PhaseCells) -> &Histogram| {
        let sum = Sum::of(metrics.cores.iter().map(|core| cells(&core.phases)));
        samples.histogram([name], &sum, FINE);
    };
    phase("router", |phases| &phases.router);
    phase("resolve", |phases| &phases.resolve);
    phase("connect", |phases| &phases.connect);
    phase("tls", |phases| &phases.tls);
    phase("first_byte", |phases| &phases.first_byte);
}

fn traces(out: &mut Exposition, counts: &TraceCounts) {
    out.single(&registry::TRACES_EXPORTED, counts.exported());
    let mut samples = out.family(&registry::TRACES_DROPPED);
    counts.dropped().iter().for_each(|(why, count)| samples.value([why], *count));
    out.single(&registry::TRACE_FAILURES, counts.failures());
}

fn connections(out: &mut Exposition, metrics: &Metrics) {
    out.single(&registry::CONNECTIONS, metrics.sum(|core| &core.connections));
    let mut samples = out.family(&registry::CORE_CONNECTIONS);
    for (index, core) in metrics.cores.iter().enumerate() {
        samples.value([&index.to_string()], core.connections.value());
    }
    out.single(&registry::ACCEPTED, metrics.sum(|core| &core.accepted));
    out.single(&registry::ACCEPT_FAILURES, metrics.sum(|core| &core.accept_failures));
    out.single(&registry::IDLE, metrics.sum(|core| &core.upstream_idle));
    out.single(&registry::TUNNELS, metrics.sum(|core| &core.tunnels));
    out.single(&registry::DIALS, metrics.sum(|core| &core.dials));
    out.single(&registry::DIALS_REFUSED, metrics.sum(|core| &core.dials_refused));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_cell_for_every_reason() {
        assert!(Reason::all().count() <= REASONS);
    }
}
