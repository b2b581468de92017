//! Answers on their way down.

use super::*;

async fn outcome(answer: &'static str, timeouts: Timeouts) -> Result<(StatusCode, String), Reason> {
    let upstreams = upstreams();
    let server = Server::start(move |mut stream, _| async move {
        read_head(&mut stream).await;
        let (answer, after) = answer.split_once('|').unwrap_or((answer, ""));
        stream.write_all(answer.as_bytes()).await.unwrap();
        match after {
            "stall" => std::future::pending().await,
            "reset" => socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO)).unwrap(),
            "drip" => loop {
                sleep(Duration::from_millis(20)).await;
                if stream.write_all(b"x").await.is_err() {
                    return;
                }
            },
            _ => {}
        }
    })
    .await;
    let sent = send(&upstreams, &server.destination(), Method::GET, Script::none(), timeouts).await;
    if sent.is_err() {
        assert_eq!(upstreams.idle_connections(), 0);
    }
    sent
}

fn fails(answer: &'static str, reason: Reason) {
    local(async move { assert_eq!(outcome(answer, timeouts()).await.unwrap_err(), reason, "{answer}") });
}

#[test]
fn a_short_body_is_never_taken_for_a_whole_one() {
    fails("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort", Reason::DestinationReset);
    fails("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort|reset", Reason::DestinationReset);
    fails("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n", Reason::DestinationReset);
    fails("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nshort", Reason::DestinationReset);
    fails("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nshort\r\n0\r\nx: 1", Reason::DestinationReset);
}

#[test]
fn no_answer_at_all_is_a_reset() {
    fails("", Reason::DestinationReset);
    fails("|reset", Reason::DestinationReset);
    fails("HTTP/1.1 200", Reason::DestinationReset);
}

#[test]
fn what_is_not_http_is_refused() {
    for answer in [
        "220 mail.example.com ESMTP\r\n\r\n",
        "HTTP/1.1 twohundred OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\nNo colon\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nX : 1\r\nContent-Length: 2\r\n\r\nab",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nshort\r\n",
        // Asked for by nobody.
        "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: x\r\n\r\n",
        "HTTP/1.1 101 Switching Protocols\r\n\r\n|stall",
    ] {
        fails(answer, Reason::DestinationProtocol);
    }
}

#[test]
fn the_limits_of_an_answers_head() {
    use crate::http1::{FIELDS, RESPONSE_HEAD};
    for (count, fine) in [(FIELDS, true), (FIELDS + 1, false)] {
        let headers: String = (1..count).map(|place| format!("x-{place}: 1\r\n")).collect();
        let answer = format!("HTTP/1.1 200 OK\r\n{headers}Content-Length: 0\r\n\r\n").leak();
        local(async move { assert_eq!(outcome(answer, timeouts()).await.is_ok(), fine, "{count}") });
    }
    const AROUND: &str = "HTTP/1.1 204 OK\r\nx: \r\n\r\n";
    for (bytes, fine) in [(RESPONSE_HEAD, true), (RESPONSE_HEAD + 1, false)] {
        let answer = AROUND.replace("x: ", &format!("x: {}", "y".repeat(bytes - AROUND.len()))).leak();
        local(async move { assert_eq!(outcome(answer, timeouts()).await.is_ok(), fine, "{bytes}") });
    }
}

#[test]
fn a_body_without_a_length_ends_with_the_connection() {
    local(async {
        let answer = outcome("HTTP/1.1 200 OK\r\n\r\nwhole", timeouts()).await.unwrap();
        assert_eq!(answer, (StatusCode::OK, "whole".to_owned()));
        // Unless it ends with a reset.
        assert_eq!(outcome("HTTP/1.1 200 OK\r\n\r\n|reset", timeouts()).await, Err(Reason::DestinationReset));
    });
}

