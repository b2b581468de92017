//! How the router ends: nobody in flight is cut, nobody waits for ever.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use postern_tests::{
    Client, Gate, Load, Origin, RawOrigin, Reply, Request, Router, Site, Syncer, boundary_with, eventually,
    registration,
};

const PATIENCE: Duration = Duration::from_secs(20);

/// An origin that holds every request until the gate opens, and one that answers at once.
struct Scene {
    gate: Arc<Gate>,
    site: Site,
}

impl Scene {
    fn new() -> Self {
        let gate = Gate::closed();
        let held = Arc::clone(&gate);
        let slow = Origin::start(move |request| {
            held.pass();
            Reply::ok(format!("late {}", request.target))
        });
        let quick = Origin::named("quick");
        let boundary = boundary_with(&[slow.port(), quick.port()], "");
        let site =
            Site::new(&boundary, &[registration("/slow", slow.port(), ""), registration("/quick", quick.port(), "")]);
        Self { gate, site }
    }

    fn router(&self, lame_duck: &str, deadline: &str) -> Router {
        let settings =
            [("POSTERN_ROUTER_SHUTDOWN__LAME_DUCK", lame_duck), ("POSTERN_ROUTER_SHUTDOWN__DEADLINE", deadline)];
        let router = Router::start(&self.site.merged(), &[], &settings);
        router.until_ready();
        router
    }
}

#[test]
fn twenty_slow_requests_in_flight_all_end_well_and_then_the_router_ends_by_itself() {
    let scene = Scene::new();
    let mut router = scene.router("1s", "20s");
    let address = router.address();
    let waiting: Vec<_> = (0..20)
        .map(|number| {
            thread::spawn(move || Client::connect(address).send(&Request::new("GET", &format!("/slow/{number}"))))
        })
        .collect();
    scene.gate.until_waiting(20);
    let began = Instant::now();
    router.signal("TERM");
    eventually("/readyz to fail", || (router.admin("/readyz").status == 503).then_some(()));
    assert!(began.elapsed() < Duration::from_millis(500), "/readyz failed only after {:?}", began.elapsed());

    // The lame duck: load balancers learn of it, and nobody who comes meanwhile is turned away.
    let health = router.send(&Request::to_host("GET", "10.0.0.1:8080", "/healthz"));
    assert_eq!(health.status, 503);
    let answer = router.get("/quick/1");
    assert_eq!((answer.status, answer.header("connection")), (200, Some("close")));
    assert_eq!(router.admin("/livez").status, 200);

    // Then nobody new, while the twenty still wait.
    eventually("new connections to be refused", || Client::try_connect(address).err());
    assert!(began.elapsed() >= Duration::from_secs(1), "closed after {:?}", began.elapsed());
    scene.gate.open();
    for (number, answer) in waiting.into_iter().enumerate() {
        let answer = answer.join().unwrap();
        assert_eq!((answer.status, answer.text()), (200, format!("late /slow/{number}")));
        assert_eq!(answer.header("connection"), Some("close"));
    }
    let status = router.wait(PATIENCE);
    assert_eq!(status.code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(10), "ended only after {:?}", began.elapsed());
    // What was asked in the last second of its life is in the log as well.
    eventually("twenty lines of the log", || {
        let lines = router.access_log();
        let slow = lines.iter().filter(|line| line["route"] == "/slow#default" && line["status"] == 200);
        (slow.count() == 20).then_some(())
    });
}

