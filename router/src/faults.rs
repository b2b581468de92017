//! Panics where requests are handled, and what becomes of everybody else. Only in tests: nothing of this is in the
//! product.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::time::Duration;

use bytes::Bytes;
use postern_config::value::Period;
use postern_tests::{Client, HOST, Origin, Reply, Request, Site, boundary_with, eventually, registration, talk_http2};

use crate::Router;
use crate::http1::Fields;
use crate::settings::{Settings, Shutdown};

/// A request that names a place in `x-strike` panics there.
pub(crate) fn strike(place: &str, fields: &Fields) {
    let places = fields.get("x-strike").unwrap_or_default();
    assert!(!places.split(|byte| *byte == b' ').any(|one| one == place.as_bytes()), "struck at {place}");
}

/// A body that begins with these bytes panics on its way.
pub(crate) fn strike_at(piece: &[u8]) {
    assert!(!piece.starts_with(b"strike!"), "struck at a body");
}

/// Panics where a core is looked after, once for each that was asked for, in whichever router comes by.
pub(crate) fn strike_at_tending() {
    let asked = TENDING.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |asked| asked.checked_sub(1));
    assert!(asked.is_err(), "struck while tending");
}

static TENDING: AtomicUsize = AtomicUsize::new(0);

/// A router of one core in this process, before a destination.
struct Scene {
    router: Option<Router>,
    site: Site,
}

impl Scene {
    fn before(port: u16) -> Self {
        let site = Site::new(&boundary_with(&[port], ""), &[registration("/", port, "")]);
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        let router = Router::start(Settings {
            config: site.merged(),
            listen: vec![any],
            admin: any,
            workers: 1,
            allow_loopback_destinations: true,
            syncer: "off".to_owned(),
            access_log: site.path().join("access.log").display().to_string(),
            shutdown: Shutdown { lame_duck: Period::from_millis(0), ..Shutdown::default() },
            ..Settings::default()
        })
        .unwrap();
        let scene = Self { router: Some(router), site };
        eventually("the router to be ready", || (scene.admin("/readyz").status == 200).then_some(()));
        scene
    }

    fn router(&self) -> &Router {
        self.router.as_ref().unwrap()
    }

    fn client(&self) -> Client {
        Client::connect(self.router().addresses()[0])
    }

    fn admin(&self, path: &str) -> postern_tests::Answer {
        Client::connect(self.router().admin()).send(&Request::to_host("GET", "admin", path))
    }

    fn metric(&self, name: &str) -> f64 {
        let text = self.admin("/metrics").text();
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// Nothing is left that is over, and so many requests were refused because the router failed.
    fn is_at_rest(&self, panics: f64) {
        eventually("everything to be over", || {
            let open = ["postern_active_requests", "postern_connections"].map(|name| self.metric(name));
            (open == [0.0, 0.0]).then_some(())
        });
        assert_eq!(self.metric("postern_rejections_total{reason=\"internal\",fault=\"router\"}"), panics);
    }

    /// Ends the router; the lines of its log, each of which must be whole.
    fn log(mut self) -> Vec<serde_json::Value> {
        self.router.take().unwrap().stop();
        let path: PathBuf = self.site.path().join("access.log");
        let text = std::fs::read_to_string(path).unwrap();
        text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))).collect()
    }
}

/// Those of them that tell of a panic.
fn internal(log: &[serde_json::Value]) -> Vec<&serde_json::Value> {
    log.iter().filter(|line| line["reason"] == "internal").collect()
}

fn get(path: &str, place: &str) -> Request {
    Request::new("GET", path).header("x-strike", place)
}

