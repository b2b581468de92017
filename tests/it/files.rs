//! What lies in the merged file's place and is no good never goes live: what is served stays, and the reason is told.

use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postern_config::merged::{self, Digest, FileKey};
use postern_tests::{
    Client, Origin, Request, Router, Site, boundary_with, command, eventually, merged_file, registration, run, runs,
};
use serde_json::Value;

#[test]
fn a_file_cut_at_any_byte_never_goes_live() {
    let mut served = Served::start();
    let next = served.next();
    // All of it but the last byte is still a cut.
    let cuts = runs("files cut short", 300, next.len());
    for cut in 0..cuts {
        served.put_bytes(&next[..cut * next.len() / cuts]);
        served.is_as_before();
    }
    assert!(served.failures(None) >= cuts as u64);
    served.good_again(&next);
}

#[test]
fn a_file_with_any_bit_flipped_never_goes_live() {
    let mut served = Served::start();
    let next = served.next();
    let mut random = Random(0x5eed_0001);
    let flips = runs("bit flips", 300, 100_000);
    for _ in 0..flips {
        let mut flipped = next.clone();
        flipped[random.below(next.len())] ^= 1 << random.below(8);
        served.put_bytes(&flipped);
        served.is_as_before();
    }
    assert!(served.failures(None) >= flips as u64);
    served.good_again(&next);
}

#[test]
fn whatever_lies_there_instead_of_a_file_never_goes_live() {
    let mut served = Served::start();
    let aside = served.site.path().join("aside");
    type Make = fn(&Path);
    let cases: [(&str, &str, Make); 8] = [
        ("nothing", "absent", |_| ()),
        ("a directory", "not_regular", |path| std::fs::create_dir(path).unwrap()),
        ("a FIFO", "not_regular", |path| assert!(Command::new("mkfifo").arg(path).status().unwrap().success())),
        ("a socket", "unreadable", |path| drop(UnixListener::bind(path).unwrap())),
        ("a device", "not_regular", |path| symlink("/dev/zero", path).unwrap()),
        ("a link to itself", "unreadable", |path| symlink("merged.json", path).unwrap()),
        ("a link to nothing", "absent", |path| symlink("nowhere.json", path).unwrap()),
        ("a file over the bound", "too_large", |path| {
            std::fs::File::create(path).unwrap().set_len((256 << 20) + 1).unwrap();
        }),
    ];
    for (what, reason, make) in cases {
        eprintln!("{what}");
        let next = served.next();
        let before = served.failures(Some(reason));
        make(&aside);
        // A directory cannot be renamed over a file.
        std::fs::remove_file(served.site.merged()).unwrap();
        if aside.symlink_metadata().is_ok() {
            std::fs::rename(&aside, served.site.merged()).unwrap();
        }
        served.until_refused(reason, before);
        served.is_as_before();
        served.is_told(reason);
        let merged = served.site.merged();
        let _ = std::fs::remove_file(&merged).or_else(|_| std::fs::remove_dir(&merged));
        served.good_again(&next);
    }
}

