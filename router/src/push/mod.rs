//! Metrics pushed: every so often, all that a scrape would be told goes to a collector by OTLP.
//!
//! Owns the thread that gathers and sends, and its runtime. One push is under way at a time, and the next has the
//! figures of its own moment, so nothing waits in memory while a collector takes its time. Must never touch the way of
//! traffic, know where figures come from, or keep the router from ending.

mod convey;
mod otlp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::thread::JoinHandle;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::sync::oneshot;
use tokio::time::Instant;

use self::convey::Conveyor;
use crate::observe::{Figures, PushCells, PushResult, started};
use crate::trace::{Collector, Ending};

/// What it takes.
pub(crate) struct Setup {
    pub(crate) collector: Collector,
    /// What the figures are of: `service.name` and the like.
    pub(crate) resource: BTreeMap<String, String>,
    /// How often.
    pub(crate) interval: Duration,
    /// Where is counted what becomes of pushes.
    pub(crate) cells: Arc<PushCells>,
}

/// The thread.
pub(crate) struct Pusher {
    until: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

impl Pusher {
    /// Starts it. The collector need not be there.
    ///
    /// # Errors
    /// What cannot be used of the settings.
    pub(crate) fn start(setup: Setup, figures: impl Fn() -> Vec<Figures> + Send + 'static) -> Result<Self, String> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        // Within the runtime, because connections belong to one.
        let conveyor = {
            let _entered = runtime.enter();
            Conveyor::to(&setup.collector)?
        };
        let pushing = Pushing {
            conveyor,
            patience: setup.collector.timeout,
            resource: otlp::resource(setup.resource),
            interval: setup.interval,
            cells: setup.cells,
            failing: false,
        };
        let (until, over) = oneshot::channel();
        let thread = std::thread::Builder::new().name("metrics".to_owned()).spawn(move || {
            runtime.block_on(pushing.run(figures, over));
            // A lookup that hangs keeps nobody.
            runtime.shutdown_background();
        });
        Ok(Self { until, thread: thread.map_err(|error| error.to_string())? })
    }

    /// The cores have ended: what they did last goes in one more push.
    pub(crate) fn end(self) -> Ending {
        let _ = self.until.send(());
        Ending::of(self.thread)
    }
}

struct Pushing {
    conveyor: Conveyor,
    patience: Duration,
    resource: otlp::Resource,
    interval: Duration,
    cells: Arc<PushCells>,
    failing: bool,
}

impl Pushing {
    /// Pushes until the router is over, and once more then.
    async fn run(mut self, figures: impl Fn() -> Vec<Figures>, mut over: oneshot::Receiver<()>) {
        let mut next = Instant::now() + self.interval;
        loop {
            let is_over = tokio::time::timeout_at(next, &mut over).await.is_ok();
            next = Instant::now() + self.interval;
            let result = self.push(figures()).await;
            self.note(result);
            if is_over {
                return;
            }
        }
    }

    /// Sends what there is, in as many messages as it takes; says how many of the figures were not taken.
    async fn push(&mut self, figures: Vec<Figures>) -> Result<i64, String> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut refused = 0;
        for message in otlp::messages(figures, &self.resource, started(), now) {
            let sent = tokio::time::timeout(self.patience, self.conveyor.send(message)).await;
            refused += sent.map_err(|_| "gave no answer in time".to_owned())??;
        }
        Ok(refused)
    }

    fn note(&mut self, result: Result<i64, String>) {
        let (result, why) = match result {
            Ok(0) => (PushResult::Taken, None),
            Ok(refused) => (PushResult::TakenInPart, Some(format!("it refused {refused} figures"))),
            Err(why) => (PushResult::NotTaken, Some(why)),
        };
        self.cells.count(result);
        let was_failing = std::mem::replace(&mut self.failing, why.is_some());
        match why {
            None if was_failing => tracing::warn!("the collector takes metrics again"),
            Some(why) if !was_failing => {
                tracing::warn!(why, "the collector takes not all metrics: what is missing is counted")
            }
            _ => {}
        }
    }
}
