//! Authorizers that are asked over HTTP: who passes, who does not, and what is never taken for a yes.
//!
//! `answers` has what an authorizer may say and do, `memory` what is remembered of it, `reach` where it may be.

mod answers;
mod memory;
mod reach;

use postern_tests::{Answer, Origin, Received, Reply, Request, Router, Site, boundary_with, registration};
use serde_json::{Value, json};

/// Behind every route of a scene that has one.
const POLICIES: &str =
    "{authentication: {any_of: ['external:legacy']}, identity_headers: {x-user: sub, x-tenant: context.tenant}}";

/// An authorizer, a router with one serving thread, and what lies behind it.
struct Scene {
    origin: Origin,
    authorizer: Origin,
    router: Router,
    site: Site,
}

impl Scene {
    /// An authorizer with these members, which answers as `script` says.
    fn new(members: &str, script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        let (origin, authorizer) = (Origin::named("orders"), Origin::start(script));
        let (boundary, routes) = documents(&origin, authorizer.port(), members);
        let site = Site::new(&boundary, &routes);
        let router = Router::start(&site.merged(), &["--workers", "1"], &[]);
        router.until_ready();
        Self { origin, authorizer, router, site }
    }

    fn ask(&self, method: &str, path: &str, token: &str) -> Answer {
        self.router.send(&Request::new(method, path).header("authorization", token))
    }

    fn get(&self, token: &str) -> Answer {
        self.ask("GET", "/orders", token)
    }

    /// What came of a request: its status, and the reason where the router answered.
    fn outcome(&self, method: &str, path: &str, token: &str) -> (u16, String) {
        outcome(&self.ask(method, path, token))
    }

    fn calls(&self) -> usize {
        self.authorizer.received().len()
    }

    /// Replaces the authorizer's members, and waits until that is served.
    fn change(&mut self, members: &str) {
        let (boundary, routes) = documents(&self.origin, self.authorizer.port(), members);
        self.site.publish(&boundary, &routes);
        self.router.until_generation(self.site.generation());
    }
}

fn outcome(answer: &Answer) -> (u16, String) {
    (answer.status, answer.reason().unwrap_or_default().to_owned())
}

fn refused(status: u16, reason: &str) -> (u16, String) {
    (status, reason.to_owned())
}

fn passes() -> (u16, String) {
    (200, String::new())
}

/// `members` begin with `speaks` and `identity_sources`.
fn documents(origin: &Origin, authorizer: u16, members: &str) -> (String, Vec<String>) {
    let port = origin.port();
    let identity = format!(
        "identity: {{external: [{{name: legacy, url: 'http://localhost:{authorizer}/authorize', {members}}}]}}\n"
    );
    let raw = POLICIES.replace("{authentication", "{path: raw, authentication");
    let routes = [
        ("/orders", POLICIES.to_owned()),
        ("/pay", POLICIES.to_owned()),
        ("/raw", raw),
        ("/tried", POLICIES.replace("'external:legacy']", "'external:legacy'], mode: shadow")),
        ("/either", POLICIES.replace("'external:legacy'", "none, 'external:legacy'")),
        ("/open", "{}".to_owned()),
    ];
    let routes = routes.map(|(root, policies)| registration(root, port, &format!("policies: {policies}")));
    (boundary_with(&[port, authorizer], &identity), routes.to_vec())
}

const TOKEN: &str = "speaks: token, identity_sources: [{header: authorization}]";

/// What a request told an authorizer.
fn told(received: &Received) -> Value {
    serde_json::from_slice(&received.body).unwrap()
}

/// A policy about these resources, as functions make them.
fn policy(principal: &str, effect: &str, resource: &Value) -> Reply {
    Reply::ok(
        json!({
            "principalId": principal,
            "policyDocument": {
                "Version": "2012-10-17",
                "Statement": [{"Action": "execute-api:Invoke", "Effect": effect, "Resource": resource}],
            },
            "context": {"tenant": format!("of {principal}")},
        })
        .to_string(),
    )
}

/// The function of the manual's example: the token says what becomes of it.
fn blueprint(received: &Received) -> Reply {
    let event = told(received);
    match event["authorizationToken"].as_str().unwrap() {
        "allow" => policy("user", "Allow", &event["methodArn"]),
        "deny" => policy("user", "Deny", &event["methodArn"]),
        "unauthorized" => Reply::ok(r#"{"errorMessage": "Unauthorized", "errorType": "Error", "trace": []}"#),
        "simple" => Reply::ok(r#"{"isAuthorized": true, "context": {"exampleKey": "exampleValue"}}"#),
        "simple no" => Reply::ok(r#"{"isAuthorized": false}"#),
        _ => Reply::ok(r#"{"errorMessage": "Invalid token", "errorType": "Error", "trace": []}"#),
    }
}
