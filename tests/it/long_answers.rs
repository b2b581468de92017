//! Long answers go through inside the kernel, and nobody can tell: the same bytes, the same clocks, the same ends.

use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use postern_tests::{Gate, Origin, RawOrigin, Reply, Request, Router, Site, boundary_with, eventually, registration};

const LONG: usize = 3 << 20;

fn site(port: u16, more: &str) -> Site {
    Site::new(&boundary_with(&[port], ""), &[registration("/", port, more)])
}

/// Bytes of which no two stretches are alike.
fn pattern(length: usize) -> &'static [u8] {
    static WHOLE: LazyLock<Vec<u8>> =
        LazyLock::new(|| (0..=LONG).map(|index| u8::try_from((index / 251 + index) % 256).unwrap()).collect());
    &WHOLE[..length]
}

fn descriptors(router: &Router) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", router.id())).unwrap().count()
}

/// A destination that sends so much of a long answer, and the rest when the gate opens.
fn pausing_after(bytes: usize) -> (Arc<Gate>, RawOrigin) {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        let (begin, rest) = pattern(LONG).split_at(bytes);
        wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {LONG}\r\n\r\n").as_bytes());
        wire.write(begin);
        held.pass();
        wire.write(rest);
        wire.until_closed();
    });
    (gate, origin)
}

#[test]
fn every_length_arrives_byte_for_byte_on_one_connection() {
    let origin = Origin::start(|request| Reply::Body(200, pattern(request.target[1..].parse().unwrap()).to_vec()));
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    // Around what is read with a head, what a pipe is taken for, and what one holds; long and short ones in turn.
    let around = [4 << 10, 32 << 10, 64 << 10, 256 << 10, LONG].map(|length| [length - 1, length, length + 1, 7]);
    for length in around.into_iter().flatten() {
        let answer = client.send(&Request::new("GET", &format!("/{length}")));
        assert_eq!(answer.status, 200);
        assert!(answer.body == pattern(length), "{length} bytes did not come back as they were");
    }
    assert_eq!(origin.connections(), 1);
}

#[test]
fn an_answer_that_comes_in_small_parts_is_passed_on_as_it_comes() {
    let (gate, origin) = pausing_after(1_000);
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    client.write(&Request::new("GET", "/").bytes()).unwrap();
    assert_eq!(client.read_head().unwrap().status, 200);
    let mut body = vec![0; LONG];
    client.read_exact(&mut body[..1_000]).unwrap();
    gate.open();
    client.read_exact(&mut body[1_000..]).unwrap();
    assert!(body == pattern(LONG));
}

#[test]
fn one_that_breaks_off_is_never_whole_and_the_log_says_why() {
    for (half, more, reason) in [
        (LONG / 2, "", "destination_reset"),
        (LONG / 2, "policies: {timeouts: {idle: 300ms}}", "destination_idle"),
        (LONG / 2, "policies: {timeouts: {total: 400ms}}", "total_timeout"),
        (0, "policies: {timeouts: {idle: 300ms}}", "destination_idle"),
    ] {
        let (closes, body) = (more.is_empty(), pattern(half));
        let origin = RawOrigin::start(move |wire| {
            wire.head();
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {LONG}\r\n\r\n").as_bytes());
            wire.write(body);
            if !closes {
                wire.until_closed();
            }
        });
        let site = site(origin.port(), more);
        let router = Router::serve(&site.merged());
        let mut client = router.client();
        client.write(&Request::new("GET", "/").bytes()).unwrap();
        let head = client.read_head().unwrap();
        let body = client.read_to_end();
        assert!(body == pattern(half), "{} of {half} bytes came", body.len());
        let line = router.logged(head.header("x-request-id").unwrap());
        assert_eq!(line["reason"], reason, "{line}");
        assert_eq!(line["bytes_out"], half, "{line}");
        eventually("the destination's socket to be closed", || (origin.ended() == 1).then_some(()));
    }
}

#[test]
fn bytes_behind_a_long_answer_are_nobodys_answer() {
    let origin = RawOrigin::start(move |wire| {
        while !wire.head().is_empty() {
            wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {LONG}\r\n\r\n").as_bytes());
            // The end and what is behind it in one piece: what came later could not be told from the next answer.
            let (most, rest) = pattern(LONG).split_at(LONG - 1_000);
            wire.write(most);
            wire.write(&[rest, b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil"].concat());
        }
    });
    let site = site(origin.port(), "");
    let router = Router::serve(&site.merged());
    for _ in 0..5 {
        let answer = router.get("/");
        assert!(answer.body == pattern(LONG));
    }
}

#[test]
fn a_client_that_takes_nothing_or_leaves_lets_go_of_everything() {
    let origin = Origin::start(|_| Reply::Body(200, vec![b'x'; 16 << 20]));
    let site = site(origin.port(), "");
    let router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_LIMITS__IDLE", "500ms")]);
    router.until_ready();
    router.get("/");
    let before = descriptors(&router);

    for _ in 0..20 {
        let mut leaving = router.client();
        leaving.write(&Request::new("GET", "/").bytes()).unwrap();
        assert_eq!(leaving.read_some(1 << 20), 1 << 20);
    }
    let began = Instant::now();
    let mut stalled = router.client();
    stalled.write(&Request::new("GET", "/").bytes()).unwrap();
    let head = stalled.read_head().unwrap();
    let line = router.logged(head.header("x-request-id").unwrap());
    assert_eq!(line["reason"], "client_closed", "{line}");
    assert!(began.elapsed() >= Duration::from_millis(500));
    // Pipes that held something are closed; a few empty ones and the kept connections may stay.
    eventually("descriptors to be given back", || (descriptors(&router) <= before + 2).then_some(()));
}

#[test]
fn more_of_them_at_once_than_there_are_pipes_are_all_served() {
    let (gate, origin) = pausing_after(LONG / 2);
    let site = site(origin.port(), "");
    let router =
        Router::start(&site.merged(), &["--workers", "1"], &[("POSTERN_ROUTER_LIMITS__CONNECTIONS_PER_ADDRESS", "0")]);
    router.until_ready();
    let mut clients: Vec<_> = (0..300).map(|_| router.client()).collect();
    for client in &mut clients {
        client.write(&Request::new("GET", "/").bytes()).unwrap();
        assert_eq!(client.read_head().unwrap().status, 200);
    }
    gate.until_waiting(300);
    gate.open();
    let mut body = vec![0; LONG];
    for client in &mut clients {
        body.fill(0);
        client.read_exact(&mut body).unwrap();
        assert!(body == pattern(LONG));
    }
}
