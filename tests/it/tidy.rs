//! Rules about the source itself, each held against the real tree: who may know what, how long things are, which
//! words have no place here.

mod traces;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use postern_tests::checkout;

/// A file of the checkout: its path from there, and its text.
struct Source {
    path: String,
    text: String,
    /// Whether it is for tests alone.
    test: bool,
}

/// What is no part of the project, or made from it.
const NOT_OURS: [&str; 7] = ["target", ".git", ".venv", ".demo", ".tools", "node_modules", "proptest-regressions"];

fn files(ending: &str) -> Vec<Source> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap().flatten() {
            let (path, name) = (entry.path(), entry.file_name());
            if path.is_dir() {
                if !NOT_OURS.contains(&&*name.to_string_lossy()) {
                    walk(&path, found);
                }
            } else {
                found.push(path);
            }
        }
    }
    let root = checkout();
    let mut paths = Vec::new();
    walk(&root, &mut paths);
    paths.sort();
    let named = |path: &PathBuf| path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
    let mut sources: Vec<Source> = paths
        .iter()
        .filter(|path| path.to_string_lossy().ends_with(ending))
        // A file may go, or be no text, while others work.
        .filter_map(|path| Some(Source { path: named(path), text: std::fs::read_to_string(path).ok()?, test: false }))
        .collect();
    let declared: Vec<String> = sources.iter().flat_map(test_modules).collect();
    for source in &mut sources {
        let folders = ["/tests/", "/benches/", "/examples/"];
        source.test = source.path.starts_with("tests/")
            || folders.iter().any(|folder| source.path.contains(folder))
            || declared.iter().any(|start| source.path.starts_with(start));
    }
    sources
}

/// How the paths begin of modules that a file declares for tests alone.
fn test_modules(source: &Source) -> Vec<String> {
    let (folder, name) = source.path.rsplit_once('/').unwrap_or(("", &source.path));
    let folder = match name {
        "mod.rs" | "lib.rs" | "main.rs" => folder.to_owned(),
        name => format!("{folder}/{}", name.trim_end_matches(".rs")),
    };
    let lines: Vec<&str> = source.text.lines().collect();
    let declared = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    let names = declared.filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'));
    names.flat_map(|name| [format!("{folder}/{name}.rs"), format!("{folder}/{name}/")]).collect()
}

impl Source {
    /// Lines of the product with their numbers: neither comments nor items for tests.
    fn product(&self) -> Vec<(usize, &str)> {
        let lines: Vec<&str> = self.text.lines().collect();
        let mut found = Vec::new();
        let mut at = 0;
        while at < lines.len() {
            let code = lines[at].trim_start();
            if code == "#[cfg(test)]" {
                // Formatted code ends an item with a brace where it began, or with a semicolon on its first line.
                let end = lines[at].replace(code, "}");
                let declares = lines.get(at + 1).is_some_and(|next| next.ends_with(';'));
                let length = if declares { Some(1) } else { lines[at..].iter().position(|line| *line == end) };
                at += length.unwrap_or(lines.len());
            } else if !code.starts_with("//") {
                found.push((at + 1, lines[at]));
            }
            at += 1;
        }
        found
    }
}

/// The product's own code.
fn product() -> Vec<Source> {
    let found: Vec<Source> = files(".rs").into_iter().filter(|source| !source.test).collect();
    assert!(found.len() > 60, "only {} files: this shows nothing", found.len());
    found
}

fn assert_none(what: &str, findings: &[String]) {
    assert!(findings.is_empty(), "{what}:\n  {}", findings.join("\n  "));
}

