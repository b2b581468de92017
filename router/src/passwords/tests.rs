//! The pool: what is computed, what is remembered, and what is refused. Times are arguments, threads are held
//! at gates: nothing sleeps.

use std::sync::Condvar;
use std::sync::atomic::{AtomicUsize, Ordering};

use argon2::password_hash::CustomizedPasswordHasher as _;
use argon2::{Argon2, Params};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderValue;
use tokio::task::{JoinHandle, yield_now};

use super::*;
use crate::http1::Fields;
use crate::stage::authenticate::{Outcome, Realm, Way, authenticate};

const CLIENT: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
const ELSEWHERE: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 1));

/// A hash at the least cost that argon2id has.
fn hash(password: &str, salt: &[u8]) -> String {
    let params = Params::new(8, 1, 1, None).unwrap();
    let hash: argon2::password_hash::phc::PasswordHash =
        Argon2::default().hash_password_with_params(password.as_bytes(), salt, params).unwrap();
    hash.to_string()
}

fn realm(name: &str, hash: &str) -> Way {
    let document = serde_json::json!({"name": name, "users": [{"name": "alice", "hash": hash}]});
    Way::Basic(Arc::new(Realm::compile(&serde_json::from_value(document).unwrap())))
}

fn ops() -> Way {
    realm("ops", &hash("secret", b"a salt of tests"))
}

fn question(way: &Way, credentials: &str) -> PasswordQuestion {
    let value = format!("Basic {}", STANDARD.encode(credentials));
    let headers = Fields::from_iter([("authorization", value.as_str())]);
    match authenticate(std::slice::from_ref(way), &headers, None, Default::default(), 0, &Default::default()) {
        Ok(Outcome::Ask(question)) => question,
        Ok(Outcome::Consult(_)) => panic!("a password is asked about here"),
        Ok(Outcome::Proved(_)) | Err(_) => panic!("a password is asked about"),
    }
}

/// Holds threads until it is opened, and counts them.
struct Gate {
    entered: Mutex<(usize, bool)>,
    changed: Condvar,
}

impl Gate {
    const fn new() -> Self {
        Self { entered: Mutex::new((0, false)), changed: Condvar::new() }
    }

    fn pass(&self) {
        let mut state = self.entered.lock().unwrap();
        state.0 += 1;
        self.changed.notify_all();
        drop(self.changed.wait_while(state, |state| !state.1).unwrap());
    }

    fn wait_for(&self, threads: usize) {
        drop(self.changed.wait_while(self.entered.lock().unwrap(), |state| state.0 < threads).unwrap());
    }

    fn open(&self) {
        self.entered.lock().unwrap().1 = true;
        self.changed.notify_all();
    }

    fn count(&self) -> usize {
        self.entered.lock().unwrap().0
    }
}

/// Asks on a task of its own, and returns when the question is queued.
async fn asked(pool: &Passwords, question: PasswordQuestion) -> JoinHandle<Result<Principal, Rejection>> {
    let pool = pool.clone();
    let task = tokio::spawn(async move { pool.verify(question, CLIENT, Instant::now()).await.proved });
    // On a runtime of one thread, the task has run to its first wait when this comes back.
    yield_now().await;
    task
}

fn reason(found: Result<Principal, Rejection>) -> Reason {
    found.expect_err("refused").reason
}

