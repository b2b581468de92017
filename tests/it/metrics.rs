//! What the two processes tell scrapers: figures that are right, names that are told, series that stay bounded.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_config::value::RootPath;
use postern_tests::{
    BOUNDARY, Client, Exposition, Form, Gate, Load, Origin, Reply, Request, Router, Site, Syncer, boundary_with,
    checkout, eventually, eventually_within, registration, runs,
};
use serde_json::Value;

/// A scrape as Prometheus makes it today.
fn scrape(router: &Router) -> Exposition {
    let request = Request::to_host("GET", "admin", "/metrics")
        .header("accept", "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2");
    let answer = Client::connect(router.admin_address()).send(&request);
    assert_eq!(answer.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    Exposition::read(&answer.text(), Form::OpenMetrics)
}

const REQUESTS: &str = "postern_requests_total";
const DURATIONS: &str = "postern_http_server_request_duration_seconds_count";

#[test]
fn both_forms_tell_the_same_and_a_strict_reader_takes_both() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]);
    let router = Router::serve(&site.merged());
    assert_eq!(router.get("/orders").status, 200);
    eventually("the counters", || (router.metric("postern_dials_total") >= 1.0).then_some(()));
    let answer = router.admin("/metrics");
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    let (text, open) = (Exposition::read(&answer.text(), Form::Text), scrape(&router));
    assert_eq!(text.names(Form::Text).len(), open.names(Form::OpenMetrics).len());
    let series = |read: &Exposition| -> BTreeSet<String> {
        let samples = read.families.values().flat_map(|family| &family.samples);
        samples.map(|sample| format!("{} {:?}", sample.name, sample.labels)).collect()
    };
    assert_eq!(series(&text), series(&open));
    assert_eq!(open.families["postern_config_age_seconds"].unit.as_deref(), Some("seconds"));
    assert_eq!(open.families["process_resident_memory_bytes"].unit.as_deref(), Some("bytes"));
    for (name, least) in [
        ("process_resident_memory_bytes", 1e6),
        ("process_open_fds", 5.0),
        ("process_start_time_seconds", 1.7e9),
        ("process_cpu_seconds_total", 1e-6),
        ("postern_build_info", 1.0),
    ] {
        assert!(open.sum(name, &[]) >= least, "{name}: {}", open.sum(name, &[]));
    }
}

#[test]
fn requests_are_counted_by_route_method_class_and_reason_over_all_cores() {
    let origin = Origin::start(|received| match received.target.ends_with("bad") {
        true => Reply::Body(503, Vec::new()),
        false => Reply::ok("fine"),
    });
    let registrations =
        [registration("/a", origin.port(), ""), registration("/b", origin.port(), "match: {methods: [GET, POST]}")];
    let site = Site::new(&boundary_with(&[origin.port()], ""), &registrations);
    let router = Router::start(&site.merged(), &["--workers", "3"], &[]);
    router.until_ready();
    // Each on a connection of its own, so that every core has some.
    for number in 0..30 {
        assert_eq!(router.get("/a/x").status, 200);
        assert_eq!(router.send(&Request::new("POST", "/b")).status, 200);
        if number % 3 == 0 {
            assert_eq!(router.get("/b/bad").status, 503);
            assert_eq!(router.send(&Request::new("DELETE", "/b")).status, 405);
            assert_eq!(router.get(&format!("/nobody/{number}")).status, 404);
        }
    }
    let read = eventually("all of them", || Some(scrape(&router)).filter(|read| read.sum(REQUESTS, &[]) >= 90.0));
    let asked = |route: &str, method: &str, status: &str| {
        read.sum(REQUESTS, &[("route", route), ("http_request_method", method), ("status", status)])
    };
    assert_eq!(asked("/a#default", "GET", "2xx"), 30.0);
    assert_eq!(asked("/b#default", "POST", "2xx"), 30.0);
    assert_eq!(asked("/b#default", "GET", "5xx"), 10.0);
    assert_eq!(asked("", "GET", "4xx"), 10.0);
    assert_eq!(asked("", "DELETE", "4xx"), 10.0, "a method that no route takes finds none");
    assert_eq!(read.sum(REQUESTS, &[("owner", "team")]), 70.0);
    assert_eq!(read.sum(REQUESTS, &[]), 90.0);
    assert_eq!(read.sum(DURATIONS, &[]), 90.0);
    assert_eq!(read.sum(DURATIONS, &[("route", "/b#default")]), 40.0);
    assert_eq!(read.sum("postern_rejections_total", &[("reason", "route_not_found")]), 10.0);
    assert_eq!(read.sum("postern_rejections_total", &[("reason", "method_not_allowed")]), 10.0);
    assert_eq!(read.sum("postern_destination_attempts_total", &[("destination", "local")]), 70.0);
    assert_eq!(read.sum("postern_destination_answers_total", &[("status", "5xx")]), 10.0);
    assert_eq!(read.sum("postern_destination_first_byte_duration_seconds_count", &[]), 70.0);
    let phase = |phase: &str| read.sum("postern_request_phase_duration_seconds_count", &[("phase", phase)]);
    assert_eq!((phase("router"), phase("first_byte")), (90.0, 70.0));
    assert_eq!(phase("connect"), origin.connections() as f64);
    assert_eq!(read.sum("postern_destination_reused_total", &[]), 70.0 - phase("connect"));
}

