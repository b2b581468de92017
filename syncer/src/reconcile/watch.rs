//! The loop: each store is looked at by a task of its own, so one that fails or hangs never holds the other up.
//!
//! What they find meets in one loop, which makes a pass whenever something changed or time alone changes something.
//! Must never decide what becomes of what was found.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postern_config::merged::Content;
use postern_config::value::Timestamp;
use tokio::sync::{Notify, mpsc, oneshot};

use super::issuer_http;
use super::keys::{Issuers, pace};
use super::pin::{self, Order, Orders};
use super::{Outcome, Reconciler, now};
use crate::issuers::watch::{Early, Looked, Watchers};
use crate::limits;
use crate::programmed;
use crate::publish::{PublishError, Published};
use crate::settings::Settings;
use crate::source::boundary::{BoundaryReading, BoundarySource};
use crate::source::registrations::{RegistrationsReading, RegistrationsSource};
use crate::source::{Observed, SourceError};
use crate::status::Status;

/// Both stores.
#[derive(Debug)]
pub struct Stores {
    /// What operations allow.
    pub boundary: BoundarySource,
    /// What pipelines ask for.
    pub registrations: RegistrationsSource,
}

enum Event {
    Boundary(Box<Observed<BoundaryReading>>),
    Registrations(Observed<RegistrationsReading>),
    Keys(Box<Looked>),
}

impl From<Looked> for Event {
    fn from(looked: Looked) -> Self {
        Self::Keys(Box::new(looked))
    }
}

/// What a running reconciler shares with the admin listener.
#[derive(Debug)]
pub struct Shared {
    /// What is known.
    pub status: Arc<Status>,
    /// What can be asked for.
    pub requests: Arc<Requests>,
    /// Early fetches of keys.
    pub early: Arc<Early>,
}

/// What others ask of a running reconciler.
#[derive(Debug, Default)]
pub struct Requests {
    released: AtomicBool,
    doubted: AtomicBool,
    orders: Orders,
    wake: Notify,
}

impl Requests {
    /// Lets go what the shrink guard holds.
    pub fn release(&self) {
        self.released.store(true, Ordering::Release);
        self.wake.notify_one();
    }

    /// Makes routes stay. What is given tells when that is carried out, or why it is not.
    pub fn order(&self, order: Order) -> oneshot::Receiver<pin::Outcome> {
        let carried_out = self.orders.give(order);
        self.wake.notify_one();
        carried_out
    }
}

/// Reconciles until `shutdown` ends. A pass that has begun is finished.
///
/// # Errors
/// Never for what a store or the disk does: that is reported, and tried again.
pub async fn run(
    stores: Stores,
    mut reconciler: Reconciler,
    settings: &Settings,
    Shared { status, requests, early }: Shared,
    shutdown: impl Future<Output = ()>,
) {
    let interval = settings.interval.duration();
    let (sender, mut events) = mpsc::channel(8);
    let mut issuers = Issuers::new(Watchers::new(issuer_http(settings), pace(settings), early, sender.clone()));
    let boundary = tokio::spawn(watch_boundary(stores.boundary, interval, sender.clone()));
    let registrations =
        tokio::spawn(watch_registrations(stores.registrations, interval, Arc::clone(&requests), sender));
    let asking = tokio::spawn(keep_asking(settings.routers.clone(), interval, Arc::clone(&status)));
    let mut tick = tokio::time::interval(interval.min(Duration::from_secs(1)));
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    tokio::pin!(shutdown);
    loop {
        tokio::select! {
            biased;
            () = &mut shutdown => break,
            event = events.recv() => match event {
                Some(event) => take(&mut reconciler, &mut issuers, event, &status),
                None => break,
            },
            () = requests.wake.notified() => {}
            _ = tick.tick() => {}
        }
        // What came in meanwhile belongs to the same pass.
        while let Ok(event) = events.try_recv() {
            take(&mut reconciler, &mut issuers, event, &status);
        }
        issuers.follow(reconciler.boundary(), &status);
        let released = requests.released.swap(false, Ordering::AcqRel);
        if released {
            reconciler.unpin();
            reconciler.show(&status);
        }
        let ordered = obeyed(&mut reconciler, &requests);
        if released || reconciler.is_due(now()) {
            reconciler = pass_once(reconciler, released, &status).await;
            requests.doubted.store(reconciler.hold.is_some(), Ordering::Release);
        } else {
            // Nothing can have changed, which is as good as a pass that changed nothing.
            reconciler.report_idle(&status);
        }
        for waiting in ordered {
            let _ = waiting.send(match &status.view().pass_error {
                None => Ok(reconciler.generation()),
                Some(error) => Err(error.clone()),
            });
        }
        issuers.answer(reconciler.generation(), status.view().pass_error.is_none());
        reconciler.beat(interval, now(), &status);
    }
    for task in [boundary, registrations, asking] {
        task.abort();
    }
}

/// Takes orders in; who gave one that is carried out by the next pass waits for it.
fn obeyed(reconciler: &mut Reconciler, requests: &Requests) -> Vec<oneshot::Sender<pin::Outcome>> {
    let orders = requests.orders.take().into_iter();
    let obeyed = orders.filter_map(|(order, waiting)| match reconciler.obey(order, now()) {
        Ok(()) => Some(waiting),
        Err(error) => {
            // Whoever does not wait any more need not know.
            let _ = waiting.send(Err(error));
            None
        }
    });
    obeyed.collect()
}

