//! When it opens, whom it lets through, and when it closes.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::breakers::Known;
use super::*;

fn policy(text: &str) -> document::Breaker {
    serde_json::from_str(text).unwrap()
}

/// The breaker of a destination, and what holds it.
fn breaker(text: &str, cores: usize, start: Instant) -> Arc<Breaker> {
    Breakers::new(cores, start).breaker("key", &"orders".into(), &policy(text)).unwrap()
}

const FOUR: &str = r#"{"failures":4,"ratio":"50%","within":"10s","opens_for":"5s"}"#;

fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

fn end(breaker: &Arc<Breaker>, outcome: Outcome, at: Instant) -> Option<Turn> {
    breaker.admit(at).unwrap_or_else(|state| panic!("{state:?}")).ended(outcome, 0, at)
}

/// Opens a breaker that waits for that.
fn fail_four_times(breaker: &Arc<Breaker>, at: Instant) {
    assert_eq!((0..4).filter_map(|_| end(breaker, Outcome::Failed, at)).count(), 1);
}

fn opened(attempts: u64, failures: u64) -> Option<Turn> {
    Some(Turn::Opened(Counts { attempts, failures }))
}

#[test]
fn it_opens_at_so_many_failures_and_not_below_the_ratio() {
    let start = Instant::now();
    let one = breaker(FOUR, 1, start);
    for _ in 0..3 {
        assert_eq!(end(&one, Outcome::Failed, start), None);
    }
    assert_eq!(end(&one, Outcome::Failed, start), opened(4, 4));
    assert_eq!(one.admit(start).err(), Some(State::Open(millis(5_000))));
    let other = breaker(FOUR, 1, start);
    for _ in 0..10 {
        assert_eq!(end(&other, Outcome::Answered, start), None);
    }
    for _ in 0..9 {
        assert_eq!(end(&other, Outcome::Failed, start), None, "9 of 19 are less than half");
    }
    assert_eq!(end(&other, Outcome::Failed, start), opened(20, 10));
}

#[test]
fn what_says_nothing_of_the_destination_is_not_counted() {
    let start = Instant::now();
    let one = breaker(FOUR, 1, start);
    for _ in 0..100 {
        assert_eq!(end(&one, Outcome::Unknown, start), None);
        drop(one.admit(start));
    }
    for _ in 0..3 {
        end(&one, Outcome::Failed, start);
    }
    assert_eq!(end(&one, Outcome::Failed, start), opened(4, 4));
}

#[test]
fn failures_of_all_cores_are_counted_together_and_forgotten_after_the_window() {
    let start = Instant::now();
    let one = breaker(FOUR, 4, start);
    let fail = |core, at| one.admit(at).ok().unwrap().ended(Outcome::Failed, core, at);
    for core in 0..3 {
        assert_eq!(fail(core, start), None);
    }
    assert_eq!(fail(3, start + millis(10_000)), None, "the first three are ten seconds old");
    assert_eq!(fail(0, start + millis(10_001)), None);
    assert_eq!(fail(1, start + millis(10_002)), None);
    assert_eq!(fail(2, start + millis(18_999)), opened(4, 4));
}

#[test]
fn one_trial_at_a_time_passes_and_what_becomes_of_it_decides() {
    let start = Instant::now();
    let one = breaker(FOUR, 1, start);
    fail_four_times(&one, start);
    let due = start + millis(5_000);
    assert_eq!(one.state(due - millis(1)), State::Open(millis(1)));
    assert_eq!(one.state(due), State::HalfOpen);
    let trial = one.admit(due).ok().unwrap();
    assert_eq!(one.admit(due).err(), Some(State::Trying));
    assert_eq!(one.admit(due + millis(4_999)).err(), Some(State::Trying));
    // A client that goes away takes its trial with it.
    drop(trial);
    let mut trial = one.admit(due).ok().unwrap();
    assert_eq!(trial.ended(Outcome::Unknown, 0, due), None);
    drop(trial);
    assert_eq!(one.state(due), State::HalfOpen);
    assert_eq!(end(&one, Outcome::Failed, due), Some(Turn::StaysOpen));
    assert_eq!(one.admit(due).err(), Some(State::Open(millis(5_000))));
    let again = due + millis(5_000);
    assert_eq!(end(&one, Outcome::Answered, again), Some(Turn::Closed));
    for _ in 0..3 {
        assert_eq!(end(&one, Outcome::Failed, again), None, "the window began anew");
    }
    assert_eq!(end(&one, Outcome::Failed, again), opened(4, 4));
}

