//! Traces: what a collector gets of requests, what destinations are told of the trace, and whose word about it counts.

mod belief;
mod sinks;

use std::time::Duration;

use postern_tests::{
    Collector, Http2Origin, Message, Origin, Received, Reply, Request, Router, Site, boundary_with, eventually,
    over_http2, registration, websocket,
};

const PARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const AMZN: &str = "Root=1-67891233-abcdef012345678912345678;Parent=53995c3f42cd8ad8;Sampled=1";

const QUICK: (&str, &str) = ("POSTERN_ROUTER_SHUTDOWN__LAME_DUCK", "0s");
const ALL: (&str, &str) = ("POSTERN_ROUTER_TRACING__SAMPLED", "1.0");
const NONE: (&str, &str) = ("POSTERN_ROUTER_TRACING__SAMPLED", "0.0");
/// The tests come from where proxies in front would.
const PROXIES: (&str, &str) = ("POSTERN_ROUTER_TRUSTED_PROXIES", "[127.0.0.0/8]");

/// A destination and the way to it, with a collector or without.
struct Scene {
    origin: Origin,
    site: Site,
}

impl Scene {
    fn new() -> Self {
        Self::with(Origin::named("orders"), "")
    }

    fn with(origin: Origin, policies: &str) -> Self {
        let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/orders", origin.port(), policies)]);
        Self { origin, site }
    }

    fn router(&self, endpoint: &str, more: &[(&str, &str)]) -> Router {
        let protocol = ("POSTERN_ROUTER_TRACING__PROTOCOL", "grpc");
        let settings = [&[QUICK, protocol, ("POSTERN_ROUTER_TRACING__ENDPOINT", endpoint)], more].concat();
        let router = Router::start(&self.site.merged(), &[], &settings);
        router.until_ready();
        router
    }

    /// What the destination got of a request.
    fn arrived(&self, router: &Router, request: &Request) -> Received {
        router.passes(&self.origin, request)
    }
}

/// Trace, span and flags of a `traceparent` that arrived.
fn parts(received: &Received) -> [String; 3] {
    let all = received.all("traceparent");
    assert_eq!(all.len(), 1, "{received:?}");
    let words: Vec<String> = all[0].split('-').map(str::to_owned).collect();
    let lengths: Vec<usize> = words.iter().map(String::len).collect();
    assert!(words[0] == "00" && lengths == [2, 32, 16, 2], "{all:?}");
    [words[1].clone(), words[2].clone(), words[3].clone()]
}

fn get(headers: &[(&str, &str)]) -> Request {
    headers.iter().fold(Request::new("GET", "/orders/7?secret=1"), |request, (name, value)| request.header(name, value))
}

fn end(mut router: Router) {
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(20)).success());
}

#[test]
fn a_request_and_what_its_destination_was_asked_are_spans() {
    let scene = Scene::new();
    let authority = postern_tests::Authority::new("corporate");
    let ca = authority.write(scene.site.path(), "collectors.pem").display().to_string();
    let http = ("POSTERN_ROUTER_TRACING__PROTOCOL", "http");
    for (collector, more) in [
        (Collector::grpc(), vec![]),
        (Collector::grpc_secure(&authority), vec![("POSTERN_ROUTER_TRACING__CA_FILE", &*ca)]),
        (Collector::http(), vec![http]),
        (Collector::https(&authority), vec![http, ("POSTERN_ROUTER_TRACING__CA_FILE", &*ca)]),
    ] {
        let router = scene.router(collector.endpoint(), &[&more[..], &[ALL]].concat());
        let answer = router.send(&get(&[]));
        let [trace, caller, flags] = parts(&scene.origin.last());
        let spans = collector.of_request(answer.header("x-request-id").unwrap());
        let [request, attempt] = &spans[..] else { panic!("{spans:?}") };
        assert_eq!((&request.trace, &attempt.trace, flags.as_str()), (&trace, &trace, "03"));
        assert_eq!((&attempt.id, &attempt.parent, request.parent.as_str()), (&caller, &request.id, ""));
        assert_eq!((request.kind, attempt.kind, request.status, attempt.status), (2, 3, 0, 0));
        assert_eq!((request.flags, attempt.flags), (3, 3));
        assert_eq!((request.name.as_str(), attempt.name.as_str()), ("GET /orders#default", "GET"));
        for (name, value) in [
            ("http.request.method", "GET"),
            ("http.route", "/orders#default"),
            ("url.path", "/orders/7"),
            ("url.scheme", "http"),
            ("server.address", "api.example.com"),
            ("client.address", "127.0.0.1"),
            ("network.protocol.version", "1.1"),
            ("http.response.status_code", "200"),
            ("postern.owner", "team"),
            ("postern.generation", "1"),
            ("postern.destination", "local"),
        ] {
            assert_eq!(request.get(name), value, "{name}");
        }
        assert_eq!((attempt.get("server.address"), attempt.get("http.response.status_code")), ("localhost", "200"));
        assert_eq!(attempt.get("server.port"), scene.origin.port().to_string());
        let names: Vec<&str> = attempt.events.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["resolved", "connected", "request_sent", "first_byte"]);
        let times: Vec<u64> = attempt.events.iter().map(|(_, at)| *at).collect();
        assert!(times.is_sorted() && attempt.times.0 <= times[0] && times[3] <= attempt.times.1, "{attempt:?}");
        assert!(request.times.0 <= attempt.times.0 && attempt.times.1 <= request.times.1, "{spans:?}");
        assert_eq!(request.resource["service.name"], "postern-router");
        assert!(!collector.raw().contains("secret"));
        assert_eq!(router.logged(answer.header("x-request-id").unwrap())["trace_id"], *trace);
        // It is counted when the collector's answer is there.
        eventually("the count", || (router.metric("postern_traces_exported_total") == 1.0).then_some(()));
        end(router);
    }
}

