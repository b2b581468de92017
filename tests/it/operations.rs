//! What people and machines see who run it: commands, settings, health, logs, metrics, and no secrets.

use std::collections::BTreeSet;
use std::net::TcpListener;

use postern_tests::{
    Client, Origin, Request, Router, Signer, Site, Syncer, basic, boundary_with, eventually, registration, run, run_in,
    seconds_from_now,
};
use serde_json::json;

/// Of the password "correct horse".
const BCRYPT: &str = "$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e";

fn site(origin: &Origin, more: &str) -> Site {
    Site::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), more)])
}

#[test]
fn no_aws_power_stays_in_the_routers_environment() {
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let power = [
        ("AWS_ACCESS_KEY_ID", "power"),
        ("AWS_SECRET_ACCESS_KEY", "power"),
        ("AWS_SESSION_TOKEN", "power"),
        ("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/power"),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", "power"),
        ("AWS_WEB_IDENTITY_TOKEN_FILE", "/power"),
        ("ECS_CONTAINER_METADATA_URI_V4", "http://power"),
        ("ECS_AGENT_URI", "power"),
        ("KEPT_FOR_THE_TEST", "1"),
    ];
    let router = Router::start(&site.merged(), &[], &power);
    router.until_ready();
    let environment = std::fs::read(format!("/proc/{}/environ", router.id())).unwrap();
    let names: Vec<String> = environment
        .split(|byte| *byte == 0)
        .map(|pair| String::from_utf8_lossy(pair).split('=').next().unwrap().to_owned())
        .collect();
    assert!(names.iter().any(|name| name == "KEPT_FOR_THE_TEST"), "{names:?}");
    assert!(!names.iter().any(|name| name.starts_with("AWS_") || name.starts_with("ECS_")), "{names:?}");
    assert!(!environment.windows(5).any(|window| window == b"power"));
    assert_eq!(router.get("/orders").status, 200);
}

#[test]
fn health_tells_by_its_exit_code() {
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let router = Router::serve(&site.merged());
    let asked = |address: &str| run("postern-router", &["health", "--admin", address]);
    let fine = asked(&router.admin_address().to_string());
    assert_eq!((fine.code, fine.err.as_str()), (0, ""));

    let empty = Site::empty();
    let waiting = Router::start(&empty.merged(), &[], &[]);
    let not_ready = asked(&waiting.admin_address().to_string());
    assert_eq!(not_ready.code, 1);
    assert!(not_ready.err.contains("not ready: missing: a configuration"), "{}", not_ready.err);
    let answer = waiting.get("/orders");
    assert_eq!((answer.status, answer.reason(), answer.header("retry-after")), (503, Some("not_ready"), Some("1")));
    assert_eq!(waiting.get("/healthz").status, 503);

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let down = asked(&nobody);
    assert_eq!(down.code, 1);
    assert!(down.err.contains(&nobody), "{}", down.err);
}

#[test]
fn the_health_path_is_for_any_host_and_nobody_else_has_it() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_HEALTH_PATH", "/alive")]);
    router.until_ready();
    for host in ["api.example.com", "10.0.0.7:8080", "anything.at.all"] {
        assert_eq!(router.send(&Request::to_host("GET", host, "/alive")).text(), "ok\n");
    }
    assert!(origin.received().is_empty());
    assert_eq!(router.get("/healthz").text(), "orders GET /healthz");
}

