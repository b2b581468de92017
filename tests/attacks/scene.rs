//! An attack from many connections at once, what it costs the router, and whether others notice.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Barrier, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postern_tests::{Origin, RawOrigin, Router, Site, Wire, boundary_with, eventually_within, registration};

use super::bystander::Bystanders;
use super::foe::{Foe, Standing};

/// Connections of attackers at once.
const CONNECTIONS: usize = 32;
/// What one byte of an attacker may make the router hold, and what a connection may whatever was sent.
const BYTES_PER_BYTE: u64 = 25;
/// The goal is 1 MiB; an optimised router keeps nearer to it than this one does.
const BYTES_PER_CONNECTION: u64 = 7 << 18;
/// What two cores keep of spare buffers for heads, whoever used them.
const SPARE: u64 = 8 << 20;

/// What one connection does, and what has to come of it.
pub(super) struct Attack {
    /// What it is.
    pub(super) name: &'static str,
    /// The settings that it sends; without any it does not even send the preface.
    pub(super) settings: Option<&'static [(u16, u32)]>,
    /// What it sends, on a connection that has begun.
    pub(super) play: fn(&mut Foe),
    /// Whether the router ends the connection; none where that depends on how fast its frames come.
    pub(super) ended: Option<bool>,
    /// How many requests of each connection stay under way.
    pub(super) under_way: usize,
    /// How many connections, one after the other, in a short run.
    pub(super) rounds: usize,
}

impl Attack {
    /// One that is answered by the end of the connection.
    pub(super) const fn ended(name: &'static str, play: fn(&mut Foe)) -> Self {
        Self { name, settings: Some(&[]), play, ended: Some(true), under_way: 0, rounds: 3 }
    }

    /// One that the router can live with.
    pub(super) const fn borne(name: &'static str, play: fn(&mut Foe)) -> Self {
        Self { name, settings: Some(&[]), play, ended: Some(false), under_way: 0, rounds: 1 }
    }

    /// One that it can live with, and that the library ends when too much of it waits.
    pub(super) const fn either(name: &'static str, play: fn(&mut Foe)) -> Self {
        Self { name, settings: Some(&[]), play, ended: None, under_way: 0, rounds: 3 }
    }
}

/// Destinations that answer at once, never, and at great length.
struct Scene {
    _quick: Origin,
    held: RawOrigin,
    big: RawOrigin,
    _site: Site,
    router: Router,
}

impl Scene {
    fn new() -> Self {
        let quick = Origin::named("quick");
        let held = RawOrigin::start(|wire| wire.until_closed());
        let big = RawOrigin::start(long);
        let ports = [quick.port(), held.port(), big.port()];
        let roots = ["/quick", "/held", "/big"];
        let routes: Vec<String> = roots.iter().zip(ports).map(|(root, port)| registration(root, port, "")).collect();
        let site = Site::new(&boundary_with(&ports, ""), &routes);
        let router = Router::start(&site.merged(), &["--access-log", "off"], &[]);
        router.until_ready();
        Self { _quick: quick, held, big, _site: site, router }
    }
}

