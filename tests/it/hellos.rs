//! What comes to a TLS listener in place of a handshake: cut, altered, oversize, another protocol. Each connection is
//! over in time, and nobody else is harmed.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use postern_tests::{Request, Router, Secured, TlsClient, eventually};
use rustls::version::{TLS12, TLS13};

use crate::listeners::{Scene, listener};

const HOST: &str = "api.example.com";
const HANDSHAKE: &str = "[limits]\nhandshake = \"500ms\"\n";
/// How many are tried at once: fewer than may shake hands at once, so that good clients need not wait.
const TOGETHER: usize = 200;

/// A TLS listener, a client that was there before, and what it takes to come anew.
struct Door {
    scene: Scene,
    router: Router,
    client: TlsClient,
    kept: Secured,
}

impl Door {
    fn open() -> Self {
        let scene = Scene::new();
        let (_, files) = scene.certificate("one", &[HOST]);
        let settings = format!("{HANDSHAKE}{}", listener(&files, ""));
        let router = scene.start(&settings, &["--workers", "1"]);
        let client = TlsClient::new(&scene.authority).offering(&["http/1.1"]);
        let kept = client.connect(router.addresses()[1], HOST).unwrap();
        Self { scene, router, client, kept }
    }

    fn address(&self) -> SocketAddr {
        self.router.addresses()[1]
    }

    /// First flights of clients that speak one version, or both.
    fn hellos(&self) -> [Vec<u8>; 3] {
        let of = |client: TlsClient| client.offering(&["h2", "http/1.1"]).hello(HOST);
        [
            of(TlsClient::speaking(&self.scene.authority, &[&TLS12], None)),
            of(TlsClient::speaking(&self.scene.authority, &[&TLS13], None)),
            of(TlsClient::new(&self.scene.authority)),
        ]
    }

    /// Sends each of these on a connection of its own and says no more: every one is over soon, while the client that
    /// was there goes on and another comes in.
    fn try_all(&mut self, cases: &[Vec<u8>]) {
        for together in cases.chunks(TOGETHER) {
            let began = Instant::now();
            let mut streams: Vec<TcpStream> = together
                .iter()
                .map(|bytes| {
                    let mut stream = TcpStream::connect(self.address()).unwrap();
                    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
                    stream.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
                    // It may be closed before all of it was sent.
                    let _ = stream.write_all(bytes);
                    stream
                })
                .collect();
            assert_eq!(self.kept.client.send(&Request::new("GET", "/")).status, 200);
            let mut fresh = self.client.connect(self.address(), HOST).unwrap();
            assert_eq!(fresh.client.send(&Request::new("GET", "/")).status, 200);
            drop(fresh);
            for (stream, bytes) in streams.iter_mut().zip(together) {
                if let Err(error) = stream.read_to_end(&mut Vec::new()) {
                    let open = matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut);
                    assert!(!open, "still open behind {:02x?}", &bytes[..bytes.len().min(80)]);
                }
            }
            assert!(began.elapsed() < Duration::from_secs(10), "over after {:?}", began.elapsed());
        }
    }

    /// Nothing is left of so many tries but the client that was there.
    fn rest(mut self, tried: usize) {
        eventually("all to be over", || {
            let open = ["postern_handshakes_open", "postern_connections"].map(|name| self.router.metric(name));
            (open == [0.0, 1.0]).then_some(())
        });
        assert_eq!(self.kept.client.send(&Request::new("GET", "/")).status, 200);
        let text = self.router.admin("/metrics").text();
        let failures = text.lines().filter(|line| line.starts_with("postern_handshake_failures_total{"));
        let failures: f64 = failures.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum();
        assert_eq!(failures, tried as f64, "{text}");
        let told = self.router.diagnostics();
        assert!(!told.contains("panicked"), "{told}");
    }
}

#[test]
fn a_hello_that_is_cut_anywhere_is_over_in_time() {
    let mut door = Door::open();
    let cases: Vec<Vec<u8>> =
        door.hellos().iter().flat_map(|hello| (0..hello.len()).map(|end| hello[..end].to_vec())).collect();
    door.try_all(&cases);
    door.rest(cases.len());
}