#[test]
fn check_tells_good_files_from_bad_ones_by_its_exit_code() {
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let write = |name: &str, text: &str| {
        let path = site.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let merged = site.merged().to_str().unwrap().to_owned();
    let text = std::fs::read_to_string(&merged).unwrap();
    let boundary = boundary_with(&[80], "");
    for (what, file) in [
        ("merged file", merged),
        ("boundary", write("boundary.yaml", &boundary)),
        ("registration", write("registration.yaml", &registration("/a", 80, ""))),
    ] {
        let output = run("postern-router", &["check", &file]);
        assert_eq!(output.code, 0, "{}{}", output.out, output.err);
        assert!(output.out.contains(&format!("a {what} without problems")), "{}", output.out);
    }
    for (file, words) in [
        (write("cut.json", &text[..text.len() / 2]), &["merged file"][..]),
        (write("changed.json", &text.replacen("/orders", "/0rders", 1)), &["digest"]),
        (
            write("boundary-typo.yaml", &boundary.replace("hosts: [api", "host: [api").replace("ports:", "port:")),
            &[
                "/host",
                "/destinations/0/port",
                "did you mean \"hosts\"",
                "did you mean \"ports\"",
                "\n  --> ",
                "boundary-typo.yaml:4:1\n   4 | host: [api.example.com, '*.api.example.com']\n     | ^\n",
            ],
        ),
        (
            write("registration-typo.yaml", &registration("orders", 80, "polices: {}\nmatch: {methods: [GOT ME]}")),
            &["/root", "/polices", "did you mean \"policies\"", "/match/methods/0"],
        ),
        (write("no.yaml", "{[}"), &["document"]),
    ] {
        let output = run("postern-router", &["check", &file]);
        assert_eq!(output.code, 1, "{file}: {}", output.out);
        for word in words {
            assert!(output.out.contains(word), "{file}: no {word} in\n{}", output.out);
        }
        let output = run("postern-router", &["check", &file, "--output", "json"]);
        let report: serde_json::Value = serde_json::from_str(&output.out).unwrap();
        assert!(report["problems"].as_array().is_some_and(|problems| !problems.is_empty()), "{report}");
    }
    let output = run("postern-router", &["check", site.path().join("nothing").to_str().unwrap()]);
    assert_eq!(output.code, 2);
    assert!(output.err.contains("nothing"), "{}", output.err);
}

#[test]
fn explain_says_what_serving_does() {
    let origin = Origin::named("orders");
    let more = "match: {methods: [GET]}\nrewrite: {prefix: /v1}";
    let site = site(&origin, more);
    let merged = site.merged().to_str().unwrap().to_owned();
    let router = Router::serve(&site.merged());
    let asked = |request: &str| {
        let output =
            run("postern-router", &["explain", &merged, request, "-H", "x-forwarded-for: 1.2.3.4", "--output", "json"]);
        (output.code, serde_json::from_str::<serde_json::Value>(&output.out).unwrap())
    };
    let (code, explained) = asked("GET http://api.example.com/orders/7?x=1");
    assert_eq!(code, 0);
    assert_eq!((&explained["route"], &explained["destination"]), (&"/orders#default".into(), &"local".into()));
    assert!(explained["reason"].is_null());
    let forwarded = &explained["forwarded"];
    assert_eq!((&forwarded["method"], &forwarded["target"]), (&"GET".into(), &"/v1/7?x=1".into()));
    assert!(explained["steps"].as_array().is_some_and(|steps| steps.len() >= 5));

    assert_eq!(router.get("/orders/7?x=1").status, 200);
    let seen = origin.last();
    assert_eq!(seen.target, "/v1/7?x=1");
    let told: BTreeSet<&str> =
        forwarded["headers"].as_array().unwrap().iter().map(|header| header[0].as_str().unwrap()).collect();
    let sent: BTreeSet<String> = seen.headers.iter().map(|(name, _)| name.to_ascii_lowercase()).collect();
    assert_eq!(told, sent.iter().map(String::as_str).collect());

    for (request, path, method, reason) in [
        ("GET https://api.example.com/nothing", "/nothing", "GET", "route_not_found"),
        ("POST https://api.example.com/orders", "/orders", "POST", "method_not_allowed"),
        ("GET https://api.example.com/orders/../x", "/orders/../x", "GET", "path_ambiguous"),
    ] {
        let (code, explained) = asked(request);
        assert_eq!((code, &explained["reason"]), (1, &reason.into()), "{explained}");
        assert!(explained["forwarded"].is_null());
        let served = router.send(&Request::new(method, path));
        assert_eq!(served.reason(), Some(reason));
        assert_eq!(explained["status"], served.status);
    }
    let (code, explained) = asked("GET https://other.example.com/orders");
    assert_eq!((code, &explained["reason"]), (1, &"host_not_listed".into()));

    let text = run("postern-router", &["explain", &merged, "GET https://api.example.com/orders/7"]);
    assert_eq!(text.code, 0);
    for words in ["identify", "/orders#default answers, of team", "GET /v1/7"] {
        assert!(text.out.contains(words), "no {words} in\n{}", text.out);
    }
    let online = router.admin("/explain?request=GET%20https://api.example.com/orders/7%3Fx=1");
    assert_eq!(online.json()["forwarded"]["target"], "/v1/7?x=1");
    let wrong = run("postern-router", &["explain", &merged, "orders"]);
    assert_eq!(wrong.code, 2);
    assert!(wrong.err.contains("write 'GET https://"), "{}", wrong.err);
}

#[test]
fn settings_show_where_each_came_from() {
    let place = tempfile::tempdir().unwrap();
    let file = place.path().join("router.toml");
    std::fs::write(&file, "health_path = \"/alive\"\nworkers = 3\n[limits]\nhead = \"5s\"\nidle = \"70s\"\n").unwrap();
    let environment = [
        ("POSTERN_ROUTER_LIMITS__HEAD", "4s"),
        ("POSTERN_ROUTER_WORKERS", "2"),
        ("POSTERN_ROUTER_FILE_KEY", "a very secret key"),
    ];
    let arguments = [
        "serve",
        "--print-settings",
        "--settings",
        file.to_str().unwrap(),
        "--workers",
        "1",
        "--listen",
        "127.0.0.1:1",
    ];
    let output = run_in("postern-router", &arguments, &environment);
    assert_eq!(output.code, 0, "{}", output.err);
    for (name, value, origin) in [
        ("admin", "\"127.0.0.1:9901\"", "the defaults"),
        ("health_path", "\"/alive\"", "router.toml"),
        ("limits.head", "\"4s\"", "the environment"),
        ("limits.idle", "\"70s\"", "router.toml"),
        ("workers", "1", "the flags"),
        ("listen", "[\"127.0.0.1:1\"]", "the flags"),
    ] {
        let line = output.out.lines().find(|line| line.split_whitespace().next() == Some(name));
        let line = line.unwrap_or_else(|| panic!("no {name} in\n{}", output.out));
        assert!(line.contains(&format!("= {value} ")) && line.contains(origin), "{line}");
    }
    assert!(!output.out.contains("secret"), "{}", output.out);
    // A head has ten seconds where nobody says anything.
    let defaults = run("postern-router", &["serve", "--print-settings"]).out;
    assert!(defaults.lines().any(|line| line.starts_with("limits.head ") && line.contains("\"10s\"")), "{defaults}");
}

#[test]
fn serving_threads_stay_on_cores_of_their_own_when_that_is_asked_for() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let cores = |pin: &str| {
        let router = Router::start(&site.merged(), &["--workers", "2"], &[("POSTERN_ROUTER_PIN", pin)]);
        router.until_ready();
        let tasks = std::fs::read_dir(format!("/proc/{}/task", router.id())).unwrap().flatten();
        let told = tasks.map(|task| std::fs::read_to_string(task.path().join("status")).unwrap());
        let serving = told.filter(|status| status.starts_with("Name:\tcore-"));
        let allowed = |status: String| {
            status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t").map(str::to_owned))
        };
        serving.map(|status| allowed(status).unwrap()).collect::<Vec<String>>()
    };
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    let all = own.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:\t")).unwrap();
    assert_eq!(cores("false"), [all, all]);
    let mut pinned = cores("true");
    pinned.sort();
    pinned.dedup();
    let there = std::thread::available_parallelism().unwrap().get();
    assert!(pinned.len() == there.min(2) && pinned.iter().all(|core| core.parse::<usize>().is_ok()), "{pinned:?}");
}

