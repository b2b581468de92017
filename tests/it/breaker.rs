//! Breakers: when a destination is left alone, who tries whether it is well again, and who notices.

use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::channel;

use postern_tests::{
    Answer, Client, Desk, Gate, Http2Origin, Message, Origin, RawOrigin, Reply, Request, Router, boundary_with,
    eventually, run,
};
use serde_json::Value;

/// A destination that answers as it is told to.
struct Patient {
    origin: Origin,
    /// The status that it answers with; it closes the connection in place of 0.
    status: Arc<AtomicU16>,
    /// What answers with 200 passes it.
    gate: Arc<Gate>,
}

impl Patient {
    fn ill() -> Self {
        let (status, gate) = (Arc::new(AtomicU16::new(503)), Gate::closed());
        let (told, held) = (Arc::clone(&status), Arc::clone(&gate));
        let origin = Origin::start(move |request| match told.load(Ordering::SeqCst) {
            0 => Reply::RawThenClose(Vec::new()),
            200 => {
                // By its target, so that a test may say what each request gets.
                let wanted = request.target.rsplit_once("status=").and_then(|(_, status)| status.parse().ok());
                held.pass();
                Reply::Body(wanted.unwrap_or(200), b"fine".to_vec())
            }
            status => Reply::Body(status, b"ill".to_vec()),
        });
        Self { origin, status, gate }
    }

    fn well() -> Self {
        let patient = Self::ill();
        patient.says(200);
        patient.gate.open();
        patient
    }

    fn says(&self, status: u16) {
        self.status.store(status, Ordering::SeqCst);
    }

    fn asked(&self) -> usize {
        self.origin.received().len()
    }
}

struct Scene {
    desk: Desk,
    router: Router,
}

impl Scene {
    /// With a route for each name: where it leads, and its policies.
    fn with(routes: &[(&str, &[u16], &str)], more: &str) -> Self {
        let mut ports: Vec<u16> = routes.iter().flat_map(|(_, ports, _)| ports.iter().copied()).collect();
        ports.sort_unstable();
        ports.dedup();
        let desk = Desk::new();
        std::fs::write(desk.path("boundary.yaml"), boundary_with(&ports, more)).unwrap();
        routes.iter().for_each(|(name, ports, policies)| route(&desk, name, ports, policies));
        desk.publish();
        let router = Router::serve(&desk.path("out/merged.json"));
        Self { desk, router }
    }

    fn one(patient: &Patient, policies: &str) -> Self {
        Self::with(&[("orders", &[patient.origin.port()], policies)], "")
    }

    /// The reason of the router's own answer, or the status of the destination's.
    fn ask(&self, path: &str) -> String {
        said(&self.router.get(path))
    }

    fn asks(&self, path: &str, count: usize) -> Vec<String> {
        (0..count).map(|_| self.ask(path)).collect()
    }

    fn state(&self) -> f64 {
        self.router.metric("postern_destination_breaker_state{destination=\"local\",mode=\"enforce\"}")
    }

    fn opened(&self) -> f64 {
        self.router.metric("postern_destination_breaker_opened_total{destination=\"local\",mode=\"enforce\"}")
    }

    fn until_half_open(&self) {
        eventually("the breaker to be half-open", || (self.state() == 1.0).then_some(()));
    }

    /// What the running router says of the breaker on a request's way, and what would become of the request.
    fn explained(&self, path: &str) -> (String, Value) {
        let told = self.router.admin(&format!("/explain?request=GET%20https://api.example.com{path}")).json();
        let step = told["steps"].as_array().unwrap().iter().find(|step| step["stage"] == "breaker").cloned();
        (step.unwrap()["verdict"].as_str().unwrap().to_owned(), told["reason"].clone())
    }
}

fn route(desk: &Desk, name: &str, ports: &[u16], policies: &str) {
    let targets: Vec<_> = ports.iter().map(|port| format!("{{url: 'http://localhost:{port}', weight: 1}}")).collect();
    let text = format!("root: /{name}\nowner: team\ndestinations: [{}]\npolicies: {policies}\n", targets.join(", "));
    std::fs::write(desk.path(&format!("registrations/{name}.yaml")), text).unwrap();
}

fn said(answer: &Answer) -> String {
    answer.reason().map_or_else(|| answer.status.to_string(), str::to_owned)
}

const THREE: &str = "{breaker: {failures: 3, opens_for: 1h}}";
const LONGER: &str = "{breaker: {failures: 3, opens_for: 4s}}";
const SHORT: &str = "{breaker: {failures: 3, opens_for: 200ms}}";