#[test]
fn a_hello_with_any_byte_altered_is_over_in_time() {
    let mut door = Door::open();
    let mut cases = Vec::new();
    for hello in door.hellos() {
        for at in 0..hello.len() {
            let mut altered = hello.clone();
            altered[at] ^= 1 << (at % 8);
            cases.push(altered);
            // Lengths and types matter more than keys: those at the beginning in every other way too.
            if at < 12 {
                cases.extend([0x00, 0x01, 0x7f, 0x80, 0xff].map(|byte| {
                    let mut altered = hello.clone();
                    altered[at] = if altered[at] == byte { !byte } else { byte };
                    altered
                }));
            }
        }
    }
    door.try_all(&cases);
    door.rest(cases.len());
}

/// A record of that type (RFC 8446 §5.1).
fn record(kind: u8, payload: &[u8]) -> Vec<u8> {
    announced(kind, payload.len(), payload)
}

/// One that says another length than it has.
fn announced(kind: u8, length: usize, payload: &[u8]) -> Vec<u8> {
    let [.., high, low] = length.to_be_bytes();
    [&[kind, 3, 1, high, low][..], payload].concat()
}

#[test]
fn what_is_no_hello_at_all_is_over_in_time() {
    const HANDSHAKE: u8 = 22;
    let mut door = Door::open();
    let before = door.router.resident();
    let [_, _, hello] = door.hellos();
    let message = &hello[5..];
    let mut cases: Vec<Vec<u8>> = vec![
        Vec::new(),
        b"GET / HTTP/1.1\r\nhost: api.example.com\r\n\r\n".to_vec(),
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(),
        b"PROXY TCP4 127.0.0.1 127.0.0.1 1 2\r\n".to_vec(),
        // The hello of SSL 2.
        vec![0x80, 0x2e, 1, 0, 2, 0, 0x15, 0, 0, 0, 0x10, 7, 0, 0xc0],
        // Records that are larger than any may be, announced and sent.
        announced(HANDSHAKE, 65_535, &vec![1; 65_535]),
        announced(HANDSHAKE, 16_385, &vec![1; 16_385]),
        announced(HANDSHAKE, 16_384, &vec![1; 16_384]),
        announced(HANDSHAKE, 65_535, message),
        record(HANDSHAKE, &[]),
        record(HANDSHAKE, &[]).repeat(5_000),
        // A message that says it is of 16 MiB, and one that comes in ever more records.
        record(HANDSHAKE, &[1, 0xff, 0xff, 0xff, 3, 3]),
        [record(HANDSHAKE, &[1, 0xff, 0xff, 0xff]), record(HANDSHAKE, &[0; 16_384]).repeat(64)].concat(),
        // Two hellos, another message, and what may only come later.
        [hello.clone(), hello.clone()].concat(),
        record(HANDSHAKE, &[20, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]),
        record(20, &[1]).repeat(2_000),
        record(21, &[1, 0]),
        record(21, &[1, 90]).repeat(2_000),
        record(23, b"GET / HTTP/1.1\r\n\r\n"),
        [hello.clone(), record(20, &[1]), record(23, &[0; 100])].concat(),
        [hello.clone(), record(23, &[0; 16_384]).repeat(20)].concat(),
        // A sound hello in records of one byte each: right, and then nothing follows.
        message.iter().flat_map(|byte| record(HANDSHAKE, &[*byte])).collect(),
    ];
    cases.extend((0..=255).filter(|kind| *kind != HANDSHAKE).map(|kind| record(kind, message)));
    // A list of extensions that is as long as it may be said to be.
    cases.extend([1, 100, 60_000].map(|count| {
        let extension = [0xfe, 0, 0, 0].repeat(count);
        record(
            HANDSHAKE,
            &[
                &[1, 0, 0xff, 0xff, 3, 3][..],
                &[0; 32],
                &[0, 0, 2, 0x13, 1, 1, 0],
                &extension[..extension.len().min(16_000)],
            ]
            .concat(),
        )
    }));
    // Bytes of a sequence that is the same in every run.
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    cases.extend((0..200).map(|length| {
        (0..length * 3)
            .map(|_| {
                state ^= state << 13;
                state ^= state >> 7;
                state ^= state << 17;
                state.to_be_bytes()[0]
            })
            .collect()
    }));
    door.try_all(&cases);
    let grown = door.router.resident().saturating_sub(before);
    assert!(grown < 64 << 20, "{grown} bytes more");
    door.rest(cases.len());
}
