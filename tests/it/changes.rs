//! What changed between generations: told in the words of routes, from files, numbers and what is live.

use std::path::PathBuf;

use postern_tests::{Router, Site, boundary_with, registration, run};
use serde_json::Value;

/// Documents on a disk, and what the syncer makes of them one pass at a time.
struct World {
    site: Site,
}

impl World {
    fn new() -> Self {
        let world = Self { site: Site::empty() };
        std::fs::create_dir(world.path("registrations")).unwrap();
        world.boundary("");
        world
    }

    fn path(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }

    fn boundary(&self, more: &str) {
        std::fs::write(self.path("boundary.yaml"), boundary_with(&[1, 2], more)).unwrap();
    }

    fn route(&self, name: &str, port: u16, more: &str) {
        let text = registration(&format!("/{name}"), port, more);
        std::fs::write(self.path(&format!("registrations/{name}.yaml")), text).unwrap();
    }

    fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(&format!("registrations/{name}.yaml"))).unwrap();
    }

    fn out(&self) -> String {
        self.path("out").display().to_string()
    }

    fn source_arguments(&self) -> [String; 4] {
        let text = |name: &str| self.path(name).display().to_string();
        ["--boundary".to_owned(), text("boundary.yaml"), "--registrations".to_owned(), text("registrations")]
    }

    /// One pass.
    fn publish(&self) {
        let (source, out) = (self.source_arguments(), self.out());
        let mut arguments = vec!["run", "--once", "--allow-loopback-destinations", "--out", &out];
        arguments.extend(source.iter().map(String::as_str));
        let done = run("postern-syncer", &arguments);
        assert_eq!(done.code, 0, "{done:?}");
    }

    fn told(&self, arguments: &[&str]) -> String {
        let done = run("postern-router", arguments);
        assert_eq!(done.code, 0, "{done:?}");
        done.out
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.told(&[arguments, &["--output", "json"]].concat())).unwrap()
    }
}

/// Three generations: a second route, then the first one led elsewhere and is open.
fn three_generations() -> World {
    let world = World::new();
    world.boundary("identity: {basic: [{name: ops, users: []}]}");
    world.route("orders", 1, "version: 1\npolicies: {authentication: {any_of: ['basic:ops']}}");
    world.publish();
    world.route("bills", 1, "version: 1");
    world.publish();
    world.route("orders", 2, "version: 2");
    world.publish();
    world
}

#[test]
fn two_generations_differ_in_the_words_of_routes() {
    let world = three_generations();
    let out = world.out();
    let told = world.told(&["diff", "--dir", &out, "1", "3"]);
    let expected = "+ added /bills#default (team)
~ changed /orders#default (team)
    retargeted: http://localhost:1 → http://localhost:2
    policies.authentication: {\"any_of\":[\"basic:ops\"]} → nothing  [weaker]
generation 1 → 3: 1 added, 1 changed, 0 removed, 0 refused, 0 as before, something became weaker
";
    assert_eq!(told, expected);
    let (file, same) = (format!("{out}/history/0000000001.json"), format!("{out}/merged.json"));
    assert_eq!(world.told(&["diff", &file, &same]), expected, "files are numbers");
    let json = world.json(&["diff", "--dir", &out, "1", "3"]);
    assert_eq!((&json["weaker"], &json["before"]["generation"]), (&true.into(), &1.into()));
    let aspects = json["changes"]["routes"][1]["aspects"].as_array().unwrap();
    assert_eq!((&aspects[1]["what"], &aspects[1]["weaker"]), (&"policies.authentication".into(), &"yes".into()));

    let strict = run("postern-router", &["diff", "--dir", &out, "1", "3", "--fail-on-weaker"]);
    assert_eq!(strict.code, 1);
    assert_eq!(run("postern-router", &["diff", "--dir", &out, "1", "2", "--fail-on-weaker"]).code, 0);
    let nothing = world.told(&["diff", "--dir", &out, "3", "3"]);
    assert_eq!(nothing, "generation 3 → 3: 0 added, 0 changed, 0 removed, 0 refused, 2 as before\n");
    let unknown = run("postern-router", &["diff", "--dir", &out, "1", "9"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("generation 9 is not in") && unknown.err.contains("postern-router history"));
}

#[test]
fn what_is_live_is_held_against_a_file() {
    let world = three_generations();
    let out = world.out();
    let router = Router::serve(&world.path("out/merged.json"));
    router.until_generation(3);
    world.remove("bills");
    world.publish();
    router.until_generation(4);
    let admin = router.admin_address().to_string();
    let told = world.told(&["diff", "--dir", &out, "--admin", &admin, "3", "live"]);
    assert!(told.starts_with("- removed /bills#default (team)\ngeneration 3 → 4:"), "{told}");
    drop(router);
    let gone = run("postern-router", &["diff", "--dir", &out, "--admin", &admin, "3", "live"]);
    assert!(gone.code == 2 && gone.err.contains("no router answers at"), "{gone:?}");
}

#[test]
fn the_history_tells_when_a_route_changed_and_from_which_version() {
    let world = three_generations();
    let out = world.out();
    let told = world.told(&["history", &out]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines[0].trim_start().starts_with("3  20") && lines[0].contains("0 added, 1 changed"), "{told}");
    assert!(lines[1].contains("1 added, 0 changed") && lines[2].ends_with("the oldest that is kept"), "{told}");

    let told = world.told(&["history", &out, "--route", "/orders#default"]);
    assert!(told.contains("~ changed /orders#default (team)") && told.contains("retargeted:"), "{told}");
    assert!(!told.contains("/bills") && told.contains("from ") && !told.contains("     2  20"), "{told}");
    let json = world.json(&["history", &out, "--route", "/orders#default"]);
    let [one] = json.as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!((&one["generation"], &one["changes"]["routes"][0]["version"]), (&3.into(), &2.into()));
    assert_eq!(world.json(&["history", &out, "--limit", "1"]).as_array().unwrap().len(), 1);

    // A file that somebody cut does not hide the others.
    std::fs::write(world.path("out/history/0000000002.json"), "{").unwrap();
    let done = run("postern-router", &["history", &out]);
    assert!(done.code == 0 && done.out.lines().count() == 2 && done.err.contains("0000000002.json"), "{done:?}");
    let none = run("postern-router", &["history", "/nowhere"]);
    assert!(none.code == 2 && none.err.contains("the directory that postern-syncer writes to"), "{none:?}");
}
