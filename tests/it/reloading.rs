//! A new generation under load: nobody notices, nothing grows, each request sees one.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use postern_config::file;
use postern_config::merged::Digest;
use postern_tests::{
    Gate, Load, Origin, Reply, Request, Router, Site, boundary_with, eventually, eventually_within, merged_file,
    registration, runs,
};

/// Ten thousand routes whose destinations carry the generation in their path, so that every answer tells which one
/// led it there. Made once; another generation is a matter of putting other digits in.
struct Fleet {
    text: String,
}

const MARK: &str = "gen0000000001";

impl Fleet {
    fn new(routes: usize, port: u16) -> Self {
        let registrations: Vec<String> = (0..routes)
            .map(|number| {
                format!(
                    "{{root: /r{number}, owner: team, destination: {{url: 'http://localhost:{port}/{MARK}'}}, \
                     match: {{methods: [GET]}}}}"
                )
            })
            .collect();
        let bytes = merged_file(1, &boundary_with(&[port], ""), &registrations);
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.matches(MARK).count() >= routes);
        Self { text }
    }

    fn generation(&self, generation: u64) -> Vec<u8> {
        let text = self.text.replace(MARK, &format!("gen{generation:010}"));
        let text = text.replacen("\"generation\": 1,", &format!("\"generation\": {generation},"), 1);
        let (covered, _) = text.split_at(text.rfind("\"digest\": ").unwrap());
        let mut bytes = covered.as_bytes().to_vec();
        let digest = Digest::of(&bytes);
        bytes.extend_from_slice(format!("\"digest\": \"{digest}\"\n}}\n").as_bytes());
        bytes
    }
}

/// The generation that an answer of [`Origin::named`] tells of.
fn told(answer: &str) -> u64 {
    let (_, rest) = answer.split_once("/gen").unwrap();
    rest[..10].parse().unwrap()
}

#[test]
fn reloads_of_ten_thousand_routes_under_load_fail_no_request_break_no_connection_and_take_no_memory() {
    let reloads = runs("reloads of 10 000 routes under load", 30, 10_000) as u64;
    let warm = if reloads < 500 { 10 } else { 100 };
    let origin = Origin::named("fleet").forgetful();
    let fleet = Fleet::new(10_000, origin.port());
    let site = Site::empty();
    file::replace(&site.merged(), &fleet.generation(1), 0o640).unwrap();
    let router = Router::start(&site.merged(), &["--access-log", "off"], &[]);
    eventually_within(Duration::from_secs(60), "ten thousand routes", || {
        (router.snapshot()["routes"] == 10_000).then_some(())
    });
    let load = Load::start(router.address(), 4, |number| {
        Request::new("GET", &format!("/r{}/items/{number}", number.wrapping_mul(2_654_435_761) % 10_000))
    });
    let began = Instant::now();
    let mut resident = Vec::new();
    for generation in 2..=reloads + 1 {
        file::replace(&site.merged(), &fleet.generation(generation), 0o640).unwrap();
        router.until_generation(generation);
        // Requests really go on between two swaps.
        let before = load.tally().good;
        eventually("a request on this generation", || (load.tally().good > before).then_some(()));
        resident.push(router.resident());
    }
    let took = began.elapsed();
    let tally = load.stop();
    // Two snapshots are there for a moment at every swap, so windows are compared and not moments.
    let mean = |window: &[u64]| window.iter().sum::<u64>() / window.len() as u64;
    let (early, late) = (mean(&resident[warm..2 * warm]), mean(&resident[resident.len() - warm..]));
    let highest = *resident[warm..].iter().max().unwrap();
    eprintln!(
        "{reloads} reloads in {took:.1?}, {} requests: {} failed, {} connections broken; resident {:.1} MiB on the \
         average after {warm}, {:.1} MiB at the end ({:+.1} %), {:.1} MiB at most",
        tally.good,
        tally.bad,
        tally.broken,
        mebibytes(early),
        mebibytes(late),
        (late as f64 / early as f64 - 1.0) * 100.0,
        mebibytes(highest),
    );
    assert_eq!((tally.bad, tally.broken), (0, 0));
    assert!(tally.good >= reloads);
    assert_eq!(router.metric("postern_config_loads_total"), (reloads + 1) as f64);
    assert!(late <= early + early / 10, "resident memory grew from {early} to {late} bytes");
    assert!(highest <= early + early / 2, "resident memory rose to {highest} bytes");
}

fn mebibytes(bytes: u64) -> f64 {
    bytes as f64 / f64::from(1 << 20)
}

