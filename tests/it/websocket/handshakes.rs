//! Who may open one, what is said until both sides have agreed, and what happens when one does not.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use argon2::Argon2;
use argon2::password_hash::PasswordHasher as _;
use postern_tests::websocket::{Echo, Pairs, agreed, asked, handshake};
use postern_tests::{Client, Origin, RawOrigin, Request, Router, Site, basic, boundary_with, registration, run};

use super::{open, site};

#[test]
fn without_the_policy_a_websocket_is_refused_and_nothing_is_dialled() {
    let origin = Origin::named("plain");
    let site = Site::new(
        &boundary_with(&[origin.port()], ""),
        &[
            registration("/plain", origin.port(), ""),
            registration("/off", origin.port(), "policies: {websocket: false}"),
        ],
    );
    let router = Router::serve(&site.merged());
    for path in ["/plain", "/off"] {
        let answer = router.send(&handshake(path));
        assert_eq!((answer.status, answer.reason()), (400, Some("upgrade_not_supported")), "{path}");
    }
    assert_eq!(origin.connections(), 0);
    // Other offers may be declined without a word, and are (RFC 9110 §7.8).
    let asked = Request::new("GET", "/plain").header("connection", "upgrade, http2-settings");
    let asked = asked.header("upgrade", "h2c").header("http2-settings", "AAMAAABkAARAAAAAAAIAAAAA");
    assert_eq!(router.send(&asked).status, 200);
    let sent = origin.last();
    for name in ["connection", "upgrade", "http2-settings"] {
        assert_eq!(sent.header(name), None, "{name}");
    }
}

#[test]
fn with_the_policy_only_a_right_handshake_is_one() {
    let origin = Origin::named("plain");
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let base =
        |method: &str| Request::new(method, "/ws").header("connection", "Upgrade").header("upgrade", "websocket");
    let key = ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let version = ("sec-websocket-version", "13");
    let with = |request: Request, fields: &[(&str, &str)]| {
        fields.iter().fold(request, |request, (name, value)| request.header(name, value))
    };
    for (name, request) in [
        ("POST", with(base("POST"), &[key, version])),
        ("a body", with(base("GET"), &[key, version]).body("x")),
        ("no key", with(base("GET"), &[version])),
        ("two keys", with(base("GET"), &[key, key, version])),
        ("a short key", with(base("GET"), &[("sec-websocket-key", "c2hvcnQ="), version])),
        ("no version", with(base("GET"), &[key])),
        ("another version", with(base("GET"), &[key, ("sec-websocket-version", "8")])),
        ("two offers", with(base("GET"), &[("upgrade", "h2c"), key, version])),
    ] {
        let answer = router.send(&request);
        assert_eq!((answer.status, answer.reason()), (400, Some("upgrade_not_supported")), "{name}");
        assert_eq!(answer.header("sec-websocket-version"), Some("13"), "{name}");
    }
    assert_eq!(origin.connections(), 0);
    // An offer that Connection does not name is none.
    let unnamed = with(Request::new("GET", "/ws").header("upgrade", "websocket"), &[key, version]);
    assert_eq!(router.send(&unnamed).status, 200);
    assert_eq!(origin.last().header("upgrade"), None);
    let h2c = Request::new("GET", "/ws").header("connection", "upgrade").header("upgrade", "h2c");
    assert_eq!(router.send(&h2c).status, 200);
    assert_eq!(origin.last().header("upgrade"), None);
}

#[test]
fn what_the_destination_gets_of_a_handshake_is_written_by_the_router() {
    let heads = Arc::new(Mutex::new(Vec::new()));
    let log = Arc::clone(&heads);
    let origin = RawOrigin::start(move |wire| {
        let head = wire.head();
        let answer = agreed(&head).replace("\r\n\r\n", "\r\nX-Hop: 1\r\nKeep-Alive: 5\r\n\r\n");
        log.lock().unwrap().push(head);
        wire.write(answer.as_bytes());
        wire.until_closed();
    });
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let odd = handshake("/ws/a?b=c").header("x-forwarded-for", "1.2.3.4").header("keep-alive", "5");
    let answer = asked(router.address(), &odd.header("sec-websocket-extensions", "permessage-deflate")).unwrap();
    assert_eq!(answer.status, 101);
    let named = |name: &str| answer.headers.iter().filter(|(known, _)| known == name).count();
    assert_eq!(
        (named("connection"), named("upgrade"), named("keep-alive"), named("x-request-id")),
        (1, 1, 0, 1),
        "{answer:?}"
    );
    assert_eq!((answer.header("content-length"), answer.header("transfer-encoding")), (None, None));
    let head = heads.lock().unwrap().pop().unwrap();
    assert!(head.starts_with("GET /ws/a?b=c HTTP/1.1\r\n"), "{head}");
    for line in ["connection: upgrade", "upgrade: websocket", "x-forwarded-for: 127.0.0.1"] {
        assert_eq!(head.lines().filter(|known| known.eq_ignore_ascii_case(line)).count(), 1, "{line} in {head}");
    }
    for line in ["sec-websocket-version: 13", "sec-websocket-extensions: permessage-deflate"] {
        assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
    }
    let connections = head.lines().filter(|line| line.to_ascii_lowercase().starts_with("connection:")).count();
    assert!(connections == 1 && !head.contains("keep-alive") && !head.contains("1.2.3.4"), "{head}");
}

