//! Asking the syncer to fetch an issuer's keys before their time: what cores want, and what came back.
//!
//! Cores hand over names of issuers now and then, off the way of requests; one task on the admin thread asks, one
//! question an issuer at a time, and the syncer sees to it that issuers are not asked too often. A round has come back
//! when the generation with its keys is served. Must never know tokens, or reach anything but the syncer.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use postern_config::limits;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::snapshot::store::Store;

/// What is asked of the syncer, shared by all cores.
pub(crate) struct Hints {
    /// The syncer's admin address; `None` when nobody is asked.
    syncer: Option<Box<str>>,
    issuers: Mutex<BTreeMap<Box<str>, Rounds>>,
    /// Raised when a round came back, so that a core can tell without the lock.
    changes: AtomicU64,
    wake: Notify,
    /// Questions by what they led to.
    answered: AtomicU64,
    failed: AtomicU64,
}

/// Rounds of one issuer, counted from one.
#[derive(Default)]
struct Rounds {
    wanted: u64,
    begun: u64,
    done: u64,
    asking: bool,
    failures: u32,
    not_before: Option<Instant>,
}

impl Rounds {
    fn is_wanted(&self) -> bool {
        self.wanted > self.begun && !self.asking
    }
}

impl Hints {
    pub(crate) fn new(syncer: Option<&str>) -> Self {
        Self {
            syncer: syncer.map(Into::into),
            issuers: Mutex::default(),
            changes: AtomicU64::new(0),
            wake: Notify::new(),
            answered: AtomicU64::new(0),
            failed: AtomicU64::new(0),
        }
    }

    /// Whether anybody is asked at all.
    pub(crate) fn are_on(&self) -> bool {
        self.syncer.is_some()
    }

    /// Wants an issuer's keys fetched anew; gives the round that begins after this.
    pub(crate) fn want(&self, issuer: &str) -> u64 {
        let mut issuers = self.issuers();
        if !issuers.contains_key(issuer) && issuers.len() >= 2 * limits::ISSUERS {
            // Generations came and went with new names each time: a round that never comes back.
            return u64::MAX;
        }
        let rounds = issuers.entry(issuer.into()).or_default();
        rounds.wanted = rounds.begun + 1;
        let round = rounds.wanted;
        drop(issuers);
        self.wake.notify_one();
        round
    }

    /// How often a round came back.
    pub(crate) fn changes(&self) -> u64 {
        self.changes.load(Ordering::Acquire)
    }

    /// The last round of each issuer that came back.
    pub(crate) fn done(&self, mut tell: impl FnMut(&str, u64)) {
        self.issuers()
            .iter()
            .filter(|(_, rounds)| rounds.done > 0)
            .for_each(|(issuer, rounds)| tell(issuer, rounds.done));
    }

    /// Questions that were answered with keys, and those that were not.
    pub(crate) fn counts(&self) -> [u64; 2] {
        [self.answered.load(Ordering::Relaxed), self.failed.load(Ordering::Relaxed)]
    }

    /// Begins the rounds that are wanted and due, and says when the next will be due.
    fn begin(&self, now: Instant) -> (Vec<(Box<str>, u64)>, Option<Instant>) {
        let mut issuers = self.issuers();
        let mut room = QUESTIONS.saturating_sub(issuers.values().filter(|rounds| rounds.asking).count());
        let (mut begun, mut next) = (Vec::new(), None);
        for (issuer, rounds) in issuers.iter_mut().filter(|(_, rounds)| rounds.is_wanted()) {
            match rounds.not_before.filter(|instant| *instant > now) {
                Some(instant) => next = next.into_iter().chain([instant]).min(),
                None if room > 0 => {
                    room -= 1;
                    rounds.begun = rounds.wanted;
                    rounds.asking = true;
                    begun.push((issuer.clone(), rounds.begun));
                }
                None => {}
            }
        }
        (begun, next)
    }

    /// A round is over.
    fn end(&self, issuer: &str, round: u64, came_back: bool, now: Instant) {
        let mut issuers = self.issuers();
        let Some(rounds) = issuers.get_mut(issuer) else { return };
        rounds.asking = false;
        if came_back {
            rounds.done = round;
            rounds.failures = 0;
            rounds.not_before = Some(now + AFTER_ANSWER);
            self.answered.fetch_add(1, Ordering::Relaxed);
        } else {
            rounds.failures = rounds.failures.saturating_add(1);
            rounds.not_before = Some(now + AFTER_FAILURE);
            // Who waits for this round waits for the next one then, though nobody asks again.
            if rounds.failures <= TRIES {
                rounds.wanted = rounds.wanted.max(rounds.begun + 1);
            }
            self.failed.fetch_add(1, Ordering::Relaxed);
        }
        drop(issuers);
        self.changes.fetch_add(1, Ordering::Release);
        self.wake.notify_one();
    }

