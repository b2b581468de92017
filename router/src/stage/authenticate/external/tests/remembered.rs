//! Under what rulings are found again, and by whom they are not.

use std::collections::HashSet;
use std::time::Instant;

use super::*;
use crate::stage::authenticate::external::policy::Policy;

fn keyed(rulings: &Rulings, external: &External, lines: &[&str]) -> super::super::rulings::Keys {
    let head = head(lines);
    let question = question(&head);
    let arn = external.arn(&question).unwrap();
    rulings.keys(external, &question, &arn).unwrap()
}

fn get(lines: &[&'static str]) -> Vec<&'static str> {
    [&["GET /a?x=1 HTTP/1.1", "host: api.example.com"], lines].concat()
}

#[test]
fn two_callers_never_have_one_key() {
    let rulings = Rulings::default();
    let sources = json!([{"header": "x-a"}, {"header": "x-b"}, {"query": "x"}]);
    let external = external(&json!({"speaks": "request", "identity_sources": sources}));
    let values = [
        ["ab", "c"],
        ["a", "bc"],
        ["abc", "d"],
        ["a,b", "c"],
        ["a", "b,c"],
        ["c", "ab"],
        ["A", "bc"],
        ["a", "b c"],
        ["\\0", "c"],
        ["3:a", "c"],
        ["caller", "request"],
        ["request", "caller"],
    ];
    let mut seen = HashSet::new();
    for [a, b] in values {
        let lines = [format!("x-a: {a}"), format!("x-b: {b}")];
        let lines: Vec<&str> = ["GET /a?x=1 HTTP/1.1", "host: api.example.com"]
            .into_iter()
            .chain(lines.iter().map(String::as_str))
            .collect();
        let keys = keyed(&rulings, &external, &lines);
        assert_eq!(keys, keyed(&rulings, &external, &lines));
        let debugged = format!("{keys:?}");
        assert!(seen.insert(debugged), "{a} {b}");
        assert_ne!(keys, keyed(&Rulings::default(), &external, &lines), "the key is each core's own");
    }
}

#[test]
fn a_policy_is_the_caller_s_and_a_yes_is_the_request_s() {
    let mut rulings = Rulings::default();
    let external = external(&json!({}));
    let (now, alice, bob) = (Instant::now(), "authorization: alice", "authorization: bob");
    let until = now + external.ttl();
    let at = |rulings: &Rulings, line: &'static str, caller: &'static str| {
        let keys = keyed(rulings, &external, &[line, "host: api.example.com", caller]);
        rulings.find(&keys, now).is_some()
    };
    let keys = keyed(&rulings, &external, &get(&[alice]));
    rulings.keep(&keys, &Arc::new(Ruling::Yes(external.unasked())), until);
    assert!(at(&rulings, "GET /a?x=1 HTTP/1.1", alice));
    for (line, caller) in [
        ("GET /a?x=1 HTTP/1.1", bob),
        ("GET /a?x=2 HTTP/1.1", alice),
        ("GET /a HTTP/1.1", alice),
        ("POST /a?x=1 HTTP/1.1", alice),
        ("GET /b?x=1 HTTP/1.1", alice),
    ] {
        assert!(!at(&rulings, line, caller), "{line} {caller}");
    }
    let policy = Policy::compile(&json!({"Statement": []})).unwrap();
    rulings.keep(&keys, &Arc::new(Ruling::Policy(external.unasked(), policy)), until);
    assert!(at(&rulings, "POST /b HTTP/1.1", alice) && !at(&rulings, "POST /b HTTP/1.1", bob));
    assert!(rulings.find(&keys, until - std::time::Duration::from_nanos(1)).is_some());
    assert!(rulings.find(&keys, until).is_none());
}

#[test]
fn another_authorizer_finds_nothing_and_without_a_ttl_nothing_is_kept() {
    let rulings = Rulings::default();
    let keys = |members: Value| keyed(&rulings, &external(&members), &get(&["authorization: a", "accept: b"]));
    let first = keys(json!({}));
    assert_eq!(first, keys(json!({})));
    for members in [
        json!({"name": "other"}),
        json!({"url": "https://auth.example.com/other"}),
        json!({"ttl": "1m"}),
        json!({"speaks": "request"}),
        json!({"account": "123456789012"}),
    ] {
        assert_ne!(first, keys(members.clone()), "{members}");
    }
    let plain = json!({"speaks": "plain", "headers": ["accept"]});
    let with = |accept: &'static str| keyed(&rulings, &external(&plain), &get(&["authorization: a", accept])).request;
    assert_ne!(with("accept: a"), with("accept: b"));
    let head = head(&get(&["authorization: a"]));
    let none = external(&json!({"ttl": "0s"}));
    assert!(rulings.keys(&none, &question(&head), "arn").is_none());
}

#[test]
fn whoever_is_told_the_client_s_address_is_asked_about_another_one() {
    let rulings = Rulings::default();
    let head = head(&get(&["authorization: a"]));
    for (speaks, same) in [("token", true), ("request", false), ("plain", false)] {
        let external = external(&json!({"speaks": speaks}));
        let keys = |last: u8| {
            let mut question = question(&head);
            question.about.client = Ipv4Addr::new(192, 0, 2, last).into();
            rulings.keys(&external, &question, "arn").unwrap().request
        };
        assert_eq!(keys(1) == keys(2), same, "{speaks}");
        assert_eq!(keys(1), keys(1));
    }
}
