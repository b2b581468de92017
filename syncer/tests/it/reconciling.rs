//! The loop in-process, on files: what it does when a store fails, comes back, or never was there.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use postern_config::condition::Status as ConditionStatus;
use postern_syncer::admin::{self, Admin};
use postern_syncer::publish::Publisher;
use postern_syncer::reconcile::{self, Reconciler, Requests, Shared, Stores};
use postern_syncer::settings::Settings;
use postern_syncer::source::boundary::BoundarySource;
use postern_syncer::source::registrations::RegistrationsSource;
use postern_syncer::source::{Clients, Location};
use postern_syncer::status::{Status, View};
use tokio::sync::oneshot;

use crate::scene;
use crate::stub::{self, Reply};

/// Waits for what a test expects; fails when it does not come.
pub(crate) fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "what was waited for did not come");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// A syncer on files of its own, on a thread of its own.
struct Running {
    status: Arc<Status>,
    requests: Arc<Requests>,
    admin: std::net::SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        std::fs::create_dir(place.path("registrations")).unwrap();
        place.write("boundary.yaml", scene::BOUNDARY);
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Replaces a file as an editor does.
    fn write(&self, name: &str, text: &str) {
        let temporary = self.path("writing");
        std::fs::write(&temporary, text).unwrap();
        std::fs::rename(&temporary, self.path(name)).unwrap();
    }

    fn register(&self, root: &str) {
        self.write(&format!("registrations/{}.json", root.trim_matches('/')), &scene::good(root).to_string());
    }

    fn start(&self, routers: Vec<String>) -> Running {
        let settings = Settings {
            interval: "20ms".parse().unwrap(),
            routers,
            shrink_grace: "1s".parse().unwrap(),
            ..Settings::default()
        };
        let location = |path: PathBuf| Location::Path(path);
        let clients = Clients::default();
        let time = Duration::from_secs(1);
        let stores = Stores {
            boundary: BoundarySource::open(&location(self.path("boundary.yaml")), &clients, time).unwrap(),
            registrations: RegistrationsSource::open(&location(self.path("registrations")), &clients, time).unwrap(),
        };
        let reconciler = Reconciler::new(Publisher::open(&self.path("out"), None).unwrap(), &settings);
        run(stores, reconciler, settings)
    }
}

fn run(stores: Stores, reconciler: Reconciler, settings: Settings) -> Running {
    let (status, requests) = (Arc::new(Status::default()), Arc::new(Requests::default()));
    let early = Arc::default();
    let (stop, stopped) = oneshot::channel();
    let (bound, address) = std::sync::mpsc::channel();
    let shown = Admin {
        status: Arc::clone(&status),
        requests: Arc::clone(&requests),
        early: Arc::clone(&early),
        interval: settings.interval.duration(),
        unhealthy_after: settings.unhealthy_after.duration(),
    };
    let (inner_status, inner_requests) = (Arc::clone(&status), Arc::clone(&requests));
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async move {
            let listener = admin::bind("127.0.0.1:0".parse().unwrap()).await.unwrap();
            bound.send(listener.local_addr().unwrap()).unwrap();
            tokio::spawn(admin::serve(listener, Arc::new(shown)));
            let shutdown = async { drop(stopped.await) };
            let shared = Shared { status: inner_status, requests: inner_requests, early };
            reconcile::run(stores, reconciler, &settings, shared, shutdown).await;
        });
    });
    Running { status, requests, admin: address.recv().unwrap(), stop: Some(stop), thread: Some(thread) }
}

impl Running {
    fn view(&self) -> Arc<View> {
        self.status.view()
    }

    fn until(&self, holds: impl Fn(&View) -> bool) {
        until(|| holds(&self.view()));
    }

    fn until_roots(&self, roots: &[&str]) {
        self.until(|view| {
            let content = view.content.as_ref();
            content
                .is_some_and(|content| content.routes.iter().map(|route| route.root.as_str()).eq(roots.iter().copied()))
        });
    }

