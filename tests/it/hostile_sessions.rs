//! Destinations of HTTP/2 that no decent one is like: floods, frames out of place, heads without end, sessions that go
//! away. The client gets a 502 or 504 with a reason, the answer, or one that visibly breaks off; memory stays bounded,
//! and other destinations' answers are right all the while.

use std::io::ErrorKind;

use postern_tests::frames::{self, Frame, announced, data, flag, frame, headers, kind, ping, settings, window_update};
use postern_tests::hpack::Block;
use postern_tests::{
    Client, Http2Origin, Message, RawOrigin, Request, Router, Site, Wire, boundary_with, eventually, registration,
};

/// What a client may see.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Outcome {
    /// The router's own answer.
    Refused,
    /// What the destination answered.
    Fine,
    /// The router's own answer, or one that breaks off.
    Cut,
    /// Any of these.
    Any,
}

/// One destination.
struct Hostile {
    name: &'static str,
    outcome: Outcome,
    /// What it says first, in place of settings.
    greeting: Vec<u8>,
    /// What it says to a request on that stream.
    bytes: Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>,
    /// What it says behind that, and how often.
    flood: Box<dyn Fn(u32) -> Vec<u8> + Send + Sync>,
    times: usize,
    closes: bool,
}

impl Hostile {
    fn new(name: &'static str, outcome: Outcome, bytes: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let (greeting, flood) = (settings(&[]), Box::new(|_| Vec::new()));
        Self { name, outcome, greeting, bytes: Box::new(bytes), flood, times: 0, closes: false }
    }

    fn flood(mut self, times: usize, unit: impl Fn(u32) -> Vec<u8> + Send + Sync + 'static) -> Self {
        (self.times, self.flood) = (times, Box::new(unit));
        self
    }

    fn greeting(mut self, bytes: &[u8]) -> Self {
        self.greeting = bytes.to_vec();
        self
    }

    fn closing(mut self) -> Self {
        self.closes = true;
        self
    }

    /// What it does about a frame; says whether it goes on.
    fn play(&self, wire: &mut Wire, came: &Frame) -> bool {
        match came.kind {
            kind::SETTINGS if came.flags & flag::ACK == 0 => wire.write(&frame(kind::SETTINGS, flag::ACK, 0, b"")),
            kind::HEADERS => {
                let unit = (self.flood)(came.stream);
                let said = wire.write(&(self.bytes)(came.stream)) && (0..self.times).all(|_| wire.write(&unit));
                said && !self.closes
            }
            _ => true,
        }
    }

    fn start(mut self) -> (&'static str, Outcome, u16) {
        let (name, outcome, greeting) = (self.name, self.outcome, std::mem::take(&mut self.greeting));
        let origin = RawOrigin::of_http2(greeting, move |wire, came| self.play(wire, came));
        (name, outcome, origin.port())
    }
}

fn head(stream: u32, end: bool) -> Vec<u8> {
    headers(stream, &status("200"), end)
}

fn status(code: &str) -> Block {
    Block::new().field(":status", code)
}

fn ok(stream: u32) -> Vec<u8> {
    [head(stream, false), data(stream, b"ok", true)].concat()
}

/// An answer whose head is this, and then `ok`.
fn with_head(stream: u32, block: &Block) -> Vec<u8> {
    [headers(stream, block, false), data(stream, b"ok", true)].concat()
}

fn away(last: u32, code: u32) -> Vec<u8> {
    frame(kind::GOAWAY, 0, 0, &[last.to_be_bytes(), code.to_be_bytes()].concat())
}

