//! What is told of two contents: every change by its name, and what became weaker by its mark.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

mod support;

use postern_config::changes::Changes;
use postern_config::check::admit;
use postern_config::merged::Content;
use serde_json::{Value, json};
use support::{BOUNDARY, boundary, boundary_of, content, registration};

fn of(routes: &[Value]) -> Content {
    let boundary = boundary();
    let mut routes: Vec<_> = routes.iter().map(|value| admit(&boundary, &registration(value)).unwrap()).collect();
    routes.sort_by(|a, b| a.id.cmp(&b.id));
    Content { boundary, routes, refused: Vec::new(), keys: Vec::new() }
}

fn orders() -> Value {
    json!({
        "root": "/orders", "owner": "team-orders", "version": 3,
        "destination": {"url": "https://orders.apis.internal.example.com/prod"},
        "policies": {
            "authentication": {"any_of": ["jwt:corp", "basic:ops"]},
            "authorization": {"scopes": ["read", "write"], "allow": ["10.0.0.0/8"], "deny": ["10.9.0.0/16"]},
            "limits": [{"name": "one", "rate": "10/s", "burst": 5}],
            "identity_headers": {"x-user": "sub"}, "identity_token": {"audience": "orders"},
            "breaker": {"failures": 20, "within": "10s"},
        },
    })
}

/// What is told of a route when this is set at a place of its registration.
fn told_of(pointer: &str, value: Value) -> String {
    let mut before = orders();
    if pointer.contains("/authentication") {
        // Scopes are not demanded of callers who need not prove who they are.
        before["policies"].as_object_mut().unwrap().remove("authorization");
    }
    let mut after = before.clone();
    let (parent, name) = pointer.rsplit_once('/').unwrap();
    let parent = after.pointer_mut(parent).unwrap().as_object_mut().unwrap();
    match value {
        Value::Null => parent.remove(name),
        value => parent.insert(name.to_owned(), value),
    };
    Changes::between(&of(&[before]), &of(&[after])).to_string()
}

/// What is told of the boundary when a line of it is another.
fn told_of_boundary(line: &str, instead: &str) -> String {
    assert!(BOUNDARY.contains(line), "{line}");
    let mut after = content(boundary(), 3);
    after.boundary = boundary_of(&BOUNDARY.replacen(line, instead, 1));
    Changes::between(&content(boundary(), 3), &after).to_string()
}

#[test]
fn the_same_content_has_no_changes_whatever_its_conditions_say_of_time() {
    let mut again = content(boundary(), 20);
    for route in &mut again.routes {
        route.origin.held_since += 1;
        route.origin.version += 1;
    }
    let changes = Changes::between(&content(boundary(), 20), &again);
    assert!(changes.is_empty() && changes.unchanged == 20 && !changes.weakens(), "{changes}");
}

#[test]
fn routes_that_come_go_and_lead_elsewhere_are_told_by_name() {
    let bills = json!({"root": "/bills", "owner": "team-bills", "version": 1, "destination": {"url": "http://plain.internal.example.com:8080"}});
    let changes = Changes::between(&of(&[orders()]), &of(std::slice::from_ref(&bills)));
    assert_eq!(changes.to_string(), "+ added /bills#default (team-bills)\n- removed /orders#default (team-orders)\n");
    let told = told_of("/destination", json!({"url": "https://new.apis.internal.example.com/prod"}));
    assert_eq!(
        told,
        "~ changed /orders#default (team-orders)\n    retargeted: https://orders.apis.internal.example.com/prod → https://new.apis.internal.example.com/prod\n"
    );
    let json = serde_json::to_value(Changes::between(&of(&[orders()]), &of(&[orders(), bills]))).unwrap();
    assert_eq!(json["routes"][0]["action"], "added");
    assert_eq!(json["unchanged"], 1);
}

