//! Five hundred answers that no decent server gives: the client gets a 502 with a reason, or the answer without what
//! was wrong, or one that visibly breaks off; and never anything that belongs to somebody else.
//!
//! The tables lie beside this file. A scripted destination gives each answer once; behind it the same client, and then
//! another, ask for something harmless and must get that.

mod bodies;
mod ends;
mod framings;
mod heads;

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use postern_tests::{
    Heard, RawOrigin, Router, Site, StrictClient, Wire, boundary_with, is_documented, registration, shown,
};

/// One answer, and what has to come of it.
struct Hostile {
    name: String,
    /// What the destination writes.
    bytes: Vec<u8>,
    then: Then,
    ask: Ask,
    outcome: Outcome,
    /// Whether another request may go over the connection.
    kept: bool,
    /// A field that has to be there in a clean answer.
    keeps: Option<(&'static str, &'static str)>,
}

/// What the destination does behind its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Keep,
    Close,
    Reset,
}

/// How it was asked.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Ask {
    Get,
    Head,
    Post,
    /// `GET` in HTTP/1.0.
    Old,
}

/// What the client has to see.
#[derive(Clone)]
enum Outcome {
    /// 502 with a reason.
    Refused,
    /// This status and this body.
    Clean(u16, Vec<u8>),
    /// 502, or an answer that breaks off.
    Cut,
    /// 502, an answer that breaks off, or this.
    Either(u16, Vec<u8>),
}

impl Hostile {
    fn new(name: impl Into<String>, bytes: impl Into<Vec<u8>>, then: Then, outcome: Outcome) -> Self {
        Self { name: name.into(), bytes: bytes.into(), then, ask: Ask::Get, outcome, kept: false, keeps: None }
    }

    fn refused(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(name, bytes, Then::Keep, Outcome::Refused)
    }

    fn clean(name: impl Into<String>, bytes: impl Into<Vec<u8>>, status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(name, bytes, Then::Keep, Outcome::Clean(status, body.into()))
    }

    fn cut(name: impl Into<String>, bytes: impl Into<Vec<u8>>) -> Self {
        Self::new(name, bytes, Then::Keep, Outcome::Cut)
    }

    fn either(name: impl Into<String>, bytes: impl Into<Vec<u8>>, status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(name, bytes, Then::Keep, Outcome::Either(status, body.into()))
    }

    fn then(mut self, then: Then) -> Self {
        self.then = then;
        self
    }

    fn ask(mut self, ask: Ask) -> Self {
        self.ask = ask;
        self
    }

    fn kept(mut self) -> Self {
        self.kept = true;
        self
    }

    fn keeps(mut self, name: &'static str, value: &'static str) -> Self {
        self.keeps = Some((name, value));
        self
    }

    /// The request for it, as the case with that number.
    fn request(&self, index: usize) -> String {
        let (method, version, more) = match self.ask {
            Ask::Get => ("GET", "HTTP/1.1", ""),
            Ask::Head => ("HEAD", "HTTP/1.1", ""),
            Ask::Post => ("POST", "HTTP/1.1", "content-length: 5\r\n"),
            Ask::Old => ("GET", "HTTP/1.0", ""),
        };
        let body = if self.ask == Ask::Post { "hello" } else { "" };
        format!("{method} /h/{index} {version}\r\nhost: api.example.com\r\n{more}\r\n{body}")
    }
}

/// A good answer with that body.
fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// A request for that path.
fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: api.example.com\r\n\r\n")
}

/// Bytes for text in which each character is one byte.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

/// Every case.
fn cases() -> Vec<Hostile> {
    [heads::cases(), framings::cases(), bodies::cases(), ends::cases()].into_iter().flatten().collect()
}

/// Which cases' connections were asked again.
type Reused = Arc<Mutex<BTreeSet<usize>>>;

fn number(head: &str, place: &str) -> Option<usize> {
    head.split(' ').nth(1)?.strip_prefix(place)?.parse().ok()
}

/// How the destination writes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// All at once.
    Whole,
    /// One byte after the other.
    Bytewise,
}

/// Plays the answers of `cases` and whatever harmless is asked between.
fn serve(wire: &mut Wire, cases: &[Hostile], way: Way, reused: &Reused) {
    let mut played = None;
    loop {
        let head = wire.head();
        if head.is_empty() {
            return;
        }
        if let Some(index) = played {
            reused.lock().unwrap().insert(index);
        }
        if let Some(index) = number(&head, "/fine/") {
            wire.write(ok(&format!("fine {index}")).as_bytes());
            continue;
        }
        let index = number(&head, "/h/").unwrap();
        let case = &cases[index];
        if case.ask == Ask::Post {
            wire.read(5);
        }
        // Of a very long answer only the beginning.
        let singly = if way == Way::Whole { 0 } else { case.bytes.len().min(800) };
        let (begin, rest) = case.bytes.split_at(singly);
        let _ = begin.iter().all(|byte| wire.write(&[*byte])) && wire.write(rest);
        match case.then {
            Then::Keep => played = Some(index),
            Then::Close => return,
            Then::Reset => return wire.reset(),
        }
    }
}

