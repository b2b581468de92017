//! The router: merged file → answers.
//!
//! [`Router::start`] brings it up, [`Router::stop`] ends it in peace; the commands are in [`cli`]. This is the
//! one place that sees every module. Threads: one for each core with everything a request needs on it, one for
//! watching and compiling, one for certificates where there are any, one for the admin listener, a few for
//! passwords, one for the access log, one for traces where they are on, one for pushing metrics where they are pushed.

mod admin;
mod alarm;
mod audit;
mod authorizers;
mod body;
mod breaker;
mod buffer;
pub mod cli;
mod client_certificate;
mod connection;
mod descriptors;
mod digits;
mod doctor;
mod drain;
mod entrances;
mod explain;
#[cfg(test)]
mod faults;
mod freshness;
mod hints;
mod http1;
mod identity_token;
mod inbox;
mod inquiry;
mod limiter;
mod listener;
mod lockout;
mod manual;
#[cfg(test)]
mod measure;
mod observe;
mod panics;
mod passwords;
mod pinning;
mod pipe;
mod pipeline;
mod place;
mod principal;
mod push;
mod reject;
#[cfg(test)]
mod replay;
mod reserve;
mod rights;
mod scrub;
mod services;
pub mod settings;
mod snapshot;
mod stage;
mod trace;
mod tunnels;
mod upstream;
mod websocket;

use std::net::{SocketAddr, TcpListener};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use postern_config::document::Roots;
use postern_config::merged::FileKey;
use tokio::runtime::LocalRuntime;

use crate::audit::{Audit, AuditWriter};
use crate::breaker::Breakers;
use crate::drain::{Drain, Phase};
use crate::freshness::unix_now;
use crate::hints::Hints;
use crate::identity_token::KeyKeeper;
use crate::limiter::Limiter;
use crate::listener::{Bounds, Door, Entrance, Incoming, Spread};
use crate::observe::{Certificates, LogBuffer, LogWriter, Metrics};
use crate::passwords::Passwords;
use crate::push::Pusher;
use crate::reserve::Reserve;
use crate::services::{Core, Shared};
use crate::settings::Settings;
use crate::snapshot::Chance;
use crate::snapshot::compile::Options;
use crate::snapshot::store::Store;
use crate::snapshot::transition::Transitions;
use crate::snapshot::watch::{FileWatch, Wake};
use crate::stage::identify::Trust;
use crate::trace::{Believed, Collector, Outbox, Protocol, Rules, TraceWriter};
use crate::upstream::{Resolver, Upstreams};

