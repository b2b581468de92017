//! A table of requests, well-formed or not, played against a router in three ways, and what has to come of each.
//!
//! One router and one recording destination serve a whole table; a mark in each request tells whose bytes arrived.
//! Every finding is collected, so that a table is judged at once.

mod judge;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::documents::{Site, boundary_with, registration};
use crate::manual::is_documented;
use crate::oracle::{self, Asked, Message, Stop};
use crate::process::Router;
use crate::recorder::{Arrival, Recorder};

/// Stands in the bytes of a case wherever the mark of its run goes: as long as a mark, so that lengths hold.
pub const MARK: &str = "mk0000000";

/// One request, or what looks like one.
#[derive(Debug, Clone)]
pub struct Case {
    /// What is odd about it.
    pub name: String,
    /// The bytes, with [`MARK`] in them.
    pub bytes: Vec<u8>,
    /// What has to come of it.
    pub expect: Expect,
    /// Whether the client ends its side behind these bytes, since they are no whole message.
    pub cut: bool,
    /// In which ways it is sent.
    pub ways: &'static [Way],
    /// A field that has to be there when it is forwarded: name and value.
    pub keeps: Option<(&'static str, &'static str)>,
}

/// What has to come of a case. Nothing arrives that the oracle does not take, nothing arrives twice, and nothing
/// that a body hides arrives as a request, whatever stands here.
#[derive(Debug, Clone)]
pub enum Expect {
    /// No request: answered 4xx, 501 or 505, or not at all. Nothing reaches the destination, and nothing that
    /// follows on the connection is read: it ends.
    Refused,
    /// A request with one reading that is not wanted: answered 4xx or 501. Nothing of it reaches the destination.
    /// What follows on the connection may be served, as a request of its own.
    Declined(&'static [u16]),
    /// Wrong behind its head: the destination may see a beginning and never all of it; the connection ends.
    Broken,
    /// Arrives once, with this target and this body, and is answered; so is what follows.
    Forwarded {
        /// The method.
        method: String,
        /// The target, with [`MARK`] in it.
        target: String,
        /// The body.
        body: Vec<u8>,
    },
    /// Refused, declined or forwarded; when it is forwarded, then as one message with one reading.
    Either,
}

/// How the bytes of a case are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// In one write on a connection of its own.
    Whole,
    /// In one write between two requests that are beyond doubt.
    Pipelined,
    /// One byte after the other.
    Bytewise,
}

const WAYS: [Way; 3] = [Way::Whole, Way::Pipelined, Way::Bytewise];

impl Case {
    /// A case in all ways.
    pub fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>, expect: Expect) -> Self {
        Self { name: name.into(), bytes: bytes.into(), expect, cut: false, ways: &WAYS, keeps: None }
    }

    /// One that is refused.
    pub fn refused(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(name, bytes, Expect::Refused)
    }

    /// One that is declined, with one of these statuses; with any when there are none.
    pub fn declined(name: impl Into<String>, bytes: impl Into<Vec<u8>>, statuses: &'static [u16]) -> Self {
        Self::new(name, bytes, Expect::Declined(statuses))
    }

    /// One that never arrives whole.
    pub fn broken(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(name, bytes, Expect::Broken)
    }

    /// One that may go either way.
    pub fn either(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(name, bytes, Expect::Either)
    }

    /// One that arrives.
    pub fn forwarded(
        name: impl Into<String>,
        bytes: impl Into<Vec<u8>>,
        method: &str,
        target: &str,
        body: impl Into<Vec<u8>>,
    ) -> Self {
        let (method, target, body) = (method.to_owned(), target.to_owned(), body.into());
        Self::new(name, bytes, Expect::Forwarded { method, target, body })
    }

    /// The client ends its side behind it; nothing can stand behind it on a connection.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.cut = true;
        self.sent(&[Way::Whole, Way::Bytewise])
    }

    /// Sent in these ways only.
    #[must_use]
    pub fn sent(mut self, ways: &'static [Way]) -> Self {
        self.ways = ways;
        self
    }

    /// This field has to be there when it is forwarded.
    #[must_use]
    pub fn keeps(mut self, name: &'static str, value: &'static str) -> Self {
        self.keeps = Some((name, value));
        self
    }
}

/// One case in one way.
struct Run<'a> {
    case: &'a Case,
    way: Way,
    mark: String,
}