#[test]
fn each_route_may_have_a_share_of_its_own() {
    let origin = Origin::named("orders");
    let share = |root: &str, share: &str| {
        registration(root, origin.port(), &format!("policies: {{telemetry: {{traces: {share}}}}}"))
    };
    let site = Site::new(
        &boundary_with(&[origin.port()], ""),
        &[share("/all", "100%"), share("/some", "50%"), share("/none", "0%"), registration("/", origin.port(), "")],
    );
    let scene = Scene { origin, site };
    let collector = Collector::grpc();
    let router = scene.router(collector.endpoint(), &[NONE]);
    let mut client = router.client();
    let mut sampled = |path: &str| {
        assert_eq!(client.send(&Request::new("GET", path)).status, 200);
        parts(&scene.origin.last())[2] == "03"
    };
    let mut count = |path: &str| (0..200).filter(|_| sampled(path)).count();
    assert_eq!((count("/none"), count("/all"), count("/")), (0, 200, 0));
    let some = count("/some");
    assert!((60..=140).contains(&some), "{some}");
    drop(client);
    end(router);
    let told = |route: &str| collector.spans().iter().filter(|span| span.get("http.route") == route).count();
    assert_eq!((told("/none#default"), told("/all#default"), told("/#default")), (0, 200, 0));
    assert_eq!(told("/some#default"), some, "what a destination is told is what becomes of it");
}

#[test]
fn what_goes_wrong_or_is_slow_is_kept_though_nobody_asked() {
    let origin = Origin::start(|received| match received.target.as_str() {
        "/orders/slow" => Reply::After(Duration::from_millis(300), Box::new(Reply::ok("late"))),
        "/orders/500" => Reply::Body(500, Vec::new()),
        "/orders/404" => Reply::Body(404, Vec::new()),
        "/orders/broken" => Reply::RawThenClose(b"HTTP/1.1 200 OK\r\ncontent-length: 99\r\n\r\nhalf".to_vec()),
        _ => Reply::ok("fine"),
    });
    let scene = Scene::with(origin, "policies: {body: {max: 10B}}");
    let collector = Collector::grpc();
    let router = scene.router(collector.endpoint(), &[NONE, ("POSTERN_ROUTER_TRACING__SLOW", "250ms")]);
    let send = |request: Request| {
        let answer = postern_tests::Client::connect(router.address()).try_send(&request);
        answer.map(|answer| answer.header("x-request-id").unwrap_or_default().to_owned()).unwrap_or_default()
    };
    let at = |path: &str| send(Request::new("GET", path));
    let (fine, not_found) = (at("/orders/fine"), at("/orders/404"));
    assert_eq!(parts(&scene.origin.last())[2], "02", "a destination is told that nobody asked");
    for (id, kept, reason, spans, status) in [
        (at("/orders/slow"), "slow", "", 2, 0),
        (at("/orders/500"), "failed", "", 2, 2),
        (at("/nowhere"), "failed", "route_not_found", 1, 0),
        (send(Request::new("POST", "/orders").body("x".repeat(20))), "failed", "body_too_large", 1, 0),
    ] {
        let found = collector.of_request(&id);
        let told = (found[0].get("postern.kept"), found[0].get("postern.reason"), found.len(), found[0].status);
        assert_eq!(told, (kept, reason, spans, status), "{found:?}");
        assert!(found.iter().all(|span| span.flags == 2), "{found:?}");
    }
    at("/orders/broken");
    let broken = eventually("the one that broke off", || {
        collector.spans().into_iter().find(|span| span.is_server() && span.get("url.path") == "/orders/broken")
    });
    assert_eq!((broken.status, broken.get("error.type").is_empty()), (2, false), "{broken:?}");
    // What is no request has no head; it is kept all the same.
    let mut odd = router.client();
    odd.write(b"GET / HTTP/9.9\r\n\r\n").unwrap();
    assert_eq!(odd.read(false).unwrap().status / 100, 5);
    end(router);
    let spans = collector.spans();
    assert!(spans.iter().any(|span| span.get("postern.reason") == "version_not_supported"), "{spans:?}");
    for unwanted in [fine, not_found] {
        assert!(!spans.iter().any(|span| span.get("postern.request_id") == unwanted));
    }
}

