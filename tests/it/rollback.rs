//! Going back: routes of an earlier generation are served again and stay, until somebody lets them go.

use postern_tests::{Desk, Origin, Router, Syncer, boundary_with, eventually, registration, run};

/// Two services, a desk where both are registered under one root after the other, and what runs.
struct World {
    desk: Desk,
    old: Origin,
    new: Origin,
}

impl World {
    /// Generation 1 leads to the old service, generation 2 to the new one.
    fn start() -> (Self, Syncer, Router) {
        let world = Self { desk: Desk::new(), old: Origin::named("old"), new: Origin::named("new") };
        world.boundary(&[world.old.port(), world.new.port()]);
        world.route("orders", world.old.port(), 1);
        let syncer = world.desk.syncer();
        let router = Router::serve(&world.desk.path("out/merged.json"));
        router.until_generation(1);
        world.route("orders", world.new.port(), 2);
        router.until_generation(2);
        assert_eq!(served(&router, "/orders"), "new");
        (world, syncer, router)
    }

    fn boundary(&self, ports: &[u16]) {
        std::fs::write(self.desk.path("boundary.yaml"), boundary_with(ports, "")).unwrap();
    }

    fn route(&self, name: &str, port: u16, version: u64) {
        let text = registration(&format!("/{name}"), port, &format!("version: {version}"));
        std::fs::write(self.desk.path(&format!("registrations/{name}.yaml")), text).unwrap();
    }
}

/// Which service answers there, or with which status the router does.
fn served(router: &Router, path: &str) -> String {
    let answer = router.get(path);
    if answer.status != 200 {
        return answer.status.to_string();
    }
    answer.text().split(' ').next().unwrap_or_default().to_owned()
}

/// Tells the running syncer something that it does.
fn order(syncer: &Syncer, words: &[&str]) -> String {
    let admin = syncer.admin_address().to_string();
    let done = run("postern-syncer", &[words, &["--admin", &admin]].concat());
    assert_eq!(done.code, 0, "{done:?}");
    done.out
}

fn conditions(syncer: &Syncer) -> serde_json::Value {
    serde_json::from_str(&syncer.admin("/conditions").text()).unwrap()
}

#[test]
fn an_earlier_generation_is_served_again_and_stays_until_it_is_released() {
    let (world, syncer, router) = World::start();
    let told = order(&syncer, &["rollback", "1"]);
    assert!(told.starts_with("generation 3 has the routes of 1 and stays"), "{told}");
    router.until_generation(3);
    assert_eq!(served(&router, "/orders"), "old");
    assert_eq!(router.snapshot()["sources"]["pinned"]["generation"], 1);
    assert_eq!(conditions(&syncer)["pinned"]["generation"], 1);
    assert!(syncer.admin("/metrics").text().contains("_pinned_generation 1\n"));

    // What pipelines register meanwhile waits, and a plan says so.
    world.route("orders", world.new.port(), 3);
    world.route("bills", world.new.port(), 1);
    let plan = world.desk.plan(&[]).out;
    assert!(plan.contains("generation 1 is pinned since") && plan.contains("+ added /bills#default"), "{plan}");
    let seen = conditions(&syncer)["sources"]["registrations"]["last_success"].clone();
    eventually("the registrations to be read again", || {
        (conditions(&syncer)["sources"]["registrations"]["last_success"] != seen).then_some(())
    });
    assert_eq!((served(&router, "/orders"), served(&router, "/bills")), ("old".to_owned(), "404".to_owned()));

    let told = order(&syncer, &["release"]);
    assert!(told.contains("generation 1 is not pinned any more"), "{told}");
    router.until_generation(4);
    assert_eq!((served(&router, "/orders"), served(&router, "/bills")), ("new".to_owned(), "new".to_owned()));
    assert!(router.snapshot()["sources"].get("pinned").is_none());
    eventually("the release to be over", || conditions(&syncer)["pinned"].is_null().then_some(()));
    assert_eq!(order(&syncer, &["release"]).trim(), "nothing was held");
}

#[test]
fn what_the_boundary_does_not_allow_any_more_does_not_come_back() {
    let (world, syncer, router) = World::start();
    world.boundary(&[world.new.port()]);
    router.until_generation(3);
    order(&syncer, &["rollback", "1"]);
    router.until_generation(4);
    assert_eq!(router.get("/orders").status, 404, "its destination is gone");
    assert_eq!(world.old.received().len(), 0);

    // And when it allows it again, the pinned route is back: it was never another one's.
    world.boundary(&[world.old.port(), world.new.port()]);
    router.until_generation(5);
    assert_eq!(served(&router, "/orders"), "old");
}

#[test]
fn a_pin_outlives_the_syncer() {
    let (world, mut syncer, router) = World::start();
    let told = order(&syncer, &["pin"]);
    assert!(told.starts_with("pinned, said in generation 3"), "{told}");
    router.until_generation(3);
    syncer.signal("KILL");
    syncer.wait(std::time::Duration::from_secs(10));
    world.route("bills", world.old.port(), 1);
    let syncer = world.desk.syncer();
    eventually("a pass", || conditions(&syncer)["sources"]["registrations"]["last_success"].is_string().then_some(()));
    assert_eq!(conditions(&syncer)["pinned"]["generation"], 2);
    assert_eq!((served(&router, "/orders"), served(&router, "/bills")), ("new".to_owned(), "404".to_owned()));
    order(&syncer, &["release"]);
    router.until_generation(4);
    assert_eq!(served(&router, "/bills"), "old");
}

#[test]
fn a_generation_that_is_not_there_changes_nothing_and_says_why() {
    let (world, syncer, router) = World::start();
    std::fs::write(world.desk.path("out/history/0000000001.json"), "{").unwrap();
    let admin = syncer.admin_address().to_string();
    for (number, why) in [("9", "generation 9 is not kept"), ("1", "generation 1: ")] {
        let done = run("postern-syncer", &["rollback", number, "--admin", &admin]);
        assert!(done.code == 1 && done.err.contains(why), "{done:?}");
    }
    assert!(conditions(&syncer)["pinned"].is_null());
    assert_eq!((router.snapshot()["generation"].clone(), served(&router, "/orders")), (2.into(), "new".to_owned()));
    for (method, target, status) in [("GET", "/rollback?generation=1", 405), ("POST", "/rollback?generation=x", 400)] {
        let request = postern_tests::Request::to_host(method, "admin", target);
        assert_eq!(postern_tests::Client::connect(syncer.admin_address()).send(&request).status, status, "{target}");
    }
    let from_a_page =
        postern_tests::Request::to_host("POST", "admin", "/pin").header("origin", "https://evil.example.com");
    assert_eq!(postern_tests::Client::connect(syncer.admin_address()).send(&from_a_page).status, 403);
}
