//! What the syncer knows of itself, for its admin address: replaced whole, read by whoever asks.
//!
//! Must never know HTTP, or decide anything.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use postern_config::merged::{Content, Digest, Pinned};
use postern_config::value::{Name, Timestamp};

use crate::guard::Hold;
use crate::metrics::Metrics;
use crate::posted::Mark;
use crate::programmed::Programmed;
use crate::source::SourceError;

/// How one store is doing.
#[derive(Debug, Clone, Default)]
pub struct SourceStatus {
    /// Where it is.
    pub uri: String,
    /// When it was last read, changed or not.
    pub last_success: Option<Timestamp>,
    /// Since when it fails, and why, when it does.
    pub failing: Option<(Timestamp, SourceError)>,
}

/// How one issuer is doing that publishes its keys.
#[derive(Debug, Clone, Default)]
pub struct IssuerStatus {
    /// Where it is.
    pub source: SourceStatus,
    /// How many of its keys are used.
    pub keys: usize,
    /// Until when they are, if they are not seen again.
    pub until: Option<Timestamp>,
    /// Keys that were left out the last time, and why.
    pub notes: Vec<String>,
    /// How often it was asked.
    pub fetches: u64,
}

/// How one secret is doing that the boundary refers to. Nothing of it is in here.
#[derive(Debug, Clone, Default)]
pub struct SecretStatus {
    /// Where it is.
    pub source: SourceStatus,
    /// Whether one is in force.
    pub known: bool,
}

impl SourceStatus {
    /// Shows how a look ended. Gives what is worth telling: a failure that begins or changes, or (`None`) its end.
    pub fn renew(&mut self, result: &Result<(), SourceError>, now: Timestamp) -> Option<Option<SourceError>> {
        match result {
            Ok(()) => {
                self.last_success = Some(now);
                self.failing.take().map(|_| None)
            }
            Err(error) => {
                let since = self.failing.as_ref().map_or(now, |(since, _)| *since);
                let is_news = self.failing.as_ref().is_none_or(|(_, before)| before != error);
                self.failing = Some((since, error.clone()));
                is_news.then(|| Some(error.clone()))
            }
        }
    }
}

/// What is known at one moment.
#[derive(Debug, Clone, Default)]
pub struct View {
    /// When the process began.
    pub started: Option<Timestamp>,
    /// The generation that stands; zero when none does.
    pub generation: u64,
    /// Its digest.
    pub digest: Option<Digest>,
    /// When it was written.
    pub written_at: Option<Timestamp>,
    /// What it says.
    pub content: Option<Arc<Content>>,
    /// What the shrink guard keeps.
    pub hold: Option<Hold>,
    /// The generation whose routes stay, when one is pinned.
    pub pinned: Option<Pinned>,
    /// What that was made from, in words that mean the same to every task.
    pub mark: Mark,
    /// The boundary's store.
    pub boundary: SourceStatus,
    /// The registrations' store.
    pub registrations: SourceStatus,
    /// The issuers whose keys are fetched, by name.
    pub issuers: BTreeMap<Name, IssuerStatus>,
    /// The secrets that the boundary refers to, by place.
    pub secrets: BTreeMap<String, SecretStatus>,
    /// Whether the routers serve it.
    pub programmed: Programmed,
    /// Posting to the status table: heartbeats and entries.
    pub board: BTreeMap<&'static str, SourceStatus>,
    /// When a pass last came to its end.
    pub last_pass: Option<Timestamp>,
    /// Why the last pass did not, when it did not.
    pub pass_error: Option<String>,
}

impl View {
    /// Whether the routers serve what stands; what they said of an earlier generation says nothing of this one.
    pub fn programmed(&self) -> Programmed {
        if self.programmed.of == self.digest { self.programmed.clone() } else { Programmed::default() }
    }
}

/// The present view and the counters, shared between the passes and whoever asks.
#[derive(Debug, Default)]
pub struct Status {
    view: RwLock<Arc<View>>,
    /// What only ever counts up.
    pub metrics: Metrics,
}

impl Status {
    /// What is known now.
    pub fn view(&self) -> Arc<View> {
        Arc::clone(&self.view.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Changes what is known.
    pub fn update(&self, change: impl FnOnce(&mut View)) {
        let mut guard = self.view.write().unwrap_or_else(PoisonError::into_inner);
        change(Arc::make_mut(&mut guard));
    }
}
