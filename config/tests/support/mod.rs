//! Documents that tests and benches start from.

#![allow(dead_code, clippy::unwrap_used, reason = "every test uses another part, and fails with the line that unwraps")]

use postern_config::Boundary;
use postern_config::check::admit;
use postern_config::document::{BoundaryDocument, Registration};
use postern_config::merged::{Content, FileKey, Header, Refused, Source, Sources, write};
use postern_config::route::Route;
use postern_config::value::Timestamp;
use postern_config::{parse, schema};
use serde_json::{Value, json};

/// A boundary with every field in use.
pub(crate) const BOUNDARY: &str = r#"
apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com, "*.api.example.com"]
destinations:
  - name: private-apis
    hosts: ["*.apis.internal.example.com", a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com]
    addresses: ["10.20.0.0/16", "fd12:3456::/32"]
    dial: vpce-0abc.execute-api.eu-west-1.vpce.amazonaws.com
    tls: {server_name: "*.execute-api.eu-west-1.amazonaws.com", roots: amazon}
  - name: plain
    hosts: [plain.internal.example.com]
    schemes: [http, https]
    ports: [80, 443, 8080]
identity:
  jwt:
    - name: corp
      issuer: https://login.example.com/
      audiences: [api]
      leeway: 30s
      jwks:
        keys:
          - {kty: OKP, kid: one, crv: Ed25519, x: 11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo}
  basic:
    - name: ops
      users:
        - {name: alice, hash: "$2y$10$abcdefghijklmnopqrstuuN8sVZQZ1xUq9Qn6z8e1m4vC5Yw3kz2S", scopes: [all]}
paths:
  - {prefix: /, owners: [], destinations: []}
  - {prefix: /payments, owners: [team-payments], audiences: [pay], destinations: [private-apis],
     require: {authentication: {any_of: ["jwt:corp"]}, authorization: {scopes: [pay]}}}
defaults: {policies: {timeouts: {total: 60s}, body: {max: 1MiB}}}
overrides: {policies: {timeouts: {connect: 2s}}}
"#;

pub(crate) fn boundary() -> Boundary {
    boundary_of(BOUNDARY)
}

pub(crate) fn boundary_of(text: &str) -> Boundary {
    let value = parse::values(text).unwrap().remove(0);
    Boundary::check(parse::document::<BoundaryDocument>(&value, schema::boundary()).unwrap()).unwrap()
}

pub(crate) fn registration(value: &Value) -> Registration {
    parse::document(value, schema::registration()).unwrap()
}

/// The registration of that number: one of a few usual shapes.
pub(crate) fn numbered(number: usize) -> Value {
    let mut value = json!({
        "root": format!("/team-{}/service-{number:06}", number % 100),
        "owner": format!("team-{}", number % 100),
        "version": number,
        "destination": {"url": format!("https://service-{number}.apis.internal.example.com/prod")},
    });
    match number % 4 {
        1 => value["match"] = json!({"hosts": ["api.example.com"], "methods": ["GET", "POST"]}),
        2 => {
            value["policies"] = json!({
                "authentication": {"any_of": ["jwt:corp"]}, "authorization": {"scopes": ["read", "all"]},
                "identity_headers": {"x-user-id": "sub"}, "timeouts": {"first_byte": "5s"},
            });
            value["rewrite"] = json!({"prefix": "/v1"});
        }
        3 => {
            let root = value["root"].as_str().unwrap().to_owned();
            value["match"] = json!({"path": format!("{root}/items/{{id}}"), "headers": {"x-api-version": "2"}});
        }
        _ => {}
    }
    value
}

pub(crate) fn route(boundary: &Boundary, number: usize) -> Route {
    let mut route = admit(boundary, &registration(&numbered(number))).unwrap();
    route.origin.held_since = 7;
    route
}

pub(crate) fn content(boundary: Boundary, routes: usize) -> Content {
    let mut routes: Vec<Route> = (0..routes).map(|number| route(&boundary, number)).collect();
    routes.sort_by(|a, b| a.id.cmp(&b.id));
    let refused = vec![Refused {
        id: "/pay#x".to_owned(),
        owner: Some("team-x".to_owned()),
        registration: json!({"root": "/pay", "name": "x"}),
        conditions: vec![
            serde_json::from_value(json!({
                "type": "ResolvedRefs", "status": "False", "reason": "DestinationNotAllowed", "at": "/destination/url",
                "message": "no destination of the boundary lists the host evil.example.com",
                "observed_generation": 3, "since": "2026-01-01T00:00:00Z",
            }))
            .unwrap(),
        ],
    }];
    Content { boundary, routes, refused, keys: Vec::new() }
}

pub(crate) fn header() -> Header {
    Header {
        generation: 42,
        previous: Some("sha256:0000000000000000000000000000000000000000000000000000000000000001".parse().unwrap()),
        written_at: Timestamp::from_unix(1_800_000_000),
        sources: Sources {
            boundary: Source { uri: "s3://bucket/key".to_owned(), etag: Some("\"e\"".to_owned()), ..Source::default() },
            registrations: Source {
                uri: "dynamodb://table".to_owned(),
                version: Some(7),
                items: Some(21),
                ..Source::default()
            },
            pinned: None,
        },
    }
}

pub(crate) fn file(routes: usize, key: Option<&FileKey>) -> Vec<u8> {
    write(&header(), &content(boundary(), routes), key).0
}

/// The same text under a digest that fits it: what a writer without the key can do.
pub(crate) fn redigested(text: &str) -> Vec<u8> {
    let at = text.rfind("\n\"digest\": ").unwrap() + 1;
    let body = &text[..at];
    format!("{body}\"digest\": \"{}\"\n}}\n", postern_config::merged::Digest::of(body.as_bytes())).into_bytes()
}
