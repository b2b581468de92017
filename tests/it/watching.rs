//! However a new generation comes to lie in the merged file's place, it is served: soon by events, and by the poll
//! alone when they are lost.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use postern_config::merged::Digest;
use postern_tests::{
    Client, Origin, Request, Router, boundary_with, eventually, eventually_within, merged_file, registration, runs,
};

/// What the poll alone is allowed.
const POLL: Duration = Duration::from_secs(2);

#[test]
fn a_file_that_is_absent_at_boot_is_served_when_it_appears() {
    let files = Files::new(1);
    let place = tempfile::tempdir().unwrap();
    // Not even its directory is there.
    let directory = place.path().join("later");
    let router = Router::start(&directory.join("merged.json"), &[], &[]);
    assert_eq!((router.get("/probe").status, router.admin("/readyz").status), (503, 503));
    assert_eq!(router.get("/probe").reason(), Some("not_ready"));
    assert!(router.admin("/readyz").text().contains("no file at"), "{}", router.admin("/readyz").text());
    assert_eq!(router.admin("/livez").status, 200, "it lives, it is not ready");
    fs::create_dir(&directory).unwrap();
    renamed(&directory, &files.generation(1));
    router.until_ready();
    files.until_served(&router, 1, POLL);

    let appears = Router::start(&place.path().join("merged.json"), &[], &[]);
    renamed(place.path(), &files.generation(1));
    files.until_served(&appears, 1, POLL);
}

#[test]
fn a_new_generation_is_served_whether_it_is_renamed_rewritten_or_written_bit_by_bit() {
    let files = Files::new(1);
    let place = tempfile::tempdir().unwrap();
    let merged = place.path().join("merged.json");
    renamed(place.path(), &files.generation(1));
    let router = Router::serve(&merged);
    files.until_served(&router, 1, POLL);
    for generation in 2..20 {
        let bytes = files.generation(generation);
        let ways: [&dyn Fn(); 4] = [
            &|| renamed(place.path(), &bytes),
            // In place, as an editor or `cp` does it: for a moment the file is empty.
            &|| fs::write(&merged, &bytes).unwrap(),
            // In place without truncation, the same length over the same inode.
            &|| fs::OpenOptions::new().write(true).open(&merged).unwrap().write_all(&bytes).unwrap(),
            // Slowly.
            &|| {
                let mut file = fs::File::create(&merged).unwrap();
                for piece in bytes.chunks(bytes.len() / 5) {
                    file.write_all(piece).unwrap();
                    assert_eq!(router.get("/probe").status, 200, "what is served stays while a file is written");
                }
            },
        ];
        ways[usize::try_from(generation).unwrap() % ways.len()]();
        files.until_served(&router, generation, POLL);
    }
    // Gone and back again, under another name first.
    fs::remove_file(&merged).unwrap();
    eventually("the file to be missed", || (router.load_failures(Some("absent")) > 0).then_some(()));
    assert_eq!(router.get("/probe").status, 200);
    fs::write(place.path().join("other"), files.generation(20)).unwrap();
    fs::hard_link(place.path().join("other"), &merged).unwrap();
    files.until_served(&router, 20, POLL);
}

#[test]
fn a_symlink_that_is_swapped_is_followed() {
    let files = Files::new(1);
    // As a mounted ConfigMap: merged.json → ..data/merged.json, ..data → a directory of its own, swapped by a rename.
    let place = tempfile::tempdir().unwrap();
    let swap = |generation: u64| {
        let directory = place.path().join(format!("..{generation}"));
        fs::create_dir(&directory).unwrap();
        fs::write(directory.join("merged.json"), files.generation(generation)).unwrap();
        symlink(format!("..{generation}"), place.path().join("..data_tmp")).unwrap();
        fs::rename(place.path().join("..data_tmp"), place.path().join("..data")).unwrap();
        if generation > 1 {
            fs::remove_dir_all(place.path().join(format!("..{}", generation - 1))).unwrap();
        }
    };
    swap(1);
    let merged = place.path().join("merged.json");
    symlink("..data/merged.json", &merged).unwrap();
    let router = Router::serve(&merged);
    for generation in 2..12 {
        swap(generation);
        files.until_served(&router, generation, POLL);
    }
    // The link itself, to somewhere that is not watched, and a change there.
    let elsewhere = tempfile::tempdir().unwrap();
    renamed(elsewhere.path(), &files.generation(12));
    symlink(elsewhere.path().join("merged.json"), place.path().join("link")).unwrap();
    fs::rename(place.path().join("link"), &merged).unwrap();
    files.until_served(&router, 12, POLL);
    renamed(elsewhere.path(), &files.generation(13));
    files.until_served(&router, 13, POLL);
}

