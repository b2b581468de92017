//! `why`: what a router remembers of a request that somebody asks about.

use postern_tests::{Origin, Output, Reply, Request, Router, Site, boundary_with, registration, run};
use serde_json::Value;

struct Scene {
    site: Site,
    origin: Origin,
}

impl Scene {
    fn new(origin: Origin) -> Self {
        let more = "identity: {basic: [{name: ops, users: []}]}";
        let closed = "policies: {authentication: {any_of: ['basic:ops']}}";
        let routes = [registration("/orders", origin.port(), ""), registration("/closed", origin.port(), closed)];
        Self { site: Site::new(&boundary_with(&[origin.port()], more), &routes), origin }
    }

    fn router(&self, flags: &[&str]) -> Router {
        let router = Router::start(&self.site.merged(), flags, &[]);
        router.until_ready();
        router
    }
}

fn why(routers: &[&Router], id: &str, more: &[&str]) -> Output {
    let admins: Vec<String> = routers.iter().map(|router| router.admin_address().to_string()).collect();
    let flags = admins.iter().flat_map(|admin| ["--admin", admin.as_str()]);
    run("postern-router", &["why", id].into_iter().chain(flags).chain(more.iter().copied()).collect::<Vec<_>>())
}

fn id_of(router: &Router, request: &Request) -> String {
    router.send(request).header("x-request-id").unwrap().to_owned()
}

#[test]
fn a_refusal_is_told_with_its_cause_and_what_to_do() {
    let scene = Scene::new(Origin::named("orders"));
    let router = scene.router(&[]);
    let request = Request::new("GET", "/closed/7?token=canary").header("x-secret", "canary");
    let id = id_of(&router, &request);
    let told = why(&[&router], &id, &[]);
    assert_eq!(told.code, 0, "{told:?}");
    for part in [
        "GET api.example.com/closed/7 → 401 credentials_missing",
        "  route        /closed#default of team",
        "  whose move   client",
        "  cause        ",
        "  do           ",
        "generation 1",
    ] {
        assert!(told.out.contains(part), "{part}: {}", told.out);
    }
    let json: Value = serde_json::from_str(&why(&[&router], &id, &["--output", "json"]).out).unwrap();
    assert_eq!(
        (&json[0]["request"]["reason"], &json[0]["request"]["request_id"]),
        (&"credentials_missing".into(), &id.clone().into())
    );
    assert_eq!(json[0]["reason"]["fault"], "client");
    let all = router.admin("/requests").text();
    assert!(all.contains(&id) && !all.contains("canary") && !told.out.contains("canary"), "{all}");
}

#[test]
fn what_a_destination_of_aws_refused_is_told_by_its_own_word_and_never_by_its_body() {
    let head =
        "HTTP/1.1 403 Forbidden\r\nx-amzn-ErrorType: MissingAuthenticationTokenException\r\ncontent-length: 6\r\n\r\n";
    let scene = Scene::new(Origin::start(move |_| Reply::Raw(format!("{head}canary").into_bytes())));
    let router = scene.router(&["--access-log", "off"]);
    let id = id_of(&router, &Request::new("GET", "/orders"));
    let told = why(&[&router], &id, &[]).out;
    assert!(told.starts_with("GET api.example.com/orders → 403 \n"), "{told}");
    assert!(
        told.contains("  its word     MissingAuthenticationTokenException\n") && !told.contains("canary"),
        "{told}"
    );
    assert!(told.contains("  destination  local, ") && told.contains("first byte "), "{told}");
}

#[test]
fn ordinary_requests_are_remembered_for_a_while_and_never_push_out_a_refused_one() {
    let scene = Scene::new(Origin::named("orders"));
    let router = scene.router(&["--workers", "1"]);
    let refused = id_of(&router, &Request::new("GET", "/nowhere"));
    let mut client = router.client();
    let mut ids = Vec::new();
    for _ in 0..1_500 {
        ids.push(client.send(&Request::new("GET", "/orders")).header("x-request-id").unwrap().to_owned());
    }
    assert_eq!(why(&[&router], ids.last().unwrap(), &[]).code, 0);
    let forgotten = why(&[&router], &ids[0], &[]);
    assert!(forgotten.code == 1 && forgotten.err.contains("too many came since"), "{forgotten:?}");
    assert_eq!(why(&[&router], &refused, &[]).code, 0);
    assert_eq!(scene.origin.received().len(), 1_500);
}

#[test]
fn the_tasks_are_asked_one_after_the_other() {
    let scene = Scene::new(Origin::named("orders"));
    let (one, other) = (scene.router(&[]), scene.router(&[]));
    let id = id_of(&other, &Request::new("GET", "/nowhere"));
    let told = why(&[&one, &other], &id, &[]);
    assert!(told.code == 0 && told.out.contains("404 route_not_found"), "{told:?}");
    assert_eq!(why(&[&one], &id, &[]).code, 1);
    drop(one);
    let nobody = run("postern-router", &["why", &id, "--admin", "127.0.0.1:1"]);
    assert!(nobody.code == 1 && nobody.err.contains("no router answers at 127.0.0.1:1"), "{nobody:?}");
    assert_eq!(run("postern-router", &["why", "a b"]).code, 2);
    assert_eq!(other.admin("/requests?nonsense=1").status, 400);
}
