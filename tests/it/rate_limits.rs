//! How often requests may come: who is counted with whom, what is told of what was too much, and what changes nothing.

use postern_config::api_key::Pepper;
use postern_tests::{
    Answer, Desk, Origin, Request, Router, Signer, base64url, boundary_with, eventually, run, seconds_from_now,
};
use serde_json::{Value, json};

const PEPPER: [u8; 32] = [b'p'; 32];

fn key(id: &str) -> String {
    format!("pk_{id}_0123456789abcdefABCDEF")
}

fn consumer(name: &str, limit: &str) -> String {
    let digest = Pepper::parse(&base64url(&PEPPER)).unwrap().digest(&key(name)).to_hex();
    format!("{{name: {name}, {limit} keys: [{{id: {name}, digest: '{digest}'}}]}}")
}

struct Scene {
    origin: Origin,
    signer: Signer,
    desk: Desk,
    router: Router,
}

const ROUTES: [(&str, &str); 7] = [
    ("/callers", "{authentication: {any_of: ['jwt:corp', none]}, limits: [{name: slow, rate: 2/h}]}"),
    ("/clients", "{limits: [{name: slow, rate: 2/h, burst: 2, by: client}]}"),
    ("/all", "{limits: [{name: slow, rate: 3/h, burst: 3, by: route}]}"),
    ("/tried", "{limits: [{name: slow, rate: 1/h, by: route, mode: shadow}, {name: never, rate: 1/h, mode: 'off'}]}"),
    ("/both", "{limits: [{name: wide, rate: 4/h, burst: 4, by: route}, {name: narrow, rate: 1/h, by: client}]}"),
    ("/partners", "{authentication: {any_of: ['api_key:partners']}}"),
    ("/orders", "{authentication: {any_of: ['api_key:partners']}, limits: [{name: fast, rate: 100/s, by: route}]}"),
];

fn boundary(port: u16, signer: &Signer, more: &str) -> String {
    let keys = json!({"keys": [signer.jwk()]});
    let consumers =
        [consumer("acme", "limit: gold,"), consumer("press", "limit: gold,"), consumer("free", "")].join(", ");
    boundary_with(
        &[port],
        &format!(
            "identity:
  jwt: [{{name: corp, issuer: 'https://a/', audiences: [api], jwks: {keys}}}]
  api_key:
    - name: partners
      pepper: {}
      limits: [{{name: gold, rate: 3/h, burst: 3}}]
      consumers: [{consumers}]
{more}",
            base64url(&PEPPER)
        ),
    )
}

impl Scene {
    fn new() -> Self {
        Self::with(&ROUTES, "")
    }

    fn with(routes: &[(&str, &str)], more: &str) -> Self {
        let (origin, signer) = (Origin::named("orders"), Signer::ec());
        let port = origin.port();
        let desk = Desk::new();
        std::fs::write(desk.path("boundary.yaml"), boundary(port, &signer, more)).unwrap();
        for (root, policies) in routes {
            desk.route(&root[1..], port, &format!("policies: {policies}"));
        }
        desk.publish();
        let router = Router::start(
            &desk.path("out/merged.json"),
            &[],
            &[("POSTERN_ROUTER_TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")],
        );
        router.until_ready();
        Self { origin, signer, desk, router }
    }

    fn ask(&self, path: &str, client: &str, more: &[(&str, &str)]) -> Answer {
        let request = Request::new("GET", path).header("x-forwarded-for", client);
        self.router.send(&more.iter().fold(request, |request, (name, value)| request.header(name, value)))
    }

    /// How many of five pass.
    fn pass(&self, path: &str, client: &str, more: &[(&str, &str)]) -> usize {
        (0..5).filter(|_| self.ask(path, client, more).status == 200).count()
    }

    /// The line of the access log that is asked for.
    fn line(&self, wanted: impl Fn(&Value) -> bool) -> Value {
        eventually("a line of the log", || self.router.access_log().into_iter().find(&wanted))
    }

    fn bearer(&self, sub: &str) -> String {
        let claims = json!({"iss": "https://a/", "aud": "api", "sub": sub, "exp": seconds_from_now(600)});
        format!("Bearer {}", self.signer.token(&claims))
    }
}

#[test]
fn who_is_too_fast_is_told_when_to_come_back_and_nobody_else_notices() {
    let scene = Scene::new();
    assert_eq!(scene.pass("/clients", "192.0.2.1", &[]), 2);
    let answer = scene.ask("/clients", "192.0.2.1", &[]);
    assert_eq!((answer.status, answer.reason()), (429, Some("rate_limited")));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1_700..=1_800).contains(&seconds), "{seconds}");
    assert!(!answer.text().contains("slow") && !answer.text().contains("2/h"), "{}", answer.text());
    assert_eq!(scene.pass("/clients", "192.0.2.2", &[]), 2);
    assert_eq!(scene.pass("/clients", "2001:db8:1:2::1", &[]), 2);
    assert_eq!(scene.pass("/clients", "2001:db8:1:2:ffff::2", &[]), 0, "one network of 64 bits is one client");
    assert_eq!(scene.pass("/clients", "2001:db8:1:3::1", &[]), 2);
    assert_eq!(scene.origin.received().len(), 8, "what was refused did not arrive");
    let line = scene.line(|line| line["reason"] == "rate_limited");
    assert_eq!(line["detail"], "limit:slow: 2/h is exceeded");
    assert_eq!(line["policy"], "limit:slow");
}

