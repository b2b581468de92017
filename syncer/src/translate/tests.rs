//! Cases that a golden pair would hide: what must stay the same to the byte, ages, conflicts.

use std::time::Duration;

use postern_config::condition::{ConditionType, Reason, Status};
use postern_config::document::BoundaryDocument;
use postern_config::merged::Content;
use postern_config::value::Timestamp;
use postern_config::{Boundary, parse, schema};

use super::{Input, Rules, reapply, translate};
use crate::item::Item;

const BOUNDARY: &str = "apiVersion: postern/v1\nkind: Boundary\nhosts: [api.example.com, '*.api.example.com']\n\
destinations:\n- {name: apis, hosts: ['*.internal.example.com']}\n";

pub(super) fn boundary(text: &str) -> Boundary {
    let value = parse::values(text).unwrap().remove(0);
    Boundary::check(parse::document::<BoundaryDocument>(&value, schema::boundary()).unwrap()).unwrap()
}

fn items(text: &str) -> Vec<Item> {
    let values = parse::values(text).unwrap();
    values.into_iter().enumerate().map(|(index, value)| Item::readable(&format!("{index:04}"), &value)).collect()
}

pub(super) fn rules() -> Rules {
    Rules { max_stale_route: Duration::from_secs(86_400), allow_loopback_destinations: false }
}

/// Steps of one history: each translation starts from what the one before left.
struct History {
    boundary: Boundary,
    content: Option<Content>,
    generation: u64,
    now: i64,
}

impl History {
    fn new() -> Self {
        Self { boundary: boundary(BOUNDARY), content: None, generation: 1, now: 1_000_000 }
    }

    fn step(&mut self, text: &str) -> &Content {
        let items = items(text);
        self.step_items(&items)
    }

    fn step_items(&mut self, items: &[Item]) -> &Content {
        let rules = rules();
        let content = translate(&Input {
            boundary: &self.boundary,
            items,
            previous: self.content.as_ref(),
            now: Timestamp::from_unix(self.now),
            generation: self.generation,
            rules: &rules,
        });
        self.generation += 1;
        self.now += 60;
        self.content.insert(content)
    }
}

fn one(root: &str, name: &str, rest: &str) -> String {
    format!(
        "---\nroot: {root}\nname: {name}\nowner: team\ndestination: {{url: https://a.internal.example.com}}\n{rest}\n"
    )
}

fn ids(content: &Content) -> (Vec<&str>, Vec<&str>) {
    (
        content.routes.iter().map(|route| route.id.as_str()).collect(),
        content.refused.iter().map(|one| one.id.as_str()).collect(),
    )
}

fn has(content: &Content, id: &str, kind: ConditionType, status: Status, reason: Reason) -> bool {
    let routes = content.routes.iter().filter(|route| route.id == id).flat_map(|route| &route.conditions);
    let refused = content.refused.iter().filter(|one| one.id == id).flat_map(|one| &one.conditions);
    routes.chain(refused).any(|one| (one.kind, one.status, one.reason) == (kind, status, reason))
}

#[test]
fn what_does_not_change_is_the_same_generation_after_generation() {
    let mut history = History::new();
    let text = one("/a", "x", "") + &one("/b", "x", "") + "---\nroot: /bad\n";
    let first = history.step(&text).clone();
    assert_eq!(history.step(&text), &first);
    // The order of the store decides nothing.
    let turned = "---\nroot: /bad\n".to_owned() + &one("/b", "x", "") + &one("/a", "x", "");
    assert_eq!(history.step(&turned), &first);
}

#[test]
fn the_incumbent_keeps_what_it_holds_and_does_not_notice() {
    let mut history = History::new();
    let winner = history.step(&one("/a", "z", "")).routes[0].clone();
    let content = history.step(&(one("/a", "z", "") + &one("/a", "b", "")));
    assert_eq!(ids(content), (vec!["/a#z"], vec!["/a#b"]));
    assert_eq!(content.routes[0], winner);
    assert!(has(content, "/a#b", ConditionType::Conflicted, Status::True, Reason::ShadowedBy));
    assert!(content.refused[0].conditions[0].message.contains("/a#z holds any method on any host"));
    // When it goes, the other takes over.
    assert_eq!(ids(history.step(&one("/a", "b", ""))), (vec!["/a#b"], vec![]));
}

#[test]
fn of_two_newcomers_the_lower_id_wins() {
    let mut history = History::new();
    let content = history.step(&(one("/a", "y", "") + &one("/a", "x", "")));
    assert_eq!(ids(content), (vec!["/a#x"], vec!["/a#y"]));
}

