//! The secrets' side of the loop: which tasks there are, and what came of each look.
//!
//! Must never read anything itself, or show a secret.

use postern_config::secrets::Wanted;
use postern_config::value::Timestamp;

use super::Reconciler;
use crate::secrets::watch::{Looked, Pace, Watchers};
use crate::settings::Settings;
use crate::source::SourceError;
use crate::status::{SecretStatus, Status};

/// The tasks.
pub(super) struct Followed<T> {
    watchers: Watchers<T>,
    wanted: Vec<Wanted>,
}

/// How often secrets are looked at.
pub(super) fn pace(settings: &Settings) -> Pace {
    let remote = settings.secrets.refresh.duration();
    Pace { remote, local: remote.min(settings.interval.duration()) }
}

impl<T: From<Looked> + Send + 'static> Followed<T> {
    pub(super) fn new(watchers: Watchers<T>) -> Self {
        Self { watchers, wanted: Vec::new() }
    }

    /// Follows what the boundary refers to, when that is something else.
    pub(super) fn follow(&mut self, reconciler: &Reconciler, status: &Status) {
        let wanted = reconciler.secrets.wanted();
        if wanted == self.wanted {
            return;
        }
        self.watchers.follow(wanted);
        status.update(|view| {
            view.secrets.retain(|place, _| wanted.iter().any(|one| one.place == *place));
            for one in wanted {
                let secret = view.secrets.entry(one.place.clone()).or_default();
                let uri = one.reference.to_string();
                if secret.source.uri != uri {
                    *secret = SecretStatus::default();
                    secret.source.uri = uri;
                }
                secret.known = reconciler.secrets.has(&one.place);
            }
        });
        self.wanted = wanted.to_vec();
    }
}

/// Takes in what a task brought.
pub(super) fn take(reconciler: &mut Reconciler, looked: Looked, now: Timestamp, status: &Status) {
    let Looked { wanted, result } = looked;
    if !reconciler.secrets.wanted().contains(&wanted) {
        return;
    }
    let (secret, result) = match result {
        Ok(secret) => (Some(secret), Ok(())),
        Err(error) => (None, Err(error)),
    };
    let had = reconciler.secrets.has(&wanted.place);
    let changed = reconciler.take_secret(&wanted, secret);
    let known = reconciler.secrets.has(&wanted.place);
    let mut news = None;
    status.update(|view| {
        let Some(shown) = view.secrets.get_mut(&wanted.place) else { return };
        shown.known = known;
        news = shown.source.renew(&result, now);
    });
    if let Err(error) = &result {
        status.metrics.failure("secret", error.reason);
    }
    let (place, reference) = (&wanted.place, &wanted.reference);
    match news {
        Some(Some(error)) => tell_of(place, &error, known),
        Some(None) => tracing::info!(secret = place, %reference, "a secret can be read again"),
        None => {}
    }
    if changed && had && result.is_ok() {
        tracing::info!(secret = place, %reference, "a secret has changed");
    }
}

fn tell_of(place: &str, error: &SourceError, known: bool) {
    let what = if known { "the last one stays in force" } else { "what needs it answers 503" };
    tracing::error!(secret = place, reason = %error.reason, %error, "a secret cannot be read; {what}");
}
