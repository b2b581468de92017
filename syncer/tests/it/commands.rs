//! The commands as people type them: exit codes, words, settings.

use std::path::Path;
use std::process::{Command, Output};

use crate::scene;

fn syncer(directory: &Path, arguments: &[&str], environment: &[(&str, &str)]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = Command::new(env!("CARGO_BIN_EXE_postern-syncer"))
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied())
        .output()
        .unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn place() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("boundary.yaml"), scene::BOUNDARY).unwrap();
    std::fs::create_dir(directory.path().join("registrations")).unwrap();
    let bad = "root: /bad\nowner: team\ndestination: {url: https://evil.example.net}\n";
    std::fs::write(directory.path().join("registrations/bad.yaml"), bad).unwrap();
    std::fs::write(directory.path().join("registrations/good.json"), scene::good("/good").to_string()).unwrap();
    directory
}

const SOURCES: [&str; 6] = ["--boundary", "boundary.yaml", "--registrations", "registrations", "--out", "out"];

fn with<'a>(command: &[&'a str], more: &[&'a str]) -> Vec<&'a str> {
    command.iter().chain(&SOURCES).chain(more).copied().collect()
}

#[test]
fn once_tells_what_it_refused() {
    let place = place();
    let run = |more: &[&str]| syncer(place.path(), &with(&["run", "--once"], more), &[]);
    let (code, out, _) = run(&[]);
    assert_eq!(code, 0);
    assert!(out.contains("refused /bad#default\n    DestinationNotAllowed at /destination/url: "), "{out}");
    assert!(out.contains("generation 1 written: 1 routes"), "{out}");
    assert!(run(&[]).1.contains("generation 1 unchanged"));
    assert_eq!(run(&["--strict"]).0, 1);
    let value: serde_json::Value = serde_json::from_str(&run(&["--output", "json"]).1).unwrap();
    assert_eq!((&value["generation"], &value["written"]), (&1.into(), &false.into()));
    std::fs::write(place.path().join("boundary.yaml"), "hosts: [").unwrap();
    let (code, _, err) = run(&[]);
    assert_eq!(code, 1);
    assert!(err.contains("boundary.yaml") && err.contains("left as it was"), "{err}");
}

#[test]
fn plan_tells_what_would_change_and_writes_nothing() {
    let place = place();
    let plan = |more: &[&str]| syncer(place.path(), &with(&["plan"], more), &[]);
    let (code, out, _) = plan(&[]);
    assert_eq!(code, 0);
    assert!(out.contains("+ added /good#default (team)") && out.contains("! refused /bad#default"), "{out}");
    assert!(
        out.contains("DestinationNotAllowed at /destination/url") && out.contains("generation 1 would be written"),
        "{out}"
    );
    assert!(!place.path().join("out").exists());
    assert_eq!(plan(&["--strict"]).0, 1);
    syncer(place.path(), &with(&["run", "--once"], &[]), &[]);
    assert!(plan(&[]).1.contains("nothing would change"));
    let narrow = scene::BOUNDARY.replace("*.internal.example.com", "*.other.example.com");
    std::fs::write(place.path().join("boundary.yaml"), narrow).unwrap();
    let value: serde_json::Value = serde_json::from_str(&plan(&["--output", "json"]).1).unwrap();
    assert_eq!(value["generation"], 2);
    let what: Vec<_> = value["boundary"].as_array().unwrap().iter().map(|one| &one["what"]).collect();
    assert_eq!(what, ["destinations.apis.hosts"]);
    let change = value["changes"].as_array().unwrap().iter().find(|change| change["id"] == "/good#default").unwrap();
    assert_eq!((&change["action"], &change["ends_route"]), (&"refused".into(), &true.into()));
    assert_eq!(change["reasons"][0]["reason"], "DestinationNotAllowed");
    std::fs::remove_dir_all(place.path().join("registrations")).unwrap();
    assert_eq!(plan(&[]).0, 1);
}

#[test]
fn a_route_is_applied_shown_and_taken_back() {
    let place = place();
    let file = place.path().join("orders.yaml");
    let write = |text: &str| std::fs::write(&file, text).unwrap();
    let route = |arguments: &[&str]| {
        let all: Vec<&str> =
            ["route"].iter().chain(arguments).chain(&["--registrations", "registrations"]).copied().collect();
        syncer(place.path(), &all, &[])
    };
    let text = "root: /orders\nowner: me\ndestination: {url: https://a.internal.example.com}\n";
    write(text);
    assert_eq!(route(&["apply", "orders.yaml"]).1, "applied /orders#default version 1\n");
    assert_eq!(route(&["apply", "orders.yaml"]).1, "unchanged /orders#default version 1\n");
    write(&text.replace("a.internal", "b.internal"));
    assert_eq!(route(&["apply", "orders.yaml"]).1, "applied /orders#default version 2\n");
    write(&text.replace("me", "you"));
    let (code, _, err) = route(&["apply", "orders.yaml"]);
    assert!(code == 1 && err.contains("held by me (version 2), not by you"), "{err}");
    write("root: /orders/\nowner: 7\n");
    let (code, _, err) = route(&["apply", "orders.yaml"]);
    assert!(code == 1 && err.contains("/root: ") && err.contains("/owner: "), "{err}");
    assert!(route(&["get", "/orders"]).1.contains("b.internal"));
    assert_eq!(route(&["get", "/nothing"]).0, 1);
    assert!(route(&["list", "--owner", "me"]).1.contains("/orders#default  me  version 2"));
    assert_eq!(route(&["list", "--owner", "you"]).1, "");
    assert_eq!(route(&["delete", "/orders", "--owner", "you"]).0, 1);
    assert_eq!(route(&["delete", "/orders", "--owner", "me"]).1, "deleted /orders#default\n");
    assert_eq!(route(&["delete", "/orders", "--owner", "me"]).0, 1);
}

#[test]
fn settings_come_from_four_places_and_say_which() {
    let place = place();
    std::fs::write(
        place.path().join("settings.toml"),
        "interval = \"7s\"\nrouters = [\"a:1\"]\nshrink_grace = \"2m\"\n[log]\nlevel = \"warn\"\n",
    )
    .unwrap();
    let environment = [
        ("POSTERN_SYNCER_INTERVAL", "8s"),
        ("POSTERN_SYNCER_LOG__FORMAT", "json"),
        ("POSTERN_SYNCER_FILE_KEY", "00000000000000000123"),
    ];
    let arguments = ["run", "--settings", "settings.toml", "--admin", "127.0.0.1:1", "--print-settings"];
    let (code, out, err) = syncer(place.path(), &arguments, &environment);
    assert_eq!(code, 0, "{err}");
    for line in [
        "interval = \"8s\"  # environment",
        "routers = [\"a:1\"]  # file settings.toml",
        "log.level = \"warn\"  # file settings.toml",
        "log.format = \"json\"  # environment",
        "admin = \"127.0.0.1:1\"  # flag",
        "max_stale_route = \"24h\"  # default",
        "file_key = \"…\"  # environment",
    ] {
        assert!(out.lines().any(|found| found == line), "{line} in\n{out}");
    }
}

#[test]
fn wrong_usage_is_told_with_what_to_do() {
    let place = place();
    std::fs::write(place.path().join("typo.toml"), "intervall = \"7s\"\n").unwrap();
    let long = with(&["run", "--once"], &["--interval", "soon"]);
    for (arguments, environment, expected) in [
        (vec!["run"], vec![], "out is not set; give --out DIR, or set POSTERN_SYNCER_OUT"),
        (vec!["run", "--settings", "typo.toml"], vec![], "did you mean \"interval\"?"),
        (vec!["run"], vec![("POSTERN_SYNCER_INTERVALL", "1s")], "did you mean \"interval\"?"),
        (vec!["run", "--settings", "none.toml"], vec![], "no settings file none.toml"),
        (vec!["run"], vec![("POSTERN_SYNCER_FILE_KEY", "short")], "shorter than 16 bytes"),
        (long, vec![], "interval"),
        (vec!["run", "--onse"], vec![], "--once"),
        (vec!["rum"], vec![], "run"),
        (vec!["run", "--strict", "--out", "o"], vec![], "--once"),
        (
            vec!["run", "--once", "--out", "o", "--boundary", "s3://b", "--registrations", "r"],
            vec![],
            "s3://BUCKET/KEY",
        ),
        (vec!["run", "--once", "--out", "o", "--boundary", "s3://b/k", "--registrations", "r"], vec![], "AWS_REGION"),
        (
            vec!["run", "--once", "--out", "o", "--boundary", "dynamodb://t", "--registrations", "r"],
            vec![("AWS_REGION", "eu-west-1")],
            "is a table",
        ),
    ] {
        let (code, _, err) = syncer(place.path(), &arguments, &environment);
        assert_eq!(code, 2, "{arguments:?} {err}");
        assert!(err.contains(expected), "{arguments:?}: {expected} in {err}");
    }
    for command in
        [&["--help"][..], &["run", "--help"], &["plan", "--help"], &["route", "apply", "--help"], &["health", "--help"]]
    {
        let (code, out, _) = syncer(place.path(), command, &[]);
        assert!(code == 0 && out.contains("Example"), "{command:?}");
    }
    assert_eq!(syncer(place.path(), &["health", "--admin", "127.0.0.1:1"], &[]).0, 1);
    assert_eq!(syncer(place.path(), &["release", "--admin", "127.0.0.1:1"], &[]).0, 1);
}

#[test]
fn a_second_syncer_is_told_of_the_first() {
    let place = place();
    let _held = postern_syncer::publish::Publisher::open(&place.path().join("out"), None).unwrap();
    let (code, _, err) = syncer(place.path(), &with(&["run", "--once"], &[]), &[]);
    assert!(code == 1 && err.contains("another syncer already writes to out"), "{err}");
}