#[test]
fn a_trial_that_takes_too_long_keeps_no_other_from_trying() {
    let start = Instant::now();
    let due = start + millis(5_000);
    let late = due + millis(5_000);
    let stuck = || {
        let one = breaker(FOUR, 1, start);
        fail_four_times(&one, start);
        let slow = one.admit(due).ok().unwrap();
        assert_eq!((one.state(late - millis(1)), one.state(late)), (State::Trying, State::HalfOpen));
        (one, slow)
    };
    // Well is well, also late.
    let (one, mut slow) = stuck();
    let mut next = one.admit(late).ok().unwrap();
    assert_eq!(one.admit(late).err(), Some(State::Trying));
    assert_eq!(slow.ended(Outcome::Answered, 0, late), Some(Turn::Closed));
    assert_eq!(next.ended(Outcome::Failed, 0, late), None);
    drop((slow, next));
    assert_eq!(one.state(late), State::Closed);
    // What fails late, or goes away, says nothing any more.
    for outcome in [Outcome::Failed, Outcome::Unknown] {
        let (one, mut slow) = stuck();
        let mut next = one.admit(late).ok().unwrap();
        assert_eq!(slow.ended(outcome, 0, late), None);
        drop(slow);
        assert_eq!(one.state(late), State::Trying);
        assert_eq!(next.ended(Outcome::Answered, 0, late), Some(Turn::Closed));
    }
    // What was found ill again stays so.
    let (one, mut slow) = stuck();
    assert_eq!(end(&one, Outcome::Failed, late), Some(Turn::StaysOpen));
    assert_eq!(slow.ended(Outcome::Answered, 0, late), None);
    assert_eq!(one.state(late), State::Open(millis(5_000)));
}

#[test]
fn what_was_begun_before_it_opened_does_not_open_it_again() {
    let start = Instant::now();
    let one = breaker(FOUR, 1, start);
    let slow: Vec<_> = (0..20).map(|_| one.admit(start).ok().unwrap()).collect();
    fail_four_times(&one, start);
    let due = start + millis(5_000);
    assert_eq!(end(&one, Outcome::Answered, due), Some(Turn::Closed));
    for mut pass in slow {
        assert_eq!(pass.ended(Outcome::Failed, 0, due), None);
    }
    assert_eq!(one.state(due), State::Closed);
}

#[test]
fn of_cores_that_ask_at_once_one_gets_the_trial() {
    let start = Instant::now();
    let one = breaker(FOUR, 8, start);
    fail_four_times(&one, start);
    for round in 1..=100 {
        let due = start + millis(5_000 * round);
        let passes: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| one.admit(due).ok())).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(passes.len(), 1);
        passes
            .into_iter()
            .for_each(|mut trial| assert_eq!(trial.ended(Outcome::Failed, 0, due), Some(Turn::StaysOpen)));
    }
}

