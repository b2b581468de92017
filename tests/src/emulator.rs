//! The S3 and DynamoDB emulator: a process of its own that speaks the real wire protocols.

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::checkout;

/// A running emulator, empty at first. Killed when dropped.
pub struct Emulator {
    child: Child,
    address: SocketAddr,
}

impl Emulator {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let mut child = Command::new(python())
            .arg(checkout().join("tools/emulator.py"))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; make emulator installs it", python().display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("ready: http://").expect("the emulator says where it listens");
        Self { address: address.parse().unwrap(), child }
    }

    /// Where it listens, as a URL.
    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The environment that leads the SDKs to it.
    pub fn environment(&self) -> Vec<(String, String)> {
        let own = CREDENTIALS.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        own.chain([("AWS_ENDPOINT_URL".to_owned(), self.endpoint())]).collect()
    }

    /// Runs a Python program of the checkout against it, or `-c` and a text.
    pub fn python(&self, arguments: &[&str]) -> crate::Output {
        let output =
            Command::new(python()).args(arguments).envs(self.environment()).current_dir(checkout()).output().unwrap();
        crate::Output {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        }
    }
}

impl Drop for Emulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The interpreter that `make emulator` sets up.
fn python() -> PathBuf {
    std::env::var_os("POSTERN_TEST_PYTHON").map_or_else(|| checkout().join(".venv/bin/python"), PathBuf::from)
}

const CREDENTIALS: [(&str, &str); 4] = [
    ("AWS_ACCESS_KEY_ID", "test"),
    ("AWS_SECRET_ACCESS_KEY", "test"),
    ("AWS_REGION", "eu-west-1"),
    ("AWS_DEFAULT_REGION", "eu-west-1"),
];
