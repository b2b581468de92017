//! Metrics pushed by OTLP: what a collector gets is what a scrape is told, and one that is away costs nobody anything.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use postern_tests::{
    Authority, Client, Collector, Exposition, Form, Origin, Push, RawOrigin, Reply, Request, Router, Site,
    boundary_with, eventually, eventually_within, registration, run_in, slips_are_told_at_start,
};

const QUICK: (&str, &str) = ("POSTERN_ROUTER_SHUTDOWN__LAME_DUCK", "0s");
const SOON: (&str, &str) = ("POSTERN_ROUTER_OTLP_METRICS__INTERVAL", "1s");
const HTTP: (&str, &str) = ("POSTERN_ROUTER_OTLP_METRICS__PROTOCOL", "http");

/// A destination and the way to it by two routes.
struct Scene {
    origin: Origin,
    site: Site,
}

impl Scene {
    fn new() -> Self {
        let origin = Origin::start(|received| match received.target.ends_with("bad") {
            true => Reply::Body(503, Vec::new()),
            false => Reply::ok("fine"),
        });
        let routes = [registration("/orders", origin.port(), ""), registration("/gone", origin.port(), "")];
        Self { site: Site::new(&boundary_with(&[origin.port()], ""), &routes), origin }
    }

    fn router(&self, endpoint: &str, more: &[(&str, &str)]) -> Router {
        let settings = [&[QUICK, ("POSTERN_ROUTER_OTLP_METRICS__ENDPOINT", endpoint)], more].concat();
        let router = Router::start(&self.site.merged(), &["--workers", "2"], &settings);
        router.until_ready();
        router
    }
}

fn end(mut router: Router) {
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(20)).success());
}

fn scrape(router: &Router) -> Exposition {
    let request = Request::to_host("GET", "admin", "/metrics").header("accept", "application/openmetrics-text");
    Exposition::read(&Client::connect(router.admin_address()).send(&request).text(), Form::OpenMetrics)
}

/// What is another at every look, though nobody asks anything.
const RESTLESS: [&str; 5] = [
    "postern_config_age_seconds{", "postern_metric_pushes_total{", "process_cpu_seconds_total{", "process_open_fds{",
    "process_resident_memory_bytes{",
];

fn without_restless(values: &BTreeMap<String, f64>) -> BTreeMap<&str, f64> {
    let still = values.iter().filter(|(key, _)| !RESTLESS.iter().any(|restless| key.starts_with(restless)));
    still.map(|(key, value)| (key.as_str(), *value)).collect()
}

fn moment() -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    u64::try_from(now.as_nanos()).unwrap()
}

/// A push with the scrapes before and after it, which tell the same but for what never stands still.
fn between_two_scrapes(router: &Router, collector: &Collector) -> (Exposition, Push, Exposition) {
    eventually_within(Duration::from_secs(30), "a moment without a change", || {
        let (before, from) = (scrape(router), moment());
        let push = collector.push_that("a push", |push| push.at > from);
        let after = scrape(router);
        (without_restless(&before.values()) == without_restless(&after.values())).then_some((before, push, after))
    })
}

fn load(router: &Router) {
    for number in 0..12 {
        assert_eq!(router.get("/orders/x").status, 200);
        assert_eq!(router.send(&Request::new("POST", "/gone")).status, 200);
        if number % 3 == 0 {
            assert_eq!(router.get("/orders/bad").status, 503);
            assert_eq!(router.get(&format!("/nowhere/{number}")).status, 404);
        }
    }
}

#[test]
fn every_figure_of_a_push_is_that_of_a_scrape() {
    let scene = Scene::new();
    let authority = Authority::new("corporate");
    let ca = authority.write(scene.site.path(), "collectors.pem").display().to_string();
    let ca = ("POSTERN_ROUTER_OTLP_METRICS__CA_FILE", &*ca);
    for (collector, more) in [
        (Collector::grpc(), vec![]),
        (Collector::http(), vec![HTTP]),
        (Collector::grpc_secure(&authority), vec![ca]),
        (Collector::https(&authority), vec![HTTP, ca]),
    ] {
        let began = moment();
        let router = scene.router(collector.endpoint(), &[&[SOON], &more[..]].concat());
        load(&router);
        let (before, push, after) = between_two_scrapes(&router, &collector);
        let (first, last) = (before.values(), after.values());
        assert_eq!(without_restless(&push.samples), without_restless(&first));
        assert_eq!(push.samples.keys().collect::<Vec<_>>(), first.keys().collect::<Vec<_>>());
        for key in push.samples.keys().filter(|key| RESTLESS[..3].iter().any(|restless| key.starts_with(restless))) {
            let (least, most) = (first[key], last[key]);
            assert!((least..=most).contains(&push.samples[key]), "{key}: {least}, {}, {most}", push.samples[key]);
        }
        // Not everything could be 0.
        assert_eq!(push.sum("postern_requests_total", &["route=\"/orders#default\"", "status=\"2xx\""]), 12.0);
        assert_eq!(push.sum("postern_http_server_request_duration_seconds_count", &[]), 32.0);
        for (name, family) in before.families.iter().filter(|(_, family)| !family.samples.is_empty()) {
            let info = format!("{name}_info");
            let (name, kind) = if family.kind == "info" { (&info, "gauge") } else { (name, &*family.kind) };
            let unit = match family.unit.as_deref() {
                Some("seconds") => "s",
                Some("bytes") => "By",
                _ => "",
            };
            let told = &push.families[name];
            assert_eq!((told.0, &*told.1, &*told.2), (kind, unit, &*family.help), "{name}");
        }
        assert!((began..push.at).contains(&push.began), "{began}, {}, {}", push.began, push.at);
        assert_eq!((push.resource["service.name"].as_str(), push.messages.0), ("postern-router", 1));
        end(router);
    }
    assert!(!scene.origin.received().is_empty());
}