/// Where (a path's beginning), what must not stand there, but for which files, and why.
type Row = (&'static str, &'static [&'static str], &'static [&'static str], &'static str);

const LAYERS: &[Row] = &[
    (
        "config/src/",
        &["tokio::", "hyper::", "rustls::", "reqwest::", "aws_", "postern_router", "postern_syncer"],
        &[],
        "config is what both processes agree on, and neither's runtime",
    ),
    (
        "config/src/document/",
        &["crate::check", "crate::merged", "std::fs"],
        &[],
        "documents are wire form; what they mean is decided in check",
    ),
    (
        "config/src/value/",
        &["crate::document", "crate::check", "crate::merged", "std::fs"],
        &["config/src/value/mod.rs"],
        "values know no other layer",
    ),
    ("config/src/check/", &["std::fs", "SystemTime::now", "std::env", "Instant::now"], &[], "checks are pure"),
    (
        "router/src/",
        &["postern_syncer", "aws_sdk", "aws_config", "aws_smithy", "aws_types", "aws_credential", "aws_sigv4"],
        &[],
        "the router holds no AWS power",
    ),
    ("syncer/src/", &["postern_router"], &[], "the two processes share the file and nothing else"),
    (
        "syncer/src/",
        &["aws_"],
        &["syncer/src/source/", "syncer/src/issuers/trust.rs", "syncer/src/key.rs"],
        "only source knows AWS; aws_lc_rs, which trust verifies with and key draws lots with, is cryptography",
    ),
    (
        "syncer/src/translate/",
        &["tokio", "std::fs", "SystemTime::now", "Instant::now", "crate::source", "crate::publish"],
        &[],
        "translate is pure",
    ),
    (
        "syncer/src/guard.rs",
        &["tokio", "std::fs", "SystemTime::now", "Instant::now", "crate::source", "crate::publish"],
        &[],
        "guard is pure",
    ),
    (
        "syncer/src/posted/",
        &["tokio", "std::fs", "SystemTime::now", "Instant::now", "crate::source", "crate::status"],
        &[],
        "what tasks say together is decided without clocks and stores",
    ),
    (
        "syncer/src/",
        &["file::replace"],
        &["syncer/src/publish/", "syncer/src/source/store.rs", "syncer/src/source/board/folder.rs"],
        "only publish writes the merged file; stores of files write registrations and status",
    ),
    (
        "router/src/stage/",
        &["tokio::", "std::fs", "std::thread", "std::env", "Instant::now", "SystemTime::now", "TcpStream", "spawn"],
        &[],
        "a stage decides; it does no I/O and reads no clock",
    ),
    (
        "router/src/stage/",
        &[
            "crate::upstream", "crate::listener", "crate::connection", "crate::services", "crate::pipeline",
            "crate::settings", "snapshot::store", "snapshot::watch",
        ],
        &[],
        "a stage knows neither its neighbours nor the world",
    ),
    (
        "router/src/stage/identify.rs",
        &[
            "stage::find", "stage::authenticate", "stage::authorize", "stage::transform", "super::find", "super::auth",
            "super::transform",
        ],
        &[],
        "no stage imports another",
    ),
    (
        "router/src/stage/find.rs",
        &["stage::auth", "stage::transform", "super::auth", "super::transform", "AUTHORIZATION"],
        &[],
        "match knows no credentials",
    ),
    (
        "router/src/stage/authenticate/",
        &["stage::find", "stage::identify", "stage::authorize", "stage::transform"],
        &[],
        "no stage imports another",
    ),
    (
        "router/src/stage/authorize.rs",
        &["stage::find", "stage::identify", "stage::authenticate", "stage::transform", "AUTHORIZATION"],
        &[],
        "rights know no credentials",
    ),
    (
        "router/src/stage/transform.rs",
        &["stage::find", "stage::auth", "super::find", "super::auth"],
        &[],
        "no stage imports another",
    ),
    (
        "router/src/upstream/",
        &[
            "crate::stage", "crate::pipeline", "crate::services", "crate::listener", "crate::connection",
            "postern_config::check",
        ],
        &[],
        "upstream knows the compiled destination, not the request's way",
    ),
    (
        "router/src/upstream/",
        &["\"host\"", "x-forwarded", "\"authorization\""],
        &[],
        "what a client sends chooses nothing here",
    ),
    (
        "router/src/snapshot/",
        &[
            "crate::pipeline", "crate::services", "crate::connection", "crate::listener", "stage::find",
            "stage::authorize", "stage::transform",
        ],
        &[],
        "snapshots are data",
    ),
    (
        "router/src/snapshot/",
        &["Serialize", "std::fs", "Instant::now", "SystemTime::now"],
        &["router/src/snapshot/watch.rs", "router/src/snapshot/store.rs"],
        "compiled types have no wire form and do no I/O",
    ),
    (
        "router/src/",
        &["merged::read"],
        &["router/src/snapshot/watch.rs", "router/src/admin/library.rs", "router/src/cli.rs", "router/src/cli/"],
        "only watch reads the file, the commands that are about files, and who shows people what stands in them",
    ),
    ("router/src/", &["ArcSwap"], &["router/src/snapshot/store.rs"], "only store holds the pointer"),
    (
        "router/src/",
        &["Destination::new", "DestinationParts {"],
        &["router/src/snapshot/compile.rs", "router/src/snapshot/destination.rs"],
        "only compile makes a destination",
    ),
    ("config/src/", &["cedar_policy", "miette"], &["config/src/cedar/"], "one place knows the engine of policies"),
    ("router/src/", &["cedar_policy"], &["router/src/rights/cedar.rs"], "one place knows the engine of policies"),
    (
        "router/src/rights/",
        &[
            "crate::stage", "crate::pipeline", "crate::services", "crate::upstream", "crate::connection",
            "Instant::now", "SystemTime::now", "std::fs", "tokio::",
        ],
        &[],
        "rights are data and decide; the time is an argument",
    ),
    ("router/src/doctor/", &["tokio::", "std::fs"], &["router/src/doctor/visit.rs"], "only the visit does I/O"),
    ("router/src/", &["Permit {"], &["router/src/stage/authorize.rs"], "only authorize makes a permit"),
    (
        "router/src/",
        &["crate::pipeline"],
        &["router/src/connection/", "router/src/explain.rs"],
        "only connection runs requests, and explain asks the same code",
    ),
    (
        "router/src/",
        &["crate::services"],
        &[
            "router/src/pipeline.rs", "router/src/connection/", "router/src/listener/", "router/src/lib.rs",
            "router/src/admin.rs", "router/src/observe/",
        ],
        "few know the long-lived parts",
    ),
    (
        "router/src/",
        &["crate::settings"],
        &["router/src/lib.rs", "router/src/entrances.rs", "router/src/cli.rs", "router/src/admin.rs"],
        "only who starts it reads settings",
    ),
    (
        "router/src/",
        &["application/problem+json"],
        &["router/src/reject.rs"],
        "only reject builds the router's own refusals",
    ),
    ("router/src/", &["all(\"host\")", "get(\"host\")"], &["router/src/stage/identify.rs"], "only identify reads Host"),
    (
        "router/src/",
        &["x-forwarded-for"],
        &[
            "router/src/stage/identify.rs",
            "router/src/stage/transform.rs",
            "router/src/stage/authenticate/external/input.rs",
        ],
        "only identify reads forwarding headers; transform writes them, and input for authorizers",
    ),
    (
        "router/src/",
        &["get(\"authorization\"", "all(\"authorization\""],
        &["router/src/stage/authenticate/"],
        "only authenticate reads credentials",
    ),
    (
        "router/src/http1/",
        &[
            "tokio::", "std::net", "std::time", "crate::stage", "crate::snapshot", "crate::pipeline", "crate::reject",
            "crate::upstream", "crate::connection",
        ],
        &[],
        "the codec knows bytes, neither sockets nor clocks nor routes",
    ),
    ("router/src/", &["dangerous()"], &["router/src/upstream/tls.rs"], "TLS is set up in one place"),
    ("tests/", &["postern_router", "postern_syncer"], &["tests/it/tidy.rs"], "tests look from outside"),
];

#[test]
fn nobody_knows_what_they_must_not_know() {
    let sources = files(".rs");
    let mut findings = Vec::new();
    for (folder, forbidden, except, reason) in LAYERS.iter().chain(traces::LAYERS) {
        let here: Vec<&Source> = sources
            .iter()
            .filter(|source| source.path.starts_with(folder) && (source.path.starts_with("tests/") || !source.test))
            .collect();
        assert!(!here.is_empty(), "there is no {folder} any more: mend the row");
        for path in *except {
            assert!(
                sources.iter().any(|source| source.path.starts_with(path)),
                "there is no {path} any more: mend the row"
            );
        }
        for source in here.iter().filter(|source| !except.iter().any(|path| source.path.starts_with(path))) {
            for (at, line) in source.product() {
                for text in forbidden.iter().filter(|text| line.contains(**text)) {
                    findings.push(format!("{}:{at}: {text}: {reason}", source.path));
                }
            }
        }
    }
    assert_none("imports that the layering forbids", &findings);
}

#[test]
fn every_module_says_at_its_head_what_it_owns_and_none_is_called_a_drawer() {
    let mut findings = Vec::new();
    for source in files(".rs") {
        let stem = source.path.rsplit('/').next().unwrap().trim_end_matches(".rs");
        if ["common", "util", "utils", "helper", "helpers", "types", "misc"].contains(&stem) {
            findings.push(format!("{}: a name that says nothing", source.path));
        }
        // A crate's attributes may stand first.
        let first = source.text.lines().find(|line| !line.is_empty() && !line.starts_with("#!["));
        if !first.is_some_and(|line| line.starts_with("//! ")) {
            findings.push(format!("{}: does not begin with //!", source.path));
        }
    }
    assert_none("modules", &findings);
}

/// Files that are longer than 600 lines, and how long they may be. Only ever shorter.
const LONG_FILES: [(&str, usize); 1] = [("tests/it/stores.rs", 690)];

#[test]
fn files_end_before_six_hundred_lines() {
    let exceptions: BTreeMap<&str, usize> = LONG_FILES.into_iter().collect();
    let mut findings = Vec::new();
    for source in files(".rs") {
        let lines = source.text.lines().count();
        match exceptions.get(&*source.path) {
            Some(_) if lines <= 600 => findings.push(format!("{} is no exception any more: take it out", source.path)),
            Some(&most) if lines > most => {
                findings.push(format!("{}: {lines} lines, more than its {most}", source.path))
            }
            None if lines > 600 => findings.push(format!("{}: {lines} lines", source.path)),
            _ => {}
        }
    }
    assert_none("files that are too long", &findings);
}

/// Functions that are longer than 70 lines, and how long they may be. Only ever shorter.
const LONG_FUNCTIONS: [(&str, &str, usize); 0] = [];

#[test]
fn functions_end_before_seventy_lines() {
    let mut findings = Vec::new();
    for source in product() {
        for (name, at, length) in functions(&source.text) {
            let exception = LONG_FUNCTIONS.iter().find(|(path, known, _)| *path == source.path && *known == name);
            let most = exception.map_or(70, |(.., most)| *most);
            if length > most {
                findings.push(format!("{}:{at}: {name} has {length} lines", source.path));
            }
        }
    }
    assert_none("functions that are too long", &findings);
}

/// Name, line and length of every function: formatted code ends one with a brace where its head began.
fn functions(text: &str) -> Vec<(String, usize, usize)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut found = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let code = line.trim_start();
        let indent = &line[..line.len() - code.len()];
        let words = ["pub(crate) ", "pub(super) ", "pub ", "const ", "async "];
        let head = words.iter().fold(code, |code, word| code.strip_prefix(word).unwrap_or(code));
        let Some(rest) = head.strip_prefix("fn ") else { continue };
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let end = format!("{indent}}}");
        if let Some(length) = lines[at..].iter().position(|line| {
            *line == end || (line.starts_with(indent) && line.ends_with(';') && line.trim_start().starts_with("fn "))
        }) {
            found.push((name, at + 1, length + 1));
        }
    }
    found
}

