//! Nobody waits for ever, and what broke off never looks whole.

use std::io::{Read, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postern_tests::frames::{self, Http2};
use postern_tests::hpack::Block;
use postern_tests::{
    Authority, Client, Gate, Origin, RawOrigin, Reply, Request, Router, Site, boundary_with, eventually, registration,
};

fn site(port: u16, more: &str) -> Site {
    Site::new(&boundary_with(&[port], ""), &[registration("/", port, more)])
}

fn with_limits(site: &Site, limits: &[(&str, &str)]) -> Router {
    let names: Vec<String> = limits.iter().map(|(name, _)| format!("POSTERN_ROUTER_LIMITS__{name}")).collect();
    let settings: Vec<(&str, &str)> = names.iter().map(String::as_str).zip(limits.iter().map(|(_, v)| *v)).collect();
    let router = Router::start(&site.merged(), &[], &settings);
    router.until_ready();
    router
}

/// How long it takes until the other side closes.
fn closes_after(client: &mut Client) -> Duration {
    let began = Instant::now();
    assert!(client.is_closed(), "an answer came");
    began.elapsed()
}

#[test]
fn a_slow_head_is_cut_while_an_idle_connection_lives_on() {
    let origin = Origin::named("orders");
    let site = site(origin.port(), "");
    let router = with_limits(&site, &[("HEAD", "600ms"), ("IDLE", "30s")]);
    let mut idle = router.client();
    assert_eq!(idle.send(&Request::new("GET", "/")).status, 200);
    let mut unused = router.client();

    // The first request of a connection, and a later one.
    let mut first = router.client();
    let mut later = router.client();
    assert_eq!(later.send(&Request::new("GET", "/")).status, 200);
    for client in [&mut first, &mut later] {
        client.write(b"GET / HTTP/1.1\r\nhost: api.exa").unwrap();
        let began = Instant::now();
        let answer = client.read(false).unwrap();
        assert_eq!((answer.status, answer.reason()), (408, Some("head_too_slow")));
        assert!(client.is_closed());
        let took = began.elapsed();
        assert!(took > Duration::from_millis(300) && took < Duration::from_secs(5), "cut after {took:?}");
    }
    // A byte now and then is no head either.
    let mut trickle = router.client();
    let began = Instant::now();
    while trickle.write(b"G").is_ok() {
        assert!(began.elapsed() < Duration::from_secs(5), "a head of single bytes goes on and on");
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(began.elapsed() >= Duration::from_millis(600));
    assert_eq!(idle.send(&Request::new("GET", "/")).status, 200);
    assert_eq!(unused.send(&Request::new("GET", "/")).status, 200);
}

#[test]
fn an_idle_connection_is_closed_after_its_time_and_a_busy_one_is_not() {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let origin = Origin::start(move |request| {
        if request.target == "/slow" {
            held.pass();
        }
        Reply::ok("done")
    });
    let site = site(origin.port(), "");
    let router = with_limits(&site, &[("HEAD", "500ms"), ("IDLE", "1s")]);
    let mut busy = router.client();
    busy.write(&Request::new("GET", "/slow").bytes()).unwrap();
    gate.until_waiting(1);
    let mut used = router.client();
    assert_eq!(used.send(&Request::new("GET", "/")).status, 200);
    let mut unused = router.client();
    let took = closes_after(&mut used);
    assert!(took > Duration::from_millis(700) && took < Duration::from_secs(5), "closed after {took:?}");
    closes_after(&mut unused);
    gate.open();
    assert_eq!(busy.read(false).unwrap().text(), "done");
}

#[test]
fn a_body_that_stops_coming_is_refused_and_never_whole_at_the_destination() {
    let origin = Origin::named("orders");
    let site = site(origin.port(), "");
    let router = with_limits(&site, &[("BODY_IDLE", "300ms")]);
    for framing in ["content-length: 100\r\n\r\n0123456789", "transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n"] {
        let mut client = router.client();
        client.write(format!("POST / HTTP/1.1\r\nhost: api.example.com\r\n{framing}").as_bytes()).unwrap();
        let answer = client.read(false).unwrap();
        assert_eq!((answer.status, answer.reason()), (408, Some("body_too_slow")), "{framing}");
        assert!(client.is_closed(), "what follows could be taken for a request");
    }
    assert!(origin.received().is_empty());
}

#[test]
fn a_destination_that_does_not_begin_to_answer_is_given_up_and_not_asked_twice() {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        held.pass();
    });
    let site = site(origin.port(), "policies: {timeouts: {first_byte: 300ms}}");
    let router = Router::serve(&site.merged());
    for method in ["GET", "POST"] {
        let began = Instant::now();
        let answer = router.send(&Request::new(method, "/").body(""));
        assert_eq!((answer.status, answer.reason()), (504, Some("destination_timeout")), "{method}");
        assert!(began.elapsed() >= Duration::from_millis(300) && began.elapsed() < Duration::from_secs(5));
    }
    assert_eq!(origin.accepted(), 2);
    gate.open();
}