#[test]
fn a_policy_that_became_weaker_is_marked_and_no_other() {
    for (pointer, value) in [
        ("/policies/authentication", Value::Null),
        ("/policies/authentication", json!({"any_of": ["jwt:corp", "none"]})),
        ("/policies/authentication", json!({"any_of": ["jwt:corp", "basic:ops"], "mode": "shadow"})),
        ("/policies/authorization", Value::Null),
        ("/policies/authorization/scopes", json!(["read"])),
        ("/policies/authorization/allow", Value::Null),
        ("/policies/authorization/allow", json!(["10.0.0.0/8", "192.168.0.0/16"])),
        ("/policies/authorization/deny", json!(["10.9.1.0/24"])),
        ("/policies/authorization/mode", json!("shadow")),
        ("/policies/body", json!({"max": "9MiB"})),
        ("/policies/path", json!("raw")),
        ("/policies/limits", Value::Null),
        ("/policies/limits", json!([])),
        ("/policies/limits/0/rate", json!("700/m")),
        ("/policies/limits/0/burst", json!(6)),
        ("/policies/limits/0/by", json!("client")),
        ("/policies/limits/0/mode", json!("shadow")),
        ("/policies/identity_headers_mode", json!("shadow")),
        ("/policies/identity_headers", Value::Null),
        ("/policies/identity_token/mode", json!("shadow")),
        ("/policies/identity_token", Value::Null),
        ("/policies/breaker", Value::Null),
        ("/policies/breaker/failures", json!(21)),
        ("/policies/breaker/ratio", json!("51%")),
        ("/policies/breaker/within", json!("9s")),
        ("/policies/breaker/opens_for", json!("4s")),
        ("/policies/breaker/mode", json!("shadow")),
    ] {
        let told = told_of(pointer, value);
        assert!(told.trim_end().ends_with("[weaker]"), "{pointer}: {told}");
    }
    for (pointer, value) in [
        ("/policies/authentication", json!({"any_of": ["jwt:corp"]})),
        ("/policies/authorization/scopes", json!(["read", "write", "all"])),
        ("/policies/authorization/allow", json!(["10.1.0.0/16"])),
        ("/policies/authorization/deny", json!(["10.8.0.0/15"])),
        ("/policies/authorization/roles", json!(["clerk"])),
        ("/policies/timeouts", json!({"first_byte": "5s"})),
        ("/policies/body", json!({"max": "1KiB"})),
        ("/policies/limits/0/rate", json!("600/m")),
        ("/policies/limits/0/rate", json!("1/h")),
        ("/policies/limits/0/burst", json!(1)),
        ("/policies/limits/0/by", json!("route")),
        ("/policies/limits/0/name", json!("other")),
        ("/policies/identity_headers", json!({"x-user": "sub", "x-team": "team"})),
        ("/policies/identity_token/ttl", json!("20s")),
        ("/policies/breaker/failures", Value::Null),
        ("/policies/breaker/ratio", json!("0%")),
        ("/policies/breaker/within", json!("1m")),
        ("/policies/breaker/opens_for", json!("1m")),
        ("/match", json!({"methods": ["GET"]})),
        ("/rewrite", json!({"prefix": "/v2"})),
        ("/owner", json!("team-other")),
        ("/lease_until", json!("2030-01-01T00:00:00Z")),
    ] {
        let told = told_of(pointer, value);
        assert!(told.starts_with("~ changed /orders#default") && !told.contains("[weaker"), "{pointer}: {told}");
        assert_eq!(told.lines().count(), 2, "{told}");
    }
    let told = told_of("/policies/authorization/cedar", json!("permit(principal, action, resource);"));
    assert!(told.trim_end().ends_with("[weaker?]"), "{told}");
}