#[test]
fn a_claim_is_the_same_under_other_names_and_orders() {
    for (left, right) in [
        ("match: {path: '/a/{id}'}", "match: {path: '/a/{other}'}"),
        ("match: {path: '/a/{rest*}'}", ""),
        ("match: {methods: [GET, POST]}", "match: {methods: [POST, GET]}"),
        ("match: {headers: {X-A: '1', b: '2'}}", "match: {headers: {b: '2', x-a: '1'}}"),
        ("match: {hosts: [API.example.com]}", "match: {hosts: [api.example.com]}"),
    ] {
        let content = History::new().step(&(one("/a", "x", left) + &one("/a", "y", right))).clone();
        assert_eq!(ids(&content), (vec!["/a#x"], vec!["/a#y"]), "{left} | {right}");
    }
}

#[test]
fn claims_that_only_overlap_are_no_conflict() {
    for (left, right) in [
        ("match: {path: '/a/{id}'}", "match: {path: '/a/b'}"),
        ("match: {hosts: [x.api.example.com]}", "match: {hosts: ['*.api.example.com']}"),
        ("match: {methods: [GET]}", ""),
        ("match: {headers: {a: '1'}}", "match: {headers: {a: '2'}}"),
        ("match: {headers: {a: '1'}}", "match: {query: {a: '1'}}"),
        ("match: {query: {a: 'b=c'}}", "match: {query: {'a=b': c}}"),
    ] {
        let content = History::new().step(&(one("/a", "x", left) + &one("/a", "y", right))).clone();
        assert_eq!(ids(&content), (vec!["/a#x", "/a#y"], vec![]), "{left} | {right}");
    }
}

#[test]
fn who_loses_a_part_keeps_the_rest_and_is_told() {
    let mut history = History::new();
    let winner = history.step(&one("/a", "x", "match: {methods: [GET]}")).routes[0].clone();
    let both = one("/a", "x", "match: {methods: [GET]}") + &one("/a", "a", "match: {methods: [GET, POST]}");
    let content = history.step(&both);
    assert_eq!(ids(content), (vec!["/a#a", "/a#x"], vec![]));
    assert_eq!(content.routes[1], winner);
    assert!(has(content, "/a#a", ConditionType::Conflicted, Status::True, Reason::ShadowedBy));
    assert!(content.routes[0].origin.held_since > winner.origin.held_since);
}

#[test]
fn changing_a_claim_neither_robs_nor_is_robbed() {
    let mut history = History::new();
    let get = |name: &str| one("/a", name, "match: {methods: [GET]}");
    let post = |name: &str| one("/a", name, "match: {methods: [POST]}");
    let both = |name: &str| one("/a", name, "match: {methods: [GET, POST]}");
    history.step(&get("m"));
    // A shadowed newcomer waits; the holder widens to what nobody held, and keeps its age.
    history.step(&(get("m") + &get("a")));
    let content = history.step(&(both("m") + &get("a")));
    assert_eq!(ids(content), (vec!["/a#m"], vec!["/a#a"]));
    assert_eq!(content.routes[0].origin.held_since, 1);
    // It narrows again, another takes what is free; widening over that loses it to who holds it now.
    history.step(&get("m"));
    history.step(&(get("m") + &post("z")));
    let content = history.step(&(both("m") + &post("z")));
    assert!(has(content, "/a#m", ConditionType::Conflicted, Status::True, Reason::ShadowedBy));
    assert!(!has(content, "/a#z", ConditionType::Conflicted, Status::True, Reason::ShadowedBy));
}

#[test]
fn a_bad_form_leaves_the_last_good_one_for_a_day() {
    let mut history = History::new();
    history.step(&one("/a", "x", "version: 1"));
    let bad = one("/a", "x", "version: 2\npolicies: {timeout: 5}");
    let stale = history.step(&bad).clone();
    assert_eq!(ids(&stale), (vec!["/a#x"], vec![]));
    assert!(has(&stale, "/a#x", ConditionType::Stale, Status::True, Reason::ServingLastGood));
    assert!(has(&stale, "/a#x", ConditionType::Accepted, Status::False, Reason::SchemaInvalid));
    assert_eq!(history.step(&bad), &stale);
    // Another mistake in between does not make it younger.
    history.step(&one("/a", "x", "version: 3\nmatsch: {}"));
    history.now += 86_400 - 4 * 60;
    assert_eq!(ids(history.step(&bad)).0.len(), 1);
    let gone = history.step(&bad).clone();
    assert_eq!(ids(&gone), (vec![], vec!["/a#x"]));
    assert!(has(&gone, "/a#x", ConditionType::Stale, Status::False, Reason::StaleTooLong));
    assert_eq!(history.step(&bad), &gone);
    assert_eq!(ids(history.step(&one("/a", "x", "version: 4"))), (vec!["/a#x"], vec![]));
}

