//! The long-lived parts of one core: connections, counters, the log's buffer, the view of the snapshot.
//!
//! Everything here belongs to one thread, but for what is said to be shared. Must never know requests.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::Instant;

use crate::audit::Audit;
use crate::authorizers::Authorizers;
use crate::drain::Drain;
use crate::hints::Hints;
use crate::identity_token::{Keys, Minted};
use crate::listener::Spread;
use crate::observe::{CoreMetrics, LogBuffer, Recent, RouteSeries};
use crate::passwords::Passwords;
use crate::snapshot::Snapshot;
use crate::snapshot::store::{Store, View};
use crate::stage::authenticate::Memory;
use crate::stage::identify::Trust;
use crate::tunnels::Tunnels;
use crate::upstream::Upstreams;

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
    /// What identity tokens are signed with, when they can be.
    pub(crate) identity_keys: Option<Arc<Keys>>,
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
    /// Tokens that were verified a moment ago, keys that are asked for, and what authorizers ruled.
    pub(crate) tokens: Memory,
    /// Identity tokens that were made a moment ago.
    pub(crate) minted: RefCell<Minted>,
    random: RefCell<fastrand::Rng>,
    series: RefCell<HashMap<Arc<str>, Arc<RouteSeries>, foldhash::fast::RandomState>>,
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
            minted: RefCell::default(),
            random: RefCell::new(fastrand::Rng::new()),
            series: RefCell::default(),
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

    /// Writes the line of a request: for the log, when there is one, and for whoever asks about it soon.
    pub(crate) fn log(&self, is_notable: bool, write: impl FnOnce(&mut Vec<u8>)) {
        let mut log = self.log.borrow_mut();
        let line = log.add(write);
        self.recent.borrow_mut().keep(line, is_notable);
        if log.is_full() {
            log.flush();
        }
    }

    /// What is remembered of the last requests.
    pub(crate) fn recent<T>(&self, look: impl FnOnce(&Recent) -> T) -> T {
        look(&self.recent.borrow())
    }

    /// The series of a route, made on first use.
    pub(crate) fn series(&self, id: &Arc<str>, register: impl FnOnce() -> Arc<RouteSeries>) -> Arc<RouteSeries> {
        let mut series = self.series.borrow_mut();
        match series.get(id) {
            Some(known) => Arc::clone(known),
            None => Arc::clone(series.entry(Arc::clone(id)).or_insert(register())),
        }
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
        self.log.borrow_mut().flush();
        self.exchange_hints();
        let counters = self.upstreams.counters();
        self.metrics.dials.set(counters.dials);
        self.metrics.dials_refused.set(counters.refused_addresses);
        self.metrics.upstream_idle.set(self.upstreams.idle_connections() as u64);
        self.metrics.tunnels.set(self.tunnels.count() as u64);
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
            let served = snapshot.table.routes().iter().map(|route| &*route.id).collect();
            self.metrics.retain(&served);
            self.series.borrow_mut().retain(|id, _| served.contains(&**id));
        }
    }
}