#[test]
fn what_fails_so_often_is_asked_no_more() {
    let patient = Patient::ill();
    let scene = Scene::one(&patient, THREE);
    assert_eq!(scene.asks("/orders", 4), ["503", "503", "503", "breaker_open"]);
    let connections = patient.origin.connections();
    assert!(scene.asks("/orders", 20).iter().all(|said| said == "breaker_open"));
    assert_eq!((patient.asked(), patient.origin.connections()), (3, connections), "nothing reached the destination");
    let answer = scene.router.get("/orders");
    assert_eq!((answer.status, answer.header("content-type")), (503, Some("application/problem+json")));
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((3_000..=3_600).contains(&seconds), "{seconds}");
    assert!(!answer.text().contains("local") && !answer.text().contains("3 failures"), "{}", answer.text());
    let line = scene.router.logged(answer.header("x-request-id").unwrap());
    assert_eq!(
        (&line["detail"], &line["policy"]),
        (&"breaker:local: it failed too often".into(), &"breaker:local".into())
    );
    assert_eq!((scene.state(), scene.opened()), (2.0, 1.0));
    eventually("a line of the log", || scene.router.diagnostics().contains("the breaker opens").then_some(()));
    let decided =
        "postern_policy_decisions_total{layer=\"registration\",kind=\"breaker\",mode=\"enforce\",verdict=\"denied\"}";
    eventually("each to be counted", || (scene.router.metric(decided) == 22.0).then_some(()));
}

#[test]
fn answers_that_are_the_requests_own_fault_open_nothing_and_500_502_503_and_504_do() {
    let patient = Patient::well();
    let scene = Scene::one(&patient, "{breaker: {failures: 4, ratio: 1%, opens_for: 1h}}");
    for status in [200, 301, 400, 401, 403, 404, 409, 429, 501, 505] {
        assert!(scene.asks(&format!("/orders?status={status}"), 5).iter().all(|said| *said == status.to_string()));
    }
    for status in ["500", "502", "503", "504"] {
        assert_eq!(scene.ask(&format!("/orders?status={status}")), status);
    }
    assert_eq!(scene.ask("/orders?status=200"), "breaker_open");
}

#[test]
fn failures_below_the_ratio_open_nothing() {
    let patient = Patient::well();
    let scene = Scene::one(&patient, "{breaker: {failures: 3, ratio: 50%, within: 1h, opens_for: 1h}}");
    assert_eq!(scene.asks("/orders", 7), ["200"; 7]);
    assert_eq!(scene.asks("/orders?status=500", 7), ["500"; 7], "six of thirteen are less than half");
    assert_eq!(scene.ask("/orders"), "breaker_open");
}

#[test]
fn a_destination_that_fails_every_other_time_is_left_alone() {
    let patient = Patient::well();
    let scene = Scene::one(&patient, "{breaker: {within: 1h, opens_for: 1h}}");
    let turns: Vec<_> = (0..12).flat_map(|_| ["/orders?status=200", "/orders?status=503"]).collect();
    let answers: Vec<_> = turns.iter().map(|path| scene.ask(path)).collect();
    assert_eq!(answers.iter().position(|said| said == "breaker_open"), Some(20), "after ten failures of twenty");
    assert_eq!(patient.asked(), 20);
}

#[test]
fn a_destination_that_is_not_there_is_dialled_no_more() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let scene = Scene::with(&[("orders", &[port], THREE)], "");
    assert_eq!(scene.asks("/orders", 3), ["destination_refused"; 3]);
    let listener = TcpListener::bind(("127.0.0.1", port)).unwrap();
    listener.set_nonblocking(true).unwrap();
    assert_eq!(scene.asks("/orders", 10), ["breaker_open"; 10]);
    assert!(listener.accept().is_err(), "nobody came");
}

#[test]
fn a_destination_that_closes_connections_is_left_alone() {
    let patient = Patient::ill();
    patient.says(0);
    let scene = Scene::one(&patient, THREE);
    assert_eq!(scene.asks("/orders", 3), ["destination_reset"; 3]);
    let connections = patient.origin.connections();
    assert_eq!(scene.asks("/orders", 10), ["breaker_open"; 10]);
    assert_eq!(patient.origin.connections(), connections);
}

