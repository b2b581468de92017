//! What a pipeline is told that waits: three tasks on the same stores, one of which lags, is down or sees something else.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use postern_tests::{
    Emulator, Front, Origin, Output, Router, Stores, Syncer, aws_error, boundary_with, command, eventually,
    eventually_within, is_call, registration,
};
use serde_json::Value;

/// Longer than a heartbeat counts.
const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_registration_is_served_when_all_three_tasks_serve_it() {
    let world = World::new();
    let applied = world.apply(&registration("/new", world.port(), ""), "--wait");
    assert_eq!(applied.code, 0, "{applied:?}");
    assert_eq!(applied.out, "applied /new#default version 1\nserved /new#default version 1: 3 tasks\n");
    // It means what it says: each of them, at once.
    for task in &world.tasks {
        assert_eq!(task.router.get("/new/1").status, 200);
    }
    let again = world.apply(&registration("/new", world.port(), ""), "--wait");
    assert_eq!(
        (again.code, &*again.out),
        (0, "unchanged /new#default version 1\nserved /new#default version 1: 3 tasks\n")
    );

    let got = world.get("/new", &[]);
    assert!(got.contains("Accepted=True Accepted (since 2"), "{got}");
    assert!(got.contains("ResolvedRefs=True ResolvedRefs (since 2"), "{got}");
    assert!(got.contains("Programmed=True Programmed: 3/3 tasks (since 2"), "{got}");
    let got: Value = serde_json::from_str(&world.get("/new", &["--output", "json"])).unwrap();
    let states: Vec<_> = got["tasks"].as_array().unwrap().iter().map(|task| (&task["task"], &task["state"])).collect();
    assert_eq!(
        format!("{states:?}"),
        r#"[(String("one"), String("serving")), (String("three"), String("serving")), (String("two"), String("serving"))]"#
    );
    assert_eq!(got["conditions"][2]["message"], "3/3 tasks");

    // Taken back, it leaves nothing behind.
    let table = world.stores.registrations();
    let deleted = world.stores.syncer(&["route", "delete", "/new", "--owner", "team", "--registrations", &table]);
    assert_eq!(deleted.code, 0, "{deleted:?}");
    eventually_within(PATIENCE, "its entry to go", || {
        (!world.posted().contains(&"/new#default".to_owned())).then_some(())
    });
    assert_eq!(world.posted(), ["/orders#default"]);
}

#[test]
fn one_that_was_taken_back_and_made_anew_is_not_taken_for_the_one_before() {
    let world = World::new();
    for methods in ["GET", "PUT"] {
        let text = registration("/new", world.port(), &format!("match: {{methods: [{methods}]}}"));
        assert_eq!(world.apply(&text, "--wait").code, 0);
    }
    // Nobody can post or take away anything while it goes and comes back, so its entry still says version 2, accepted.
    for task in &world.tasks {
        task.syncer.signal("STOP");
    }
    let table = world.stores.registrations();
    let deleted = world.stores.syncer(&["route", "delete", "/new", "--owner", "team", "--registrations", &table]);
    assert_eq!(deleted.code, 0, "{deleted:?}");
    let late = world.apply(&registration("/new", world.port(), ""), "--wait=2s");
    assert_eq!((late.code, &*late.out), (1, "applied /new#default version 1\n"), "{late:?}");
    assert!(late.err.contains("no task has told what became of /new#default version 1"), "{}", late.err);
    for task in &world.tasks {
        task.syncer.signal("CONT");
    }
    let applied = world.apply(&registration("/new", world.port(), ""), "--wait");
    assert!(applied.code == 0 && applied.out.ends_with("version 1: 3 tasks\n"), "{applied:?}");
    for task in &world.tasks {
        assert_eq!(task.router.send(&postern_tests::Request::new("POST", "/new")).status, 200);
    }
}