#[test]
fn the_measure_of_functions_measures() {
    let text = "impl A {\n    pub(crate) async fn a(\n        b: u8,\n    ) -> u8 {\n        if b {\n        }\n        1\n    }\n}\n";
    assert_eq!(functions(text), [("a".to_owned(), 2, 7)]);
}

#[test]
fn nothing_is_left_to_do_or_to_skip() {
    let mut findings = Vec::new();
    for source in files(".rs").into_iter().filter(|source| source.path != "tests/it/tidy.rs") {
        for (at, line) in source.text.lines().enumerate() {
            for text in ["todo!(", "unimplemented!(", "dbg!(", "#[ignore", "FIXME", "XXX", "TODO"] {
                if line.contains(text) {
                    findings.push(format!("{}:{}: {text}", source.path, at + 1));
                }
            }
        }
    }
    assert_none("left behind", &findings);
}

#[test]
fn the_product_does_not_unwrap() {
    let mut findings = Vec::new();
    for source in product() {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in source.product() {
            let excused = lines[at.saturating_sub(4)..at]
                .iter()
                .any(|line| line.contains("clippy::unwrap_used") || line.contains("clippy::expect_used"));
            for text in [".unwrap()", ".expect(", "panic!(", "unreachable!("] {
                if line.contains(text) && !excused {
                    findings.push(format!("{}:{at}: {text}", source.path));
                }
            }
        }
    }
    assert_none("what could end a thread", &findings);
}

