//! What HTTP/2 can say and HTTP/1 cannot never reaches a destination as something else.

use postern_tests::frames::{Http2, Outcome};
use postern_tests::hpack::Block;
use postern_tests::oracle::Message;

use postern_tests::{Arrival, Recorder, Router, Site, boundary_with, registration};

fn serve(recorder: &Recorder) -> (Site, Router) {
    let site = Site::new(&boundary_with(&[recorder.port()], ""), &[registration("/", recorder.port(), "")]);
    let router = Router::serve(&site.merged());
    (site, router)
}

fn get() -> Block {
    Block::request("GET", "/a")
}

fn post() -> Block {
    Block::request("POST", "/a")
}

/// The pseudo-fields that are given, each with its value.
fn pseudo(fields: &[(&str, &str)]) -> Block {
    fields.iter().fold(Block::new(), |block, (name, value)| block.field(name, value))
}

const SMUGGLED: &str = "GET /smuggled HTTP/1.1\r\nhost: api.example.com\r\n\r\n";

/// Requests that no router may pass on, with their bodies.
fn refused() -> Vec<(String, Block, Option<Vec<u8>>)> {
    let mut all: Vec<(String, Block, Option<Vec<u8>>)> = Vec::new();
    let mut add = |name: &str, block: Block, body: Option<&[u8]>| {
        all.push((name.to_owned(), block, body.map(<[u8]>::to_vec)));
    };
    // Values that would end a line, or be none.
    for (name, bytes) in [
        ("a line's end", "a\r\nx-evil: 1"),
        ("a bare LF", "a\nx-evil: 1"),
        ("a bare CR", "a\rx-evil: 1"),
        ("NUL", "a\0b"),
        ("a whole request", &format!("a\r\n\r\n{SMUGGLED}")),
    ] {
        add(&format!("{name} in a value"), get().field("x-a", bytes), None);
        add(&format!("{name} in a name"), get().field(bytes, "a"), None);
        add(&format!("{name} in the path"), Block::request("GET", &format!("/{bytes}")), None);
        let authority = [(":method", "GET"), (":scheme", "http"), (":path", "/a"), (":authority", bytes)];
        add(&format!("{name} in the authority"), pseudo(&authority), None);
        add(&format!("{name} in the method"), Block::request(bytes, "/a"), None);
    }
    // Fields that belong to one connection (RFC 9113 §8.2.2).
    for (name, value) in [
        ("connection", "close"),
        ("connection", "keep-alive, x-a"),
        ("keep-alive", "5"),
        ("proxy-connection", "keep-alive"),
        ("transfer-encoding", "chunked"),
        ("transfer-encoding", "identity"),
        ("upgrade", "websocket"),
        ("te", "gzip"),
        ("te", "trailers, gzip"),
    ] {
        add(&format!("{name}: {value}"), get().field(name, value), None);
    }
    add(
        "chunks inside of a body",
        post().field("transfer-encoding", "chunked"),
        Some(b"0\r\n\r\nGET / HTTP/1.1\r\n\r\n"),
    );
    // Lengths that are not what comes (RFC 9113 §8.1.1).
    for (name, length, body) in [
        ("a length of less", "3", "hello"),
        ("a length of more", "9", "hello"),
        ("a length of nothing before something", "0", "hello"),
        ("a negative length", "-5", "hello"),
        ("a length with a sign", "+5", "hello"),
        ("a length in hex", "0x5", "hello"),
        ("a list of lengths", "5, 6", "hello"),
        ("an empty length", "", "hello"),
        ("a length beyond numbers", "99999999999999999999999", "hello"),
    ] {
        add(name, post().field("content-length", length), Some(body.as_bytes()));
    }
    let two = post().field("content-length", "5").field("content-length", "6");
    add("two lengths", two, Some(b"hello"));
    add("a length without a body", get().field("content-length", "5"), None);
    // Names that HTTP/2 does not have (RFC 9113 §8.2.1).
    for name in ["X-Upper", "x a", "x:a", " x", "x\t", "", "x(", "ä"] {
        add(&format!("the name {name:?}"), get().field(name, "a"), None);
    }
    // Pseudo-fields (RFC 9113 §8.3).
    let scheme = (":scheme", "http");
    let authority = (":authority", "api.example.com");
    let (method, path) = ((":method", "GET"), (":path", "/a"));
    add("no method", pseudo(&[scheme, path, authority]), None);
    add("no path", pseudo(&[method, scheme, authority]), None);
    add("no scheme", pseudo(&[method, path, authority]), None);
    add("no authority and no host", pseudo(&[method, scheme, path]), None);
    add("an empty path", pseudo(&[method, scheme, (":path", ""), authority]), None);
    add("a path without its slash", pseudo(&[method, scheme, (":path", "a"), authority]), None);
    add("a path with blanks", pseudo(&[method, scheme, (":path", "/a HTTP/1.1"), authority]), None);
    add("an absolute path", pseudo(&[method, scheme, (":path", "http://evil.example/a"), authority]), None);
    add("an asterisk for GET", pseudo(&[method, scheme, (":path", "*"), authority]), None);
    for (name, value) in [method, scheme, path, authority] {
        let twice = pseudo(&[method, scheme, path, authority]).field(name, value);
        add(&format!("{name} twice"), twice, None);
        let behind: Vec<_> = [method, scheme, path, authority].into_iter().filter(|one| one.0 != name).collect();
        add(&format!("{name} behind a field"), pseudo(&behind).field("x-a", "1").field(name, value), None);
    }
    add("an unknown pseudo-field", get().field(":evil", "1"), None);
    add("a status", get().field(":status", "200"), None);
    add("a protocol without CONNECT", get().field(":protocol", "websocket"), None);
    add("CONNECT", pseudo(&[(":method", "CONNECT"), (":authority", "api.example.com:443")]), None);
    // Two hosts.
    add("another host", get().field("host", "evil.example.com"), None);
    add("two hosts", get().field("host", "api.example.com").field("host", "api.example.com"), None);
    for bad in [
        "api.example.com@evil.example", "api.example.com, evil", "api.example.com/", "evil\\.example.com",
        "user@api.example.com",
    ] {
        add(&format!("the authority {bad:?}"), pseudo(&[method, scheme, path, (":authority", bad)]), None);
    }
    // One more than there may be.
    add("101 fields", (0..101).fold(get(), |block, at| block.field(format!("x-{at}"), "a")), None);
    add("a field that is too long", get().field("x-a", "a".repeat(20_000)), None);
    add("a target that is too long", Block::request("GET", &format!("/{}", "a".repeat(8_192))), None);
    all
}

