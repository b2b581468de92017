//! HTTP/2 with destinations: what shares a session, what is sent again, what an answer may be.

use std::collections::HashSet;

use bytes::Bytes;
use h2::server::{Connection, SendResponse};
use h2::{Reason as Code, RecvStream};
use http::{HeaderMap, Request, Response};

use super::*;
use crate::snapshot::Speaks;

type Call = (Request<RecvStream>, SendResponse<Bytes>);

/// A destination that speaks HTTP/2; `script` gets every connection, and which it is.
async fn serve<F>(script: impl Fn(Connection<TcpStream, Bytes>, usize) -> F + Clone + 'static) -> Server
where
    F: Future<Output = ()> + 'static,
{
    Server::start(move |stream, turn| {
        let script = script.clone();
        async move {
            let mut http = h2::server::Builder::new();
            let connection = http.max_concurrent_streams(200).handshake(stream).await;
            if let Ok(connection) = connection {
                script(connection, turn).await;
            }
        }
    })
    .await
}

/// The same, for what answers each request on every connection alike.
async fn answering<F>(answer: impl Fn(Call) -> F + Clone + 'static) -> Server
where
    F: Future<Output = ()> + 'static,
{
    serve(move |mut connection, _| {
        let answer = answer.clone();
        async move {
            while let Some(Ok(call)) = connection.accept().await {
                tokio::task::spawn_local(answer(call));
            }
        }
    })
    .await
}

fn ok() -> Response<()> {
    Response::new(())
}

async fn echo((request, mut respond): Call) {
    let mut out = respond.send_response(ok(), false).unwrap();
    let mut body = request.into_body();
    while let Some(Ok(data)) = body.data().await {
        body.flow_control().release_capacity(data.len()).unwrap();
        out.send_data(data, false).unwrap();
    }
    match body.trailers().await.unwrap() {
        Some(trailers) => out.send_trailers(trailers).unwrap(),
        None => out.send_data(Bytes::new(), true).unwrap(),
    }
}

async fn say_ok((_, mut respond): Call) {
    respond.send_response(ok(), false).unwrap().send_data("ok".into(), true).unwrap();
}

fn to(server: &Server) -> Arc<Destination> {
    Destination::speaking(Speaks::Http2, ("localhost", server.port), "orders.test:81", None, &["127.0.0.0/8"], true)
}

fn patience(first_byte: u64, idle: u64) -> Timeouts {
    let millis = Duration::from_millis;
    Timeouts { first_byte: millis(first_byte), idle: millis(idle), ..timeouts() }
}

#[test]
fn many_requests_at_once_share_one_session() {
    local(async {
        let server = answering(echo).await;
        let (upstreams, destination) = (Rc::new(upstreams()), to(&server));
        let requests: Vec<_> = (0..100)
            .map(|_| {
                let (upstreams, destination) = (Rc::clone(&upstreams), Arc::clone(&destination));
                tokio::task::spawn_local(async move {
                    send(&upstreams, &destination, Method::POST, Script::bytes(b"hello"), timeouts()).await.unwrap()
                })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap(), (StatusCode::OK, "hello".to_owned()));
        }
        assert_eq!((server.accepted.get(), upstreams.idle_connections()), (1, 1));
        let counters = upstreams.counters();
        assert_eq!((counters.dials, counters.reused), (1, 99));
    });
}

#[test]
fn a_full_session_is_followed_by_another() {
    local(async {
        let server = answering(|(request, respond)| async move {
            std::future::pending::<()>().await;
            drop((request, respond));
        })
        .await;
        let (upstreams, destination) = (Rc::new(upstreams()), to(&server));
        let requests: Vec<_> = (0..limits::STREAMS * 2 + 1)
            .map(|_| {
                let (upstreams, destination) = (Rc::clone(&upstreams), Arc::clone(&destination));
                tokio::task::spawn_local(async move { get(&upstreams, &destination).await })
            })
            .collect();
        until(|| server.accepted.get() == 3).await;
        requests.iter().for_each(tokio::task::JoinHandle::abort);
        until(|| upstreams.idle_connections() == 3).await;
    });
}

#[test]
fn the_request_is_what_was_written_for_the_destination() {
    local(async {
        let server = answering(|(request, mut respond)| async move {
            let (parts, _) = request.into_parts();
            let text = format!("{} {} {:?} {:?}", parts.method, parts.uri, parts.version, parts.headers);
            respond.send_response(ok(), false).unwrap().send_data(text.into(), true).unwrap();
        })
        .await;
        let destination = to(&server);
        let mut outbound = head(Method::POST, "/orders/1?a=b", &destination);
        outbound.te_trailers = true;
        let mut phases = Phases::default();
        let body = Script::bytes(b"hello").metered();
        let answer =
            upstreams().forward(&destination, timeouts(), outbound, body, &mut phases, Instant::now()).await.unwrap();
        let text = String::from_utf8(collect(answer.content).await.unwrap()).unwrap();
        let headers = r#"{"content-length": "5", "te": "trailers"}"#;
        assert_eq!(text, format!("POST http://orders.test:81/orders/1?a=b HTTP/2.0 {headers}"));
    });
}

#[test]
fn answers_have_the_framing_that_they_say() {
    let rows: [(&str, u16, Option<&str>, bool, Framing); 6] = [
        ("GET", 200, Some("2"), false, Framing::Length(2)),
        ("GET", 200, None, false, Framing::Chunked),
        ("GET", 200, None, true, Framing::None),
        ("HEAD", 200, Some("2"), true, Framing::None),
        ("GET", 204, None, true, Framing::None),
        ("GET", 304, Some("2"), true, Framing::None),
    ];
    for (method, status, length, ends, framing) in rows {
        local(async move {
            let server = answering(move |(_, mut respond): Call| async move {
                let mut answer = Response::builder().status(status);
                if let Some(length) = length {
                    answer = answer.header("content-length", length);
                }
                let mut out = respond.send_response(answer.body(()).unwrap(), ends).unwrap();
                if !ends {
                    out.send_data("ok".into(), true).unwrap();
                }
            })
            .await;
            let (upstreams, destination) = (upstreams(), to(&server));
            let outbound = head(method.parse().unwrap(), "/", &destination);
            let body = Script::none().metered();
            let answer = upstreams
                .forward(&destination, timeouts(), outbound, body, &mut Phases::default(), Instant::now())
                .await
                .unwrap();
            assert_eq!((answer.head.status().as_u16(), answer.head.framing()), (status, framing), "{method}");
            let bytes = collect(answer.content).await.unwrap();
            assert_eq!(bytes, if ends { &b""[..] } else { b"ok" }, "{method} {status}");
        });
    }
}

#[test]
fn trailers_come_back_and_go_up() {
    local(async {
        let server = answering(echo).await;
        let destination = to(&server);
        let mut script = Script::of([Step::Data(b"hello")]);
        let trailers = [("x-sum", "1"), ("x-user", "root"), ("x-in-head", "2")];
        script.trailers = Some(
            trailers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect::<HeaderMap>(),
        );
        let mut text = Buffer::small();
        text.extend_from_slice(b"POST / HTTP/1.1\r\nhost: orders.test\r\nx-in-head: 1\r\n");
        let mut outbound = Outbound::new(text, Method::POST, false);
        outbound.barred = Box::new([http::HeaderName::from_static("x-user")]);
        let answer = upstreams()
            .forward(&destination, timeouts(), outbound, script.metered(), &mut Phases::default(), Instant::now())
            .await
            .unwrap();
        let mut body = body(answer);
        assert_eq!(piece(&mut body).await.as_deref(), Some("hello"));
        assert_eq!(piece(&mut body).await, None);
        let trailers = body.trailers().unwrap();
        assert_eq!(trailers.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>(), ["x-sum"]);
        assert!(body.is_over());
    });
}

#[test]
fn what_is_no_answer_is_refused() {
    let broken: [fn(SendResponse<Bytes>); 4] = [
        // Shorter, and longer, than announced.
        |mut respond| {
            let head = Response::builder().header("content-length", "9").body(()).unwrap();
            respond.send_response(head, false).unwrap().send_data("ok".into(), true).unwrap();
        },
        |mut respond| {
            let head = Response::builder().header("content-length", "1").body(()).unwrap();
            respond.send_response(head, false).unwrap().send_data("okok".into(), true).unwrap();
        },
        |mut respond| {
            let head = Response::builder().header("content-length", "x").body(()).unwrap();
            respond.send_response(head, false).unwrap().send_data("ok".into(), true).unwrap();
        },
        |mut respond| {
            let mut head = Response::builder();
            for number in 0..=crate::http1::FIELDS {
                head = head.header(format!("x-{number}"), "1");
            }
            respond.send_response(head.body(()).unwrap(), true).unwrap();
        },
    ];
    for answer in broken {
        local(async move {
            let server = answering(move |(_, respond): Call| async move { answer(respond) }).await;
            let failed = get(&upstreams(), &to(&server)).await.unwrap_err();
            assert_eq!(failed, Reason::DestinationProtocol);
        });
    }
}

#[test]
fn what_a_destination_did_not_look_at_is_sent_once_more() {
    for (method, body) in [(Method::GET, false), (Method::POST, false), (Method::POST, true)] {
        local(async move {
            let seen = Rc::new(Cell::new(0));
            let count = Rc::clone(&seen);
            let server = answering(move |(request, mut respond): Call| {
                let count = Rc::clone(&count);
                async move {
                    count.set(count.get() + 1);
                    match count.get() {
                        1 => respond.send_reset(Code::REFUSED_STREAM),
                        _ => echo((request, respond)).await,
                    }
                }
            })
            .await;
            // A body that the client still owes was not taken from it.
            let script = if body { Script::of([Step::Pause(Duration::from_millis(50))]) } else { Script::none() };
            let (status, _) = send(&upstreams(), &to(&server), method, script, timeouts()).await.unwrap();
            assert_eq!((status, seen.get()), (StatusCode::OK, 2));
        });
    }
}

#[test]
fn a_body_that_went_up_is_not_sent_twice() {
    local(async {
        let server = answering(|(request, mut respond): Call| async move {
            let mut body = request.into_body();
            let _ = body.data().await;
            respond.send_reset(Code::REFUSED_STREAM);
        })
        .await;
        let upstreams = upstreams();
        let sent = send(&upstreams, &to(&server), Method::PUT, Script::bytes(b"hello"), timeouts()).await;
        assert_eq!((sent.unwrap_err(), upstreams.counters().repeated), (Reason::DestinationReset, 0));
    });
}

#[test]
fn a_session_that_ends_takes_only_what_may_be_repeated_to_another() {
    for (method, answered) in [(Method::GET, true), (Method::POST, false)] {
        local(async move {
            let server = serve(|mut connection, turn| async move {
                while let Some(Ok(call)) = connection.accept().await {
                    if turn == 0 && call.0.uri().path() != "/first" {
                        return;
                    }
                    say_ok(call).await;
                }
            })
            .await;
            let (upstreams, destination) = (upstreams(), to(&server));
            let first = head(Method::GET, "/first", &destination);
            let body = Script::none().metered();
            let answer = upstreams
                .forward(&destination, timeouts(), first, body, &mut Phases::default(), Instant::now())
                .await
                .unwrap();
            collect(answer.content).await.unwrap();
            let second = send(&upstreams, &destination, method, Script::none(), timeouts()).await;
            assert_eq!(second.is_ok(), answered, "{second:?}");
            assert_eq!(server.accepted.get(), 1 + usize::from(answered));
        });
    }
}

#[test]
fn a_session_that_is_going_away_takes_nothing_new() {
    local(async {
        let server = serve(|mut connection, turn| async move {
            while let Some(Ok(call)) = connection.accept().await {
                say_ok(call).await;
                if turn == 0 {
                    connection.graceful_shutdown();
                }
            }
        })
        .await;
        let (upstreams, destination) = (upstreams(), to(&server));
        for _ in 0..5 {
            let sent = send(&upstreams, &destination, Method::POST, Script::bytes(b"x"), timeouts()).await;
            assert_eq!(sent.unwrap().1, "ok");
            sleep(Duration::from_millis(5)).await;
        }
        assert_eq!(server.accepted.get(), 2);
    });
}

#[test]
fn a_client_that_goes_resets_its_stream_alone() {
    local(async {
        let reset = Rc::new(Cell::new(None));
        let seen = Rc::clone(&reset);
        let server = answering(move |(request, mut respond): Call| {
            let seen = Rc::clone(&seen);
            async move {
                if request.uri().path() == "/" {
                    say_ok((request, respond)).await;
                } else {
                    seen.set(poll_fn(|context| respond.poll_reset(context)).await.ok());
                }
            }
        })
        .await;
        let (upstreams, destination) = (upstreams(), to(&server));
        let slow = timeout(Duration::from_millis(50), get(&upstreams, &destination)).await;
        assert!(slow.is_err());
        until(|| reset.get() == Some(Code::CANCEL)).await;
        let quick = head(Method::GET, "/", &destination);
        let body = Script::none().metered();
        let answer = upstreams
            .forward(&destination, timeouts(), quick, body, &mut Phases::default(), Instant::now())
            .await
            .unwrap();
        assert_eq!((collect(answer.content).await.unwrap(), server.accepted.get()), (b"ok".to_vec(), 1));
    });
}

#[test]
fn waiting_ends() {
    local(async {
        let silent = answering(|(request, mut respond): Call| async move {
            if request.uri().path() == "/half" {
                let mut out = respond.send_response(ok(), false).unwrap();
                out.send_data("ok".into(), false).unwrap();
                poll_fn(|context| out.poll_reset(context)).await.unwrap();
            }
            let _ = poll_fn(|context| respond.poll_reset(context)).await;
        })
        .await;
        let (upstreams, destination) = (upstreams(), to(&silent));
        let never = send(&upstreams, &destination, Method::GET, Script::none(), patience(50, 5_000)).await;
        assert_eq!(never.unwrap_err(), Reason::DestinationTimeout);
        let half = head(Method::GET, "/half", &destination);
        let body = Script::none().metered();
        let answer = upstreams
            .forward(&destination, patience(5_000, 50), half, body, &mut Phases::default(), Instant::now())
            .await
            .unwrap();
        assert_eq!(collect(answer.content).await.unwrap_err(), Reason::DestinationIdle);
        let stalled = Script::of([Step::Data(b"x"), Step::Stall]);
        let slow = send(&upstreams, &destination, Method::POST, stalled, patience(5_000, 50)).await;
        assert_eq!(slow.unwrap_err(), Reason::BodyTooSlow);
        // It answers pings, so nobody doubts it for long.
        assert!(silent.accepted.get() <= 3);
    });
}

#[test]
fn a_clients_failure_is_the_clients() {
    local(async {
        let server = answering(echo).await;
        let (upstreams, destination) = (upstreams(), to(&server));
        let broken = Script::of([Step::Data(b"x"), Step::Fault(BodyFault::ClientClosed)]);
        let sent = send(&upstreams, &destination, Method::POST, broken, timeouts()).await;
        assert_eq!(sent.unwrap_err(), Reason::ClientClosed);
        let short = Script::exactly(9, [Step::Data(b"x")]);
        let sent = send(&upstreams, &destination, Method::POST, short, timeouts()).await;
        assert_eq!(sent.unwrap_err(), Reason::ClientClosed);
    });
}

#[test]
fn what_is_served_no_more_is_let_go() {
    local(async {
        let server = answering(say_ok).await;
        let (upstreams, destination) = (upstreams(), to(&server));
        get(&upstreams, &destination).await.unwrap();
        upstreams.retain(&HashSet::from([Arc::clone(destination.key())]));
        assert_eq!(upstreams.idle_connections(), 1);
        upstreams.retain(&HashSet::new());
        assert_eq!(upstreams.idle_connections(), 0);
        get(&upstreams, &destination).await.unwrap();
        assert_eq!(server.accepted.get(), 2);
    });
}

#[test]
fn nobody_there_is_told_to_all_who_wait() {
    local(async {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let address = ("localhost", free);
        let destination = Destination::speaking(Speaks::Http2, address, "orders.test", None, &["127.0.0.0/8"], true);
        let upstreams = Rc::new(upstreams());
        let requests: Vec<_> = (0..50)
            .map(|_| {
                let (upstreams, destination) = (Rc::clone(&upstreams), Arc::clone(&destination));
                tokio::task::spawn_local(async move { get(&upstreams, &destination).await })
            })
            .collect();
        for request in requests {
            assert_eq!(request.await.unwrap().unwrap_err(), Reason::DestinationRefused);
        }
        assert!(upstreams.counters().dials < 50);
    });
}

#[test]
fn a_session_that_went_dumb_is_left() {
    local(async {
        let server = serve(|mut connection, turn| async move {
            while let Some(Ok(call)) = connection.accept().await {
                if turn == 0 {
                    // Nobody moves this connection any more, so it answers no ping either.
                    std::future::pending::<()>().await;
                }
                say_ok(call).await;
            }
        })
        .await;
        let (upstreams, destination) = (upstreams(), to(&server));
        let never = send(&upstreams, &destination, Method::GET, Script::none(), patience(50, 5_000)).await;
        assert_eq!(never.unwrap_err(), Reason::DestinationTimeout);
        for _ in 0..3 {
            assert_eq!(get(&upstreams, &destination).await.unwrap(), "ok");
        }
        assert_eq!(server.accepted.get(), 2);
    });
}

#[test]
fn interim_answers_pass_by_and_too_many_do_not() {
    let too_many = Err(Reason::DestinationProtocol);
    for (count, outcome) in [(3, Ok("ok")), (16, Ok("ok")), (17, too_many), (40, too_many)] {
        local(async move {
            let server = answering(move |(request, mut respond): Call| async move {
                for _ in 0..count {
                    let interim = Response::builder().status(103).body(()).unwrap();
                    respond.send_informational(interim).unwrap();
                }
                say_ok((request, respond)).await;
            })
            .await;
            let got = get(&upstreams(), &to(&server)).await;
            assert_eq!(got.as_deref().map_err(|reason| *reason), outcome);
        });
    }
}

#[test]
fn a_request_for_another_protocol_is_refused() {
    local(async {
        let server = answering(say_ok).await;
        let destination = to(&server);
        let mut outbound = head(Method::GET, "/", &destination);
        outbound.upgrade = true;
        let body = Script::none().metered();
        let refused =
            upstreams().forward(&destination, timeouts(), outbound, body, &mut Phases::default(), Instant::now()).await;
        assert_eq!(refused.err().map(|rejection| rejection.reason), Some(Reason::UpgradeNotSupported));
    });
}
