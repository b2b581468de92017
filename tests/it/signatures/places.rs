//! Whose Host and path a client signs: those it asks the router for, or those that the destination is sent. What cannot
//! be right is answered here, with both values in the log.

use postern_tests::{Answer, HOST};

use super::*;

/// A host that is answered here as well.
const OTHER: &str = "www.api.example.com";

/// Sends what was signed to a host and target of the router's.
fn ask(router: &Router, signed: &Value, host: &str, target: &str) -> Answer {
    let mut request = Request::to_host(text(signed, "method"), host, target);
    for header in signed["headers"].as_array().unwrap() {
        let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
        if !["host", "content-length"].contains(&&*name.to_ascii_lowercase()) {
            request = request.header(name, value);
        }
    }
    router.send(&request)
}

fn signed(url: &str) -> Value {
    let case =
        json!({"name": url, "method": "GET", "url": url, "headers": [], "body": "", "token": null, "presign": false});
    program("sign", &json!([case]))[0].clone()
}

fn is_right(seen: &Received) -> bool {
    program("verify", &json!([request("arrived", seen)]))[0]["ok"] == true
}

fn route(root: &str, port: u16, host: &str, prefix: &str, signed_for: &str, more: &str) -> String {
    format!(
        "root: {root}\nowner: team\ndestination: {{url: 'http://localhost:{port}{prefix}', host: {host}}}\n\
         policies: {{authentication: {{any_of: [iam]{signed_for}}}}}\n{more}"
    )
}

#[test]
fn what_sdks_sign_for_the_router_s_name_verifies_where_the_destination_has_that_name() {
    let origin = recording();
    let port = origin.port();
    let site = Site::new(
        &boundary(port, &format!("{HOST}, {API}")),
        &[
            route("/said", port, HOST, "", ", signed_for: router", ""),
            route("/unsaid", port, HOST, "", "", ""),
            route("/else", port, API, "", "", ""),
            // The destination has a name of the router's, but none of the route's: nobody asks this route for it.
            route("/other", port, HOST, "", "", "match: {hosts: [www.api.example.com]}\n"),
        ],
    );
    let router = Router::serve(&site.merged());
    for root in ["/said", "/unsaid"] {
        let target = format!("{root}/7?b=2&a=%20");
        for host in [HOST, "API.example.com", "api.example.com:443"] {
            let answer = ask(&router, &signed(&format!("https://{HOST}{target}")), host, &target);
            assert_eq!(answer.status, 200, "{host}{target}");
            assert!(is_right(&origin.last()), "{host}{target}");
        }
        let before = origin.received().len();
        for (host, written) in [(OTHER, OTHER), ("api.example.com:8443", "api.example.com:8443")] {
            let answer = ask(&router, &signed(&format!("https://{host}{target}")), host, &target);
            assert_eq!((answer.status, answer.reason()), (403, Some("sigv4_host_mismatch")), "{host}");
            let line = router.logged(answer.header("x-request-id").unwrap());
            let told = format!("signed for the Host {written}, and the destination is sent {HOST}");
            assert_eq!(line["detail"], told.as_str());
        }
        assert_eq!(origin.received().len(), before);
    }
    assert_eq!(ask(&router, &signed(&format!("https://{HOST}/other/1")), OTHER, "/other/1").status, 200);
    assert!(is_right(&origin.last()));
    // A destination with a name of its own is signed for by that name, whatever the router is called.
    let answer = ask(&router, &signed(&format!("https://{API}/else/1")), OTHER, "/else/1");
    assert_eq!(answer.status, 200);
    assert!(is_right(&origin.last()));
}

