//! What is remembered, for whom, and how long; and who waits for whose call.

use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_tests::frames::{Http2, reset};
use postern_tests::hpack::Block;
use postern_tests::{Client, Gate, eventually};

use super::*;

/// A policy over all of `/orders` for reading, for whoever the token says.
fn reader(received: &Received) -> Reply {
    let event = told(received);
    policy(event["authorizationToken"].as_str().unwrap(), "Allow", &json!("arn:aws:execute-api:*:*:*/*/GET/orders*"))
}

#[test]
fn one_policy_is_asked_for_once_and_held_against_every_request() {
    let scene = Scene::new(TOKEN, reader);
    for _ in 0..20 {
        assert_eq!(scene.outcome("GET", "/orders", "alice"), passes());
        assert_eq!(scene.outcome("GET", "/orders/1?a=b", "alice"), passes());
        assert_eq!(scene.outcome("POST", "/orders", "alice"), refused(403, "authorizer_denied"));
        assert_eq!(scene.outcome("GET", "/pay", "alice"), refused(403, "authorizer_denied"));
    }
    assert_eq!(scene.calls(), 1);
    assert_eq!(scene.outcome("GET", "/orders", "bob"), passes());
    assert_eq!(scene.calls(), 2);
}

#[test]
fn a_yes_without_a_policy_holds_for_what_was_asked_about() {
    let scene = Scene::new(TOKEN, blueprint);
    for (calls, method, target) in [
        (1, "GET", "/orders"),
        (2, "POST", "/orders"),
        (3, "GET", "/orders?a=1"),
        (4, "GET", "/pay"),
        (4, "GET", "/orders"),
    ] {
        for _ in 0..3 {
            assert_eq!(scene.outcome(method, target, "simple"), passes());
        }
        assert_eq!(scene.calls(), calls, "{method} {target}");
    }
    for _ in 0..3 {
        assert_eq!(scene.outcome("GET", "/orders", "simple no"), refused(403, "authorizer_denied"));
    }
    assert_eq!(scene.calls(), 5, "a no is remembered as well");
}

#[test]
fn nothing_is_remembered_for_longer_than_was_said() {
    let scene = Scene::new(&format!("{TOKEN}, ttl: 0s"), reader);
    for calls in 1..5 {
        assert_eq!(scene.outcome("GET", "/orders", "alice"), passes());
        assert_eq!(scene.calls(), calls);
    }
    let scene = Scene::new(&format!("{TOKEN}, ttl: 300ms"), reader);
    let begun = Instant::now();
    assert_eq!(scene.outcome("GET", "/orders", "alice"), passes());
    eventually("a second call", || {
        assert_eq!(scene.outcome("GET", "/orders", "alice"), passes());
        (scene.calls() > 1).then_some(())
    });
    assert!(begun.elapsed() >= Duration::from_millis(300));
}

#[test]
fn callers_are_never_mixed() {
    let sources = "identity_sources: [{header: x-a}, {header: x-b}]";
    let scene = Scene::new(&format!("speaks: request, payload: '2.0', {sources}"), |received| {
        let who = told(received)["identitySource"].as_array().unwrap().clone();
        let who: Vec<&str> = who.iter().map(|one| one.as_str().unwrap()).collect();
        policy(&who.join("|"), "Allow", &json!("*"))
    });
    let callers = [
        ["ab", "c"],
        ["a", "bc"],
        ["abc", "d"],
        ["a,b", "c"],
        ["a", "b,c"],
        ["a b", "c"],
        ["a", "b c"],
        ["A", "bc"],
        ["c", "ab"],
        ["a:1", "b"],
        ["a", "1:b"],
        ["\"a\"", "b"],
    ];
    let address = scene.router.address();
    std::thread::scope(|scope| {
        for turn in 0..4 {
            for [a, b] in callers {
                scope.spawn(move || {
                    let mut client = Client::connect(address);
                    for round in 0..5 {
                        let request =
                            Request::new("GET", &format!("/orders/{a}{turn}{round}").replace([' ', '"', ':'], "_"));
                        let request = request.header("x-a", a).header("x-b", b).header("x-mark", &format!("{a}|{b}"));
                        assert_eq!(client.send(&request).status, 200, "{a} {b}");
                    }
                });
            }
        }
    });
    let arrived = scene.origin.received();
    assert_eq!(arrived.len(), 4 * 5 * callers.len());
    for one in arrived {
        assert_eq!(one.header("x-user"), one.header("x-mark"));
    }
}

