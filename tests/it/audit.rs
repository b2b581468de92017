//! The audit log says what was configured and decided, and nobody can change a line of it unseen.

use std::path::{Path, PathBuf};
use std::time::Duration;

use postern_tests::{
    Origin, Output, Request, Router, Signer, Site, boundary_with, eventually, registration, run_in, seconds_from_now,
};
use serde_json::{Value, json};

const ISSUER: &str = "https://login.example.com/";
const CANARY: &str = "canary-7f3a";

fn boundary(origin: &Origin, signer: &Signer) -> String {
    let issuer = format!(
        "identity: {{jwt: [{{name: corp, issuer: '{ISSUER}', audiences: [api], jwks: {}}}]}}",
        json!({"keys": [signer.jwk()]})
    );
    boundary_with(&[origin.port()], &issuer)
}

fn orders(origin: &Origin, more: &str) -> String {
    registration("/orders", origin.port(), &format!("policies: {{authentication: {{any_of: ['jwt:corp']}}{more}}}"))
}

fn router(site: &Site, log: &Path, more: &[(&str, &str)]) -> Router {
    let settings = [&[("POSTERN_ROUTER_AUDIT__DIRECTORY", log.to_str().unwrap())], more].concat();
    let router = Router::start(&site.merged(), &[], &settings);
    router.until_ready();
    router
}

/// A router that has ended has written everything.
fn end(mut router: Router) {
    router.signal("TERM");
    assert!(router.wait(Duration::from_secs(20)).success());
}

const QUICK: (&str, &str) = ("POSTERN_ROUTER_SHUTDOWN__LAME_DUCK", "0s");

fn files(log: &Path) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = std::fs::read_dir(log).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

fn lines(log: &Path) -> Vec<Value> {
    let text: String = files(log).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of_kind(log: &Path, kind: &str) -> Vec<Value> {
    lines(log).into_iter().filter(|line| line["kind"] == kind).collect()
}

fn verify(log: &Path, environment: &[(&str, &str)]) -> Output {
    run_in("postern-router", &["audit", "verify", log.to_str().unwrap()], environment)
}

#[test]
fn every_denial_is_noted_with_who_and_why_and_nothing_that_is_secret() {
    let (origin, signer) = (Origin::named("orders"), Signer::ec());
    let site = Site::new(
        &boundary(&origin, &signer),
        &[orders(&origin, ", authorization: {scopes: [write]}"), registration("/open", origin.port(), "")],
    );
    let log = site.path().join("audit");
    let router = router(&site, &log, &[QUICK]);
    let claims = json!({"iss": ISSUER, "aud": "api", "sub": "carol", "exp": seconds_from_now(600), "scope": "read"});
    let token = signer.token(&claims);
    // Over one connection, so that one core notes all in order.
    let mut client = router.client();
    let mut ask =
        |target: &str, header: (&str, &str)| client.send(&Request::new("GET", target).header(header.0, header.1));
    assert_eq!(ask("/open", ("x-secret", CANARY)).status, 200);
    assert_eq!(ask(&format!("/orders?password={CANARY}"), ("x-secret", CANARY)).status, 401);
    assert_eq!(ask("/orders", ("authorization", &format!("Bearer {CANARY}"))).status, 401);
    assert_eq!(ask("/orders/7", ("authorization", &format!("Bearer {token}"))).status, 403);
    assert_eq!(ask("/nowhere", ("x-secret", CANARY)).status, 404);
    drop(client);
    end(router);

    let decisions = of_kind(&log, "decision");
    let told: Vec<_> =
        decisions.iter().map(|line| (line["decision"].as_str().unwrap(), line["reason"].as_str().unwrap())).collect();
    let denied = ["credentials_missing", "token_invalid", "scope_missing", "route_not_found"];
    assert_eq!(told, denied.map(|reason| ("denied", reason)));
    let forbidden = &decisions[2];
    for (field, value) in [
        ("principal", json!("carol")),
        ("authenticated_by", json!("jwt:corp")),
        ("route", json!("/orders#default")),
        ("method", json!("GET")),
        ("path", json!("/orders/7")),
        ("host", json!("api.example.com")),
        ("client", json!("127.0.0.1")),
        ("generation", json!(1)),
    ] {
        assert_eq!(forbidden[field], value, "{field} in {forbidden}");
    }
    assert!(forbidden["request_id"].is_string() && forbidden["time"].is_string());
    let whole: String = files(&log).iter().map(|file| std::fs::read_to_string(file).unwrap()).collect();
    let signature = token.rsplit('.').next().unwrap();
    assert!(!whole.contains(CANARY) && !whole.contains(signature), "{whole}");
    assert_eq!(verify(&log, &[]).code, 0);
}

#[test]
fn what_was_allowed_is_noted_as_often_as_is_asked_for() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    for (share, expected) in [("0.0", 0..=0), ("0.5", 60..=140), ("1.0", 200..=200)] {
        let log = site.path().join(format!("audit-{share}"));
        let router = router(&site, &log, &[QUICK, ("POSTERN_ROUTER_AUDIT__ALLOWED", share)]);
        let mut client = router.client();
        for _ in 0..200 {
            assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
        }
        drop(client);
        end(router);
        let noted = of_kind(&log, "decision");
        assert!(expected.contains(&noted.len()), "{share}: {} of 200", noted.len());
        assert!(noted.iter().all(|line| line["decision"] == "allowed" && line["principal"] == "anonymous"));
    }
}