#[test]
fn what_a_destination_does_is_told_by_its_name() {
    let origin = Origin::named("orders");
    // Nobody listens there.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let boundary = BOUNDARY.replace("PORTS", &format!("[{}]", origin.port()))
        + &format!(
            "  - {{name: gone, hosts: [localhost], schemes: [http], ports: [{free}], addresses: [127.0.0.0/8]}}\n"
        );
    let site = Site::new(&boundary, &[registration("/orders", origin.port(), ""), registration("/gone", free, "")]);
    let router = Router::start(&site.merged(), &["--workers", "1"], &[]);
    router.until_ready();
    for _ in 0..3 {
        assert_eq!(router.get("/orders").status, 200);
        assert_eq!(router.get("/gone").reason(), Some("destination_refused"));
    }
    let read = eventually("a kept connection", || {
        let read = scrape(&router);
        let idle = read.sum("postern_http_client_open_connections", &[("http_connection_state", "idle")]);
        (idle == 1.0).then_some(read)
    });
    let of = |name: &str, destination: &str| read.sum(name, &[("destination", destination)]);
    assert_eq!(of("postern_http_client_open_connections", "local"), 1.0, "it is idle and not active as well");
    assert_eq!(
        (of("postern_destination_attempts_total", "local"), of("postern_destination_attempts_total", "gone")),
        (3.0, 3.0)
    );
    assert_eq!(of("postern_destination_reused_total", "local"), 2.0);
    assert_eq!(of("postern_destination_connect_duration_seconds_count", "local"), 1.0);
    assert_eq!(of("postern_destination_failures_total", "local"), 0.0);
    assert_eq!(
        read.sum("postern_destination_failures_total", &[("destination", "gone"), ("reason", "destination_refused")]),
        3.0
    );
    assert_eq!(
        read.sum("postern_route_rejections_total", &[("route", "/gone#default"), ("reason", "destination_refused")]),
        3.0
    );
}

#[test]
fn no_flood_of_paths_methods_or_hosts_makes_series() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]);
    let router = Router::serve(&site.merged());
    let series = |read: &Exposition| read.families.values().map(|family| family.samples.len()).sum::<usize>();
    let flood = |turn: usize| {
        let mut client = router.client();
        for number in 0..200 {
            let number = turn * 1_000 + number;
            client.send(&Request::new("GET", &format!("/made-up/{number}?{number}")));
            client.send(&Request::new("GET", &format!("/orders/{number}")));
            client.send(&Request::new(&format!("METHOD{number}"), "/orders"));
            client.send(&Request::to_host("GET", &format!("h{number}.example.com"), "/orders"));
            client.send(&Request::new("GET", "/orders").header("x-request-id", &format!("id-{number}")));
        }
    };
    let counted =
        |most: f64| eventually("the counters", || Some(scrape(&router)).filter(|read| read.sum(REQUESTS, &[]) >= most));
    flood(0);
    // Connections to destinations are told at a core's next look around.
    let all = |read: &Exposition| !read.samples("postern_http_client_open_connections").is_empty();
    eventually("connections", || all(&scrape(&router)).then_some(()));
    let before = counted(1_000.0);
    flood(1);
    let after = counted(2_000.0);
    assert_eq!(series(&before), series(&after));
    let methods: BTreeSet<_> =
        after.samples(REQUESTS).iter().map(|sample| sample.labels["http_request_method"].clone()).collect();
    assert_eq!(Vec::from_iter(methods), ["GET", "_OTHER"]);
}