#[test]
fn a_handshake_that_is_none_is_a_failure() {
    let origin = RawOrigin::start(|wire| {
        while wire.head().starts_with("GET /orders") {
            wire.write(b"HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: websocket\r\n");
            wire.write(b"sec-websocket-accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n");
        }
    });
    let policies = "{websocket: true, breaker: {failures: 3, opens_for: 1h}}";
    let scene = Scene::with(&[("orders", &[origin.port()], policies)], "");
    let handshake = Request::new("GET", "/orders")
        .header("connection", "upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==");
    let said: Vec<_> = (0..4).map(|_| said(&scene.router.send(&handshake))).collect();
    assert_eq!(said, ["destination_protocol", "destination_protocol", "destination_protocol", "breaker_open"]);
}

#[test]
fn one_request_alone_tries_whether_it_is_well_again() {
    let patient = Patient::ill();
    let scene = Scene::one(&patient, LONGER);
    assert_eq!(scene.asks("/orders", 3), ["503"; 3]);
    patient.says(200);
    scene.until_half_open();
    let (told, answers) = channel();
    std::thread::scope(|scope| {
        for _ in 0..20 {
            let (told, scene) = (told.clone(), &scene);
            scope.spawn(move || told.send(scene.router.get("/orders")).unwrap());
        }
        for answer in answers.iter().take(19) {
            assert_eq!((said(&answer).as_str(), answer.header("retry-after")), ("breaker_open", Some("1")));
        }
        patient.gate.until_waiting(1);
        assert_eq!(scene.ask("/orders"), "breaker_open");
        patient.gate.open();
        assert_eq!(answers.recv().unwrap().status, 200);
    });
    assert_eq!(patient.asked(), 4);
    assert_eq!(scene.asks("/orders", 5), ["200"; 5]);
    assert_eq!((scene.state(), scene.opened()), (0.0, 1.0));
    eventually("a line of the log", || scene.router.diagnostics().contains("the breaker closes").then_some(()));
    // The window began anew: it takes as many failures as before.
    patient.says(503);
    assert_eq!(scene.asks("/orders", 2), ["503"; 2]);
    assert_eq!(scene.state(), 0.0);
}

#[test]
fn a_trial_that_fails_opens_it_again() {
    let patient = Patient::ill();
    let scene = Scene::one(&patient, SHORT);
    scene.asks("/orders", 3);
    for round in 1..4_u8 {
        scene.until_half_open();
        assert_eq!(scene.ask("/orders"), "503");
        assert_eq!((patient.asked(), scene.opened()), (3 + usize::from(round), 1.0 + f64::from(round)));
    }
}

#[test]
fn a_client_that_goes_away_takes_its_trial_with_it() {
    let patient = Patient::ill();
    let scene = Scene::one(&patient, LONGER);
    scene.asks("/orders", 3);
    patient.says(200);
    scene.until_half_open();
    let mut client = scene.router.client();
    client.write(&Request::new("GET", "/orders").bytes()).unwrap();
    patient.gate.until_waiting(1);
    assert_eq!(scene.ask("/orders"), "breaker_open");
    drop::<Client>(client);
    std::thread::scope(|scope| {
        let next = scope.spawn(|| {
            eventually("another to try it", || Some(scene.router.get("/orders")).filter(|answer| answer.status == 200))
        });
        patient.gate.until_waiting(2);
        patient.gate.open();
        next.join().unwrap();
    });
    assert_eq!(scene.state(), 0.0);
}

#[test]
fn a_trial_that_never_ends_keeps_nobody_from_the_next() {
    let patient = Patient::ill();
    let scene = Scene::one(&patient, SHORT);
    scene.asks("/orders", 3);
    patient.says(200);
    scene.until_half_open();
    std::thread::scope(|scope| {
        // A client that sends its request so slowly that nothing is known of the destination for long.
        let mut slow = scene.router.client();
        slow.write(&Request::new("POST", "/orders").body(vec![b'x'; 10]).bytes()[..]).unwrap();
        patient.gate.until_waiting(1);
        let next = scope.spawn(|| scene.router.get("/orders").status);
        scene.until_half_open();
        let after = scope.spawn(|| {
            eventually("another to try it", || Some(scene.router.get("/orders")).filter(|answer| answer.status == 200))
        });
        patient.gate.until_waiting(2);
        patient.gate.open();
        after.join().unwrap();
        assert!([200, 503].contains(&next.join().unwrap()));
    });
    assert_eq!(scene.state(), 0.0);
}

