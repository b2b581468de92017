//! The tasks that fetch keys, one for each issuer, and what others ask of them.
//!
//! Must never decide what becomes of what is fetched.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_config::Boundary;
use postern_config::value::Name;
use tokio::sync::{Notify, Semaphore, mpsc, oneshot};
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::Spec;
use super::discovery::{self, Published};
use super::http::Http;
use super::pace::Pace;
use crate::limits;
use crate::source::SourceError;

/// What a look at an issuer gave.
#[derive(Debug)]
pub struct Looked {
    /// Whose keys they are.
    pub spec: Spec,
    /// The keys, or why there are none.
    pub result: Result<Published, SourceError>,
    /// Who waits for what becomes of it.
    pub waiting: Vec<oneshot::Sender<Answer>>,
}

/// What somebody is told who asked for an early fetch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// Whether keys were fetched.
    pub fetched: bool,
    /// The generation that has them.
    pub generation: u64,
}

/// Early fetches that are asked for. Shared with the admin listener.
#[derive(Debug, Default)]
pub struct Early {
    asked: Mutex<HashMap<Name, Arc<Asked>>>,
}

#[derive(Debug, Default)]
struct Asked {
    wake: Notify,
    waiting: Mutex<Vec<oneshot::Sender<Answer>>>,
}

impl Asked {
    fn take(&self) -> Vec<oneshot::Sender<Answer>> {
        std::mem::take(&mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many still wait.
    fn waited_for(&self) -> usize {
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        waiting.retain(|one| !one.is_closed());
        waiting.len()
    }
}

/// Why an early fetch cannot be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NotAsked {
    /// There is no such issuer, or its keys are written out.
    Unknown,
    /// Enough wait already.
    Busy,
}

impl Early {
    /// Asks for a fetch that begins from now on, and gives what tells when its keys are live. Many who ask get one fetch.
    ///
    /// # Errors
    /// When there is nothing to fetch, or enough wait already.
    pub fn ask(&self, name: &str) -> Result<oneshot::Receiver<Answer>, NotAsked> {
        let asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let (_, wanted) = asked.iter().find(|(known, _)| known.as_str() == name).ok_or(NotAsked::Unknown)?;
        // Over all issuers: each holds a connection of the admin address, which has others to serve.
        if asked.values().map(|one| one.waited_for()).sum::<usize>() >= limits::WAITING {
            return Err(NotAsked::Busy);
        }
        let (sender, receiver) = oneshot::channel();
        wanted.waiting.lock().unwrap_or_else(PoisonError::into_inner).push(sender);
        wanted.wake.notify_one();
        Ok(receiver)
    }

    fn of(&self, name: &Name) -> Arc<Asked> {
        Arc::clone(self.asked.lock().unwrap_or_else(PoisonError::into_inner).entry(name.clone()).or_default())
    }

    fn forget(&self, name: &Name) {
        self.asked.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
    }
}

/// The tasks that fetch.
#[derive(Debug)]
pub struct Watchers<T> {
    http: Http,
    pace: Pace,
    early: Arc<Early>,
    room: Arc<Semaphore>,
    events: mpsc::Sender<T>,
    tasks: HashMap<Name, (Spec, AbortHandle)>,
}

impl<T: From<Looked> + Send + 'static> Watchers<T> {
    /// None yet; what they find goes into `events`.
    pub fn new(http: Http, pace: Pace, early: Arc<Early>, events: mpsc::Sender<T>) -> Self {
        let room = Arc::new(Semaphore::new(limits::FETCHES));
        Self { http, pace, early, room, events, tasks: HashMap::new() }
    }

    /// Has a task for every issuer of a boundary that publishes its keys, and none for any other.
    pub fn follow(&mut self, boundary: &Boundary) {
        let wanted: HashMap<Name, Spec> =
            Spec::all(boundary).into_iter().map(|spec| (spec.name.clone(), spec)).collect();
        self.tasks.retain(|name, (spec, task)| {
            let same = wanted.get(name) == Some(spec);
            if !same {
                task.abort();
                self.early.forget(name);
            }
            same
        });
        for (name, spec) in wanted {
            if !self.tasks.contains_key(&name) {
                let watch = watch(
                    spec.clone(),
                    self.http.clone(),
                    self.pace,
                    self.early.of(&name),
                    Arc::clone(&self.room),
                    self.events.clone(),
                );
                self.tasks.insert(name, (spec, tokio::spawn(watch).abort_handle()));
            }
        }
    }

    /// Whether that is still to be fetched: a task may have been replaced while its last answer was on its way.
    pub fn follows(&self, spec: &Spec) -> bool {
        self.tasks.get(&spec.name).is_some_and(|(known, _)| known == spec)
    }
}

impl<T> Drop for Watchers<T> {
    fn drop(&mut self) {
        self.tasks.values().for_each(|(_, task)| task.abort());
    }
}

async fn watch<T: From<Looked>>(
    spec: Spec,
    http: Http,
    pace: Pace,
    asked: Arc<Asked>,
    room: Arc<Semaphore>,
    events: mpsc::Sender<T>,
) {
    let mut failures = 0_u32;
    let mut early_from = Instant::now();
    loop {
        let Ok(permit) = room.acquire().await else { return };
        // Whoever asks from here on may know of keys that this answer does not have yet.
        let waiting = asked.take();
        if !waiting.is_empty() {
            early_from = Instant::now() + pace.early_every;
        }
        let result = discovery::fetch(&http, &spec).await;
        drop(permit);
        failures = if result.is_ok() { 0 } else { failures.saturating_add(1) };
        let wait = match &result {
            Ok(published) => pace.after_success(published.max_age, fastrand::f64()),
            Err(_) => pace.after_failure(failures, fastrand::f64()),
        };
        if events.send(T::from(Looked { spec: spec.clone(), result, waiting })).await.is_err() {
            return;
        }
        until_due(&asked, wait, early_from).await;
    }
}

/// Until it is time, or somebody asks and the last early fetch is long enough ago.
async fn until_due(asked: &Asked, wait: Duration, early_from: Instant) {
    let due = Instant::now() + wait;
    loop {
        tokio::select! {
            () = tokio::time::sleep_until(due) => return,
            () = asked.wake.notified() => {}
        }
        tokio::time::sleep_until(early_from.min(due)).await;
        // A fetch in between may have served them.
        if asked.waited_for() > 0 || Instant::now() >= due {
            return;
        }
    }
}