#[test]
fn a_slip_in_flags_environment_or_settings_is_told_with_the_nearest_name() {
    let place = tempfile::tempdir().unwrap();
    let settings = |text: &str| {
        let file = place.path().join("settings.toml");
        std::fs::write(&file, text).unwrap();
        file.to_str().unwrap().to_owned()
    };
    let told = |arguments: &[&str], environment: &[(&str, &str)], words: &[&str]| {
        let output = run_in("postern-router", arguments, environment);
        assert_eq!(output.code, 2, "{arguments:?} {environment:?}: {}{}", output.out, output.err);
        for word in words {
            assert!(output.err.contains(word), "no {word} in\n{}", output.err);
        }
        output.err
    };
    told(&["serve", "--lisen", "127.0.0.1:0"], &[], &["--lisen", "--listen"]);
    told(&["serv"], &[], &["serv", "serve"]);
    told(&["serve", "--listen", "8080"], &[], &["--listen", "8080"]);
    told(&["serve", "--workers", "many"], &[], &["--workers", "many"]);
    let one_line = |text: String| assert_eq!(text.trim().lines().count(), 1, "{text}");
    one_line(told(&["serve"], &[("POSTERN_ROUTER_LISEN", "x")], &["lisen", "listen", "environment"]));
    one_line(told(&["serve"], &[("POSTERN_ROUTER_LIMITS__HAED", "1s")], &["haed", "head", "environment"]));
    one_line(told(&["serve"], &[("POSTERN_ROUTER_LIMITS__HEAD", "soon")], &["limits.head", "environment"]));
    one_line(told(&["serve"], &[("POSTERN_ROUTER_FILE_KEY", "short")], &["file_key", "16 bytes"]));
    one_line(told(&["serve"], &[("POSTERN_ROUTER_HEALTH_PATH", "healthz")], &["health_path", "/healthz"]));
    one_line(told(
        &["serve", "--settings", &settings("helth_path = \"/x\"")],
        &[],
        &["helth_path", "health_path", "settings.toml"],
    ));
    one_line(told(&["serve", "--settings", &settings("[limits]\nidle = 5")], &[], &["limits.idle", "settings.toml"]));
    one_line(told(&["serve", "--settings", "/nowhere/at-all.toml"], &[], &["/nowhere/at-all.toml"]));
    told(&["serve", "--settings", &settings("health_path =")], &[], &["settings.toml"]);
}