/// An authorizer whose answers wait for a gate.
fn gated(members: &str) -> (Scene, Arc<Gate>) {
    let gate = Gate::closed();
    let own = Arc::clone(&gate);
    let scene = Scene::new(members, move |received| {
        own.pass();
        reader(received)
    });
    (scene, gate)
}

/// Sends a request, and leaves its answer for later.
fn begin(scene: &Scene, path: &str, token: &str) -> Client {
    let mut client = scene.router.client();
    client.write(&Request::new("GET", path).header("authorization", token).bytes()).unwrap();
    client
}

fn in_flight(scene: &Scene, count: usize) {
    eventually("requests under way", || {
        (scene.router.metric("postern_http_server_active_requests") >= count as f64).then_some(())
    });
}

#[test]
fn those_who_ask_the_same_at_once_share_a_call() {
    let (scene, gate) = gated(&format!("{TOKEN}, timeout: 20s"));
    let mut clients: Vec<Client> = (0..6).map(|_| begin(&scene, "/orders", "alice")).collect();
    in_flight(&scene, 6);
    gate.until_waiting(1);
    gate.open();
    for client in &mut clients {
        assert_eq!(client.read(false).unwrap().status, 200);
    }
    assert_eq!((scene.calls(), scene.origin.received().len()), (1, 6));
}

#[test]
fn an_authorizer_that_closes_what_could_be_kept_costs_nobody_an_answer() {
    let scene = Scene::new(&format!("{TOKEN}, ttl: 0s"), |_| {
        let yes = r#"{"isAuthorized": true}"#;
        Reply::RawThenClose(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{yes}", yes.len()).into_bytes())
    });
    let mut client = scene.router.client();
    for _ in 0..100 {
        let answer = client.send(&Request::new("GET", "/orders").header("authorization", "alice"));
        assert_eq!(outcome(&answer), passes());
    }
}

#[test]
fn when_whoever_calls_goes_away_another_one_calls() {
    let (scene, gate) = gated(&format!("{TOKEN}, timeout: 20s"));
    let mut leaving = Http2::connect(scene.router.address());
    let stream = leaving.ask(&Block::request("GET", "/orders").field("authorization", "alice"), None);
    gate.until_waiting(1);
    let mut staying = begin(&scene, "/orders", "alice");
    in_flight(&scene, 2);
    leaving.write(&reset(stream, 8)).unwrap();
    gate.until_waiting(2);
    gate.open();
    assert_eq!(staying.read(false).unwrap().status, 200);
    assert_eq!(scene.authorizer.connections(), 2);
}

#[test]
fn a_slow_authorizer_holds_nobody_else_up_and_its_calls_are_bounded() {
    let (scene, gate) = gated(&format!("{TOKEN}, timeout: 20s, max_in_flight: 2"));
    let mut waiting: Vec<Client> = ["alice", "bob"].map(|token| begin(&scene, "/orders", token)).into();
    gate.until_waiting(2);
    assert_eq!(scene.router.get("/open").status, 200);
    let third = scene.get("carol");
    assert_eq!(outcome(&third), refused(503, "authorizer_unavailable"));
    assert_eq!(third.header("retry-after"), Some("1"));
    gate.open();
    for client in &mut waiting {
        assert_eq!(client.read(false).unwrap().status, 200);
    }
    assert_eq!(scene.outcome("GET", "/orders", "carol"), passes());
}

#[test]
fn a_changed_authorizer_is_another_one_also_while_it_is_asked() {
    let (mut scene, gate) = gated(&format!("{TOKEN}, timeout: 20s"));
    let mut early = begin(&scene, "/orders", "alice");
    gate.until_waiting(1);
    scene.change(&format!("{TOKEN}, timeout: 19s"));
    // The same caller, asked of the new one: neither shared nor taken from the old one's answer.
    let mut late = begin(&scene, "/orders", "alice");
    gate.until_waiting(2);
    gate.open();
    assert_eq!((early.read(false).unwrap().status, late.read(false).unwrap().status), (200, 200));
    assert_eq!(scene.calls(), 2);
    scene.change(&format!("{TOKEN}, timeout: 19s"));
    assert_eq!(scene.outcome("GET", "/orders", "alice"), passes());
    assert_eq!(scene.calls(), 2, "a generation in which it is the same costs no call");
    scene.change(&format!("{TOKEN}, timeout: 18s"));
    assert_eq!(scene.outcome("GET", "/orders", "alice"), passes());
    assert_eq!(scene.calls(), 3);
}
