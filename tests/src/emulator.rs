//! The S3 and DynamoDB emulator: a process of its own that speaks the real wire protocols.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::checkout;
use crate::wait::eventually_within;

/// A running emulator, empty at first. Killed when dropped.
pub struct Emulator {
    child: Child,
    address: SocketAddr,
}

impl Emulator {
    /// Starts one on a free port.
    pub fn start() -> Self {
        let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let program = python().with_file_name("moto_server");
        let child = Command::new(&program)
            .args(["-H", "127.0.0.1", "-p", &address.port().to_string()])
            .envs(CREDENTIALS)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; make emulator installs it", program.display()));
        let emulator = Self { child, address };
        eventually_within(std::time::Duration::from_secs(60), "the emulator", || TcpStream::connect(address).ok());
        emulator
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
