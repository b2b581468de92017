//! What tasks say together, case by case.

use postern_config::merged::Pinned;

use super::*;
use crate::posted::Mark;

const NOW: i64 = 1_000_000;

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_unix(NOW + seconds)
}

fn beat(task: &str, clock: u64) -> Beat {
    Beat {
        task: task.to_owned(),
        at: at(-1),
        expires: NOW + 29,
        generation: 40 + clock,
        serves: Some(40 + clock),
        mark: Mark { clock: Some(clock), boundary: Some("b1".to_owned()) },
        since: at(-5),
        why: String::new(),
        boundary_read_at: Some(at(-2)),
        pinned: None,
        held: 0,
        failing: String::new(),
    }
}

fn says(kind: ConditionType, status: Status, reason: Reason, version: u64) -> Condition {
    let message = format!("{reason:?} it is");
    Condition { kind, status, reason, at: None, message, observed_generation: version, since: at(-9) }
}

fn entry(version: u64, clock: u64) -> Entry {
    Entry {
        id: "/a#default".to_owned(),
        version,
        owner: None,
        state: State::Route,
        conditions: vec![says(ConditionType::Accepted, Status::True, Reason::Accepted, version)],
        clock,
        boundary: Some("b1".to_owned()),
        says: String::new(),
        by: "one".to_owned(),
        at: at(-3),
    }
}

fn refused(clock: u64, boundary: &str) -> Entry {
    let conditions = vec![says(ConditionType::Accepted, Status::False, Reason::HostNotListed, 7)];
    Entry { state: State::Refused, conditions, boundary: Some(boundary.to_owned()), ..entry(7, clock) }
}

fn judged(entry: &Entry, beats: &[Beat]) -> Verdict {
    judge(&wrote(7, None), Some(entry), beats, at(0))
}

fn wrote(version: u64, clock: Option<u64>) -> Asked {
    Asked { id: "/a#default".to_owned(), version, wrote: true, clock }
}

fn waits(verdict: &Verdict, text: &str) {
    assert!(matches!(verdict, Verdict::Waiting(what) if what.contains(text)), "{verdict:?} does not say {text:?}");
}

#[test]
fn it_is_served_when_every_live_task_serves_what_holds_it() {
    let beats = [beat("one", 5), beat("two", 6)];
    assert_eq!(judged(&entry(7, 5), &beats), Verdict::Served { tasks: 2 });
    // A later version is as good as the one that was written.
    assert_eq!(judged(&entry(8, 5), &beats), Verdict::Served { tasks: 2 });
    waits(&judged(&entry(7, 6), &beats), "1/2 tasks, one serves 45");
}

#[test]
fn an_older_version_is_never_taken_for_the_one_that_was_written() {
    let beats = [beat("one", 9)];
    waits(&judged(&entry(6, 5), &beats), "no task has told what became of /a#default version 7");
    waits(&judge(&wrote(7, None), None, &beats, at(0)), "no task has told");
    let older = Entry { version: 6, ..refused(5, "b1") };
    waits(&judged(&older, &beats), "no task has told");
}

#[test]
fn a_task_counts_until_its_heartbeat_is_over_and_no_task_is_not_every_task() {
    let mut silent = beat("two", 4);
    let one = beat("one", 5);
    waits(&judged(&entry(7, 5), &[one.clone(), silent.clone()]), "1/2 tasks, two serves 44");
    silent.expires = NOW + 1;
    waits(&judged(&entry(7, 5), &[one.clone(), silent.clone()]), "1/2 tasks");
    silent.expires = NOW;
    assert_eq!(judged(&entry(7, 5), &[one, silent.clone()]), Verdict::Served { tasks: 1 });
    waits(&judged(&entry(7, 5), &[silent.clone()]), "no task is alive");
    waits(&judged(&entry(7, 5), &[]), "no task is alive");
    let told = programmed(&entry(7, 5), &tasks(Some(&entry(7, 5)), &[silent], at(0)));
    assert_eq!((told.status, told.reason, &*told.message), (Status::Unknown, Reason::Pending, "no task is alive"));
}

#[test]
fn what_is_not_known_is_not_served() {
    let unknown = Beat { serves: None, mark: Mark::default(), why: "it does not answer".to_owned(), ..beat("one", 5) };
    waits(&judged(&entry(7, 5), &[unknown]), "one serves nothing that is known (it does not answer)");
    let blind = Beat { mark: Mark { clock: None, ..beat("one", 5).mark }, ..beat("one", 5) };
    waits(&judged(&entry(7, 0), &[blind]), "0/1 tasks");
}

