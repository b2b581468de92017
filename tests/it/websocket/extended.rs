//! The same over HTTP/2 in front: one stream of a connection is a WebSocket (RFC 8441).

use std::io::{Read as _, Write as _};
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use h2::client::{self, SendRequest};
use h2::ext::Protocol;
use h2::{RecvStream, SendStream};
use http::{Method, Request, Response};
use postern_tests::websocket::{Pairs, goodbye, rest};
use postern_tests::{Origin, RawOrigin, Site, boundary_with, eventually, registration};

use super::{open, router, site};

/// Runs a client to its end, at most for so long.
fn run<T>(part: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), part).await.expect("in time") })
}

async fn connect(address: SocketAddr) -> SendRequest<Bytes> {
    let stream = tokio::net::TcpStream::connect(address).await.unwrap();
    let (client, mut connection) = client::handshake(stream).await.unwrap();
    // The settings say whether CONNECT may be extended.
    let mut pings = connection.ping_pong().unwrap();
    tokio::spawn(connection);
    pings.ping(h2::Ping::opaque()).await.unwrap();
    assert!(client.is_extended_connect_protocol_enabled());
    client
}

fn connecting(path: &str, protocol: &'static str) -> Request<()> {
    let uri = format!("http://api.example.com{path}");
    let request = Request::builder().method(Method::CONNECT).uri(uri).extension(Protocol::from_static(protocol));
    request.header("sec-websocket-version", "13").header("sec-websocket-protocol", "chat").body(()).unwrap()
}

async fn ask(client: &mut SendRequest<Bytes>, request: Request<()>) -> (Response<RecvStream>, SendStream<Bytes>) {
    let (answer, stream) = client.clone().ready().await.unwrap().send_request(request, false).unwrap();
    (answer.await.unwrap(), stream)
}

async fn read(from: &mut RecvStream, bytes: usize) -> Vec<u8> {
    let mut read = Vec::new();
    while read.len() < bytes {
        let Some(piece) = from.data().await else { break };
        let piece = piece.unwrap();
        from.flow_control().release_capacity(piece.len()).unwrap();
        read.extend_from_slice(&piece);
    }
    read
}

#[test]
fn a_stream_of_http2_becomes_a_websocket_and_others_go_on_beside_it() {
    let pairs = Pairs::start();
    let plain = Origin::named("plain");
    let site = Site::new(
        &boundary_with(&[pairs.port(), plain.port()], ""),
        &[registration("/ws", pairs.port(), &open("")), registration("/plain", plain.port(), "")],
    );
    let router = router(&site, &[]);
    let id = run(async {
        let mut client = connect(router.address()).await;
        let (answer, mut stream) = ask(&mut client, connecting("/ws/room?a=b", "websocket")).await;
        assert_eq!(answer.status(), 200);
        for name in ["connection", "upgrade", "sec-websocket-accept"] {
            assert!(!answer.headers().contains_key(name), "{name}");
        }
        let id = answer.headers()["x-request-id"].to_str().unwrap().to_owned();
        let (head, mut destination) = pairs.accepted();
        assert!(head.starts_with("GET /ws/room?a=b HTTP/1.1\r\n"), "{head}");
        for line in ["connection: upgrade", "upgrade: websocket", "sec-websocket-protocol: chat"] {
            assert!(head.contains(&format!("\r\n{line}\r\n")), "{line} in {head}");
        }
        let mut down = answer.into_body();
        stream.send_data(Bytes::from_static(&[0x81, 0x82, 0, 0, 0, 0, b'h', b'i']), false).unwrap();
        let mut came = [0; 8];
        // The client's own tasks have to run meanwhile.
        destination = tokio::task::spawn_blocking(move || {
            destination.read_exact(&mut came).unwrap();
            assert_eq!(came, [0x81, 0x82, 0, 0, 0, 0, b'h', b'i']);
            destination.write_all(&[0x81, 2, b'h', b'o']).unwrap();
            destination
        })
        .await
        .unwrap();
        assert_eq!(read(&mut down, 4).await, [0x81, 2, b'h', b'o']);
        let beside = Request::builder().uri("http://api.example.com/plain/1").body(()).unwrap();
        let (beside, _) = client.clone().ready().await.unwrap().send_request(beside, true).unwrap();
        assert_eq!(beside.await.unwrap().status(), 200);
        // Large both ways: windows are given back.
        let large = vec![7_u8; 1 << 20];
        let mut writer = destination.try_clone().unwrap();
        let sent = large.clone();
        let writing = std::thread::spawn(move || {
            writer.write_all(&[0x82, 127, 0, 0, 0, 0, 0, 0x10, 0, 0]).unwrap();
            writer.write_all(&sent).unwrap();
        });
        let got = read(&mut down, 10 + large.len()).await;
        assert!(got[10..] == large[..], "a megabyte came changed");
        writing.join().unwrap();
        // The client says goodbye, and so does the destination.
        stream.send_data(Bytes::from_static(&[0x88, 0x82, 0, 0, 0, 0, 3, 0xe8]), false).unwrap();
        let hearing = tokio::task::spawn_blocking(move || {
            let mut frame = [0; 8];
            destination.read_exact(&mut frame).unwrap();
            assert_eq!(goodbye(&frame), Some(1000));
            destination.write_all(&[0x88, 2, 3, 0xe8]).unwrap();
        });
        hearing.await.unwrap();
        assert_eq!(goodbye(&read(&mut down, 4).await), Some(1000));
        assert_eq!(read(&mut down, 1).await, b"");
        assert!(down.is_end_stream());
        id
    });
    let line = router.logged(&id);
    assert_eq!((&line["status"], &line["bytes_in"]), (&101.into(), &16.into()), "{line}");
    assert!(line["reason"].is_null(), "{line}");
    eventually("the gauge", || (router.metric("postern_tunnels") == 0.0).then_some(()));
}