/// Answers with more than the router keeps for one stream, as far as they are taken.
fn long(wire: &mut Wire) {
    const PIECES: usize = 4;
    wire.head();
    let mut going = wire.write(format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", PIECES << 16).as_bytes());
    for _ in 0..PIECES {
        going = going && wire.write(&[b'b'; 1 << 16]);
    }
    wire.until_closed();
}

/// Looks at the memory of a process all the while.
struct Watch {
    stop: Arc<AtomicBool>,
    most: Arc<AtomicU64>,
    thread: JoinHandle<()>,
}

impl Watch {
    fn start(router: u32) -> Self {
        let (stop, most) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let (stopped, highest) = (Arc::clone(&stop), Arc::clone(&most));
        let thread = std::thread::spawn(move || {
            while !stopped.load(Ordering::Relaxed) {
                highest.fetch_max(postern_tests::resident(router), Ordering::Relaxed);
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        Self { stop, most, thread }
    }

    fn stop(self) -> u64 {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap();
        self.most.load(Ordering::Relaxed)
    }
}

/// What the attackers did.
#[derive(Default)]
struct Deeds {
    /// The bytes of the connection of each that sent most: connections follow each other, memory does not.
    live: u64,
    sent: u64,
    connections: usize,
    resets: usize,
    standing: BTreeMap<Standing, usize>,
}

/// Plays an attack, prints what it cost, and gives everything that was not borne.
pub(super) fn play(attack: &Attack) -> Vec<String> {
    let scene = Scene::new();
    let router = &scene.router;
    let others = Bystanders::start(router.address());
    others.more(100);
    let quiet = others.more(200);
    let before = router.resident();
    let watch = Watch::start(router.id());
    let mark = others.mark();
    let gate = Barrier::new(CONNECTIONS + 1);
    let deeds = Mutex::new(Deeds::default());
    let length = Duration::from_secs(if postern_tests::at_full_length() { 60 } else { 0 });
    let mut findings = Vec::new();
    let (stretch, most) = std::thread::scope(|scope| {
        for _ in 0..CONNECTIONS {
            scope.spawn(|| attacker(attack, router, length, &gate, &deeds));
        }
        gate.wait();
        let under_way = CONNECTIONS * attack.under_way;
        eventually_within(Duration::from_secs(60), "requests under way", || {
            (router.metric("postern_http_server_active_requests") >= under_way as f64).then_some(())
        });
        let stretch = others.since(mark, 50);
        let most = watch.stop();
        gate.wait();
        (stretch, most)
    });
    findings.extend(others.stop().into_iter().map(|wrong| format!("another client: {wrong}")));
    let deeds = deeds.into_inner().unwrap();
    findings.extend(report(
        attack,
        &deeds,
        most.saturating_sub(before),
        [quiet.p99(), stretch.p99()],
        stretch.answers(),
    ));
    nothing_is_left(&scene);
    findings.into_iter().map(|finding| format!("{}: {finding}", attack.name)).collect()
}

fn attacker(attack: &Attack, router: &Router, length: Duration, gate: &Barrier, deeds: &Mutex<Deeds>) {
    let end = Instant::now() + length;
    let mut most = 0;
    for round in 1.. {
        let mut foe = Foe::silent(router.address());
        if let Some(settings) = attack.settings {
            foe.greet(settings);
        }
        (attack.play)(&mut foe);
        let standing = if attack.ended == Some(true) && foe.amid { foe.until_ended() } else { foe.settle() };
        let last = round >= attack.rounds && Instant::now() >= end;
        most = most.max(foe.sent);
        let mut deeds = deeds.lock().unwrap();
        deeds.connections += 1;
        deeds.sent += foe.sent;
        deeds.resets += foe.resets();
        *deeds.standing.entry(standing).or_default() += 1;
        deeds.live += if last { most } else { 0 };
        drop(deeds);
        if last {
            gate.wait();
            gate.wait();
            return;
        }
    }
}

fn report(attack: &Attack, deeds: &Deeds, grown: u64, p99: [[f64; 2]; 2], answers: usize) -> Vec<String> {
    let connections = CONNECTIONS as u64;
    let ratio = grown as f64 / deeds.live.max(1) as f64;
    eprintln!(
        "| {} | {} | {} | {} | {} | {ratio:.1} | {} | {:?} | {} | {answers} | {:.1} → {:.1} | {:.1} → {:.1} |",
        attack.name,
        deeds.connections,
        deeds.sent,
        deeds.live,
        grown / 1024,
        grown / connections / 1024,
        deeds.standing,
        deeds.resets,
        p99[0][0],
        p99[1][0],
        p99[0][1],
        p99[1][1],
    );
    let mut findings = Vec::new();
    let bound = (BYTES_PER_BYTE * deeds.live).max(BYTES_PER_CONNECTION * connections) + SPARE;
    if grown > bound {
        findings.push(format!("{grown} bytes more resident for {} sent, at most {bound}", deeds.live));
    }
    for (standing, count) in &deeds.standing {
        let ended = matches!(standing, Standing::Ended(_));
        if attack.ended.is_some_and(|asked| asked != ended) || *standing == Standing::Silent {
            findings.push(format!("{count} connections are {standing:?}"));
        }
    }
    findings
}

/// Waits until the router holds nothing of anybody any more.
fn nothing_is_left(scene: &Scene) {
    for gauge in ["postern_http_server_active_requests", "postern_connections"] {
        eventually_within(Duration::from_secs(20), &format!("{gauge} to be 0"), || {
            (scene.router.metric(gauge) == 0.0).then_some(())
        });
    }
    for origin in [&scene.held, &scene.big] {
        eventually_within(Duration::from_secs(20), "connections to a destination to end", || {
            (origin.accepted() == origin.ended()).then_some(())
        });
    }
}