fn floods() -> Vec<Hostile> {
    use Outcome::{Any, Cut, Refused};
    const FRAMES: usize = 10_000;
    vec![
        Hostile::new("settings", Any, ok).flood(FRAMES, |_| settings(&[(4, 65_535)])),
        Hostile::new("settings before the head", Any, |_| settings(&[(4, 65_535)]).repeat(FRAMES)).flood(1, ok),
        Hostile::new("pings before the head", Any, |_| ping(1).repeat(FRAMES)).flood(1, ok),
        Hostile::new("room before the head", Any, |_| window_update(0, 1).repeat(FRAMES)).flood(1, ok),
        Hostile::new("unknown frames before the head", Any, |_| frame(0x60, 0xff, 0, &[0; 64]).repeat(FRAMES))
            .flood(1, ok),
        Hostile::new("priorities before the head", Any, |stream| {
            frame(kind::PRIORITY, 0, stream, &[0, 0, 0, 9, 7]).repeat(FRAMES)
        })
        .flood(1, ok),
        Hostile::new("continuations without end", Refused, |stream| {
            frame(kind::HEADERS, 0, stream, status("200").bytes())
        })
        .flood(2_000, |stream| {
            frame(kind::CONTINUATION, 0, stream, Block::new().field("x-a", vec![b'a'; 16_000]).bytes())
        }),
        Hostile::new("empty continuations without end", Refused, |stream| {
            frame(kind::HEADERS, 0, stream, status("200").bytes())
        })
        .flood(FRAMES, |stream| frame(kind::CONTINUATION, 0, stream, b"")),
        Hostile::new("interim heads without end", Refused, |_| Vec::new())
            .flood(FRAMES, |stream| headers(stream, &status("103"), false)),
        Hostile::new("empty data without end", Cut, |stream| head(stream, false))
            .flood(FRAMES, |stream| data(stream, b"", false)),
        Hostile::new("single bytes of padding", Cut, |stream| head(stream, false))
            .flood(FRAMES, |stream| frame(kind::DATA, flag::PADDED, stream, &[&[255][..], &[0; 255]].concat())),
        Hostile::new("data beyond every window", Cut, |stream| head(stream, false))
            .flood(4_000, |stream| data(stream + 2, &[0; 16_384], false)),
        Hostile::new("pushes", Refused, |_| Vec::new()).flood(1_000, |stream| {
            let promised = [&2_u32.to_be_bytes()[..], Block::short("/pushed").bytes()].concat();
            frame(kind::PUSH_PROMISE, flag::END_HEADERS, stream, &promised)
        }),
        Hostile::new("resets of the same stream", Refused, |_| Vec::new())
            .flood(FRAMES, |stream| frames::reset(stream, 8)),
        Hostile::new("goodbyes", Any, |_| Vec::new()).flood(FRAMES, |stream| away(stream, 0)),
    ]
}

fn heads() -> Vec<Hostile> {
    use Outcome::{Any, Cut, Fine, Refused};
    let of = |name, outcome, block: Block| Hostile::new(name, outcome, move |stream| with_head(stream, &block));
    let many = |count: usize| (0..count).fold(status("200"), |block, at| block.field(format!("x-{at}"), "a"));
    vec![
        of("a right head", Fine, status("200").field("x-right", "1")),
        of("no status", Refused, Block::new().field("x-a", "1")),
        of("two statuses", Refused, status("200").field(":status", "200")),
        of("a status that is no number", Refused, status("abc")),
        of("a status of two digits", Refused, status("20")),
        of("a status of four digits", Refused, status("2000")),
        of("a status behind a field", Refused, Block::new().field("x-a", "1").field(":status", "200")),
        // Of fields that only requests have, and of those in trailers, the library says nothing; neither goes on.
        of("a path in an answer", Any, status("200").field(":path", "/")),
        of("an unknown pseudo-field", Refused, status("200").field(":what", "1")),
        of("a name in capitals", Refused, status("200").field("X-Upper", "1")),
        of("a name with a space", Refused, status("200").field("x a", "1")),
        of("no name at all", Refused, status("200").field("", "1")),
        of("a value with a new line", Refused, status("200").field("x-a", "1\r\nx-b: forged")),
        of("a value with a nought", Refused, status("200").field("x-a", [0])),
        of("a field of the connection", Any, status("200").field("connection", "close")),
        of("chunks in HTTP/2", Any, status("200").field("transfer-encoding", "chunked")),
        of("an upgrade", Any, status("200").field("upgrade", "websocket")),
        of("101", Refused, status("101")),
        of("more said than sent", Cut, status("200").field("content-length", "3")),
        of("less said than sent", Cut, status("200").field("content-length", "1")),
        of("two lengths", Cut, status("200").field("content-length", "2").field("content-length", "3")),
        of("a length that is none", Cut, status("200").field("content-length", "+2")),
        of("two hundred fields", Refused, many(200)),
        of("a field of a table that is not there", Refused, status("200").indexed(70)),
        of("a table larger than allowed", Refused, Block::new().resized(65_536).field(":status", "200")),
        Hostile::new("a list larger than allowed", Refused, |stream| {
            let block = (0..5).fold(status("200"), |block, _| block.field("x-a", vec![b'a'; 15_000]));
            frames::split_headers(stream, &block, true)
        }),
        Hostile::new("a bomb", Refused, |stream| {
            let block = status("200").remembered("x-a", vec![b'a'; 3_500]).repeated(62, 10_000);
            frames::split_headers(stream, &block, true)
        }),
        Hostile::new("a block that breaks off", Refused, |stream| {
            headers(stream, &status("200").raw(&[0x40, 0x0a, b'x']), true)
        }),
        Hostile::new("trailers with a status", Any, |stream| {
            [head(stream, false), data(stream, b"ok", false), headers(stream, &status("200"), true)].concat()
        }),
        Hostile::new("trailers that do not end", Cut, |stream| {
            let trailers = Block::new().field("x-a", "1");
            [head(stream, false), data(stream, b"ok", false), headers(stream, &trailers, false)].concat()
        }),
        Hostile::new("data behind the end", Any, |stream| [ok(stream), data(stream, b"more", true)].concat()),
        Hostile::new("a head behind the end", Any, |stream| [ok(stream), ok(stream)].concat()),
    ]
}

