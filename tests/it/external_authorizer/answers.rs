//! What an authorizer may say, and what it may do instead.

use std::time::Duration;

use postern_tests::run;

use super::*;

#[test]
fn a_function_answers_as_it_does_for_api_gateway() {
    let scene = Scene::new(TOKEN, blueprint);
    let arrived =
        scene.router.passes(&scene.origin, &Request::new("GET", "/orders/7?a=1").header("Authorization", "allow"));
    let seen = ["x-user", "x-tenant", "authorization"].map(|name| arrived.header(name));
    assert_eq!(seen, [Some("user"), Some("of user"), Some("allow")]);
    let call = scene.authorizer.last();
    assert_eq!((call.method.as_str(), call.target.as_str()), ("POST", "/authorize"));
    assert_eq!(call.header("content-type"), Some("application/json"));
    assert_eq!(call.header("x-request-id"), arrived.header("x-request-id"));
    let arn = "arn:aws:execute-api:postern:postern:postern/postern/GET/orders/7";
    assert_eq!(told(&call), json!({"type": "TOKEN", "authorizationToken": "allow", "methodArn": arn}));

    assert_eq!(scene.outcome("GET", "/orders", "deny"), refused(403, "authorizer_denied"));
    assert_eq!(scene.outcome("GET", "/orders", "simple no"), refused(403, "authorizer_denied"));
    let unauthorized = scene.get("unauthorized");
    assert_eq!(outcome(&unauthorized), refused(401, "credentials_invalid"));
    assert_eq!(unauthorized.header("www-authenticate"), Some("Bearer realm=\"postern\""));
    assert_eq!(scene.outcome("GET", "/orders", "else"), refused(503, "authorizer_unavailable"));
    assert_eq!(scene.origin.received().len(), 1, "nobody else came through");
    let arrived = scene.router.passes(&scene.origin, &Request::new("GET", "/orders").header("authorization", "simple"));
    assert_eq!((arrived.header("x-user"), arrived.header("x-tenant")), (None, None));
}

#[test]
fn what_is_missing_is_refused_without_a_call() {
    let scene = Scene::new(TOKEN, blueprint);
    for request in [
        Request::new("GET", "/orders"),
        Request::new("GET", "/orders?authorization=allow").header("x-authorization", "allow"),
        Request::new("GET", "/orders").header("authorization", ""),
    ] {
        assert_eq!(scene.router.refuses(&scene.origin, &request), "credentials_missing");
    }
    let twice = Request::new("GET", "/orders").header("authorization", "allow").header("Authorization", "allow");
    assert_eq!(scene.router.refuses(&scene.origin, &twice), "credentials_invalid");
    assert_eq!(scene.router.get("/either").status, 200);
    assert_eq!(scene.calls(), 0);
    assert_eq!(scene.outcome("GET", "/either", "deny"), refused(403, "authorizer_denied"), "no is not nobody");
}

