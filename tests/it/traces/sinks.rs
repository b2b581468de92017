//! Collectors that are not there, say nothing or take their time: no request notices, and nothing grows.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use postern_tests::{
    Collector, Gate, RawOrigin, Request, Router, eventually, eventually_within, run_in, slips_are_told_at_start,
};

use super::{ALL, Scene, end, get};

/// Sends so many requests over one connection.
fn many(router: &Router, count: usize) {
    let mut client = router.client();
    for number in 0..count {
        assert_eq!(client.send(&Request::new("GET", "/orders")).status, 200, "request {number}");
    }
}

fn dropped(router: &Router, reason: &str) -> f64 {
    router.metric(&format!("postern_traces_dropped_total{{reason=\"{reason}\"}}"))
}

#[test]
fn a_collector_that_is_not_there_costs_traces_that_are_counted() {
    let scene = Scene::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    for protocol in ["grpc", "http"] {
        let router = scene.router(&endpoint, &[ALL, ("POSTERN_ROUTER_TRACING__PROTOCOL", protocol)]);
        many(&router, 500);
        eventually_within(Duration::from_secs(20), "all of them to be counted", || {
            (dropped(&router, "not_taken") >= 500.0).then_some(())
        });
        assert!(router.metric("postern_trace_export_failures_total") >= 1.0);
        assert_eq!(router.metric("postern_traces_exported_total"), 0.0);
        eventually("the log to say so", || {
            router.diagnostics().contains("the collector takes no traces").then_some(())
        });
        end(router);
    }
}

#[test]
fn a_collector_that_says_nothing_keeps_no_request_and_no_end() {
    let scene = Scene::new();
    let silent = RawOrigin::start(|wire| wire.until_closed());
    let endpoint = format!("http://127.0.0.1:{}", silent.port());
    for protocol in ["grpc", "http"] {
        let more = [
            ALL,
            ("POSTERN_ROUTER_TRACING__PROTOCOL", protocol),
            ("POSTERN_ROUTER_TRACING__TIMEOUT", "60s"),
            ("POSTERN_ROUTER_WORKERS", "1"),
        ];
        let router = scene.router(&endpoint, &more);
        many(&router, 2_000);
        let before = router.resident();
        // What waits is bounded: 32 batches, the one that is being sent, the core's own.
        many(&router, 10_000);
        assert!(dropped(&router, "no_room") > 4_000.0, "{}", dropped(&router, "no_room"));
        let grown = router.resident().saturating_sub(before);
        assert!(grown < 24 * 1024 * 1024, "{grown} bytes");
        let ending = Instant::now();
        end(router);
        assert!(ending.elapsed() < Duration::from_secs(10), "{:?}", ending.elapsed());
    }
}

#[test]
fn a_collector_that_comes_late_gets_what_waited_and_what_comes() {
    let (scene, gate) = (Scene::new(), Gate::closed());
    let collector = Collector::grpc_behind(std::sync::Arc::clone(&gate));
    let router = scene.router(collector.endpoint(), &[ALL, ("POSTERN_ROUTER_TRACING__TIMEOUT", "60s")]);
    let first = router.send(&get(&[]));
    gate.until_waiting(1);
    many(&router, 300);
    gate.open();
    collector.of_request(first.header("x-request-id").unwrap());
    let last = router.send(&get(&[]));
    collector.of_request(last.header("x-request-id").unwrap());
    assert_eq!(collector.spans().iter().filter(|span| span.is_server()).count(), 302);
}

#[test]
fn what_is_kept_when_the_router_ends_is_sent_before() {
    let (scene, collector) = (Scene::new(), Collector::grpc());
    let router = scene.router(collector.endpoint(), &[ALL]);
    many(&router, 300);
    end(router);
    assert_eq!(collector.spans().iter().filter(|span| span.is_server()).count(), 300);
}

#[test]
fn who_sends_is_told_in_headers_that_nobody_is_shown() {
    let (scene, collector) = (Scene::new(), Collector::grpc());
    let file = scene.site.path().join("headers");
    std::fs::write(&file, "authorization: Bearer canary-5e1d\n\nx-team:  edge \n").unwrap();
    let file = file.to_str().unwrap().to_owned();
    let settings = scene.site.path().join("router.toml");
    std::fs::write(
        &settings,
        "[tracing]\nservice_name = \"edge\"\nresource = { \"deployment.environment.name\" = \"test\" }\n",
    )
    .unwrap();
    let http = ("POSTERN_ROUTER_TRACING__PROTOCOL", "http");
    for (collector, more) in [(collector, vec![]), (Collector::http(), vec![http])] {
        let environment = [
            &[
                ALL,
                super::QUICK,
                ("POSTERN_LOG", "trace"),
                ("POSTERN_ROUTER_TRACING__ENDPOINT", collector.endpoint()),
                ("POSTERN_ROUTER_TRACING__HEADERS_FILE", &*file),
                // A library would take its word from here.
                ("OTEL_EXPORTER_OTLP_HEADERS", "x-stranger=1"),
            ],
            &more[..],
        ]
        .concat();
        let flags = ["--settings", settings.to_str().unwrap()];
        let router = Router::start(&scene.site.merged(), &flags, &environment);
        router.until_ready();
        let answer = router.get("/orders");
        let spans = collector.of_request(answer.header("x-request-id").unwrap());
        assert_eq!(spans[0].resource["service.name"], "edge");
        assert_eq!(spans[0].resource["deployment.environment.name"], "test");
        let headers = collector.headers().remove(0);
        let of = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((of("authorization"), of("x-team")), (Some("Bearer canary-5e1d"), Some("edge")));
        assert_eq!(of("x-stranger"), None, "{headers:?}");
        assert!(!router.diagnostics().contains("canary-5e1d"));
        let shown = run_in("postern-router", &["serve", "--print-settings"], &environment);
        assert!(shown.code == 0 && !shown.out.contains("canary-5e1d") && shown.out.contains(&file), "{shown:?}");
        end(router);
    }
}

#[test]
fn settings_that_mean_nothing_are_told_at_start() {
    let slips = [
        ("ENDPOINT", "127.0.0.1:4317", "tracing.endpoint: is no address"),
        ("ENDPOINT", "ftp://collector:1", "tracing.endpoint: is no address"),
        ("ENDPOINT", "http://user:canary-5e1d@collector:1", "tracing.endpoint: is no address"),
        ("ENDPOINT", "http://collector:4317/v1/traces", "tracing.endpoint: is no address"),
        ("PROTOCOL", "thrift", "tracing.protocol: "),
        ("SAMPLED", "1.5", "tracing.sampled: is no share"),
        ("TIMEOUT", "0s", "tracing.timeout: is zero"),
        ("SAMPELD", "1", "did you mean \"sampled\""),
        ("TRUST", "everyone", "tracing.trust: "),
    ];
    let scene = Scene::new();
    let config = scene.site.merged().display().to_string();
    slips_are_told_at_start("tracing", &slips, "cannot send traces", &config);
}
