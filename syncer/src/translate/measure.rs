//! What it costs to find out who claims what another one holds, over a whole table. Figures, from a release build, are in
//! `docs/measurements.md`; no time is asserted. What is: that every loser is told by whom.
//!
//! `POSTERN_SLOW=1 cargo test --release -p postern-syncer --lib -- measure --nocapture`

use std::time::{Duration, Instant};

use postern_config::condition::Reason;
use postern_config::value::Timestamp;
use serde_json::{Value, json};

use super::past::Past;
use super::tests::{boundary, rules};
use super::{Input, Outcome, conflict, each_by_itself, translate};
use crate::item::Item;

const BOUNDARY: &str = "apiVersion: postern/v1\nkind: Boundary\nhosts: [api.example.com, '*.api.example.com']\n\
destinations:\n- {name: apis, hosts: ['*.internal.example.com']}\n";

fn named(root: &str, name: &str, matching: &Value) -> Item {
    let value = json!({
        "root": root, "name": name, "owner": "team", "version": 1, "match": matching,
        "destination": {"url": "https://s.internal.example.com/prod"},
    });
    Item::readable(&format!("{root}#{name}"), &value)
}

/// A table, and how many of its registrations are shadowed, wholly or in part.
type Table = (&'static str, usize, Box<dyn Fn(usize) -> Item>);

fn tables(count: usize) -> Vec<Table> {
    let both = || json!({"methods": ["GET", "POST"], "hosts": ["api.example.com"]});
    vec![
        (
            "nobody claims another's",
            0,
            Box::new(move |at| named(&format!("/team{}/s{at}", at % 97), "default", &both())),
        ),
        (
            "every other one claims its neighbour's",
            count / 2,
            Box::new(move |at| named(&format!("/team{}/s{}", at / 2 % 97, at / 2), &format!("n{}", at % 2), &both())),
        ),
        (
            "every other one claims a part of its neighbour's",
            count / 2,
            Box::new(move |at| {
                let methods: &[&str] = if at % 2 == 0 { &["GET", "POST"] } else { &["POST", "PUT"] };
                let root = format!("/s{}", at / 2);
                named(&root, &format!("n{}", at % 2), &json!({"methods": methods, "path": format!("{root}/{{id}}")}))
            }),
        ),
        ("all claim the same", count - 1, Box::new(move |at| named("/same", &format!("n{at:05}"), &both()))),
    ]
}

#[test]
fn every_loser_of_a_whole_table_is_told_by_whom() {
    let long = std::env::var_os("POSTERN_SLOW").is_some();
    let count = if long { 10_000 } else { 200 };
    let (boundary, rules) = (boundary(BOUNDARY), rules());
    for (name, losers, item) in tables(count) {
        let items: Vec<Item> = (0..count).map(item).collect();
        let input = |previous| Input {
            boundary: &boundary,
            items: &items,
            previous,
            now: Timestamp::from_unix(1_000_000),
            generation: 1,
            rules: &rules,
        };
        let content = translate(&input(None));
        let conditions =
            content.refused.iter().flat_map(|refused| refused.conditions.iter().map(|one| (&refused.id, one)));
        let conditions = conditions
            .chain(content.routes.iter().flat_map(|route| route.conditions.iter().map(|one| (&route.id, one))));
        let shadowed: Vec<_> = conditions.filter(|(_, one)| one.reason == Reason::ShadowedBy).collect();
        assert_eq!(shadowed.len(), losers, "{name}");
        for (loser, condition) in shadowed {
            let winner = condition.message.split(" holds ").next().unwrap();
            assert!(winner != loser && content.routes.iter().any(|route| route.id == winner), "{name}: {condition:?}");
        }
        if long {
            let (fresh, again) = (settling(&input(None)), settling(&input(Some(&content))));
            #[allow(clippy::print_stdout, reason = "a measurement for people")]
            let () = println!(
                "conflicts of {count} registrations, {name}: {fresh:?} at first, {again:?} when nothing changed"
            );
        }
    }
}

/// The median of settling a table, and nothing else.
fn settling(input: &Input<'_>) -> Duration {
    let past = Past::of(input.previous);
    let rounds = if cfg!(debug_assertions) { 3 } else { 21 };
    let mut took: Vec<Duration> = (0..rounds)
        .map(|_| {
            let mut outcome: Outcome = each_by_itself(input, &past);
            let began = Instant::now();
            conflict::settle(input, &past, &mut outcome);
            let took = began.elapsed();
            assert_eq!(outcome.routes.len() + outcome.refused.len(), input.items.len());
            took
        })
        .collect();
    took.sort_unstable();
    took[took.len() / 2]
}