#[test]
fn a_refusal_here_takes_no_trial_along() {
    let patient = Patient::ill();
    let policies = "{breaker: {failures: 3, opens_for: 200ms}, authentication: {any_of: [iam]}}";
    let scene = Scene::one(&patient, policies);
    let at = time::OffsetDateTime::now_utc();
    let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
    let signed = |at: time::OffsetDateTime| {
        let at = at.format(format).unwrap();
        let credential = format!("AKIDTESTTESTTEST/{}/eu-west-1/execute-api/aws4_request", &at[..8]);
        let signature = "a".repeat(64);
        let value =
            format!("AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders=host;x-amz-date, Signature={signature}");
        Request::new("GET", "/orders").header("x-amz-date", &at).header("authorization", &value)
    };
    (0..3).for_each(|_| assert_eq!(said(&scene.router.send(&signed(at))), "503"));
    patient.says(200);
    patient.gate.open();
    scene.until_half_open();
    let mut client = scene.router.client();
    assert_eq!(said(&client.send(&signed(at - time::Duration::hours(2)))), "sigv4_date_skew");
    assert_eq!(scene.state(), 1.0, "it tried nothing");
    assert_eq!(scene.router.send(&signed(at)).status, 200);
}

#[test]
fn what_would_go_to_it_goes_where_else_the_route_leads() {
    let (ill, well) = (Patient::ill(), Patient::well());
    let scene = Scene::with(&[("orders", &[ill.origin.port(), well.origin.port()], THREE)], "");
    let failed = |answers: &[String]| answers.iter().filter(|said| *said == "503").count();
    let first = eventually("the breaker to open", || {
        let answers = scene.asks("/orders", 1);
        (scene.state() == 2.0).then_some(answers)
    });
    assert_eq!((failed(&first), ill.asked()), (1, 3));
    assert_eq!(scene.asks("/orders", 50), vec!["200"; 50], "all of them pass");
    assert_eq!(ill.asked(), 3);
    // When there is no other, the answer is the breaker's.
    well.says(503);
    assert!(scene.asks("/orders", 200).contains(&"breaker_open".to_owned()));
    assert_eq!(scene.ask("/orders"), "breaker_open");
}

#[test]
fn a_breaker_is_the_destinations_and_not_the_routes() {
    let patient = Patient::ill();
    let port = patient.origin.port();
    let other = "{breaker: {failures: 4, opens_for: 1h}}";
    let routes: [(&str, &[u16], &str); 4] =
        [("orders", &[port], THREE), ("bills", &[port], THREE), ("other", &[port], other), ("plain", &[port], "{}")];
    let scene = Scene::with(&routes, "");
    assert_eq!(scene.ask("/orders"), "503");
    assert_eq!(scene.asks("/bills", 3), ["503", "503", "breaker_open"]);
    assert_eq!(scene.ask("/orders"), "breaker_open");
    assert_eq!(
        scene.asks("/other", 5),
        ["503", "503", "503", "503", "breaker_open"],
        "another policy counts for itself"
    );
    assert_eq!(scene.asks("/plain", 3), ["503"; 3], "nobody asked for a breaker");
}

#[test]
fn it_stays_open_when_something_else_changes_and_begins_anew_when_its_policy_does() {
    let patient = Patient::ill();
    let port = patient.origin.port();
    let scene = Scene::one(&patient, THREE);
    scene.asks("/orders", 3);
    route(&scene.desk, "new", &[port], "{}");
    scene.desk.publish();
    scene.router.until_generation(2);
    assert_eq!((scene.ask("/orders"), patient.asked()), ("breaker_open".to_owned(), 3));
    route(&scene.desk, "orders", &[port], "{breaker: {failures: 2, opens_for: 1h}}");
    scene.desk.publish();
    scene.router.until_generation(3);
    assert_eq!(scene.asks("/orders", 3), ["503", "503", "breaker_open"]);
    assert_eq!(scene.opened(), 2.0, "the count goes on");
}

#[test]
fn what_is_tried_out_refuses_nobody_and_is_told() {
    let patient = Patient::ill();
    let scene = Scene::one(&patient, "{breaker: {failures: 3, opens_for: 1h, mode: shadow}}");
    assert_eq!(scene.asks("/orders", 8), ["503"; 8]);
    assert_eq!(patient.asked(), 8);
    let denied = || scene.router.access_log().into_iter().filter(|line| line["shadow_denied"] == "breaker:local");
    eventually("five lines", || (denied().count() == 5).then_some(()));
    let shadow = |name: &str| scene.router.metric(&format!("postern_{name},mode=\"shadow\"}}"));
    assert_eq!(shadow("destination_breaker_state{destination=\"local\""), 2.0);
    assert_eq!(shadow("destination_breaker_opened_total{destination=\"local\""), 1.0);
    let told =
        "postern_policy_decisions_total{layer=\"registration\",kind=\"breaker\",mode=\"shadow\",verdict=\"denied\"}";
    eventually("five of eight", || (scene.router.metric(told) == 5.0).then_some(()));
    assert_eq!(scene.state(), 0.0, "of what is insisted on there is none");
}

