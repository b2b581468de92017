//! The long-lived parts of one core: connections, counters, the log's buffer, the view of the snapshot.
//!
//! Everything here belongs to one thread, but for what is said to be shared. Must never know requests.

use std::cell::{Cell, RefCell};
use std::collections::{HashMap, HashSet};
use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::Audit;
use crate::authorizers::Authorizers;
use crate::breaker::Breakers;
use crate::drain::Drain;
use crate::freshness::unix_now;
use crate::hints::Hints;
use crate::http1::RequestHead;
use crate::identity_token::{Keys, Minted};
use crate::limiter::Limiter;
use crate::listener::Spread;
use crate::observe::{CoreMetrics, DestinationSeries, Index, LogBuffer, Recent, RouteSeries};
use crate::passwords::Passwords;
use crate::snapshot::store::{Store, View};
use crate::snapshot::{RoutePlan, Snapshot};
use crate::stage::authenticate::Memory;
use crate::stage::identify::Trust;
use crate::trace::{Kept, Outbox, Rules, Trace};
use crate::tunnels::Tunnels;
use crate::upstream::{Connections, Upstreams};

/// What all cores share; none of it is written on a request's way.
pub(crate) struct Shared {
    pub(crate) store: Arc<Store>,
    pub(crate) drain: Drain,
    /// Connections over the cores.
    pub(crate) spread: Spread,
    pub(crate) trust: Trust,
    pub(crate) health_path: Box<str>,
    pub(crate) body_idle: Duration,
    pub(crate) head_timeout: Duration,
    pub(crate) idle_timeout: Duration,
    /// How long a tunnel goes on that leads where nothing leads any more, and how long any may last.
    pub(crate) tunnel_grace: Duration,
    pub(crate) tunnel_lifetime: Duration,
    pub(crate) connections_per_core: usize,
    /// After how many requests a client of HTTP/2 is asked to come anew.
    pub(crate) http2_requests: u64,
    /// How far the clocks of those who sign may differ.
    pub(crate) signature_skew: Duration,
    pub(crate) passwords: Passwords,
    /// Where decisions are noted, when they are.
    pub(crate) audit: Option<Arc<Audit>>,
    /// The configuration is older than it may be served.
    pub(crate) too_old: AtomicBool,
    /// What is asked of the syncer.
    pub(crate) hints: Arc<Hints>,
    /// How often who asked.
    pub(crate) limiter: Limiter,
    /// What keeps requests from destinations that fail.
    pub(crate) breakers: Arc<Breakers>,
    /// What identity tokens are signed with, when they can be.
    pub(crate) identity_keys: Option<Arc<Keys>>,
    /// How traces are begun and which are kept, where they are on.
    pub(crate) tracing: Option<Rules>,
}

/// One core's own.
pub(crate) struct Core {
    /// Which of the cores it is.
    pub(crate) index: usize,
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<CoreMetrics>,
    pub(crate) upstreams: Upstreams,
    pub(crate) tunnels: Tunnels,
    pub(crate) authorizers: Authorizers,
    view: RefCell<View>,
    log: RefCell<LogBuffer>,
    recent: RefCell<Recent>,
    traces: RefCell<Outbox>,
    /// Tokens that were verified a moment ago, keys that are asked for, and what authorizers ruled.
    pub(crate) tokens: Memory,
    /// Identity tokens that were made a moment ago.
    pub(crate) minted: RefCell<Minted>,
    random: RefCell<fastrand::Rng>,
    pub(crate) route_series: Index<RouteSeries>,
    pub(crate) destination_series: Index<DestinationSeries>,
    upstream_connections: Index<Connections>,
    seen_swaps: Cell<u64>,
    seen_hints: Cell<u64>,
}

impl Core {
    pub(crate) fn new(
        index: usize,
        shared: Arc<Shared>,
        metrics: Arc<CoreMetrics>,
        upstreams: Upstreams,
        log: LogBuffer,
        traces: Outbox,
    ) -> Self {
        Self {
            index,
            view: RefCell::new(shared.store.view()),
            tokens: Memory::new(shared.hints.are_on()),
            shared,
            metrics,
            upstreams,
            tunnels: Tunnels::default(),
            authorizers: Authorizers::default(),
            log: RefCell::new(log),
            recent: RefCell::default(),
            traces: RefCell::new(traces),
            minted: RefCell::default(),
            random: RefCell::new(fastrand::Rng::new()),
            route_series: Index::default(),
            destination_series: Index::default(),
            upstream_connections: Index::default(),
            seen_swaps: Cell::new(0),
            seen_hints: Cell::new(0),
        }
    }

    /// The snapshot in use. A request asks once and keeps it: it sees one generation.
    pub(crate) fn snapshot(&self) -> Option<Arc<Snapshot>> {
        self.view.borrow_mut().load().clone()
    }