/// One router on one core, so that a connection that could be used again would be.
fn router(routes: &[(&str, u16)]) -> (Site, Router) {
    let ports: Vec<u16> = routes.iter().map(|(_, port)| *port).collect();
    let policies = "policies: {timeouts: {first_byte: 2s, idle: 2s}}";
    let registrations: Vec<String> = routes.iter().map(|(root, port)| registration(root, *port, policies)).collect();
    let site = Site::new(&boundary_with(&ports, ""), &registrations);
    let router = Router::start(&site.merged(), &["--workers", "1"], &[]);
    router.until_ready();
    (site, router)
}

/// What is not as it must be about an answer.
fn judge(case: &Hostile, heard: &Heard) -> Result<(), String> {
    let is_cut = matches!(case.outcome, Outcome::Cut | Outcome::Either(..));
    let answer = match heard {
        Heard::Answer(answer, interim) if interim.iter().all(|status| *status != 101) => answer,
        Heard::Cut(bytes) if is_cut && bytes.starts_with(b"HTTP/1.1 2") => return Ok(()),
        other => return Err(format!("the client got {}", told(other))),
    };
    if let Some((name, value)) =
        answer.fields.iter().chain(&answer.trailers).find(|(_, value)| value.contains("forged"))
    {
        return Err(format!("{name}: {value} came through"));
    }
    if !answer.trailers.is_empty() {
        return Err(format!("trailers came through: {:?}", answer.trailers));
    }
    let reason = answer.field("x-postern-reason");
    let is_refusal = answer.status == 502 && matches!(reason, Some("destination_protocol" | "destination_reset"));
    match &case.outcome {
        Outcome::Refused | Outcome::Cut | Outcome::Either(..) if is_refusal => Ok(()),
        Outcome::Clean(status, body) | Outcome::Either(status, body) => {
            if (answer.status, &answer.body) != (*status, body) || reason.is_some() {
                return Err(format!("the client got {}", told(heard)));
            }
            match case.keeps.filter(|(name, value)| answer.field(name) != Some(*value)) {
                Some((name, value)) => Err(format!("{name}: {value} did not come through")),
                None => Ok(()),
            }
        }
        _ => Err(format!("the client got {}", told(heard))),
    }
}

fn told(heard: &Heard) -> String {
    match heard {
        Heard::Answer(answer, interim) => {
            let Some(reason) = answer.field("x-postern-reason") else {
                let (fields, body) = (&answer.fields, shown(&answer.body));
                return format!("{} behind {interim:?} with {fields:?} and {body:?}", answer.status);
            };
            format!("{} {reason} behind {interim:?}", answer.status)
        }
        Heard::Cut(bytes) => format!("an answer that breaks off, {}", shown(bytes)),
        Heard::Wrong(bytes, why) => format!("{why} in {}", shown(bytes)),
        Heard::Silent(bytes) => format!("no more for seconds than {}", shown(bytes)),
    }
}

/// Asks for something harmless, on that connection if it lives, and then on another.
fn follow_up(router: &Router, client: &mut StrictClient, index: usize) -> Result<(), String> {
    let fine = get(&format!("/fine/{index}"));
    client.write(fine.as_bytes());
    let mut heard = client.hear(false, false);
    for turn in ["next on the same connection", "next of another client"] {
        match &heard {
            Heard::Answer(answer, _) if answer.status == 200 && answer.body == format!("fine {index}").as_bytes() => {}
            // The router has ended the connection behind the answer.
            Heard::Cut(bytes) if bytes.is_empty() && turn.contains("same") => {}
            other => return Err(format!("{turn}: {}", told(other))),
        }
        let mut another = StrictClient::connect(router.address());
        another.write(fine.as_bytes());
        heard = another.hear(false, false);
    }
    Ok(())
}

