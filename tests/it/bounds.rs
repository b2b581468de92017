//! Bounds of HTTP/2 and of what only one protocol has: at each all is well, one past it is refused. Those of heads and
//! bodies over HTTP/1 are in `limits` and in the tables of `strictness`.

use std::sync::Arc;

use postern_tests::frames::Http2;
use postern_tests::hpack::Block;
use postern_tests::{Gate, HOST, Origin, Reply, Request, Router, Site, boundary_with, registration};

/// An error code of HTTP/2 (RFC 9113 §7): nothing was done for the stream.
const REFUSED_STREAM: u32 = 7;

fn scene(more: &str) -> (Origin, Site, Router) {
    let origin = Origin::start(|request| Reply::ok(request.body.len().to_string()));
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), more)]);
    let router = Router::serve(&site.merged());
    (origin, site, router)
}

#[test]
fn a_hundred_fields_pass_over_http2_and_one_more_is_refused() {
    let (origin, _site, router) = scene("");
    // The authority becomes one of them.
    let with = |fields: usize| {
        (1..fields).fold(Block::request("GET", "/"), |block, index| block.field(format!("x-{index}"), "1"))
    };
    let mut client = Http2::connect(router.address());
    assert_eq!(client.send(&with(100), None).status(), 200);
    let refused = client.send(&with(101), None).answer();
    assert_eq!((refused.status, refused.reason()), (431, Some("headers_too_large")));
    // It is the stream that was refused.
    assert_eq!(client.send(&with(100), None).status(), 200);
    assert_eq!(origin.received().len(), 2);
}

#[test]
fn a_header_list_of_sixteen_kibibytes_passes_and_one_byte_more_is_refused() {
    let (origin, _site, router) = scene("");
    // RFC 9113 §6.5.2: name, value and 32 bytes of each field, also of those with a colon.
    let used: usize = [":methodGET", ":schemehttp", ":path/", ":authority", HOST, "x-long"].map(str::len).iter().sum();
    let with = |bytes: usize| Block::request("GET", "/").field("x-long", "a".repeat(bytes - used - 5 * 32));
    let mut client = Http2::connect(router.address());
    assert_eq!(client.send(&with(16 * 1024), None).status(), 200);
    assert_eq!(client.send(&with(16 * 1024 + 1), None).status(), 431);
    assert_eq!(client.send(&with(16 * 1024), None).status(), 200);
    assert_eq!(origin.received().len(), 2);
}

#[test]
fn a_body_at_its_bound_passes_over_http2_and_one_byte_more_is_refused() {
    let (origin, _site, router) = scene("policies: {body: {max: 1KiB}}");
    let mut client = Http2::connect(router.address());
    for announced in [true, false] {
        let block = |bytes: usize| match announced {
            true => Block::request("POST", "/").field("content-length", bytes.to_string()),
            false => Block::request("POST", "/"),
        };
        let at_bound = client.send(&block(1_024), Some(&[b'a'; 1_024])).answer();
        assert_eq!((at_bound.status, &*at_bound.text()), (200, "1024"), "announced: {announced}");
        let before = origin.received().len();
        let refused = client.send(&block(1_025), Some(&[b'a'; 1_025])).answer();
        assert_eq!((refused.status, refused.reason()), (413, Some("body_too_large")), "announced: {announced}");
        assert_eq!(origin.received().len(), before, "announced: {announced}: a longer body came to its end");
    }
}

#[test]
fn a_hundred_streams_are_served_at_once_and_one_more_is_sent_away_unharmed() {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let origin = Origin::start(move |_| {
        held.pass();
        Reply::ok("done")
    });
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let router = Router::serve(&site.merged());
    let mut client = Http2::connect(router.address());
    let streams: Vec<u32> = (0..100).map(|_| client.ask(&Block::request("GET", "/"), None)).collect();
    gate.until_waiting(100);
    let one_more = client.send(&Block::request("GET", "/"), None);
    assert!(matches!(one_more, postern_tests::frames::Outcome::Reset(REFUSED_STREAM)), "{one_more:?}");
    gate.open();
    for stream in streams {
        assert_eq!(client.outcome(stream).status(), 200);
    }
    // Where others have gone there is room again.
    assert_eq!(client.get("/").status, 200);
    assert_eq!(origin.received().len(), 101);
}

#[test]
fn a_coding_that_is_not_chunked_is_named_as_what_it_is() {
    let (origin, _site, router) = scene("");
    for (coding, status, reason) in [
        ("gzip", 501, "encoding_not_supported"),
        ("gzip, chunked", 501, "encoding_not_supported"),
        ("identity", 501, "encoding_not_supported"),
        ("chunked, gzip", 400, "framing_ambiguous"),
        ("chunked, chunked", 400, "framing_ambiguous"),
    ] {
        let mut client = router.client();
        let request = Request::new("POST", "/").header("transfer-encoding", coding);
        client.write(&[request.bytes(), b"5\r\nhello\r\n0\r\n\r\n".to_vec()].concat()).unwrap();
        let answer = client.read(false).unwrap();
        assert_eq!((answer.status, answer.reason()), (status, Some(reason)), "{coding}");
        assert!(client.is_closed(), "{coding}: where the body ends is not known");
    }
    assert!(origin.received().is_empty());
}