/// A pass off the thread that answers on the admin address: with many registrations it takes a while.
async fn pass_once(mut reconciler: Reconciler, released: bool, status: &Arc<Status>) -> Reconciler {
    let shared = Arc::clone(status);
    let passed = tokio::task::spawn_blocking(move || {
        let result = reconciler.pass(now(), released, &shared);
        (reconciler, result)
    });
    match passed.await {
        Ok((reconciler, result)) => {
            tell(&result, &reconciler, status);
            reconciler
        }
        // A panic in a pass is a defect. The process ends and is started again from what stands on the disk.
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

fn tell(result: &Result<Outcome, PublishError>, reconciler: &Reconciler, status: &Status) {
    match result {
        Ok(Outcome::Waiting) => status.metrics.pass("waiting"),
        Ok(Outcome::Current(Published::Unchanged)) => status.metrics.pass("unchanged"),
        Ok(Outcome::Current(Published::Written { generation, digest })) => {
            status.metrics.pass("written");
            let counts = reconciler.content().map(Content::counts).unwrap_or_default();
            tracing::info!(
                generation, %digest, routes = counts.routes, refused = counts.refused, stale = counts.stale,
                "generation written"
            );
            if let Some(hold) = reconciler.hold() {
                tracing::warn!(routes = hold.ids.len(), why = hold.message, "the shrink guard holds");
            }
        }
        Err(error) => {
            status.metrics.pass("failed");
            status.update(|view| view.pass_error = Some(error.to_string()));
            tracing::error!(%error, "the generation was not written; what stood before still stands");
        }
    }
}

fn take(reconciler: &mut Reconciler, issuers: &mut Issuers<Event>, event: Event, status: &Status) {
    let now = now();
    let (name, result) = match event {
        Event::Boundary(observed) => ("boundary", reconciler.take_boundary(*observed)),
        Event::Registrations(observed) => ("registrations", reconciler.take_registrations(observed, now)),
        Event::Keys(looked) => return issuers.take(reconciler, *looked, now, status),
    };
    note(name, &result, now, status);
}

/// Shows how a store is doing. A failure is logged when it begins or changes, not at every try.
pub fn note(name: &'static str, result: &Result<(), SourceError>, now: Timestamp, status: &Status) {
    let mut news = None;
    status.update(|view| {
        let source = if name == "boundary" { &mut view.boundary } else { &mut view.registrations };
        match result {
            Ok(()) => {
                source.last_success = Some(now);
                news = source.failing.take().map(|_| None);
            }
            Err(error) => {
                let since = source.failing.as_ref().map_or(now, |(since, _)| *since);
                if source.failing.as_ref().is_none_or(|(_, before)| before != error) {
                    news = Some(Some(error.clone()));
                }
                source.failing = Some((since, error.clone()));
            }
        }
    });
    if let Err(error) = result {
        status.metrics.failure(name, error.reason);
    }
    match news {
        Some(Some(error)) => {
            tracing::error!(source = name, reason = %error.reason, %error, "a store cannot be read; the last good state stays in force");
        }
        Some(None) => tracing::info!(source = name, "the store can be read again"),
        None => {}
    }
}

async fn watch_boundary(mut source: BoundarySource, interval: Duration, sender: mpsc::Sender<Event>) {
    let mut pace = Pace::new(interval, source.is_remote());
    loop {
        let observed = source.observe(now()).await;
        let wait = pace.after(matches!(observed, Observed::Failed(_)));
        if sender.send(Event::Boundary(Box::new(observed))).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

async fn watch_registrations(
    mut source: RegistrationsSource,
    interval: Duration,
    requests: Arc<Requests>,
    sender: mpsc::Sender<Event>,
) {
    let mut pace = Pace::new(interval, source.is_remote());
    loop {
        let observed = source.observe(now(), requests.doubted.load(Ordering::Acquire)).await;
        let wait = pace.after(matches!(observed, Observed::Failed(_)));
        if sender.send(Event::Registrations(observed)).await.is_err() {
            return;
        }
        tokio::time::sleep(wait).await;
    }
}

/// When a store is looked at next: each interval, give or take a tenth so that many syncers spread out; after a
/// failure of a remote one exponentially later, by full jitter, so that they do not return all at once.
struct Pace {
    interval: Duration,
    remote: bool,
    failures: u32,
}

impl Pace {
    fn new(interval: Duration, remote: bool) -> Self {
        Self { interval, remote, failures: 0 }
    }

    fn after(&mut self, failed: bool) -> Duration {
        self.failures = if failed { self.failures.saturating_add(1) } else { 0 };
        if failed && self.remote {
            let most = Duration::from_secs(1 << self.failures.min(6)).min(limits::BACKOFF_MOST);
            return Duration::from_secs(1).max(most.mul_f64(fastrand::f64()));
        }
        self.interval.mul_f64(0.9 + 0.2 * fastrand::f64())
    }
}

async fn keep_asking(routers: Vec<String>, interval: Duration, status: Arc<Status>) {
    loop {
        let view = status.view();
        if let Some(digest) = view.digest {
            let generation = view.generation;
            let mut answer = programmed::ask_routers(&routers, generation, digest, limits::ROUTER_TIME).await;
            status.update(|view| {
                let before = &view.programmed;
                let same = (before.status, before.reason) == (answer.status, answer.reason);
                answer.since = before.since.filter(|_| same).or_else(|| Some(now()));
                view.programmed = answer;
            });
        }
        // Soon after a new generation, then with the interval.
        let settled = status.view().programmed.status == postern_config::condition::Status::True;
        let wait = if settled { interval } else { interval.min(Duration::from_millis(500)) };
        let deadline = tokio::time::Instant::now() + wait;
        while tokio::time::Instant::now() < deadline {
            tokio::time::sleep(Duration::from_millis(100).min(wait)).await;
            if status.view().digest != view.digest {
                break;
            }
        }
    }
}
