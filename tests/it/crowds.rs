//! More than there is room for at the door: stalled handshakes, one address with too many connections, no
//! descriptors left. What is open goes on, and all is well again soon after.

use std::io::Read;
use std::net::TcpStream;
use std::time::{Duration, Instant};

use postern_tests::{
    Client, Origin, Reply, Request, Router, Site, TlsClient, boundary_with, eventually, eventually_within, registration,
};

use crate::listeners::{Scene, listener};

const HOST: &str = "api.example.com";

#[test]
fn stalled_handshakes_keep_no_good_client_out_and_are_closed_in_time() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let settings = format!("[limits]\nhandshake = \"500ms\"\n{}", listener(&files, ""));
    let router = scene.start(&settings, &["--workers", "1"]);
    let [plain, address] = router.addresses() else { panic!("{:?}", router.addresses()) };
    let client = TlsClient::new(&scene.authority);
    let mut kept = client.connect(*address, HOST).unwrap();
    let mut stalled: Vec<TcpStream> = (0..300).map(|_| TcpStream::connect(*address).unwrap()).collect();
    // So many at once and no more; the others wait in the kernel.
    let open = || router.metric("postern_handshakes_open");
    eventually("the handshakes to begin", || (open() > 0.0).then_some(()));
    assert!(open() <= 256.0, "{} handshakes at once", open());
    // Whoever is in goes on, whoever comes by another way comes in, and whoever waits behind them does in the end.
    assert_eq!(kept.client.send(&Request::new("GET", "/")).status, 200);
    assert_eq!(Client::connect(*plain).send(&Request::new("GET", "/")).status, 200);
    let mut good = client.connect(*address, HOST).unwrap();
    assert_eq!(good.client.send(&Request::new("GET", "/")).status, 200);
    for stream in &mut stalled {
        stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let closed = stream.read(&mut [0]);
        assert!(!matches!(&closed, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock), "{closed:?}");
    }
    eventually("all to be over", || (open() == 0.0).then_some(()));
    assert_eq!(router.metric("postern_handshake_failures_total{reason=\"timeout\"}"), 300.0);
    assert_eq!(router.metric("postern_connections"), 2.0);
    let lines = router.diagnostics().lines().filter(|line| line.contains("came to nothing")).count();
    assert!(lines <= 2, "{lines} lines about 300 handshakes");
}

#[test]
fn at_most_two_hundred_and_fifty_six_handshakes_are_under_way() {
    let scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    // Two listeners of one core share the places; ten seconds, so that none is over too soon.
    let settings = format!("[limits]\nhandshake = \"10s\"\n{0}{0}", listener(&files, ""));
    let router = scene.start(&settings, &["--workers", "1"]);
    let [_, one, other] = router.addresses() else { panic!("{:?}", router.addresses()) };
    let open = || router.metric("postern_handshakes_open");
    let connect = |count: usize| -> Vec<TcpStream> {
        (0..count).map(|index| TcpStream::connect(if index % 2 == 0 { one } else { other }).unwrap()).collect()
    };
    let mut stalled = connect(255);
    eventually("255 handshakes", || (open() == 255.0).then_some(()));
    // There is one place left.
    drop(TlsClient::new(&scene.authority).connect(*one, HOST).unwrap());
    stalled.extend(connect(3));
    eventually("256 handshakes", || (open() == 256.0).then_some(()));
    let address = *one;
    let (done, waiting) = std::sync::mpsc::channel();
    let client = TlsClient::new(&scene.authority);
    std::thread::spawn(move || done.send(client.connect(address, HOST).is_ok()));
    assert!(waiting.recv_timeout(Duration::from_millis(500)).is_err(), "one more was let in");
    assert_eq!(open(), 256.0);
    stalled.clear();
    assert_eq!(waiting.recv_timeout(Duration::from_secs(5)), Ok(true));
}

#[test]
fn an_address_has_its_connections_and_not_one_more() {
    let scene = Scene::new();
    let start =
        |more: &str| scene.start(&format!("{more}\n[limits]\nconnections_per_address = 5\n"), &["--workers", "1"]);
    let router = start("");
    let is_served = |client: &mut Client| client.try_send(&Request::new("GET", "/")).is_ok();
    let mut kept: Vec<Client> = (0..5).map(|_| router.client()).collect();
    assert!(kept.iter_mut().all(is_served));
    for _ in 0..3 {
        assert!(!is_served(&mut router.client()), "a sixth connection was served");
    }
    assert!(kept.iter_mut().all(is_served));
    assert_eq!(router.metric("postern_connections_refused_total"), 3.0);
    kept.pop();
    eventually("room for another", || is_served(&mut router.client()).then_some(()));

    // A trusted proxy brings the connections of many.
    let router = start("trusted_proxies = [\"127.0.0.0/8\"]");
    let mut kept: Vec<Client> = (0..20).map(|_| router.client()).collect();
    assert!(kept.iter_mut().all(is_served));
    assert_eq!(router.metric("postern_connections_refused_total"), 0.0);
}

