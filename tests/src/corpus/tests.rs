//! A judge that finds nothing would pass everything: it finds what it is there to find.

use super::{Case, Expect, Run, Seen, Way, judge, marked};
use crate::oracle::Message;
use crate::recorder::Arrival;

const MARK: &str = "mk0000042";

fn arrival(target: &str, value: &str) -> Arrival {
    let fields = vec![("x-marker".to_owned(), MARK.to_owned()), ("x-a".to_owned(), value.to_owned())];
    Arrival::Whole(Message { method: "GET".to_owned(), target: target.to_owned(), fields, ..Message::default() })
}

fn answer(status: u16, target: &str) -> Message {
    Message { status, body: format!("GET {target}").into_bytes(), ..Message::default() }
}

/// What the judge finds about a case that was sent in that way.
fn found(expect: &Expect, way: Way, answers: &[Message], closed: bool, arrivals: &[Arrival]) -> Vec<String> {
    let case = Case::new("a case", "GET /c/mk0000000 HTTP/1.1\r\n\r\n", expect.clone());
    let run = Run { case: &case, way, mark: MARK.to_owned() };
    let seen = Seen { answers: answers.to_vec(), wrong: None, closed };
    judge::judge(&run, &seen, arrivals)
}

fn forwarded() -> Expect {
    Expect::Forwarded { method: "GET".to_owned(), target: "/c/mk0000000".to_owned(), body: Vec::new() }
}

#[test]
fn what_is_as_it_must_be_is_not_found() {
    let own = "/c/mk0000042";
    let (before, after) = ("/before/mk0000042", "/after/mk0000042");
    let refusal = [answer(400, own)];
    for expect in [Expect::Refused, Expect::Declined(&[400]), Expect::Broken, Expect::Either] {
        assert_eq!(found(&expect, Way::Whole, &refusal, true, &[]), Vec::<String>::new(), "{expect:?}");
        let answers = [answer(200, before), answer(400, own)];
        assert_eq!(found(&expect, Way::Pipelined, &answers, true, &[arrival(before, "")]), Vec::<String>::new());
    }
    assert_eq!(found(&Expect::Refused, Way::Whole, &[], true, &[]), Vec::<String>::new());
    let arrivals = [arrival(before, ""), arrival(own, ""), arrival(after, "")];
    let answers = [answer(200, before), answer(200, own), answer(200, after)];
    for expect in [forwarded(), Expect::Either] {
        assert_eq!(found(&expect, Way::Whole, &answers[1..2], true, &arrivals[1..2]), Vec::<String>::new());
        assert_eq!(found(&expect, Way::Pipelined, &answers, true, &arrivals), Vec::<String>::new());
    }
    let cut = [Arrival::Cut(b"GET /c/mk0000042".to_vec())];
    assert_eq!(found(&Expect::Broken, Way::Whole, &refusal, true, &cut), Vec::<String>::new());
}

#[test]
fn what_is_not_as_it_must_be_is_found() {
    let own = "/c/mk0000042";
    let (before, after) = ("/before/mk0000042", "/after/mk0000042");
    let (ok, refusal) = ([answer(200, own)], [answer(400, own)]);
    let came = [arrival(own, "")];
    let twice = [arrival(own, ""), arrival(own, "")];
    let hidden = [arrival(own, ""), arrival("/smuggled/mk0000042", "")];
    let wrong = [Arrival::Wrong(b"mk0000042".to_vec(), "a bare LF".to_owned())];
    let cut = [Arrival::Cut(b"GET /c/mk0000042".to_vec())];
    let is_found = |expect: Expect, answers: &[Message], closed: bool, arrivals: &[Arrival]| {
        assert!(
            !found(&expect, Way::Whole, answers, closed, arrivals).is_empty(),
            "{expect:?} {answers:?} {arrivals:?}"
        );
    };
    for expect in [Expect::Refused, Expect::Declined(&[]), Expect::Broken] {
        is_found(expect.clone(), &ok, true, &came);
        is_found(expect.clone(), &refusal, true, &came);
        is_found(expect.clone(), &[answer(502, own)], true, &[]);
        is_found(expect, &[], false, &[]);
    }
    is_found(Expect::Declined(&[421]), &refusal, true, &[]);
    is_found(Expect::Refused, &refusal, false, &[]);
    for expect in [Expect::Refused, Expect::Declined(&[])] {
        is_found(expect, &refusal, true, &cut);
    }
    for expect in [forwarded(), Expect::Either] {
        for arrivals in [&twice[..], &hidden, &wrong, &[arrival(own, "forged")]] {
            is_found(expect.clone(), &ok, true, arrivals);
        }
        is_found(expect.clone(), &[answer(200, own), answer(400, own)], true, &came);
        is_found(expect, &[answer(200, "/c/mk0000043")], true, &came);
    }
    is_found(forwarded(), &refusal, true, &[]);
    is_found(forwarded(), &ok, true, &[arrival("/c/x/mk0000042", "")]);

    // Between two others: they are answered for themselves, or what follows a refusal is not read.
    let three = [arrival(before, ""), arrival(own, ""), arrival(after, "")];
    for answers in [
        vec![answer(200, before), answer(200, own)],
        vec![answer(200, before), answer(200, after), answer(200, own)],
        vec![answer(200, own), answer(200, before), answer(200, after)],
    ] {
        assert!(!found(&forwarded(), Way::Pipelined, &answers, true, &three).is_empty(), "{answers:?}");
    }
    let answers = [answer(200, before), answer(400, own), answer(200, after)];
    let around = [arrival(before, ""), arrival(after, "")];
    assert!(!found(&Expect::Refused, Way::Pipelined, &answers, true, &around).is_empty());
    assert!(found(&Expect::Declined(&[]), Way::Pipelined, &answers, true, &around).is_empty());
}

#[test]
fn a_mark_goes_wherever_it_stands_and_is_found_again() {
    assert_eq!(marked(b"/mk0000000 mk000000 mk0000000", MARK), b"/mk0000042 mk000000 mk0000042");
    assert_eq!(judge::marks(&Arrival::Cut(b"mk0000042mk0000042 mk0000043 mk00".to_vec())), ["mk0000042", "mk0000043"]);
}