fn places() -> Vec<Hostile> {
    use Outcome::{Any, Cut, Fine, Refused};
    vec![
        Hostile::new("data before a head", Refused, |stream| data(stream, b"ok", true)),
        Hostile::new("a head on a stream that nobody opened", Refused, |stream| ok(stream + 2)),
        Hostile::new("data on a stream that nobody opened", Refused, |stream| data(stream + 2, b"ok", true)),
        Hostile::new("a head on a stream of its own", Refused, |_| ok(2)),
        Hostile::new("a head on stream nought", Refused, |_| ok(0)),
        Hostile::new("data on stream nought", Refused, |_| data(0, b"ok", true)),
        Hostile::new("a reset of a stream that nobody opened", Refused, |stream| frames::reset(stream + 2, 8)),
        Hostile::new("room for a stream that nobody opened", Refused, |stream| window_update(stream + 2, 1)),
        Hostile::new("no room at all", Refused, |stream| window_update(stream, 0)),
        Hostile::new("too much room for a stream", Refused, |stream| window_update(stream, 0x7fff_ffff)),
        Hostile::new("too much room", Refused, |_| window_update(0, 0x7fff_ffff)),
        Hostile::new("settings of a stream", Refused, |stream| frame(kind::SETTINGS, 0, stream, b"")),
        Hostile::new("settings of an odd length", Refused, |_| frame(kind::SETTINGS, 0, 0, b"12345")),
        Hostile::new("a frame that may not be so small", Refused, |_| settings(&[(5, 1)])),
        Hostile::new("a window that may not be so large", Refused, |_| settings(&[(4, 0x8000_0000)])),
        Hostile::new("a ping of a stream", Refused, |stream| frame(kind::PING, 0, stream, &[0; 8])),
        Hostile::new("a ping of an odd length", Refused, |_| frame(kind::PING, 0, 0, &[0; 7])),
        Hostile::new("a frame larger than allowed", Refused, |stream| {
            announced(16_385, kind::DATA, 0, stream, &[0; 99])
        }),
        Hostile::new("padding longer than its frame", Cut, |stream| {
            [head(stream, false), frame(kind::DATA, flag::PADDED, stream, &[200, 1, 2])].concat()
        }),
        Hostile::new("another frame within a head", Refused, |stream| {
            [frame(kind::HEADERS, 0, stream, status("200").bytes()), ping(1)].concat()
        }),
        Hostile::new("a continuation of nothing", Refused, |stream| {
            frame(kind::CONTINUATION, flag::END_HEADERS, stream, b"")
        }),
        Hostile::new("a goodbye that took nothing", Refused, |_| away(0, 0)),
        Hostile::new("a goodbye, and the answer", Fine, |stream| [away(stream, 0), ok(stream)].concat()),
        Hostile::new("a goodbye between head and body", Fine, |stream| {
            [head(stream, false), away(stream, 0), data(stream, b"ok", true)].concat()
        }),
        Hostile::new("a goodbye in anger", Refused, |stream| away(stream, 2)).closing(),
        Hostile::new("a goodbye in anger within the body", Cut, |stream| {
            [head(stream, false), away(stream, 2)].concat()
        })
        .closing(),
        Hostile::new("goodbyes that take more and more", Any, |stream| {
            [away(0, 0), away(stream, 0), ok(stream)].concat()
        }),
        Hostile::new("a goodbye of a stream", Refused, |stream| frame(kind::GOAWAY, 0, stream, &[0; 8])),
        Hostile::new("a reset before the head", Refused, |stream| frames::reset(stream, 2)),
        Hostile::new("a refusal of every stream", Refused, |stream| frames::reset(stream, 7)),
        Hostile::new("a reset within the body", Cut, |stream| [head(stream, false), frames::reset(stream, 0)].concat()),
        Hostile::new("an end before the head", Refused, |_| Vec::new()).closing(),
        Hostile::new("an end within the body", Cut, |stream| head(stream, false)).closing(),
        Hostile::new("no word", Refused, |_| Vec::new()),
        Hostile::new("no word behind the head", Cut, |stream| head(stream, false)),
        Hostile::new("another protocol", Refused, |_| Vec::new())
            .greeting(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"),
        Hostile::new("noise", Refused, |_| Vec::new()).greeting(&[0xa5; 4_096]),
        Hostile::new("no settings", Any, ok).greeting(b""),
    ]
}

/// What the client sees of it.
fn seen(router: &Router, path: &str) -> Result<&'static str, String> {
    match Client::connect(router.address()).try_send(&Request::new("GET", path)) {
        Ok(answer) if answer.status == 200 && answer.body == b"ok" && answer.header("x-b").is_none() => Ok("fine"),
        Ok(answer) if matches!(answer.status, 502 | 504) && answer.reason().is_some() => Ok("refused"),
        Ok(answer) => Err(format!("{} {:?} with {:?}", answer.status, answer.headers, answer.text())),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => Err("silence".to_owned()),
        Err(_) => Ok("cut"),
    }
}