#[test]
fn a_destination_that_does_not_finish_the_handshake_is_given_up() {
    let origin = RawOrigin::start(|wire| wire.until_closed());
    let mut site = Site::empty();
    let roots = Authority::new("corporate").write(site.path(), "roots.pem");
    let boundary = boundary_with(&[origin.port()], "")
        .replace("schemes: [http]", &format!("schemes: [https], tls: {{roots: {{pem_file: {}}}}}", roots.display()));
    let registration = registration("/", origin.port(), "policies: {timeouts: {connect: 300ms}}");
    site.publish(&boundary, &[registration.replace("http://", "https://")]);
    let router = Router::serve(&site.merged());
    let began = Instant::now();
    let answer = router.get("/");
    assert_eq!((answer.status, answer.reason()), (504, Some("destination_connect_timeout")));
    assert!(began.elapsed() < Duration::from_secs(2));
    eventually("the socket to be closed", || (origin.ended() == 1).then_some(()));
}

#[test]
fn a_name_server_that_does_not_answer_is_given_up() {
    let silent = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let servers = format!("[\"{}\"]", silent.local_addr().unwrap());
    let boundary = boundary_with(&[80], "").replace("[localhost]", "[orders.example.net]");
    let registration = registration("/", 80, "policies: {timeouts: {connect: 500ms}}");
    let site = Site::new(&boundary, &[registration.replace("localhost", "orders.example.net")]);
    let router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_DNS_SERVERS", &servers)]);
    router.until_ready();
    let began = Instant::now();
    let answer = router.get("/");
    assert_eq!((answer.status, answer.reason()), (502, Some("destination_unresolved")));
    assert!(began.elapsed() < Duration::from_secs(3), "given up only after {:?}", began.elapsed());
}

/// Sends a request whose answer breaks off after its head; says what of the body came, and what the log says.
fn broken(router: &Router) -> (Vec<u8>, serde_json::Value) {
    let mut client = router.client();
    client.write(&Request::new("GET", "/").bytes()).unwrap();
    let head = client.read_head().unwrap();
    assert_eq!(head.status, 200);
    let mut body = Vec::new();
    let whole = match head.header("content-length") {
        Some(length) => {
            body = client.read_to_end();
            body.len() >= length.parse::<usize>().unwrap()
        }
        None => loop {
            match client.read_chunk(&mut body) {
                Ok(true) => {}
                Ok(false) => break true,
                Err(_) => break false,
            }
        },
    };
    assert!(!whole, "a broken answer looks whole: {:?}", String::from_utf8_lossy(&body));
    (body, router.logged(head.header("x-request-id").unwrap()))
}

#[test]
fn an_answer_that_stops_in_the_middle_is_broken_off_and_logged() {
    for framing in ["content-length: 100\r\n\r\nhalf", "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n"] {
        let origin = RawOrigin::start(move |wire| {
            wire.head();
            wire.write(format!("HTTP/1.1 200 OK\r\n{framing}").as_bytes());
            wire.until_closed();
        });
        let site = site(origin.port(), "policies: {timeouts: {idle: 300ms}}");
        let router = Router::serve(&site.merged());
        let (body, line) = broken(&router);
        assert!(body.starts_with(b"half"));
        assert_eq!((&line["status"], &line["reason"]), (&200.into(), &"destination_idle".into()), "{line}");
        eventually("the socket to be closed", || (origin.ended() == 1).then_some(()));
    }
}

#[test]
fn an_answer_that_a_destination_breaks_off_is_never_whole() {
    for framing in [
        "content-length: 100\r\n\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        "transfer-encoding: chunked\r\n\r\n8\r\nhalf",
        "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n0\r\n",
        "transfer-encoding: chunked\r\n\r\n4\r\nhalf\r\nzz\r\n\r\n",
    ] {
        let origin = Origin::start(move |_| Reply::RawThenClose(format!("HTTP/1.1 200 OK\r\n{framing}").into_bytes()));
        let site = site(origin.port(), "");
        let router = Router::serve(&site.merged());
        let (_, line) = broken(&router);
        let reason = line["reason"].as_str().unwrap_or_default().to_owned();
        assert!(["destination_reset", "destination_protocol"].contains(&&*reason), "{framing:?}: {line}");
    }
}