#[tokio::test]
async fn the_pool_answers_what_the_hash_says() {
    let pool = Passwords::new(2);
    let now = Instant::now();
    let principal = pool.verify(question(&ops(), "alice:secret"), CLIENT, now).await.proved.unwrap();
    assert_eq!((principal.name(), principal.via()), ("alice", "basic:ops"));
    for wrong in ["alice:wrong", "nobody:secret", "alice:"] {
        let rejection = pool.verify(question(&ops(), wrong), CLIENT, now).await.proved.expect_err(wrong);
        assert_eq!(rejection.reason, Reason::CredentialsInvalid);
        assert_eq!(rejection.headers[0].1, r#"Basic realm="ops", charset="UTF-8""#);
    }
}

#[tokio::test]
async fn a_right_password_is_remembered_for_a_minute_and_a_wrong_one_never() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    fn counted(question: &PasswordQuestion) -> bool {
        COUNT.fetch_add(1, Ordering::SeqCst);
        question.holds()
    }
    let pool = Passwords::start(1, QUEUE, counted);
    let start = Instant::now();
    let (same, changed) = (hash("secret", b"a salt of tests"), hash("secret", b"another salt of tests"));
    let table = [
        ("computed", "ops", &same, "alice:secret", 0, true, 1),
        ("remembered", "ops", &same, "alice:secret", 0, true, 0),
        ("remembered to the end", "ops", &same, "alice:secret", 59, true, 0),
        ("no longer", "ops", &same, "alice:secret", 60, true, 1),
        ("and again", "ops", &same, "alice:secret", 119, true, 0),
        ("another hash of the same password", "ops", &changed, "alice:secret", 119, true, 1),
        ("the same user of another realm", "dev", &same, "alice:secret", 119, true, 1),
        ("wrong", "ops", &same, "alice:wrong", 119, false, 1),
        ("wrong again", "ops", &same, "alice:wrong", 119, false, 1),
        ("unknown", "ops", &same, "nobody:secret", 119, false, 1),
        ("unknown again", "ops", &same, "nobody:secret", 119, false, 1),
        ("a colon moved", "ops", &same, "alic:e:secret", 119, false, 1),
    ];
    for (what, name, hash, credentials, seconds, right, computed) in table {
        let before = COUNT.load(Ordering::SeqCst);
        let now = start + Duration::from_secs(seconds);
        let found = pool.verify(question(&realm(name, hash), credentials), CLIENT, now).await.proved;
        assert_eq!(found.is_ok(), right, "{what}");
        assert_eq!(COUNT.load(Ordering::SeqCst) - before, computed, "{what}");
    }
}

#[tokio::test]
async fn the_queue_is_bounded() {
    static GATE: Gate = Gate::new();
    fn held(question: &PasswordQuestion) -> bool {
        GATE.pass();
        question.holds()
    }
    let pool = Passwords::start(1, QUEUE, held);
    let mut tasks = vec![asked(&pool, question(&ops(), "alice:secret")).await];
    GATE.wait_for(1);
    for guess in 0..QUEUE {
        tasks.push(asked(&pool, question(&ops(), &format!("alice:{guess}"))).await);
    }
    for _ in 0..3 {
        let rejection =
            pool.verify(question(&ops(), "alice:more"), CLIENT, Instant::now()).await.proved.expect_err("full");
        assert_eq!((rejection.reason, rejection.reason.status().as_u16()), (Reason::PasswordChecksBusy, 503));
        assert_eq!(rejection.headers, [(RETRY_AFTER, HeaderValue::from_static("1"))]);
    }
    GATE.open();
    let mut right = 0;
    for task in tasks {
        match task.await.unwrap() {
            Ok(_) => right += 1,
            Err(rejection) => assert_eq!(rejection.reason, Reason::CredentialsInvalid),
        }
    }
    assert_eq!((right, GATE.count()), (1, 1 + QUEUE));
    // Room again, and nobody is left on the list.
    assert_eq!(
        reason(pool.verify(question(&ops(), "alice:more"), ELSEWHERE, Instant::now()).await.proved),
        Reason::CredentialsInvalid
    );
    assert!(pool.shared.waiting().is_empty());
}

#[tokio::test]
async fn the_same_question_is_computed_once() {
    static GATE: Gate = Gate::new();
    fn held(question: &PasswordQuestion) -> bool {
        GATE.pass();
        question.holds()
    }
    let pool = Passwords::start(1, 2, held);
    let mut right = Vec::new();
    for _ in 0..100 {
        right.push(asked(&pool, question(&ops(), "alice:secret")).await);
    }
    GATE.wait_for(1);
    // One password, two names that nobody has: two questions, or the second answer would come too early.
    let unknown = [asked(&pool, question(&ops(), "bob:x")).await, asked(&pool, question(&ops(), "eve:x")).await];
    GATE.open();
    for task in right {
        assert_eq!(task.await.unwrap().unwrap().name(), "alice");
    }
    for task in unknown {
        assert_eq!(reason(task.await.unwrap()), Reason::CredentialsInvalid);
    }
    assert_eq!(GATE.count(), 3);
}

#[tokio::test]
async fn nobody_waits_for_a_question_that_all_gave_up() {
    static GATE: Gate = Gate::new();
    fn held(question: &PasswordQuestion) -> bool {
        GATE.pass();
        question.holds()
    }
    let pool = Passwords::start(1, QUEUE, held);
    let first = asked(&pool, question(&ops(), "alice:secret")).await;
    GATE.wait_for(1);
    for guess in ["1", "2"] {
        let gone = asked(&pool, question(&ops(), &format!("alice:{guess}"))).await;
        gone.abort();
        assert!(gone.await.unwrap_err().is_cancelled());
    }
    // One of two who ask the same stays.
    let gone = asked(&pool, question(&ops(), "alice:3")).await;
    let stays = asked(&pool, question(&ops(), "alice:3")).await;
    gone.abort();
    GATE.open();
    assert!(first.await.unwrap().is_ok());
    assert_eq!(reason(stays.await.unwrap()), Reason::CredentialsInvalid);
    assert_eq!(GATE.count(), 2, "those of whom nobody waited were not computed");
    assert!(pool.shared.waiting().is_empty());
}