#[test]
fn unsafe_code_is_forbidden_everywhere() {
    let manifest = std::fs::read_to_string(checkout().join("Cargo.toml")).unwrap();
    assert!(manifest.contains("unsafe_code = \"forbid\""));
    for member in ["bench", "config", "router", "syncer", "tests"] {
        let manifest = std::fs::read_to_string(checkout().join(member).join("Cargo.toml")).unwrap();
        assert!(manifest.contains("[lints]\nworkspace = true"), "{member} does not take the workspace's lints");
    }
}

#[test]
fn the_mains_have_no_logic() {
    for source in product().iter().filter(|source| source.path.ends_with("/main.rs")) {
        let lines = source.product().into_iter().filter(|(_, line)| !line.trim().is_empty()).count();
        assert!(lines <= 6, "{}: {lines} lines", source.path);
    }
}

#[test]
fn no_text_tells_of_a_machine_or_a_hand() {
    // In pieces, so that this file is held to it as well.
    let words = [
        ["/wo", "rk/"],
        ["/ro", "ot/"],
        ["/ho", "me/"],
        ["/Us", "ers/"],
        ["co-auth", "ored-by"],
        ["language ", "model"],
        ["chat", "bot"],
        ["arti", "factory"],
        ["jfr", "og"],
        ["--extra-index", "-url"],
        ["--index", "-url"],
        ["replace-w", "ith = "],
    ]
    .map(|pieces| pieces.concat());
    let mut findings = Vec::new();
    for source in files("") {
        for (at, line) in source.text.lines().enumerate() {
            for word in words.iter().filter(|word| stands_in(line, word)) {
                findings.push(format!("{}:{}: {word}", source.path, at + 1));
            }
        }
    }
    assert_none("words that have no place here", &findings);
    let lock = std::fs::read_to_string(checkout().join("Cargo.lock")).unwrap();
    let sources: std::collections::BTreeSet<&str> = lock.lines().filter(|line| line.starts_with("source = ")).collect();
    assert_eq!(Vec::from_iter(sources), ["source = \"registry+https://github.com/rust-lang/crates.io-index\""]);
}