#[test]
fn silence_ends_an_answer() {
    let short = Duration::from_millis(150);
    let first_byte = Timeouts { first_byte: short, ..timeouts() };
    let idle = Timeouts { idle: short, ..timeouts() };
    let total = Timeouts { total: Some(short), ..timeouts() };
    const STALLED: &str = "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort|stall";
    const DRIPS: &str = "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n|drip";
    for (answer, timeouts, reason) in [
        ("|stall", first_byte, Reason::DestinationTimeout),
        ("HTTP/1.1 200 O|stall", first_byte, Reason::DestinationTimeout),
        ("HTTP/1.1 103 Early Hints\r\n\r\n|stall", first_byte, Reason::DestinationTimeout),
        ("|stall", total, Reason::TotalTimeout),
        (STALLED, idle, Reason::DestinationIdle),
        (STALLED, total, Reason::TotalTimeout),
        (DRIPS, total, Reason::TotalTimeout),
    ] {
        local(async move {
            let begun = Instant::now();
            assert_eq!(outcome(answer, timeouts).await.unwrap_err(), reason, "{answer}");
            let took = begun.elapsed();
            assert!(took >= short && took < Duration::from_secs(2), "{answer}: {took:?}");
        });
    }
}

#[test]
fn a_slow_reader_is_not_the_destinations_silence() {
    local(async {
        let upstreams = upstreams();
        let server = Server::start(|mut stream, _| async move {
            read_head(&mut stream).await;
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n").await.unwrap();
            sleep(Duration::from_millis(50)).await;
            stream.write_all(b"first").await.unwrap();
            sleep(Duration::from_millis(250)).await;
            stream.write_all(b"other").await.unwrap();
        })
        .await;
        let destination = server.destination();
        let timeouts = Timeouts { idle: Duration::from_millis(150), ..timeouts() };
        let head = head(Method::GET, "/", &destination);
        let answer = upstreams
            .forward(&destination, timeouts, head, Script::none().metered(), &mut Phases::default(), Instant::now())
            .await;
        let mut body = body(answer.unwrap());
        assert_eq!(piece(&mut body).await.unwrap(), "first");
        // Longer than the timeout; then the rest is waited for anew.
        sleep(Duration::from_millis(200)).await;
        assert_eq!(piece(&mut body).await.unwrap(), "other");
        assert_eq!(piece(&mut body).await, None);
    });
}

#[test]
fn bytes_pass_as_they_come() {
    local(async {
        let upstreams = upstreams();
        let told = Rc::new(Cell::new(false));
        let may_end = Rc::clone(&told);
        let server = Server::start(move |mut stream, _| {
            let may_end = Rc::clone(&may_end);
            async move {
                read_head(&mut stream).await;
                stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n").await.unwrap();
                until(|| may_end.get()).await;
                stream.write_all(b"1\r\nb\r\n0\r\nx-sum: 2\r\n\r\n").await.unwrap();
                until(|| false).await;
            }
        })
        .await;
        let destination = server.destination();
        let head = head(Method::GET, "/", &destination);
        let answer = upstreams
            .forward(&destination, timeouts(), head, Script::none().metered(), &mut Phases::default(), Instant::now())
            .await;
        let mut body = body(answer.unwrap());
        assert_eq!(piece(&mut body).await.unwrap(), "a");
        told.set(true);
        assert_eq!(piece(&mut body).await.unwrap(), "b");
        // Trailers of HTTP/1 are checked and go no further.
        assert_eq!(piece(&mut body).await, None);
        assert_eq!(upstreams.idle_connections(), 1);
    });
}

#[test]
fn a_head_has_no_body() {
    local(async {
        let upstreams = upstreams();
        let server = Server::answering("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n").await;
        for _ in 0..2 {
            let (status, body) =
                send(&upstreams, &server.destination(), Method::HEAD, Script::none(), timeouts()).await.unwrap();
            assert_eq!((status, body.as_str()), (StatusCode::OK, ""));
        }
        assert_eq!(server.accepted.get(), 1);
    });
}