#[test]
fn a_taken_port_is_named_with_what_to_do() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let holder = TcpListener::bind(taken).unwrap();
    for flags in [
        ["--listen", &taken.to_string(), "--admin", "127.0.0.1:0"],
        ["--listen", "127.0.0.1:0", "--admin", &taken.to_string()],
    ] {
        let output = run("postern-router", &[&["serve"], &flags[..]].concat());
        assert_eq!(output.code, 1, "{}", output.err);
        assert!(
            output.err.contains(&taken.to_string()) && output.err.contains("another program has it"),
            "{}",
            output.err
        );
    }
    drop(holder);
    // A second router on the same port would take half of the connections without a word.
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let router = Router::serve(&site.merged());
    let output = run("postern-router", &["serve", "--listen", &router.address().to_string(), "--admin", "127.0.0.1:0"]);
    assert_eq!(output.code, 1);
    assert!(output.err.contains("another program has it"), "{}", output.err);
}

#[test]
fn the_access_log_has_one_line_for_each_request_and_no_query() {
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let router = Router::serve(&site.merged());
    let answer = router.send(&Request::new("POST", "/orders/7?token=hidden").body("12345"));
    let line = router.logged(answer.header("x-request-id").unwrap());
    for (field, value) in [
        ("method", json!("POST")),
        ("host", json!("api.example.com")),
        ("path", json!("/orders/7")),
        ("status", json!(200)),
        ("route", json!("/orders#default")),
        ("owner", json!("team")),
        ("destination", json!("local")),
        ("generation", json!(1)),
        ("client", json!("127.0.0.1")),
        ("principal", json!("anonymous")),
        ("bytes_in", json!(5)),
        ("bytes_out", json!(answer.body.len())),
        ("reused", json!(false)),
    ] {
        assert_eq!(line[field], value, "{field} of {line}");
    }
    assert!(line["duration_ms"].as_f64().unwrap() >= line["first_byte_ms"].as_f64().unwrap(), "{line}");
    assert!(line["connect_ms"].is_number() && line["reason"].is_null(), "{line}");
    assert!(line["time"].as_str().unwrap().ends_with('Z'));

    let refused = router.get("/nothing?token=hidden");
    let line = router.logged(refused.header("x-request-id").unwrap());
    assert_eq!(
        (&line["status"], &line["reason"], &line["route"]),
        (&404.into(), &"route_not_found".into(), &json!(null))
    );
    let lines = eventually("three lines", || {
        router.get("/healthz");
        let lines = router.access_log();
        (lines.len() >= 3).then_some(lines)
    });
    let ids: BTreeSet<&str> = lines.iter().filter_map(|line| line["request_id"].as_str()).collect();
    assert_eq!(ids.len(), lines.len(), "two lines for one request, or a line without one");
    assert!(lines.iter().all(|line| !line.to_string().contains("hidden")), "{lines:#?}");
}