    /// Whether the configuration may still be served.
    pub(crate) fn is_too_old(&self) -> bool {
        self.shared.too_old.load(Ordering::Relaxed)
    }

    /// 128 random bits.
    pub(crate) fn random(&self) -> u128 {
        self.random.borrow_mut().u128(..)
    }

    /// A number below `bound`.
    pub(crate) fn random_below(&self, bound: u32) -> u32 {
        self.random.borrow_mut().u32(..bound)
    }

    /// Writes the line of a request: for whoever asks about it soon, and for the log, when there is one and it is wanted
    /// there. What is notable always is.
    pub(crate) fn log(&self, is_notable: bool, wanted: bool, write: impl FnOnce(&mut Vec<u8>, bool)) {
        let mut log = self.log.borrow_mut();
        let line = log.add(write);
        self.recent.borrow_mut().keep(line, is_notable);
        if !is_notable && !wanted {
            return log.take_back();
        }
        log.reshape();
        if log.is_full() {
            log.flush();
        }
    }

    /// The trace of what came from `peer`; none where traces are off.
    pub(crate) fn begin_trace(&self, head: Option<&RequestHead>, peer: IpAddr) -> Option<Trace> {
        let rules = self.shared.tracing.as_ref()?;
        let believed = rules.believes(|| self.shared.trust.vouches_for(peer));
        Some(Trace::begin(head.map(RequestHead::fields), believed, unix_now(), || self.random()))
    }

    /// Keeps a trace, when there is room.
    pub(crate) fn keep_trace(&self, asked: bool, make: impl FnOnce() -> Kept) {
        self.traces.borrow_mut().offer(asked, make);
    }

    /// What is remembered of the last requests.
    pub(crate) fn recent<T>(&self, look: impl FnOnce(&Recent) -> T) -> T {
        look(&self.recent.borrow())
    }

    /// Whether a route like that is served. What was found in the snapshot in use is; a request that outlived its
    /// generation has to ask.
    pub(crate) fn serves(&self, generation: u64, like: impl Fn(&RoutePlan) -> bool) -> bool {
        let live = self.snapshot();
        live.is_some_and(|live| live.header.generation == generation || live.table.routes().iter().any(|one| like(one)))
    }

    /// Hands over whose keys are missing, and takes in whose were fetched since.
    fn exchange_hints(&self) {
        let hints = &self.shared.hints;
        let changes = hints.changes();
        let mut unknown = self.tokens.unknown.borrow_mut();
        if self.seen_hints.replace(changes) != changes {
            hints.done(|issuer, round| unknown.came_back(issuer, round));
        }
        unknown.hand_over(|issuer| hints.want(issuer));
    }

    /// What need not be done on a request's way: hands the log over, lets go of what a new snapshot no longer
    /// serves, frees the old one.
    pub(crate) fn tend(&self) {
        #[cfg(test)]
        crate::faults::strike_at_tending();
        self.log.borrow_mut().flush();
        self.traces.borrow_mut().tend();
        self.exchange_hints();
        let counters = self.upstreams.counters();
        self.metrics.dials.set(counters.dials);
        self.metrics.dials_refused.set(counters.refused_addresses);
        self.metrics.upstream_idle.set(self.upstreams.idle_connections() as u64);
        self.metrics.tunnels.set(self.tunnels.count() as u64);
        for met in self.upstreams.newly_met() {
            self.upstream_connections.put(&self.metrics.upstream_connections, Arc::clone(met.name()), met);
        }
        let swaps = self.shared.store.swaps();
        let same = self.seen_swaps.replace(swaps) == swaps;
        if same && !self.tunnels.is_late() {
            return;
        }
        self.tokens.forget_verified();
        self.minted.borrow_mut().forget();
        if let Some(snapshot) = self.snapshot() {
            self.tunnels.review(&snapshot, Instant::now());
            if same {
                return;
            }
            self.upstreams.retain(&snapshot.served);
            self.let_series_go(&snapshot);
        }
    }
    /// Drops the series of what is served no more, or is another's.
    fn let_series_go(&self, snapshot: &Snapshot) {
        let routes = snapshot.table.routes();
        let owners: HashMap<&str, &str> = routes.iter().map(|route| (&*route.id, &*route.owner)).collect();
        self.route_series.retain(&self.metrics.routes, |series| series.is_in(&owners));
        let targets = routes.iter().flat_map(|route| &route.targets);
        let names: HashSet<&str> = targets.map(|target| &**target.destination.name()).collect();
        self.destination_series.retain(&self.metrics.destinations, |series| series.is_in(&names));
        self.upstreams.forget_connections(&names);
        self.upstream_connections.retain(&self.metrics.upstream_connections, |one| names.contains(&**one.name()));
    }
}