/// What a client saw.
#[derive(Debug, Default)]
struct Seen {
    /// Final answers, in their order.
    answers: Vec<Message>,
    /// Bytes that are no answer, and why.
    wrong: Option<(Vec<u8>, String)>,
    /// Whether the router ended the connection, before the client did unless it had all its answers.
    closed: bool,
}

/// Plays a table and fails with everything that was found. Says how many answers the router made by itself.
pub fn play(table: &str, cases: &[Case]) -> usize {
    let runs: Vec<Run<'_>> = cases
        .iter()
        .flat_map(|case| case.ways.iter().map(move |way| (case, *way)))
        .enumerate()
        .map(|(index, (case, way))| Run { case, way, mark: format!("mk{:07}", index + 1) })
        .collect();
    let recorder = Recorder::start();
    let more = "policies: {identity_headers: {x-user-id: sub}}";
    let site = Site::new(&boundary_with(&[recorder.port()], ""), &[registration("/", recorder.port(), more)]);
    // A head or a body that the router waits for shall not be waited for much longer.
    let limits = [("POSTERN_ROUTER_LIMITS__HEAD", "3s"), ("POSTERN_ROUTER_LIMITS__BODY_IDLE", "3s")];
    let router = Router::start(&site.merged(), &[], &limits);
    router.until_ready();
    let seen = play_all(router.address(), &runs);
    drop(router);
    let (arrived, mut findings) = attribute(recorder.into_arrivals());
    let mut failed: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut made = 0;
    for (run, seen) in runs.iter().zip(&seen) {
        for answer in seen.answers.iter().filter(|answer| judge::is_the_routers(answer)) {
            made += 1;
            if let Err(finding) = is_documented(answer, run.case.bytes.starts_with(b"HEAD ")) {
                failed.entry(&run.case.name).or_default().push(format!("    {:?}: {finding}", run.way));
            }
        }
        let nothing = Vec::new();
        for finding in judge::judge(run, seen, arrived.get(&run.mark).unwrap_or(&nothing)) {
            failed.entry(&run.case.name).or_default().push(format!("    {:?}: {finding}", run.way));
        }
    }
    for case in cases {
        if let Some(lines) = failed.get(case.name.as_str()) {
            let expected = judge::name_of(&case.expect);
            findings.push(format!("{} ({expected})\n    {}\n{}", case.name, shown(&case.bytes), lines.join("\n")));
        }
    }
    assert!(
        findings.is_empty(),
        "{table}: {} of {} cases, sent {} times, are not as they must be:\n{}",
        failed.len(),
        cases.len(),
        runs.len(),
        findings.join("\n")
    );
    eprintln!("{table}: {made} answers of the router's own, each with a documented reason");
    made
}

/// Bytes as a line of text, the middle left out when there are many.
pub fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 700;
    let text = |bytes: &[u8]| bytes.escape_ascii().to_string();
    match bytes.len() {
        0..=MOST => text(bytes),
        length => {
            let (begin, end) = (&bytes[..MOST / 2], &bytes[length - 100..]);
            format!("{} … {length} bytes … {}", text(begin), text(end))
        }
    }
}

