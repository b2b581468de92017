//! Which connections are kept, and what is sent again when a kept one turns out to be gone.

use std::collections::{HashMap, HashSet};

use super::*;

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

#[test]
fn requests_one_after_another_share_a_connection() {
    local(async {
        let upstreams = upstreams();
        let server = Server::answering(OK).await;
        let destination = server.destination();
        for _ in 0..10 {
            assert_eq!(get(&upstreams, &destination).await.unwrap(), "ok");
        }
        assert_eq!((server.accepted.get(), upstreams.idle_connections()), (1, 1));
        let mut phases = Phases::default();
        let head = head(Method::GET, "/", &destination);
        drop(
            upstreams
                .forward(&destination, timeouts(), head, Script::none().metered(), &mut phases, Instant::now())
                .await
                .unwrap(),
        );
        assert!(phases.reused && phases.connect.is_none() && phases.first_byte.is_some());
    });
}

#[test]
fn what_is_sent_again_in_vain_is_not_forgotten_while_nothing_is_idle() {
    local(async {
        let upstreams = upstreams();
        let server = Server::answering(OK).await;
        let destination = server.destination();
        get(&upstreams, &destination).await.unwrap();
        let pool = &upstreams.pool;
        drop(pool.take(&destination, false, Instant::now()).unwrap());
        let again = (0..200).filter(|_| {
            pool.reap(Instant::now());
            pool.may_repeat(&destination)
        });
        assert_eq!(again.count(), 64);
        pool.retain(&HashSet::new());
        assert!(pool.may_repeat(&destination), "what is served no more is remembered");
    });
}

#[test]
fn answers_of_every_framing_leave_the_connection_in_use() {
    for answer in [
        "HTTP/1.1 204 No Content\r\n\r\n",
        "HTTP/1.1 304 Not Modified\r\nContent-Length: 50\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nx-sum: 1\r\n\r\n",
        "HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok",
    ] {
        local(async move {
            let upstreams = upstreams();
            let server = Server::answering(answer).await;
            let destination = server.destination();
            for _ in 0..3 {
                get(&upstreams, &destination).await.unwrap();
                assert_eq!(upstreams.idle_connections(), 1, "{answer}");
            }
            assert_eq!(server.accepted.get(), 1, "{answer}");
        });
    }
}

#[test]
fn a_connection_that_is_over_is_not_kept() {
    for answer in [
        "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok",
        "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok",
        // More than was asked for: the rest would be taken for the next answer.
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
    ] {
        local(async move {
            let upstreams = upstreams();
            let server = Server::answering(answer).await;
            let destination = server.destination();
            for round in 1..=3 {
                assert_ne!(get(&upstreams, &destination).await.unwrap(), "poison", "{answer}");
                assert_eq!((upstreams.idle_connections(), server.accepted.get()), (0, round), "{answer}");
            }
        });
    }
}

#[test]
fn late_bytes_are_nobodys_answer() {
    local(async {
        let upstreams = upstreams();
        let server = Server::start(|mut stream, _| async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(OK.as_bytes()).await.unwrap();
                sleep(Duration::from_millis(20)).await;
                let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison").await;
            }
        })
        .await;
        let destination = server.destination();
        assert_eq!(get(&upstreams, &destination).await.unwrap(), "ok");
        // Blocks the core, so that the bytes lie in the socket unread when the next request is sent.
        std::thread::sleep(Duration::from_millis(1));
        sleep(Duration::from_millis(25)).await;
        assert_eq!(get(&upstreams, &destination).await.unwrap(), "ok");
        assert_eq!(server.accepted.get(), 2);
    });
}

/// A server whose kept connections are of no use: it closes them at its own moments. Counts what arrived.
async fn fickle(seen: Rc<RefCell<HashMap<String, usize>>>) -> Server {
    Server::start(move |mut stream, turn| {
        let seen = Rc::clone(&seen);
        async move {
            let mut answered = 0;
            while let Some(head) = read_head(&mut stream).await {
                let id = head.split_whitespace().nth(1).unwrap().to_owned();
                *seen.borrow_mut().entry(id).or_default() += 1;
                // Every second connection takes one more request and goes without a word; the others go after
                // the answer, at once or a few turns later.
                if answered == 1 {
                    return;
                }
                stream.write_all(OK.as_bytes()).await.unwrap();
                answered += 1;
                match turn % 4 {
                    0 => return,
                    1 => {
                        for _ in 0..turn % 7 {
                            tokio::task::yield_now().await;
                        }
                        return;
                    }
                    _ => {}
                }
            }
        }
    })
    .await
}

