//! How long a translation of many registrations takes, and how much memory it needs.
//!
//! `cargo run --release -p postern-syncer --example scale -- 100000`
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a measurement for people")]

use std::time::{Duration, Instant};

use postern_config::document::BoundaryDocument;
use postern_config::merged::{self, Content, Header, Sources};
use postern_config::value::Timestamp;
use postern_config::{Boundary, parse, schema};
use postern_syncer::item::Item;
use postern_syncer::translate::{Input, Rules, translate};
use serde_json::json;

const BOUNDARY: &str = "
apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com, '*.api.example.com']
destinations: [{name: apis, hosts: ['*.apis.internal.example.com']}]
paths: [{prefix: /}]
defaults: {policies: {timeouts: {connect: 1s}}}
";

fn main() {
    let count: usize = std::env::args().nth(1).map_or(100_000, |text| text.parse().unwrap());
    let value = parse::values(BOUNDARY).unwrap().remove(0);
    let document: BoundaryDocument = parse::document(&value, schema::boundary()).unwrap();
    let boundary = Boundary::check(document).unwrap();
    let items: Vec<Item> = (0..count).map(item).collect();
    let first = timed("translate, nothing before", || step(&boundary, &items, None, 1));
    let again = timed("translate, nothing changed", || step(&boundary, &items, Some(&first), 2));
    assert!(first == again);
    let mut one_bad = items;
    one_bad[count / 2] =
        Item::readable("bad", &json!({"root": format!("/team{:03}/service{}", count / 2 % 500, count / 2)}));
    timed("translate, one turned bad", || step(&boundary, &one_bad, Some(&first), 2));
    // Everybody claims the same: the worst for conflicts.
    let crowd: Vec<Item> = (0..count).map(|index| named("/same", &format!("n{index}"), index)).collect();
    let crowded = timed("translate, all claim the same", || step(&boundary, &crowd, None, 1));
    assert_eq!((crowded.routes.len(), crowded.refused.len()), (1, count - 1));
    let header =
        Header { generation: 1, previous: None, written_at: Timestamp::from_unix(1), sources: Sources::default() };
    let (bytes, _) = timed("write", || merged::write(&header, &first, None));
    timed("read back and check", || merged::read(&bytes, None).unwrap());
    println!("{count} registrations, {} bytes merged, peak memory {}", bytes.len(), peak_memory());
}

fn item(index: usize) -> Item {
    named(&format!("/team{:03}/service{index}", index % 500), "default", index)
}

fn named(root: &str, name: &str, index: usize) -> Item {
    let value = json!({
        "root": root, "name": name, "owner": format!("team-{:03}", index % 500), "version": index,
        "match": {"methods": ["GET", "POST"], "hosts": ["api.example.com"]},
        "destination": {"url": format!("https://s{index}.apis.internal.example.com/prod")},
    });
    Item::readable(&format!("{root}#{name}"), &value)
}

fn step(boundary: &Boundary, items: &[Item], previous: Option<&Content>, generation: u64) -> Content {
    let rules = Rules { max_stale_route: Duration::from_secs(86_400), allow_loopback_destinations: false };
    let now = Timestamp::from_unix(1_000);
    translate(&Input { boundary, items, previous, now, generation, rules: &rules })
}

fn timed<T>(what: &str, work: impl FnOnce() -> T) -> T {
    let began = Instant::now();
    let result = work();
    println!("{what}: {} ms", began.elapsed().as_millis());
    result
}

fn peak_memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM"));
    line.map_or_else(|| "unknown".to_owned(), |line| line.split_whitespace().skip(1).collect::<Vec<_>>().join(" "))
}
