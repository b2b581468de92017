//! What a destination sees of a request, and a client of its answer.

use postern_tests::{Origin, Reply, Request, Router, Site, boundary_with, registration};

fn site(origin: &Origin, more: &str) -> Site {
    Site::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), more)])
}

#[test]
fn a_request_is_forwarded_with_its_raw_target_and_the_destinations_host() {
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let router = Router::serve(&site.merged());
    let answer = router.get("/orders/%7Ea/b?x=%2F&y=a+b");
    assert_eq!((answer.status, answer.text().as_str()), (200, "orders GET /orders/%7Ea/b?x=%2F&y=a+b"));
    let seen = origin.last();
    assert_eq!(seen.header("host"), Some(&*format!("localhost:{}", origin.port())));
    assert_eq!(seen.header("x-forwarded-host"), Some("api.example.com"));
    assert_eq!(seen.header("x-request-id"), answer.header("x-request-id"));
}

#[test]
fn headers_that_choose_or_claim_something_never_pass() {
    let origin = Origin::named("orders");
    let site = site(&origin, "policies: {identity_headers: {x-user-id: sub}}");
    let router = Router::serve(&site.merged());
    let names = [
        "x-apigw-api-id", "X-HTTP-Method-Override", "x-forwarded-for", "X-Forwarded-Prefix", "forwarded", "x-real-ip",
        "x-original-url", "x-rewrite-url", "x-envoy-original-path", "x-amzn-oidc-identity", "x-user-id",
        "proxy-connection", "keep-alive", "te", "upgrade", "http2-settings", "x-hop", "proxy-authorization",
    ];
    let mut request = Request::new("GET", "/orders/1").header("connection", "x-hop, x-forwarded-host");
    for name in names {
        request = request.header(name, "forged");
    }
    assert_eq!(router.send(&request.header("x-kept", "1")).status, 200);
    let seen = origin.last();
    for (name, value) in &seen.headers {
        assert!(!value.contains("forged"), "{name}: {value}");
    }
    assert_eq!(seen.all("x-forwarded-for"), ["127.0.0.1"]);
    assert_eq!(seen.header("x-forwarded-host"), Some("api.example.com"));
    assert_eq!(seen.header("x-kept"), Some("1"));
}

#[test]
fn bodies_stream_both_ways_and_connections_are_kept() {
    let origin = Origin::start(|request| Reply::Body(200, request.body.clone()));
    let site = site(&origin, "");
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    for size in [0, 1, 65_536, 3 << 20] {
        let body: Vec<u8> = (0..size).map(|index| u8::try_from(index % 251).unwrap()).collect();
        let answer = client.send(&Request::new("POST", "/orders").body(body.clone()));
        assert_eq!(answer.status, 200);
        assert!(answer.body == body, "{size} bytes came back as {}", answer.body.len());
    }
    assert_eq!(origin.connections(), 1);
}
