//! What the tests are made of: boundaries and items from text, one translation after another.

use std::time::Duration;

use postern_config::document::BoundaryDocument;
use postern_config::merged::{self, Content, Digest, Header, Source, Sources};
use postern_config::value::Timestamp;
use postern_config::{Boundary, parse, schema};
use postern_syncer::item::Item;
use postern_syncer::translate::{Input, Rules, translate};
use serde_json::Value;

pub(crate) const BOUNDARY: &str = r#"
apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com, "*.api.example.com"]
destinations:
  - {name: apis, hosts: ["*.internal.example.com"], ports: [443, 8443]}
  - {name: plain, hosts: [plain.example.org], schemes: [http], ports: [80]}
identity:
  basic: [{name: ops, users: [{name: alice, hash: "$2b$04$abcdefghijklmnopqrstuuaU.jXcOQAXWVj1OfI7a/7zfZQ6EYvUS"}]}]
paths:
  - {prefix: /}
  - {prefix: /pay, owners: [team-pay], destinations: [apis], require: {authentication: {any_of: ["basic:ops"]}, authorization: {scopes: [pay]}}}
defaults: {policies: {timeouts: {connect: 1s}}}
overrides: {policies: {body: {max: 1MiB}, timeouts: {total: 30s}}}
"#;

pub(crate) fn value(text: &str) -> Value {
    parse::values(text).unwrap().remove(0)
}

pub(crate) fn boundary(value: &Value) -> Boundary {
    let document = parse::document::<BoundaryDocument>(value, schema::boundary()).unwrap();
    Boundary::check(document).unwrap()
}

pub(crate) fn items(values: impl IntoIterator<Item = Value>) -> Vec<Item> {
    values.into_iter().enumerate().map(|(index, value)| Item::readable(&format!("item {index:06}"), &value)).collect()
}

pub(crate) fn good(root: &str) -> Value {
    serde_json::json!({"root": root, "owner": "team", "destination": {"url": "https://a.internal.example.com"}})
}

pub(crate) fn rules() -> Rules {
    Rules { max_stale_route: Duration::from_secs(86_400), allow_loopback_destinations: false }
}

pub(crate) fn step(
    boundary: &Boundary,
    items: &[Item],
    previous: Option<&Content>,
    now: i64,
    generation: u64,
) -> Content {
    let rules = rules();
    translate(&Input { boundary, items, previous, now: Timestamp::from_unix(now), generation, rules: &rules })
}

/// The file of a content, as it would be published.
pub(crate) fn text(content: &Content, generation: u64, previous: Option<Digest>, at: Timestamp) -> (String, Digest) {
    let sources = Sources {
        boundary: Source { uri: "s3://bucket/boundary.yaml".to_owned(), ..Source::default() },
        registrations: Source { uri: "dynamodb://table".to_owned(), ..Source::default() },
        pinned: None,
    };
    let (bytes, digest) = merged::write(&Header { generation, previous, written_at: at, sources }, content, None);
    (String::from_utf8(bytes).unwrap(), digest)
}