fn play_all(address: SocketAddr, runs: &[Run<'_>]) -> Vec<Seen> {
    const PLAYERS: usize = 12;
    let next = AtomicUsize::new(0);
    let seen: Mutex<Vec<Option<Seen>>> = Mutex::new(runs.iter().map(|_| None).collect());
    std::thread::scope(|scope| {
        for _ in 0..PLAYERS {
            scope.spawn(|| {
                while let Some((index, run)) = {
                    let index = next.fetch_add(1, Ordering::SeqCst);
                    runs.get(index).map(|run| (index, run))
                } {
                    let one = play_one(address, run);
                    seen.lock().unwrap()[index] = Some(one);
                }
            });
        }
    });
    seen.into_inner().unwrap().into_iter().map(|seen| seen.unwrap()).collect()
}

fn neighbour(place: &str, mark: &str) -> String {
    format!("GET /{place}/{mark} HTTP/1.1\r\nhost: api.example.com\r\nx-marker: {mark}\r\n\r\n")
}

/// The same bytes with a mark in them.
fn marked(bytes: &[u8], mark: &str) -> Vec<u8> {
    let mut marked = bytes.to_vec();
    let (from, to) = (MARK.as_bytes(), mark.as_bytes());
    let mut at = 0;
    while at + from.len() <= marked.len() {
        if &marked[at..at + from.len()] == from {
            marked[at..at + from.len()].copy_from_slice(to);
            at += from.len();
        } else {
            at += 1;
        }
    }
    marked
}

fn play_one(address: SocketAddr, run: &Run<'_>) -> Seen {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let bytes = marked(&run.case.bytes, &run.mark);
    // What fails here is told by what is then read: a router that has refused reads no further.
    let _ = match run.way {
        Way::Whole => stream.write_all(&bytes),
        Way::Pipelined => {
            let (before, after) = (neighbour("before", &run.mark), neighbour("after", &run.mark));
            stream.write_all(&[before.as_bytes(), &bytes, after.as_bytes()].concat())
        }
        Way::Bytewise => write_bytewise(&mut stream, &bytes),
    };
    if run.case.cut {
        let _ = stream.shutdown(Shutdown::Write);
    }
    listen(stream, run)
}

/// How long a router may keep silent. Only a finding takes so long.
const PATIENCE: Duration = Duration::from_secs(5);

fn write_bytewise(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    // Of a very long message only the ends go byte by byte: a router may look at all of it for each.
    const ENDS: usize = 2_048;
    let (begin, rest) = bytes.split_at(bytes.len().min(ENDS));
    let (middle, end) = rest.split_at(rest.len().saturating_sub(ENDS / 4));
    let singles = |bytes: &[u8]| bytes.iter().map(|byte| vec![*byte]).collect::<Vec<_>>();
    for piece in singles(begin).into_iter().chain(middle.chunks(509).map(<[u8]>::to_vec)).chain(singles(end)) {
        stream.write_all(&piece)?;
    }
    Ok(())
}

/// Reads answers until there are as many as there can be, then to the end.
fn listen(mut stream: TcpStream, run: &Run<'_>) -> Seen {
    let own = usize::from(run.way == Way::Pipelined);
    let by_head = run.case.bytes.starts_with(b"HEAD ");
    let line = run.case.bytes.split(|byte| *byte == b'\r').next().unwrap_or_default();
    let old = line.ends_with(b" HTTP/1.0");
    let mut seen = Seen::default();
    let (mut held, mut buffer) = (Vec::new(), [0; 16_384]);
    let mut ended = false;
    loop {
        let is_own = seen.answers.len() == own;
        let asked = Asked { by_head: by_head && is_own, old: old && is_own, ended };
        match oracle::answer(&held, asked) {
            Ok((answer, taken)) => {
                held.drain(..taken);
                if answer.status >= 200 {
                    seen.answers.push(answer);
                }
                if !ended && is_done(run, &seen, own) {
                    let _ = stream.shutdown(Shutdown::Write);
                }
                continue;
            }
            Err(Stop::Wrong(why)) => {
                seen.wrong = Some((held, why));
                return seen;
            }
            Err(Stop::More) if ended => break,
            Err(Stop::More) => {}
        }
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => held.extend_from_slice(&buffer[..read]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) => {
                break;
            }
            _ => ended = true,
        }
    }
    seen.closed = ended;
    if !held.is_empty() {
        seen.wrong = Some((held, "an answer that is not whole".to_owned()));
    }
    seen
}

/// Whether the client need not wait for more. One that has to see the connection end waits for that.
fn is_done(run: &Run<'_>, seen: &Seen, own: usize) -> bool {
    let ends = matches!(run.case.expect, Expect::Refused | Expect::Broken);
    let is_refused = seen.answers.get(own).is_none_or(|answer| answer.status >= 400);
    match ends && is_refused {
        true => false,
        false => seen.answers.len() > 2 * own,
    }
}

/// Arrivals by mark, and findings about those that nobody sent.
fn attribute(arrivals: Vec<Arrival>) -> (BTreeMap<String, Vec<Arrival>>, Vec<String>) {
    let mut arrived: BTreeMap<String, Vec<Arrival>> = BTreeMap::new();
    let mut findings = Vec::new();
    for arrival in arrivals {
        match judge::marks(&arrival).as_slice() {
            [mark] => arrived.entry(mark.clone()).or_default().push(arrival),
            marks => findings.push(format!("at the destination, of {marks:?}: {}", judge::told(&arrival))),
        }
    }
    (arrived, findings)
}
