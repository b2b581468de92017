//! Colour is for people at a terminal: it changes no other byte, and whoever wants none gets none.

use std::process::{Command, Stdio};

use postern_tests::{Origin, Request, Router, Site, boundary_with, command, registration, run, run_in};

/// A text without the sequences that colour it.
fn plain(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((front, behind)) = rest.split_once("\u{1b}[") {
        out.push_str(front);
        rest = behind.split_once('m').expect("a colour ends with m").1;
    }
    out + rest
}

/// A place with two generations and a router that was asked something.
struct Place {
    site: Site,
    router: Router,
    words: Vec<Vec<String>>,
}

impl Place {
    fn start() -> Self {
        let origin = Origin::named("orders");
        let port = origin.port();
        let mut site = Site::new(&boundary_with(&[port], ""), &[registration("/orders", port, "")]);
        let before = site.path().join("before.json");
        std::fs::copy(site.merged(), &before).unwrap();
        site.publish(
            &boundary_with(&[port], ""),
            &[registration("/bills", port, ""), registration("/orders", port, "")],
        );
        let router = Router::serve(&site.merged());
        let refused = router.send(&Request::new("GET", "/nothing")).header("x-request-id").unwrap().to_owned();
        let (file, admin) = (site.merged().display().to_string(), router.admin_address().to_string());
        let rows: [&[&str]; 7] = [
            &["explain", &file, "GET https://api.example.com/orders/1"],
            &["explain", &file, "GET https://api.example.com/nothing"],
            &["why", &refused, "--admin", &admin],
            &["why", "--admin", &admin],
            &["diff", before.to_str().unwrap(), &file],
            &["status", "--admin", &admin, "--admin", "127.0.0.1:1"],
            &["doctor", "GET https://api.example.com/nothing", "--config", &file],
        ];
        let words = rows.iter().map(|row| row.iter().map(|word| (*word).to_owned()).collect()).collect();
        Self { site, router, words }
    }

    /// The words of each command but for what changes from one call to the next.
    fn same(text: &str) -> String {
        let aged = |line: &str| line.split("; agreed with the stores").next().unwrap_or_default().to_owned();
        text.lines().map(aged).collect::<Vec<_>>().join("\n")
    }
}

/// A command at a terminal of its own.
fn at_a_terminal(words: &[String], environment: &[(&str, &str)]) -> String {
    let quoted: Vec<String> = words.iter().map(|word| format!("'{word}'")).collect();
    let line = format!("'{}' {}", command("postern-router").display(), quoted.join(" "));
    let mut script = Command::new("script");
    script.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm").env_remove("NO_COLOR").stdin(Stdio::null());
    let output = script.envs(environment.iter().copied()).output().unwrap();
    String::from_utf8_lossy(&output.stdout).replace("\r\n", "\n")
}

#[test]
fn a_text_is_the_same_with_colour_and_without() {
    let place = Place::start();
    for words in &place.words {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let with = |choice: &str| {
            let all: Vec<&str> = words.iter().copied().chain(["--color", choice]).collect();
            run("postern-router", &all)
        };
        let (piped, never, always) = (run("postern-router", &words), with("never"), with("always"));
        assert_eq!(Place::same(&piped.out), Place::same(&never.out), "{words:?}");
        assert!(!piped.out.contains('\u{1b}') && !piped.out.is_empty(), "{words:?}: {}", piped.out);
        assert!(always.out.contains("\u{1b}["), "{words:?} has no colour: {}", always.out);
        assert_eq!(Place::same(&plain(&always.out)), Place::same(&piped.out), "{words:?}");
        assert_eq!((piped.code, never.code), (always.code, always.code), "{words:?}");
        // Who says always means it.
        let all: Vec<&str> = words.iter().copied().chain(["--color", "always"]).collect();
        assert!(run_in("postern-router", &all, &[("NO_COLOR", "1")]).out.contains("\u{1b}["), "{words:?}");
    }
    assert_eq!(run("postern-router", &["status", "--color", "sometimes"]).code, 2);
    assert!(place.router.get("/orders").status == 200 && place.site.generation() == 2);
}

#[test]
fn a_terminal_has_colour_unless_somebody_wants_none() {
    let place = Place::start();
    for words in &place.words {
        let coloured = at_a_terminal(words, &[]);
        assert!(coloured.contains("\u{1b}["), "{words:?}: {coloured}");
        let without = at_a_terminal(words, &[("NO_COLOR", "1")]);
        assert!(!without.contains('\u{1b}') && !without.is_empty(), "{words:?}: {without}");
        assert_eq!(Place::same(&plain(&coloured)), Place::same(&without), "{words:?}");
    }
    let mut never = place.words[0].clone();
    never.extend(["--color".to_owned(), "never".to_owned()]);
    assert!(!at_a_terminal(&never, &[]).contains('\u{1b}'));
    // What programs read is never coloured.
    let mut json = place.words[0].clone();
    json.extend(["--output".to_owned(), "json".to_owned()]);
    assert!(!at_a_terminal(&json, &[]).contains('\u{1b}'));
}