async fn rounds(method: Method, count: usize) -> (Vec<Result<(), Reason>>, HashMap<String, usize>, Counters) {
    let seen: Rc<RefCell<HashMap<String, usize>>> = Rc::default();
    let upstreams = upstreams();
    let server = fickle(Rc::clone(&seen)).await;
    let destination = server.destination();
    let mut outcomes = Vec::new();
    for round in 0..count {
        let head = head(method.clone(), &format!("/{round}"), &destination);
        let body = if method == Method::POST { Script::bytes(b"") } else { Script::none() };
        let answer = upstreams
            .forward(&destination, timeouts(), head, body.metered(), &mut Phases::default(), Instant::now())
            .await;
        outcomes.push(match answer {
            Ok(answer) => collect(answer.content).await.map(drop),
            Err(rejection) => Err(rejection.reason),
        });
    }
    let seen = seen.take();
    (outcomes, seen, upstreams.counters())
}

#[test]
fn a_get_on_a_connection_that_went_is_answered_all_the_same() {
    local(async {
        let (outcomes, seen, counters) = rounds(Method::GET, 1_000).await;
        assert!(outcomes.iter().all(Result::is_ok));
        assert_eq!(seen.len(), 1_000);
        assert!(seen.values().all(|&times| times <= 2));
        assert!(counters.repeated > 100, "{counters:?}");
    });
}

#[test]
fn a_post_on_a_connection_that_went_is_never_sent_twice() {
    local(async {
        let (outcomes, seen, counters) = rounds(Method::POST, 1_000).await;
        assert!(seen.values().all(|&times| times == 1), "sent twice");
        // Those that were not answered did arrive; those that had not been sent went on without an error.
        for (round, outcome) in outcomes.iter().enumerate() {
            assert!(outcome.is_ok() || *outcome == Err(Reason::DestinationReset));
            assert!(outcome.is_err() || seen.contains_key(&format!("/{round}")));
        }
        let failed = outcomes.iter().filter(|outcome| outcome.is_err()).count();
        assert!((100..500).contains(&failed), "{failed} failed, {counters:?}");
    });
}

#[test]
fn what_may_be_sent_again() {
    for (method, body, again) in [
        (Method::GET, Script::none(), true),
        (Method::HEAD, Script::none(), true),
        (Method::OPTIONS, Script::none(), true),
        (Method::PUT, Script::none(), true),
        (Method::DELETE, Script::none(), true),
        (Method::PUT, Script::bytes(b"x"), false),
        (Method::GET, Script::bytes(b"x"), false),
        (Method::POST, Script::none(), false),
        (Method::PATCH, Script::none(), false),
    ] {
        local(async move {
            let upstreams = upstreams();
            // Answers the first request of a connection, and takes a second without a word.
            let server = Server::start(|mut stream, _| async move {
                read_head(&mut stream).await;
                stream.write_all(OK.as_bytes()).await.unwrap();
                read_head(&mut stream).await;
            })
            .await;
            let destination = server.destination();
            get(&upstreams, &destination).await.unwrap();
            let name = method.clone();
            let sent = send(&upstreams, &destination, method, body, timeouts()).await;
            assert_eq!((sent.is_ok(), server.accepted.get()), (again, 1 + usize::from(again)), "{name}");
        });
    }
}