#[test]
fn request_ids_are_kept_from_trusted_proxies_only() {
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let request = Request::new("GET", "/orders")
        .header("x-request-id", "from-the-client")
        .header("x-forwarded-for", "6.6.6.6, 198.18.0.9");
    let stranger = Router::serve(&site.merged());
    assert_ne!(stranger.send(&request).header("x-request-id"), Some("from-the-client"));
    assert_eq!(origin.last().all("x-forwarded-for"), ["127.0.0.1"]);
    let trusting = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_TRUSTED_PROXIES", "[\"127.0.0.0/8\"]")]);
    trusting.until_ready();
    let answer = trusting.send(&request);
    assert_eq!(answer.header("x-request-id"), Some("from-the-client"));
    assert_eq!(trusting.logged("from-the-client")["client"], "198.18.0.9");
    assert_eq!(origin.last().all("x-forwarded-for"), ["198.18.0.9, 127.0.0.1"]);
}

#[test]
fn metrics_are_prometheus_text_and_count_what_happened() {
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let router = Router::serve(&site.merged());
    for _ in 0..3 {
        assert_eq!(router.get("/orders").status, 200);
    }
    assert_eq!(router.get("/nothing").status, 404);
    eventually("the counters", || (router.metric("postern_dials_total") >= 1.0).then_some(()));
    let answer = router.admin("/metrics");
    assert!(answer.header("content-type").unwrap().starts_with("text/plain"));
    let text = answer.text();
    let mut typed = BTreeSet::new();
    let mut series = BTreeSet::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let words: Vec<&str> = comment.splitn(3, ' ').collect();
            match words[..] {
                ["HELP", name, help] => assert!(!help.is_empty(), "{name}"),
                ["TYPE", name, kind] => {
                    assert!(["counter", "gauge", "histogram"].contains(&kind), "{line}");
                    assert!(typed.insert(name.to_owned()), "{name} has two types");
                }
                _ => panic!("{line}"),
            }
            continue;
        }
        let (name, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(series.insert(name.to_owned()), "{name} stands twice");
        let family = name.split('{').next().unwrap();
        assert!(family.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_'), "{line}");
        let base =
            ["_bucket", "_sum", "_count"].iter().find_map(|suffix| family.strip_suffix(suffix)).unwrap_or(family);
        assert!(typed.contains(family) || typed.contains(base), "{family} has no type");
        if let Some(labels) = name.strip_prefix(family).filter(|labels| !labels.is_empty()) {
            assert!(labels.starts_with('{') && labels.ends_with("\"}"), "{line}");
        }
        assert!(family.starts_with("postern_"), "{line}");
    }
    assert_eq!(router.metric("postern_config_generation"), 1.0);
    assert_eq!(router.metric("postern_routes"), 1.0);
    assert!(text.contains("route=\"/orders#default\""), "{text}");
    let refused = text.lines().find(|line| line.contains("reason=\"route_not_found\"")).unwrap();
    assert!(refused.ends_with(" 1"), "{refused}");
}

