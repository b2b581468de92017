//! The schema of a type accepts what serde accepts for it, and the other way round.

use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;
use crate::parse;
use crate::problem::pointer_token;

fn full_boundary() -> Value {
    json!({
        "apiVersion": "postern/v1", "kind": "Boundary", "hosts": ["api.example.com", "*.api.example.com"],
        "destinations": [{
            "name": "apis", "hosts": ["*.apis.example.com"], "schemes": ["https", "http"], "ports": [443, 8080],
            "addresses": ["10.20.0.0/16"], "dial": "vpce.example.com", "protocol": "auto",
            "tls": {"server_name": "*.example.com", "roots": {"pem_file": "/ca.pem"},
                    "client_certificate": {"certificate_file": "/c.pem", "key_file": "/k.pem"}},
        }, {"name": "other", "hosts": ["x.example.com"], "tls": {"roots": "amazon"}}],
        "identity": {
            "jwt": [{"name": "corp", "issuer": "https://login.example.com/", "audiences": ["api"], "leeway": "60s",
                     "algorithms": ["RS256"], "jwks": {"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB", "use": "sig"}]}},
                    {"name": "web", "issuer": "https://web.example.com/", "audiences": ["api"], "roots": "amazon",
                     "discovery_url": "https://web.example.com/", "types": ["at+jwt"], "authorized_parties": ["app"],
                     "claims": [{"claim": "realm.roles", "any_of": ["staff"]}], "scopes": ["api.use"],
                     "token": {"header": "x-token", "strip": false}}],
            "basic": [{"name": "ops", "users": [{"name": "alice", "hash": "$2b$", "scopes": ["all"], "roles": ["x"]}]}],
        },
        "authorization": {
            "policies": [{"name": "all", "cedar": "permit(principal, action, resource);"}],
            "groups": [{"name": "admins", "members": ["jwt:corp#alice"]}],
            "claims": [{"name": "tenant", "type": "string"}, {"name": "teams", "type": "strings", "path": "x.teams"}],
        },
        "paths": [{"prefix": "/pay", "owners": ["team"], "destinations": ["apis"], "require": {
            "authentication": {"any_of": ["jwt:corp"]}, "authorization": {"scopes": ["pay"]}}}],
        "defaults": {"policies": {"timeouts": {"total": "60s"}}},
        "overrides": {"policies": {"body": {"max": "10MiB"}}},
    })
}

fn full_registration() -> Value {
    json!({
        "apiVersion": "postern/v1", "kind": "Registration", "root": "/orders", "name": "default", "owner": "team",
        "version": 7, "lease_until": "2026-12-31T00:00:00Z", "rewrite": {"prefix": "/v1"},
        "match": {"hosts": ["api.example.com"], "methods": ["GET"], "path": "/orders/{id}",
                  "headers": {"x-api-version": "2", "x-b": "c"}, "query": {"preview": "1"}},
        "destinations": [{"url": "https://a.apis.example.com/prod", "host": "b.apis.example.com", "weight": 90}],
        "policies": {"authentication": {"any_of": ["jwt:corp", "none"], "mode": "shadow"},
                     "authorization": {"scopes": ["read"], "roles": ["x"], "allow": ["10.0.0.0/8"], "deny": ["10.1.0.0/16"],
                                       "policies": ["all"], "cedar": "permit(principal, action, resource);", "mode": "off"},
                     "identity_headers": {"x-user-id": "sub"}, "timeouts": {"connect": "1s", "idle": "250ms"},
                     "body": {"max": 1024}, "path": "raw"},
    })
}

fn full_route() -> Value {
    json!({
        "id": "/orders#default", "root": "/orders", "owner": "team", "match": {"methods": ["GET"]},
        "destinations": [{"url": "https://a.apis.example.com", "host": "a.apis.example.com", "weight": 1, "via": "apis"}],
        "policies": {"path": "strict"}, "origin": {"version": 1, "held_since": 2, "policies": {"path": "strict"}},
        "conditions": [{"type": "Accepted", "status": "True", "reason": "Accepted", "observed_generation": 1,
                        "since": "2026-12-31T00:00:00Z"}],
    })
}