#[test]
fn what_was_answered_in_part_is_not_sent_again() {
    local(async {
        let upstreams = upstreams();
        let server = Server::start(|mut stream, turn| async move {
            read_head(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            read_head(&mut stream).await;
            let part = if turn == 0 { "HTTP/1.1 200 O" } else { "" };
            stream.write_all(part.as_bytes()).await.unwrap();
        })
        .await;
        let destination = server.destination();
        get(&upstreams, &destination).await.unwrap();
        assert_eq!(get(&upstreams, &destination).await.unwrap_err(), Reason::DestinationReset);
        assert_eq!(server.accepted.get(), 1);
    });
}

#[test]
fn no_more_than_the_limit_is_kept() {
    local(async {
        let upstreams = upstreams();
        let server = Server::answering(OK).await;
        let destination = server.destination();
        for (count, kept) in [(limits::IDLE_PER_DESTINATION, 512), (limits::IDLE_PER_DESTINATION + 1, 512)] {
            let mut answers = Vec::new();
            for _ in 0..count {
                let head = head(Method::GET, "/", &destination);
                let body = Script::none();
                answers.push(
                    upstreams
                        .forward(&destination, timeouts(), head, body.metered(), &mut Phases::default(), Instant::now())
                        .await
                        .unwrap(),
                );
            }
            for answer in answers {
                collect(answer.content).await.unwrap();
            }
            assert_eq!(upstreams.idle_connections(), kept);
            // Counts them anew.
            upstreams.pool.reap(Instant::now());
            assert_eq!(upstreams.idle_connections(), kept);
        }
    });
}

#[test]
fn what_is_served_no_more_is_not_kept() {
    local(async {
        let upstreams = upstreams();
        let server = Server::answering(OK).await;
        let destination = server.destination();
        let served = HashSet::from([Arc::clone(destination.key())]);
        get(&upstreams, &destination).await.unwrap();
        for (now_served, in_use, kept) in [(&served, false, 1), (&served, true, 1), (&HashSet::new(), true, 0)] {
            if in_use {
                let head = head(Method::GET, "/", &destination);
                let body = Script::none();
                let answer = upstreams
                    .forward(&destination, timeouts(), head, body.metered(), &mut Phases::default(), Instant::now())
                    .await;
                upstreams.retain(now_served);
                collect(answer.unwrap().content).await.unwrap();
            } else {
                upstreams.retain(now_served);
            }
            assert_eq!(upstreams.idle_connections(), kept);
        }
        // Back again, with the next generation.
        upstreams.retain(&served);
        get(&upstreams, &destination).await.unwrap();
        assert_eq!(upstreams.idle_connections(), 1);
        upstreams.retain(&HashSet::new());
        assert_eq!(upstreams.idle_connections(), 0);
    });
}

#[test]
fn what_was_idle_for_long_or_has_closed_is_dropped() {
    local(async {
        let upstreams = upstreams();
        let server = Server::start(|mut stream, turn| async move {
            read_head(&mut stream).await;
            stream.write_all(OK.as_bytes()).await.unwrap();
            if turn == 0 {
                sleep(Duration::from_millis(10)).await;
            } else {
                until(|| false).await;
            }
        })
        .await;
        let destination = server.destination();
        get(&upstreams, &destination).await.unwrap();
        until(|| {
            upstreams.pool.reap(Instant::now());
            upstreams.idle_connections() == 0
        })
        .await;
        get(&upstreams, &destination).await.unwrap();
        upstreams.pool.reap(Instant::now() + limits::IDLE_FOR - Duration::from_secs(5));
        assert_eq!(upstreams.idle_connections(), 1);
        upstreams.pool.reap(Instant::now() + limits::IDLE_FOR);
        assert_eq!(upstreams.idle_connections(), 0);
    });
}

#[test]
fn who_goes_away_takes_the_connection_along() {
    local(async {
        let upstreams = upstreams();
        let closed = Rc::new(Cell::new(0));
        let count = Rc::clone(&closed);
        let server = Server::start(move |mut stream, turn| {
            let closed = Rc::clone(&count);
            async move {
                read_head(&mut stream).await;
                if turn > 0 {
                    stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegun").await.unwrap();
                }
                while stream.read_u8().await.is_ok() {}
                closed.set(closed.get() + 1);
            }
        })
        .await;
        let destination = server.destination();
        // While the answer is waited for.
        let waiting = timeout(Duration::from_millis(50), get(&upstreams, &destination)).await;
        assert!(waiting.is_err());
        until(|| closed.get() == 1).await;
        // In the middle of its body.
        let head = head(Method::GET, "/", &destination);
        let answer = upstreams
            .forward(&destination, timeouts(), head, Script::none().metered(), &mut Phases::default(), Instant::now())
            .await
            .unwrap();
        let mut body = body(answer);
        assert!(piece(&mut body).await.is_some());
        drop(body);
        until(|| closed.get() == 2).await;
        assert_eq!(upstreams.idle_connections(), 0);
    });
}