#[test]
fn a_router_that_stands_still_is_waited_for() {
    let world = World::new();
    world.tasks[1].router.signal("STOP");
    let mut waiting = world.waiting(&registration("/new", world.port(), ""), "--wait=90s");
    waiting.until_said("waiting: 2/3 tasks, two ");
    assert!(waiting.child.try_wait().unwrap().is_none());
    let got = world.get("/new", &[]);
    assert!(got.contains("Programmed=False AwaitingRouters: 2/3 tasks, two serves"), "{got}");
    assert!(got.contains("    two lags: serves"), "{got}");
    world.tasks[1].router.signal("CONT");
    assert_eq!(
        waiting.end(),
        (0, "applied /new#default version 1\nserved /new#default version 1: 3 tasks\n".to_owned())
    );
    assert_eq!(world.tasks[1].router.get("/new").status, 200);
}

#[test]
fn a_task_that_is_down_counts_until_its_heartbeat_is_over() {
    let mut world = World::new();
    let mut gone = world.tasks.remove(2);
    gone.syncer.signal("KILL");
    gone.router.signal("KILL");
    gone.syncer.wait(Duration::from_secs(5));
    let mut waiting = world.waiting(&registration("/new", world.port(), ""), "--wait=90s");
    waiting.until_said("waiting: 2/3 tasks, three serves 1");
    assert_eq!(
        waiting.end(),
        (0, "applied /new#default version 1\nserved /new#default version 1: 2 tasks\n".to_owned())
    );
    let got = world.get("/new", &[]);
    assert!(got.contains("Programmed=True Programmed: 2/2 tasks") && got.contains("three gone: has said"), "{got}");

    // One that ends as it is asked to says so itself.
    let mut other = world.tasks.remove(1);
    other.syncer.signal("TERM");
    other.syncer.wait(Duration::from_secs(10));
    let applied = world.apply(&registration("/newer", world.port(), ""), "--wait");
    assert!(applied.out.ends_with("served /newer#default version 1: 1 tasks\n"), "{applied:?}");
}

#[test]
fn one_that_is_refused_ends_the_wait_at_once_with_the_reason() {
    let world = World::new();
    // Another one would be waited for in vain: the refusal comes first.
    world.tasks[0].router.signal("STOP");
    let began = Instant::now();
    let elsewhere = "root: /pay\nowner: team\ndestination: {url: 'https://evil.example.net'}\n";
    let both = format!("{}---\n{elsewhere}", registration("/new", world.port(), ""));
    let refused = world.apply(&both, "--wait=85s");
    assert_eq!(refused.code, 1, "{refused:?}");
    assert!(
        refused.err.contains("/pay#default version 1 is refused\n    DestinationNotAllowed at /destination/url: "),
        "{}",
        refused.err
    );
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    world.tasks[0].router.signal("CONT");

    // What stood before is served on, which is not what was asked for.
    let bad = registration("/orders", world.port(), "").replace("localhost", "evil.example.net");
    let stale = world.apply(&bad, "--wait=60s");
    assert_eq!(stale.code, 1, "{stale:?}");
    assert!(stale.err.contains("/orders#default version 2 is not served as it was written"), "{}", stale.err);
    assert!(stale.err.contains("DestinationNotAllowed") && stale.err.contains("ServingLastGood"), "{}", stale.err);
    // And mended: the refusal of version 2 says nothing of version 3.
    let mended = world.apply(&registration("/orders", world.port(), "match: {methods: [GET]}"), "--wait=60s");
    assert_eq!(mended.code, 0, "{mended:?}");
    assert!(mended.out.ends_with("served /orders#default version 3: 3 tasks\n"), "{}", mended.out);

    let shadowed =
        world.apply(&registration("/orders", world.port(), "match: {methods: [GET]}\nname: second"), "--wait=60s");
    assert_eq!(shadowed.code, 1, "{shadowed:?}");
    assert!(shadowed.err.contains("ShadowedBy at /match: /orders#default holds"), "{}", shadowed.err);
}