#[test]
fn a_request_sees_one_generation_and_the_log_names_the_one_that_answered() {
    let origin = Origin::named("fleet");
    let fleet = Fleet::new(50, origin.port());
    let site = Site::empty();
    file::replace(&site.merged(), &fleet.generation(1), 0o640).unwrap();
    let router = Router::serve(&site.merged());
    let published = AtomicU64::new(1);
    let mut answers = Vec::new();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for generation in 2..=60 {
                published.store(generation, Ordering::SeqCst);
                file::replace(&site.merged(), &fleet.generation(generation), 0o640).unwrap();
                router.until_generation(generation);
            }
        });
        let mut client = router.client();
        while router.snapshot()["generation"] != 60 {
            for number in 0..20 {
                let answer = client.send(&Request::new("GET", &format!("/r{number}/x")));
                assert_eq!(answer.status, 200);
                let generation = told(&answer.text());
                assert!(generation <= published.load(Ordering::SeqCst), "a generation from the future");
                answers.push((answer.header("x-request-id").unwrap().to_owned(), generation));
            }
        }
    });
    assert!(answers.windows(2).all(|pair| pair[0].1 <= pair[1].1), "one connection went back in time");
    let seen: std::collections::BTreeSet<u64> = answers.iter().map(|(_, generation)| *generation).collect();
    assert!(seen.len() > 5, "only the generations {seen:?} were seen: this shows nothing");
    let logged = eventually("all lines of the log", || {
        let lines = router.access_log();
        (lines.len() >= answers.len()).then_some(lines)
    });
    let logged: std::collections::HashMap<&str, u64> = logged
        .iter()
        .map(|line| (line["request_id"].as_str().unwrap(), line["generation"].as_u64().unwrap()))
        .collect();
    for (id, generation) in &answers {
        assert_eq!(logged.get(id.as_str()), Some(generation), "{id}");
    }
    eprintln!("{} requests over {} generations", answers.len(), seen.len());
}

#[test]
fn a_request_in_flight_ends_on_the_generation_that_it_began_with() {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let old = Origin::start(move |_| {
        held.pass();
        Reply::ok("old")
    });
    let new = Origin::named("new");
    let boundary = boundary_with(&[old.port(), new.port()], "");
    let mut site = Site::new(&boundary, &[registration("/orders", old.port(), "")]);
    let router = Router::serve(&site.merged());
    let mut slow = router.client();
    slow.write(&Request::new("GET", "/orders/1").bytes()).unwrap();
    gate.until_waiting(1);

    // The next generation leads elsewhere, and the one after it nowhere: the old destination is gone.
    site.publish(&boundary, &[registration("/orders", new.port(), "")]);
    router.until_generation(2);
    assert_eq!(router.get("/orders/2").text(), "new GET /orders/2");
    site.publish(&boundary_with(&[new.port()], ""), &[]);
    router.until_generation(3);
    assert_eq!(router.get("/orders/3").status, 404);

    gate.open();
    let answer = slow.read(false).unwrap();
    assert_eq!((answer.status, answer.text().as_str()), (200, "old"));
    assert_eq!(router.logged(answer.header("x-request-id").unwrap())["generation"], 1);
    // The same connection is on the newest from now on.
    assert_eq!(slow.send(&Request::new("GET", "/orders/4")).status, 404);
}

#[test]
fn bad_files_between_good_ones_change_nothing_and_are_told_of() {
    let rounds = 15;
    let origin = Origin::named("fleet");
    let fleet = Fleet::new(200, origin.port());
    let site = Site::empty();
    file::replace(&site.merged(), &fleet.generation(1), 0o640).unwrap();
    let router = Router::start(&site.merged(), &["--access-log", "off"], &[]);
    router.until_ready();
    let load = Load::start(router.address(), 4, |number| Request::new("GET", &format!("/r{}/x", number % 200)));
    for round in 1..=rounds {
        let generation = round + 1;
        let mut bad = fleet.generation(generation);
        match round % 3 {
            0 => bad.truncate(bad.len() / 2),
            1 => bad[300] ^= 1,
            _ => bad.clear(),
        }
        std::fs::write(site.path().join("next"), &bad).unwrap();
        std::fs::rename(site.path().join("next"), site.merged()).unwrap();
        let rejected = eventually("the refusal to be told", || {
            let snapshot = router.snapshot();
            (!snapshot["rejected"].is_null()).then_some(snapshot)
        });
        assert_eq!(rejected["generation"], round, "{rejected}");
        assert_eq!(told(&router.get("/r1/x").text()), round);
        file::replace(&site.merged(), &fleet.generation(generation), 0o640).unwrap();
        router.until_generation(generation);
        assert!(router.snapshot()["rejected"].is_null());
    }
    let tally = load.stop();
    assert_eq!((tally.bad, tally.broken), (0, 0));
    assert!(tally.good > 0);
    assert!(router.metric("postern_config_load_failures_total{reason=\"empty\"}") >= (rounds / 3) as f64);
}