    fn issuers(&self) -> MutexGuard<'_, BTreeMap<Box<str>, Rounds>> {
        // Nothing that holds the lock can leave a round half written.
        self.issuers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Asks whatever is wanted, for as long as the runtime lives.
pub(crate) async fn run(hints: Arc<Hints>, store: Arc<Store>) {
    let Some(syncer) = hints.syncer.clone() else { return };
    loop {
        let (begun, next) = hints.begin(Instant::now());
        for (issuer, round) in begun {
            let (hints, store, syncer) = (Arc::clone(&hints), Arc::clone(&store), syncer.clone());
            tokio::task::spawn_local(async move {
                let asked = tokio::time::timeout(PATIENCE, ask(&syncer, &issuer)).await;
                let came_back = match asked.unwrap_or_else(|_| Err("gave no answer in time".to_owned())) {
                    Ok(generation) => is_served(&store, generation).await,
                    Err(why) => {
                        tracing::warn!(issuer = &*issuer, syncer = &*syncer, why, "keys cannot be asked for");
                        false
                    }
                };
                hints.end(&issuer, round, came_back, Instant::now());
            });
        }
        let due = async {
            match next {
                Some(instant) => tokio::time::sleep_until(instant).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = hints.wake.notified() => {}
            () = due => {}
        }
    }
}

/// Waits until the generation that has the keys is in use: before that the old keys would still be asked.
async fn is_served(store: &Store, generation: u64) -> bool {
    let end = Instant::now() + LOADING;
    while store.live().is_none_or(|live| live.header.generation < generation) {
        if Instant::now() > end {
            return false;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    true
}

/// One question; the answer comes when the keys were fetched and written, and names the generation that has them.
async fn ask(syncer: &str, issuer: &str) -> Result<u64, String> {
    let failed = |error: std::io::Error| error.to_string();
    let mut stream = TcpStream::connect(syncer).await.map_err(failed)?;
    // A name holds nothing that would have to be escaped here.
    let head = format!(
        "POST /refresh?issuer={issuer} HTTP/1.1\r\nhost: {syncer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await.map_err(failed)?;
    let mut answer = Vec::new();
    stream.take(ANSWER_BYTES).read_to_end(&mut answer).await.map_err(failed)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.split(' ').nth(1).unwrap_or("nothing");
    if status != "200" {
        return Err(format!("the syncer answers {status:.3}"));
    }
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    let told: Option<serde_json::Value> = serde_json::from_str(body).ok();
    told.and_then(|told| told.get("generation")?.as_u64())
        .ok_or_else(|| "the syncer's answer cannot be read".to_owned())
}

/// Questions that are open at once.
const QUESTIONS: usize = 8;

/// Longer than the syncer lets an issuer rest between two early fetches, and a fetch takes.
const PATIENCE: Duration = Duration::from_secs(55);

/// How long a generation may take to be read and compiled.
const LOADING: Duration = Duration::from_secs(10);

/// Between two questions about one issuer; the syncer's own pace is slower as a rule.
const AFTER_ANSWER: Duration = Duration::from_millis(250);
const AFTER_FAILURE: Duration = Duration::from_secs(10);

/// Failures in a row after which only a new wish asks again.
const TRIES: u32 = 6;

/// Most bytes of an answer that are read: there are some hundred.
const ANSWER_BYTES: u64 = 4_096;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn many_wishes_are_one_round_and_a_wish_during_one_is_the_next() {
        let hints = Hints::new(Some("x"));
        let now = Instant::now();
        assert_eq!([hints.want("a"), hints.want("a"), hints.want("b")], [1, 1, 1]);
        let (begun, _) = hints.begin(now);
        assert_eq!(begun, [("a".into(), 1), ("b".into(), 1)]);
        assert_eq!(hints.want("a"), 2);
        assert!(hints.begin(now).0.is_empty(), "one question at a time");
        hints.end("a", 1, true, now);
        assert_eq!(hints.begin(now), (Vec::new(), Some(now + AFTER_ANSWER)));
        assert_eq!(hints.begin(now + AFTER_ANSWER).0, [("a".into(), 2)]);
        let mut done = Vec::new();
        hints.done(|issuer, round| done.push((issuer.to_owned(), round)));
        assert_eq!((done, hints.changes()), (vec![("a".to_owned(), 1)], 1));
    }

    #[test]
    fn a_round_that_failed_is_tried_again_and_not_for_ever() {
        let hints = Hints::new(Some("x"));
        let mut now = Instant::now();
        hints.want("a");
        let mut rounds = 0;
        while let [(_, round)] = hints.begin(now).0.as_slice() {
            rounds += 1;
            hints.end("a", *round, false, now);
            now += AFTER_FAILURE;
        }
        assert_eq!(rounds, 1 + TRIES);
        assert_eq!(hints.want("a"), u64::from(rounds) + 1);
    }

    #[test]
    fn names_are_bounded() {
        let hints = Hints::new(Some("x"));
        let most = 2 * limits::ISSUERS;
        assert!((0..most).all(|number| hints.want(&number.to_string()) == 1));
        assert_eq!((hints.want("one more"), hints.want("0")), (u64::MAX, 1));
        assert_eq!(hints.begin(Instant::now()).0.len(), QUESTIONS);
    }
}