/// The allocator of the router's binary and tests; chosen by measurement, see `docs/measurements.md`.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Why the router does not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// An address cannot be listened on.
    #[error("cannot listen on {address}: {error}{}", hint(error))]
    Listen {
        /// The address.
        address: SocketAddr,
        /// What the system said.
        error: std::io::Error,
    },
    /// TLS cannot be spoken on an address.
    #[error("cannot speak TLS on {address}: {why}")]
    Tls {
        /// The address.
        address: SocketAddr,
        /// What is wrong, and what to do.
        why: String,
    },
    /// Identity tokens cannot be signed.
    #[error("cannot sign identity tokens: {0}")]
    IdentityToken(String),
    /// The access log cannot be opened.
    #[error("cannot write the access log to {sink}: {error}")]
    AccessLog {
        /// Where it should go.
        sink: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// The audit log cannot be opened.
    #[error("cannot keep the audit log in {}: {error}", directory.display())]
    Audit {
        /// Where it should lie.
        directory: std::path::PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Traces cannot be sent.
    #[error("cannot send traces: {0}")]
    Tracing(String),
    /// Metrics cannot be pushed.
    #[error("cannot push metrics: {0}")]
    OtlpMetrics(String),
    /// A thread or a runtime cannot be made.
    #[error("cannot start a thread: {0}")]
    Thread(#[from] std::io::Error),
}

fn hint(error: &std::io::Error) -> &'static str {
    match error.kind() {
        std::io::ErrorKind::AddrInUse => " (another program has it: stop that one, or choose another port)",
        std::io::ErrorKind::PermissionDenied => " (ports below 1024 need a privilege: choose a higher one)",
        _ => "",
    }
}

/// A running router.
pub struct Router {
    addresses: Vec<SocketAddr>,
    admin: SocketAddr,
    shared: Arc<Shared>,
    settings: Settings,
    wake: Sender<Wake>,
    /// Certificates are looked after for as long as this is there.
    tending: Option<Sender<()>>,
    /// The same of the key of identity tokens.
    keeping: Option<Sender<()>>,
    threads: Vec<JoinHandle<()>>,
    watcher: Option<JoinHandle<()>>,
    log: Option<LogWriter>,
    audit: Option<AuditWriter>,
    traces: Option<TraceWriter>,
    pusher: Option<Pusher>,
}

impl Router {
    /// Starts listening and watching, and returns; it may not be ready yet.
    ///
    /// # Errors
    /// When an address is taken, or the system has no room for a thread.
    pub fn start(settings: Settings) -> Result<Self, StartError> {
        let cores = match settings.workers {
            0 => std::thread::available_parallelism().map_or(1, usize::from),
            workers => workers,
        };
        let listeners = entrances::open(&settings, cores)?;
        let listen = |error| StartError::Listen { address: settings.admin, error };
        let admin_socket = TcpListener::bind(settings.admin).map_err(listen)?;
        admin_socket.set_nonblocking(true)?;
        let admin = admin_socket.local_addr()?;

        let (spread, incoming) = Spread::over(cores);
        let audit = audit_writer(&settings)?;
        let noted = audit.as_ref().map(AuditWriter::audit);
        let key_keeper = key_keeper(&settings)?;
        let shared = Arc::new(shared(&settings, cores, spread, noted.clone(), key_keeper.as_ref()));
        let log = log_writer(&settings)?;
        let traces = trace_writer(&settings)?;
        let metrics = metrics(cores, listeners.certificates, noted, log.as_ref(), traces.as_ref());
        let mut threads = Vec::new();
        let (ways, inquiries) = inquiry::channels(cores);
        let ends = incoming.into_iter().zip(inquiries);
        for (index, (entrances, (incoming, inquiries))) in listeners.entrances.into_iter().zip(ends).enumerate() {
            let parts = CoreParts {
                shared: Arc::clone(&shared),
                metrics: Arc::clone(&metrics.cores[index]),
                log: log.as_ref().map_or_else(LogBuffer::off, LogWriter::buffer),
                traces: traces.as_ref().map(TraceWriter::outbox).unwrap_or_default(),
                dns_servers: settings.dns_servers.clone(),
                bounds: entrances::bounds(&settings, cores),
                entrances,
                incoming,
                inquiries,
                index,
                pinned: settings.pin,
            };
            threads.push(thread(format!("core-{index}"), move || serve_core(parts))?);
        }
        let (tending, until) = channel();
        if !listeners.keepers.is_empty() {
            let keepers = listeners.keepers;
            threads.push(thread("certificates".to_owned(), move || listener::look_after(keepers, &until))?);
        }
        let (keeping, keeper) = key_keeper.map(look_after_key).transpose()?.unzip();
        threads.extend(keeper);
        let (wake, wakes) = channel();
        let waker = wake.clone();
        let watch = file_watch(&settings, &shared);
        let watcher = thread("watch".to_owned(), move || watch.run(&wakes, &waker))?;
        let told = Arc::new(told(&settings, &shared, metrics, ways));
        let pusher = metric_pusher(&settings, &told)?;
        threads.push(thread("admin".to_owned(), move || serve_admin(told, admin_socket))?);
        Ok(Self {
            addresses: listeners.addresses,
            admin,
            shared,
            settings,
            wake,
            tending: Some(tending),
            keeping,
            threads,
            watcher: Some(watcher),
            log,
            audit,
            traces,
            pusher,
        })
    }

    /// The addresses that clients connect to, in the order of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The address of the admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.admin
    }

    /// Ends in peace: lame duck, no new connections, everything in flight ends, at most until the deadline.
    /// Blocks until it is over.
    pub fn stop(mut self) {
        let shutdown = &self.settings.shutdown;
        let (lame_duck, deadline) = (shutdown.lame_duck.duration(), shutdown.deadline.duration());
        if let Ok(runtime) = tokio::runtime::Builder::new_current_thread().enable_time().build() {
            runtime.block_on(self.shared.drain.run(lame_duck, deadline));
        }
        let _ = self.wake.send(Wake::Stop);
        drop((self.tending.take(), self.keeping.take()));
        for thread in self.threads.drain(..).chain(self.watcher.take()) {
            let _ = thread.join();
        }
        // They send while the logs are written.
        let sending = (self.traces.take().map(TraceWriter::end), self.pusher.take().map(Pusher::end));
        if let Some(log) = self.log.take() {
            log.finish();
        }
        if let Some(audit) = self.audit.take() {
            audit.finish();
        }
        for ending in sending.0.into_iter().chain(sending.1) {
            ending.wait();
        }
    }
}