#[test]
fn a_wait_that_is_over_says_what_is_missing() {
    let world = World::new();
    let pinned = world.stores.syncer(&["pin", "--admin", &world.tasks[0].syncer.admin_address().to_string()]);
    assert_eq!(pinned.code, 0, "{pinned:?}");
    let late = world.apply(&registration("/new", world.port(), ""), "--wait=4s");
    assert_eq!(late.code, 1, "{late:?}");
    assert!(
        late.err.contains("not served after 4s: 2/3 tasks, one generation 1 is pinned there since"),
        "{}",
        late.err
    );
    let late = world.apply_json(&registration("/new", world.port(), ""), "--wait=0s");
    assert_eq!(late[0]["outcome"]["served"], false, "{late}");

    // Nobody there is not everybody.
    let alone = Emulator::shared().stores();
    assert_eq!(alone.seed(&boundary_with(&[1], ""), &[]).code, 0);
    let nobody = apply(&alone, &registration("/new", 1, ""), "--wait=1s", &["--status", &alone.status()]);
    assert_eq!(nobody.code, 1);
    assert!(nobody.err.contains("no task is alive that could serve /new#default"), "{}", nobody.err);
    // A wait that could never end well writes nothing.
    for flags in [&[][..], &["--status", "s3://bucket/key"]] {
        let useless = apply(&alone, &registration("/other", 1, ""), "--wait=1s", flags);
        assert!(useless.code == 2 && useless.out.is_empty(), "{useless:?}");
    }
    let wrong = apply(&alone, &registration("/other", 1, ""), "--wait=soon", &["--status", &alone.status()]);
    assert!(wrong.code == 2 && wrong.err.contains("--wait=soon"), "{wrong:?}");
    // The wrong table, on the other hand, is found out only then.
    let nowhere = apply(&alone, &registration("/other", 1, ""), "--wait=9s", &["--status", "dynamodb://nowhere"]);
    assert!(nowhere.code == 1 && nowhere.err.contains("it was written, but"), "{nowhere:?}");
}

#[test]
fn a_status_table_that_refuses_or_slows_us_down_hinders_no_route() {
    let front = Front::new();
    let world = World::through(&front);
    for (code, kind, reason) in
        [(400, "ProvisionedThroughputExceededException", "throttled"), (400, "AccessDeniedException", "forbidden")]
    {
        front.fail(move |request| {
            // Whatever goes to the status table, and nothing else.
            let to_status = String::from_utf8_lossy(&request.body).contains("postern-status-");
            (to_status && !is_call(request, "TransactWriteItems")).then(|| aws_error(code, kind))
        });
        let root = format!("/while-{reason}");
        assert_eq!(world.stores.apply(&registration(&root, world.port(), "")).code, 0);
        for task in &world.tasks {
            eventually_within(PATIENCE, "the route", || (task.router.get(&root).status == 200).then_some(()));
            eventually_within(PATIENCE, "the failure to be told", || {
                let told = task.syncer.admin("/conditions").json()["status"].clone();
                (told["heartbeat"]["failing"]["reason"] == reason && told["entries"]["failing"]["reason"] == reason)
                    .then_some(())
            });
            assert_eq!(task.syncer.admin("/healthz").status, 200);
            let metrics = task.syncer.admin("/metrics").text();
            assert!(metrics.contains("_status_up{what=\"heartbeat\"} 0"), "{metrics}");
            assert!(
                metrics.contains(&format!("source_failures_total{{source=\"status\",reason=\"{reason}\"}}")),
                "{metrics}"
            );
        }
        front.heal();
        // A task that was silent for long is no task any more until it is heard again.
        for task in &world.tasks {
            eventually_within(PATIENCE, "the heartbeat", || {
                task.syncer.admin("/conditions").json()["status"]["heartbeat"]["failing"].is_null().then_some(())
            });
        }
        let applied = world.apply(&registration(&root, world.port(), ""), "--wait=90s");
        assert!(applied.code == 0 && applied.out.ends_with("3 tasks\n"), "{applied:?}");
    }
}