#[test]
fn the_admin_listener_tells_and_takes_nothing() {
    let origin = Origin::named("orders");
    let site = site(&origin, "");
    let router = Router::serve(&site.merged());
    for path in ["/livez", "/readyz", "/metrics", "/snapshot", "/routes", "/"] {
        assert_eq!(router.admin(path).status, 200, "{path}");
    }
    let unknown = router.admin("/nothing");
    assert_eq!(unknown.status, 404);
    assert!(unknown.text().contains("/readyz"), "{}", unknown.text());
    for method in ["POST", "PUT", "DELETE"] {
        let answer =
            Client::connect(router.admin_address()).send(&Request::to_host(method, "admin", "/snapshot").body(""));
        assert_eq!(answer.status, 405, "{method}");
    }
    assert_eq!(router.admin("/explain").status, 400);
    let snapshot = router.snapshot();
    assert_eq!((&snapshot["generation"], &snapshot["routes"]), (&1.into(), &1.into()));
    assert!(snapshot["digest"].as_str().unwrap().starts_with("sha256:"));
    // What is told to operations is not told to clients.
    for path in ["/livez", "/readyz", "/metrics", "/snapshot", "/routes"] {
        assert_eq!(router.get(path).reason(), Some("route_not_found"), "{path}");
    }
}

#[test]
fn answers_of_the_router_tell_nothing_of_what_lies_behind_it() {
    let down = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let boundary = boundary_with(&[down], "").replace("name: local", "name: hidden-destination");
    let site = Site::new(&boundary, &[registration("/orders", down, "")]);
    let router = Router::serve(&site.merged());
    let answer = router.get("/orders");
    assert_eq!((answer.status, answer.reason()), (502, Some("destination_refused")));
    let whole = format!("{:?}{}", answer.headers, answer.text());
    for hidden in ["hidden-destination", "localhost", "127.0.0.1", &down.to_string(), "team", "rust", "hyper"] {
        assert!(!whole.contains(hidden), "{hidden} in {whole}");
    }
    // The log says it all.
    let line = router.logged(answer.header("x-request-id").unwrap());
    assert_eq!(line["destination"], "hidden-destination");
    assert!(line["detail"].as_str().unwrap().contains(&down.to_string()), "{line}");
}

