//! The questions of somebody who was woken up, each with the command that answers it and the words of the answer.

use std::time::Duration;

use postern_tests::{Authority, Desk, Origin, Reply, Request, Router, Syncer, TlsOrigin, Validity, eventually, run};
use serde_json::Value;

/// A running place with something of everything: open and closed routes, a refused one, a broken destination.
struct Place {
    desk: Desk,
    origin: Origin,
    _expired: TlsOrigin,
    syncer: Syncer,
    router: Router,
}

impl Place {
    fn start() -> Self {
        let desk = Desk::new();
        let authority = Authority::new("Tests");
        let expired = TlsOrigin::start(&authority.sign(&["localhost"], Validity::Over));
        let origin = Origin::start(|received| match received.target.as_str() {
            "/orders/slow" => Reply::After(Duration::from_millis(1_100), Box::new(Reply::ok("late"))),
            _ => Reply::ok("fine"),
        });
        let roots = authority.write(&desk.path("."), "roots.pem");
        let boundary = format!(
            "apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com]
destinations:
  - {{name: orders, hosts: [localhost], schemes: [http], ports: [{}], addresses: [127.0.0.0/8]}}
  - {{name: bills, hosts: [localhost], ports: [{}], addresses: [127.0.0.0/8], tls: {{roots: {{pem_file: {}}}}}}}
identity: {{basic: [{{name: ops, users: [{{name: alice, hash: '$2b$04$abcdefghijklmnopqrstuujydOTSfIH/d5oUHpsygqV5X9xJLQc6e'}}]}}]}}
",
            origin.port(),
            expired.origin().port(),
            roots.display()
        );
        std::fs::write(desk.path("boundary.yaml"), boundary).unwrap();
        let place =
            |name: &str, text: String| std::fs::write(desk.path(&format!("registrations/{name}.yaml")), text).unwrap();
        let to = |scheme: &str, port: u16| format!("destination: {{url: '{scheme}://localhost:{port}'}}");
        let http = to("http", origin.port());
        place("orders", format!("root: /orders\nowner: team-orders\nversion: 1\n{http}"));
        place(
            "one",
            format!("root: /orders\nname: one\nowner: team-orders\nmatch: {{path: '/orders/{{id}}/items'}}\n{http}"),
        );
        place(
            "vault",
            format!(
                "root: /vault\nowner: team-vault\npolicies: {{authentication: {{any_of: ['basic:ops']}}, authorization: {{deny: [127.0.0.0/8]}}}}\n{http}"
            ),
        );
        place("bills", format!("root: /bills\nowner: team-bills\n{}", to("https", expired.origin().port())));
        place("pay", format!("root: /pay\nowner: team-pay\n{}", to("https", 9)));
        let syncer = desk.syncer();
        let router = Router::serve(&desk.path("out/merged.json"));
        router.until_generation(1);
        Self { desk, origin, _expired: expired, syncer, router }
    }

    /// What a command of the router says, whatever its exit code.
    fn router(&self, words: &[&str]) -> String {
        let admin = self.router.admin_address().to_string();
        let (out, merged) = (self.desk.out(), self.desk.path("out/merged.json").display().to_string());
        let words: Vec<&str> = words
            .iter()
            .map(|word| match *word {
                "ADMIN" => admin.as_str(),
                "DIR" => out.as_str(),
                "FILE" => merged.as_str(),
                word => word,
            })
            .collect();
        let done = run("postern-router", &words);
        format!("{}{}", done.out, done.err)
    }

    /// What is told of a request that was just sent.
    fn why(&self, request: &Request) -> String {
        let answer = self.router.send(request);
        self.router(&["why", answer.header("x-request-id").unwrap(), "--admin", "ADMIN"])
    }

    fn conditions(&self) -> Value {
        serde_json::from_str(&self.syncer.admin("/conditions").text()).unwrap()
    }
}

#[track_caller]
fn says(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.contains(word), "\"{word}\" is missing in:\n{told}");
    }
}

#[test]
fn why_this_answer() {
    let place = Place::start();
    // Why 403?
    let vault = Request::new("GET", "/vault").header("authorization", "Basic YWxpY2U6Y29ycmVjdCBob3JzZQ==");
    says(&place.why(&vault), &["→ 403 address_denied", "/vault#default of team-vault", "alice by basic:ops", "do  "]);
    // Why 404?
    says(&place.why(&Request::new("GET", "/order/7")), &["→ 404 route_not_found", "cause  ", "whose move   client"]);
    // Why 502? An expired certificate.
    let told = place.why(&Request::new("GET", "/bills"));
    says(
        &told,
        &["→ 502 tls_expired", "/bills#default of team-bills", "whose move   destination", "expired, or not valid yet"],
    );
    // Who owns this path, and which of two routes won?
    let told = place.router(&["explain", "FILE", "GET https://api.example.com/orders/7/items"]);
    says(
        &told,
        &[
            "/orders#one answers, of team-orders",
            "/orders#default would as well, and comes after it: the path is less specific",
        ],
    );
    // What did request X meet?
    let told = place.why(&Request::new("GET", "/orders/7"));
    says(&told, &["→ 200", "/orders#default of team-orders", "orders, ", "first byte ", "generation 1"]);
    // What is slow, and what is failing?
    place.router.get("/orders/slow");
    let told = place.router(&["why", "--admin", "ADMIN"]);
    let slow = told.lines().find(|line| line.contains("/orders/slow")).unwrap_or_else(|| panic!("{told}"));
    says(slow, &["  200 ", "/orders#default"]);
    says(&told, &["502 tls_expired", "403 address_denied", "/bills#default"]);
    says(&place.router.admin("/metrics").text(), &["reason=\"tls_expired\",fault=\"destination\"} 1"]);
    assert_eq!(place.origin.received().len(), 2);
}

