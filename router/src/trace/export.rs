//! The thread that sends: what cores hand over becomes spans, and goes to the collector in batches.
//!
//! Owns its runtime and the library's exporter. One batch is under way at a time; while a collector takes its time the
//! queue fills, and when that is full cores drop and count. Must never keep the router from ending.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use opentelemetry::KeyValue;
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use tokio::sync::mpsc::{Receiver, Sender, channel};

use super::outbox::WAITING;
use super::{Collector, Kept, Outbox, TraceCounts, spans};

/// Exchanges that are sent at once, or a batch more: their spans stay well below the 4 MiB that collectors take.
const TOGETHER: usize = 512;
/// How long a batch waits for others.
const GATHER: Duration = Duration::from_millis(500);
/// How long the router's end waits for what is still to be sent.
const LAST: Duration = Duration::from_secs(1);

/// What it takes.
pub(crate) struct Setup {
    pub(crate) collector: Collector,
    /// What the spans are of: `service.name` and the like.
    pub(crate) resource: BTreeMap<String, String>,
}

/// The thread.
pub(crate) struct TraceWriter {
    sender: Sender<Vec<Kept>>,
    counts: Arc<TraceCounts>,
    thread: JoinHandle<()>,
}

/// A thread that sends, once no more will come: it sends what there is and ends.
pub(crate) struct Ending {
    thread: JoinHandle<()>,
    until: Instant,
}

impl Ending {
    /// That of a thread that was told.
    pub(crate) fn of(thread: JoinHandle<()>) -> Self {
        Self { thread, until: Instant::now() + LAST }
    }

    /// Waits, but not for long: a collector that takes nothing does not keep the router from ending.
    pub(crate) fn wait(self) {
        while !self.thread.is_finished() && Instant::now() < self.until {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl TraceWriter {
    /// Starts it. The collector need not be there.
    ///
    /// # Errors
    /// What cannot be used of the settings.
    pub(crate) fn start(setup: Setup) -> Result<Self, String> {
        let (sender, receiver) = channel(WAITING);
        let counts = Arc::new(TraceCounts::default());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|error| error.to_string())?;
        // Within the runtime, because connections belong to one.
        let exporter = {
            let _entered = runtime.enter();
            setup.collector.exporter()?
        };
        let mut sending =
            Sending { exporter, patience: setup.collector.timeout, counts: Arc::clone(&counts), failing: false };
        sending.exporter.set_resource(&resource(setup.resource));
        let thread = std::thread::Builder::new().name("traces".to_owned()).spawn(move || {
            runtime.block_on(sending.run(receiver));
            // A lookup that hangs keeps nobody.
            runtime.shutdown_background();
        });
        Ok(Self { sender, counts, thread: thread.map_err(|error| error.to_string())? })
    }

    /// Where a core puts its exchanges.
    pub(crate) fn outbox(&self) -> Outbox {
        Outbox::new(self.sender.clone(), Arc::clone(&self.counts))
    }

    /// What became of exchanges.
    pub(crate) fn counts(&self) -> Arc<TraceCounts> {
        Arc::clone(&self.counts)
    }

    /// No more comes: the cores have ended.
    pub(crate) fn end(self) -> Ending {
        Ending::of(self.thread)
    }
}

fn resource(attributes: BTreeMap<String, String>) -> Resource {
    let attributes = attributes.into_iter().map(|(name, value)| KeyValue::new(name, value));
    Resource::builder_empty().with_attributes(attributes).build()
}

struct Sending {
    exporter: SpanExporter,
    patience: Duration,
    counts: Arc<TraceCounts>,
    failing: bool,
}

impl Sending {
    /// Sends until the last core has ended.
    async fn run(mut self, mut receiver: Receiver<Vec<Kept>>) {
        let scope = spans::scope();
        let mut kept = Vec::new();
        while gather(&mut receiver, &mut kept).await {
            let mut made = Vec::with_capacity(2 * kept.len());
            kept.iter().for_each(|one| spans::spans(one, &scope, &mut made));
            let sent = tokio::time::timeout(self.patience, self.exporter.export(made)).await;
            let failure = match sent {
                Ok(Ok(())) => None,
                Ok(Err(error)) => Some(error.to_string()),
                Err(_) => Some("gave no answer in time".to_owned()),
            };
            self.count(kept.len() as u64, failure);
            kept.clear();
        }
    }

    fn count(&mut self, exchanges: u64, failure: Option<String>) {
        let (cell, was_failing) = match failure {
            None => (&self.counts.exported, std::mem::replace(&mut self.failing, false)),
            Some(_) => (&self.counts.not_taken, std::mem::replace(&mut self.failing, true)),
        };
        cell.fetch_add(exchanges, Ordering::Relaxed);
        match failure {
            None if was_failing => tracing::warn!("the collector takes traces again"),
            None => {}
            Some(why) => {
                self.counts.failures.fetch_add(1, Ordering::Relaxed);
                if !was_failing {
                    tracing::warn!(why, "the collector takes no traces: they are lost and counted");
                }
            }
        }
    }
}

/// Waits for a batch and takes what comes a moment after it; says whether there is one.
async fn gather(receiver: &mut Receiver<Vec<Kept>>, kept: &mut Vec<Kept>) -> bool {
    let Some(first) = receiver.recv().await else { return false };
    kept.extend(first);
    let until = tokio::time::Instant::now() + GATHER;
    while kept.len() < TOGETHER {
        match tokio::time::timeout_at(until, receiver.recv()).await {
            Ok(Some(more)) => kept.extend(more),
            Ok(None) | Err(_) => break,
        }
    }
    true
}