#[test]
fn a_proved_caller_is_counted_by_name_and_others_by_address() {
    let scene = Scene::new();
    let (one, two) = (scene.bearer("u-1"), scene.bearer("u-2"));
    assert_eq!(scene.pass("/callers", "192.0.2.1", &[("authorization", &one)]), 1);
    assert_eq!(scene.pass("/callers", "192.0.2.9", &[("authorization", &one)]), 0, "wherever it calls from");
    // Another token of the same caller is the same caller.
    assert_eq!(scene.pass("/callers", "192.0.2.9", &[("authorization", &scene.bearer("u-1"))]), 0);
    assert_eq!(scene.pass("/callers", "192.0.2.1", &[("authorization", &two)]), 1);
    assert_eq!(scene.pass("/callers", "192.0.2.1", &[]), 1);
    assert_eq!(scene.pass("/callers", "192.0.2.2", &[]), 1);
}

#[test]
fn a_route_can_be_counted_as_a_whole_over_all_connections() {
    let scene = Scene::new();
    let through: usize = std::thread::scope(|scope| {
        let ask = |n: usize| scene.pass("/all", &format!("192.0.2.{n}"), &[]);
        let threads: Vec<_> = (0..6).map(|n| scope.spawn(move || ask(n))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    assert_eq!(through, 3);
}

#[test]
fn a_consumer_has_one_count_over_all_routes_whichever_key_it_uses() {
    let scene = Scene::new();
    let (acme, press, free) = (key("acme"), key("press"), key("free"));
    assert_eq!(scene.pass("/orders", "192.0.2.1", &[("x-api-key", &acme)]), 3);
    assert_eq!(scene.pass("/partners", "192.0.2.2", &[("x-api-key", &acme)]), 0);
    assert_eq!(scene.pass("/partners", "192.0.2.2", &[("x-api-key", &press)]), 3);
    assert_eq!(scene.pass("/partners", "192.0.2.2", &[("x-api-key", &free)]), 5, "no limit is named for it");
}

#[test]
fn every_limit_holds_and_the_later_does_not_give_back_what_the_earlier_counted() {
    let scene = Scene::new();
    assert_eq!(scene.pass("/both", "192.0.2.1", &[]), 1);
    // The route's four are used up: one passed, and three were refused by the narrow one.
    let answer = scene.ask("/both", "192.0.2.2", &[]);
    assert_eq!(answer.status, 429);
    let line = scene.line(|line| line["client"] == "192.0.2.2");
    assert_eq!(line["detail"], "limit:wide: 4/h is exceeded");
}

#[test]
fn what_is_tried_out_refuses_nobody_and_is_told() {
    let scene = Scene::new();
    assert_eq!(scene.pass("/tried", "192.0.2.1", &[]), 5);
    let line = scene.line(|line| !line["shadow_denied"].is_null());
    assert_eq!((line["shadow_denied"].as_str(), line["status"].as_u64()), (Some("limit:slow"), Some(200)));
    let told =
        "postern_policy_decisions_total{layer=\"registration\",kind=\"rate\",mode=\"shadow\",verdict=\"denied\"}";
    eventually("four of five", || (scene.router.metric(told) == 4.0).then_some(()));
}

#[test]
fn a_limit_is_not_forgotten_when_the_table_changes_and_begins_anew_when_it_changes_itself() {
    let scene = Scene::with(&[("/all", "{limits: [{name: slow, rate: 3/h, burst: 3, by: route}]}")], "");
    assert_eq!(scene.pass("/all", "192.0.2.1", &[]), 3);
    let port = scene.origin.port();
    scene.desk.route("new", port, "");
    scene.desk.publish();
    scene.router.until_generation(2);
    assert_eq!(scene.pass("/all", "192.0.2.1", &[]), 0);
    scene.desk.route("all", port, "policies: {limits: [{name: slow, rate: 4/h, burst: 3, by: route}]}");
    scene.desk.publish();
    scene.router.until_generation(3);
    assert_eq!(scene.pass("/all", "192.0.2.1", &[]), 3);
}

#[test]
fn an_override_holds_whatever_a_registration_says() {
    let overrides = "overrides: {policies: {limits: [{name: ceiling, rate: 2/h, burst: 2, by: route}]}}";
    let scene =
        Scene::with(&[("/all", "{limits: [{name: mine, rate: 1000/s, by: route}]}"), ("/open", "{}")], overrides);
    assert_eq!(scene.pass("/all", "192.0.2.1", &[]), 2);
    assert_eq!(scene.pass("/open", "192.0.2.1", &[]), 2);
}

#[test]
fn explain_tells_the_limits_and_counts_nothing() {
    let scene = Scene::new();
    for _ in 0..5 {
        let file = scene.desk.path("out/merged.json").display().to_string();
        let told = run("postern-router", &["explain", &file, "GET https://api.example.com/clients"]).out;
        assert!(told.contains("slow: 2/h of each client, 2 at once; explain does not count"), "{told}");
    }
    assert_eq!(scene.pass("/clients", "192.0.2.1", &[]), 2);
}
