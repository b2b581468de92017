//! The emulator of S3, DynamoDB, Secrets Manager and Parameter Store: a process of its own that speaks the real wire protocols.

use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::checkout;
use crate::process::{Output, output_of};

/// A running emulator, empty at first. Killed when dropped.
pub struct Emulator {
    child: Child,
    address: SocketAddr,
}

/// A bucket and a table of one test's own, in an emulator that others may use too.
pub struct Stores {
    endpoint: String,
    bucket: String,
    table: String,
    status: String,
}

impl Emulator {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let free = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        Self::start_at(free)
    }

    /// Starts one where another has been, empty again.
    pub fn start_at(address: SocketAddr) -> Self {
        let mut child = Command::new(python())
            .args(["tools/emulator.py", "--port", &address.port().to_string()])
            .current_dir(checkout())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; make emulator installs it", python().display()));
        let mut line = String::new();
        let out = child.stdout.take().unwrap();
        BufReader::new(out).read_line(&mut line).unwrap();
        assert!(line.starts_with("ready: "), "the emulator did not start: make emulator installs it");
        Self { child, address }
    }

    /// One for all tests that leave it as it is; it ends with the test's process.
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Emulator> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment that leads the SDKs to it.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.endpoint())
    }

    /// Runs a Python program of the checkout against it, or `-c` and a text.
    pub fn python(&self, arguments: &[&str]) -> Output {
        run_python(arguments, &self.endpoint())
    }

    /// Runs Python with `secrets` (Secrets Manager) and `ssm` at hand; fails the test when it fails.
    pub fn secrets(&self, text: &str) {
        let head = "import boto3\nsecrets, ssm = boto3.client('secretsmanager'), boto3.client('ssm')\n";
        let output = run_python(&["-c", &format!("{head}{text}")], &self.endpoint());
        assert_eq!(output.code, 0, "{}", output.err);
    }

    /// A bucket and a table that no other test uses, not made yet.
    pub fn stores(&self) -> Stores {
        Stores::at(&self.endpoint())
    }

    /// Sends a signal: `STOP` makes a store that takes connections and never answers.
    pub fn signal(&self, signal: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([&format!("-{signal}"), &id]).status().unwrap().success());
    }

    /// Ends it, and waits until it has ended.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Stores {
    /// At an address that speaks the stores' protocols.
    pub fn at(endpoint: &str) -> Self {
        static NUMBER: AtomicUsize = AtomicUsize::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let suffix = format!("{}-{number}", std::process::id());
        Self {
            endpoint: endpoint.to_owned(),
            bucket: format!("postern-config-{suffix}"),
            table: format!("postern-registrations-{suffix}"),
            status: format!("postern-status-{suffix}"),
        }
    }

    /// The same bucket and table through another address.
    pub fn through(&self, endpoint: &str) -> Self {
        let (bucket, table, status) = (self.bucket.clone(), self.table.clone(), self.status.clone());
        Self { endpoint: endpoint.to_owned(), bucket, table, status }
    }

    /// The boundary's address.
    pub fn boundary(&self) -> String {
        format!("s3://{}/boundary.yaml", self.bucket)
    }

    /// The registrations' address.
    pub fn registrations(&self) -> String {
        format!("dynamodb://{}", self.table)
    }

    /// The status table's address.
    pub fn status(&self) -> String {
        format!("dynamodb://{}", self.status)
    }

    /// The table's name.
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The environment that leads the SDKs there.
    pub fn environment(&self) -> Vec<(String, String)> {
        environment(&self.endpoint)
    }

    /// Runs `localstack/seed.py`, the script that docker-compose runs, on a boundary and registrations of the
    /// test's own.
    pub fn seed(&self, boundary: &str, registrations: &[String]) -> Output {
        let directory = tempfile::tempdir().unwrap();
        let path = |name: &str| directory.path().join(name);
        std::fs::write(path("boundary.yaml"), boundary).unwrap();
        std::fs::create_dir(path("registrations")).unwrap();
        for (number, text) in registrations.iter().enumerate() {
            std::fs::write(path("registrations").join(format!("{number:06}.yaml")), text).unwrap();
        }
        let (boundary, registrations) = (path("boundary.yaml"), path("registrations"));
        run_python(
            &[
                "localstack/seed.py",
                "--bucket",
                &self.bucket,
                "--table",
                &self.table,
                "--status-table",
                &self.status,
                "--boundary",
                boundary.to_str().unwrap(),
                "--registrations",
                registrations.to_str().unwrap(),
            ],
            &self.endpoint,
        )
    }

    /// Runs it on the samples that stand beside it.
    pub fn seed_samples(&self) -> Output {
        let (bucket, table, status) = (&*self.bucket, &*self.table, &*self.status);
        let tables = ["localstack/seed.py", "--bucket", bucket, "--table", table, "--status-table", status];
        run_python(&tables, &self.endpoint)
    }

    /// Runs Python with `s3`, `dynamodb`, `bucket` and `table` at hand; fails the test when it fails.
    pub fn python(&self, text: &str) -> String {
        let head = format!(
            "import boto3, json\nfrom botocore.config import Config\n\
             s3 = boto3.client('s3', config=Config(s3={{'addressing_style': 'path'}}))\n\
             dynamodb = boto3.client('dynamodb')\nbucket, table, status, key = {:?}, {:?}, {:?}, 'boundary.yaml'\n",
            self.bucket, self.table, self.status
        );
        let output = run_python(&["-c", &format!("{head}{text}")], &self.endpoint);
        assert_eq!(output.code, 0, "{}", output.err);
        output.out
    }

    /// Replaces the boundary object.
    pub fn put_boundary(&self, text: &str) {
        let text = serde_json::to_string(text).unwrap();
        self.python(&format!("s3.put_object(Bucket=bucket, Key=key, Body={text}.encode())"));
    }

    /// Runs the syncer's binary against the stores.
    pub fn syncer(&self, arguments: &[&str]) -> Output {
        let mut command = Command::new(crate::command("postern-syncer"));
        output_of(command.args(arguments).envs(self.environment()))
    }

    /// `postern-syncer route apply` of a text.
    pub fn apply(&self, text: &str) -> Output {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), text).unwrap();
        self.syncer(&["route", "apply", file.path().to_str().unwrap(), "--registrations", &self.registrations()])
    }
}

fn run_python(arguments: &[&str], endpoint: &str) -> Output {
    output_of(Command::new(python()).args(arguments).envs(environment(endpoint)).current_dir(checkout()))
}

fn environment(endpoint: &str) -> Vec<(String, String)> {
    let own = CREDENTIALS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    own.chain([("AWS_ENDPOINT_URL".to_owned(), endpoint.to_owned())]).collect()
}

/// Runs a Python program of the checkout, without any store.
pub fn python_program(arguments: &[&str]) -> Output {
    output_of(Command::new(python()).args(arguments).current_dir(checkout()))
}

/// The interpreter that `make emulator` sets up.
pub(crate) fn python() -> PathBuf {
    std::env::var_os("POSTERN_TEST_PYTHON").map_or_else(|| checkout().join(".venv/bin/python"), PathBuf::from)
}

const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_DEFAULT_REGION", "eu-west-1"),
];
