//! Checks passwords on threads of its own: one check costs tens of milliseconds of CPU and up to 256 MiB.
//!
//! Owns the pool, its bounded queue, and a short memory of right passwords. Lives longer than any snapshot:
//! what is remembered is keyed by the stored hash, so a changed hash is asked anew. Must never know requests
//! or routes.
//!
//! A flood of guesses fills the queue and is refused, while callers that were proved within the last minute
//! pass without it; without the bound it would take every core (`threats.md` F67).

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use hmac::{Hmac, KeyInit as _, Mac as _};
use http::HeaderValue;
use http::header::RETRY_AFTER;
use postern_config::document::Mode;
use quick_cache::sync::Cache;
use sha2::Sha256;
use tokio::sync::oneshot;
use zeroize::Zeroizing;

use crate::lockout::Lockout;
use crate::principal::Principal;
use crate::reject::{Reason, Rejection};
use crate::stage::authenticate::PasswordQuestion;

/// The pool. Clones share it; its threads end with the last one.
#[derive(Clone)]
pub(crate) struct Passwords {
    shared: Arc<Shared>,
    queue: SyncSender<Job>,
}

/// A digest of a question under a key that dies with the process.
type Digest = [u8; 32];

/// As long as a block of the hash, so that it is used as it is.
type Key = [u8; 64];

/// What decides. A plain function, so that tests can count and hold it.
type Check = fn(&PasswordQuestion) -> bool;

/// What became of a question.
pub(crate) struct Answered {
    /// Who it is. 401 for a wrong password or an unknown user, 429 when there were too many before, 503 when too many
    /// questions are waiting.
    pub(crate) proved: Result<Principal, Rejection>,
    /// Whether it would have been 429, had that been insisted on.
    pub(crate) spared: bool,
}

struct Shared {
    key: Zeroizing<Key>,
    /// Right passwords, and until when that is remembered. Wrong ones are not: each guess costs the same.
    proved: Cache<Digest, Instant>,
    /// Who waits for each question that is queued or being worked on.
    waiting: Mutex<HashMap<Digest, Vec<oneshot::Sender<bool>>>>,
    lockout: Lockout,
}

impl Passwords {
    /// Starts the pool.
    pub(crate) fn new(threads: usize) -> Self {
        Self::start(threads, QUEUE, PasswordQuestion::holds)
    }

    /// How many threads suit a machine: password checks never take more than half of it.
    pub(crate) fn threads_for(cores: usize) -> usize {
        (cores / 2).clamp(1, 2)
    }

    fn start(threads: usize, queue: usize, check: Check) -> Self {
        let mut key = Zeroizing::new([0; size_of::<Key>()]);
        // Without randomness digests could be computed by others, and without a thread nothing is checked.
        // Either way the queue has no reader, and every password is refused as if the pool were busy.
        let random = rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut *key).is_ok();
        let shared = Arc::new(Shared {
            key,
            proved: Cache::new(REMEMBERED),
            waiting: Mutex::default(),
            lockout: Lockout::default(),
        });
        let (queue, jobs) = sync_channel(queue);
        let jobs = Arc::new(Mutex::new(jobs));
        for index in 0..if random { threads } else { 0 } {
            let jobs = Arc::clone(&jobs);
            let spawned =
                std::thread::Builder::new().name(format!("password-{index}")).spawn(move || work(&jobs, check));
            if let Err(error) = spawned {
                tracing::error!(%error, index, "a thread that checks passwords could not be started");
            }
        }
        Self { shared, queue }
    }

    /// How often somebody was told to wait.
    pub(crate) fn lockouts(&self) -> u64 {
        self.shared.lockout.begun()
    }

    /// How often somebody would have been, where that is only tried out.
    pub(crate) fn lockouts_tried(&self) -> u64 {
        self.shared.lockout.tried()
    }

    /// Answers the question; `client` asks it, and `now` is when.
    pub(crate) async fn verify(&self, question: PasswordQuestion, client: IpAddr, now: Instant) -> Answered {
        let mut spared = false;
        let proved = self.prove(question, client, now, &mut spared).await;
        Answered { proved, spared }
    }

    async fn prove(
        &self,
        question: PasswordQuestion,
        client: IpAddr,
        now: Instant,
        spared: &mut bool,
    ) -> Result<Principal, Rejection> {
        let [realm, name] = question.named();
        let place = Lockout::place(&self.shared.key, realm, name, client);
        let lockout = &self.shared.lockout;
        let rule = question.lockout();
        let mut check_open = || match (lockout.remaining(&place, now), rule.mode) {
            (None, _) | (_, Mode::Off) => Ok(()),
            (Some(left), Mode::Enforce) => Err(PasswordQuestion::wait(left)),
            (Some(_), Mode::Shadow) => {
                *spared = true;
                Ok(())
            }
        };
        // Before anything is remembered: else a right guess would show all the same.
        check_open()?;
        let digest = self.shared.digest(&question);
        if self.shared.proved.get(&digest).is_some_and(|until| now < until) {
            return Ok(question.principal());
        }
        let question = Arc::new(question);
        match self.enqueue(digest, &question, now)?.await {
            // Guesses that are sent at once learn no more than those that come one by one.
            Ok(true) => check_open().map(|()| question.principal()),
            Ok(false) => {
                lockout.failed(place, rule, now);
                Err(question.refusal())
            }
            // The check panicked, or the pool is going down: nothing was proved.
            Err(_) => Err(Rejection::new(Reason::Internal, "a password check was given up")),
        }
    }

    /// Joins those who wait for the same answer, or queues the question. When a remembered answer ends, a
    /// client's hundred connections ask at once: they cost one check.
    fn enqueue(
        &self,
        digest: Digest,
        question: &Arc<PasswordQuestion>,
        now: Instant,
    ) -> Result<oneshot::Receiver<bool>, Rejection> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.shared.waiting();
        match waiting.entry(digest) {
            Entry::Occupied(mut others) => {
                let others = others.get_mut();
                if others.len() >= WAITING {
                    others.retain(|other| !other.is_closed());
                }
                if others.len() >= WAITING {
                    return Err(busy());
                }
                others.push(sender);
            }
            Entry::Vacant(place) => {
                let job = Job {
                    shared: Arc::clone(&self.shared),
                    digest,
                    question: Arc::clone(question),
                    until: now + REMEMBERED_FOR,
                    answered: false,
                };
                // Under the lock: nobody joins a list that is about to go. Sending never waits.
                match self.queue.try_send(job) {
                    Ok(()) => {
                        place.insert(vec![sender]);
                    }
                    Err(TrySendError::Full(job) | TrySendError::Disconnected(job)) => {
                        // It never had waiters, and taking them off the list would want the lock again.
                        job.give_back();
                        return Err(busy());
                    }
                }
            }
        }
        Ok(receiver)
    }
}

