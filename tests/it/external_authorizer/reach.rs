//! Where an authorizer may be: what the boundary allows, and nowhere else.

use std::net::TcpListener;

use postern_config::merged::Digest;
use postern_tests::{Http2Origin, Message, Syncer, eventually, run};

use super::*;

/// A boundary with a destination for routes, and one for the authorizer with these members.
fn boundary(origin: u16, authorizer: u16, members: &str) -> String {
    format!(
        "apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com]
destinations:
  - {{name: local, hosts: [localhost], schemes: [http], ports: [{origin}], addresses: [127.0.0.0/8]}}
  - {{name: auth, hosts: [localhost], schemes: [http], ports: [{authorizer}], {members}}}
identity: {{external: [{{name: legacy, url: 'http://localhost:{authorizer}', {TOKEN}}}]}}
"
    )
}

/// A route that asks it, one that could ask it, and one that does not.
fn routes(port: u16) -> [String; 3] {
    [("/orders", "'external:legacy'"), ("/either", "none, 'external:legacy'"), ("/open", "none")]
        .map(|(root, ways)| registration(root, port, &format!("policies: {{authentication: {{any_of: [{ways}]}}}}")))
}

fn ask(router: &Router, path: &str) -> (u16, String) {
    outcome(&router.send(&Request::new("GET", path).header("authorization", "allow")))
}

#[test]
fn an_address_outside_of_its_networks_is_never_dialled() {
    let (origin, authorizer) = (Origin::named("orders"), Origin::start(blueprint));
    let outside = boundary(origin.port(), authorizer.port(), "addresses: [10.0.0.0/8]");
    let site = Site::new(&outside, &routes(origin.port()));
    let router = Router::serve(&site.merged());
    assert_eq!(ask(&router, "/orders"), refused(503, "authorizer_unavailable"));
    assert_eq!(ask(&router, "/either"), refused(503, "authorizer_unavailable"));
    assert_eq!((authorizer.connections(), origin.received().len()), (0, 0));
    assert_eq!(ask(&router, "/open"), passes());
}

#[test]
fn an_authorizer_may_speak_http_2() {
    let origin = Origin::named("orders");
    let authorizer = Http2Origin::start(|asked| {
        let event: Value = serde_json::from_slice(&asked.body).unwrap();
        let yes = event["authorizationToken"] == "allow";
        Message::answer(200, json!({"isAuthorized": yes}).to_string())
    });
    let spoken = "addresses: [127.0.0.0/8], protocol: h2c";
    let site = Site::new(&boundary(origin.port(), authorizer.port(), spoken), &routes(origin.port()));
    let router = Router::serve(&site.merged());
    assert_eq!(ask(&router, "/orders"), passes());
    let denied = router.send(&Request::new("GET", "/orders").header("authorization", "deny"));
    assert_eq!(outcome(&denied), refused(403, "authorizer_denied"));
}

#[test]
fn nobody_at_its_address_lets_nobody_pass() {
    let origin = Origin::named("orders");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let nobody = listener.local_addr().unwrap().port();
    drop(listener);
    let site = Site::new(&boundary(origin.port(), nobody, "addresses: [127.0.0.0/8]"), &routes(origin.port()));
    let router = Router::serve(&site.merged());
    assert_eq!(ask(&router, "/orders"), refused(503, "authorizer_unavailable"));
    assert_eq!(origin.received().len(), 0);
}

/// The merged file with one text replaced by another, and a digest that fits.
fn edited(site: &Site, from: &str, to: &str) -> Vec<u8> {
    let text = String::from_utf8(std::fs::read(site.merged()).unwrap()).unwrap();
    assert!(text.contains(from), "{text}");
    let text = text.replacen(from, to, 1);
    let body = &text[..text.rfind("\"digest\"").unwrap()];
    format!("{body}\"digest\": \"{}\"\n}}\n", Digest::of(body.as_bytes())).into_bytes()
}

