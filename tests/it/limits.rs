//! Every bound of a request: at it all is well, one past it is refused with a reason.

use postern_tests::{Client, Origin, Reply, Request, Router, Site, boundary_with, eventually, registration};

fn scene(more: &str) -> (Origin, Site) {
    let origin = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), more)]);
    (origin, site)
}

#[test]
fn a_hundred_headers_pass_and_one_more_is_refused() {
    let (origin, site) = scene("");
    let router = Router::serve(&site.merged());
    let with = |fields: usize| {
        // Host is the first of them.
        (1..fields).fold(Request::new("GET", "/"), |request, index| request.header(&format!("x-{index}"), "1"))
    };
    assert_eq!(router.send(&with(100)).status, 200);
    let seen = origin.received().len();
    let refused = router.send(&with(101));
    assert_eq!((refused.status, refused.reason()), (431, Some("headers_too_large")));
    // Far beyond it nothing is read to its end.
    assert_eq!(router.send(&with(500)).status, 431);
    assert_eq!(origin.received().len(), seen);
}

#[test]
fn headers_of_twenty_four_kibibytes_pass_and_one_byte_more_is_refused() {
    let (origin, site) = scene("");
    let router = Router::serve(&site.merged());
    // Name, value, colon, blank, line end of both fields.
    let used = "host".len() + "api.example.com".len() + 4 + "x-long".len() + 4;
    let with = |bytes: usize| Request::new("GET", "/").header("x-long", &"a".repeat(bytes - used));
    assert_eq!(router.send(&with(24 * 1024)).status, 200);
    let refused = router.send(&with(24 * 1024 + 1));
    assert_eq!((refused.status, refused.reason()), (431, Some("headers_too_large")));
    // Far beyond it nothing is read to its end, and the rest of it may tear the answer down.
    assert!(router.client().try_send(&with(1 << 20)).map_or(true, |answer| answer.status == 431));
    assert_eq!(origin.received().len(), 1);
}

#[test]
fn a_head_that_cannot_be_parsed_is_answered_and_ends_the_connection() {
    let (origin, site) = scene("");
    let router = Router::serve(&site.merged());
    for head in
        ["GET / HTTP/1.1\r\nhost api.example.com\r\n\r\n", "GET / HTTP/1.1\r\n: x\r\n\r\n", "G@T\t/ HTTP/1.1\r\n\r\n"]
    {
        let mut client = router.client();
        client.write(head.as_bytes()).unwrap();
        assert_eq!(client.read(false).unwrap().status, 400, "{head:?}");
        assert!(client.is_closed(), "{head:?}");
    }
    assert!(origin.received().is_empty());
}

#[test]
fn a_target_of_eight_kibibytes_passes_and_one_byte_more_is_refused() {
    let (origin, site) = scene("");
    let router = Router::serve(&site.merged());
    for begin in ["/", "/?"] {
        let with = |bytes: usize| format!("{begin}{}", "a".repeat(bytes - begin.len()));
        assert_eq!(router.get(&with(8_192)).status, 200);
        let refused = router.get(&with(8_193));
        assert_eq!((refused.status, refused.reason()), (414, Some("path_too_long")));
        assert!(router.get(&with(30_000)).status == 414);
    }
    assert_eq!(origin.received().len(), 2);
}