#[test]
fn of_cores_that_fail_at_once_one_opens_it() {
    let start = Instant::now();
    let one = breaker(r#"{"failures":1000}"#, 8, start);
    let turns: usize = std::thread::scope(|scope| {
        let fail = |core| (0..1_000).filter_map(|_| one.admit(start).ok()?.ended(Outcome::Failed, core, start)).count();
        let threads: Vec<_> = (0..8).map(|core| scope.spawn(move || fail(core))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!((turns, one.opened.load(Relaxed)), (1, 1));
}

#[test]
fn a_breaker_lives_as_long_as_somebody_leads_there_and_is_another_for_another_policy() {
    let start = Instant::now();
    let breakers = Breakers::new(1, start);
    let name = Arc::from("orders");
    let of = |key: &str, text: &str| breakers.breaker(key, &name, &policy(text));
    let one = of("key", FOUR).unwrap();
    assert!(Arc::ptr_eq(&one, &of("key", FOUR).unwrap()));
    // What is left out is the same as what is written out.
    let plain = of("key", "{}").unwrap();
    let written = r#"{"failures":10,"ratio":"50%","within":"10s","opens_for":"5s","mode":"enforce"}"#;
    assert!(Arc::ptr_eq(&plain, &of("key", written).unwrap()));
    assert!(of("key", r#"{"mode":"off"}"#).is_none());
    let others = [
        r#"{"failures":5,"within":"10s"}"#, r#"{"ratio":"51%"}"#, r#"{"within":"11s"}"#, r#"{"opens_for":"6s"}"#,
        r#"{"mode":"shadow"}"#,
    ];
    for text in others {
        assert!(!Arc::ptr_eq(&plain, &of("key", text).unwrap()), "{text}");
    }
    assert!(!Arc::ptr_eq(&plain, &of("other", "{}").unwrap()));
    fail_four_times(&one, start);
    let told = |breakers: &Breakers| breakers.told(start);
    assert_eq!(told(&breakers)[&(Arc::clone(&name), Mode::Enforce)], Known { state: 2, opened: 1 });
    // Another policy of the same destination goes on with the count.
    let changed = of("key", r#"{"failures":3}"#).unwrap();
    drop(one);
    assert_eq!(told(&breakers)[&(Arc::clone(&name), Mode::Enforce)], Known { state: 0, opened: 1 });
    assert_eq!(of("key", FOUR).unwrap().state(start), State::Closed, "who was forgotten begins anew");
    drop((plain, changed));
    assert!(told(&breakers).is_empty());
    (0..1_000).for_each(|n| drop(of(&n.to_string(), "{}")));
    assert!(breakers.len() <= 64, "{}", breakers.len());
}

proptest! {
    /// Beside a model that keeps every request by itself.
    #[test]
    fn it_opens_when_the_model_does(steps in prop::collection::vec((0..1_500_u64, 0..10_u8), 1..200)) {
        let start = Instant::now();
        let one = breaker(FOUR, 3, start);
        let (mut now, mut open_until, mut seen) = (start, None, VecDeque::new());
        for (index, (pause, dice)) in steps.into_iter().enumerate() {
            now += millis(pause);
            let slice = now.duration_since(start).as_millis() / 1_000;
            let outcome = match dice { 0 => Outcome::Unknown, 1..=5 => Outcome::Failed, _ => Outcome::Answered };
            let admitted = one.admit(now);
            let Some(until) = open_until else {
                let turn = admitted.ok().unwrap().ended(outcome, index, now);
                if outcome != Outcome::Unknown {
                    seen.push_back((slice, outcome == Outcome::Failed));
                }
                seen.retain(|(of, _)| of + 10 > slice);
                let failures = seen.iter().filter(|(_, failed)| *failed).count();
                let opens = outcome == Outcome::Failed && failures >= 4 && failures * 2 >= seen.len();
                prop_assert_eq!(matches!(turn, Some(Turn::Opened(_))), opens);
                open_until = opens.then(|| now + millis(5_000));
                continue;
            };
            if now < until {
                prop_assert_eq!(admitted.err(), Some(State::Open(until - now)));
                continue;
            }
            match admitted.ok().unwrap().ended(outcome, index, now) {
                Some(Turn::Closed) => (open_until, seen) = (None, VecDeque::new()),
                Some(Turn::StaysOpen) => open_until = Some(now + millis(5_000)),
                turn => prop_assert_eq!((turn, outcome), (None, Outcome::Unknown)),
            }
        }
    }
}
