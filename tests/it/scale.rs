//! Many routes: what the two processes take for them. Figures are printed; `docs/measurements.md` keeps them.

use std::time::{Duration, Instant};

use postern_tests::{Origin, Request, Router, boundary_with, eventually_within, run, runs};

#[test]
fn a_large_table_is_merged_loaded_and_served() {
    let routes = runs("routes", 5_000, 100_000);
    let origin = Origin::named("service");
    let directory = tempfile::tempdir().unwrap();
    let (boundary, registrations, out) =
        (directory.path().join("boundary.yaml"), directory.path().join("registrations"), directory.path().join("out"));
    std::fs::write(&boundary, boundary_with(&[origin.port()], "")).unwrap();
    std::fs::create_dir(&registrations).unwrap();
    for (file, chunk) in (0..routes).collect::<Vec<_>>().chunks(10_000).enumerate() {
        let list: Vec<_> = chunk
            .iter()
            .map(|number| {
                serde_json::json!({
                    "root": format!("/team-{}/service-{number}", number % 97),
                    "owner": format!("team-{}", number % 97),
                    "version": 1,
                    "match": {"methods": ["GET", "POST"]},
                    "destination": {"url": format!("http://localhost:{}/v1", origin.port())},
                })
            })
            .collect();
        std::fs::write(registrations.join(format!("{file}.json")), serde_json::to_vec(&list).unwrap()).unwrap();
    }

    let began = Instant::now();
    let merged = run(
        "postern-syncer",
        &[
            "run",
            "--once",
            "--allow-loopback-destinations",
            "--boundary",
            boundary.to_str().unwrap(),
            "--registrations",
            registrations.to_str().unwrap(),
            "--out",
            out.to_str().unwrap(),
        ],
    );
    assert_eq!(merged.code, 0, "{}", merged.err);
    let merging = began.elapsed();
    let file = out.join("merged.json");
    let megabytes = std::fs::metadata(&file).unwrap().len() / 1_000_000;

    let began = Instant::now();
    let router = Router::start(&file, &[], &[]);
    eventually_within(Duration::from_secs(120), "the table to be served", || {
        (router.snapshot()["routes"] == routes).then_some(())
    });
    let serving = began.elapsed();
    let read = router.metric("postern_config_read_seconds");
    let compile = router.metric("postern_config_compile_seconds");
    eprintln!(
        "{routes} routes: file {megabytes} MB; postern-syncer run --once {merging:.2?}; router start to served {serving:.2?}, \
         of which read and checked {read:.2} s and compiled {compile:.2} s; resident {} MB",
        router.resident() / 1_000_000
    );
    for number in [0, routes / 2, routes - 1] {
        let path = format!("/team-{}/service-{number}/x?y", number % 97);
        let answer = router.send(&Request::new("GET", &path));
        assert_eq!(answer.text(), format!("service GET /v1{path}"));
    }
}
