//! The access log in the forms that are asked for, and as much of it as a route asks for.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use postern_tests::{Client, Origin, Request, Router, Site, boundary_with, eventually, registration, run_in};

fn logged(policies: &str, environment: &[(&str, &str)], requests: &[Request]) -> Vec<String> {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), policies)]);
    let log = site.path().join("access.log");
    let mut router =
        Router::start(&site.merged(), &["--access-log", log.to_str().unwrap(), "--workers", "1"], environment);
    router.until_ready();
    let mut client = router.client();
    for request in requests {
        client.send(request);
    }
    drop(client);
    router.signal("TERM");
    router.wait(std::time::Duration::from_secs(30));
    std::fs::read_to_string(&log).unwrap().lines().map(str::to_owned).collect()
}

#[test]
fn lines_have_the_form_that_is_asked_for() {
    let request = Request::new("GET", "/orders/a%22b?token=secret")
        .header("user-agent", "curl/8 \"odd\"")
        .header("referer", "https://example.com/page?secret=1");
    let requests = [request, Request::new("GET", "/nowhere")];
    let form = |form: &'static str, fields: &'static str| {
        let mut settings = vec![("POSTERN_ROUTER_ACCESS_LOG_FORMAT", form)];
        if !fields.is_empty() {
            settings.push(("POSTERN_ROUTER_ACCESS_LOG_FIELDS", fields));
        }
        let lines = logged("", &settings, &requests);
        assert!(lines.len() == 2 && lines.iter().all(|line| !line.contains("secret")), "{lines:?}");
        lines
    };
    let combined = form("combined", "");
    assert!(combined[0].starts_with("127.0.0.1 - - ["), "{combined:?}");
    let tail = r#"+0000] "GET /orders/a%22b HTTP/1.1" 200 37 "https://example.com/page" "curl/8 \"odd\"""#;
    assert!(combined[0].ends_with(tail), "{combined:?}");
    let chosen = form("json", "[status,route,user_agent]");
    assert_eq!(chosen[0], r##"{"status":200,"route":"/orders#default","user_agent":"curl/8 \"odd\""}"##);
    assert_eq!(chosen[1], r#"{"status":404}"#);
    let pairs = form("key_value", "[method,path,status,reason]");
    assert_eq!(
        pairs,
        ["method=GET path=/orders/a%22b status=200", "method=GET path=/nowhere status=404 reason=route_not_found"]
    );
    assert!(form("json", "")[0].starts_with("{\"time\":\"20"));
    let slip =
        run_in("postern-router", &["serve", "--print-settings"], &[("POSTERN_ROUTER_ACCESS_LOG_FIELDS", "[stauts]")]);
    assert!(slip.code == 2 && slip.err.contains("did you mean \"status\""), "{slip:?}");
}

#[test]
fn a_route_may_have_a_share_of_its_lines_and_all_that_went_wrong() {
    let fine: Vec<Request> = (0..400).map(|_| Request::new("GET", "/orders")).collect();
    let wrong: Vec<Request> = (0..20).map(|_| Request::new("POST", "/orders").body("x".repeat(20))).collect();
    let requests = [fine, wrong].concat();
    let limited = "body: {max: 10B}";
    for (share, expected) in [("0%", 0..=0), ("50%", 140..=260), ("100%", 400..=400)] {
        let policies = format!("policies: {{telemetry: {{access_log: {share}}}, {limited}}}");
        let lines = logged(&policies, &[], &requests);
        let refused = lines.iter().filter(|line| line.contains("body_too_large")).count();
        assert_eq!(refused, 20, "{share}");
        assert!(expected.contains(&(lines.len() - refused)), "{share}: {}", lines.len() - refused);
    }
}

/// A router that logs to a pipe.
struct Piped {
    router: Router,
    pipe: std::path::PathBuf,
    _origin: Origin,
    _site: Site,
}

impl Piped {
    fn start() -> Self {
        let origin = Origin::named("orders");
        let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
        let pipe = site.path().join("access.pipe");
        assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
        let flags = ["--access-log", pipe.to_str().unwrap(), "--workers", "1"];
        let router = Router::start(&site.merged(), &flags, &[]);
        router.until_ready();
        Self { router, pipe, _origin: origin, _site: site }
    }

    /// One request that makes a long line.
    fn ask(&self, client: &mut Client) {
        let answer = client.send(&Request::new("GET", &format!("/{}", "a".repeat(7_000))));
        assert_eq!(answer.status, 200, "{}", answer.text());
    }

    fn dropped(&self) -> f64 {
        self.router.metric("postern_access_log_dropped_total")
    }

    /// Reads on until every line was written or is counted; each must be whole. Gives how many were read, which goes on
    /// to be counted.
    fn settle(&self, read: impl Read + Send + 'static, sent: u32) -> Arc<AtomicUsize> {
        let lines = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in BufReader::new(read).lines().map_while(Result::ok) {
                let told: serde_json::Value = serde_json::from_str(&line).unwrap();
                assert_eq!(told["status"], 200);
                count.fetch_add(1, Ordering::SeqCst);
            }
        });
        eventually("every line to be read or counted", || {
            (lines.load(Ordering::SeqCst) as f64 + self.dropped() == f64::from(sent)).then_some(())
        });
        assert!(lines.load(Ordering::SeqCst) >= 64, "a pipe and what waits hold more than that");
        lines
    }
}

#[test]
fn a_pipe_that_nobody_reads_costs_lines_and_no_request() {
    let scene = Piped::start();
    let mut client = scene.router.client();
    let mut sent = 0;
    // What waits for the pipe is bounded: before a thousand of them, some are dropped.
    while scene.dropped() < 20.0 {
        scene.ask(&mut client);
        sent += 1;
        assert!(sent < 1_000, "none of {sent} lines was dropped");
    }
    let lines = scene.settle(File::open(&scene.pipe).unwrap(), sent);
    // Whoever reads from now on misses nothing more.
    let (read, dropped) = (lines.load(Ordering::SeqCst), scene.dropped());
    scene.ask(&mut client);
    eventually("one line more to be read", || (lines.load(Ordering::SeqCst) == read + 1).then_some(()));
    assert_eq!(scene.dropped(), dropped);
}

#[test]
fn a_pipe_that_is_read_slowly_gets_whole_lines() {
    let scene = Piped::start();
    let mut client = scene.router.client();
    let mut pipe = File::open(&scene.pipe).unwrap();
    let (mut sent, mut read) = (0, Vec::new());
    while scene.dropped() < 20.0 {
        scene.ask(&mut client);
        sent += 1;
        assert!(sent < 2_000, "none of {sent} lines was dropped");
        // A fourth of what comes; after the first of them it is there already.
        if sent > 40 {
            let mut piece = [0; 1_800];
            let bytes = pipe.read(&mut piece).unwrap();
            read.extend_from_slice(&piece[..bytes]);
        }
    }
    scene.settle(std::io::Cursor::new(read).chain(pipe), sent);
}