#[test]
fn no_secret_appears_in_anything_that_either_process_tells() {
    let origin = Origin::named("orders");
    let signer = Signer::shared(b"canary-shared-key-of-thirty-two-bytes");
    let (password, file_key, query) = ("correct horse", "canary-file-key-0123456789", "canary-query");
    let identity = format!(
        "identity: {{basic: [{{name: ops, users: [{{name: alice, hash: '{BCRYPT}'}}]}}], \
         jwt: [{{name: corp, issuer: 'https://login.example.com/', audiences: [api], jwks: {}}}]}}",
        json!({"keys": [signer.jwk()]})
    );
    let place = tempfile::tempdir().unwrap();
    let (boundary, registrations) = (place.path().join("boundary.yaml"), place.path().join("registrations"));
    std::fs::create_dir(&registrations).unwrap();
    std::fs::write(&boundary, boundary_with(&[origin.port()], &identity)).unwrap();
    let policies = "policies: {authentication: {any_of: ['basic:ops', 'jwt:corp']}}";
    std::fs::write(registrations.join("orders.yaml"), registration("/orders", origin.port(), policies)).unwrap();
    let out = place.path().join("out");
    let syncer = Syncer::run(
        boundary.to_str().unwrap(),
        registrations.to_str().unwrap(),
        &out,
        &[("POSTERN_SYNCER_FILE_KEY", file_key)],
    );
    let environment = [("POSTERN_ROUTER_FILE_KEY", file_key), ("POSTERN_LOG", "trace")];
    let router = Router::start(&out.join("merged.json"), &[], &environment);
    router.until_ready();
    let claims =
        json!({"iss": "https://login.example.com/", "aud": "api", "sub": "carol", "exp": seconds_from_now(600)});
    let token = signer.token(&claims);
    let forged = Signer::shared(b"another key of thirty-two bytes long").token(&claims);
    let path = format!("/orders/1?access_token={query}");
    let request = |authorization: &str| {
        Request::new("GET", &path).header("authorization", authorization).header("cookie", "session=canary-cookie")
    };
    let outcomes: Vec<u16> = [
        basic("alice", password),
        basic("alice", "canary-wrong"),
        format!("Bearer {token}"),
        format!("Bearer {forged}"),
    ]
    .iter()
    .map(|authorization| router.send(&request(authorization)).status)
    .collect();
    assert_eq!(outcomes, [200, 401, 200, 401]);
    // A boundary that is refused is told of, without what is in it.
    std::fs::write(&boundary, boundary_with(&[origin.port()], &identity).replace("audiences", "audience")).unwrap();
    eventually("the refusal of the boundary", || syncer.diagnostics().contains("audience").then_some(()));
    eventually("four lines of the log", || (router.access_log().len() >= 4).then_some(()));

    let mut told = vec![
        ("the router's log", router.diagnostics()),
        ("the access log", router.access_log().iter().map(ToString::to_string).collect()),
        ("the syncer's log", syncer.diagnostics()),
        ("the merged file", std::fs::read_to_string(out.join("merged.json")).unwrap()),
    ];
    for path in ["/metrics", "/snapshot", "/routes", "/", "/readyz"] {
        told.push(("the router's admin listener", router.admin(path).text()));
    }
    for path in ["/metrics", "/conditions", "/healthz"] {
        told.push(("the syncer's admin listener", syncer.admin(path).text()));
    }
    for entry in std::fs::read_dir(out.join("history")).unwrap().flatten() {
        told.push(("the history", std::fs::read_to_string(entry.path()).unwrap()));
    }
    let key = signer.jwk()["k"].as_str().unwrap().to_owned();
    let signature = |token: &str| token.rsplit_once('.').unwrap().1.to_owned();
    let encoded = |text: &str| basic("alice", text).split_once(' ').unwrap().1.to_owned();
    let secrets = [
        password.to_owned(),
        encoded(password),
        encoded("canary-wrong"),
        "canary-wrong".to_owned(),
        signature(&token),
        signature(&forged),
        key,
        "canary-shared-key".to_owned(),
        file_key.to_owned(),
        query.to_owned(),
        "canary-cookie".to_owned(),
    ];
    assert!(!syncer.output().contains("canary"));
    for (place, text) in &told {
        assert!(!text.is_empty(), "{place} says nothing: this shows nothing");
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{secret} stands in {place}");
        }
        // A hash is half a secret: it belongs into the merged file and nowhere else.
        let hash_is_there = text.contains(BCRYPT);
        assert!(!hash_is_there || *place == "the merged file" || *place == "the history", "the hash stands in {place}");
    }
}