#[test]
fn a_route_that_is_removed_is_pushed_no_more() {
    let mut scene = Scene::new();
    let collector = Collector::grpc();
    let router = scene.router(collector.endpoint(), &[SOON]);
    load(&router);
    let (gone, kept) = ("route=\"/gone#default\"", "route=\"/orders#default\"");
    let pushed = |push: &Push, route: &str| push.samples.keys().any(|key| key.contains(route));
    collector.push_that("both routes", |push| pushed(push, gone) && pushed(push, kept));
    let port = scene.origin.port();
    scene.site.publish(&boundary_with(&[port], ""), &[registration("/orders", port, "")]);
    router.until_generation(scene.site.generation());
    eventually("the series to go", || scrape(&router).values().keys().all(|key| !key.contains(gone)).then_some(()));
    let from = moment();
    let push = collector.push_that("a push of later", |push| push.at > from);
    assert!(!pushed(&push, gone) && pushed(&push, kept), "{:?}", push.samples.keys());
    end(router);
}

#[test]
fn what_was_done_last_is_pushed_at_the_end() {
    let scene = Scene::new();
    for (collector, more) in [(Collector::grpc(), vec![]), (Collector::http(), vec![HTTP])] {
        // A minute passes between two: there is none but the last.
        let router = scene.router(collector.endpoint(), &more);
        load(&router);
        end(router);
        let [push] = &collector.pushes()[..] else { panic!("{}", collector.pushes().len()) };
        assert_eq!(push.sum("postern_requests_total", &[]), 32.0);
    }
}

#[test]
fn many_routes_come_in_messages_that_collectors_take() {
    let origin = Origin::named("fleet");
    let routes: Vec<String> = (0..2_500)
        .map(|number| registration(&format!("/{}/r{number}", "long".repeat(30)), origin.port(), ""))
        .collect();
    let scene = Scene { site: Site::new(&boundary_with(&[origin.port()], ""), &routes), origin };
    let collector = Collector::http();
    let router = scene.router(collector.endpoint(), &[HTTP, SOON]);
    let mut client = router.client();
    for number in 0..2_500 {
        let path = format!("/{}/r{number}", "long".repeat(30));
        assert_eq!(client.send(&Request::new("GET", &path)).status, 200);
    }
    drop(client);
    // What stands at the end of the last message.
    let is_whole = |push: &Push| {
        let sums = ["postern_requests_total", "postern_http_server_request_duration_seconds_count"];
        sums.iter().all(|name| push.sum(name, &[]) == 2_500.0)
            && push.families.contains_key("process_start_time_seconds")
    };
    let push =
        eventually_within(Duration::from_secs(60), "all of them", || collector.pushes().into_iter().find(is_whole));
    end(router);
    assert!(push.messages.0 > 1 && push.messages.1 < 3 * 1024 * 1024, "{:?}", push.messages);
}

fn pushes(router: &Router, result: &str) -> f64 {
    router.metric(&format!("postern_metric_pushes_total{{result=\"{result}\"}}"))
}

#[test]
fn a_collector_that_is_not_there_costs_pushes_that_are_counted() {
    let scene = Scene::new();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", free.local_addr().unwrap());
    drop(free);
    for more in [vec![], vec![HTTP]] {
        let router = scene.router(&endpoint, &[&[SOON], &more[..]].concat());
        load(&router);
        eventually_within(Duration::from_secs(20), "two to fail", || {
            (pushes(&router, "not_taken") >= 2.0).then_some(())
        });
        assert_eq!((pushes(&router, "taken"), pushes(&router, "taken_in_part")), (0.0, 0.0));
        let told = router.diagnostics();
        assert_eq!(told.matches("the collector takes not all metrics").count(), 1, "{told}");
        load(&router);
        end(router);
    }
}

