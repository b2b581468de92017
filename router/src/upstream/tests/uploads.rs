//! Requests on their way up.

use super::*;

/// What a destination reads of one request, as it stands on the wire.
async fn wire(method: Method, path: &str, body: Script) -> String {
    let upstreams = upstreams();
    let read = Rc::new(RefCell::new(String::new()));
    let seen = Rc::clone(&read);
    let server = Server::start(move |mut stream, _| {
        let seen = Rc::clone(&seen);
        async move {
            let mut bytes = [0; 4096];
            // Answers when nothing more comes for a while.
            while let Ok(Ok(length)) = timeout(Duration::from_millis(60), stream.read(&mut bytes)).await {
                seen.borrow_mut().push_str(std::str::from_utf8(&bytes[..length]).unwrap());
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
        }
    })
    .await;
    let destination = server.destination();
    let head = head(method, path, &destination);
    upstreams
        .forward(&destination, timeouts(), head, body.metered(), &mut Phases::default(), Instant::now())
        .await
        .unwrap();
    read.take()
}

#[test]
fn the_framing_says_what_the_body_is() {
    local(async {
        const HOST_LINE: &str = " HTTP/1.1\r\nhost: orders.test\r\n";
        for (method, body, rest) in [
            (Method::GET, Script::none(), "\r\n"),
            (Method::DELETE, Script::none(), "\r\n"),
            (Method::POST, Script::none(), "content-length: 0\r\n\r\n"),
            (Method::PUT, Script::of([]), "transfer-encoding: chunked\r\n\r\n0\r\n\r\n"),
            (Method::POST, Script::bytes(b"abc"), "content-length: 3\r\n\r\nabc"),
            (Method::GET, Script::bytes(b"abc"), "content-length: 3\r\n\r\nabc"),
            (
                Method::POST,
                Script::of([Step::Data(b"ab"), Step::Data(b"c")]),
                "transfer-encoding: chunked\r\n\r\n2\r\nab\r\n1\r\nc\r\n0\r\n\r\n",
            ),
            (Method::GET, Script::of([Step::Data(b"abc")]), "transfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n"),
        ] {
            // Dots, escapes and empty segments as they are.
            let path = "/a/../b//%2e%2F;v=1?q=%20+&&x=|";
            assert_eq!(wire(method.clone(), path, body).await, format!("{method} {path}{HOST_LINE}{rest}"));
        }
    });
}

/// A destination that reads all there is and never answers.
async fn listener() -> Server {
    Server::start(|mut stream, _| async move { while stream.read_u8().await.is_ok() {} }).await
}

#[test]
fn a_client_that_fails_is_not_the_destinations_fault() {
    for (fault, reason) in [
        (BodyFault::ClientClosed, Reason::ClientClosed),
        (BodyFault::TooLarge, Reason::BodyTooLarge),
        (BodyFault::TooSlow, Reason::BodyTooSlow),
    ] {
        local(async move {
            let upstreams = upstreams();
            let server = listener().await;
            for known in [None, Some(100)] {
                let steps = [Step::Data(b"begun"), Step::Pause(Duration::from_millis(20)), Step::Fault(fault)];
                let body = Script { exact: known, ..Script::of(steps) };
                let sent = send(&upstreams, &server.destination(), Method::POST, body, timeouts()).await;
                assert_eq!(sent.unwrap_err(), reason);
            }
            // On a connection of its own each: what was begun cannot be taken back.
            assert_eq!((server.accepted.get(), upstreams.idle_connections()), (2, 0));
        });
    }
}

#[test]
fn a_body_of_another_length_than_announced_is_the_clients_fault() {
    local(async {
        let upstreams = upstreams();
        let server = listener().await;
        for (announced, reason) in [(100, Reason::ClientClosed), (6, Reason::ClientClosed), (4, Reason::BodyTooLarge)] {
            let body = Script::exactly(announced, [Step::Data(b"begun")]);
            let sent = send(&upstreams, &server.destination(), Method::POST, body, timeouts()).await;
            assert_eq!(sent.unwrap_err(), reason, "{announced}");
        }
    });
}

#[test]
fn an_answer_is_waited_for_from_the_end_of_the_upload() {
    local(async {
        let upstreams = upstreams();
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            while stream.read_u8().await.unwrap() != b'e' {}
            sleep(Duration::from_millis(100)).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok").await.unwrap();
        })
        .await;
        let pause = || Step::Pause(Duration::from_millis(100));
        let body = Script::exactly(
            4,
            [
                Step::Data(b"a"),
                pause(),
                Step::Data(b"b"),
                pause(),
                pause(),
                Step::Data(b"c"),
                pause(),
                Step::Data(b"e"),
            ],
        );
        let timeouts = Timeouts { first_byte: Duration::from_millis(250), ..timeouts() };
        let begun = Instant::now();
        let (_, answer) = send(&upstreams, &server.destination(), Method::POST, body, timeouts).await.unwrap();
        assert_eq!(answer, "ok");
        assert!(begun.elapsed() > timeouts.first_byte);
    });
}

