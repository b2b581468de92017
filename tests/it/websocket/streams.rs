//! What passes through one: everything, whole, in its order, and as it comes.

use std::io::Write as _;
use std::sync::{Arc, Mutex, mpsc};
use std::thread;
use std::time::Duration;

use postern_tests::websocket::{Echo, Pairs, open, passes};
use postern_tests::{RawOrigin, Request, Router, Site, boundary_with, eventually, registration};
use tungstenite::Message;
use tungstenite::protocol::CloseFrame;
use tungstenite::protocol::frame::coding::CloseCode;

use super::site;

#[test]
fn text_bytes_pings_and_the_goodbye_pass() {
    let echo = Echo::start();
    let site = site(echo.port(), "");
    let router = Router::serve(&site.merged());
    let (mut socket, answer) = open(router.address(), "/ws/room", &[("sec-websocket-protocol", "chat.v2, chat.v1")]);
    assert_eq!(answer.headers()["sec-websocket-protocol"], "chat.v2");
    let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
    let bytes: Vec<u8> = (0..=255).cycle().take(70_000).collect();
    for message in [Message::text("grüße"), Message::binary(bytes), Message::text(""), Message::binary(vec![0; 125])]
    {
        socket.send(message.clone()).unwrap();
        assert_eq!(socket.read().unwrap(), message);
    }
    socket.send(Message::Ping("there?".into())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Pong("there?".into()));
    eventually("the gauge", || (router.metric("postern_tunnels") == 1.0).then_some(()));
    let goodbye = CloseFrame { code: CloseCode::Library(4_321), reason: "done".into() };
    socket.close(Some(goodbye.clone())).unwrap();
    assert_eq!(socket.read().unwrap(), Message::Close(Some(goodbye)));
    assert!(socket.read().is_err());
    eventually("the destination to hear it", || (echo.closed() == [Some(4_321)]).then_some(()));
    eventually("the gauge", || (router.metric("postern_tunnels") == 0.0).then_some(()));
    let line = router.logged(&id);
    assert_eq!(
        (&line["status"], &line["route"], &line["path"]),
        (&101.into(), &"/ws#default".into(), &"/ws/room".into())
    );
    assert!(line["reason"].is_null() && line["detail"].is_null(), "{line}");
    // Masks make what the client sends longer by four for each frame.
    let (up, down) = (line["bytes_in"].as_u64().unwrap(), line["bytes_out"].as_u64().unwrap());
    assert!(up > 70_125 && up < 70_300 && down > 70_125 && down < up, "{line}");
    assert!(line["duration_ms"].as_f64().unwrap() > 0.0);
}

#[test]
fn five_megabytes_pass_in_one_message_and_a_hundred_sockets_at_once() {
    let echo = Echo::start();
    let site = site(echo.port(), "");
    let router = Router::serve(&site.merged());
    let (mut socket, _) = open(router.address(), "/ws", &[]);
    let large: Vec<u8> = (0..5 << 18).flat_map(|at: u32| at.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    socket.send(Message::binary(large.clone())).unwrap();
    assert!(socket.read().unwrap() == Message::binary(large), "five megabytes came back changed");
    let address = router.address();
    let threads: Vec<_> = (0..100)
        .map(|number| {
            thread::spawn(move || {
                let (mut socket, _) = open(address, &format!("/ws/{number}"), &[]);
                for turn in 0..20 {
                    let text = Message::text(format!("{number} {turn} {}", "x".repeat(turn * 100)));
                    socket.send(text.clone()).unwrap();
                    assert_eq!(socket.read().unwrap(), text);
                }
                socket.close(None).unwrap();
                while socket.read().is_ok() {}
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_side_that_takes_nothing_holds_the_other_back_and_not_in_memory() {
    let pairs = Pairs::start();
    let site = site(pairs.port(), "");
    let router = Router::serve(&site.merged());
    let mut pair = pairs.open(router.address(), "/ws");
    assert!(pair.is_alive());
    let before = router.resident();
    // One frame without an end, as far as anybody will take it.
    let mut destination = pair.destination.try_clone().unwrap();
    destination.set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let head = [0x82, 127, 0, 0, 0, 1, 0, 0, 0, 0];
    let mut sent = 0;
    let piece = vec![7; 1 << 16];
    destination.write_all(&head).unwrap();
    while let Ok(written) = destination.write(&piece) {
        sent += written;
        assert!(sent < 64 << 20, "somebody takes everything");
    }
    let grown = router.resident().saturating_sub(before);
    assert!(grown < 4 << 20, "{grown} bytes for one socket");
    // The other direction is none the worse for it.
    assert!(passes(&mut pair.client, &mut pair.destination, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']));
}

#[test]
fn events_pass_one_by_one_as_they_come() {
    let (next, go) = mpsc::channel::<()>();
    let go = Arc::new(Mutex::new(go));
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        wire.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncache-control: no-store\r\ntransfer-encoding: chunked\r\n\r\n");
        for number in 0..50 {
            // Not before the client has seen the one before.
            if go.lock().unwrap().recv().is_err() {
                return;
            }
            let event = format!("id: {number}\ndata: {{\"n\": {number}}}\n\n");
            wire.write(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
        }
        wire.write(b"0\r\n\r\n");
        wire.until_closed();
    });
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/events", origin.port(), "")]);
    let router = Router::serve(&site.merged());
    let mut client = router.client();
    client.write(&Request::new("GET", "/events").header("accept", "text/event-stream").bytes()).unwrap();
    let head = client.read_head().unwrap();
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    for number in 0..50 {
        next.send(()).unwrap();
        let mut event = Vec::new();
        assert!(client.read_chunk(&mut event).unwrap());
        assert_eq!(String::from_utf8(event).unwrap(), format!("id: {number}\ndata: {{\"n\": {number}}}\n\n"));
    }
    assert!(!client.read_chunk(&mut Vec::new()).unwrap());
}