#[test]
fn a_file_that_says_something_else_never_goes_live() {
    let mut served = Served::start();
    type Make = fn(&Served, Vec<u8>) -> Vec<u8>;
    let cases: [(&str, &str, Make); 22] = [
        ("zero bytes", "empty", |_, _| Vec::new()),
        ("an empty object", "no_digest", |_, _| b"{}".to_vec()),
        ("null", "no_digest", |_, _| b"null".to_vec()),
        ("an empty list", "no_digest", |_, _| b"[]\n".to_vec()),
        ("a page of zeros", "no_digest", |_, _| vec![0; 4096]),
        ("a boundary", "no_digest", |_, _| b"apiVersion: postern/v1\nkind: Boundary\n".to_vec()),
        ("an empty object with a digest", "wrong_kind", |_, _| sealed(b"{\n\"x\": 1,\n".to_vec())),
        ("an older generation", "older_generation", |served, _| served.file(served.site.generation() - 2)),
        ("the first generation", "older_generation", |served, _| served.file(0)),
        ("the same generation with other content", "generation_reused", |served, _| {
            edited(&served.file(served.site.generation() - 1), "\"/a\"", "\"/other\"")
        }),
        ("a generation out of reach", "generation_jump", |served, _| served.file(served.site.generation() + 1_000_001)),
        ("the last generation there is", "generation_jump", |served, _| served.file(u64::MAX)),
        ("another kind", "wrong_kind", |_, next| edited(&next, "\"kind\": \"MergedConfig\"", "\"kind\": \"Boundary\"")),
        ("a later version of the format", "wrong_kind", |_, next| edited(&next, "postern/v1", "postern/v2")),
        ("an edit by hand", "digest_mismatch", |_, next| {
            String::from_utf8(next).unwrap().replace("127.0.0.0/8", "169.254.0.0/16").into_bytes()
        }),
        ("something behind its end", "no_digest", |_, next| [next, b"\n".to_vec()].concat()),
        ("a generation that is no number", "syntax", |_, next| edited(&next, "\"generation\": ", "\"generation\": -")),
        ("two generations", "syntax", |_, next| {
            edited(&next, "\"generation\": ", "\"generation\": 1, \"generation\": ")
        }),
        ("no routes at all", "syntax", |_, next| edited(&next, "\"routes\": [", "\"paths_of_old\": [")),
        ("no UTF-8", "syntax", |_, next| {
            let end = next.iter().position(|byte| *byte == b'/').unwrap();
            let mut bytes = next[..without_digest(&next).len()].to_vec();
            bytes[end] = 0xff;
            sealed(bytes)
        }),
        ("ten thousand brackets", "syntax", |_, next| {
            edited(&next, "\"hosts\": ", &format!("\"deep\": {}, \"hosts\": ", "[".repeat(10_000)))
        }),
        ("a demand that nobody here knows", "unknown_security_field", |_, next| {
            edited(&next, "\"paths\": [\n", "\"paths\": [\n{\"prefix\": \"/\", \"demand\": {}}\n")
        }),
    ];
    for (what, reason, make) in cases {
        eprintln!("{what}");
        let next = served.next();
        let bad = make(&served, next.clone());
        let before = served.failures(Some(reason));
        served.put_bytes(&bad);
        served.is_as_before();
        served.until_refused(reason, before);
        served.is_told(reason);
        served.good_again(&next);
    }
}

#[test]
fn with_a_key_only_a_file_that_was_made_with_it_goes_live() {
    let text = "a key of at least 16 bytes";
    let key = |text: &str| FileKey::new(text.as_bytes()).unwrap();
    let origin = Origin::named("a");
    let site = Site::empty();
    let file = |generation| {
        merged_file(generation, &boundary_with(&[origin.port()], ""), &[registration("/a", origin.port(), "")])
    };
    let with_code = |generation, by: &FileKey| {
        let reading = merged::read(&file(generation), None).unwrap();
        merged::write(&reading.header, &reading.content, Some(by)).0
    };
    std::fs::write(site.merged(), with_code(1, &key(text))).unwrap();
    let router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_FILE_KEY", text)]);
    router.until_ready();
    for (bytes, reason) in [
        (file(2), "mac_missing"),
        (with_code(2, &key("another key of 16 bytes")), "mac_mismatch"),
        (edited(&with_code(2, &key(text)), "127.0.0.0/8", "127.0.0.1/32"), "mac_missing"),
    ] {
        replace(&site.merged(), &bytes);
        eventually(reason, || (router.snapshot()["rejected"]["reason"] == reason).then_some(()));
        assert_eq!((router.snapshot()["generation"].as_u64(), router.get("/a").status), (Some(1), 200));
    }
    replace(&site.merged(), &with_code(2, &key(text)));
    router.until_generation(2);
    let log = format!("{}{:?}", router.diagnostics(), router.access_log());
    assert!(!log.contains(text), "the key is in the log");
}

#[test]
fn a_restart_serves_the_newest_good_generation_whatever_lies_there() {
    let place = Place::new();
    for generation in 1..=4 {
        place.register(generation, 3);
        assert!(place.once().contains(&format!("generation {generation} written")));
    }
    let merged = place.merged();
    let good = std::fs::read(&merged).unwrap();
    let older = std::fs::read(place.out().join("history/0000000002.json")).unwrap();
    let newest = place.out().join("history/0000000004.json");
    for (what, bytes, reason) in [
        ("half of it", Some(good[..good.len() / 2].to_vec()), "no_digest"),
        ("nothing", Some(Vec::new()), "empty"),
        ("no file", None, "absent"),
        ("an older generation", Some(older), "older_generation"),
    ] {
        match &bytes {
            Some(bytes) => replace(&merged, bytes),
            None => std::fs::remove_file(&merged).unwrap(),
        }
        let router = Router::serve(&merged);
        let told = eventually(what, || Some(router.snapshot()).filter(|told| told["rejected"]["reason"] == reason));
        assert_eq!((told["generation"].as_u64(), told["routes"].as_u64()), (Some(4), Some(3)), "{what}");
    }
    // The newest copy is damaged too: then the one before it.
    replace(&newest, &good[..good.len() - 1]);
    assert_eq!(Router::serve(&merged).snapshot()["generation"], 3);
    // The syncer does not use a number again that a router may have seen.
    place.register(9, 3);
    let text = place.once();
    assert!(text.contains("generation 5 written"), "{text}");
    let router = Router::serve(&merged);
    assert_eq!((router.snapshot()["generation"].as_u64(), router.load_failures(None)), (Some(5), 0));
}

