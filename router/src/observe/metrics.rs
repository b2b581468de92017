//! Counters: cells of each core's own, summed when somebody asks.
//!
//! A core writes its cells and nobody else does, so a count is a load and a store and no locked instruction.
//! Series of routes are made when a route is first used and dropped when it is gone.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt::Write;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::Record;
use super::decisions::{DecisionCells, decisions};
use super::listeners::{Certificates, ListenerCells, listeners};
use crate::audit::Audit;
use crate::freshness::unix_now;
use crate::reject::Reason;
use crate::rights::Verdict;
use crate::services::Core;
use crate::snapshot::store::Store;

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
/// Upper bounds of the duration's buckets, in microseconds.
const BUCKETS: [u64; 14] = [
    250, 500, 1_000, 2_500, 5_000, 10_000, 25_000, 50_000, 100_000, 250_000, 500_000, 1_000_000, 5_000_000, 30_000_000,
];

/// The cells of one core.
pub(crate) struct CoreMetrics {
    begun: CellU64,
    ended: CellU64,
    reasons: [CellU64; REASONS],
    buckets: [CellU64; BUCKETS.len() + 1],
    duration_micros: CellU64,
    pub(crate) accepted: CellU64,
    pub(crate) accept_failures: CellU64,
    pub(crate) connections: CellU64,
    pub(crate) listeners: ListenerCells,
    pub(super) decisions: DecisionCells,
    pub(crate) upstream_idle: CellU64,
    pub(crate) tunnels: CellU64,
    pub(crate) dials: CellU64,
    pub(crate) dials_refused: CellU64,
    /// Shared with whoever scrapes; the core has its own index to it.
    series: Mutex<HashMap<Arc<str>, Arc<RouteSeries>>>,
}

/// The cells of one route on one core.
pub(crate) struct RouteSeries {
    owner: Arc<str>,
    /// By class of status, 1xx to 5xx.
    classes: [CellU64; 5],
    duration_micros: CellU64,
    /// Requests that would have been refused, had it been insisted on.
    shadow_denials: CellU64,
}

impl CoreMetrics {
    fn new() -> Self {
        Self {
            begun: CellU64::default(),
            ended: CellU64::default(),
            reasons: std::array::from_fn(|_| CellU64::default()),
            buckets: std::array::from_fn(|_| CellU64::default()),
            duration_micros: CellU64::default(),
            accepted: CellU64::default(),
            accept_failures: CellU64::default(),
            connections: CellU64::default(),
            listeners: ListenerCells::default(),
            decisions: DecisionCells::default(),
            upstream_idle: CellU64::default(),
            tunnels: CellU64::default(),
            dials: CellU64::default(),
            dials_refused: CellU64::default(),
            series: Mutex::default(),
        }
    }

    /// A request has come.
    pub(super) fn begin(&self) {
        self.begun.add(1);
    }

    /// An exchange is over.
    pub(super) fn end(&self, core: &Core, record: &Record, took: Duration) {
        self.ended.add(1);
        let micros = u64::try_from(took.as_micros()).unwrap_or(u64::MAX);
        self.duration_micros.add(micros);
        let bucket = BUCKETS.iter().position(|bound| micros <= *bound).unwrap_or(BUCKETS.len());
        self.buckets[bucket].add(1);
        if let Some(reason) = record.reason {
            self.reasons[reason as usize].add(1);
        }
        self.decisions.count(&record.verdicts);
        if let Some(route) = &record.route {
            let series = core.series(&route.id, || self.register(&route.id, &route.owner));
            let class = usize::from(record.status / 100).clamp(1, 5) - 1;
            series.classes[class].add(1);
            series.duration_micros.add(micros);
            if record.verdicts.iter().any(Verdict::is_shadow_denial) {
                series.shadow_denials.add(1);
            }
        }
    }

    fn register(&self, id: &Arc<str>, owner: &Arc<str>) -> Arc<RouteSeries> {
        let fresh = || {
            Arc::new(RouteSeries {
                owner: Arc::clone(owner),
                classes: std::array::from_fn(|_| CellU64::default()),
                duration_micros: CellU64::default(),
                shadow_denials: CellU64::default(),
            })
        };
        let mut series = self.series.lock().unwrap_or_else(PoisonError::into_inner);
        Arc::clone(series.entry(Arc::clone(id)).or_insert_with(fresh))
    }

    /// Drops the series of routes that are gone.
    pub(crate) fn retain(&self, served: &HashSet<&str>) {
        self.series.lock().unwrap_or_else(PoisonError::into_inner).retain(|id, _| served.contains(&**id));
    }
}