#[test]
fn no_byte_of_the_client_goes_up_before_the_destination_agreed_and_none_is_lost() {
    let frame = [0x81, 0x82, 0, 0, 0, 0, b'h', b'i'];
    let origin = RawOrigin::start(move |wire| {
        let head = wire.head();
        let early = wire.head_within(Duration::from_millis(300));
        assert_eq!(early, "", "a byte before the 101");
        // The first frame stands in the same piece as the head.
        wire.write(&[agreed(&head).as_bytes(), &[0x82, 1, 7]].concat());
        let came = wire.read(frame.len() as u64);
        wire.write(&[&[0x82, 8][..], &came].concat());
        wire.until_closed();
    });
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let mut client = Client::connect(router.address());
    client.write(&[handshake("/ws").bytes(), frame.to_vec()].concat()).unwrap();
    assert_eq!(client.read_head().unwrap().status, 101);
    let mut got = vec![0; 3 + 2 + frame.len()];
    client.read_exact(&mut got).unwrap();
    assert_eq!(got, [&[0x82, 1, 7, 0x82, 8][..], &frame].concat());
}

#[test]
fn a_101_that_does_not_agree_is_an_error_of_the_destination() {
    for (name, from, to) in [
        ("another key", "Accept: ", "Accept: a"),
        ("no key", "Sec-WebSocket-Accept", "X-Accept"),
        ("another protocol", "Upgrade: websocket", "Upgrade: h2c"),
        ("no protocol", "Upgrade: websocket", "X-Upgrade: websocket"),
        ("no connection", "Connection: Upgrade", "Connection: keep-alive"),
        ("two protocols", "Upgrade: websocket", "Upgrade: websocket\r\nUpgrade: h2c"),
    ] {
        let origin = RawOrigin::start(move |wire| {
            let head = wire.head();
            wire.write(agreed(&head).replacen(from, to, 1).as_bytes());
            wire.until_closed();
        });
        let site = site(origin.port(), "");
        let router = Router::serve(&site.merged());
        let answer = router.send(&handshake("/ws"));
        assert_eq!((answer.status, answer.reason()), (502, Some("destination_protocol")), "{name}");
    }
}

#[test]
fn another_answer_than_101_is_passed_on_and_the_connection_goes_on() {
    let origin = Origin::start(|request| {
        let status = if request.target.ends_with("401") { 401 } else { 200 };
        postern_tests::Reply::Body(status, b"no".to_vec())
    });
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    for (path, status) in [("/ws/200", 200), ("/ws/401", 401), ("/ws/200", 200)] {
        let answer = client.send(&handshake(path));
        assert_eq!((answer.status, answer.text()), (status, "no".to_owned()));
        assert_eq!(answer.header("upgrade"), None);
    }
    // What was sent behind a handshake that came to nothing is not taken for a request.
    let hidden = Request::new("GET", "/ws/hidden").bytes();
    client.write(&[handshake("/ws/200").bytes(), hidden].concat()).unwrap();
    assert_eq!(client.read(false).unwrap().status, 200);
    assert!(client.is_closed());
    assert!(origin.received().iter().all(|request| request.target != "/ws/hidden"));
}

#[test]
fn who_may_not_use_the_route_opens_nothing_on_it() {
    let echo = Echo::start();
    let hash = Argon2::default().hash_password_with_salt(b"right", b"sixteen bytes ok").unwrap();
    let identity = format!("identity: {{basic: [{{name: ops, users: [{{name: alice, hash: '{hash}'}}]}}]}}");
    let policies = ", authentication: {any_of: ['basic:ops']}";
    let boundary = boundary_with(&[echo.port()], &identity);
    let site = Site::new(&boundary, &[registration("/ws", echo.port(), &open(policies))]);
    let router = Router::serve(&site.merged());
    for (request, reason) in [
        (handshake("/ws"), "credentials_missing"),
        (handshake("/ws").header("authorization", &basic("alice", "wrong")), "credentials_invalid"),
    ] {
        let answer = router.send(&request);
        assert_eq!((answer.status, answer.reason()), (401, Some(reason)));
    }
    assert_eq!(router.metric("postern_dials_total"), 0.0);
    let right = handshake("/ws").header("authorization", &basic("alice", "right"));
    assert_eq!(asked(router.address(), &right).unwrap().status, 101);
}

#[test]
fn explain_tells_of_websockets() {
    let pairs = Pairs::start();
    let site = Site::new(
        &boundary_with(&[pairs.port()], ""),
        &[registration("/ws", pairs.port(), &open("")), registration("/plain", pairs.port(), "")],
    );
    let merged = site.merged();
    let explained = |path: &str| {
        let line = format!("GET http://api.example.com{path}");
        let mut arguments = vec!["explain", merged.to_str().unwrap(), &line, "--output", "json"];
        for field in [
            "connection: upgrade",
            "upgrade: websocket",
            "sec-websocket-version: 13",
            "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==",
        ] {
            arguments.extend(["-H", field]);
        }
        let output = run("postern-router", &arguments);
        let value: serde_json::Value = serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"));
        value
    };
    let told = explained("/ws");
    assert!(told["reason"].is_null(), "{told}");
    assert!(told["forwarded"]["headers"].as_array().unwrap().contains(&serde_json::json!(["upgrade", "websocket"])));
    let steps = told["steps"].as_array().unwrap();
    assert!(steps.iter().any(|step| step["stage"] == "upgrade"), "{told}");
    assert_eq!(explained("/plain")["reason"], "upgrade_not_supported");
}