#[test]
fn one_request_in_a_hundred_panics_and_no_other_is_harmed() {
    let origin = Origin::named("orders");
    let scene = Scene::before(origin.port());
    let mut kept = scene.client();
    assert_eq!(kept.send(&Request::new("GET", "/kept")).status, 200);
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let scene = &scene;
            scope.spawn(move || {
                let mut client = scene.client();
                for turn in 0..200 {
                    let struck = (turn + thread * 10) % 100 == 0;
                    let answer = client.send(&get("/orders", if struck { "stage" } else { "nowhere" }));
                    if struck {
                        assert_eq!((answer.status, answer.reason()), (500, Some("internal")), "{}", answer.text());
                        assert_eq!(answer.header("connection"), Some("close"));
                        assert!(client.is_closed());
                        client = scene.client();
                    } else {
                        assert_eq!(answer.status, 200, "{}", answer.text());
                    }
                }
            });
        }
    });
    assert_eq!(kept.send(&Request::new("GET", "/kept")).status, 200);
    drop(kept);
    assert_eq!(origin.received().len(), 8 * 200 - 16 + 2);
    scene.is_at_rest(16.0);
    let log = scene.log();
    assert_eq!(log.len(), 8 * 200 + 2);
    let told = internal(&log);
    assert_eq!(told.len(), 16);
    assert!(told.iter().all(|line| line["status"] == 500 && line["path"] == "/orders"), "{told:?}");
}

#[test]
fn a_body_that_panics_on_its_way_up_is_answered_and_leaves_no_connection_in_doubt() {
    let origin = Origin::named("orders");
    let scene = Scene::before(origin.port());
    assert_eq!(scene.client().send(&Request::new("POST", "/").body("sound")).status, 200);
    let answer = scene.client().send(&Request::new("POST", "/").body("strike!"));
    assert_eq!((answer.status, answer.reason()), (500, Some("internal")), "{}", answer.text());
    // The connection to the destination that the panic met holds half a request, and must not be used again.
    assert_eq!(scene.client().send(&Request::new("POST", "/").body("sound")).text(), "orders POST /");
    scene.is_at_rest(1.0);
}

#[test]
fn an_answer_that_panics_on_its_way_down_is_never_taken_for_whole() {
    // With a length, in chunks, and up to the end of the connection, where only a reset tells.
    for (version, framing) in [("1.1", "content-length: 10\r\n"), ("1.1", ""), ("1.0", "")] {
        let origin = Origin::start(move |_| {
            Reply::RawThenClose(format!("HTTP/1.1 200 OK\r\n{framing}connection: close\r\n\r\nhello").into())
        });
        let scene = Scene::before(origin.port());
        let mut stream = std::net::TcpStream::connect(scene.router().addresses()[0]).unwrap();
        write!(stream, "GET / HTTP/{version}\r\nhost: {HOST}\r\nx-strike: answer\r\n\r\n").unwrap();
        let read = stream.read_to_end(&mut Vec::new());
        assert_eq!(read.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset, "{version} {framing}");
        assert_eq!(scene.client().send(&Request::new("GET", "/healthz")).status, 200);
        scene.is_at_rest(1.0);
    }
}

#[test]
fn a_record_that_panics_harms_no_answer_and_no_other_line() {
    let origin = Origin::named("orders");
    let scene = Scene::before(origin.port());
    let mut client = scene.client();
    for place in ["nowhere", "record", "nowhere", "record", "record", "nowhere"] {
        assert_eq!(client.send(&get("/", place)).status, 200);
    }
    // Both at once: the record is written while the panic of the answer goes by.
    let mut lost = scene.client();
    assert!(lost.try_send(&get("/", "answer record")).is_err());
    drop((client, lost));
    scene.is_at_rest(1.0);
    assert_eq!(scene.log().len(), 3);
}

#[test]
fn a_core_that_panics_while_it_is_looked_after_goes_on() {
    let origin = Origin::named("orders");
    let scene = Scene::before(origin.port());
    let mut kept = scene.client();
    for _ in 0..5 {
        // Whichever router of this process takes them: each test here would see its core end.
        TENDING.fetch_add(2, Ordering::SeqCst);
        eventually("the panics", || (TENDING.load(Ordering::SeqCst) == 0).then_some(()));
        assert_eq!(kept.send(&Request::new("GET", "/")).status, 200);
        assert_eq!(scene.client().send(&Request::new("GET", "/")).status, 200);
    }
    drop(kept);
    scene.is_at_rest(0.0);
}

