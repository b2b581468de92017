//! HTTP/2 on either side of the router, or on both: the same requests and answers as over HTTP/1.

use std::sync::Arc;
use std::time::Duration;

use postern_tests::frames::Http2;
use postern_tests::hpack::Block;
use postern_tests::{
    Gate, HOST, Http2Origin, Message, Origin, Reply, Request, Router, Site, boundary_with, over_http2, registration,
};

fn site(port: u16, protocol: &str) -> Site {
    let boundary = boundary_with(&[port], "").replace("addresses:", &format!("protocol: {protocol}, addresses:"));
    Site::new(&boundary, &[registration("/", port, "policies: {identity_headers: {x-user: sub}}")])
}

fn large() -> Vec<u8> {
    (0..10_000_000_u32).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

/// A destination of every kind of answer, by path.
fn answer(request: &Message) -> Message {
    let path = request.start.split_once("localhost").unwrap().1;
    let path = path.split_once('/').unwrap().1;
    match path {
        "large" | "both" => Message::answer(200, large()),
        "204" => Message::answer(204, ""),
        "304" => Message::answer(304, "").header("etag", "\"a\""),
        "head" => Message::answer(200, "").header("content-length", "5"),
        "trailers" => {
            let answer = Message::answer(200, "body").trailer("x-sum", "1");
            answer.trailer("x-postern-reason", "forged").trailer("x-request-id", "forged")
        }
        "early" => Message::answer(403, "no"),
        _ => Message::answer(200, request.body.clone()).header("x-answer", "1").header("alt-svc", "h2=\":1\""),
    }
}

#[test]
fn a_client_of_http1_reaches_a_destination_of_http2() {
    let origin = Http2Origin::start(answer);
    let site = site(origin.port(), "h2c");
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    let answer = client.send(&Request::new("GET", "/a?b=%2F").header("te", "trailers").header("x-kept", "1"));
    assert_eq!((answer.status, answer.header("x-answer"), answer.header("alt-svc")), (200, Some("1"), None));
    let seen = origin.last();
    assert_eq!(seen.start, format!("GET http://localhost:{}/a?b=%2F", origin.port()));
    assert_eq!((seen.field("x-kept"), seen.field("x-forwarded-host")), (Some("1"), Some(HOST)));
    assert_eq!((seen.field("te"), seen.field("host"), seen.field("connection")), (None, None, None));

    for size in [1, 65_536, 3 << 20] {
        let body = large()[..size].to_vec();
        let answer = client.send(&Request::new("POST", "/echo").body(body.clone()));
        assert!(answer.status == 200 && answer.body == body, "{size}");
        assert_eq!(origin.last().field("content-length"), Some(&*size.to_string()));
    }
    assert!(client.send(&Request::new("GET", "/large")).body == large());
    for (method, path, status) in [("GET", "/204", 204), ("GET", "/304", 304), ("HEAD", "/head", 200)] {
        let answer = client.send(&Request::new(method, path));
        assert_eq!((answer.status, answer.body.len()), (status, 0), "{path}");
    }
    assert_eq!(client.send(&Request::new("HEAD", "/head")).header("content-length"), Some("5"));
    let answer = client.send(&Request::new("GET", "/trailers"));
    assert_eq!((answer.text().as_str(), answer.header("x-sum")), ("body", None));
    let answer = router.send(&Request::new("POST", "/early").body(large()[..1_000_000].to_vec()));
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));

    // A body of unknown length.
    let head = format!("POST /echo HTTP/1.1\r\nhost: {HOST}\r\ntransfer-encoding: chunked\r\n\r\n");
    client.write(head.as_bytes()).unwrap();
    client.write(b"5\r\nhello\r\n0\r\nx-user: root\r\n\r\n").unwrap();
    assert_eq!(client.read(false).unwrap().text(), "hello");
    let seen = origin.last();
    assert_eq!((&*seen.body, seen.field("content-length"), seen.trailers.len()), (&b"hello"[..], None, 0));
    assert!(origin.connections() <= 4, "{} connections", origin.connections());
}

