//! What a task says of itself, from what it knows.

use postern_config::condition::Reason;
use postern_config::merged::Digest;

use super::*;
use crate::programmed::Programmed as Answer;

fn view(generation: u64, clock: u64) -> View {
    View {
        generation,
        digest: Some(Digest::of(&generation.to_be_bytes())),
        mark: Mark { clock: Some(clock), boundary: None },
        ..View::default()
    }
}

fn asked(view: View, status: Programmed, message: &str) -> View {
    let reason = if status == Programmed::True { Reason::Programmed } else { Reason::AwaitingRouters };
    let programmed = Answer { status, reason, of: view.digest, message: message.to_owned(), since: None };
    View { programmed, ..view }
}

fn said(view: &View, before: Option<&Beat>, second: i64) -> Beat {
    beat(view, before, "one", Duration::from_secs(30), Timestamp::from_unix(second))
}

#[test]
fn what_routers_served_counts_until_they_are_found_to_serve_something_else() {
    let nothing = said(&View::default(), None, 1);
    assert_eq!((nothing.serves, nothing.mark.clock, nothing.expires), (None, None, 31));
    let first = asked(view(1, 5), Programmed::True, "1 of 1");
    let one = said(&first, Some(&nothing), 2);
    assert_eq!((one.serves, one.mark.clock, one.since.unix(), &*one.why), (Some(1), Some(5), 2, ""));
    // A generation that no router has been asked for yet says nothing of them.
    let next = View { programmed: first.programmed, ..view(2, 6) };
    let two = said(&next, Some(&one), 3);
    assert_eq!((two.generation, two.serves, two.mark.clock, two.since.unix()), (2, Some(1), Some(5), 2));
    let lags = said(&asked(view(2, 6), Programmed::False, "r serves generation 1"), Some(&two), 4);
    assert_eq!((lags.serves, lags.mark.clock, &*lags.why), (Some(1), Some(5), "r serves generation 1"));
    let silent = said(&asked(view(2, 6), Programmed::Unknown, "r did not answer"), Some(&lags), 5);
    assert_eq!((silent.serves, silent.mark.clock, silent.since.unix()), (None, None, 5));
    let back = said(&asked(view(2, 6), Programmed::True, "1 of 1"), Some(&silent), 6);
    assert_eq!((back.serves, back.mark.clock, back.since.unix()), (Some(2), Some(6), 6));
    // The registrations moved, and the routes did not: the same generation holds the later version too.
    let moved = said(&asked(view(2, 7), Programmed::True, "1 of 1"), Some(&back), 7);
    assert_eq!((moved.serves, moved.mark.clock), (Some(2), Some(7)));
}

#[test]
fn the_time_alone_is_no_news() {
    let known = asked(view(1, 5), Programmed::True, "1 of 1");
    let one = said(&known, None, 1);
    let two = said(&known, Some(&one), 2);
    assert!(!two.is_news(&one) && two != one);
    let held = View { pass_error: Some("the disk is full".to_owned()), ..known };
    let three = said(&held, Some(&two), 2);
    assert!(three.is_news(&two));
    assert_eq!(three.failing, "the file cannot be written: the disk is full");
}
