//! What demands say of callers, from documents to verdicts.

mod layers;
mod measure;
mod policies;

use std::net::IpAddr;

use postern_config::Boundary;
use postern_config::check::admit;
use postern_config::document::{BoundaryDocument, Registration};
use serde_json::{Value, json};

use super::compile::RightsCompiler;
use super::*;

/// A boundary with these members besides those that every one has.
fn boundary(more: &Value) -> Result<Boundary, String> {
    let mut document = json!({
        "apiVersion": "postern/v1", "kind": "Boundary", "hosts": ["api.example.com"],
        "destinations": [{"name": "apis", "hosts": ["a.example.com"]}],
        "identity": {
            "jwt": [{"name": "corp", "issuer": "https://a/", "audiences": ["a"], "jwks_url": "https://a/keys"}],
            "basic": [{"name": "ops", "users": []}],
        },
    });
    for (name, value) in more.as_object().unwrap() {
        document[name] = value.clone();
    }
    let document: BoundaryDocument = serde_json::from_value(document).map_err(|error| error.to_string())?;
    Boundary::check(document).map_err(|problems| problems.to_string())
}

/// The rights of a route below `/orders` with that policy of its own.
fn rights(boundary: &Boundary, own: &Value) -> Result<Rights, String> {
    let mut registration = json!({
        "root": "/orders", "owner": "team", "match": {"path": "/orders/{tenant}/{rest*}"},
        "destination": {"url": "https://a.example.com"},
        "policies": {"authentication": {"any_of": ["jwt:corp", "basic:ops"]}},
    });
    if !own.is_null() {
        registration["policies"]["authorization"] = own.clone();
    }
    let registration: Registration = serde_json::from_value(registration).map_err(|error| error.to_string())?;
    let route = admit(boundary, &registration).map_err(|refusals| format!("{refusals:?}"))?;
    RightsCompiler::new(boundary).rights(&route)
}

/// A bearer of a token with these claims.
fn bearer(claims: Value) -> Principal {
    let words = claims["scope"].as_str().unwrap_or_default().split(' ').map(Box::from).collect();
    let name = claims["sub"].as_str().unwrap_or_default().to_owned();
    let principal = Principal::of_token(&name, "jwt:corp".into(), words, claims);
    principal.with_roles_at(&crate::snapshot::ClaimPath(["roles".into()].into_iter().collect()))
}

fn alice() -> Principal {
    bearer(
        json!({"sub": "alice", "iss": "https://a/", "tenant": "t1", "level": 3, "roles": ["admin", "dev"], "scope": "read"}),
    )
}

/// 2026-11-21, a Saturday, at 15:30 UTC.
const SATURDAY: i64 = 1_795_275_000;

fn asked() -> Circumstances<'static> {
    let client: IpAddr = "192.0.2.7".parse().unwrap();
    Circumstances { method: "GET", host: "api.example.com", path: Some("/orders/t1/items/7"), client, now: SATURDAY }
}

/// The words that policies of these tests may use.
fn words() -> Value {
    json!({
        "groups": [{"name": "admins", "members": ["jwt:corp#alice"]}],
        "claims": [{"name": "tenant", "type": "string"}, {"name": "level", "type": "long"},
                   {"name": "teams", "type": "strings", "path": "x.teams"}],
        "policies": [{"name": "everyone", "cedar": "permit(principal, action, resource);"},
                     {"name": "nobody", "cedar": "permit(principal, action, resource) when { context.hour > 23 };"},
                     {"name": "no-deletes", "cedar": "forbid(principal, action == Action::\"DELETE\", resource);"}],
    })
}

/// Whether a caller passes a registration's own policies in Cedar, and what decided.
fn decide(cedar: &str, principal: &Principal, asked: &Circumstances<'_>) -> (bool, String) {
    let boundary = boundary(&json!({"authorization": words()})).unwrap();
    let rights = rights(&boundary, &json!({"cedar": cedar})).unwrap_or_else(|error| panic!("{error}"));
    let verdicts = rights.decide(principal, asked, false);
    let [verdict] = verdicts.as_slice() else { panic!("{verdicts:?}") };
    (verdict.allowed, format!("{verdict} {}", verdict.why))
}
