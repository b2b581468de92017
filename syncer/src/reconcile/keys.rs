//! The issuers' side of the loop: which tasks there are, what came of each look, and who is told when keys are live.
//!
//! Must never fetch anything itself.

use postern_config::Boundary;
use postern_config::value::Timestamp;
use tokio::sync::oneshot;

use super::Reconciler;
use crate::issuers::pace::Pace;
use crate::issuers::watch::{Answer, Looked, Watchers};
use crate::settings::Settings;
use crate::source::SourceError;
use crate::status::{IssuerStatus, Status};

/// The tasks, and who waits for what they brought.
pub(super) struct Issuers<T> {
    watchers: Watchers<T>,
    /// The boundary that the tasks follow.
    followed: Option<Boundary>,
    waiting: Vec<(bool, oneshot::Sender<Answer>)>,
}

/// When issuers are asked.
pub(super) fn pace(settings: &Settings) -> Pace {
    let issuers = &settings.issuers;
    Pace {
        least: issuers.refresh_least.duration(),
        most: issuers.refresh_most.duration().max(issuers.refresh_least.duration()),
        early_every: issuers.early_every.duration(),
    }
}

impl<T: From<Looked> + Send + 'static> Issuers<T> {
    pub(super) fn new(watchers: Watchers<T>) -> Self {
        Self { watchers, followed: None, waiting: Vec::new() }
    }

    /// Follows the boundary, when it is another one.
    pub(super) fn follow(&mut self, boundary: Option<&Boundary>, status: &Status) {
        if boundary.is_none() || boundary == self.followed.as_ref() {
            return;
        }
        self.followed = boundary.cloned();
        let Some(boundary) = boundary else { return };
        self.watchers.follow(boundary);
        let specs = crate::issuers::Spec::all(boundary);
        status.update(|view| {
            view.issuers.retain(|name, _| specs.iter().any(|spec| spec.name == *name));
            for spec in specs {
                let issuer = view.issuers.entry(spec.name.clone()).or_default();
                if issuer.source.uri != spec.url() {
                    *issuer = IssuerStatus::default();
                    spec.url().clone_into(&mut issuer.source.uri);
                }
            }
        });
    }

    /// Takes in what a task brought.
    pub(super) fn take(&mut self, reconciler: &mut Reconciler, looked: Looked, now: Timestamp, status: &Status) {
        if !self.watchers.follows(&looked.spec) {
            return;
        }
        let result = reconciler.take_keys(&looked, now);
        let holds = reconciler.keys_hold(&looked.spec.name);
        self.waiting.extend(looked.waiting.into_iter().map(|waiting| (result.is_ok(), waiting)));
        let notes = looked.result.map(|published| published.sifted.notes).ok();
        let name = &looked.spec.name;
        let mut news = None;
        status.update(|view| {
            let Some(issuer) = view.issuers.get_mut(name) else { return };
            issuer.fetches += 1;
            if let Some((keys, until)) = holds {
                (issuer.keys, issuer.until) = (keys, Some(until));
            }
            news = Some(renew(issuer, &result, notes, now));
        });
        if let Err(error) = &result {
            status.metrics.failure("issuer", error.reason);
        }
        if let Some(news) = news {
            news.tell(name.as_str());
        }
    }

    /// Tells whoever asked for an early fetch what became of it, now that a pass is over.
    pub(super) fn answer(&mut self, generation: u64, published: bool) {
        for (fetched, waiting) in self.waiting.drain(..) {
            // Whoever does not wait any more need not know.
            let _ = waiting.send(Answer { fetched: fetched && published, generation });
        }
    }
}

/// What is worth a line in the log: a failure when it begins or changes, keys left out when they are others.
#[derive(Default)]
struct News {
    failed: Option<SourceError>,
    back: bool,
    notes: Vec<String>,
}

fn renew(
    issuer: &mut IssuerStatus,
    result: &Result<(), SourceError>,
    notes: Option<Vec<String>>,
    now: Timestamp,
) -> News {
    let mut news = News::default();
    let source = &mut issuer.source;
    match result {
        Ok(()) => {
            source.last_success = Some(now);
            news.back = source.failing.take().is_some();
        }
        Err(error) => {
            let since = source.failing.as_ref().map_or(now, |(since, _)| *since);
            if source.failing.as_ref().is_none_or(|(_, before)| before != error) {
                news.failed = Some(error.clone());
            }
            source.failing = Some((since, error.clone()));
        }
    }
    if let Some(notes) = notes.filter(|notes| *notes != issuer.notes) {
        news.notes.clone_from(&notes);
        issuer.notes = notes;
    }
    news
}

impl News {
    fn tell(&self, issuer: &str) {
        if let Some(error) = &self.failed {
            tracing::error!(issuer, reason = %error.reason, %error, "keys cannot be fetched; the last ones stay in force");
        }
        if self.back {
            tracing::info!(issuer, "keys can be fetched again");
        }
        for note in &self.notes {
            tracing::warn!(issuer, note, "a key is not used");
        }
    }
}