#[test]
fn series_go_with_their_route_and_begin_anew_with_another_owner() {
    let gate = Gate::closed();
    let behind = Arc::clone(&gate);
    let origin = Origin::start(move |received| {
        if received.target == "/slow" {
            behind.pass();
        }
        Reply::ok("fine")
    });
    let boundary = boundary_with(&[origin.port()], "");
    let all = ["/a", "/b", "/slow"].map(|root| registration(root, origin.port(), ""));
    let mut site = Site::new(&boundary, &all);
    let router = Router::start(&site.merged(), &["--workers", "2"], &[]);
    router.until_ready();
    (0..8).for_each(|_| assert_eq!((router.get("/a").status, router.get("/b").status), (200, 200)));
    let of = |read: &Exposition, route: &str| read.sum(REQUESTS, &[("route", route)]);
    eventually("both", || (of(&scrape(&router), "/b#default") >= 8.0).then_some(()));
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| router.get("/slow").status);
        gate.until_waiting(1);
        // One goes, one is handed to another team, one stays; what is under way outlives its route.
        let other = registration("/a", origin.port(), "").replace("owner: team", "owner: others");
        site.publish(&boundary, &[other]);
        router.until_generation(2);
        eventually("the series to go", || {
            let read = scrape(&router);
            let owners = read.sum(REQUESTS, &[("owner", "team")]);
            (of(&read, "/b#default") + of(&read, "/a#default") + owners == 0.0).then_some(())
        });
        gate.open();
        assert_eq!(slow.join().unwrap(), 200);
    });
    assert_eq!(router.get("/a").status, 200);
    let read = eventually("the new owner's", || {
        Some(scrape(&router)).filter(|read| read.sum(REQUESTS, &[("owner", "others"), ("route", "/a#default")]) == 1.0)
    });
    assert_eq!(of(&read, "/slow#default"), 0.0, "a request that outlived its route brought its series back");
    assert!(of(&read, "") >= 1.0);
    assert_eq!(read.sum(DURATIONS, &[("owner", "team")]), 0.0);
}

#[test]
fn whatever_stands_in_a_root_stays_within_its_label() {
    let origin = Origin::named("orders");
    let roots = [
        "/a\\b", "/say\"hi\"", "/{x=1}", "/ünïcode", "/a,b='c'", "/a:b@c!$&()*+;=~", "/%22%5C%0A", "/# HELP",
        "/a.b-c_d",
    ];
    let kept: Vec<&str> = roots.into_iter().filter(|root| root.parse::<RootPath>().is_ok()).collect();
    assert!(kept.len() >= 2, "only {kept:?} are roots: this shows nothing");
    let registrations: Vec<String> =
        kept.iter().map(|root| registration(&serde_json::Value::from(*root).to_string(), origin.port(), "")).collect();
    let site = Site::new(&boundary_with(&[origin.port()], ""), &registrations);
    let router = Router::serve(&site.merged());
    for root in kept {
        assert_eq!(router.get(root).status, 200, "{root}");
        let route = format!("{root}#default");
        eventually("its series", || (scrape(&router).sum(REQUESTS, &[("route", &route)]) == 1.0).then_some(()));
        let text = Exposition::read(&router.admin("/metrics").text(), Form::Text);
        assert_eq!(text.sum(REQUESTS, &[("route", &route)]), 1.0);
    }
}