#[test]
fn what_is_no_websocket_is_no_tunnel() {
    let plain = Origin::named("plain");
    let liar = RawOrigin::start(|wire| {
        wire.head();
        wire.write(b"HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\nsec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n");
        wire.until_closed();
    });
    let site = Site::new(
        &boundary_with(&[plain.port(), liar.port()], ""),
        &[
            registration("/ws", plain.port(), &open("")),
            registration("/liar", liar.port(), &open("")),
            registration("/plain", plain.port(), ""),
        ],
    );
    let router = router(&site, &[]);
    run(async {
        let mut client = connect(router.address()).await;
        for (path, protocol, status, reason) in [
            ("/plain", "websocket", 400, "upgrade_not_supported"),
            ("/nowhere", "websocket", 404, "route_not_found"),
            ("/ws", "websocket", 502, "destination_protocol"),
            ("/liar", "websocket", 502, "destination_protocol"),
            ("/healthz", "websocket", 400, "upgrade_not_supported"),
            ("/ws", "connect-udp", 501, "method_not_supported"),
        ] {
            let (answer, _) = ask(&mut client, connecting(path, protocol)).await;
            assert_eq!(answer.status(), status, "{path} {protocol}");
            assert_eq!(answer.headers()["x-postern-reason"], reason, "{path} {protocol}");
        }
        let bare = Request::builder().method(Method::CONNECT).uri("api.example.com:443").body(()).unwrap();
        let (answer, _) = ask(&mut client, bare).await;
        assert!(answer.status().is_client_error() || answer.status() == 501, "{}", answer.status());
    });
}

#[test]
fn a_websocket_over_http2_is_told_of_the_routers_end() {
    let pairs = Pairs::start();
    let site = site(pairs.port(), "");
    let settings = [("POSTERN_ROUTER_SHUTDOWN__LAME_DUCK", "0s"), ("POSTERN_ROUTER_SHUTDOWN__DEADLINE", "20s")];
    let mut router = router(&site, &settings);
    run(async {
        let mut client = connect(router.address()).await;
        let (answer, _stream) = ask(&mut client, connecting("/ws", "websocket")).await;
        assert_eq!(answer.status(), 200);
        let (_, mut destination) = pairs.accepted();
        router.signal("TERM");
        let mut down = answer.into_body();
        assert_eq!(goodbye(&read(&mut down, 4).await), Some(1012));
        let told = tokio::task::spawn_blocking(move || goodbye(&rest(&mut destination))).await.unwrap();
        assert_eq!(told, Some(1001));
    });
    assert_eq!(router.wait(super::PATIENCE).code(), Some(0));
}