#[test]
fn the_boundary_beats_the_last_good_form() {
    let mut history = History::new();
    history.step(&(one("/a", "x", "") + &one("/b", "x", "")));
    let mixed = one("/a", "x", "nonsense: 1") + &one("/b", "x", "");
    assert_eq!(ids(history.step(&mixed)).0.len(), 2);
    history.boundary = boundary(&BOUNDARY.replace("*.internal", "*.other"));
    let content = history.step(&mixed);
    assert_eq!(ids(content), (vec![], vec!["/a#x", "/b#x"]));
    // A boundary that cannot be read any more has no such power, one that can has it also without registrations.
    history.boundary = boundary(BOUNDARY);
    let good = history.step(&(one("/a", "x", "") + &one("/b", "x", ""))).clone();
    let narrow = boundary(&BOUNDARY.replace("*.internal", "*.other"));
    let rules = rules();
    let input = |boundary| Input {
        boundary,
        items: &[],
        previous: None,
        now: Timestamp::from_unix(2_000_000),
        generation: 9,
        rules: &rules,
    };
    assert_eq!(reapply(&input(&history.boundary), &good), good);
    assert_eq!(ids(&reapply(&input(&narrow), &good)), (vec![], vec!["/a#x", "/b#x"]));
}

#[test]
fn a_lease_ends_by_itself_and_is_never_kept() {
    let mut history = History::new();
    let text = one("/a", "x", "lease_until: 1970-01-12T13:48:00Z");
    assert_eq!(ids(history.step(&text)).0.len(), 1);
    history.now = 1_000_081;
    assert!(has(history.step(&text), "/a#x", ConditionType::Accepted, Status::False, Reason::LeaseExpired));
    // Nor is an older form served past its lease because the new one is bad.
    let mut history = History::new();
    history.step(&text);
    history.now = 1_000_081;
    assert_eq!(ids(history.step(&one("/a", "x", "nonsense: 1"))), (vec![], vec!["/a#x"]));
}

#[test]
fn a_good_entry_is_never_kept_out_by_a_bad_twin() {
    let good = one("/a", "x", "");
    let bad = one("/a", "x", "nonsense: 1");
    for text in [good.clone() + &bad, bad.clone() + &good] {
        let content = History::new().step(&text).clone();
        assert_eq!(ids(&content), (vec!["/a#x"], vec!["/a#x"]));
        assert!(has(&content, "/a#x", ConditionType::Accepted, Status::False, Reason::SchemaInvalid));
    }
    let content = History::new().step(&(good.clone() + &good)).clone();
    assert_eq!(ids(&content), (vec!["/a#x"], vec!["/a#x"]));
    assert!(has(&content, "/a#x", ConditionType::Accepted, Status::False, Reason::DuplicateRegistration));
}

#[test]
fn while_a_file_cannot_be_read_nothing_is_gone() {
    let mut history = History::new();
    history.step(&(one("/a", "x", "") + &one("/b", "x", "")));
    let problem = postern_config::Problem::new("", postern_config::ProblemKind::Syntax, "cannot be read");
    let mut now = items(&one("/a", "x", ""));
    now.push(Item::opaque("b.yaml", problem));
    let content = history.step_items(&now);
    assert_eq!(ids(content), (vec!["/a#x", "/b#x"], vec!["b.yaml"]));
    assert!(has(content, "/b#x", ConditionType::Stale, Status::True, Reason::ServingLastGood));
    assert!(!has(content, "/a#x", ConditionType::Stale, Status::True, Reason::ServingLastGood));
    now.pop();
    assert_eq!(ids(history.step_items(&now)), (vec!["/a#x"], vec![]));
}

#[test]
fn loopback_needs_the_flag() {
    let text = BOUNDARY.replace("example.com']}", "example.com'], addresses: ['127.0.0.0/8']}");
    let boundary = boundary(&text);
    let items = items(&one("/a", "x", ""));
    for (allowed, routes) in [(false, 0), (true, 1)] {
        let rules = Rules { allow_loopback_destinations: allowed, ..rules() };
        let now = Timestamp::from_unix(1);
        let input = Input { boundary: &boundary, items: &items, previous: None, now, generation: 1, rules: &rules };
        assert_eq!(translate(&input).routes.len(), routes);
    }
}

#[test]
fn a_product_of_two_long_lists_is_refused() {
    let methods: Vec<String> =
        (0..2_000_u32).map(|n| n.to_string().bytes().map(|b| char::from(b - b'0' + b'A')).collect()).collect();
    let content = History::new().step(&one("/a", "x", &format!("match: {{methods: [{}]}}", methods.join(",")))).clone();
    assert_eq!(ids(&content), (vec![], vec!["/a#x"]));
}