/// What slips and attacks put in the place of a value.
fn odd_values() -> Vec<Value> {
    let mut odd = vec![
        json!(""),
        json!("x"),
        json!("yes"),
        json!("1"),
        json!("/"),
        json!("/a"),
        json!("10MiB"),
        json!("60s"),
        json!("https://x.example.com"),
        json!("webpki"),
        json!("GET"),
        json!("none"),
        json!("*"),
        json!("\u{0}"),
        json!(0),
        json!(1),
        json!(-1),
        json!(1.0),
        json!(1.5),
        json!(65_536),
        json!(u64::MAX),
        json!(1e30),
        json!(true),
        json!([]),
        json!([[]]),
        json!(["x"]),
        json!([1]),
        json!({}),
        json!({"x": "y"}),
        json!({"X": "y", "x": "z"}),
        json!({"pem_file": 1}),
        json!({"webpki": {}}),
        json!({"any_of": []}),
        json!({"a b": "c"}),
    ];
    odd.push(json!("x".repeat(300)));
    odd
}

fn pointers(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, item)| pointers(item, &format!("{at}/{index}"), found));
        }
        Value::Object(fields) => {
            fields.iter().for_each(|(key, field)| pointers(field, &format!("{at}/{}", pointer_token(key)), found));
        }
        _ => {}
    }
}

fn mutate(value: &mut Value, place: &prop::sample::Index, how: u8, what: &prop::sample::Index) {
    let mut places = Vec::new();
    pointers(value, "", &mut places);
    let at = place.get(&places).clone();
    let odd = what.get(&odd_values()).clone();
    let Some((parent, field)) = at.rsplit_once('/') else { return };
    let field = field.replace("~1", "/").replace("~0", "~");
    match (how, value.pointer_mut(parent)) {
        (0, Some(Value::Object(fields))) => drop(fields.remove(&field)),
        (1, Some(Value::Object(fields))) => {
            if let Some(moved) = fields.remove(&field) {
                fields.insert(field.to_uppercase(), moved);
            }
        }
        (2, Some(Value::Object(fields))) => drop(fields.insert("surprise".to_owned(), odd)),
        (3, Some(Value::Object(fields))) => {
            let copy = fields[&field].clone();
            fields.insert(field.to_uppercase(), copy);
        }
        (0, Some(Value::Array(items))) => drop(items.pop()),
        (1, Some(Value::Array(items))) => items.push(odd),
        _ => {
            if let Some(found) = value.pointer_mut(&at) {
                *found = odd;
            }
        }
    }
}

fn agree<T: DeserializeOwned>(value: &Value, checker: &Checker) -> Result<(), TestCaseError> {
    let by_serde = serde_json::from_value::<T>(value.clone());
    let by_schema = checker.problems(value);
    prop_assert_eq!(by_serde.is_ok(), by_schema.is_empty(), "{} {:?} {:?}", value, by_serde.err(), by_schema);
    if let Err(problems) = parse::document::<T>(value, checker) {
        prop_assert!(!problems.0.is_empty());
        for problem in &problems.0 {
            prop_assert!(!problem.message.is_empty());
            let place = value.pointer(&problem.at).is_some();
            let named = matches!(
                problem.kind,
                crate::ProblemKind::UnknownField | crate::ProblemKind::Invalid | crate::ProblemKind::Unsupported
            );
            prop_assert!(place || named, "{} is nowhere in {}", problem.at, value);
        }
    }
    Ok(())
}

type Slip = (prop::sample::Index, u8, prop::sample::Index);

fn slips() -> impl Strategy<Value = Vec<Slip>> {
    prop::collection::vec((any::<prop::sample::Index>(), 0..6_u8, any::<prop::sample::Index>()), 1..4)
}

fn after(mut value: Value, slips: &[Slip]) -> Value {
    slips.iter().for_each(|(place, how, what)| mutate(&mut value, place, *how, what));
    value
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn schema_and_serde_agree_on_boundaries(slips in slips()) {
        agree::<BoundaryDocument>(&after(full_boundary(), &slips), boundary())?;
    }

    #[test]
    fn schema_and_serde_agree_on_registrations(slips in slips()) {
        agree::<Registration>(&after(full_registration(), &slips), registration())?;
    }

    #[test]
    fn schema_and_serde_agree_on_routes(slips in slips()) {
        agree::<Route>(&after(full_route(), &slips), route())?;
    }
}

#[test]
fn documents_with_every_field_are_accepted() {
    assert_eq!(boundary().problems(&full_boundary()), []);
    assert_eq!(registration().problems(&full_registration()), []);
    assert_eq!(route().problems(&full_route()), []);
    for checker in [destination(), issuer(), realm(), layer()] {
        assert!(!checker.problems(&json!([])).is_empty());
    }
}
