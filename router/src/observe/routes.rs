//! What is counted of each route: requests by method and class of status, reasons, durations.
//!
//! Bounded by what is served, never by what is asked for: a route's series are made when it is first used and go with
//! it, methods are those of HTTP and one word for all others, and what no route takes has one series together. A
//! route needs about half a kilobyte for each core that served it. Must never know a path.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use http::Method;

use super::exposition::Exposition;
use super::histogram::{self, COARSE, Histogram};
use super::metrics::{CellU64, Metrics};
use super::sparse::{self, Sparse};
use super::{Record, registry};
use crate::reject::Reason;
use crate::rights::Verdict;

/// The cells of one route on one core.
#[derive(Default)]
pub(crate) struct RouteSeries {
    id: Arc<str>,
    owner: Arc<str>,
    /// By [method](method) and [class](class).
    requests: Sparse,
    durations: Histogram,
    reasons: OnceLock<Box<Sparse>>,
    /// Requests that would have been refused, had it been insisted on.
    shadow_denials: CellU64,
}

impl RouteSeries {
    pub(super) fn new(id: &Arc<str>, owner: &Arc<str>) -> Self {
        Self { id: Arc::clone(id), owner: Arc::clone(owner), ..Self::default() }
    }

    /// Whether it is that of a route that is served, and of the same owner.
    pub(crate) fn is_in(&self, served: &HashMap<&str, &str>) -> bool {
        served.get(&*self.id).is_some_and(|owner| **owner == *self.owner)
    }

    /// Counts a request that is over.
    pub(super) fn count(&self, asked: Option<&Method>, record: &Record, took: Duration) {
        self.requests.count(method(asked) * CLASSES + class(record.status));
        // How long a WebSocket was open says nothing of how long anybody waited.
        if record.tunnel.is_none() {
            self.durations.count(took);
        }
        if let Some(reason) = record.reason {
            self.reasons.get_or_init(Box::default).count(reason as u8);
        }
        if record.verdicts.iter().any(Verdict::is_shadow_denial) {
            self.shadow_denials.add(1);
        }
    }
}

/// Those of RFC 9110 and RFC 5789, and what all others are called (OpenTelemetry, `http.request.method`).
const METHODS: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "_OTHER"];

fn method(asked: Option<&Method>) -> u8 {
    match asked {
        Some(&Method::GET) => 0,
        Some(&Method::HEAD) => 1,
        Some(&Method::POST) => 2,
        Some(&Method::PUT) => 3,
        Some(&Method::DELETE) => 4,
        Some(&Method::CONNECT) => 5,
        Some(&Method::OPTIONS) => 6,
        Some(&Method::TRACE) => 7,
        Some(&Method::PATCH) => 8,
        _ => 9,
    }
}

/// Classes of status.
pub(super) const CLASS_WORDS: [&str; 5] = ["1xx", "2xx", "3xx", "4xx", "5xx"];
const CLASSES: u8 = 5;

/// The place of a status in [`CLASS_WORDS`].
pub(super) fn class(status: u16) -> u8 {
    u8::try_from((status / 100).clamp(1, 5) - 1).unwrap_or(0)
}

/// One route on all cores that served it.
type Gathered = (Arc<RouteSeries>, Vec<Arc<RouteSeries>>);

/// Every route's series of all cores, by id; what no route took comes first.
fn gather(metrics: &Metrics) -> Vec<Gathered> {
    let mut places = HashMap::<Arc<str>, usize, foldhash::fast::RandomState>::default();
    let mut gathered: Vec<Gathered> = Vec::new();
    for core in &metrics.cores {
        for series in core.routes.all().into_iter().chain([Arc::clone(&core.no_route)]) {
            match places.get(&series.id) {
                // The owner has changed, and this core has not looked at it yet.
                Some(&at) if gathered[at].0.owner != series.owner => {}
                Some(&at) => gathered[at].1.push(series),
                None => {
                    places.insert(Arc::clone(&series.id), gathered.len());
                    gathered.push((series, Vec::new()));
                }
            }
        }
    }
    gathered.sort_unstable_by(|one, other| one.0.id.cmp(&other.0.id));
    gathered
}

/// The exposition.
pub(super) fn routes(out: &mut Exposition, metrics: &Metrics) {
    let all = gather(metrics);
    let each = |gathered: &Gathered, tell: &mut dyn FnMut(&RouteSeries)| {
        tell(&gathered.0);
        gathered.1.iter().for_each(|series| tell(series));
    };
    let mut samples = out.family(&registry::REQUESTS);
    for one in &all {
        let sum = sparse::Sum::of(std::iter::once(&one.0).chain(&one.1).map(|series| &series.requests));
        for (key, count) in sum.counted() {
            let (asked, status) = (METHODS[key / usize::from(CLASSES)], CLASS_WORDS[key % usize::from(CLASSES)]);
            samples.value([&one.0.id, &one.0.owner, asked, status], count);
        }
    }
    let mut samples = out.family(&registry::REQUEST_DURATION);
    for one in &all {
        let mut sum = histogram::Sum::default();
        each(one, &mut |series| series.durations.sum_up(&mut sum));
        samples.histogram([&one.0.id, &one.0.owner], &sum, COARSE);
    }
    let mut samples = out.family(&registry::ROUTE_REJECTIONS);
    let reasons: Vec<Reason> = Reason::all().collect();
    for one in all.iter().filter(|one| !one.0.id.is_empty()) {
        let sparse = std::iter::once(&one.0).chain(&one.1).filter_map(|series| series.reasons.get());
        for (key, count) in sparse::Sum::of(sparse.map(|sparse| &**sparse)).counted() {
            samples.value([&one.0.id, &one.0.owner, reasons[key].code()], count);
        }
    }
    let mut samples = out.family(&registry::SHADOW_DENIALS);
    for one in &all {
        let mut denials = 0;
        each(one, &mut |series| denials += series.shadow_denials.value());
        if denials > 0 {
            samples.value([&one.0.id, &one.0.owner], denials);
        }
    }
}