fn shared(
    settings: &Settings,
    cores: usize,
    spread: Spread,
    audit: Option<Arc<Audit>>,
    key_keeper: Option<&KeyKeeper>,
) -> Shared {
    Shared {
        store: Arc::new(Store::default()),
        drain: Drain::new(),
        spread,
        trust: Trust { proxies: settings.trusted_proxies.clone(), hops: settings.trusted_hops },
        health_path: settings.health_path.as_str().into(),
        body_idle: settings.limits.body_idle.duration(),
        head_timeout: settings.limits.head.duration(),
        idle_timeout: settings.limits.idle.duration(),
        tunnel_grace: settings.limits.tunnel_grace.duration(),
        tunnel_lifetime: settings.limits.tunnel_lifetime.duration(),
        http2_requests: settings.limits.http2_requests,
        connections_per_core: (connections(settings) / cores).max(1),
        signature_skew: settings.limits.signature_skew.duration(),
        passwords: Passwords::new(Passwords::threads_for(cores)),
        audit,
        too_old: AtomicBool::new(false),
        hints: Arc::new(Hints::new(settings.syncer_address())),
        limiter: Limiter::new(std::time::Instant::now()),
        breakers: Arc::new(Breakers::new(cores, std::time::Instant::now())),
        identity_keys: key_keeper.map(KeyKeeper::keys),
        tracing: trace_rules(&settings.tracing),
    }
}

/// How many connections of clients there may be at once, as asked for and as far as there is room for them.
fn connections(settings: &Settings) -> usize {
    let (asked, descriptors) = (settings.limits.connections, descriptors::raise());
    let room = descriptors::room(descriptors, asked);
    if room < asked {
        tracing::warn!(
            asked,
            room,
            descriptors,
            "not as many connections as limits.connections says: the process may not open enough files; raise its hard limit (ulimit -Hn)"
        );
    }
    room
}

/// How traces are begun and kept, where there is a collector for them.
fn trace_rules(tracing: &settings::Tracing) -> Option<Rules> {
    tracing.endpoint.as_ref()?;
    Some(Rules {
        share: Chance::from_fraction(tracing.sampled),
        slow: tracing.slow.duration(),
        believed: match tracing.trust {
            settings::TraceTrust::Proxies => Believed::Proxies,
            settings::TraceTrust::All => Believed::All,
            settings::TraceTrust::None => Believed::None,
        },
        always_amzn: tracing.x_amzn_trace_id == settings::AmznTraceId::Always,
    })
}

fn trace_writer(settings: &Settings) -> Result<Option<TraceWriter>, StartError> {
    let to = settings.tracing.to_collector();
    let Some(collector) = collector(&to).map_err(StartError::Tracing)? else { return Ok(None) };
    let setup = trace::Setup { collector, resource: to.attributes() };
    TraceWriter::start(setup).map(Some).map_err(StartError::Tracing)
}

fn metric_pusher(settings: &Settings, told: &Arc<admin::Admin>) -> Result<Option<Pusher>, StartError> {
    let to = settings.otlp_metrics.to_collector();
    let Some(collector) = collector(&to).map_err(StartError::OtlpMetrics)? else { return Ok(None) };
    let interval = settings.otlp_metrics.interval.duration();
    let setup = push::Setup { collector, resource: to.attributes(), interval, cells: Arc::clone(&told.metrics.pushes) };
    let told = Arc::clone(told);
    Pusher::start(setup, move || told.figures()).map(Some).map_err(StartError::OtlpMetrics)
}

