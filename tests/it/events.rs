//! Slow streams of events: each event reaches its client before the next is made, however the client is connected.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, Sender, channel};

use bytes::Bytes;
use h2::RecvStream;
use h2::client::SendRequest;
use http::Request;
use postern_tests::{HOST, RawOrigin, TlsClient, boundary_with, registration, talk_http2};

use crate::listeners::{Scene, listener};

/// Events of each stream; some are longer than what is written together.
const EVENTS: usize = 40;

fn event(stream: usize, number: usize) -> String {
    let filling = "a".repeat(if number % 10 == 9 { 12_000 } else { number });
    format!("id: {stream}-{number}\ndata: {filling}\n\n")
}

/// A destination of slow streams, and for each what lets its next event go.
fn destination(streams: usize) -> (RawOrigin, Vec<Sender<()>>) {
    let (senders, receivers): (Vec<_>, Vec<_>) = (0..streams).map(|_| channel()).unzip();
    let gates: HashMap<usize, Receiver<()>> = receivers.into_iter().enumerate().collect();
    let gates = Mutex::new(gates);
    let origin = RawOrigin::start(move |wire| {
        let head = wire.head();
        let stream = head.split([' ', '/']).nth(2).unwrap().parse().unwrap();
        let gate = gates.lock().unwrap().remove(&stream).unwrap();
        wire.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n");
        for number in 0..EVENTS {
            if gate.recv().is_err() {
                return;
            }
            let event = event(stream, number);
            wire.write(format!("{:x}\r\n{event}\r\n", event.len()).as_bytes());
        }
        wire.write(b"0\r\n\r\n");
        wire.until_closed();
    });
    (origin, senders)
}

async fn open(sender: &mut SendRequest<Bytes>, stream: usize) -> RecvStream {
    let request = Request::get(format!("https://{HOST}/{stream}")).header("accept", "text/event-stream");
    let (answer, _) = sender.send_request(request.body(()).unwrap(), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(
        (answer.status().as_u16(), &answer.headers()["content-type"]),
        (200, &"text/event-stream".parse().unwrap())
    );
    answer.into_body()
}

async fn read(body: &mut RecvStream, bytes: usize) -> String {
    let mut read = Vec::new();
    while read.len() < bytes {
        let piece = body.data().await.unwrap().unwrap();
        body.flow_control().release_capacity(piece.len()).unwrap();
        read.extend_from_slice(&piece);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn events_pass_one_by_one_over_http2_in_the_clear_and_inside_tls() {
    const STREAMS: usize = 5;
    let mut scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let router = scene.start(&listener(&files, ""), &["--workers", "1"]);
    let client = TlsClient::new(&scene.authority);
    for (index, secure) in [None, Some(&client)].into_iter().enumerate() {
        let (origin, gates) = destination(STREAMS);
        scene.site.publish(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
        router.until_generation(scene.site.generation());
        talk_http2(secure, router.addresses()[index], async |mut sender| {
            let mut bodies = Vec::new();
            for stream in 0..STREAMS {
                bodies.push(open(&mut sender, stream).await);
            }
            for number in 0..EVENTS {
                // One alone, and then the others in one turn.
                gates[0].send(()).unwrap();
                let first = event(0, number);
                assert_eq!(read(&mut bodies[0], first.len()).await, first);
                gates[1..].iter().for_each(|gate| gate.send(()).unwrap());
                for (stream, body) in bodies.iter_mut().enumerate().skip(1) {
                    let event = event(stream, number);
                    assert_eq!(read(body, event.len()).await, event);
                }
            }
            for body in &mut bodies {
                while let Some(piece) = body.data().await {
                    assert!(piece.unwrap().is_empty());
                }
            }
        });
    }
}