/// Words in any case; paths in theirs, and only where they begin.
fn stands_in(line: &str, word: &str) -> bool {
    if !word.starts_with('/') {
        return line.to_ascii_lowercase().contains(word);
    }
    line.match_indices(word).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || "}])_-.".contains(c)))
}

/// The names of every package that a package is built with.
fn tree(package: &str) -> Vec<String> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["tree", "--locked", "--offline", "--prefix", "none", "-e", "normal", "-p", package])
        .current_dir(checkout())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().filter_map(|line| line.split(' ').next()).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

#[test]
fn no_aws_package_is_built_into_the_router_and_no_runtime_into_config() {
    let aws = ["aws-config", "aws-sdk", "aws-smithy", "aws-types", "aws-sigv4", "aws-credential", "aws-runtime"];
    let is_aws = |name: &String| aws.iter().any(|start| name.starts_with(start));
    let router = tree("postern-router");
    assert!(router.contains(&"tokio".to_owned()) && router.contains(&"postern-config".to_owned()));
    let found: Vec<&String> = router.iter().filter(|name| is_aws(name)).collect();
    assert!(found.is_empty(), "the router holds {found:?}");
    // The same question finds them where they belong.
    assert!(tree("postern-syncer").iter().any(is_aws));
    let config = tree("postern-config");
    let runtimes = ["tokio", "hyper", "rustls", "aws-lc-rs", "reqwest"];
    let found: Vec<&String> = config.iter().filter(|name| is_aws(name) || runtimes.contains(&name.as_str())).collect();
    assert!(found.is_empty(), "config holds {found:?}");
}

/// Code, status and fault of every reason of the router, from its source.
fn reasons() -> Vec<(String, String, String)> {
    let text = std::fs::read_to_string(checkout().join("router/src/reject.rs")).unwrap();
    let rows = text.split_once("\nrows! {\n").and_then(|(_, rest)| rest.split_once("\n}")).unwrap().0;
    let rows: Vec<_> = rows
        .lines()
        .map(|line| {
            let words: Vec<&str> = line.split_whitespace().collect();
            (words[1].trim_matches('"').to_owned(), words[2].to_owned(), words[3].to_lowercase())
        })
        .collect();
    assert!(rows.len() > 30, "only {} reasons: this shows nothing", rows.len());
    rows
}

#[test]
fn every_reason_is_documented_with_its_status_and_fault_and_no_other_is() {
    let text = std::fs::read_to_string(checkout().join("docs/reasons.md")).unwrap();
    let mut documented = Vec::new();
    let mut sections = text.split("\n### ").skip(1);
    for section in &mut sections {
        let (heading, rest) = section.split_once('\n').unwrap();
        let facts = rest.trim_start().lines().next().unwrap();
        let (status, fault) = facts.split_once(" · ").unwrap_or_else(|| panic!("{heading}: {facts}"));
        for part in ["**Cause.**", "**Do.**"] {
            assert!(rest.contains(part), "{heading} says no {part}");
        }
        documented.push((
            heading.trim_matches('`').to_owned(),
            status.to_owned(),
            fault.trim_start_matches("fault: ").to_owned(),
        ));
    }
    let (mut known, mut listed) = (reasons(), documented.clone());
    known.sort();
    listed.sort();
    assert_eq!(listed, known, "docs/reasons.md and router/src/reject.rs say different things");
    let order: Vec<String> = documented.into_iter().map(|(code, ..)| code).collect();
    assert_eq!(order, reasons().into_iter().map(|(code, ..)| code).collect::<Vec<_>>(), "in another order");
}