#[test]
fn every_generation_is_noted_with_its_sources_and_what_it_changes() {
    let (origin, signer) = (Origin::named("orders"), Signer::ec());
    let open = |root: &str, more: &str| registration(root, origin.port(), more);
    let mut site = Site::new(&boundary(&origin, &signer), &[orders(&origin, ""), open("/a", ""), open("/b", "")]);
    let log = site.path().join("audit");
    let router = router(&site, &log, &[QUICK]);
    site.publish(
        &boundary(&origin, &signer),
        &[orders(&origin, ""), open("/a", "rewrite: {prefix: /v1}"), open("/c", "")],
    );
    router.until_generation(2);
    site.publish(
        &boundary(&origin, &Signer::ec()),
        &[orders(&origin, ""), open("/a", "rewrite: {prefix: /v1}"), open("/c", "")],
    );
    router.until_generation(3);
    std::fs::write(site.merged(), "{}").unwrap();
    eventually("the refused file to be noted", || (!of_kind(&log, "configuration_refused").is_empty()).then_some(()));
    end(router);

    let generations = of_kind(&log, "configuration");
    assert_eq!(generations.len(), 3);
    assert_eq!((&generations[0]["generation"], &generations[0]["routes"]), (&json!(1), &json!(3)));
    assert!(generations[0]["sources"]["boundary"]["uri"].is_string() && generations[0].get("changes").is_none());
    let changes = &generations[1]["changes"];
    let ids = |kind: &str| changes[kind].as_array().unwrap().iter().map(|one| one["id"].clone()).collect::<Vec<_>>();
    assert_eq!(
        (ids("added"), ids("removed"), ids("changed")),
        (vec![json!("/c#default")], vec![json!("/b#default")], vec![json!("/a#default")])
    );
    assert_eq!(changes["changed"][0]["fields"], json!(["rewrite"]));
    assert!(changes["added"][0]["owner"].is_string() && changes["added"][0]["version"].is_number());
    assert_eq!(
        (&generations[2]["previous_generation"], &generations[2]["changes"]),
        (&json!(2), &json!({"boundary": ["identity"]}))
    );
    assert_eq!(verify(&log, &[]).code, 0);
}