#[test]
fn the_total_time_ends_also_what_never_keeps_silent() {
    let origin = RawOrigin::start(|wire| {
        wire.head();
        wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n");
        for _ in 0..1_000 {
            wire.write(b"x");
            std::thread::sleep(Duration::from_millis(20));
        }
    });
    let trickling = site(origin.port(), "policies: {timeouts: {total: 500ms}}");
    let router = Router::serve(&trickling.merged());
    let began = Instant::now();
    let (body, line) = broken(&router);
    assert!(body.len() > 2, "it was cut before it trickled");
    assert_eq!(line["reason"], "total_timeout");
    assert!(began.elapsed() >= Duration::from_millis(500) && began.elapsed() < Duration::from_secs(5));

    let silent = RawOrigin::start(|wire| {
        wire.head();
        wire.until_closed();
    });
    let site = site(silent.port(), "policies: {timeouts: {total: 300ms}}");
    let answer = Router::serve(&site.merged()).get("/");
    assert_eq!((answer.status, answer.reason()), (504, Some("total_timeout")));
}

#[test]
fn a_client_that_leaves_takes_its_request_with_it() {
    let origin = RawOrigin::start(|wire| {
        if wire.head().contains("GET /streaming") {
            wire.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
        }
        wire.until_closed();
    });
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());

    let mut waiting = router.client();
    waiting.write(&Request::new("GET", "/waiting").bytes()).unwrap();
    eventually("the request at the destination", || (origin.accepted() == 1).then_some(()));
    drop(waiting);
    eventually("the destination's socket to be closed", || (origin.ended() == 1).then_some(()));

    let mut streaming = router.client();
    streaming.write(&Request::new("GET", "/streaming").bytes()).unwrap();
    assert_eq!(streaming.read_head().unwrap().status, 200);
    drop(streaming);
    eventually("the destination's socket to be closed", || (origin.ended() == 2).then_some(()));

    let of = |path: &str| {
        eventually("the line of the log", || router.access_log().into_iter().find(|line| line["path"] == path))
    };
    let (waiting, streaming) = (of("/waiting"), of("/streaming"));
    assert_eq!((&waiting["status"], &waiting["reason"]), (&499.into(), &"client_closed".into()));
    assert_eq!((&streaming["status"], &streaming["reason"]), (&200.into(), &"client_closed".into()));
}

#[test]
fn a_client_that_leaves_in_the_middle_of_its_body_is_not_taken_for_done() {
    let origin = Origin::named("orders");
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let framings = ["content-length: 100\r\n\r\n0123456789", "transfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n"];
    for (index, framing) in framings.iter().enumerate() {
        let mut client = router.client();
        client.write(format!("POST / HTTP/1.1\r\nhost: api.example.com\r\n{framing}").as_bytes()).unwrap();
        eventually("the request on its way", || (origin.connections() == index + 1).then_some(()));
        drop(client);
    }
    eventually("two lines of the log", || {
        let lines = router.access_log();
        let left = lines.iter().filter(|line| line["reason"] == "client_closed");
        (left.count() == 2).then_some(())
    });
    assert!(origin.received().is_empty(), "half a body came to its end: {:?}", origin.received());
}

#[test]
fn an_answer_that_comes_before_the_upload_ends_reaches_the_client() {
    let origin = RawOrigin::start(|wire| {
        let head = wire.head();
        if head.starts_with("PUT") {
            wire.write(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno");
            wire.until_closed();
        } else {
            wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nyes");
        }
    });
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    let head = Request::new("PUT", "/upload").header("content-length", "1000000");
    client.write(&head.bytes()).unwrap();
    client.write(&[b'a'; 10_000]).unwrap();
    let answer = client.read(false).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (403, "no"));
    // The rest of the body stands on that connection; nobody else's request may follow it there.
    eventually("the destination's socket to be closed", || (origin.ended() == 1).then_some(()));
    assert_eq!(router.get("/next").text(), "yes");
    assert_eq!(origin.accepted(), 2);
}

#[test]
fn the_router_itself_answers_an_expectation_and_only_when_it_wants_the_body() {
    let origin = Origin::start(|request| Reply::ok(String::from_utf8_lossy(&request.body)));
    let site = site(origin.port(), "policies: {body: {max: 100B}}");
    let router = Router::serve(&site.merged());
    let expecting = |length: usize| {
        Request::new("POST", "/").header("expect", "100-continue").header("content-length", &length.to_string())
    };
    let mut client = router.client();
    client.write(&expecting(5).bytes()).unwrap();
    assert_eq!(client.read_head().unwrap().status, 100);
    client.write(b"hello").unwrap();
    assert_eq!(client.read(false).unwrap().text(), "hello");
    assert_eq!(origin.last().header("expect"), None);

    let mut refused = router.client();
    refused.write(&expecting(101).bytes()).unwrap();
    assert_eq!(refused.read_head().unwrap().status, 413, "asked for a body that is then refused");
    assert_eq!(origin.received().len(), 1);
}