#[test]
fn what_is_signed_for_the_destination_verifies_there_with_its_stage_and_its_paths() {
    let origin = recording();
    let port = origin.port();
    let here = ", signed_for: destination";
    let site = Site::new(
        &boundary(port, API),
        &[
            route("/orders", port, API, "/prod", here, ""),
            route("/bills", port, API, "", here, "rewrite: {prefix: /v1}\n"),
            route(
                "/items",
                port,
                API,
                "/prod",
                here,
                "match: {path: '/items/{id}'}\nrewrite: {path: '/v2/{id}/item'}\n",
            ),
        ],
    );
    let router = Router::serve(&site.merged());
    for (asked, at) in
        [("/orders/7?x=%2F", "/prod/orders/7?x=%2F"), ("/bills/1", "/v1/1"), ("/items/a%20b", "/prod/v2/a%20b/item")]
    {
        let answer = ask(&router, &signed(&format!("https://{API}{at}")), HOST, asked);
        assert_eq!((answer.status, origin.last().target.as_str()), (200, at));
        assert!(is_right(&origin.last()), "{at}");
    }
    // Who signs what it asks for is told apart by the destination alone.
    assert_eq!(ask(&router, &signed(&format!("https://{HOST}/orders/7")), HOST, "/orders/7").status, 200);
    assert!(!is_right(&origin.last()));
}

#[test]
fn a_path_that_is_changed_behind_its_signature_is_answered_here() {
    let origin = recording();
    let port = origin.port();
    let more = "match: {path: '/orders/{version}/{rest*}'}\nrewrite: {path: '/orders/v2/{rest*}'}\n";
    let site = Site::new(&boundary(port, HOST), &[route("/orders", port, HOST, "", ", signed_for: router", more)]);
    let router = Router::serve(&site.merged());
    let ask = |target: &str| ask(&router, &signed(&format!("https://{HOST}{target}")), HOST, target);
    assert_eq!(ask("/orders/v2/7?a=1").status, 200);
    assert!(is_right(&origin.last()));
    let answer = ask("/orders/v1/7?a=1");
    assert_eq!((answer.status, answer.reason()), (403, Some("sigv4_path_mismatch")));
    let line = router.logged(answer.header("x-request-id").unwrap());
    assert_eq!(line["detail"], "signed for the path /orders/v1/7?a=1, and the destination is sent /orders/v2/7?a=1");
    assert!(!answer.text().contains("/v2/"), "{}", answer.text());
    assert_eq!(origin.received().len(), 1);
}

#[test]
fn where_proof_is_only_tried_out_what_differs_is_told_and_goes_on() {
    let origin = recording();
    let port = origin.port();
    let site =
        Site::new(&boundary(port, HOST), &[route("/a", port, HOST, "", ", signed_for: router, mode: shadow", "")]);
    let router = Router::serve(&site.merged());
    let answer = ask(&router, &signed(&format!("https://{OTHER}/a")), OTHER, "/a");
    assert_eq!(answer.status, 200);
    let line = router.logged(answer.header("x-request-id").unwrap());
    assert_eq!(line["shadow_denied"], "authentication:sigv4_host_mismatch");
    let answer = ask(&router, &signed(&format!("https://{HOST}/a")), HOST, "/a");
    assert_eq!(router.logged(answer.header("x-request-id").unwrap())["shadow_denied"], Value::Null);
}

#[test]
fn a_route_that_no_signature_could_pass_is_refused_with_the_reason() {
    let boundary = boundary(1, &format!("{HOST}, {API}"));
    let (router, said) = (", signed_for: router", "/policies/authentication/signed_for");
    let elsewhere = "match: {hosts: [www.api.example.com]}\n";
    let cases = [
        ("host", said, "does not answer", route("/host", 1, API, "", router, "")),
        ("elsewhere", said, "does not answer", route("/elsewhere", 1, HOST, "", router, elsewhere)),
        ("stage", "/destination/url", "signed_for: destination", route("/stage", 1, HOST, "/prod", router, "")),
        (
            "prefix",
            "/rewrite",
            "signed_for: destination",
            route("/prefix", 1, HOST, "", router, "rewrite: {prefix: /v1}\n"),
        ),
        ("none", said, "is for iam", route("/none", 1, HOST, "", router, "").replace("[iam]", "[none]")),
    ];
    let told = refused(&boundary, &cases.iter().map(|(name, _, _, text)| (*name, text.as_str())).collect::<Vec<_>>());
    for (name, at, words, _) in &cases {
        let why = told(name, at);
        assert!(why.contains(words), "{name}: {why}");
    }
}