#[test]
fn what_changes_of_the_boundary_is_told_by_the_names_that_stand_there() {
    for (line, instead, told) in [
        (
            "hosts: [api.example.com, \"*.api.example.com\"]",
            "hosts: [api.example.com]",
            "hosts: [\"api.example.com\",\"*.api.example.com\"] → [\"api.example.com\"]",
        ),
        (
            "[\"10.20.0.0/16\", \"fd12:3456::/32\"]",
            "[\"10.20.0.0/15\"]",
            "destinations.private-apis.addresses: [\"10.20.0.0/16\",\"fd12:3456::/32\"] → [\"10.20.0.0/15\"]  [weaker]",
        ),
        (
            "[\"10.20.0.0/16\", \"fd12:3456::/32\"]",
            "[\"10.20.7.0/24\"]",
            "destinations.private-apis.addresses: [\"10.20.0.0/16\",\"fd12:3456::/32\"] → [\"10.20.7.0/24\"]",
        ),
        (
            "ports: [80, 443, 8080]",
            "ports: [80, 443, 8081]",
            "destinations.plain.ports: [80,443,8080] → [80,443,8081]  [weaker]",
        ),
        ("roots: amazon", "roots: webpki", "destinations.private-apis.tls.roots: amazon → nothing  [weaker?]"),
        ("owners: [team-payments]", "owners: []", "paths./payments.owners: [\"team-payments\"] → nothing  [weaker]"),
        (
            "audiences: [pay]",
            "audiences: [pay, all]",
            "paths./payments.audiences: [\"pay\"] → [\"pay\",\"all\"]  [weaker]",
        ),
        (
            "require: {authentication: {any_of: [\"jwt:corp\"]}, authorization: {scopes: [pay]}}",
            "require: {authentication: {any_of: [\"jwt:corp\"]}}",
            "paths./payments.require.authorization: {\"scopes\":[\"pay\"]} → nothing  [weaker]",
        ),
        ("body: {max: 1MiB}", "body: {max: 2MiB}", "defaults.policies.body.max: 1MiB → 2MiB  [weaker]"),
        (
            "scopes: [all]",
            "scopes: [all, more]",
            "identity.basic.ops.users.alice.scopes: [\"all\"] → [\"all\",\"more\"]  [weaker?]",
        ),
    ] {
        assert_eq!(told_of_boundary(line, instead), format!("~ boundary {told}\n"), "{line}");
    }
    let gone = "  - name: plain\n    hosts: [plain.internal.example.com]\n    schemes: [http, https]\n    ports: [80, 443, 8080]\n";
    assert_eq!(told_of_boundary(gone, ""), "~ boundary destinations.plain: removed\n");
    let rehashed = told_of_boundary("$2y$10$abcdef", "$2y$10$abcdeg");
    assert_eq!(rehashed, "~ boundary identity.basic.ops.users.alice.hash: … → …  [weaker?]\n");
}

#[test]
fn what_the_boundary_only_tries_out_any_more_is_marked() {
    let told = told_of_boundary("leeway: 30s", "leeway: 30s\n      revoked: {mode: shadow}");
    assert_eq!(told, "~ boundary identity.jwt.corp.revoked: nothing → {\"mode\":\"shadow\"}  [weaker]\n");
    let told = told_of_boundary("    - name: ops\n", "    - name: ops\n      lockout: {mode: shadow}\n");
    assert_eq!(told, "~ boundary identity.basic.ops.lockout: nothing → {\"mode\":\"shadow\"}  [weaker]\n");
    let told = told_of_boundary("leeway: 30s", "leeway: 30s\n      revoked: {sub: [carol]}");
    assert_eq!(told, "~ boundary identity.jwt.corp.revoked: nothing → {\"sub\":[\"carol\"]}  [weaker?]\n");
}

#[test]
fn a_refusal_says_why_and_whether_its_route_ends() {
    let mut before = content(boundary(), 3);
    let after = before.clone();
    assert!(Changes::between(&before, &after).is_empty());
    before.refused.clear();
    let told = Changes::between(&before, &after).to_string();
    let why = "    DestinationNotAllowed at /destination/url: no destination of the boundary lists the host evil.example.com\n";
    assert_eq!(told, format!("! refused /pay#x (team-x)\n{why}"));
    before.routes.push(admit(&boundary(), &registration(&json!({
        "root": "/pay", "name": "x", "owner": "team-x", "destination": {"url": "https://a.apis.internal.example.com"},
    }))).unwrap());
    let told = Changes::between(&before, &after).to_string();
    assert_eq!(told, format!("! refused /pay#x (team-x): its route ends\n{why}"));
    assert_eq!(Changes::between(&after, &content(boundary(), 3)).to_string(), "");
    let mut gone = after.clone();
    gone.refused.clear();
    assert_eq!(Changes::between(&after, &gone).to_string(), "- withdrawn /pay#x (team-x)\n");
}