fn head(method: &str, place: &str, kind: &str) -> http::Request<()> {
    let uri = format!("http://{HOST}/{place}");
    let head = http::Request::builder().method(method).uri(uri).header("content-type", kind);
    head.header("x-strike", place).body(()).unwrap()
}

async fn whole(mut body: h2::RecvStream) -> Result<(Vec<u8>, Option<http::HeaderMap>), h2::Error> {
    let mut bytes = Vec::new();
    while let Some(data) = body.data().await {
        bytes.extend_from_slice(&data?);
    }
    Ok((bytes, body.trailers().await?))
}

/// Why an answer broke off, be it before its head had gone out.
async fn broken(answer: h2::client::ResponseFuture) -> h2::Error {
    match answer.await {
        Ok(answer) => whole(answer.into_body()).await.unwrap_err(),
        Err(error) => error,
    }
}

#[test]
fn a_stream_that_panics_harms_no_neighbour_on_its_connection() {
    let (open, gate) = channel::<()>();
    let gate = Mutex::new(gate);
    let origin = Origin::start(move |request| {
        if request.target == "/neighbour" {
            gate.lock().unwrap().recv_timeout(Duration::from_secs(20)).unwrap();
        }
        Reply::Raw(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n".into())
    });
    let scene = Scene::before(origin.port());
    talk_http2(None, scene.router().addresses()[0], async |mut sender| {
        let (neighbour, _) = sender.send_request(head("GET", "neighbour", "text/plain"), true).unwrap();
        for _ in 0..5 {
            let (answer, _) = sender.send_request(head("GET", "stage", "text/plain"), true).unwrap();
            let answer = answer.await.unwrap();
            assert_eq!(
                (answer.status().as_u16(), &answer.headers()["x-postern-reason"]),
                (500, &"internal".parse().unwrap())
            );
            let (answer, _) = sender.send_request(head("GET", "answer", "text/plain"), true).unwrap();
            assert_eq!(broken(answer).await.reason(), Some(h2::Reason::INTERNAL_ERROR));
            let (answer, mut stream) = sender.send_request(head("POST", "upload", "text/plain"), false).unwrap();
            stream.send_data(Bytes::from_static(b"strike!"), true).unwrap();
            assert_eq!(answer.await.unwrap().status().as_u16(), 500);
            // Callers of gRPC look for a status of its own.
            let (answer, _) = sender.send_request(head("POST", "answer", "application/grpc"), true).unwrap();
            let (_, trailers) = whole(answer.await.unwrap().into_body()).await.unwrap();
            assert_eq!(trailers.unwrap()["grpc-status"], "2");
            let (answer, _) = sender.send_request(head("POST", "stage", "application/grpc"), true).unwrap();
            assert_eq!(answer.await.unwrap().headers()["grpc-status"], "2");
        }
        open.send(()).unwrap();
        let (bytes, _) = whole(neighbour.await.unwrap().into_body()).await.unwrap();
        assert_eq!(bytes, b"hello");
    });
    scene.is_at_rest(25.0);
    assert_eq!(internal(&scene.log()).len(), 25);
}

#[test]
fn the_rest_of_a_request_that_panics_ends_the_answer_that_waits_for_it() {
    // Answers before it has read the request, and goes on when it has.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4_096]).unwrap();
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhello").unwrap();
        let _ = stream.read_to_end(&mut Vec::new());
    });
    let scene = Scene::before(port);
    talk_http2(None, scene.router().addresses()[0], async |mut sender| {
        let (answer, mut stream) = sender.send_request(head("POST", "both", "text/plain"), false).unwrap();
        let answer = answer.await.unwrap();
        stream.send_data(Bytes::from_static(b"strike!"), false).unwrap();
        let broken = whole(answer.into_body()).await.unwrap_err();
        assert_eq!(broken.reason(), Some(h2::Reason::INTERNAL_ERROR));
    });
    scene.is_at_rest(1.0);
}