#[test]
fn a_bind_mounted_directory_is_watched_like_any_other() {
    let files = Files::new(1);
    let (real, mounted) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let mount = format!("mount --bind {} {}", real.path().display(), mounted.path().display());
    let tried = Command::new("unshare").args(["--mount", "sh", "-ec", &mount]).output();
    if !tried.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: a bind mount in a namespace of its own is not allowed here: {tried:?}");
        return;
    }
    renamed(real.path(), &files.generation(1));
    let merged = mounted.path().join("merged.json");
    let router = Router::start_behind(&mount, &merged, &[]);
    router.until_ready();
    assert!(!merged.exists(), "the mount is seen by the router alone");
    for generation in 2..12 {
        renamed(real.path(), &files.generation(generation));
        files.until_served(&router, generation, POLL);
    }
    // Read-only, as ECS mounts it.
    let read_only = format!("{mount}\nmount -o remount,ro,bind {}", mounted.path().display());
    let router = Router::start_behind(&read_only, &merged, &[]);
    router.until_ready();
    renamed(real.path(), &files.generation(12));
    files.until_served(&router, 12, POLL);
}

#[test]
fn a_directory_that_is_made_anew_is_watched_again() {
    let files = Files::new(1);
    let place = tempfile::tempdir().unwrap();
    let directory = place.path().join("volume");
    fs::create_dir(&directory).unwrap();
    renamed(&directory, &files.generation(1));
    let router = Router::start(&directory.join("merged.json"), &[], &[("POSTERN_ROUTER_POLL", "3s")]);
    router.until_ready();
    // The poll may be what notices that there is another directory; from then on there are events again.
    let by_poll = Duration::from_secs(10);
    let by_event = Duration::from_millis(1_500);
    for round in 1..=3 {
        fs::remove_dir_all(&directory).unwrap();
        // Often with the same inode number.
        fs::create_dir(&directory).unwrap();
        renamed(&directory, &files.generation(2 * round));
        files.until_served(&router, 2 * round, by_poll);
        renamed(&directory, &files.generation(2 * round + 1));
        files.until_served(&router, 2 * round + 1, by_event);
    }
    // Renamed away, and another one put in its place: what happens in the old one is nobody's business.
    fs::rename(&directory, place.path().join("old")).unwrap();
    fs::create_dir(&directory).unwrap();
    renamed(&directory, &files.generation(20));
    files.until_served(&router, 20, by_poll);
    renamed(&place.path().join("old"), &files.generation(21));
    renamed(&directory, &files.generation(22));
    files.until_served(&router, 22, by_event);
}

#[test]
fn without_any_event_the_poll_brings_it_within_two_seconds() {
    let files = Files::new(1);
    let place = tempfile::tempdir().unwrap();
    renamed(place.path(), &files.generation(1));
    let router = Router::start(&place.path().join("merged.json"), &[], &[("POSTERN_ROUTER_WATCH_EVENTS", "false")]);
    router.until_ready();
    let renames = runs("renames without events", 4, 30) as u64;
    let times: Vec<Duration> = (2..renames + 2)
        .map(|generation| {
            // Spread over the interval of the poll.
            std::thread::sleep(Duration::from_millis(generation * 137 % 1_000));
            renamed(place.path(), &files.generation(generation));
            files.until_served(&router, generation, POLL)
        })
        .collect();
    eprintln!("rename → served by the poll alone, 1 route: {}", told(times));
}

#[test]
fn a_router_whose_diagnostics_nobody_takes_any_more_goes_on() {
    let files = Files::new(1);
    let place = tempfile::tempdir().unwrap();
    renamed(place.path(), &files.generation(1));
    let router = Router::start(&place.path().join("merged.json"), &[], &[]);
    router.until_ready();
    router.stop_listening();
    // The line about the first of them is the last that is read; those about the others cannot be written.
    for generation in 2..6 {
        renamed(place.path(), &files.generation(generation));
        files.until_served(&router, generation, POLL * 5);
    }
    assert!(!router.diagnostics().contains("\"generation\":3"), "{}", router.diagnostics());
}

