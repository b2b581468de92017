//! What authorizers are told, what their answers mean, and what is remembered of them.

mod answers;
mod asked;
mod inputs;
mod remembered;

use std::net::Ipv4Addr;
use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

/// Thu, 12 Mar 2020 19:03:58 GMT.
const NOW: i64 = 1_584_039_838;

/// An authorizer with more members, on a route to an API.
fn external(members: &Value) -> External {
    let mut document = json!({
        "name": "legacy", "url": "https://auth.example.com/authorize", "speaks": "token",
        "identity_sources": [{"header": "authorization"}],
    });
    document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
    let destination = Destination::for_test(("auth.example.com", 443), "auth.example.com", None, &[], false);
    let authorizer = Authorizer::compile(&serde_json::from_value(document).unwrap(), destination).unwrap();
    let host = "abcdef1234.execute-api.us-east-1.amazonaws.com";
    let destination = Destination::for_test((host, 443), host, None, &[], false);
    let targets = [Target { destination, prefix: "/prod".into(), weight: 1, breaker: None }];
    External::on(Arc::new(authorizer), &targets)
}

/// A head of these lines.
fn head(lines: &[&str]) -> RequestHead {
    RequestHead::parse(format!("{}\r\n\r\n", lines.join("\r\n")).as_bytes()).unwrap()
}

/// A question about a head whose path is canonical.
fn question(head: &RequestHead) -> Question<'_> {
    let about = Circumstances {
        method: head.method().as_str(),
        host: "api.example.com",
        path: Some(head.path()),
        client: Ipv4Addr::new(192, 0, 2, 7).into(),
        now: NOW,
    };
    Question { head, about, scheme: "https", id: "0123456789abcdef" }
}