#[tokio::test]
async fn a_check_that_panics_proves_nothing_and_costs_no_thread() {
    static COUNT: AtomicUsize = AtomicUsize::new(0);
    fn panics_once(question: &PasswordQuestion) -> bool {
        assert!(COUNT.fetch_add(1, Ordering::SeqCst) > 0, "as the test wants it");
        question.holds()
    }
    let pool = Passwords::start(1, QUEUE, panics_once);
    let now = Instant::now();
    assert_eq!(reason(pool.verify(question(&ops(), "alice:secret"), CLIENT, now).await.proved), Reason::Internal);
    assert!(pool.verify(question(&ops(), "alice:secret"), CLIENT, now).await.proved.is_ok());
    assert!(pool.shared.waiting().is_empty());
}

#[tokio::test]
async fn a_pool_without_threads_refuses_at_once() {
    let pool = Passwords::new(0);
    let found = pool.verify(question(&ops(), "alice:secret"), CLIENT, Instant::now()).await.proved;
    assert_eq!(reason(found), Reason::PasswordChecksBusy);
}

#[tokio::test]
async fn a_change_of_scopes_counts_at_once() {
    let pool = Passwords::new(1);
    let hash = hash("secret", b"a salt of tests");
    for scopes in [&["read"][..], &["write", "read"], &[]] {
        let document = serde_json::json!({"name": "ops", "users": [{"name": "alice", "hash": hash, "scopes": scopes}]});
        let way = Way::Basic(Arc::new(Realm::compile(&serde_json::from_value(document).unwrap())));
        let principal = pool.verify(question(&way, "alice:secret"), CLIENT, Instant::now()).await.proved.unwrap();
        for scope in ["read", "write"] {
            assert_eq!(principal.holds(scope), scopes.contains(&scope), "{scope} of {scopes:?}");
        }
    }
}

#[test]
fn digests_differ_between_processes() {
    let digest = |pool: &Passwords| pool.shared.digest(&question(&ops(), "alice:secret"));
    let (one, two) = (Passwords::new(0), Passwords::new(0));
    assert_eq!(digest(&one), digest(&one.clone()));
    assert_ne!(digest(&one), digest(&two));
}

#[test]
fn the_pool_leaves_half_of_the_machine() {
    for (cores, threads) in [(0, 1), (1, 1), (2, 1), (3, 1), (4, 2), (64, 2)] {
        assert_eq!(Passwords::threads_for(cores), threads, "{cores} cores");
    }
}

#[tokio::test]
async fn after_too_many_wrong_ones_also_a_right_one_waits() {
    let pool = Passwords::new(1);
    let (way, now) = (ops(), Instant::now());
    // It is remembered, and waits all the same: else guessing would go on with what is remembered.
    assert!(pool.verify(question(&way, "alice:secret"), CLIENT, now).await.proved.is_ok());
    for guess in 0..10 {
        let found = pool.verify(question(&way, &format!("alice:{guess}")), CLIENT, now).await.proved;
        assert_eq!(reason(found), Reason::CredentialsInvalid);
    }
    for password in ["secret", "wrong"] {
        let rejection =
            pool.verify(question(&way, &format!("alice:{password}")), CLIENT, now).await.proved.expect_err(password);
        assert_eq!(rejection.reason, Reason::TooManyFailures);
        assert_eq!(rejection.headers, [(RETRY_AFTER, HeaderValue::from_static("300"))]);
    }
    assert!(
        pool.verify(question(&way, "alice:secret"), ELSEWHERE, now).await.proved.is_ok(),
        "nobody is locked out elsewhere"
    );
    assert_eq!(reason(pool.verify(question(&way, "bob:secret"), CLIENT, now).await.proved), Reason::CredentialsInvalid);
    let later = now + Duration::from_secs(300);
    assert!(pool.verify(question(&way, "alice:secret"), CLIENT, later).await.proved.is_ok());
    assert_eq!(pool.lockouts(), 1);
}