#[test]
fn what_has_not_changed_is_not_posted_again() {
    let front = Front::new();
    let world = World::through(&front);
    assert_eq!(world.apply(&registration("/new", world.port(), ""), "--wait=60s").code, 0);
    let posts = || front.calls("PutItem");
    let (before, looks) = (posts(), front.calls("GetItem"));
    eventually("twenty more looks", || (front.calls("GetItem") >= looks + 60).then_some(()));
    // Heartbeats are put each five seconds; entries not at all.
    assert!(posts() - before <= 6, "{} puts", posts() - before);
    assert_eq!(front.calls("DeleteItem"), 0);
}

#[test]
fn directories_do_in_place_of_tables_and_one_syncer_in_place_of_a_status_table() {
    let origin = Origin::named("api");
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("boundary.yaml"), boundary_with(&[origin.port()], "")).unwrap();
    for name in ["registrations", "status"] {
        std::fs::create_dir(path(name)).unwrap();
    }
    let (boundary, registrations, status) = (path("boundary.yaml"), path("registrations"), path("status"));
    let tasks: Vec<Task> =
        ["one", "two"].iter().map(|name| Task::start(name, &boundary, &registrations, &status, &[])).collect();
    let file = path("new.yaml");
    std::fs::write(&file, registration("/new", origin.port(), "")).unwrap();
    eventually_within(PATIENCE, "two heartbeats", || {
        let beats = std::fs::read_dir(place.path().join("status/tasks")).ok()?.count();
        (beats == 2).then_some(())
    });
    let apply = |more: &[&str]| {
        let mut all = vec!["route", "apply", &*file, "--registrations", &*registrations];
        all.extend(more);
        postern_tests::run("postern-syncer", &all)
    };
    let applied = apply(&["--wait=60s", "--status", &status]);
    assert!(applied.code == 0 && applied.out.ends_with("version 1: 2 tasks\n"), "{applied:?}");
    for task in &tasks {
        assert_eq!(task.router.get("/new").status, 200);
    }
    tasks[0].router.signal("STOP");
    std::fs::write(&file, registration("/new", origin.port(), "match: {methods: [GET]}")).unwrap();
    let late = apply(&["--wait=3s", "--status", &status]);
    assert!(late.code == 1 && late.err.contains("1/2 tasks, one"), "{late:?}");
    // The syncer of the other task knows of its own router alone.
    let other = tasks[1].syncer.admin_address().to_string();
    let applied = apply(&["--wait=60s", &format!("--conditions-from={other}")]);
    assert!(applied.code == 0 && applied.out.ends_with("version 2: 1 tasks\n"), "{applied:?}");
    tasks[0].router.signal("CONT");

    std::fs::write(&file, "root: /bad\nowner: team\ndestination: {url: 'https://evil.example.net'}\n").unwrap();
    for told in [format!("--status={status}"), format!("--conditions-from={other}")] {
        let refused = apply(&["--wait=60s", &told]);
        assert!(refused.code == 1 && refused.err.contains("DestinationNotAllowed"), "{refused:?}");
    }
}

/// A syncer with a router of its own, as they stand in one task.
struct Task {
    syncer: Syncer,
    router: Router,
    _out: tempfile::TempDir,
}

impl Task {
    fn start(name: &str, boundary: &str, registrations: &str, status: &str, more: &[(String, String)]) -> Self {
        let out = tempfile::tempdir().unwrap();
        let router = Router::start(&out.path().join("merged.json"), &[], &[]);
        let routers = format!("[\"{}\"]", router.admin_address());
        let mut environment: Vec<(&str, &str)> = more.iter().map(|(name, value)| (&**name, &**value)).collect();
        environment.extend([
            ("POSTERN_SYNCER_STATUS", status),
            ("POSTERN_SYNCER_TASK", name),
            ("POSTERN_SYNCER_ROUTERS", &*routers),
            ("POSTERN_SYNCER_OPERATION_TIMEOUT", "2s"),
        ]);
        let syncer = Syncer::run(boundary, registrations, out.path(), &environment);
        router.until_ready();
        Self { syncer, router, _out: out }
    }
}

/// Three tasks on the same stores.
struct World {
    stores: Stores,
    tasks: Vec<Task>,
    origin: Origin,
}

impl World {
    fn new() -> Self {
        let stores = Emulator::shared().stores();
        let endpoint = Emulator::shared().endpoint();
        Self::started(stores, &endpoint)
    }