fn collector(to: &settings::ToCollector<'_>) -> Result<Option<Collector>, String> {
    let Some(endpoint) = to.address() else { return Ok(None) };
    let roots = to.ca_file.map(|path| Roots::PemFile(path.display().to_string()));
    Ok(Some(Collector {
        endpoint,
        protocol: match to.protocol {
            settings::OtlpProtocol::Grpc => Protocol::Grpc,
            settings::OtlpProtocol::Http => Protocol::Http,
        },
        headers: to.headers()?,
        roots: roots.unwrap_or_default(),
        timeout: to.timeout.duration(),
    }))
}

fn key_keeper(settings: &Settings) -> Result<Option<KeyKeeper>, StartError> {
    let tokens = &settings.identity_token;
    let (Some(file), Some(issuer)) = (tokens.key_file.clone(), &tokens.issuer) else { return Ok(None) };
    let keeper = KeyKeeper::open(file, issuer, tokens.jwks_path.as_deref(), unix_now());
    keeper.map(Some).map_err(|error| StartError::IdentityToken(error.to_string()))
}

fn look_after_key(keeper: KeyKeeper) -> Result<(Sender<()>, JoinHandle<()>), StartError> {
    let (keeping, until) = channel();
    Ok((keeping, thread("identity-key".to_owned(), move || keeper.look_after(&until))?))
}

fn log_writer(settings: &Settings) -> Result<Option<LogWriter>, StartError> {
    match settings.access_log.as_str() {
        "off" => Ok(None),
        sink => match LogWriter::start(sink, settings.log_format()) {
            Ok(writer) => Ok(Some(writer)),
            Err(error) => Err(StartError::AccessLog { sink: sink.to_owned(), error }),
        },
    }
}

fn metrics(
    cores: usize,
    certificates: Vec<Certificates>,
    audit: Option<Arc<Audit>>,
    log: Option<&LogWriter>,
    traces: Option<&TraceWriter>,
) -> Metrics {
    let log_lines_dropped = log.map(LogWriter::dropped).unwrap_or_default();
    let traces = traces.map(TraceWriter::counts).unwrap_or_default();
    Metrics { certificates, audit, log_lines_dropped, traces, ..Metrics::new(cores) }
}

fn audit_writer(settings: &Settings) -> Result<Option<AuditWriter>, StartError> {
    let audit = &settings.audit;
    let Some(directory) = audit.directory.clone() else { return Ok(None) };
    let key = audit.key.as_ref().map(|key| key.expose().as_bytes().to_vec());
    let setup =
        audit::Setup { directory: directory.clone(), most: audit.max_file.bytes(), allowed: audit.allowed, key };
    AuditWriter::start(setup).map(Some).map_err(|error| StartError::Audit { directory, error })
}

fn file_watch(settings: &Settings, shared: &Shared) -> FileWatch {
    FileWatch {
        path: settings.config.clone(),
        poll: settings.poll.duration(),
        events: settings.watch_events,
        key: file_key(settings),
        options: Options {
            allow_loopback: settings.allow_loopback_destinations,
            signs_identity: settings.identity_token.key_file.is_some(),
        },
        breakers: Arc::clone(&shared.breakers),
        store: Arc::clone(&shared.store),
        transitions: Transitions::new(shared.audit.clone()),
        reserve: Reserve::default(),
    }
}