#[test]
fn a_client_of_http2_reaches_a_destination_of_http1() {
    let origin = Origin::start(|request| match &*request.target {
        "/204" => Reply::Raw(b"HTTP/1.1 204 No Content\r\n\r\n".to_vec()),
        "/304" => Reply::Raw(b"HTTP/1.1 304 Not Modified\r\ncontent-length: 7\r\n\r\n".to_vec()),
        "/head" => Reply::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n".to_vec()),
        "/large" => Reply::Body(200, large()),
        _ => Reply::Body(200, request.body.clone()),
    });
    let site = site(origin.port(), "http1");
    let router = Router::serve(&site.merged());
    let requests = vec![
        Message::request("GET /a?b=%2F").header("cookie", "a=1").header("cookie", "b=2").header("te", "trailers"),
        Message::request("POST /echo").header("content-length", "5").body("hello"),
        Message::request("POST /echo").body(large()[..3 << 20].to_vec()).trailer("x-user", "root"),
        Message::request("GET /204"),
        Message::request("GET /304"),
        Message::request("HEAD /head"),
        Message::request("GET /large"),
        Message::request("POST /echo"),
    ];
    let answers: Vec<Message> = over_http2(router.address(), requests).into_iter().map(Result::unwrap).collect();
    let statuses: Vec<u16> = answers.iter().map(Message::status).collect();
    assert_eq!(statuses, [200, 200, 200, 204, 304, 200, 200, 200]);
    assert_eq!(answers[1].body, b"hello");
    assert!(answers[2].body == large()[..3 << 20] && answers[6].body == large());
    assert_eq!((answers[5].field("content-length"), answers[5].body.len()), (Some("5"), 0));
    let first = origin.received().remove(0);
    assert_eq!((first.all("cookie"), first.header("te")), (vec!["a=1; b=2"], None));
    assert_eq!(first.header("host"), Some(&*format!("localhost:{}", origin.port())));
}

#[test]
fn trailers_pass_from_http2_to_http2_but_none_that_says_what_only_the_router_may() {
    let origin = Http2Origin::start(answer);
    let site = site(origin.port(), "h2c");
    let router = Router::serve(&site.merged());
    let forged = ["x-user", "x-forwarded-for", "authorization", "x-request-id", "content-type", "x-in-head"];
    let mut upload = Message::request("POST /trailers")
        .body("body")
        .header("x-in-head", "1")
        .header("te", "trailers")
        .trailer("x-kept", "1");
    for name in forged {
        upload = upload.trailer(name, "forged");
    }
    let answer = over_http2(router.address(), vec![upload]).remove(0).unwrap();
    let seen = origin.last();
    assert_eq!(seen.trailers.keys().collect::<Vec<_>>(), ["x-kept"]);
    assert_eq!(seen.field("te"), Some("trailers"));
    assert_eq!((answer.status(), &*answer.body), (200, &b"body"[..]));
    assert_eq!(answer.trailers.keys().collect::<Vec<_>>(), ["x-sum"]);
    // An answer that comes before the body is read is passed on at once, and the session stays.
    let early = Message::request("POST /early").body(large());
    let answer = over_http2(router.address(), vec![early]).remove(0).unwrap();
    assert_eq!((answer.status(), &*answer.body), (403, &b"no"[..]));
}

#[test]
fn a_client_may_send_everything_before_it_reads_anything() {
    let origin = Http2Origin::start(answer);
    let site = site(origin.port(), "h2c");
    let router = Router::serve(&site.merged());
    let upload = Message { sends_first: true, ..Message::request("POST /both").body(large()) };
    let answer = over_http2(router.address(), vec![upload]).remove(0).unwrap();
    assert!(answer.body == large() && origin.last().body == large());
}

#[test]
fn a_router_that_ends_says_so_in_two_steps_and_serves_what_is_on_its_way() {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let origin = Origin::start(move |request| {
        if request.target == "/slow" {
            held.pass();
        }
        Reply::ok("done")
    });
    let site = site(origin.port(), "http1");
    let mut router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_SHUTDOWN__LAME_DUCK", "200ms")]);
    router.until_ready();
    let mut client = Http2::connect(router.address());
    assert_eq!(client.get("/").text(), "done");
    let slow = client.ask(&Block::request("GET", "/slow"), None);
    gate.until_waiting(1);
    router.signal("TERM");
    // RFC 9113 §6.8: first that it will go, with room for what is on its way; then up to where it served.
    assert_eq!(client.until_away(), (0x7fff_ffff, 0));
    let late = client.ask(&Block::request("GET", "/late"), None);
    assert_eq!(client.outcome(late).answer().text(), "done", "it was sent before the second step was heard of");
    gate.open();
    assert_eq!(client.outcome(slow).answer().text(), "done");
    assert_eq!(client.until_closed(), Some(0));
    assert_eq!(client.away().last(), Some(&(late, 0)));
    assert!(router.wait(Duration::from_secs(20)).success());
}

#[test]
fn a_connection_that_has_served_its_requests_is_asked_to_come_anew_and_loses_none() {
    let origin = Origin::named("orders");
    let site = site(origin.port(), "http1");
    let router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_LIMITS__HTTP2_REQUESTS", "1000")]);
    router.until_ready();
    let mut client = Http2::connect(router.address());
    for _ in 0..10 {
        let streams: Vec<u32> = (0..100).map(|_| client.ask(&Block::request("GET", "/"), None)).collect();
        for stream in streams {
            assert_eq!(client.outcome(stream).status(), 200);
        }
    }
    assert_eq!(client.until_away().1, 0);
    assert_eq!(client.until_closed(), Some(0));
}