#[test]
fn a_rename_of_ten_thousand_routes_is_served_soon() {
    let files = Files::new(10_000);
    for (how, events, renames) in [
        ("by events", "true", runs("renames of 10 000 routes", 20, 100)),
        ("by the poll alone", "false", runs("renames of 10 000 routes, polled", 2, 20)),
    ] {
        let place = tempfile::tempdir().unwrap();
        renamed(place.path(), &files.generation(1));
        let router = Router::start(&place.path().join("merged.json"), &[], &[("POSTERN_ROUTER_WATCH_EVENTS", events)]);
        eventually_within(Duration::from_secs(60), "ten thousand routes", || {
            (router.snapshot()["routes"] == 10_000).then_some(())
        });
        let times: Vec<Duration> = (2..renames as u64 + 2)
            .map(|generation| {
                let bytes = files.generation(generation);
                renamed(place.path(), &bytes);
                files.until_served(&router, generation, Duration::from_secs(30))
            })
            .collect();
        let worst = times.iter().max().copied().unwrap();
        eprintln!("rename → served {how}, 10 000 routes: {}", told(times));
        let read = router.metric("postern_config_read_seconds");
        let compile = router.metric("postern_config_compile_seconds");
        eprintln!("of the last: {:.1} ms reading and checking, {:.1} ms compiling", read * 1e3, compile * 1e3);
        // Generous without optimisation, beside other tests: the figure is in docs/measurements.md.
        let bound = if cfg!(debug_assertions) { 3 * POLL } else { POLL };
        assert!(worst <= bound, "{worst:?}");
    }
}

/// Generations of one file, told apart by what the destination of `/probe` is asked for.
struct Files {
    origin: Origin,
    first: String,
}

const MARK: &str = "gen0000000001";

impl Files {
    fn new(routes: usize) -> Self {
        let origin = Origin::named("probe");
        let port = origin.port();
        let mut registrations: Vec<String> = (1..routes)
            .map(|number| registration(&format!("/r{number:05}"), port, "match: {methods: [GET]}"))
            .collect();
        let probe = registration("/probe", port, "");
        registrations.push(probe.replace(&format!(":{port}"), &format!(":{port}/{MARK}")));
        let first = merged_file(1, &boundary_with(&[port], ""), &registrations);
        Self { origin, first: String::from_utf8(first).unwrap() }
    }

    fn generation(&self, generation: u64) -> Vec<u8> {
        let text = self.first.replace(MARK, &format!("gen{generation:010}"));
        let text = text.replacen("\"generation\": 1,", &format!("\"generation\": {generation},"), 1);
        let (covered, _) = text.split_at(text.rfind("\"digest\": ").unwrap());
        let digest = Digest::of(covered.as_bytes());
        format!("{covered}\"digest\": \"{digest}\"\n}}\n").into_bytes()
    }

    /// Waits for the first answer that this generation gave, and tells how long that took.
    fn until_served(&self, router: &Router, generation: u64, patience: Duration) -> Duration {
        let began = Instant::now();
        let wanted = format!("probe GET /gen{generation:010}/probe");
        let mut client = Client::connect(router.address());
        let request = Request::new("GET", "/probe");
        eventually_within(patience, &format!("generation {generation}"), || {
            (client.send(&request).text() == wanted).then_some(())
        });
        assert!(self.origin.connections() > 0);
        began.elapsed()
    }
}

/// Puts a file into place as the syncer does, without waiting for the disk: the last step is the rename.
fn renamed(directory: &Path, bytes: &[u8]) {
    let temporary = directory.join(".merged.json.new");
    fs::write(&temporary, bytes).unwrap();
    fs::rename(&temporary, directory.join("merged.json")).unwrap();
}

fn told(mut times: Vec<Duration>) -> String {
    times.sort();
    let at = |share: usize| times[(times.len() * share).div_ceil(100).max(1) - 1].as_secs_f64() * 1e3;
    format!("p50 {:.1} ms, p99 {:.1} ms, most {:.1} ms of {}", at(50), at(99), at(100), times.len())
}
