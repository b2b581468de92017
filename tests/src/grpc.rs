//! gRPC as others speak it: Python's own client and server, each a process.

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::checkout;
use crate::emulator::python;

/// A server of `test.Echo`, the contract that `tests/grpc/server.py` tells. Killed when dropped.
pub struct GrpcServer {
    child: Child,
    port: u16,
}

impl GrpcServer {
    /// One that speaks HTTP/2 in the clear.
    pub fn start() -> Self {
        Self::launch(&[])
    }

    /// One that speaks it over TLS, with this certificate and key.
    pub fn secure(certificate: &Path, key: &Path) -> Self {
        Self::launch(&[certificate, key])
    }

    fn launch(arguments: &[&Path]) -> Self {
        let mut child = Command::new(python())
            .arg("tests/grpc/server.py")
            .args(arguments)
            .current_dir(checkout())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{}: {error}; make emulator installs it", python().display()));
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let port =
            line.trim().parse().unwrap_or_else(|_| panic!("the server did not start: make emulator installs it"));
        Self { child, port }
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Ends it without a word.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Drop for GrpcServer {
    fn drop(&mut self) {
        self.kill();
    }
}