/// Plays all of `cases` and fails with everything that was found.
fn play(cases: Vec<Hostile>, way: Way) {
    let cases = Arc::new(cases);
    let reused = Reused::default();
    let (script, noted) = (Arc::clone(&cases), Arc::clone(&reused));
    let origin = RawOrigin::start(move |wire| serve(wire, &script, way, &noted));
    let (_site, router) = router(&[("/", origin.port())]);
    let (mut findings, mut made) = (Vec::new(), 0);
    for (index, case) in cases.iter().enumerate() {
        let mut client = StrictClient::connect(router.address());
        client.write(case.request(index).as_bytes());
        let heard = client.hear(case.ask == Ask::Head, case.ask == Ask::Old);
        let mut found = Vec::new();
        found.extend(judge(case, &heard).err());
        if let Heard::Answer(answer, _) = &heard
            && answer.field("x-postern-reason").is_some()
        {
            made += 1;
            found.extend(is_documented(answer, case.ask == Ask::Head).err());
        }
        // Behind an answer that is wrong or whole nothing more may come; behind another the connection is over.
        if !matches!(heard, Heard::Wrong(..) | Heard::Silent(_)) && case.ask != Ask::Old {
            found.extend(follow_up(&router, &mut client, index).err());
        }
        if !case.kept && reused.lock().unwrap().contains(&index) {
            found.push("the connection was used again".to_owned());
        }
        if !found.is_empty() {
            findings.push(format!("{}\n    {}\n    {}", case.name, shown(&case.bytes), found.join("\n    ")));
        }
    }
    let count = findings.len();
    assert!(findings.is_empty(), "{count} of {} answers:\n{}", cases.len(), findings.join("\n"));
    assert!(made > 100, "only {made} answers of the router's own");
}

#[test]
fn a_hostile_answer_is_refused_cleaned_or_cut_and_touches_no_other_request() {
    play(cases(), Way::Whole);
}

#[test]
fn a_hostile_answer_that_comes_byte_by_byte_is_judged_alike() {
    let mut cases = cases();
    // What comes behind a whole answer may then come behind the next request, and nobody could tell whose it is.
    let is_behind = |case: &Hostile| case.then == Then::Keep && !case.kept;
    cases.retain(|case| matches!(case.outcome, Outcome::Refused | Outcome::Cut) || !is_behind(case));
    assert!(cases.len() > 400);
    play(cases, Way::Bytewise);
}

#[test]
fn the_tables_hold_a_hundred_and_fifty_distinct_answers() {
    let cases = cases();
    let distinct: BTreeSet<_> = cases.iter().map(|case| (&case.bytes, case.then as u8, case.ask as u8)).collect();
    let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
    eprintln!("{} answers, {} distinct", cases.len(), distinct.len());
    assert!(distinct.len() >= 150);
    assert_eq!(names.len(), cases.len(), "two cases have one name");
}

#[test]
fn an_answer_before_its_request_is_nobodys() {
    let reused = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&reused);
    let origin = RawOrigin::start(move |wire| {
        // Before anything is asked, and once more behind what is asked.
        wire.write(ok("early").as_bytes());
        if let Some(index) = number(&wire.head(), "/early/") {
            wire.write(ok(&format!("early {index}")).as_bytes());
        }
        if !wire.head().is_empty() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    });
    let fine = RawOrigin::start(|wire| {
        while let Some(index) = number(&wire.head(), "/fine/") {
            wire.write(ok(&format!("fine {index}")).as_bytes());
        }
    });
    let (_site, router) = router(&[("/early", origin.port()), ("/fine", fine.port())]);
    let mut findings = Vec::new();
    for index in 0..20 {
        let mut client = StrictClient::connect(router.address());
        client.write(get(&format!("/early/{index}")).as_bytes());
        match client.hear(false, false) {
            Heard::Answer(answer, _) if answer.status == 502 => {}
            // On a new connection nobody can tell the two apart; what is behind it must be seen.
            Heard::Answer(answer, _) if answer.body == b"early" => {}
            Heard::Answer(answer, _) if answer.body == format!("early {index}").as_bytes() => {}
            other => findings.push(format!("{index}: {}", told(&other))),
        }
        findings.extend(follow_up(&router, &mut client, index).err());
    }
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    assert_eq!(reused.load(Ordering::SeqCst), 0, "connections with bytes that nobody asked for were used again");
}

#[test]
fn bytes_on_an_idle_connection_end_it() {
    let (speak, told_to) = std::sync::mpsc::channel::<()>();
    let (spoke, spoken) = std::sync::mpsc::channel::<()>();
    let (told_to, spoke) = (Mutex::new(told_to), Mutex::new(spoke));
    // The answer is whole and the connection fit to be kept; what comes later belongs to nobody.
    let origin = RawOrigin::start(move |wire| {
        if let Some(index) = number(&wire.head(), "/fine/") {
            wire.write(ok(&format!("fine {index}")).as_bytes());
            let _ = told_to.lock().unwrap().recv();
            wire.write(ok("somebody else's").as_bytes());
            let _ = spoke.lock().unwrap().send(());
        }
        wire.until_closed();
    });
    let (_site, router) = router(&[("/", origin.port())]);
    for index in 0..50 {
        let mut client = StrictClient::connect(router.address());
        client.write(get(&format!("/fine/{index}")).as_bytes());
        match client.hear(false, false) {
            Heard::Answer(answer, _) if answer.body == format!("fine {index}").as_bytes() => {}
            other => panic!("{index}: {}", told(&other)),
        }
        speak.send(()).unwrap();
        spoken.recv_timeout(std::time::Duration::from_secs(10)).unwrap();
    }
}