#[test]
fn a_scrape_of_ten_thousand_busy_routes_keeps_nobody_waiting() {
    let routes = runs("busy routes", 2_000, 10_000) as u64;
    let origin = Origin::named("fleet");
    let registrations: Vec<String> =
        (0..routes).map(|number| registration(&format!("/team/r{number}"), origin.port(), "")).collect();
    let site = Site::new(&boundary_with(&[origin.port()], ""), &registrations);
    let router = Router::start(&site.merged(), &["--access-log", "off", "--workers", "2"], &[]);
    eventually_within(Duration::from_secs(60), "all routes", || (router.snapshot()["routes"] == routes).then_some(()));
    let before = router.resident();
    let load =
        Load::start(router.address(), 4, move |number| Request::new("GET", &format!("/team/r{}/x", number % routes)));
    eventually_within(Duration::from_secs(300), "traffic on every route", || {
        (load.tally().good > routes * 4).then_some(())
    });
    let after = router.resident();
    let (mut took, mut told) = (Vec::new(), Exposition::default());
    for _ in 0..10 {
        let good = load.tally().good;
        let began = Instant::now();
        let answer = router.admin("/metrics");
        took.push((began.elapsed(), answer.body.len()));
        told = Exposition::read(&answer.text(), Form::Text);
        eventually("requests meanwhile", || (load.tally().good > good).then_some(()));
    }
    let tally = load.stop();
    let busy: BTreeSet<&String> = told.samples(REQUESTS).iter().map(|sample| &sample.labels["route"]).collect();
    took.sort();
    eprintln!(
        "{} routes with traffic, {} samples, {:.1} MB: scraped under load in {:.0?} (median of ten, {:.0?} at most); the series \
         take {:.1} MB for two cores; {} requests, {} failed",
        busy.len(),
        told.families.values().map(|family| family.samples.len()).sum::<usize>(),
        took[5].1 as f64 / 1e6,
        took[5].0,
        took[9].0,
        after.saturating_sub(before) as f64 / 1e6,
        tally.good,
        tally.bad
    );
    assert_eq!((tally.bad, tally.broken), (0, 0));
    assert_eq!(busy.len() as u64, routes);
}

/// What the two processes export, whether they have figures for it or not; and what people may call it.
fn exported() -> (BTreeSet<String>, BTreeSet<String>) {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), "")]);
    let router = Router::serve(&site.merged());
    let read = scrape(&router);
    let mut names = read.names(Form::OpenMetrics);
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("boundary.yaml"), boundary_with(&[origin.port()], "")).unwrap();
    std::fs::create_dir(path("registrations")).unwrap();
    let syncer = Syncer::run(&path("boundary.yaml"), &path("registrations"), &directory.path().join("out"), &[]);
    let theirs = Exposition::read(&syncer.admin("/metrics").text(), Form::Text);
    names.extend(theirs.names(Form::Text));
    // A histogram has no sample of its own name, but is called by it.
    let called = names.iter().chain(read.families.keys()).chain(theirs.families.keys()).cloned().collect();
    (names, called)
}

/// The metrics of a query, which must hold together as one of PromQL does.
fn asked(query: &str) -> BTreeSet<String> {
    let (mut open, mut quoted, mut outside) = (Vec::new(), false, String::new());
    for character in query.chars() {
        match character {
            '"' => quoted = !quoted,
            _ if quoted => {}
            '(' | '{' | '[' => open.push(character),
            ')' => assert_eq!(open.pop(), Some('('), "{query}"),
            '}' => assert_eq!(open.pop(), Some('{'), "{query}"),
            ']' => assert_eq!(open.pop(), Some('['), "{query}"),
            _ => {}
        }
        outside.push(if quoted { ' ' } else { character });
    }
    assert!(open.is_empty() && !quoted, "{query}");
    // A name with a bracket behind it is a function's.
    let functions =
        ["sum", "max", "min", "by", "on", "rate", "increase", "histogram_quantile", "topk", "time", "absent"];
    for (at, _) in outside.match_indices('(') {
        let word = outside[..at].trim_end().rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap();
        assert!(word.is_empty() || functions.contains(&word), "{query}: {word} is no function");
    }
    // Rates are of what rises, and of a stretch of time.
    for part in outside.split("rate(").skip(1).chain(outside.split("increase(").skip(1)) {
        let (name, rest) = part.split_at(part.find(['{', '[', ')']).unwrap());
        assert!(["_total", "_bucket", "_count"].iter().any(|end| name.ends_with(end)), "{query}: a rate of {name}");
        assert!(rest[..=rest.find(')').unwrap()].ends_with("m])"), "{query}");
    }
    let names = named_in(&outside);
    assert!(!names.is_empty(), "{query} asks for nothing");
    names
}