#[test]
fn a_body_at_its_bound_passes_and_one_byte_more_is_refused() {
    let (origin, site) = scene("policies: {body: {max: 1KiB}}");
    let router = Router::serve(&site.merged());
    let declared = |bytes: usize| Request::new("POST", "/").body("a".repeat(bytes));
    assert_eq!(router.send(&declared(1_024)).text(), "1024");
    let refused = router.send(&declared(1_025));
    assert_eq!((refused.status, refused.reason()), (413, Some("body_too_large")));
    assert_eq!(origin.received().len(), 1, "a byte went up");

    let chunked = |chunks: &[usize]| {
        let head = Request::new("POST", "/").header("transfer-encoding", "chunked").bytes();
        let body: String = chunks.iter().map(|size| format!("{size:x}\r\n{}\r\n", "a".repeat(*size))).collect();
        [head, body.into_bytes(), b"0\r\n\r\n".to_vec()].concat()
    };
    for (chunks, status) in [(&[1_024][..], 200), (&[1_000, 24], 200), (&[1_025], 413), (&[1_000, 25], 413)] {
        let mut client = router.client();
        client.write(&chunked(chunks)).unwrap();
        let answer = client.read(false).unwrap();
        assert_eq!(answer.status, status, "{chunks:?}");
        if status == 413 {
            assert_eq!(answer.reason(), Some("body_too_large"));
        }
    }
    assert!(origin.received().iter().all(|request| request.body.len() <= 1_024), "a longer body came to its end");
}

#[test]
fn ten_mebibytes_are_the_bound_where_nobody_says_another() {
    let (_origin, site) = scene("");
    let router = Router::serve(&site.merged());
    let bound = 10 << 20;
    assert_eq!(router.send(&Request::new("PUT", "/").body(vec![b'a'; bound])).text(), bound.to_string());
    let mut client = router.client();
    let head = Request::new("PUT", "/").header("content-length", &(bound + 1).to_string());
    client.write(&head.bytes()).unwrap();
    assert_eq!(client.read(false).unwrap().status, 413);
}

#[test]
fn an_override_of_the_boundary_bounds_bodies_whatever_a_route_says() {
    let origin = Origin::named("orders");
    let boundary = boundary_with(&[origin.port()], "overrides: {policies: {body: {max: 10B}}}");
    let site = Site::new(&boundary, &[registration("/", origin.port(), "policies: {body: {max: 1GiB}}")]);
    let router = Router::serve(&site.merged());
    assert_eq!(router.send(&Request::new("POST", "/").body("0123456789")).status, 200);
    assert_eq!(router.send(&Request::new("POST", "/").body("0123456789a")).status, 413);
}

#[test]
fn connections_beyond_the_bound_wait_until_another_has_gone() {
    let (_origin, site) = scene("");
    let router = Router::start(&site.merged(), &["--workers", "1"], &[("POSTERN_ROUTER_LIMITS__CONNECTIONS", "4")]);
    router.until_ready();
    let mut kept: Vec<Client> = (0..4).map(|_| router.client()).collect();
    for client in &mut kept {
        assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
    }
    let address = router.address();
    let (done, waiting) = std::sync::mpsc::channel();
    std::thread::spawn(move || done.send(Client::connect(address).send(&Request::new("GET", "/")).status));
    // Those that are open go on, while the fifth waits.
    for client in &mut kept {
        assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
    }
    assert!(waiting.try_recv().is_err(), "a fifth connection was served");
    assert_eq!(router.metric("postern_connections"), 4.0);
    kept.pop();
    assert_eq!(waiting.recv_timeout(std::time::Duration::from_secs(10)), Ok(200));
    eventually("the count of connections", || (router.metric("postern_connections") <= 4.0).then_some(()));
}

#[test]
fn one_empty_line_in_front_of_a_request_passes_and_a_second_is_refused_however_it_comes() {
    let (origin, site) = scene("");
    let router = Router::serve(&site.merged());
    let request = Request::new("GET", "/").bytes();
    for apart in [false, true] {
        let mut client = router.client();
        for _ in 0..2 {
            client.write(b"\r\n").unwrap();
            client.write(&request).unwrap();
            assert_eq!(client.read(false).unwrap().status, 200);
        }
        if apart {
            client.write(b"\r\n").unwrap();
            // The first has come by the time that another connection was served.
            assert_eq!(router.send(&Request::new("GET", "/")).status, 200);
            client.write(b"\r\n").unwrap();
        } else {
            client.write(b"\r\n\r\n").unwrap();
        }
        assert_eq!(client.read(false).unwrap().status, 400, "apart: {apart}");
        assert!(client.is_closed(), "apart: {apart}");
    }
    assert_eq!(origin.received().len(), 5);
}