#[test]
fn a_line_that_was_changed_taken_out_or_put_in_is_named() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let log = site.path().join("audit");
    let settings = [QUICK, ("POSTERN_ROUTER_AUDIT__ALLOWED", "1"), ("POSTERN_ROUTER_AUDIT__MAX_FILE", "64KiB")];
    // The chain goes on over files, and over restarts.
    for _ in 0..2 {
        let router = router(&site, &log, &settings);
        let mut client = router.client();
        for _ in 0..200 {
            client.send(&Request::new("GET", "/"));
        }
        drop(client);
        end(router);
    }
    let written = files(&log);
    assert!(written.len() > 2, "{written:?}");
    let whole = verify(&log, &[]);
    let count = lines(&log).len();
    assert!(
        count > 400 && whole.code == 0 && whole.out.contains(&format!("{count} lines in {} files", written.len())),
        "{whole:?}"
    );
    assert!(whole.out.starts_with("whole from the first line on"), "{}", whole.out);

    let second = std::fs::read_to_string(&written[1]).unwrap();
    let rows: Vec<&str> = second.lines().collect();
    let touched = |name: &str, rows: Vec<String>, place: &str| {
        std::fs::write(&written[1], rows.join("\n") + "\n").unwrap();
        let found = verify(&log, &[]);
        let named = format!("{}:{place}: ", written[1].display());
        assert!(found.code == 1 && found.err.contains(&named), "{name}: {} in {}", named, found.err);
    };
    let owned = || rows.iter().map(|row| (*row).to_owned()).collect::<Vec<String>>();
    let mut changed = owned();
    changed[6] = changed[6].replace("anonymous", "administrator");
    touched("changed", changed, "7");
    let mut without = owned();
    without.remove(3);
    touched("taken out", without, "4");
    let mut with = owned();
    with.insert(5, with[1].clone());
    touched("put in", with, "6");
    let mut cut = owned();
    cut.truncate(10);
    std::fs::write(&written[1], cut.join("\n") + "\n").unwrap();
    let found = verify(&log, &[]);
    assert!(found.code == 1 && found.err.contains(&format!("{}:1: ", written[2].display())), "cut: {}", found.err);
    assert_eq!(verify(&site.path().join("nothing"), &[]).code, 1);
}

#[test]
fn with_a_key_only_its_holders_can_write_the_log_or_prove_it() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let log = site.path().join("audit");
    let key = ("POSTERN_ROUTER_AUDIT__KEY", "a key of sixteen bytes and more");
    end(router(&site, &log, &[QUICK, key]));
    assert_eq!(verify(&log, &[key]).code, 0);
    assert_eq!(verify(&log, &[]).code, 1);
    assert_eq!(verify(&log, &[(key.0, "another key of many bytes")]).code, 1);
    let weak = run_in("postern-router", &["serve", "--print-settings"], &[(key.0, "short")]);
    assert!(weak.code == 2 && weak.err.contains("audit.key"), "{weak:?}");
    let shown = run_in("postern-router", &["serve", "--print-settings"], &[key]);
    assert!(shown.code == 0 && !shown.out.contains("sixteen"), "{shown:?}");
}

#[test]
fn a_full_disk_costs_lines_that_are_counted_and_told_and_never_a_request() {
    let origin = Origin::named("orders");
    let site = Site::new(&boundary_with(&[origin.port()], ""), &[registration("/", origin.port(), "")]);
    let disk = site.path().join("disk");
    std::fs::create_dir(&disk).unwrap();
    let mount = format!("mount -t tmpfs -o size=256k tmpfs '{}'", disk.display());
    let settings = [
        ("POSTERN_ROUTER_AUDIT__DIRECTORY", disk.to_str().unwrap()),
        ("POSTERN_ROUTER_AUDIT__ALLOWED", "1"),
        ("POSTERN_ROUTER_AUDIT__MAX_FILE", "64KiB"),
        QUICK,
    ];
    let router = Router::start_behind(&mount, &site.merged(), &settings);
    router.until_ready();
    let mut client = router.client();
    for _ in 0..2_000 {
        assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
    }
    let lost = eventually("lost lines to be counted", || {
        Some(router.metric("postern_audit_lost_total")).filter(|lost| *lost > 0.0)
    });
    assert!(router.diagnostics().contains("the audit log cannot be written"));
    // The disk as the router sees it: older files are put away, and there is room again.
    let log = PathBuf::from(format!("/proc/{}/root{}", router.id(), disk.display()));
    std::fs::remove_file(&files(&log)[0]).unwrap();
    std::fs::remove_file(&files(&log)[0]).unwrap();
    for _ in 0..50 {
        assert_eq!(client.send(&Request::new("GET", "/")).status, 200);
    }
    let told = eventually("the log to tell what it lost", || of_kind(&log, "lost").pop());
    assert!(told["lines"].as_f64().unwrap() >= lost, "{told}");
    let proved = eventually("the log to be whole", || Some(verify(&log, &[])).filter(|found| found.code == 0));
    assert!(proved.out.contains("older files are not here"), "{}", proved.out);
}