#[test]
fn nobody_holds_a_connection_by_taking_nothing_of_an_answer() {
    // From what fits into the buffers on the way to what does not: in between, the rest waits inside the router.
    let origin = Origin::start(|request| Reply::ok("a".repeat(request.target[1..].parse().unwrap())));
    let mut scene = Scene::new();
    scene.site.publish(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let (_, files) = scene.certificate("one", &[HOST]);
    let settings = format!("[limits]\nidle = \"1s\"\n{}", listener(&files, ""));
    let router = scene.start(&settings, &["--workers", "1"]);
    let client = TlsClient::new(&scene.authority);
    let silent: Vec<_> = (0..70)
        .map(|index| {
            let mut secured = client.connect(router.addresses()[1], HOST).unwrap();
            let request = Request::new("GET", &format!("/{}", 3_500_000 + index * 30_000));
            secured.client.write(&request.bytes()).unwrap();
            secured
        })
        .collect();
    eventually("all to be asked", || (origin.received().len() == silent.len()).then_some(()));
    eventually_within(Duration::from_secs(20), "all to be over", || {
        (router.metric("postern_connections") == 0.0).then_some(())
    });
}

/// Ticks of the clock that a process has computed for, a hundred a second.
fn computed(router: &Router) -> u64 {
    let text = std::fs::read_to_string(format!("/proc/{}/stat", router.id())).unwrap();
    let fields: Vec<&str> = text.rsplit(')').next().unwrap().split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

#[test]
fn without_descriptors_what_is_open_goes_on_and_a_second_later_all_is_well() {
    let mut scene = Scene::new();
    let (_, files) = scene.certificate("one", &[HOST]);
    let file = scene.site.path().join("settings.toml");
    std::fs::write(&file, listener(&files, "")).unwrap();
    let flags = ["--settings", file.to_str().unwrap(), "--workers", "1"];
    let router = Router::start(&scene.site.merged(), &flags, &[]);
    router.until_ready();
    router.may_open(64);
    let address = router.addresses()[1];
    let client = TlsClient::new(&scene.authority);
    let mut kept = client.connect(address, HOST).unwrap();
    assert_eq!(kept.client.send(&Request::new("GET", "/")).status, 200);
    // The admin listener may find no descriptor either: what it tells is asked for afterwards.
    let crowd: Vec<TcpStream> = (0..200).map(|_| TcpStream::connect(router.address()).unwrap()).collect();
    let open = || std::fs::read_dir(format!("/proc/{}/fd", router.id())).unwrap().count();
    eventually("the descriptors to run out", || (open() >= 64).then_some(()));
    let (before, began) = (computed(&router), Instant::now());
    while began.elapsed() < Duration::from_secs(2) {
        assert_eq!(kept.client.send(&Request::new("GET", "/healthz")).status, 200);
        std::thread::sleep(Duration::from_millis(50));
    }
    let spent = computed(&router) - before;
    assert!(spent <= 10, "{spent} ticks of 200 went into accepting nothing");
    // A new generation goes live all the same: in this one nothing is answered any more but below /fresh.
    scene.site.publish(&boundary_with(&[1], ""), &[registration("/fresh", 1, "")]);
    eventually_within(Duration::from_secs(5), "the new generation to be served", || {
        (kept.client.send(&Request::new("GET", "/")).status == 404).then_some(())
    });
    // And the one after it: what is kept for reading is taken back at once.
    scene.site.publish(&boundary_with(&[1], ""), &[registration("/again", 1, "")]);
    eventually_within(Duration::from_secs(5), "the generation after it to be served", || {
        (kept.client.send(&Request::new("GET", "/fresh")).status == 404).then_some(())
    });
    assert!(open() >= 64, "the descriptors had run out no more");
    drop(crowd);
    eventually_within(Duration::from_secs(1), "the router to take connections again", || {
        let secured = client.connect(address, HOST);
        secured.ok().filter(|_| Client::try_connect(router.address()).is_ok())
    });
    assert_eq!(router.get("/").status, 404);
    assert!(router.metric("postern_accept_failures_total") >= 1.0);
    let lines = router.diagnostics().lines().filter(|line| line.contains("could not be taken")).count();
    assert!((1..=3).contains(&lines), "{lines} lines about it");
}

#[test]
fn whoever_is_let_in_finds_a_way_on_also_where_descriptors_are_few() {
    let origin = Origin::start(|_| Reply::ok("orders"));
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let router = Router::start_with_files(104, &site.merged(), &["--workers", "1"]);
    router.until_ready();
    // Two for each, and 64 that are the router's own.
    let mut clients: Vec<Client> = (0..30).map(|_| router.client()).collect();
    eventually("as many as there is room for", || (router.metric("postern_connections") == 20.0).then_some(()));
    for client in &mut clients[..20] {
        assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
    }
    assert_eq!(router.metric("postern_connections"), 20.0);
    assert_eq!(router.metric("postern_accept_failures_total"), 0.0);
    let told = router.diagnostics();
    assert!(told.lines().any(|line| line.contains("\"asked\":10000") && line.contains("\"room\":20")), "{told}");
    // Places that are given back are taken by those who wait.
    clients.drain(..10);
    for client in &mut clients {
        assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
    }
}

#[test]
fn connections_are_spread_evenly_over_the_cores() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let router = Router::start(&site.merged(), &["--workers", "4"], &[]);
    router.until_ready();
    let clients: Vec<_> = (0..60)
        .map(|_| {
            let mut client = router.client();
            assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
            client
        })
        .collect();
    let counts = eventually("all connections", || {
        let counts: Vec<f64> =
            (0..4).map(|core| router.metric(&format!("postern_core_connections{{core=\"{core}\"}}"))).collect();
        (counts.iter().sum::<f64>() >= clients.len() as f64).then_some(counts)
    });
    let (least, most) = (counts.iter().copied().fold(f64::MAX, f64::min), counts.iter().copied().fold(0.0, f64::max));
    assert!(most - least <= 6.0, "{counts:?}");
}