/// All cores together.
pub(crate) struct Metrics {
    pub(crate) cores: Vec<Arc<CoreMetrics>>,
    pub(crate) log_lines_dropped: Arc<AtomicU64>,
    /// Where decisions are noted, when they are.
    pub(crate) audit: Option<Arc<Audit>>,
    /// Of the listeners that speak TLS, in the order of the settings.
    pub(crate) certificates: Vec<Certificates>,
}

impl Metrics {
    pub(crate) fn new(cores: usize) -> Self {
        Self {
            cores: (0..cores).map(|_| Arc::new(CoreMetrics::new())).collect(),
            log_lines_dropped: Arc::default(),
            audit: None,
            certificates: Vec::new(),
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

/// The exposition (Prometheus text format 0.0.4).
pub(crate) fn render(metrics: &Metrics, store: &Store, key_hints: [u64; 2], lockouts: u64, age_seconds: f64) -> String {
    let mut out = String::with_capacity(8_192);
    requests(&mut out, metrics);
    routes(&mut out, metrics);
    decisions(&mut out, metrics);
    connections(&mut out, metrics);
    listeners(&mut out, metrics, unix_now());
    hints(&mut out, key_hints);
    let name = "postern_password_lockouts_total";
    single(&mut out, name, "counter", "Clients told to wait after too many wrong passwords.", lockouts);
    configuration(&mut out, store, age_seconds);
    out
}

pub(super) fn family(out: &mut String, name: &str, kind: &str, help: &str) {
    let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} {kind}");
}

pub(super) fn single(out: &mut String, name: &str, kind: &str, help: &str, value: impl std::fmt::Display) {
    family(out, name, kind, help);
    let _ = writeln!(out, "{name} {value}");
}

fn requests(out: &mut String, metrics: &Metrics) {
    single(out, "postern_requests_in_flight", "gauge", "Requests under way.", metrics.in_flight());
    let name = "postern_rejections_total";
    family(out, name, "counter", "Requests that the router answered by itself, or that broke off, by reason.");
    for reason in Reason::all() {
        let count = metrics.sum(|core| &core.reasons[reason as usize]);
        if count > 0 {
            let _ = writeln!(out, "{name}{{reason=\"{}\",fault=\"{}\"}} {count}", reason.code(), reason.fault().word());
        }
    }
    let name = "postern_request_duration_seconds";
    family(out, name, "histogram", "From a request's head to its answer's last byte.");
    let mut below = 0;
    for (index, bound) in BUCKETS.iter().enumerate() {
        below += metrics.sum(|core| &core.buckets[index]);
        let _ = writeln!(out, "{name}_bucket{{le=\"{}\"}} {below}", seconds(*bound));
    }
    let count = below + metrics.sum(|core| &core.buckets[BUCKETS.len()]);
    let _ = writeln!(out, "{name}_bucket{{le=\"+Inf\"}} {count}");
    let _ = writeln!(out, "{name}_sum {}", seconds(metrics.sum(|core| &core.duration_micros)));
    let _ = writeln!(out, "{name}_count {count}");
}

#[allow(clippy::cast_precision_loss, reason = "microseconds of a process's life fit")]
fn seconds(micros: u64) -> f64 {
    micros as f64 / 1e6
}

/// How often the syncer was asked for keys before their time.
fn hints(out: &mut String, [answered, failed]: [u64; 2]) {
    let name = "postern_key_hints_total";
    family(out, name, "counter", "Questions to the syncer for an issuer's keys, by what they led to.");
    let _ = writeln!(out, "{name}{{result=\"answered\"}} {answered}");
    let _ = writeln!(out, "{name}{{result=\"failed\"}} {failed}");
}

/// Owner, answers by class of status, microseconds, requests that would have been refused.
type Totals = (Arc<str>, [u64; 5], u64, u64);

fn routes(out: &mut String, metrics: &Metrics) {
    let mut totals: BTreeMap<Arc<str>, Totals> = BTreeMap::new();
    for core in &metrics.cores {
        for (id, series) in core.series.lock().unwrap_or_else(PoisonError::into_inner).iter() {
            let total = totals.entry(Arc::clone(id)).or_insert_with(|| (Arc::clone(&series.owner), [0; 5], 0, 0));
            for (sum, cell) in total.1.iter_mut().zip(&series.classes) {
                *sum += cell.value();
            }
            total.2 += series.duration_micros.value();
            total.3 += series.shadow_denials.value();
        }
    }
    let name = "postern_requests_total";
    family(out, name, "counter", "Requests by route, owner and class of status.");
    for (id, (owner, classes, ..)) in &totals {
        for (index, count) in classes.iter().enumerate().filter(|(_, count)| **count > 0) {
            let _ = writeln!(out, "{name}{{route=\"{id}\",owner=\"{owner}\",status=\"{}xx\"}} {count}", index + 1);
        }
    }
    let name = "postern_route_duration_seconds_total";
    family(out, name, "counter", "Time spent on a route's requests.");
    for (id, (owner, _, micros, _)) in &totals {
        let _ = writeln!(out, "{name}{{route=\"{id}\",owner=\"{owner}\"}} {}", seconds(*micros));
    }
    let name = "postern_shadow_denials_total";
    family(out, name, "counter", "Requests that policies with mode: shadow would have refused.");
    for (id, (owner, .., denials)) in totals.iter().filter(|(_, total)| total.3 > 0) {
        let _ = writeln!(out, "{name}{{route=\"{id}\",owner=\"{owner}\"}} {denials}");
    }
}

fn connections(out: &mut String, metrics: &Metrics) {
    let open = metrics.sum(|core| &core.connections);
    single(out, "postern_connections", "gauge", "Open connections of clients.", open);
    let name = "postern_core_connections";
    family(out, name, "gauge", "Open connections of clients, by core.");
    for (index, core) in metrics.cores.iter().enumerate() {
        let _ = writeln!(out, "{name}{{core=\"{index}\"}} {}", core.connections.value());
    }
    let accepted = metrics.sum(|core| &core.accepted);
    single(out, "postern_connections_accepted_total", "counter", "Connections taken.", accepted);
    let failures = metrics.sum(|core| &core.accept_failures);
    single(out, "postern_accept_failures_total", "counter", "Connections that could not be taken.", failures);
    let idle = metrics.sum(|core| &core.upstream_idle);
    single(out, "postern_destination_connections_idle", "gauge", "Kept connections to destinations.", idle);
    let tunnels = metrics.sum(|core| &core.tunnels);
    single(out, "postern_tunnels", "gauge", "Open WebSockets.", tunnels);
    let dials = metrics.sum(|core| &core.dials);
    single(out, "postern_dials_total", "counter", "Sockets opened to destinations.", dials);
    let refused = metrics.sum(|core| &core.dials_refused);
    single(out, "postern_dials_refused_total", "counter", "Resolved addresses that were not dialled.", refused);
    let dropped = metrics.log_lines_dropped.load(Ordering::Relaxed);
    single(out, "postern_access_log_dropped_total", "counter", "Lines of the access log that were dropped.", dropped);
    if let Some(audit) = &metrics.audit {
        single(out, "postern_audit_lost_total", "counter", "Lines of the audit log that were lost.", audit.lost());
    }
}

fn configuration(out: &mut String, store: &Store, age_seconds: f64) {
    let live = store.live();
    let status = store.status().clone();
    let generation = live.as_ref().map_or(0, |live| live.header.generation);
    single(out, "postern_config_generation", "gauge", "The generation that is served; 0 for none.", generation);
    single(
        out,
        "postern_config_age_seconds",
        "gauge",
        "Since the stores were last seen to agree with it.",
        age_seconds,
    );
    single(out, "postern_config_loads_total", "counter", "Files that went live.", status.loads);
    let name = "postern_config_load_failures_total";
    family(out, name, "counter", "Files that did not go live, by reason.");
    for (reason, count) in &status.failures {
        let _ = writeln!(out, "{name}{{reason=\"{reason}\"}} {count}");
    }
    let rejected = u8::from(status.rejected.is_some());
    single(
        out,
        "postern_config_rejected",
        "gauge",
        "Whether the file that lies there is not the one served.",
        rejected,
    );
    let (read, compile) = (status.read_seconds, status.compile_seconds);
    single(out, "postern_config_read_seconds", "gauge", "To read and check the last file.", read);
    single(out, "postern_config_compile_seconds", "gauge", "To compile the last file.", compile);
    if let Some(live) = live {
        let (counts, served) = (live.counts, live.table.routes().len());
        single(out, "postern_routes", "gauge", "Routes that are served.", served);
        single(out, "postern_routes_stale", "gauge", "Routes that are served in an older form.", counts.stale);
        single(out, "postern_routes_refused", "gauge", "Registrations that the syncer refused.", counts.refused);
        single(
            out,
            "postern_routes_quarantined",
            "gauge",
            "Routes that this router put aside.",
            live.quarantined.len(),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_is_a_cell_for_every_reason() {
        assert!(Reason::all().count() <= REASONS);
    }
}
