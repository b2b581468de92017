//! No set of items, however hostile, adds a host or a destination, or weakens an override or a demand.

use postern_config::Boundary;
use postern_config::check;
use postern_config::document::{Authenticator, PolicySet};
use postern_config::merged::{self, Content};
use postern_config::route::Route;
use postern_config::value::Timestamp;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::scene;

/// Texts that have gone wrong somewhere before, besides good ones.
fn text() -> impl Strategy<Value = String> {
    let known = prop::sample::select(vec![
        "/",
        "/pay",
        "/pay/x",
        "/paydirt",
        "/a",
        "/a/{id}",
        "/a/{rest*}",
        "/a//b",
        "/a/..",
        "/a/%2e%2e",
        "/%70ay",
        "/pay/",
        "/PAY",
        "//",
        "",
        "default",
        "team-pay",
        "team",
        "x#y",
        "#registry",
        "api.example.com",
        "*.api.example.com",
        "*",
        "*.com",
        "evil.example.net",
        "a.internal.example.com",
        "x.a.internal.example.com",
        "a.internal.example.com.",
        "A.INTERNAL.example.com",
        "https://a.internal.example.com",
        "https://a.internal.example.com:8443/x",
        "https://a.internal.example.com:22",
        "http://a.internal.example.com",
        "https://evil.example.net",
        "https://a.internal.example.com@evil.example.net",
        "https://evil.example.net/.internal.example.com",
        "https://evil.example.net#.internal.example.com",
        "https://169.254.169.254",
        "https://[::1]",
        "http://plain.example.org",
        "https://internal.example.com",
        "https://a.internal.example.com\\@evil.example.net",
        "none",
        "iam",
        "basic:ops",
        "basic:oops",
        "jwt:corp",
        "GET",
        "get",
        "strict",
        "raw",
        "30s",
        "999h",
        "1GiB",
        "1",
        "0s",
        "2000-01-01T00:00:00Z",
        "9999-01-01T00:00:00Z",
        "postern/v1",
        "Boundary",
        "Registration",
        "destination",
        "\u{0}",
        "\u{202e}",
    ]);
    prop_oneof![8 => known.prop_map(str::to_owned), 1 => "\\PC{0,12}", 1 => any::<String>()]
}

fn anything() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        4 => text().prop_map(Value::String),
        1 => any::<i64>().prop_map(Value::from),
        1 => any::<f64>().prop_map(Value::from),
        1 => any::<bool>().prop_map(Value::from),
        1 => Just(Value::Null),
    ];
    let key = prop_oneof![3 => field(), 1 => text()];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::vec((key.clone(), inner), 0..5)
                .prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

fn field() -> impl Strategy<Value = String> + Clone {
    prop::sample::select(vec![
        "root", "name", "owner", "version", "match", "hosts", "methods", "path", "headers", "query", "destination",
        "destinations", "url", "host", "weight", "rewrite", "prefix", "policies", "authentication", "authorization",
        "any_of", "scopes", "timeouts", "connect", "total", "body", "max", "lease_until", "apiVersion", "kind",
        "addresses", "dial", "tls", "overrides", "require", "identity_headers", "via", "id", "origin", "held_since",
        "conditions",
    ])
    .prop_map(str::to_owned)
}

/// A registration that would be good, with some of its values replaced, added or taken away.
fn mutated() -> impl Strategy<Value = Value> {
    let base = prop::sample::select(vec![
        json!({"root": "/a", "owner": "team", "destination": {"url": "https://a.internal.example.com"}}),
        json!({"root": "/pay/x", "owner": "team-pay", "destination": {"url": "https://a.internal.example.com"},
               "policies": {"authentication": {"any_of": ["basic:ops"]}, "body": {"max": "9GiB"}, "timeouts": {"total": "1h"}}}),
        json!({"root": "/b", "owner": "team", "match": {"hosts": ["x.api.example.com"], "methods": ["GET"], "path": "/b/{id}"},
               "destinations": [{"url": "https://a.internal.example.com", "weight": 1}, {"url": "http://plain.example.org", "weight": 1}],
               "rewrite": {"path": "/{id}"}}),
    ]);
    let places = prop::sample::select(vec![
        "/root", "/name", "/owner", "/destination/url", "/destination/host", "/match/hosts/0", "/match/hosts",
        "/match/path", "/match/methods", "/policies", "/policies/authentication", "/policies/authentication/any_of",
        "/policies/authentication/any_of/0", "/policies/authorization", "/policies/authorization/scopes",
        "/policies/body/max", "/policies/timeouts/total", "/destinations/1/url", "/destinations/0/host", "/rewrite",
        "/rewrite/path", "/lease_until", "/version", "/overrides",
    ]);
    let change = (
        places,
        prop_oneof![3 => text().prop_map(Value::String), 2 => anything(), 1 => text().prop_map(|text| json!([text]))],
    );
    (base, prop::collection::vec(change, 0..3)).prop_map(|(mut value, changes)| {
        for (place, new) in changes {
            put(&mut value, place, new);
        }
        value
    })
}

