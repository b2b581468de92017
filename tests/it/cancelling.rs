//! A client of HTTP/2 that takes its request back: the destination hears of it at once, the log tells it, and nothing is
//! left, however often that happens.

use std::net::TcpListener;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{Request, Response};
use postern_tests::{HOST, RawOrigin, Router, Site, boundary_with, eventually, registration, runs, talk_http2};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// Before it is answered, in the middle of its body, in the middle of its answer.
const WHEN: [&str; 3] = ["/before", "/upload", "/download"];
/// What goes up and down of bodies that never end.
const HALF: &[u8] = &[b'a'; 1_000];

/// What a destination tells of a request: that it is as far as it will get, and that it was taken back.
struct Told {
    there: UnboundedReceiver<()>,
    gone: UnboundedReceiver<()>,
}

/// The other ends of the same.
#[derive(Clone)]
struct Tell {
    there: UnboundedSender<()>,
    gone: UnboundedSender<()>,
}

fn tell() -> (Tell, Told) {
    let ((there, heard_there), (gone, heard_gone)) = (unbounded_channel(), unbounded_channel());
    (Tell { there, gone }, Told { there: heard_there, gone: heard_gone })
}

fn over_http1() -> (u16, Told) {
    let (tell, told) = tell();
    let origin = RawOrigin::start(move |wire| {
        let head = wire.head();
        if head.is_empty() {
            return;
        }
        if head.starts_with("POST") {
            let framed = "3e8\r\n".len() + HALF.len() + "\r\n".len();
            wire.read(framed as u64);
        }
        if head.contains(" /download ") {
            wire.write(&[b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n", HALF].concat());
        }
        tell.there.send(()).unwrap();
        wire.until_closed();
        tell.gone.send(()).unwrap();
    });
    (origin.port(), told)
}

fn over_http2() -> (u16, Told) {
    let (tell, told) = tell();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    listener.set_nonblocking(true).unwrap();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = tokio::net::TcpListener::from_std(listener).unwrap();
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                tokio::spawn(async move {
                    let mut connection = h2::server::handshake(stream).await.unwrap();
                    while let Some(Ok((request, respond))) = connection.accept().await {
                        tokio::spawn(hear(request, respond, tell.clone()));
                    }
                });
            }
        });
    });
    (port, told)
}

async fn hear(mut request: Request<RecvStream>, mut respond: h2::server::SendResponse<Bytes>, tell: Tell) {
    let mut read = 0;
    while request.method() == "POST" && read < HALF.len() {
        read += request.body_mut().data().await.unwrap().unwrap().len();
    }
    if request.uri().path() != "/download" {
        tell.there.send(()).unwrap();
        std::future::poll_fn(|context| respond.poll_reset(context)).await.unwrap();
        return tell.gone.send(()).unwrap();
    }
    let mut stream = respond.send_response(Response::new(()), false).unwrap();
    stream.send_data(Bytes::from_static(HALF), false).unwrap();
    tell.there.send(()).unwrap();
    std::future::poll_fn(|context| stream.poll_reset(context)).await.unwrap();
    tell.gone.send(()).unwrap();
}

/// Sends a request, and takes it back when it is as far as it will get.
async fn take_back(sender: &mut SendRequest<Bytes>, path: &str, told: &mut Told) {
    let method = if path == "/upload" { "POST" } else { "GET" };
    let request = Request::builder().method(method).uri(format!("http://{HOST}{path}")).body(()).unwrap();
    let (answer, mut stream) = sender.send_request(request, method == "GET").unwrap();
    if method == "POST" {
        stream.send_data(Bytes::from_static(HALF), false).unwrap();
    }
    told.there.recv().await.unwrap();
    if path == "/download" {
        let mut body = answer.await.unwrap().into_body();
        assert!(!body.data().await.unwrap().unwrap().is_empty());
    }
    stream.send_reset(Reason::CANCEL);
    timeout(Duration::from_secs(1), told.gone.recv()).await.unwrap_or_else(|_| panic!("{path} goes on")).unwrap();
}

fn descriptors(router: &Router) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", router.id())).unwrap().count()
}

#[test]
fn what_a_client_takes_back_is_taken_back_from_the_destination() {
    for (protocol, (port, mut told)) in [("http1", over_http1()), ("h2c", over_http2())] {
        let times = runs(&format!("requests over {protocol} that are taken back"), 90, 10_002);
        let boundary = boundary_with(&[port], "").replace("addresses:", &format!("protocol: {protocol}, addresses:"));
        let site = Site::new(&boundary, &[registration("/", port, "")]);
        let router = Router::start(&site.merged(), &["--workers", "1"], &[]);
        router.until_ready();
        let mut settled = 0;
        talk_http2(None, router.address(), async |mut sender| {
            for number in 0..times {
                take_back(&mut sender, WHEN[number % WHEN.len()], &mut told).await;
                if number == 10 {
                    settled = descriptors(&router);
                }
            }
        });
        eventually("nothing to be left", || {
            let open = ["postern_active_requests", "postern_connections"].map(|name| router.metric(name));
            (open == [0.0, 0.0] && descriptors(&router) <= settled).then_some(())
        });
        let log = eventually("every line of the log", || Some(router.access_log()).filter(|log| log.len() >= times));
        for path in WHEN {
            let status = if path == "/download" { 200 } else { 499 };
            let lines = log.iter().filter(|line| line["path"] == path);
            let right = lines.filter(|line| line["status"] == status && line["reason"] == "client_closed");
            assert_eq!(right.count(), times / WHEN.len(), "{path}");
        }
    }
}