#[test]
fn what_http1_would_read_in_another_way_is_refused_and_harms_nobody_else() {
    let recorder = Recorder::start();
    let (_site, router) = serve(&recorder);
    let cases = refused();
    println!("{} blocks", cases.len());
    let mut passed = Vec::new();
    for (name, block, body) in &cases {
        let mut client = Http2::connect(router.address());
        match client.send(block, body.as_deref()) {
            Outcome::Answer(answer) if answer.status >= 400 => {}
            Outcome::Reset(_) | Outcome::Ended(_) => {}
            Outcome::Answer(answer) => passed.push(format!("{name}: answered {}", answer.status)),
        }
    }
    assert!(passed.is_empty(), "{}", passed.join("\n"));
    assert_eq!(Http2::connect(router.address()).get("/last").status, 200);
    drop(router);
    for arrival in recorder.into_arrivals() {
        match &arrival {
            Arrival::Whole(message) => assert_eq!(message.target, "/last", "{message:?}"),
            // A body that turned out to be wrong ends the request that it belongs to.
            Arrival::Cut(_) => {}
            Arrival::Wrong(bytes, why) => panic!("{why}: {:?}", String::from_utf8_lossy(bytes)),
        }
        assert!(!arrival.holds(b"smuggled") && !arrival.holds(b"x-evil"), "{arrival:?}");
    }
}

/// What arrives of a request that is fine.
fn arrives(block: &Block, body: Option<&[u8]>) -> Message {
    let recorder = Recorder::start();
    let (_site, router) = serve(&recorder);
    let outcome = Http2::connect(router.address()).send(block, body);
    assert_eq!(outcome.status(), 200, "{outcome:?}");
    drop(router);
    match recorder.into_arrivals().as_slice() {
        [Arrival::Whole(message)] => message.clone(),
        other => panic!("{other:?}"),
    }
}

fn values<'m>(message: &'m Message, name: &str) -> Vec<&'m str> {
    message
        .fields
        .iter()
        .filter(|(known, _)| known.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.as_str())
        .collect()
}

#[test]
fn what_both_can_say_arrives_as_it_was_said() {
    let crumbs = get().field("cookie", "a=1").field("x-a", "1").field("cookie", "b=2").field("cookie", "c=3");
    let message = arrives(&crumbs, None);
    assert_eq!(values(&message, "cookie"), ["a=1; b=2; c=3"], "RFC 9113 §8.2.3");
    assert_eq!(values(&message, "x-a"), ["1"]);

    let repeated = arrives(&get().field("x-a", "1").field("x-a", "").field("x-a", "2, 3"), None);
    assert_eq!(values(&repeated, "x-a"), ["1", "", "2, 3"]);

    let host = arrives(
        &pseudo(&[(":method", "GET"), (":scheme", "http"), (":path", "/a?b=%2F&c")]).field("host", "api.example.com"),
        None,
    );
    assert_eq!((host.target.as_str(), values(&host, "x-forwarded-host")), ("/a?b=%2F&c", vec!["api.example.com"]));

    let te = arrives(&get().field("te", "trailers"), None);
    assert!(values(&te, "te").is_empty(), "it is about this connection alone");

    let sized = arrives(&post().field("content-length", "5"), Some(b"hello"));
    assert_eq!((values(&sized, "content-length"), sized.body.as_slice()), (vec!["5"], &b"hello"[..]));
    let unsized_ = arrives(&post(), Some(b"hello"));
    assert_eq!((values(&unsized_, "content-length").len(), unsized_.body.as_slice()), (0, &b"hello"[..]));

    let many = arrives(&(0..96).fold(get(), |block, at| block.field(format!("x-{at}"), "a")), None);
    assert_eq!(
        many.fields.iter().filter(|(name, _)| name.starts_with("x-") && name[2..].parse::<u8>().is_ok()).count(),
        96
    );
}