fn deployed(path: &str) -> String {
    std::fs::read_to_string(checkout().join("deploy").join(path)).unwrap()
}

#[test]
fn alerts_are_rules_of_prometheus_and_ask_for_what_is_exported() {
    let (exported, called) = exported();
    let rules: Value = serde_saphyr::from_str(&deployed("alerts/postern.yaml")).unwrap();
    let fields = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(fields(&rules), ["groups"]);
    let mut names = BTreeSet::new();
    for group in rules["groups"].as_array().unwrap() {
        assert_eq!(fields(group), ["name", "rules"]);
        for rule in group["rules"].as_array().unwrap() {
            assert_eq!(fields(rule), ["alert", "expr", "for", "labels", "annotations"]);
            let name = rule["alert"].as_str().unwrap();
            assert!(names.insert(name), "{name} stands twice");
            assert!(["page", "ticket"].contains(&rule["labels"]["severity"].as_str().unwrap()), "{name}");
            let wait = rule["for"].as_str().unwrap();
            assert!(wait.trim_end_matches(['m', 'h']).parse::<u32>().is_ok(), "{name}: {wait}");
            let asked = asked(rule["expr"].as_str().unwrap());
            let missing: Vec<_> = asked.difference(&exported).collect();
            assert!(missing.is_empty(), "{name} asks for {missing:?}, which nobody exports");
            for text in ["summary", "description"] {
                let text = rule["annotations"][text].as_str().unwrap();
                assert_eq!(text.matches("{{").count(), text.matches("}}").count(), "{name}: {text}");
                let missing: Vec<_> = named_in(text).difference(&called).cloned().collect();
                assert!(missing.is_empty(), "{name} tells of {missing:?}");
            }
        }
    }
    assert!(names.len() >= 20, "only {} alerts: this shows nothing", names.len());
}

#[test]
fn the_dashboard_asks_for_what_is_exported() {
    let (exported, _) = exported();
    let board: Value = serde_json::from_str(&deployed("dashboards/postern.json")).unwrap();
    let panels: Vec<&Value> =
        board["panels"].as_array().unwrap().iter().filter(|panel| panel["type"] != "row").collect();
    assert!(panels.len() >= 30, "only {} panels: this shows nothing", panels.len());
    let mut ids = BTreeSet::new();
    for panel in panels {
        assert!(ids.insert(panel["id"].as_u64()), "{} has the id of another", panel["title"]);
        for target in panel["targets"].as_array().unwrap() {
            let asked = asked(target["expr"].as_str().unwrap());
            let missing: Vec<_> = asked.difference(&exported).collect();
            assert!(missing.is_empty(), "{} asks for {missing:?}, which nobody exports", panel["title"]);
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        let names = named_in(&variable["query"].to_string());
        assert!(names.is_subset(&exported) && (variable["type"] == "datasource" || !names.is_empty()), "{variable}");
    }
}

/// What looks like the name of a metric.
fn named_in(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("postern_") || word.starts_with("process_")).map(str::to_owned).collect()
}

#[test]
fn the_pages_tell_of_metrics_that_there_are() {
    let (_, called) = exported();
    let mut told = 0;
    for entry in std::fs::read_dir(checkout().join("docs")).unwrap() {
        let path = entry.unwrap().path();
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        // A name that goes on elsewhere (`postern_syncer_…`) is none.
        let names = named_in(&text).into_iter().filter(|name| !name.ends_with('_'));
        for name in names {
            told += 1;
            assert!(called.contains(&name), "{} tells of {name}", path.display());
        }
    }
    assert!(told > 60, "only {told} names: this shows nothing");
}