    /// The tasks reach the stores through `front`; the test does not.
    fn through(front: &Front) -> Self {
        Self::started(Emulator::shared().stores(), &front.endpoint())
    }

    fn started(stores: Stores, endpoint: &str) -> Self {
        let origin = Origin::named("api");
        let boundary = boundary_with(&[origin.port()], "");
        let seeded = stores.seed(&boundary, &[registration("/orders", origin.port(), "")]);
        assert_eq!(seeded.code, 0, "{}", seeded.err);
        let environment = stores.through(endpoint).environment();
        let start = |name: &&str| {
            Task::start(name, &stores.boundary(), &stores.registrations(), &stores.status(), &environment)
        };
        let tasks: Vec<Task> = ["one", "two", "three"].iter().map(start).collect();
        let world = Self { stores, tasks, origin };
        eventually_within(PATIENCE, "all tasks to serve what was seeded", || {
            world.get("/orders", &[]).contains("3/3 tasks").then_some(())
        });
        world
    }

    fn port(&self) -> u16 {
        self.origin.port()
    }

    /// `route apply` that waits.
    fn apply(&self, text: &str, wait: &str) -> Output {
        apply(&self.stores, text, wait, &["--status", &self.stores.status()])
    }

    fn apply_json(&self, text: &str, wait: &str) -> Value {
        let output = apply(&self.stores, text, wait, &["--status", &self.stores.status(), "--output", "json"]);
        serde_json::from_str(&output.out).unwrap_or_else(|_| panic!("{output:?}"))
    }

    /// The same, under way.
    fn waiting(&self, text: &str, wait: &str) -> Waiting {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        let said = tempfile::NamedTempFile::new().unwrap();
        let child = Command::new(command("postern-syncer"))
            .args(["route", "apply", file.path().to_str().unwrap(), wait])
            .args(["--registrations", &self.stores.registrations(), "--status", &self.stores.status()])
            .envs(self.stores.environment())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(said.reopen().unwrap())
            .spawn()
            .unwrap();
        Waiting { child, said, _file: file }
    }

    fn get(&self, id: &str, more: &[&str]) -> String {
        let (table, status) = (self.stores.registrations(), self.stores.status());
        let mut all = vec!["route", "get", id, "--registrations", &*table, "--status", &*status];
        all.extend(more);
        let output = self.stores.syncer(&all);
        assert_eq!(output.code, 0, "{output:?}");
        output.out
    }

    /// The ids of all registrations that something is posted of.
    fn posted(&self) -> Vec<String> {
        let told = self.stores.python(
            "print(json.dumps(sorted(i['id']['S'] for i in dynamodb.scan(TableName=status)['Items'] if i['id']['S'] != '#task')))",
        );
        serde_json::from_str(&told).unwrap()
    }
}

fn apply(stores: &Stores, text: &str, wait: &str, more: &[&str]) -> Output {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    let path = |path: &Path| path.to_str().unwrap().to_owned();
    let (file, table) = (path(file.path()), stores.registrations());
    let mut all = vec!["route", "apply", &*file, wait, "--registrations", &*table];
    all.extend(more);
    stores.syncer(&all)
}

/// A pipeline that waits.
struct Waiting {
    child: Child,
    said: tempfile::NamedTempFile,
    _file: tempfile::NamedTempFile,
}

impl Waiting {
    /// Waits until it said that on standard error.
    fn until_said(&self, text: &str) {
        eventually_within(PATIENCE, &format!("the pipeline to say {text:?}"), || {
            std::fs::read_to_string(self.said.path()).unwrap().contains(text).then_some(())
        });
    }

    /// Its exit code, and what it printed.
    fn end(&mut self) -> (i32, String) {
        let status = eventually_within(PATIENCE, "the pipeline to end", || self.child.try_wait().unwrap());
        let mut out = String::new();
        std::io::Read::read_to_string(self.child.stdout.as_mut().unwrap(), &mut out).unwrap();
        (status.code().unwrap(), out)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