#[test]
fn an_override_holds_whatever_a_registration_says_and_a_default_where_it_says_nothing() {
    let patient = Patient::ill();
    let port = patient.origin.port();
    let layers = "overrides: {policies: {breaker: {failures: 2, opens_for: 1h}}}";
    let scene = Scene::with(&[("orders", &[port], "{breaker: {mode: 'off'}}")], layers);
    assert_eq!(scene.asks("/orders", 3), ["503", "503", "breaker_open"]);
    let layers = "defaults: {policies: {breaker: {failures: 2, opens_for: 1h}}}";
    let routes: [(&str, &[u16], &str); 2] = [("off", &[port], "{breaker: {mode: 'off'}}"), ("orders", &[port], "{}")];
    let scene = Scene::with(&routes, layers);
    assert_eq!(scene.asks("/off", 5), ["503"; 5]);
    assert_eq!(scene.asks("/orders", 3), ["503", "503", "breaker_open"]);
}

#[test]
fn explain_tells_what_opens_it_and_the_running_router_how_it_stands() {
    let patient = Patient::ill();
    let scene = Scene::one(&patient, SHORT);
    let words = "local: 3 failures within 10s that are 50% of all open it for 200ms";
    let file = scene.desk.path("out/merged.json").display().to_string();
    let told = run("postern-router", &["explain", &file, "GET https://api.example.com/orders"]);
    assert!(told.out.contains(&format!("{words}; the running router knows whether it is open")), "{}", told.out);
    assert_eq!(scene.explained("/orders"), (format!("{words}; closed now"), Value::Null));
    scene.asks("/orders", 3);
    scene.until_half_open();
    for _ in 0..3 {
        // To ask what would be is no trial.
        assert_eq!(
            scene.explained("/orders"),
            (format!("{words}; half-open now: the next request tries it"), Value::Null)
        );
    }
    route(&scene.desk, "orders", &[patient.origin.port()], THREE);
    scene.desk.publish();
    scene.router.until_generation(2);
    scene.asks("/orders", 3);
    let (told, reason) = scene.explained("/orders");
    assert!(told.contains("; open for another 3") && reason == "breaker_open", "{told} {reason}");
}

#[test]
fn sessions_and_their_streams_are_told_of_beside_connections() {
    let gate = Gate::closed();
    let held = Arc::clone(&gate);
    let origin = Http2Origin::start(move |_| {
        held.pass();
        Message::answer(200, "fine")
    });
    let more = boundary_with(&[origin.port()], "").replace("[127.0.0.0/8]", "[127.0.0.0/8], protocol: h2c");
    let desk = Desk::new();
    std::fs::write(desk.path("boundary.yaml"), more).unwrap();
    route(&desk, "orders", &[origin.port()], "{}");
    desk.publish();
    let router = Router::start(&desk.path("out/merged.json"), &[], &[("POSTERN_ROUTER_WORKERS", "1")]);
    router.until_ready();
    let told = |name: &str| router.metric(&format!("postern_destination_{name}{{destination=\"local\"}}"));
    let both = || (told("sessions"), told("streams"));
    std::thread::scope(|scope| {
        let asked = scope.spawn(|| router.get("/orders").status);
        eventually("a stream", || (both() == (1.0, 1.0)).then_some(()));
        gate.open();
        assert_eq!(asked.join().unwrap(), 200);
    });
    eventually("its end", || (both() == (1.0, 0.0)).then_some(()));
}

#[test]
fn a_client_that_goes_away_says_nothing_of_the_destination() {
    let patient = Patient::well();
    let scene = Scene::one(&patient, "{breaker: {failures: 1, ratio: 0%, opens_for: 1h}}");
    for _ in 0..3 {
        let mut stream = TcpStream::connect(scene.router.address()).unwrap();
        std::io::Write::write_all(
            &mut stream,
            b"POST /orders HTTP/1.1\r\nhost: api.example.com\r\ncontent-length: 9\r\n\r\nx",
        )
        .unwrap();
    }
    let gone = || scene.router.access_log().into_iter().filter(|line| line["reason"] == "client_closed").count();
    eventually("three that went away", || (gone() == 3).then_some(()));
    assert_eq!((scene.ask("/orders").as_str(), scene.state()), ("200", 0.0));
}
