//! The product's processes, as people start them.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::client::{Answer, Client, Request};
use crate::origin::{Origin, Received};
use crate::wait::{eventually, eventually_within};

/// The path of one of the product's binaries, beside the test's own.
pub fn command(name: &str) -> PathBuf {
    let own = std::env::current_exe().unwrap();
    let path = own.parent().and_then(Path::parent).unwrap().join(name);
    assert!(path.is_file(), "{} is not built: make build", path.display());
    path
}

/// What a command printed, and how it ended.
#[derive(Debug)]
pub struct Output {
    /// Its exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

/// Runs one of the product's binaries to its end.
pub fn run(name: &str, arguments: &[&str]) -> Output {
    run_in(name, arguments, &[])
}

/// The same with more variables of the environment.
pub fn run_in(name: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    output_of(Command::new(command(name)).args(arguments).envs(environment.iter().copied()))
}

/// Runs a command to its end.
pub(crate) fn output_of(command: &mut Command) -> Output {
    let output = command.stdin(Stdio::null()).output().unwrap();
    Output {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8_lossy(&output.stdout).into_owned(),
        err: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// A running process whose output is read as it comes. Killed when dropped.
struct Running {
    child: Child,
    out: Arc<Mutex<String>>,
    err: Arc<Mutex<String>>,
    deaf: Arc<AtomicBool>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let deaf: Arc<AtomicBool> = Arc::default();
        let out = collect(child.stdout.take().unwrap(), Arc::default());
        let err = collect(child.stderr.take().unwrap(), Arc::clone(&deaf));
        Self { child, out, err, deaf }
    }

    fn out(&self) -> String {
        self.out.lock().unwrap().clone()
    }

    fn err(&self) -> String {
        self.err.lock().unwrap().clone()
    }

    fn signal(&self, signal: &str) {
        let status = Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status().unwrap();
        assert!(status.success());
    }

    fn wait(&mut self, patience: Duration) -> ExitStatus {
        eventually_within(patience, "the process to end", || self.child.try_wait().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What is read of a stream, which is closed behind the first line that comes once nobody listens any more.
fn collect(stream: impl std::io::Read + Send + 'static, deaf: Arc<AtomicBool>) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let shared = Arc::clone(&text);
    std::thread::spawn(move || {
        for line in BufReader::new(stream).lines().map_while(Result::ok) {
            let mut text = shared.lock().unwrap();
            text.push_str(&line);
            text.push('\n');
            if deaf.load(Ordering::Relaxed) {
                return;
            }
        }
    });
    text
}

/// A running router.
pub struct Router {
    running: Running,
    addresses: Vec<SocketAddr>,
    admin: SocketAddr,
}

impl Router {
    /// Serves a merged file on free ports; ready when this returns.
    pub fn serve(merged: &Path) -> Self {
        let router = Self::start(merged, &[], &[]);
        router.until_ready();
        router
    }

    /// Starts with more flags and variables of the environment; perhaps not ready yet.
    pub fn start(merged: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let flags: Vec<&str> = std::iter::once("--allow-loopback-destinations").chain(flags.iter().copied()).collect();
        Self::start_strict(merged, &flags, environment)
    }

    /// The same without the flag that lets loopback destinations be dialled.
    pub fn start_strict(merged: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        Self::launch(Command::new(command("postern-router")), merged, flags, environment)
    }

    /// The same in a mount namespace of its own, behind a line of shell that runs there first.
    pub fn start_behind(mounts: &str, merged: &Path, environment: &[(&str, &str)]) -> Self {
        let mut launcher = Command::new("unshare");
        launcher.args(["--mount", "sh", "-ec", &format!("{mounts}\nexec \"$@\""), "sh"]).arg(command("postern-router"));
        Self::launch(launcher, merged, &["--allow-loopback-destinations"], environment)
    }

    /// The same with room for so many open files.
    pub fn start_with_files(files: usize, merged: &Path, flags: &[&str]) -> Self {
        let mut launcher = Command::new("sh");
        launcher.args(["-ec", &format!("ulimit -n {files}\nexec \"$@\""), "sh"]).arg(command("postern-router"));
        let flags: Vec<&str> = std::iter::once("--allow-loopback-destinations").chain(flags.iter().copied()).collect();
        Self::launch(launcher, merged, &flags, &[])
    }

    /// Reads one more of its diagnostics, and then closes what they come by.
    pub fn stop_listening(&self) {
        self.running.deaf.store(true, Ordering::Relaxed);
    }

    /// Leaves the router room for so many open files, from now on.
    pub fn may_open(&self, files: usize) {
        let process = self.id().to_string();
        let set = Command::new("prlimit").args(["--pid", &process, &format!("--nofile={files}")]).status().unwrap();
        assert!(set.success(), "{set}");
    }

    fn launch(mut command: Command, merged: &Path, flags: &[&str], environment: &[(&str, &str)]) -> Self {
        command.args(["serve", "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"]);
        command.arg("--config").arg(merged).args(flags).envs(environment.iter().copied());
        let running = Running::start(command);
        let line = eventually("the router to listen", || {
            let err = running.err();
            err.lines().find(|line| line.contains("\"listening\"")).map(str::to_owned)
        });
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let addresses = line["fields"]["addresses"].as_str().unwrap().trim_matches(['[', ']']).to_owned();
        let addresses = addresses.split(", ").map(|address| address.parse().unwrap()).collect();
        let admin = line["fields"]["admin"].as_str().unwrap().parse().unwrap();
        Self { running, addresses, admin }
    }

    /// The address for clients, the first when there are several.
    pub fn address(&self) -> SocketAddr {
        self.addresses[0]
    }

    /// All addresses for clients: the one of `--listen`, then those of the settings.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// The admin address.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// The process.
    pub fn id(&self) -> u32 {
        self.running.child.id()
    }

    /// A connection to it.
    pub fn client(&self) -> Client {
        Client::connect(self.address())
    }

    /// One request on a connection of its own.
    pub fn send(&self, request: &Request) -> Answer {
        self.client().send(request)
    }

    /// `GET` on the host that test sites answer.
    pub fn get(&self, path: &str) -> Answer {
        self.send(&Request::new("GET", path))
    }

    /// What arrives at `origin` of a request that passes.
    pub fn passes(&self, origin: &Origin, request: &Request) -> Received {
        let answer = self.send(request);
        assert_eq!(answer.status, 200, "{}", answer.text());
        origin.last()
    }

    /// The reason of a request that has not proved who sends it, and of which nothing arrives at `origin`.
    pub fn refuses(&self, origin: &Origin, request: &Request) -> String {
        let before = origin.received().len();
        let answer = self.send(request);
        assert_eq!(origin.received().len(), before, "it came through: {}", answer.text());
        assert_eq!(answer.status, 401, "{}", answer.text());
        assert!(answer.header("www-authenticate").is_some());
        answer.reason().unwrap().to_owned()
    }

    /// Asks the admin listener.
    pub fn admin(&self, path: &str) -> Answer {
        Client::connect(self.admin).send(&Request::to_host("GET", "admin", path))
    }

    /// What it serves and what it refused.
    pub fn snapshot(&self) -> serde_json::Value {
        self.admin("/snapshot").json()
    }

    /// The value of a metric, by its whole name with labels.
    pub fn metric(&self, name: &str) -> f64 {
        let text = self.admin("/metrics").text();
        let line = text.lines().find(|line| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(' ')));
        line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).unwrap_or(0.0)
    }

    /// Waits until it is ready.
    pub fn until_ready(&self) {
        eventually("the router to be ready", || (self.admin("/readyz").status == 200).then_some(()));
    }

    /// How many files did not go live, for that reason or (`None`) for any.
    pub fn load_failures(&self, reason: Option<&str>) -> u64 {
        let failures = self.snapshot()["load_failures"].clone();
        let counts = failures.as_object().unwrap();
        let counted = counts.iter().filter(|(name, _)| reason.is_none_or(|reason| reason == name.as_str()));
        counted.map(|(_, count)| count.as_u64().unwrap()).sum()
    }

    /// Waits until it serves that generation.
    pub fn until_generation(&self, generation: u64) {
        eventually_within(Duration::from_secs(60), &format!("generation {generation}"), || {
            (self.snapshot()["generation"].as_u64() >= Some(generation)).then_some(())
        });
    }

    /// The access log so far, line by line.
    pub fn access_log(&self) -> Vec<serde_json::Value> {
        self.running.out().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }

    /// The line of the access log for a request.
    pub fn logged(&self, request_id: &str) -> serde_json::Value {
        eventually("the line of the access log", || {
            self.access_log().into_iter().find(|line| line["request_id"] == request_id)
        })
    }

    /// Its diagnostics.
    pub fn diagnostics(&self) -> String {
        self.running.err()
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        self.running.signal(signal);
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        self.running.wait(patience)
    }

    /// Resident memory, in bytes.
    pub fn resident(&self) -> u64 {
        resident(self.id())
    }
}

/// Resident memory of a process, in bytes.
pub fn resident(process: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() * 1024
}

/// A running syncer.
pub struct Syncer {
    running: Running,
    admin: SocketAddr,
}

impl Syncer {
    /// Reconciles two sources into a directory, quickly.
    pub fn run(boundary: &str, registrations: &str, out: &Path, environment: &[(&str, &str)]) -> Self {
        let mut command = Command::new(command("postern-syncer"));
        command.args(["run", "--interval", "200ms", "--admin", "127.0.0.1:0", "--allow-loopback-destinations"]);
        command.args(["--boundary", boundary, "--registrations", registrations, "--out"]).arg(out);
        command.envs(environment.iter().copied());
        let running = Running::start(command);
        let line = eventually("the syncer to listen", || {
            let err = running.err();
            err.lines().find(|line| line.contains("\"listening\"")).map(str::to_owned)
        });
        let line: serde_json::Value = serde_json::from_str(&line).unwrap();
        let admin = line["admin"].as_str().unwrap().parse().unwrap();
        Self { running, admin }
    }

    /// The admin address.
    pub fn admin_address(&self) -> SocketAddr {
        self.admin
    }

    /// Asks the admin listener.
    pub fn admin(&self, path: &str) -> Answer {
        Client::connect(self.admin).send(&Request::to_host("GET", "admin", path))
    }

    /// Sends a signal.
    pub fn signal(&self, signal: &str) {
        self.running.signal(signal);
    }

    /// Waits for its end.
    pub fn wait(&mut self, patience: Duration) -> ExitStatus {
        self.running.wait(patience)
    }

    /// Its diagnostics.
    pub fn diagnostics(&self) -> String {
        self.running.err()
    }

    /// What it wrote to standard output.
    pub fn output(&self) -> String {
        self.running.out()
    }
}