#[test]
fn without_a_collector_headers_about_traces_pass_as_they_came() {
    let scene = Scene::new();
    let router = Router::serve(&scene.site.merged());
    let given =
        [("TraceParent", "any,thing"), ("tracestate", "A=1"), ("X-Amzn-Trace-ID", "Root=x"), ("traceparent", PARENT)];
    let received = scene.arrived(&router, &get(&given));
    let about: Vec<(&str, &str)> = received
        .headers
        .iter()
        .filter(|(name, _)| name.to_ascii_lowercase().contains("trace"))
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(about, given);
    let plain = scene.arrived(&router, &get(&[]));
    assert!(plain.headers.iter().all(|(name, _)| !name.to_ascii_lowercase().contains("trace")), "{plain:?}");
    let answer = router.get("/orders");
    assert!(router.logged(answer.header("x-request-id").unwrap()).get("trace_id").is_none());
}

#[test]
fn requests_of_http_2_and_of_websockets_have_traces_as_well() {
    let (origin, pairs) = (Http2Origin::start(|_| Message::answer(200, "fine")), websocket::Pairs::start());
    let boundary = format!(
        "{}  - {{name: two, hosts: [localhost], schemes: [http], ports: [{}], addresses: [127.0.0.0/8], protocol: h2c}}\n",
        boundary_with(&[pairs.port()], ""),
        origin.port()
    );
    let site = Site::new(
        &boundary,
        &[
            registration("/two", origin.port(), ""),
            registration("/ws", pairs.port(), "policies: {websocket: true, telemetry: {traces: 0%}}"),
        ],
    );
    let scene = Scene { origin: Origin::named("nobody"), site };
    let collector = Collector::grpc();
    let router = scene.router(collector.endpoint(), &[ALL, ("POSTERN_ROUTER_TRACING__SLOW", "50ms")]);
    let request = Message::request("POST /two/a").header("traceparent", PARENT).body("x");
    let request = request.trailer("traceparent", PARENT).trailer("x-amzn-trace-id", AMZN).trailer("x-sum", "1");
    let answer = over_http2(router.address(), vec![request]).remove(0).unwrap();
    let id = answer.headers.get("x-request-id").unwrap().to_str().unwrap();
    let spans = collector.of_request(id);
    assert_eq!((spans.len(), spans[0].get("network.protocol.version")), (2, "2"), "{spans:?}");
    let received = origin.last();
    let told = format!("00-{}-{}-03", spans[0].trace, spans[1].id);
    assert_eq!(received.headers.get("traceparent").unwrap(), &*told);
    // What stands behind a body is no other way.
    let behind: Vec<&str> = received.trailers.keys().map(|name| name.as_str()).collect();
    assert_eq!(behind, ["x-sum"]);
    // A WebSocket is open for as long as it likes, and not slow for that.
    let mut pair = pairs.open(router.address(), "/ws");
    std::thread::sleep(Duration::from_millis(100));
    assert!(pair.is_alive());
    drop(pair);
    end(router);
    assert!(!collector.spans().iter().any(|span| span.get("url.path") == "/ws"), "{:?}", collector.spans());
}
