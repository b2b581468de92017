//! What changed between generations: told in the words of routes, from files, numbers and what is live.

use std::io::Write as _;

use postern_tests::{Desk, Router, run};

#[test]
fn two_generations_differ_in_the_words_of_routes() {
    let desk = Desk::of_three_generations();
    let out = desk.out();
    let told = desk.told(&["diff", "--dir", &out, "1", "3"]);
    let expected = "+ added /bills#default (team)
~ changed /orders#default (team)
    retargeted: http://localhost:1 → http://localhost:2
    policies.authentication: {\"any_of\":[\"basic:ops\"]} → nothing  [weaker]
generation 1 → 3: 1 added, 1 changed, 0 removed, 0 refused, 0 as before, something became weaker
";
    assert_eq!(told, expected);
    let (file, same) = (format!("{out}/history/0000000001.json"), format!("{out}/merged.json"));
    assert_eq!(desk.told(&["diff", &file, &same]), expected, "files are numbers");
    let json = desk.json(&["diff", "--dir", &out, "1", "3"]);
    assert_eq!((&json["weaker"], &json["before"]["generation"]), (&true.into(), &1.into()));
    let aspects = json["changes"]["routes"][1]["aspects"].as_array().unwrap();
    assert_eq!((&aspects[1]["what"], &aspects[1]["weaker"]), (&"policies.authentication".into(), &"yes".into()));

    let strict = run("postern-router", &["diff", "--dir", &out, "1", "3", "--fail-on-weaker"]);
    assert_eq!(strict.code, 1);
    assert_eq!(run("postern-router", &["diff", "--dir", &out, "1", "2", "--fail-on-weaker"]).code, 0);
    let nothing = desk.told(&["diff", "--dir", &out, "3", "3"]);
    assert_eq!(nothing, "generation 3 → 3: 0 added, 0 changed, 0 removed, 0 refused, 2 as before\n");
    let unknown = run("postern-router", &["diff", "--dir", &out, "1", "9"]);
    assert_eq!(unknown.code, 2);
    assert!(unknown.err.contains("generation 9 is not in") && unknown.err.contains("postern-router history"));
}

#[test]
fn what_is_live_is_held_against_a_file() {
    let desk = Desk::of_three_generations();
    let out = desk.out();
    let router = Router::serve(&desk.path("out/merged.json"));
    router.until_generation(3);
    desk.remove("bills");
    desk.publish();
    router.until_generation(4);
    let admin = router.admin_address().to_string();
    let told = desk.told(&["diff", "--dir", &out, "--admin", &admin, "3", "live"]);
    assert!(told.starts_with("- removed /bills#default (team)\ngeneration 3 → 4:"), "{told}");
    drop(router);
    let gone = run("postern-router", &["diff", "--dir", &out, "--admin", &admin, "3", "live"]);
    assert!(gone.code == 2 && gone.err.contains("no router answers at"), "{gone:?}");
}

#[test]
fn the_history_tells_when_a_route_changed_and_from_which_version() {
    let desk = Desk::of_three_generations();
    let out = desk.out();
    let told = desk.told(&["history", &out]);
    let lines: Vec<&str> = told.lines().collect();
    assert_eq!(lines.len(), 3, "{told}");
    assert!(lines[0].trim_start().starts_with("3  20") && lines[0].contains("0 added, 1 changed"), "{told}");
    assert!(lines[1].contains("1 added, 0 changed") && lines[2].ends_with("the oldest that is kept"), "{told}");

    let told = desk.told(&["history", &out, "--route", "/orders#default"]);
    assert!(told.contains("~ changed /orders#default (team)") && told.contains("retargeted:"), "{told}");
    assert!(!told.contains("/bills") && told.contains("from ") && !told.contains("     2  20"), "{told}");
    let json = desk.json(&["history", &out, "--route", "/orders#default"]);
    let [one] = json.as_array().unwrap().as_slice() else { panic!("{json}") };
    assert_eq!((&one["generation"], &one["changes"]["routes"][0]["version"]), (&3.into(), &2.into()));
    assert_eq!(desk.json(&["history", &out, "--limit", "1"]).as_array().unwrap().len(), 1);

    // A file that somebody cut does not hide the others.
    std::fs::write(desk.path("out/history/0000000002.json"), "{").unwrap();
    let done = run("postern-router", &["history", &out]);
    assert!(done.code == 0 && done.out.lines().count() == 2 && done.err.contains("0000000002.json"), "{done:?}");
    let none = run("postern-router", &["history", "/nowhere"]);
    assert!(none.code == 2 && none.err.contains("the directory that postern-syncer writes to"), "{none:?}");
}

#[test]
fn a_plan_tells_how_many_requests_of_a_log_it_would_touch() {
    let desk = Desk::of_three_generations();
    let log = desk.path("access.log").display().to_string();
    {
        let mut router = Router::start(&desk.path("out/merged.json"), &["--access-log", &log], &[]);
        router.until_generation(3);
        for path in ["/orders/1", "/orders/2", "/bills", "/nowhere", "/orders/../x"] {
            router.get(path);
        }
        router.signal("TERM");
        router.wait(std::time::Duration::from_secs(30));
    }
    std::fs::OpenOptions::new().append(true).open(&log).map(|mut log| writeln!(log, "not a line")).unwrap().unwrap();

    desk.route("orders", 1, "version: 3");
    desk.remove("bills");
    desk.route("nowhere", 1, "version: 1");
    let next = desk.path("next.json").display().to_string();
    let plan = desk.plan("boundary.yaml", &["--write", &next]);
    assert!(plan.code == 0 && plan.out.contains("generation 4 would be written"), "{plan:?}");
    let out = desk.out();
    let told = desk.told(&["diff", "--dir", &out, "3", &next, "--access-log", &log]);
    for part in [
        "+ added /nowhere#default",
        "of 5 requests 1 would be refused that are not, 2 would lead elsewhere, 1 would be answered that are not",
        "2 × /orders#default to localhost:2 → /orders#default to localhost:1, e.g. GET https://api.example.com/orders/",
        "1 × /bills#default to localhost:1 → refused: route_not_found, e.g. GET https://api.example.com/bills",
        "1 × refused: route_not_found → /nowhere#default to localhost:1",
        "1 lines are no requests of an access log",
    ] {
        assert!(told.contains(part), "{part}\n{told}");
    }
    let json = desk.json(&["diff", "--dir", &out, "3", &next, "--access-log", &log]);
    assert_eq!((&json["requests"]["elsewhere"], &json["requests"]["changes"][0]["count"]), (&2.into(), &2.into()));

    // What routers serve is never written over by a plan.
    let live = desk.path("out/merged.json");
    let before = std::fs::read(&live).unwrap();
    let refused = desk.plan("boundary.yaml", &["--write", &live.display().to_string()]);
    assert!(refused.code == 2 && refused.err.contains("choose another place"), "{refused:?}");
    assert_eq!(std::fs::read(&live).unwrap(), before);
}