/// An origin that writes for as long as somebody takes it, and how much that was.
fn endless() -> (RawOrigin, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        wire.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000000000\r\n\r\n");
        while wire.write(&[b'a'; 65_536]) {
            counted.fetch_add(65_536, Ordering::SeqCst);
        }
    });
    (origin, taken)
}

#[test]
fn a_client_that_takes_nothing_is_given_up_and_until_then_takes_no_memory() {
    let (origin, taken) = endless();
    let site = site(origin.port(), "");
    let router = with_limits(&site, &[("IDLE", "2s")]);
    let before = router.resident();
    let mut clients: Vec<Client> = (0..8).map(|_| router.client()).collect();
    for client in &mut clients {
        client.write(&Request::new("GET", "/").bytes()).unwrap();
        assert_eq!(client.read_head().unwrap().status, 200);
    }
    let mut last = 0;
    eventually("the destinations to be held back", || {
        std::thread::sleep(Duration::from_millis(100));
        let now = taken.load(Ordering::SeqCst);
        (std::mem::replace(&mut last, now) == now && now > 0).then_some(())
    });
    let grown = router.resident().saturating_sub(before);
    eprintln!(
        "8 answers that nobody reads: {} KiB taken from the destinations, {} KiB more resident",
        last >> 10,
        grown >> 10
    );
    assert!(grown < 16 << 20, "{grown} bytes more");
    eventually("the destinations' sockets to be closed", || (origin.ended() == 8).then_some(()));
    eventually("eight lines of the log", || {
        let lines = router.access_log();
        (lines.iter().filter(|line| line["reason"] == "client_closed").count() == 8).then_some(())
    });
}

#[test]
fn a_client_that_takes_its_answer_slowly_is_not_cut() {
    let (origin, _) = endless();
    let site = site(origin.port(), "");
    let router = with_limits(&site, &[("IDLE", "500ms")]);
    let mut client = router.client();
    client.write(&Request::new("GET", "/").bytes()).unwrap();
    assert_eq!(client.read_head().unwrap().status, 200);
    // Longer in all than the time without a byte.
    for _ in 0..10 {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(client.read_some(2 << 20), 2 << 20);
    }
}

/// A client of HTTP/1.0 takes the end of the connection for the end of the body.
#[test]
fn what_breaks_off_without_a_length_ends_in_a_reset() {
    let origin = RawOrigin::start(|wire| {
        wire.head();
        wire.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n");
    });
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let mut stream = std::net::TcpStream::connect(router.addresses()[0]).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\nhost: api.example.com\r\n\r\n").unwrap();
    let mut all = Vec::new();
    let end = stream.read_to_end(&mut all);
    assert_eq!(end.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{}", String::from_utf8_lossy(&all));
}

#[test]
fn a_body_that_trickles_is_refused_in_both_protocols_unless_it_is_messages() {
    let origin = Origin::start(|request| Reply::ok(String::from_utf8_lossy(&request.body)));
    let site = site(origin.port(), "");
    let router = with_limits(&site, &[("BODY_IDLE", "400ms")]);
    let began = Instant::now();
    let mut plain = router.client();
    plain.write(&Request::new("POST", "/").header("content-length", "1000").bytes()).unwrap();
    while plain.write(b"x").is_ok() {
        assert!(began.elapsed() < Duration::from_secs(10), "a body of single bytes goes on and on");
        std::thread::sleep(Duration::from_millis(50));
    }

    // Over HTTP/2, with a frame for each byte; a call of gRPC may have few messages, but not none.
    let mut client = Http2::connect(router.address());
    let begin = |client: &mut Http2, kind: &str| {
        let stream = client.open();
        let block = Block::request("POST", "/").field("content-type", kind).field("te", "trailers");
        client.write(&frames::headers(stream, &block, false)).unwrap();
        stream
    };
    let (trickle, call) = (begin(&mut client, "text/plain"), begin(&mut client, "application/grpc"));
    for _ in 0..40 {
        for stream in [trickle, call] {
            client.write(&frames::data(stream, b"x", false)).unwrap();
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    client.write(&frames::data(call, b"", true)).unwrap();
    let refused = client.outcome(trickle).answer();
    assert_eq!((refused.status, refused.reason()), (408, Some("body_too_slow")));
    assert_eq!(client.outcome(call).answer().text(), "x".repeat(40));
    let silent = begin(&mut client, "application/grpc");
    let status = client.outcome(silent).answer();
    assert_eq!(status.header("x-postern-reason"), Some("body_too_slow"));
}