#[test]
fn a_syncer_killed_at_any_moment_leaves_a_file_that_loads() {
    let kills = runs("syncers killed", 25, 500);
    let place = Place::new();
    place.register(0, 300);
    place.once();
    let router = Router::serve(&place.merged());
    let done = AtomicBool::new(false);
    let (mut random, mut highest) = (Random(0x5eed_0002), 1);
    std::thread::scope(|scope| {
        // Registrations change all the time, so the syncer writes all the time.
        scope.spawn(|| {
            for version in 1.. {
                place.register(version, 300);
                if done.load(Ordering::Relaxed) {
                    break;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        for _ in 0..kills {
            let mut syncer = Command::new(command("postern-syncer"))
                .args(["run", "--interval", "5ms", "--admin", "127.0.0.1:0", "--allow-loopback-destinations"])
                .args(place.sources())
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap();
            // The random moment is the point here: it has nothing to wait for.
            std::thread::sleep(Duration::from_micros(random.below(250_000) as u64));
            syncer.kill().unwrap();
            syncer.wait().unwrap();
            let told = router.snapshot();
            let generation = told["generation"].as_u64().unwrap();
            assert!(generation >= highest, "generation {generation} after {highest}");
            highest = generation;
            assert_eq!(told["load_failures"], serde_json::json!({}), "{told}");
        }
        done.store(true, Ordering::Relaxed);
    });
    assert!(highest > kills as u64 / 4, "the syncer hardly wrote: generation {highest} after {kills} kills");
    place.register(u64::MAX, 300);
    let text = place.once();
    let standing: Value = serde_json::from_slice(&std::fs::read(place.merged()).unwrap()).unwrap();
    let last = standing["generation"].as_u64().unwrap();
    assert!(last > highest && text.contains(&format!("generation {last} written")), "{text}");
    router.until_generation(last);
    assert_eq!(router.load_failures(None), 0);
    // What killed processes left behind is gone after the next start.
    for directory in [place.out(), place.out().join("history")] {
        let names =
            std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
        assert_eq!(names.filter(|name| name.ends_with(".tmp")).collect::<Vec<_>>(), Vec::<String>::new());
    }
    eprintln!("{kills} kills, generation {last}, no failed load");
}

/// A router that serves, and what it answered at first.
struct Served {
    site: Site,
    origin: Origin,
    router: Router,
    admin: Client,
    client: Client,
    digest: Value,
}

impl Served {
    fn start() -> Self {
        let origin = Origin::named("a");
        let mut site = Site::empty();
        // The first generation is the past.
        let _ = site.next(&boundary_with(&[1], ""), &[]);
        let bytes = site.next(&boundary_with(&[origin.port()], ""), &[registration("/a", origin.port(), "")]);
        replace(&site.merged(), &bytes);
        let router = Router::start(&site.merged(), &[], &[]);
        router.until_ready();
        let (admin, client) = (Client::connect(router.admin_address()), router.client());
        let digest = router.snapshot()["digest"].clone();
        Self { site, origin, router, admin, client, digest }
    }

    fn file(&self, generation: u64) -> Vec<u8> {
        let port = self.origin.port();
        merged_file(
            generation,
            &boundary_with(&[port], ""),
            &[registration("/a", port, ""), registration("/b", port, "")],
        )
    }

    /// The bytes of the next generation, which has one more route.
    fn next(&mut self) -> Vec<u8> {
        let port = self.origin.port();
        let boundary = boundary_with(&[port], "");
        self.site.next(&boundary, &[registration("/a", port, ""), registration("/b", port, "")])
    }

    fn told(&mut self) -> Value {
        self.admin.send(&Request::to_host("GET", "admin", "/snapshot")).json()
    }

    fn failures(&mut self, reason: Option<&str>) -> u64 {
        let failures = self.told()["load_failures"].clone();
        let counts = failures.as_object().unwrap();
        counts
            .iter()
            .filter(|(name, _)| reason.is_none_or(|one| one == *name))
            .map(|(_, count)| count.as_u64().unwrap())
            .sum()
    }

    /// Puts bytes into place by a rename, and waits until the router has judged them.
    fn put_bytes(&mut self, bytes: &[u8]) {
        let before = self.failures(None);
        replace(&self.site.merged(), bytes);
        eventually("the file to be judged", || {
            assert_eq!(self.told()["digest"], self.digest, "a bad file of {} bytes went live", bytes.len());
            (self.failures(None) > before).then_some(())
        });
    }

    fn until_refused(&mut self, reason: &str, before: u64) {
        eventually(reason, || (self.failures(Some(reason)) > before).then_some(()));
    }

    /// What is served is what was served.
    fn is_as_before(&mut self) {
        assert_eq!(self.told()["digest"], self.digest);
        let answer = self.client.send(&Request::new("GET", "/a/1"));
        assert_eq!((answer.status, answer.text().as_str()), (200, "a GET /a/1"));
    }

    /// The reason is on `/snapshot`, in the metrics and in the log.
    fn is_told(&mut self, reason: &str) {
        let rejected = self.told()["rejected"].clone();
        assert_eq!(rejected["reason"], reason, "{rejected}");
        assert!(!rejected["message"].as_str().unwrap().is_empty());
        let name = format!("postern_config_load_failures_total{{reason=\"{reason}\"}}");
        assert!(self.router.metric(&name) >= 1.0, "{name}");
        // The log comes through a pipe, so it may come a moment after the answer.
        let line = format!("\"reason\":\"{reason}\"");
        eventually("the reason in the log", || self.router.diagnostics().contains(&line).then_some(()));
    }

    /// A good file goes live after whatever was there.
    fn good_again(&mut self, next: &[u8]) {
        replace(&self.site.merged(), next);
        self.router.until_generation(self.site.generation());
        let told = self.told();
        assert_eq!(told["rejected"], Value::Null);
        self.digest = told["digest"].clone();
        assert_eq!(self.client.send(&Request::new("GET", "/b")).status, 200);
    }
}

/// Sources of a syncer, and the directory that it writes.
struct Place {
    directory: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("registrations")).unwrap();
        std::fs::write(directory.path().join("boundary.yaml"), boundary_with(&[1, 2], "")).unwrap();
        Self { directory }
    }

    fn out(&self) -> PathBuf {
        self.directory.path().join("out")
    }

    fn merged(&self) -> PathBuf {
        self.out().join("merged.json")
    }

    /// Registrations that say something else for each mark.
    fn register(&self, mark: u64, routes: usize) {
        let list: Vec<Value> = (0..routes)
            .map(|number| {
                let destination = serde_json::json!({"url": format!("http://localhost:1/{mark}")});
                serde_json::json!({"root": format!("/r{number}"), "owner": "team", "destination": destination})
            })
            .collect();
        replace(&self.directory.path().join("registrations/all.json"), &serde_json::to_vec(&list).unwrap());
    }

    fn sources(&self) -> [String; 6] {
        let path = |name: &str| self.directory.path().join(name).to_str().unwrap().to_owned();
        [
            "--boundary".into(),
            path("boundary.yaml"),
            "--registrations".into(),
            path("registrations"),
            "--out".into(),
            path("out"),
        ]
    }

    fn once(&self) -> String {
        let sources = self.sources();
        let mut arguments = vec!["run", "--once", "--allow-loopback-destinations"];
        arguments.extend(sources.iter().map(String::as_str));
        let output = run("postern-syncer", &arguments);
        assert_eq!(output.code, 0, "{output:?}");
        output.out
    }
}

/// As the syncer does it, without waiting for the disk.
fn replace(path: &Path, bytes: &[u8]) {
    let temporary = path.with_extension("new");
    std::fs::write(&temporary, bytes).unwrap();
    std::fs::rename(&temporary, path).unwrap();
}

fn without_digest(bytes: &[u8]) -> &[u8] {
    let start = b"\"digest\": \"";
    let at = bytes.windows(start.len()).rposition(|window| window == start).unwrap();
    &bytes[..at]
}

/// With the digest that fits.
fn sealed(mut body: Vec<u8>) -> Vec<u8> {
    let line = format!("\"digest\": \"{}\"\n}}\n", Digest::of(&body));
    body.extend_from_slice(line.as_bytes());
    body
}

/// Edited by somebody who knows how to make a digest.
fn edited(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    let text = std::str::from_utf8(without_digest(bytes)).unwrap();
    assert!(text.contains(from), "{from} is not in {text}");
    sealed(text.replacen(from, to, 1).into_bytes())
}

/// The same numbers in every run (xorshift).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % bound as u64).unwrap()
    }
}
