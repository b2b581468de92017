//! A destination in trouble is not given more to do than clients ask for: what is sent once more is a tenth at most.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postern_tests::frames::{kind, settings};
use postern_tests::{RawOrigin, Request, Router, Site, boundary_with, registration, runs};

/// What is let through at once, beyond a tenth.
const AT_ONCE: usize = 64;

/// Sends so many requests to whatever listens there, and holds what arrived against it.
fn hold(what: &str, port: u16, protocol: &str, clients: usize, arrived: &AtomicUsize) {
    let offered = runs(&format!("requests to a destination that {what}"), 600, 10_000);
    let boundary = boundary_with(&[port], "").replace("addresses:", &format!("protocol: {protocol}, addresses:"));
    let site = Site::new(&boundary, &[registration("/", port, "")]);
    let router = Router::start(&site.merged(), &["--workers", "1"], &[]);
    router.until_ready();
    std::thread::scope(|scope| {
        for _ in 0..clients {
            scope.spawn(|| {
                let mut client = router.client();
                for _ in 0..offered / clients {
                    let answer = client.send(&Request::new("GET", "/"));
                    assert!(matches!(answer.status, 502 | 503), "{what}: {}", answer.text());
                }
            });
        }
    });
    let arrived = arrived.load(Ordering::SeqCst);
    assert!(arrived >= offered / 2, "{what}: {arrived} of {offered} arrived: this shows nothing");
    assert!(arrived <= offered + offered / 10 + AT_ONCE, "{what}: {arrived} arrived of {offered}");
}

#[test]
fn a_destination_that_fails_is_not_asked_more_often_than_clients_ask() {
    for (what, answers) in [
        ("answers 503", usize::MAX),
        ("resets every connection", 0),
        ("answers 503 and resets every second request", 1),
        ("answers 503 and resets every fourth request", 3),
    ] {
        let arrived: Arc<AtomicUsize> = Arc::default();
        let count = Arc::clone(&arrived);
        let origin = RawOrigin::start(move |wire| {
            let mut left = answers;
            while !wire.head().is_empty() {
                count.fetch_add(1, Ordering::SeqCst);
                if left == 0 {
                    return wire.reset();
                }
                left -= 1;
                wire.write(b"HTTP/1.1 503 x\r\ncontent-length: 2\r\n\r\nno");
            }
        });
        hold(what, origin.port(), "http1", 4, &arrived);
    }
}

#[test]
fn nor_is_one_that_resets_sessions_of_http2() {
    let arrived: Arc<AtomicUsize> = Arc::default();
    let count = Arc::clone(&arrived);
    let origin = RawOrigin::of_http2(settings(&[]), move |wire, came| {
        let asked = came.kind == kind::HEADERS;
        if asked {
            count.fetch_add(1, Ordering::SeqCst);
            wire.reset();
        }
        !asked
    });
    // One after the other: those at once would share a session, and its end.
    hold("resets every session", origin.port(), "h2c", 1, &arrived);
}