#[test]
fn a_refusal_ends_it_at_once_whoever_lags() {
    let beats = [beat("one", 5), Beat { serves: None, ..beat("two", 1) }];
    let Verdict::Refused(reasons) = judged(&refused(5, "b1"), &beats) else { panic!() };
    assert_eq!(reasons, ["/a#default version 7 is refused", "HostNotListed: HostNotListed it is"]);
    for (kind, reason) in
        [(ConditionType::Conflicted, Reason::ShadowedBy), (ConditionType::Stale, Reason::ServingLastGood)]
    {
        let mut partly = entry(7, 5);
        partly.conditions.push(says(kind, Status::True, reason, 7));
        let Verdict::Refused(reasons) = judged(&partly, &beats) else { panic!("{kind:?}") };
        assert_eq!(reasons[0], "/a#default version 7 is not served as it was written");
        partly.conditions.pop();
        partly.conditions.push(says(kind, Status::False, reason, 7));
        waits(&judged(&partly, &beats), "1/2 tasks");
    }
}

#[test]
fn a_task_with_an_older_boundary_neither_serves_nor_refuses_for_all() {
    let mut behind = beat("two", 5);
    behind.mark.boundary = Some("b0".to_owned());
    behind.boundary_read_at = Some(at(-60));
    behind.failing = "boundary cannot be read".to_owned();
    let beats = [beat("one", 5), behind];
    waits(&judged(&entry(7, 5), &beats), "two serves 45 with another boundary (boundary cannot be read)");
    waits(&judged(&refused(5, "b0"), &beats), "is refused by one, which has another boundary");
    assert!(matches!(judged(&refused(5, "b1"), &beats), Verdict::Refused(_)));
}

#[test]
fn a_wait_says_what_holds_everything_up() {
    let pinned = Some(Pinned { generation: 41, since: at(-99) });
    let one = Beat {
        pinned,
        mark: Mark::default(),
        held: 12,
        failing: "boundary cannot be read".to_owned(),
        ..beat("one", 5)
    };
    let verdict = judge(&wrote(7, None), None, std::slice::from_ref(&one), at(0));
    for text in ["generation 41 is pinned; postern-syncer release", "holds 12 routes", "one: boundary cannot be read"] {
        waits(&verdict, text);
    }
    waits(&judged(&entry(7, 5), &[one]), "one generation 41 is pinned there since");
}

#[test]
fn many_that_lag_are_counted() {
    let beats: Vec<Beat> = (0..20).map(|number| beat(&format!("task-{number:02}"), 1)).collect();
    waits(&judged(&entry(7, 5), &beats), "task-07 serves 41, and 12 more");
}

#[test]
fn programmed_is_since_the_last_of_them() {
    let late = Beat { since: at(-2), ..beat("two", 5) };
    let all = tasks(Some(&entry(7, 5)), &[late, beat("one", 5)], at(0));
    assert_eq!(all.iter().map(|task| &*task.task).collect::<Vec<_>>(), ["one", "two"]);
    let told = programmed(&entry(7, 5), &all);
    assert_eq!(
        (told.status, &*told.message, told.since, told.observed_generation),
        (Status::True, "2/2 tasks", at(-2), 7)
    );
    // A line that is refused is served by nobody, whatever they have seen.
    let told = programmed(&refused(5, "b1"), &all);
    assert_eq!((told.status, &*told.message), (Status::False, "0/2 tasks: it is refused"));
}

#[test]
fn a_registration_that_was_made_anew_is_not_taken_for_the_one_before() {
    // Version 7 was taken back; version 1 is written when the registrations as a whole are at 8.
    let before = entry(7, 5);
    let beats = [beat("one", 9)];
    waits(&judge(&wrote(1, Some(8)), Some(&before), &beats, at(0)), "no task has told");
    let refused_before = refused(8, "b1");
    waits(&judge(&wrote(1, Some(8)), Some(&refused_before), &beats, at(0)), "no task has told");
    assert_eq!(judge(&wrote(1, Some(8)), Some(&entry(1, 9)), &beats, at(0)), Verdict::Served { tasks: 1 });
    // Found there unchanged, its entry may be as old as it likes, once the tasks have seen what stands now.
    let found = Asked { wrote: false, ..wrote(7, Some(9)) };
    assert_eq!(judge(&found, Some(&before), &beats, at(0)), Verdict::Served { tasks: 1 });
    waits(&judge(&Asked { clock: Some(10), ..found }, Some(&before), &beats, at(0)), "0/1 tasks, one serves 49");
}