fn put(value: &mut Value, place: &str, new: Value) {
    if let Some(at) = value.pointer_mut(place) {
        *at = new;
        return;
    }
    let mut at = value;
    for token in place.split('/').skip(1) {
        if !at.is_object() {
            *at = Value::Object(Map::new());
        }
        at = at.as_object_mut().unwrap().entry(token).or_insert(Value::Null);
    }
    *at = new;
}

fn inside(boundary: &Boundary, route: &Route) {
    check::recheck(boundary, route).unwrap();
    let document = boundary.document();
    for host in &route.matching.hosts {
        assert!(document.hosts.iter().any(|listed| listed.covers(host)), "{host}");
    }
    for target in &route.destinations {
        let destination = document.destinations.iter().find(|one| one.name == target.via).unwrap();
        for host in [&target.url.host, &target.host] {
            assert!(destination.hosts.iter().any(|listed| listed.matches(host)), "{host}");
        }
        assert!(destination.schemes.contains(&target.url.scheme), "{}", target.url);
        assert!(destination.ports.iter().any(|port| port.get() == target.url.port), "{}", target.url);
    }
    overrides_hold(&document.overrides.policies, &route.policies);
    if route.root.as_str() == "/pay" || route.root.as_str().starts_with("/pay/") {
        let ops: Authenticator = "basic:ops".parse().unwrap();
        assert_eq!(route.owner.as_str(), "team-pay");
        assert_eq!(route.policies.authentication.as_ref().unwrap().any_of, [ops]);
        assert!(route.policies.authorization.as_ref().unwrap().scopes.contains(&"pay".to_owned()));
        assert!(route.destinations.iter().all(|target| target.via.as_str() == "apis"));
    }
}

fn overrides_hold(overrides: &PolicySet, policies: &PolicySet) {
    assert_eq!(policies.body.max, overrides.body.max);
    assert_eq!(policies.timeouts.total, overrides.timeouts.total);
    assert!(policies.timeouts.connect.is_some());
}

fn check_all(first: &[Value], second: &[Value]) {
    let boundary = scene::boundary(&scene::value(scene::BOUNDARY));
    let one = scene::step(&boundary, &scene::items(first.to_vec()), None, 1_000, 1);
    // The second step starts from what the first left: older forms are served, claims are held.
    let two = scene::step(&boundary, &scene::items(second.to_vec()), Some(&one), 2_000, 2);
    for (content, generation) in [(&one, 1), (&two, 2)] {
        check_content(&boundary, content, generation);
    }
    // Everything that was found is accounted for.
    assert!(one.routes.len() + one.refused.len() == first.len());
}

fn check_content(boundary: &Boundary, content: &Content, generation: u64) {
    assert_eq!(&content.boundary, boundary);
    content.routes.iter().for_each(|route| inside(boundary, route));
    let (text, _) = scene::text(content, generation, None, Timestamp::from_unix(5_000));
    let reading = merged::read(text.as_bytes(), None).unwrap();
    assert_eq!(reading.quarantined, []);
    assert_eq!(&reading.content, content);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn no_items_widen_the_boundary(
        first in prop::collection::vec(prop_oneof![4 => mutated(), 1 => anything()], 0..8),
        second in prop::collection::vec(prop_oneof![4 => mutated(), 1 => anything()], 0..8),
    ) {
        check_all(&first, &second);
    }

    #[test]
    fn the_order_of_items_decides_nothing(
        (values, turned) in prop::collection::vec(mutated(), 0..8).prop_flat_map(|values| {
            let items = scene::items(values);
            (Just(items.clone()), Just(items).prop_shuffle())
        }),
    ) {
        let boundary = scene::boundary(&scene::value(scene::BOUNDARY));
        prop_assert_eq!(scene::step(&boundary, &values, None, 1_000, 1), scene::step(&boundary, &turned, None, 1_000, 1));
    }
}

fn cases() -> u32 {
    if std::env::var_os("POSTERN_SLOW").is_some() { 20_000 } else { 1_000 }
}