/// An authorizer that does what its token says.
fn misbehave(received: &Received) -> Reply {
    let yes = r#"{"isAuthorized": true}"#;
    match told(received)["authorizationToken"].as_str().unwrap() {
        "500" => Reply::Body(500, yes.into()),
        "503" => Reply::Body(503, yes.into()),
        "429" => Reply::Body(429, yes.into()),
        "201" => Reply::Body(201, yes.into()),
        "401" => Reply::Body(401, yes.into()),
        "404" => Reply::Body(404, yes.into()),
        "redirect" => Reply::Raw(b"HTTP/1.1 302 Found\r\nlocation: /yes\r\ncontent-length: 0\r\n\r\n".to_vec()),
        "html" => Reply::ok("<html><body>Sign in</body></html>"),
        "empty" => Reply::ok(""),
        "no content" => Reply::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        "twice" => Reply::ok(r#"{"isAuthorized": false, "isAuthorized": true}"#),
        "large" => {
            Reply::ok(format!("{{\"isAuthorized\": true, \"context\": {{\"a\": \"{}\"}}}}", "a".repeat(10_000_000)))
        }
        "padded" => Reply::ok(format!("{yes}{}", " ".repeat(64 * 1024))),
        "truncated" => Reply::RawThenClose(format!("HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\n{yes}").into_bytes()),
        "half a chunk" => Reply::RawThenClose(
            format!("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n{:x}\r\n{yes}\r\n", yes.len()).into_bytes(),
        ),
        "cut in the head" => Reply::RawThenClose(b"HTTP/1.1 200 OK\r\ncontent-le".to_vec()),
        "cut" => Reply::RawThenClose(Vec::new()),
        "garbage" => Reply::RawThenClose(b"\x16\x03\x01\x02\x00 this is no answer\r\n\r\n".to_vec()),
        "two lengths" => Reply::RawThenClose(
            format!("HTTP/1.1 200 OK\r\ncontent-length: 22\r\ncontent-length: 9\r\n\r\n{yes}").into_bytes(),
        ),
        "upgrade" => {
            Reply::Raw(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n".to_vec())
        }
        "late" => Reply::After(Duration::from_secs(3), Box::new(Reply::ok(yes))),
        _ => Reply::ok(yes),
    }
}

#[test]
fn what_is_no_answer_lets_nobody_pass_and_is_not_remembered() {
    let scene = Scene::new(&format!("{TOKEN}, timeout: 500ms"), misbehave);
    let (unavailable, invalid) = ("authorizer_unavailable", "authorizer_answer_invalid");
    for (token, reason) in [
        ("500", unavailable),
        ("503", unavailable),
        ("429", unavailable),
        ("201", invalid),
        ("401", invalid),
        ("404", invalid),
        ("redirect", invalid),
        ("html", invalid),
        ("empty", invalid),
        ("no content", invalid),
        ("twice", invalid),
        ("large", invalid),
        ("padded", invalid),
        ("truncated", unavailable),
        ("half a chunk", unavailable),
        ("cut in the head", unavailable),
        ("cut", unavailable),
        ("garbage", invalid),
        ("two lengths", invalid),
        ("upgrade", invalid),
        ("late", unavailable),
    ] {
        let before = scene.calls();
        for _ in 0..2 {
            let answer = scene.get(token);
            assert_eq!(outcome(&answer), refused(503, reason), "{token}: {}", answer.text());
            assert!(answer.header("retry-after").is_some() && answer.header("www-authenticate").is_none(), "{token}");
            let detail = scene.router.logged(answer.header("x-request-id").unwrap())["detail"].to_string();
            assert!(detail.contains("external:legacy: "), "{token}: {detail}");
        }
        // What is late is noted when it has been answered.
        assert!(token == "late" || scene.calls() >= before + 2, "{token} was remembered");
    }
    assert_eq!(scene.origin.received().len(), 0);
    assert_eq!(scene.outcome("GET", "/orders", "well"), passes());
}

#[test]
fn a_context_s_header_is_the_authorizer_s_or_is_not_there() {
    let scene = Scene::new(TOKEN, |received| {
        let tenant = match told(received)["authorizationToken"].as_str().unwrap() {
            "line" => json!("a\r\nx-admin: 1"),
            "list" => json!(["a"]),
            "object" => json!({"a": "b"}),
            "blank" => json!(" admin"),
            "commas" => json!("a, b"),
            "number" => json!(7),
            "long" => json!("x".repeat(7_000)),
            "too long" => json!("x".repeat(9_000)),
            _ => Value::Null,
        };
        Reply::ok(json!({"isAuthorized": true, "context": {"tenant": tenant}}).to_string())
    });
    let long = "x".repeat(7_000);
    for (token, expected) in [
        ("line", None),
        ("list", None),
        ("object", None),
        ("blank", None),
        ("none", None),
        ("commas", Some("a, b")),
        ("number", Some("7")),
        ("long", Some(long.as_str())),
    ] {
        let request = Request::new("GET", "/orders").header("authorization", token).header("x-tenant", "forged");
        let arrived =
            scene.router.passes(&scene.origin, &request.header("X-Tenant", "forged").header("x-user", "root"));
        assert_eq!(arrived.all("x-tenant"), expected.into_iter().collect::<Vec<_>>(), "{token}");
        assert_eq!((arrived.header("x-user"), arrived.header("x-admin")), (None, None));
    }
    assert_eq!(scene.outcome("GET", "/orders", "too long"), refused(503, "authorizer_answer_invalid"));
}

#[test]
fn a_request_authorizer_sees_what_would_arrive_and_its_policy_holds_for_the_path_as_it_was_matched() {
    let sources = "identity_sources: [{header: x-key}, {query: t}, {cookie: sid}]";
    let scene = Scene::new(&format!("speaks: request, payload: '2.0', {sources}"), |received| {
        let arn = |path: &str| json!(format!("arn:aws:execute-api:*:*:*/*/GET/{path}"));
        policy("u", "Allow", &json!([arn("orders/caf%C3%A9"), arn("orders/a:b*c"), told(received)["routeArn"]]))
    });
    let ask = |target: &str| {
        let request = Request::new("GET", target).header("x-key", "k").header("cookie", "a=b; sid=s");
        scene
            .router
            .send(&request.header("x-tenant", "forged").header("x-forwarded-for", "203.0.113.1").header("via", "x"))
    };
    assert_eq!(outcome(&ask("/orders/first?t=1&u=2")), passes());
    let event = told(&scene.authorizer.last());
    assert_eq!(event["identitySource"], json!(["k", "1", "s"]));
    assert_eq!((&event["rawPath"], &event["rawQueryString"]), (&json!("/orders/first"), &json!("t=1&u=2")));
    assert_eq!(event["headers"], json!({"host": "api.example.com", "via": "x", "x-key": "k"}));
    assert_eq!(event["requestContext"]["http"]["sourceIp"], json!("127.0.0.1"));
    // What proves the caller goes no further, the rest does.
    let arrived = scene.origin.last();
    assert_eq!(
        (arrived.target.as_str(), arrived.header("cookie"), arrived.header("x-key")),
        ("/orders/first?u=2", Some("a=b"), None)
    );
    for (target, expected) in [
        ("/orders/caf%C3%A9?t=1", passes()),
        ("/orders/caf%c3%a9?t=1", passes()),
        ("/orders/a:bXc?t=1", passes()),
        ("/orders/a:b*c?t=1", passes()),
        // One path in two spellings, and a star of the client's is no star of the policy's.
        ("/orders/%2A?t=1", refused(403, "authorizer_denied")),
        ("/orders/firs%74?t=1", passes()),
        ("/orders/*?t=1", refused(403, "authorizer_denied")),
        ("/orders/first/?t=1", refused(403, "authorizer_denied")),
        ("/orders/other?t=1", refused(403, "authorizer_denied")),
        ("/raw/a%2f..%2forders/first?t=1", refused(400, "path_ambiguous")),
    ] {
        assert_eq!(outcome(&ask(target)), expected, "{target}");
    }
    assert_eq!(scene.calls(), 1, "one policy for all of them");
}

#[test]
fn a_plain_authorizer_says_yes_or_no() {
    let members = "speaks: plain, identity_sources: [{cookie: sid}], headers: [accept], copy: [x-who]";
    let scene = Scene::new(members, |received| match received.header("cookie") {
        Some("sid=good") => Reply::Raw(b"HTTP/1.1 200 OK\r\nx-who: alice\r\ncontent-length: 2\r\n\r\nno".to_vec()),
        Some("sid=out") => Reply::Body(401, Vec::new()),
        Some("sid=bad") => Reply::Body(403, Vec::new()),
        _ => {
            Reply::Raw(b"HTTP/1.1 302 Found\r\nlocation: http://localhost/login\r\ncontent-length: 0\r\n\r\n".to_vec())
        }
    });
    let ask = |sid: &str| {
        let request = Request::new("DELETE", "/orders?x=1").header("cookie", &format!("a=b; sid={sid}"));
        scene.router.send(&request.header("accept", "c").header("x-other", "o"))
    };
    assert_eq!(outcome(&ask("good")), passes());
    let call = scene.authorizer.last();
    let seen =
        ["x-forwarded-method", "x-forwarded-uri", "x-forwarded-for", "accept", "x-other"].map(|name| call.header(name));
    assert_eq!(seen, [Some("DELETE"), Some("/orders?x=1"), Some("127.0.0.1"), Some("c"), None]);
    assert_eq!((call.method.as_str(), call.body.len()), ("GET", 0));
    let out = ask("out");
    assert_eq!(outcome(&out), refused(401, "credentials_invalid"));
    assert_eq!(out.header("www-authenticate"), Some("External realm=\"legacy\""));
    assert_eq!(outcome(&ask("bad")), refused(403, "authorizer_denied"));
    assert_eq!(outcome(&ask("else")), refused(503, "authorizer_answer_invalid"));
}

#[test]
fn where_it_is_tried_out_nobody_is_refused_and_nobody_is_known_who_is_not() {
    let scene = Scene::new(TOKEN, blueprint);
    for (token, user) in [("allow", Some("user")), ("deny", None), ("unauthorized", None), ("else", None)] {
        let answer = scene.ask("GET", "/tried", token);
        assert_eq!(answer.status, 200, "{token}");
        assert_eq!(scene.origin.last().header("x-user"), user, "{token}");
    }
    assert_eq!(scene.router.get("/tried").status, 200);
}

#[test]
fn explain_does_not_ask_and_a_credential_is_written_down_nowhere() {
    let scene = Scene::new(TOKEN, blueprint);
    let secret = "canary-4711-secret";
    let answers = [scene.get(secret), scene.get("allow"), scene.ask("GET", "/tried", secret)];
    for answer in &answers {
        let line = scene.router.logged(answer.header("x-request-id").unwrap()).to_string();
        assert!(!line.contains(secret), "{line}");
    }
    let calls = scene.calls();
    let merged = scene.site.merged();
    let arguments = ["explain", merged.to_str().unwrap(), "GET http://api.example.com/orders", "-H"];
    let explained = run("postern-router", &[&arguments[..], &[&format!("authorization: {secret}")]].concat());
    assert!(explained.code == 0 && explained.out.contains("explain does not ask it"), "{}", explained.out);
    let ambiguous = ["explain", merged.to_str().unwrap(), "GET http://api.example.com/raw/a%2fb", "-H"];
    let explained = run("postern-router", &[&ambiguous[..], &["authorization: allow"]].concat());
    assert!(explained.code == 1 && explained.out.contains("path_ambiguous"), "{}", explained.out);
    assert_eq!(scene.calls(), calls);
    let everywhere =
        [scene.router.diagnostics(), scene.router.admin("/metrics").text(), scene.router.snapshot().to_string()];
    assert!(everywhere.iter().all(|text| !text.contains(secret)));
}