#[test]
fn a_hostile_session_is_refused_cleaned_or_cut_and_harms_no_other_destination() {
    let cases: Vec<_> = [floods(), heads(), places()].into_iter().flatten().map(Hostile::start).collect();
    let good = Http2Origin::start(|_| Message::answer(200, "fine"));
    let ports: Vec<u16> = cases.iter().map(|(.., port)| *port).chain([good.port()]).collect();
    let policies = "policies: {timeouts: {first_byte: 2s, idle: 2s, total: 10s}}";
    let mut registrations = vec![registration("/good", good.port(), "")];
    registrations
        .extend(cases.iter().enumerate().map(|(at, (.., port))| registration(&format!("/h{at}"), *port, policies)));
    let boundary = boundary_with(&ports, "").replace("addresses:", "protocol: h2c, addresses:");
    let site = Site::new(&boundary, &registrations);
    let router = Router::start(&site.merged(), &["--workers", "1"], &[]);
    router.until_ready();
    let mut bystander = router.client();
    assert_eq!(bystander.send(&Request::new("GET", "/good")).text(), "fine");
    let before = router.resident();
    let mut findings = Vec::new();
    for (at, (name, outcome, _)) in cases.iter().enumerate() {
        let may: &[&str] = match outcome {
            Outcome::Refused => &["refused"],
            Outcome::Fine => &["fine"],
            Outcome::Cut => &["refused", "cut"],
            Outcome::Any => &["refused", "cut", "fine"],
        };
        match seen(&router, &format!("/h{at}")) {
            Ok(what) if may.contains(&what) => {}
            Ok(what) => findings.push(format!("{name}: {what}")),
            Err(what) => findings.push(format!("{name}: {what}")),
        }
        let answer = bystander.send(&Request::new("GET", "/good"));
        if (answer.status, answer.text().as_str()) != (200, "fine") {
            findings.push(format!("{name}: the bystander got {} {}", answer.status, answer.text()));
        }
        let grown = router.resident().saturating_sub(before);
        if grown > 64 << 20 {
            findings.push(format!("{name}: {grown} bytes more"));
        }
    }
    let count = findings.len();
    assert!(findings.is_empty(), "{count} of {} destinations:\n{}", cases.len(), findings.join("\n"));
    let grown = router.resident().saturating_sub(before);
    eprintln!("{} destinations, {} KiB more", cases.len(), grown / 1024);
    assert!(!router.diagnostics().contains("panicked"), "{}", router.diagnostics());
    drop(bystander);
    eventually("nothing to be left", || (router.metric("postern_active_requests") == 0.0).then_some(()));
}