#[test]
fn what_is_served_and_what_changed() {
    let place = Place::start();
    // Which routes lack authentication?
    let told = place.router(&["routes", "FILE", "--open"]);
    says(&told, &["/orders#default", "team-bills", "/bills#default"]);
    assert!(!told.contains("/vault") && !told.contains("/pay"), "{told}");
    says(
        &place.router(&["routes", "FILE", "--owner", "team-pay", "--refused"]),
        &["/pay#default", "refused", "DestinationNotAllowed at /destination/url"],
    );
    says(
        &place.router(&["routes", "FILE", "--destination", "bills", "--output", "json"]),
        &["\"/bills#default\"", "\"open\": true"],
    );
    // When did this route change, from which version, and what was served before?
    let text = std::fs::read_to_string(place.desk.path("registrations/orders.yaml")).unwrap();
    std::thread::sleep(Duration::from_millis(1_100));
    let changed = text.replace("version: 1", "version: 2\npolicies: {body: {max: 1KiB}}");
    std::fs::write(place.desk.path("registrations/orders.yaml"), changed).unwrap();
    place.router.until_generation(2);
    let told = place.router(&["history", "DIR", "--route", "/orders#default"]);
    says(
        &told,
        &["     2  20", "~ changed /orders#default (team-orders)", "policies.body: nothing → {\"max\":\"1KiB\"}"],
    );
    let generations: Value = serde_json::from_str(&place.router(&["history", "DIR", "--output", "json"])).unwrap();
    let first = generations[1]["written_at"].as_str().unwrap();
    let then: Value =
        serde_json::from_str(&place.router(&["history", "DIR", "--at", first, "--output", "json"])).unwrap();
    assert_eq!((then.as_array().unwrap().len(), &then[0]["generation"]), (1, &1.into()), "what was served then");
    // What would this boundary change cut?
    let boundary = std::fs::read_to_string(place.desk.path("boundary.yaml")).unwrap();
    let cut: String =
        boundary.lines().filter(|line| !line.contains("name: bills")).map(|line| format!("{line}\n")).collect();
    std::fs::write(place.desk.path("boundary.yaml.new"), &cut).unwrap();
    let plan = place.desk.plan("boundary.yaml.new", &[]);
    says(
        &format!("{}{}", plan.out, plan.err),
        &["destinations.bills: removed", "/bills#default (team-bills): its route ends"],
    );
}

#[test]
fn whether_all_tasks_are_up_to_date_and_what_is_held_or_stale() {
    let place = Place::start();
    // Is every task up to date?
    let programmed = || {
        let conditions = place.conditions();
        let all = conditions["registrations"].as_array().unwrap().clone();
        let orders = all.into_iter().find(|one| one["id"] == "/orders#default")?;
        orders["conditions"].as_array()?.iter().find(|one| one["type"] == "Programmed").cloned()
    };
    // This syncer asks no router of the test's, and says so.
    eventually("an answer about the routers", || (programmed()?["status"] != "True").then_some(()));
    let other = Router::serve(&place.desk.path("out/merged.json"));
    other.until_generation(1);
    let (one, two) = (place.router.admin_address().to_string(), other.admin_address().to_string());
    let asked = ["status", "--admin", &one, "--admin", &two];
    let done = run("postern-router", &asked);
    assert_eq!(done.code, 0, "{done:?}");
    says(&done.out, &[&one, &two, "generation 1 since 20", "4 routes (0 stale), 1 refused; agreed with the stores "]);
    // One stands still while the file goes on.
    other.signal("STOP");
    std::fs::remove_file(place.desk.path("registrations/one.yaml")).unwrap();
    place.router.until_generation(2);
    let done = run("postern-router", &asked);
    assert_eq!(done.code, 1);
    says(&done.out, &["generation 2 since", "! does not answer"]);
    other.signal("CONT");
    other.until_generation(2);
    // Is the configuration stale?
    let done = run("postern-router", &["status", "--admin", &one, "--stale-after", "1ms"]);
    assert_eq!(done.code, 1);
    says(&done.out, &["! stale: the stores were last seen to agree with it"]);
    // What is held? All routes vanish at once.
    for name in ["orders", "vault", "bills"] {
        std::fs::remove_file(place.desk.path(&format!("registrations/{name}.yaml"))).unwrap();
    }
    let held = eventually("the guard to hold", || Some(place.conditions()["held"].clone()).filter(Value::is_object));
    assert_eq!(held["routes"], 3, "{held}");
    let told = run("postern-router", &["status", "--admin", &one]);
    says(&told.out, &["3 routes"]);
    // A file that somebody broke is said to lie there.
    // The syncer would mend it at once.
    place.syncer.signal("STOP");
    std::fs::write(place.desk.path("out/merged.json"), "{").unwrap();
    eventually("the router to refuse it", || {
        let done = run("postern-router", &["status", "--admin", &one]);
        done.out.contains("the file that lies there is not served").then_some(())
    });
}
