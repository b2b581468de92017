//! A destination that closes kept connections whenever it likes: no request is sent twice that must not be, and one
//! that may be is, so that nobody notices.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_tests::{Heard, RawOrigin, Router, Site, StrictClient, Wire, boundary_with, registration, runs};

/// Numbers that look like chance, the same in each run for the same seed (Marsaglia's xorshift).
struct Chance(u64);

impl Chance {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn micros(&mut self, bound: u64) -> Duration {
        Duration::from_micros(self.below(bound))
    }
}

/// What reached the destination, and how it ended connections.
#[derive(Default)]
struct Ledger {
    /// How often each request came, by its target.
    came: Mutex<BTreeMap<String, usize>>,
    wrong: Mutex<Vec<String>>,
    connections: AtomicU64,
    endings: [AtomicUsize; 7],
}

const ENDINGS: [&str; 7] = [
    "right behind the answer", "announced", "reset behind the answer", "in idleness", "reset in idleness",
    "as the next request comes", "behind the next request",
];

/// Answers each request, and then keeps the connection, or ends it now or a little later.
fn serve(wire: &mut Wire, ledger: &Ledger) {
    let mut chance = Chance::new(ledger.connections.fetch_add(1, Ordering::SeqCst) + 1);
    let mut head = wire.head();
    while !head.is_empty() {
        note(wire, &head, ledger);
        let ending = usize::try_from(chance.below(16)).unwrap();
        if let Some(count) = ledger.endings.get(ending) {
            count.fetch_add(1, Ordering::SeqCst);
        }
        let close = if ending == 1 { "connection: close\r\n" } else { "" };
        wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n{close}\r\nok").as_bytes());
        match ending {
            0 | 1 => return,
            2 => return wire.reset(),
            5 => return wire.until_spoken_to(),
            _ => {}
        }
        head = match ending {
            // A request may come in the very moment in which the time is over: that is the race.
            3 | 4 => wire.head_within(chance.micros(5_000)),
            _ => wire.head(),
        };
        match ending {
            4 if head.is_empty() => return wire.reset(),
            // Taken and worked on, and nobody is told.
            6 if !head.is_empty() => return note(wire, &head, ledger),
            _ => {}
        }
    }
}

fn note(wire: &mut Wire, head: &str, ledger: &Ledger) {
    let target = head.split(' ').nth(1).unwrap_or_default().to_owned();
    let length =
        head.lines().find_map(|line| line.strip_prefix("content-length: ")).map_or(0, |text| text.parse().unwrap());
    let body = wire.read(length);
    if length > 0 && body != target.as_bytes() {
        ledger.wrong.lock().unwrap().push(format!("{target} came with the body {:?}", String::from_utf8_lossy(&body)));
    }
    *ledger.came.lock().unwrap().entry(target).or_default() += 1;
}

/// What clients saw.
#[derive(Default)]
struct Seen {
    answered: Mutex<Vec<String>>,
    refused: Mutex<BTreeMap<String, usize>>,
    findings: Mutex<Vec<String>>,
}

/// One client on one connection: three `POST`s for each `GET`, with pauses in which connections end.
fn ask(router: &Router, thread: usize, posts: usize, seen: &Seen) {
    let mut chance = Chance::new(1_000 + thread as u64);
    let mut client = StrictClient::connect(router.address());
    let mut sent = 0;
    for number in 0.. {
        if sent == posts {
            return;
        }
        let is_post = number % 4 != 0;
        sent += usize::from(is_post);
        let (method, target) = (if is_post { "POST" } else { "GET" }, format!("/{thread}/{number}"));
        // One without a body is the easier to send again.
        let body = if number % 4 > 1 { target.as_str() } else { "" };
        let length = if is_post { format!("content-length: {}\r\n", body.len()) } else { String::new() };
        client.write(format!("{method} {target} HTTP/1.1\r\nhost: api.example.com\r\n{length}\r\n{body}").as_bytes());
        match client.hear(false, false) {
            Heard::Answer(answer, _) if answer.status == 200 && answer.body == b"ok" => {
                seen.answered.lock().unwrap().push(target);
            }
            Heard::Answer(answer, _) if is_post && matches!(answer.status, 502..=504) => {
                match answer.field("x-postern-reason") {
                    Some(reason) => {
                        *seen.refused.lock().unwrap().entry(format!("{} {reason}", answer.status)).or_default() += 1;
                    }
                    None => {
                        seen.findings.lock().unwrap().push(format!("POST {target}: {} without a reason", answer.status))
                    }
                }
            }
            other => {
                seen.findings.lock().unwrap().push(format!("{method} {target}: {other:?}"));
                client = StrictClient::connect(router.address());
            }
        }
        // Idle, so that what is kept can end meanwhile; the time itself is what varies here.
        std::thread::sleep(chance.micros(6_000));
    }
}

#[test]
fn no_post_is_sent_twice_and_no_get_fails_while_kept_connections_end_at_random() {
    const CLIENTS: usize = 8;
    let posts = runs("POSTs on connections that end at random", 2_000, 10_000);
    let ledger: Arc<Ledger> = Arc::default();
    let noted = Arc::clone(&ledger);
    let origin = RawOrigin::start(move |wire| serve(wire, &noted));
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let router = Router::serve(&site.merged());
    let seen = Seen::default();
    std::thread::scope(|scope| {
        for thread in 0..CLIENTS {
            let (router, seen) = (&router, &seen);
            scope.spawn(move || ask(router, thread, posts / CLIENTS, seen));
        }
    });
    let came = ledger.came.lock().unwrap();
    let mut findings = seen.findings.into_inner().unwrap();
    findings.extend(ledger.wrong.lock().unwrap().drain(..));
    // The number says which method it was, as when it was sent.
    let is_post = |target: &str| target.rsplit('/').next().unwrap().parse::<usize>().unwrap() % 4 != 0;
    let twice = came.iter().filter(|(target, times)| is_post(target) && **times > 1);
    findings.extend(twice.map(|(target, times)| format!("POST {target} came {times} times")));
    let answered = seen.answered.into_inner().unwrap();
    let missing = answered.iter().filter(|target| !came.contains_key(*target));
    findings.extend(missing.map(|target| format!("{target} was answered and never came")));
    let endings: Vec<usize> = ledger.endings.iter().map(|count| count.load(Ordering::SeqCst)).collect();
    eprintln!(
        "{} requests over {} connections, which ended {:?} {endings:?} times; answered {}, refused {:?}",
        came.len(),
        ledger.connections.load(Ordering::SeqCst),
        ENDINGS,
        answered.len(),
        seen.refused.lock().unwrap()
    );
    assert!(endings.iter().all(|count| *count > 20), "connections hardly ended: this shows nothing");
    assert!(findings.is_empty(), "{} findings:\n{}", findings.len(), findings.join("\n"));
}