impl Shared {
    fn waiting(&self) -> MutexGuard<'_, HashMap<Digest, Vec<oneshot::Sender<bool>>>> {
        // Every change of the list is one call: a panic elsewhere leaves it whole.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn digest(&self, question: &PasswordQuestion) -> Digest {
        let mut mac = Hmac::<Sha256>::new(&(*self.key).into());
        for part in question.parts() {
            // With the length in front, no two lists of parts have the same bytes.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

/// A question on its way. However it ends, nobody waits for it afterwards.
struct Job {
    shared: Arc<Shared>,
    digest: Digest,
    question: Arc<PasswordQuestion>,
    until: Instant,
    /// Whether the waiters were taken off the list. A later question may stand there under the same digest.
    answered: bool,
}

impl Job {
    /// Whether everybody who asked has gone. Clients that give up do not cost a check.
    fn is_abandoned(&mut self) -> bool {
        let mut waiting = self.shared.waiting();
        let abandoned = waiting.get(&self.digest).is_none_or(|senders| senders.iter().all(oneshot::Sender::is_closed));
        if abandoned {
            waiting.remove(&self.digest);
            self.answered = true;
        }
        abandoned
    }

    fn give_back(mut self) {
        self.answered = true;
    }

    fn answer(mut self, proved: bool) {
        if proved {
            // Before the waiters leave the list, so that whoever comes between finds one of the two.
            self.shared.proved.insert(self.digest, self.until);
        }
        let senders = self.shared.waiting().remove(&self.digest).unwrap_or_default();
        self.answered = true;
        for sender in senders {
            // Whoever has gone needs no answer.
            let _ = sender.send(proved);
        }
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        if !self.answered {
            self.shared.waiting().remove(&self.digest);
        }
    }
}

fn work(jobs: &Mutex<Receiver<Job>>, check: Check) {
    loop {
        // The lock is held while waiting: one thread waits for the next job, the others for the lock.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = next else { return };
        if job.is_abandoned() {
            continue;
        }
        // A panic costs one answer and not the thread: the job drops, and its waiters get 500.
        if let Ok(proved) = catch_unwind(AssertUnwindSafe(|| check(&job.question))) {
            job.answer(proved);
        }
    }
}

fn busy() -> Rejection {
    Rejection::new(Reason::PasswordChecksBusy, "too many password checks are waiting")
        .header(RETRY_AFTER, HeaderValue::from_static("1"))
}

/// Most questions in the queue: with two threads and 50 ms each, the last waits under two seconds.
const QUEUE: usize = 64;

/// Most callers that wait for one answer.
const WAITING: usize = 1024;

/// Most right passwords that are remembered.
const REMEMBERED: usize = 4096;

/// How long: a user that is taken out of a realm is unknown at once, this only spares the work.
const REMEMBERED_FOR: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests;