    fn ask(&self, request: &str) -> String {
        use std::io::{Read, Write};
        let mut stream = std::net::TcpStream::connect(self.admin).unwrap();
        write!(stream, "{request} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        let ended = self.thread.take().unwrap().join();
        assert!(ended.is_ok() || std::thread::panicking());
    }
}

#[test]
fn a_change_in_either_store_is_carried_out() {
    let place = Place::new();
    place.register("/a");
    let running = place.start(Vec::new());
    running.until_roots(&["/a"]);
    place.register("/b");
    running.until_roots(&["/a", "/b"]);
    place.write("boundary.yaml", &scene::BOUNDARY.replace("*.internal.example.com", "*.other.example.com"));
    running.until_roots(&[]);
    assert!(running.ask("GET /conditions?id=/a").contains("DestinationNotAllowed"));
    assert_eq!(running.view().content.as_ref().unwrap().refused.len(), 2);
}

#[test]
fn a_store_that_fails_changes_nothing_and_does_not_hold_the_other_up() {
    let place = Place::new();
    place.register("/a");
    let running = place.start(Vec::new());
    running.until_roots(&["/a"]);
    for damage in ["", "hosts: [", "apiVersion: postern/v1\nkind: Boundary\nhosts: []\ndestinations: []"] {
        place.write("boundary.yaml", damage);
        running.until(|view| view.boundary.failing.is_some());
        let root = format!("/b{}", damage.len());
        place.register(&root);
        running.until_roots(&["/a", &root]);
        std::fs::remove_file(place.path(&format!("registrations{root}.json"))).unwrap();
        running.until_roots(&["/a"]);
        place.write("boundary.yaml", scene::BOUNDARY);
        running.until(|view| view.boundary.failing.is_none());
    }
    std::fs::rename(place.path("registrations"), place.path("away")).unwrap();
    running.until(|view| view.registrations.failing.is_some());
    place.write("boundary.yaml", &scene::BOUNDARY.replace("hosts: [api", "hosts: [www.example.com, api"));
    let digest = running.view().digest;
    running.until(|view| view.digest != digest);
    running.until_roots(&["/a"]);
    assert!(
        running.ask("GET /metrics").contains("source_failures_total{source=\"registrations\",reason=\"not_found\"}")
    );
}

#[test]
fn after_a_restart_what_stands_is_known() {
    let place = Place::new();
    place.register("/a");
    place.register("/b");
    drop({
        let running = place.start(Vec::new());
        running.until_roots(&["/a", "/b"]);
        running
    });
    // Neither store can be read: the file stays, to the byte.
    let file = std::fs::read(place.path("out/merged.json")).unwrap();
    std::fs::rename(place.path("registrations"), place.path("away")).unwrap();
    place.write("boundary.yaml", "nonsense");
    let running = place.start(Vec::new());
    running.until(|view| view.boundary.failing.is_some() && view.registrations.failing.is_some());
    assert_eq!(std::fs::read(place.path("out/merged.json")).unwrap(), file);
    // Only the boundary can: what it removes goes, although nobody can read the registrations.
    place.write("boundary.yaml", &scene::BOUNDARY.replace("*.internal.example.com", "*.other.example.com"));
    running.until_roots(&[]);
    place.write("boundary.yaml", scene::BOUNDARY);
    std::fs::rename(place.path("away"), place.path("registrations")).unwrap();
    running.until_roots(&["/a", "/b"]);
    drop(running);
    // Only the registrations can: they are held against the boundary that stands in the file.
    std::fs::remove_file(place.path("boundary.yaml")).unwrap();
    place.register("/c");
    place.start(Vec::new()).until_roots(&["/a", "/b", "/c"]);
}

#[test]
fn a_bad_file_is_one_refused_registration() {
    let place = Place::new();
    place.register("/a");
    place.write("registrations/b.yaml", "root: /b\nowner: team\ndestination: {url: https://a.internal.example.com}\n");
    let running = place.start(Vec::new());
    running.until_roots(&["/a", "/b"]);
    place.write("registrations/b.yaml", "root: /b\nowner: [");
    running.until(|view| view.content.as_ref().is_some_and(|content| content.refused.len() == 1));
    running.until_roots(&["/a", "/b"]);
    assert!(running.ask("GET /conditions?id=b.yaml").contains("SchemaInvalid"));
    // Hidden files, other endings and directories are none of ours.
    place.write("registrations/.hidden.yaml", "[");
    place.write("registrations/README.md", "[");
    std::fs::create_dir(place.path("registrations/dir.yaml")).unwrap();
    place.write("registrations/b.yaml", "# taken out for now\n");
    running.until_roots(&["/a"]);
    assert_eq!(running.view().content.as_ref().unwrap().refused.len(), 0);
}

#[test]
fn the_shrink_guard_holds_until_it_is_sure_or_told() {
    let place = Place::new();
    (0..10).for_each(|number| place.register(&format!("/r{number}")));
    let running = place.start(Vec::new());
    running.until(|view| view.content.as_ref().is_some_and(|content| content.routes.len() == 10));
    let empty = || {
        std::fs::read_dir(place.path("registrations"))
            .unwrap()
            .for_each(|file| std::fs::remove_file(file.unwrap().path()).unwrap())
    };
    empty();
    running.until(|view| view.hold.is_some());
    assert!(running.ask("GET /metrics").contains("postern_syncer_held_routes 10"));
    running.until_roots(&[]);
    assert!(running.view().hold.is_none());
    (0..10).for_each(|number| place.register(&format!("/r{number}")));
    running.until(|view| view.content.as_ref().is_some_and(|content| content.routes.len() == 10));
    empty();
    running.until(|view| view.hold.is_some());
    let asked = Instant::now();
    assert!(running.ask("POST /release").contains("\"released\":10"));
    running.until_roots(&[]);
    assert!(asked.elapsed() < Duration::from_millis(900));
    running.requests.release();
    running.until_roots(&[]);
}

#[test]
fn a_file_that_somebody_damages_is_written_again() {
    let place = Place::new();
    place.register("/a");
    let running = place.start(Vec::new());
    running.until_roots(&["/a"]);
    let generation = |path: &Path| {
        let bytes = std::fs::read(path).unwrap_or_default();
        postern_config::merged::read(&bytes, None).ok().map(|reading| reading.header.generation)
    };
    let file = place.path("out/merged.json");
    for (damage, expected) in [("", 2), ("half {", 3)] {
        std::fs::write(&file, damage).unwrap();
        until(|| generation(&file) == Some(expected));
    }
    std::fs::remove_file(&file).unwrap();
    until(|| generation(&file) == Some(4));
}

#[test]
fn programmed_is_what_the_routers_say() {
    let place = Place::new();
    place.register("/a");
    let serves: Arc<std::sync::Mutex<(u64, String)>> = Arc::default();
    let told = Arc::clone(&serves);
    let router = stub::serve(move |asked| {
        assert_eq!((asked.method.as_str(), asked.path.as_str()), ("GET", "/snapshot"));
        let (generation, digest) = told.lock().unwrap().clone();
        Reply::new(200, serde_json::json!({"generation": generation, "digest": digest}).to_string())
    });
    let running = place.start(vec![router.to_string()]);
    let programmed =
        |status: ConditionStatus| running.until(|view| view.generation == 1 && view.programmed.status == status);
    programmed(ConditionStatus::False);
    // The right number with another digest is another file.
    *serves.lock().unwrap() = (1, "sha256:00".to_owned());
    programmed(ConditionStatus::False);
    *serves.lock().unwrap() = (1, running.view().digest.unwrap().to_string());
    programmed(ConditionStatus::True);
    assert!(running.ask("GET /conditions?id=/a%23default").contains("1 of 1 routers serve generation 1"));
    *serves.lock().unwrap() = (2, String::new());
    programmed(ConditionStatus::True);
}

#[test]
fn the_admin_address_answers_what_it_knows_and_nothing_else() {
    let place = Place::new();
    place.register("/a");
    let running = place.start(Vec::new());
    running.until_roots(&["/a"]);
    for (request, expected) in [
        ("GET /healthz", "HTTP/1.1 200"),
        ("HEAD /metrics", "HTTP/1.1 200"),
        ("GET /conditions", "\"id\": \"/a#default\""),
        ("GET /conditions?id=/b", "\"registrations\": [\n\n]"),
        ("GET /release", "HTTP/1.1 405"),
        ("POST /healthz", "HTTP/1.1 405"),
        ("DELETE /conditions", "HTTP/1.1 405"),
        ("GET /nothing", "HTTP/1.1 404"),
        ("POST /release", "HTTP/1.1 202"),
        ("POST /release HTTP/1.1\r\nOrigin: http://evil.example.net\r\nX: y\r\nZ:", "HTTP/1.1 403"),
    ] {
        let answer = running.ask(request);
        assert!(answer.contains(expected), "{request}: {answer}");
    }
}