#[test]
fn without_its_destination_or_with_a_field_that_is_not_known_its_routes_are_refused_and_never_open() {
    let (origin, authorizer) = (Origin::named("orders"), Origin::start(blueprint));
    let port = authorizer.port();
    let site = Site::new(&boundary(origin.port(), port, "addresses: [127.0.0.0/8]"), &routes(origin.port()));
    for (from, to) in [
        (format!("\"ports\": [{port}]"), "\"ports\": [1]".to_owned()),
        ("\"name\": \"auth\"".to_owned(), "\"name\": \"auth\", \"via\": \"proxy\"".to_owned()),
        ("\"speaks\": \"token\"".to_owned(), "\"speaks\": \"token\", \"pin\": \"x\"".to_owned()),
    ] {
        let changed = tempfile::tempdir().unwrap();
        let file = changed.path().join("merged.json");
        std::fs::write(&file, edited(&site, &from, &to)).unwrap();
        let router = Router::serve(&file);
        for path in ["/orders", "/either"] {
            assert_eq!(ask(&router, path), refused(404, "route_not_found"), "{to}");
        }
        assert_eq!(ask(&router, "/open"), passes());
        let aside = router.snapshot()["quarantined"].to_string();
        assert!(aside.contains("/orders#default") && aside.contains("legacy"), "{aside}");
    }
    assert_eq!(authorizer.connections(), 0);
}

#[test]
fn a_boundary_that_names_an_authorizer_outside_of_its_destinations_is_refused_with_the_place() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("boundary.yaml");
    let text = boundary(8_000, 8_001, "addresses: [127.0.0.0/8]").replace("ports: [8001]", "ports: [8002]");
    std::fs::write(&file, text).unwrap();
    let checked = run("postern-router", &["check", file.to_str().unwrap()]);
    let said = format!("{}{}", checked.out, checked.err);
    assert_eq!(checked.code, 1, "{said}");
    assert!(said.contains("/identity/external/0/url") && said.contains("list it in destinations"), "{said}");
}

#[test]
fn taking_an_authorizer_away_refuses_its_routes_and_taking_its_destination_alone_is_a_slip() {
    let (origin, authorizer) = (Origin::named("orders"), Origin::start(blueprint));
    let place = tempfile::tempdir().unwrap();
    let (file, registrations, out) =
        (place.path().join("boundary.yaml"), place.path().join("registrations"), place.path().join("out"));
    std::fs::create_dir(&registrations).unwrap();
    for (index, text) in routes(origin.port()).iter().enumerate() {
        std::fs::write(registrations.join(format!("{index}.yaml")), text).unwrap();
    }
    let full = boundary(origin.port(), authorizer.port(), "addresses: [127.0.0.0/8]");
    let write = |text: &str| postern_config::file::replace(&file, text.as_bytes(), 0o600).unwrap();
    write(&full);
    let syncer = Syncer::run(file.to_str().unwrap(), registrations.to_str().unwrap(), &out, &[]);
    eventually("a file", || out.join("merged.json").exists().then_some(()));
    let router = Router::serve(&out.join("merged.json"));
    assert_eq!(ask(&router, "/orders"), passes());

    let unreached: Vec<&str> = full.lines().filter(|line| !line.contains("name: auth")).collect();
    write(&unreached.join("\n"));
    eventually("the problem", || syncer.diagnostics().contains("/identity/external/0/url").then_some(()));
    assert_eq!(ask(&router, "/orders"), passes(), "what was known stays");

    let nowhere: Vec<&str> = unreached.iter().copied().filter(|line| !line.contains("name: local")).collect();
    write(&nowhere.join("\n").replace("destinations:", "destinations: []"));
    eventually("nothing to be reached", || (ask(&router, "/open") == refused(404, "route_not_found")).then_some(()));
    assert_eq!(ask(&router, "/orders"), refused(404, "route_not_found"));
    write(&full);
    eventually("all of it again", || (ask(&router, "/orders") == passes()).then_some(()));

    let without: Vec<&str> = unreached.into_iter().filter(|line| !line.starts_with("identity")).collect();
    write(&without.join("\n"));
    eventually("the route to be refused", || {
        (ask(&router, "/orders") == refused(404, "route_not_found")).then_some(())
    });
    assert_eq!(ask(&router, "/either"), refused(404, "route_not_found"));
    assert_eq!(ask(&router, "/open"), passes());
}