#[test]
fn whoever_keeps_the_upload_waiting_is_named() {
    let short = Duration::from_millis(150);
    local(async move {
        let upstreams = upstreams();
        let server = listener().await;
        let timeouts = Timeouts { idle: short, ..timeouts() };
        let body = Script::of([Step::Data(b"begun"), Step::Stall]);
        let sent = send(&upstreams, &server.destination(), Method::POST, body, timeouts).await;
        assert_eq!(sent.unwrap_err(), Reason::BodyTooSlow);
    });
    local(async move {
        let upstreams = upstreams();
        let deaf = Server::start(|stream, _| async move {
            std::future::pending::<()>().await;
            drop(stream);
        })
        .await;
        let timeouts = Timeouts { first_byte: short, ..timeouts() };
        const MUCH: &[u8] = &[b'x'; 64 * 1024];
        let body = Script::of((0..1000).map(|_| Step::Data(MUCH)));
        let sent = send(&upstreams, &deaf.destination(), Method::POST, body, timeouts).await;
        assert_eq!(sent.unwrap_err(), Reason::DestinationTimeout);
    });
}

#[test]
fn an_early_answer_passes_and_the_connection_goes() {
    local(async {
        let upstreams = upstreams();
        let closed = Rc::new(Cell::new(0));
        let count = Rc::clone(&closed);
        let server = Server::start(move |mut stream, _| {
            let closed = Rc::clone(&count);
            async move {
                read_head(&mut stream).await;
                let _ = stream.write_all(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 3\r\n\r\nbig").await;
                while stream.read_u8().await.is_ok() {}
                closed.set(closed.get() + 1);
            }
        })
        .await;
        for round in 1..=2 {
            let body = Script::of([Step::Data(b"begun"), Step::Stall]);
            let (status, text) = send(&upstreams, &server.destination(), Method::POST, body, timeouts()).await.unwrap();
            assert_eq!((status, text.as_str()), (StatusCode::PAYLOAD_TOO_LARGE, "big"));
            assert_eq!(upstreams.idle_connections(), 0);
            // The client's body may stall for ever; nothing waits for it any more.
            until(|| closed.get() == round).await;
        }
        assert_eq!(server.accepted.get(), 2);
    });
}

#[test]
fn an_upload_and_its_answer_may_run_side_by_side() {
    local(async {
        let upstreams = upstreams();
        let server = Server::start(|mut stream, _| async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\no").await.unwrap();
                let mut body = [0; 2];
                stream.read_exact(&mut body).await.unwrap();
                stream.write_all(b"k").await.unwrap();
            }
        })
        .await;
        for _ in 0..3 {
            let pause = Step::Pause(Duration::from_millis(20));
            let body = Script::exactly(2, [Step::Data(b"a"), pause, Step::Data(b"b")]);
            let (_, text) = send(&upstreams, &server.destination(), Method::POST, body, timeouts()).await.unwrap();
            assert_eq!(text, "ok");
        }
        assert_eq!((server.accepted.get(), upstreams.idle_connections()), (1, 1));
    });
}

#[test]
fn a_fault_after_the_answer_began_ends_the_answer_with_its_reason() {
    local(async {
        let upstreams = upstreams();
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 20\r\n\r\nbegun").await.unwrap();
            while stream.read_u8().await.is_ok() {}
        })
        .await;
        let steps = [Step::Data(b"a"), Step::Pause(Duration::from_millis(50)), Step::Fault(BodyFault::TooLarge)];
        let sent = send(&upstreams, &server.destination(), Method::POST, Script::of(steps), timeouts()).await;
        assert_eq!(sent.unwrap_err(), Reason::BodyTooLarge);
    });
}