fn thread(name: String, body: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, StartError> {
    Ok(std::thread::Builder::new().name(name).spawn(body)?)
}

/// What a core is made from, on its way to its thread.
struct CoreParts {
    shared: Arc<Shared>,
    metrics: Arc<observe::CoreMetrics>,
    log: LogBuffer,
    traces: Outbox,
    dns_servers: Vec<SocketAddr>,
    bounds: Bounds,
    entrances: Vec<Entrance>,
    incoming: Incoming,
    inquiries: tokio::sync::mpsc::Receiver<inquiry::Inquiry>,
    index: usize,
    pinned: bool,
}

/// What the merged file is verified with, where there is a key.
fn file_key(settings: &Settings) -> Option<FileKey> {
    settings.file_key.as_ref().and_then(|key| FileKey::new(key.expose()))
}

/// One core: a runtime of its own, and everything that a request needs on it.
fn serve_core(parts: CoreParts) {
    if parts.pinned
        && let Err(error) = pinning::pin(parts.index)
    {
        tracing::warn!(%error, "a core's thread is not pinned");
    }
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()) {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "a core has no runtime"),
    };
    runtime.block_on(async move {
        let resolver = match Resolver::new(&parts.dns_servers) {
            Ok(resolver) => resolver,
            Err(error) => return tracing::error!(%error, "a core cannot resolve names"),
        };
        let upstreams = Upstreams::new(resolver);
        let core = Rc::new(Core::new(parts.index, parts.shared, parts.metrics, upstreams, parts.log, parts.traces));
        let asked = Rc::clone(&core);
        let known = move |question: &_| asked.recent(|recent| recent.answer(question));
        tokio::task::spawn_local(inquiry::answer(parts.inquiries, known));
        let door = Rc::new(Door::new(parts.bounds));
        let tls = parts.entrances.iter().map(|entrance| entrance.tls.clone()).collect();
        tokio::task::spawn_local(listener::take_handed(Rc::clone(&core), Rc::clone(&door), tls, parts.incoming));
        for entrance in parts.entrances {
            let (core, door) = (Rc::clone(&core), Rc::clone(&door));
            tokio::task::spawn_local(async move {
                if let Err(error) = listener::run(core, door, entrance).await {
                    tracing::error!(%error, "a listener ended");
                }
            });
        }
        tend(&core).await;
        tend_once(&core);
    });
    end(runtime);
}

/// Looks after a core until the router is over.
async fn tend(core: &Core) {
    const TEND: Duration = Duration::from_millis(250);
    loop {
        tend_once(core);
        tokio::select! {
            () = tokio::time::sleep(TEND) => {}
            () = core.shared.drain.reached(Phase::Over) => return,
        }
    }
}

/// What fails here is tried again; its thread must not end, with every connection on it.
fn tend_once(core: &Core) {
    let _ = catch_unwind(AssertUnwindSafe(|| core.tend()));
}

/// What the admin listener tells of.
fn told(
    settings: &Settings,
    shared: &Arc<Shared>,
    metrics: Metrics,
    cores: Vec<tokio::sync::mpsc::Sender<inquiry::Inquiry>>,
) -> admin::Admin {
    let library = admin::Library::new(settings.config.clone(), file_key(settings));
    let (shared, metrics) = (Arc::clone(shared), Arc::new(metrics));
    admin::Admin { shared, metrics, settings: settings.clone(), cores, library }
}

fn serve_admin(told: Arc<admin::Admin>, socket: TcpListener) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()) {
        Ok(runtime) => runtime,
        Err(error) => return tracing::error!(%error, "the admin listener has no runtime"),
    };
    runtime.block_on(async move {
        let watched = Arc::clone(&told);
        tokio::task::spawn_local(async move { watch_age(&watched).await });
        let (hints, store) = (Arc::clone(&told.shared.hints), Arc::clone(&told.shared.store));
        tokio::task::spawn_local(hints::run(hints, store));
        match tokio::net::TcpListener::from_std(socket) {
            Ok(listener) => admin::run(told, listener).await,
            Err(error) => tracing::error!(%error, "the admin listener cannot be used"),
        }
    });
    end(runtime);
}

/// Closes when the configuration is older than it may be.
async fn watch_age(told: &admin::Admin) {
    let Some(most) = told.settings.max_stale.map(|period| period.duration()) else { return };
    loop {
        let age = freshness::age(&told.settings.config, told.shared.store.live().as_deref());
        told.shared.too_old.store(age > most, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
}

/// Ends a runtime without waiting for tasks that never end.
fn end(runtime: LocalRuntime) {
    runtime.shutdown_timeout(Duration::from_millis(100));
}
