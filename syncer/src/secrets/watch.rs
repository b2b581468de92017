//! The tasks that look at secrets, one for each place that refers to one.
//!
//! Must never decide what becomes of what is read.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use postern_config::secrets::{SecretText, Wanted};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::AbortHandle;

use crate::limits;
use crate::source::secret::SecretSource;
use crate::source::{FailureReason, SourceError};

/// What a look at a secret gave.
#[derive(Debug)]
pub struct Looked {
    /// Which.
    pub wanted: Wanted,
    /// The secret, fit for what it is for, or why there is none.
    pub result: Result<SecretText, SourceError>,
}

/// How often secrets are looked at.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// Those in AWS.
    pub remote: Duration,
    /// Those on this machine.
    pub local: Duration,
}

/// One look.
pub async fn look(source: &SecretSource, wanted: Wanted) -> Looked {
    let result = source.read(&wanted.reference).await.and_then(|secret| match wanted.purpose.check(&secret) {
        Ok(()) => Ok(secret),
        Err(why) => Err(SourceError::new(FailureReason::Invalid, format!("{}: what is there {why}", wanted.reference))),
    });
    Looked { wanted, result }
}

/// The tasks that look.
#[derive(Debug)]
pub struct Watchers<T> {
    source: Arc<SecretSource>,
    pace: Pace,
    room: Arc<Semaphore>,
    events: mpsc::Sender<T>,
    tasks: HashMap<String, (Wanted, AbortHandle)>,
}

impl<T: From<Looked> + Send + 'static> Watchers<T> {
    /// None yet; what they find goes into `events`.
    pub fn new(source: SecretSource, pace: Pace, events: mpsc::Sender<T>) -> Self {
        let room = Arc::new(Semaphore::new(limits::FETCHES));
        Self { source: Arc::new(source), pace, room, events, tasks: HashMap::new() }
    }

    /// Has a task for each of these, and none for any other.
    pub fn follow(&mut self, wanted: &[Wanted]) {
        self.tasks.retain(|_, (known, task)| {
            let stays = wanted.contains(known);
            if !stays {
                task.abort();
            }
            stays
        });
        for one in wanted {
            if !self.tasks.contains_key(&one.place) {
                let task = watch(
                    one.clone(),
                    Arc::clone(&self.source),
                    self.pace,
                    Arc::clone(&self.room),
                    self.events.clone(),
                );
                self.tasks.insert(one.place.clone(), (one.clone(), tokio::spawn(task).abort_handle()));
            }
        }
    }
}

impl<T> Drop for Watchers<T> {
    fn drop(&mut self) {
        self.tasks.values().for_each(|(_, task)| task.abort());
    }
}

async fn watch<T: From<Looked>>(
    wanted: Wanted,
    source: Arc<SecretSource>,
    pace: Pace,
    room: Arc<Semaphore>,
    events: mpsc::Sender<T>,
) {
    let mut failures = 0_u32;
    loop {
        let Ok(permit) = room.acquire().await else { return };
        let looked = look(&source, wanted.clone()).await;
        drop(permit);
        failures = if looked.result.is_ok() { 0 } else { failures.saturating_add(1) };
        if events.send(T::from(looked)).await.is_err() {
            return;
        }
        tokio::time::sleep(pace.after(SecretSource::is_remote(&wanted.reference), failures, fastrand::f64())).await;
    }
}

impl Pace {
    /// How long to wait after so many failures in a row: give or take a tenth, so that many syncers spread out; after
    /// failures sooner, and exponentially later. `random` is from 0 to 1.
    fn after(&self, is_remote: bool, failures: u32, random: f64) -> Duration {
        if !is_remote {
            return self.local.mul_f64(0.9 + 0.2 * random);
        }
        if failures == 0 {
            return self.remote.mul_f64(0.9 + 0.2 * random);
        }
        Duration::from_secs(1 << failures.min(6)).min(self.remote).mul_f64(0.5 + 0.5 * random)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_looked_at_sooner_and_ever_later_and_never_later_than_all_is_well() {
        let seconds = Duration::from_secs;
        let pace = Pace { remote: seconds(60), local: seconds(5) };
        assert_eq!((pace.after(true, 0, 0.0), pace.after(true, 0, 1.0)), (seconds(54), seconds(66)));
        assert_eq!((pace.after(true, 1, 0.0), pace.after(true, 1, 1.0)), (seconds(1), seconds(2)));
        assert_eq!(pace.after(true, u32::MAX, 1.0), seconds(60));
        assert!(pace.after(false, 0, 1.0) == pace.after(false, 9, 1.0) && pace.after(false, 9, 1.0) < seconds(6));
    }
}