#[test]
fn a_collector_that_says_nothing_keeps_no_request_and_no_end() {
    let scene = Scene::new();
    for more in [vec![], vec![HTTP]] {
        let silent = RawOrigin::start(|wire| wire.until_closed());
        let endpoint = format!("http://127.0.0.1:{}", silent.port());
        let patient = ("POSTERN_ROUTER_OTLP_METRICS__TIMEOUT", "60s");
        let router = scene.router(&endpoint, &[&[SOON, patient], &more[..]].concat());
        eventually("a push under way", || (silent.accepted() > 0).then_some(()));
        load(&router);
        std::thread::sleep(Duration::from_millis(2_500));
        assert_eq!(silent.accepted(), 1, "one push is under way at most");
        let ending = Instant::now();
        end(router);
        assert!(ending.elapsed() < Duration::from_secs(10), "{:?}", ending.elapsed());
    }
}

#[test]
fn what_a_collector_refuses_is_counted_and_it_gets_the_next() {
    let scene = Scene::new();
    // 7 of the figures are refused (`partial_success { rejected_data_points: 7 }`), then all, then none.
    let asked = std::sync::atomic::AtomicUsize::new(0);
    let collector = Origin::start(move |_| match asked.fetch_add(1, std::sync::atomic::Ordering::Relaxed) {
        0 => Reply::Body(200, vec![0x0a, 0x02, 0x08, 0x07]),
        1 => Reply::Body(503, b"canary-5e1d".to_vec()),
        _ => Reply::Body(200, Vec::new()),
    });
    let router = scene.router(&format!("http://127.0.0.1:{}/prefix/v1/metrics", collector.port()), &[SOON, HTTP]);
    eventually("the third", || (pushes(&router, "taken") >= 1.0).then_some(()));
    assert_eq!((pushes(&router, "taken_in_part"), pushes(&router, "not_taken")), (1.0, 1.0));
    assert!(collector.received().iter().all(|received| received.target == "/prefix/v1/metrics"));
    let told = router.diagnostics();
    assert!(told.contains("it refused 7 figures") && told.contains("the collector takes metrics again"), "{told}");
    assert!(!told.contains("canary-5e1d"));
    end(router);
}

#[test]
fn headers_of_a_file_go_to_the_collector_and_are_shown_nowhere() {
    let scene = Scene::new();
    let file = scene.site.path().join("headers").display().to_string();
    std::fs::write(&file, "Authorization: Bearer canary-5e1d\n\nX-Team:edge\n").unwrap();
    let settings = scene.site.path().join("router.toml").display().to_string();
    let text = "[otlp_metrics]\nservice_name = \"edge\"\nresource = { \"deployment.environment.name\" = \"test\" }\n";
    std::fs::write(&settings, text).unwrap();
    for (collector, more) in [(Collector::grpc(), vec![]), (Collector::http(), vec![HTTP])] {
        let own = [
            ("POSTERN_LOG", "trace"),
            ("POSTERN_ROUTER_OTLP_METRICS__ENDPOINT", collector.endpoint()),
            ("POSTERN_ROUTER_OTLP_METRICS__HEADERS_FILE", &*file),
            // The library's own variables change nothing.
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-stranger=1"),
            ("OTEL_SERVICE_NAME", "stranger"),
        ];
        let environment = [&own[..], &[QUICK, SOON], &more].concat();
        let router = Router::start(&scene.site.merged(), &["--settings", &settings], &environment);
        let push = collector.push_that("a push", |_| true);
        assert_eq!(push.resource["service.name"], "edge");
        assert_eq!(push.resource["deployment.environment.name"], "test");
        let headers = collector.headers().remove(0);
        let of = |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        assert_eq!((of("authorization"), of("x-team")), (Some("Bearer canary-5e1d"), Some("edge")));
        assert_eq!(of("x-stranger"), None, "{headers:?}");
        assert!(!router.diagnostics().contains("canary-5e1d"));
        let shown = run_in("postern-router", &["serve", "--print-settings"], &environment);
        assert!(shown.code == 0 && !shown.out.contains("canary-5e1d") && shown.out.contains(&file), "{shown:?}");
        assert!(shown.out.contains("otlp_metrics.interval"), "{shown:?}");
        end(router);
    }
}

#[test]
fn settings_that_mean_nothing_are_told_at_start() {
    let slips = [
        ("ENDPOINT", "127.0.0.1:4317", "otlp_metrics.endpoint: is no address"),
        ("ENDPOINT", "http://user:canary-5e1d@collector:1", "otlp_metrics.endpoint: is no address"),
        ("ENDPOINT", "http://collector:4317/v1/metrics", "otlp_metrics.endpoint: is no address"),
        ("PROTOCOL", "thrift", "otlp_metrics.protocol: "),
        ("INTERVAL", "999ms", "otlp_metrics.interval: is shorter than a second"),
        ("TIMEOUT", "0s", "otlp_metrics.timeout: is zero"),
        ("SERVICE_NAME", "", "otlp_metrics.service_name: is empty"),
        ("INTERVALL", "1m", "did you mean \"interval\""),
    ];
    let scene = Scene::new();
    let config = scene.site.merged().display().to_string();
    slips_are_told_at_start("otlp_metrics", &slips, "cannot push metrics", &config);
}