#[test]
fn an_answer_that_streams_while_the_router_ends_is_whole() {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let origin = RawOrigin::start(move |wire| {
        wire.head();
        wire.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n");
        held.pass();
        wire.write(b"4\r\nlast\r\n0\r\n\r\n");
        wire.until_closed();
    });
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let settings = [("POSTERN_ROUTER_SHUTDOWN__LAME_DUCK", "0s"), ("POSTERN_ROUTER_SHUTDOWN__DEADLINE", "20s")];
    let mut router = Router::start(&site.merged(), &[], &settings);
    router.until_ready();
    let mut client = router.client();
    client.write(&Request::new("GET", "/").bytes()).unwrap();
    assert_eq!(client.read_head().unwrap().status, 200);
    let mut body = Vec::new();
    assert!(client.read_chunk(&mut body).unwrap());
    router.signal("TERM");
    eventually("new connections to be refused", || Client::try_connect(router.address()).err());
    gate.open();
    while client.read_chunk(&mut body).unwrap() {}
    assert_eq!(body, b"firstlast");
    assert!(client.is_closed());
    assert_eq!(router.wait(PATIENCE).code(), Some(0));
}

#[test]
fn idle_kept_connections_are_closed_and_keep_nobody_waiting() {
    let scene = Scene::new();
    let mut router = scene.router("0s", "20s");
    let mut kept: Vec<Client> = (0..5).map(|_| router.client()).collect();
    for client in &mut kept {
        assert_eq!(client.send(&Request::new("GET", "/quick")).status, 200);
    }
    let mut unused = router.client();
    let began = Instant::now();
    router.signal("TERM");
    assert!(kept.iter_mut().all(Client::is_closed));
    assert!(unused.is_closed());
    assert_eq!(router.wait(PATIENCE).code(), Some(0));
    assert!(began.elapsed() < Duration::from_secs(5), "ended only after {:?}", began.elapsed());
}

#[test]
fn a_request_that_never_ends_is_cut_at_the_deadline_and_logged() {
    let scene = Scene::new();
    let mut router = scene.router("0s", "1s");
    let mut client = router.client();
    client.write(&Request::new("GET", "/slow/for-ever").bytes()).unwrap();
    scene.gate.until_waiting(1);
    let began = Instant::now();
    router.signal("TERM");
    assert!(client.read(false).is_err(), "an answer that nobody gave");
    let status = router.wait(PATIENCE);
    let took = began.elapsed();
    assert_eq!(status.code(), Some(0));
    assert!(took >= Duration::from_secs(1) && took < Duration::from_secs(5), "cut after {took:?}");
    let line = eventually("the line of the log", || {
        router.access_log().into_iter().find(|line| line["path"] == "/slow/for-ever")
    });
    assert_eq!(line["generation"], 1);
    scene.gate.open();
}

#[test]
fn the_router_does_not_notice_that_the_syncer_is_killed() {
    let origin = Origin::named("orders");
    let place = tempfile::tempdir().unwrap();
    let boundary = place.path().join("boundary.yaml");
    let registrations = place.path().join("registrations");
    std::fs::create_dir(&registrations).unwrap();
    std::fs::write(&boundary, boundary_with(&[origin.port()], "")).unwrap();
    std::fs::write(registrations.join("orders.yaml"), registration("/orders", origin.port(), "")).unwrap();
    let out = place.path().join("out");
    let mut syncer = Syncer::run(boundary.to_str().unwrap(), registrations.to_str().unwrap(), &out, &[]);
    let router = Router::start(&out.join("merged.json"), &["--access-log", "off"], &[]);
    router.until_ready();
    let before = router.snapshot();
    let load = Load::start(router.address(), 4, |number| Request::new("GET", &format!("/orders/{number}")));
    eventually("some requests", || (load.tally().good > 100).then_some(()));
    syncer.signal("KILL");
    assert!(!syncer.wait(PATIENCE).success());
    let killed = load.tally().good;
    eventually("many more requests", || (load.tally().good > killed + 1_000).then_some(()));
    let tally = load.stop();
    assert_eq!((tally.bad, tally.broken), (0, 0));
    let after = router.snapshot();
    assert_eq!((&after["generation"], &after["digest"]), (&before["generation"], &before["digest"]));
    assert!(after["rejected"].is_null(), "{after}");
    assert_eq!(router.admin("/readyz").status, 200);
}
