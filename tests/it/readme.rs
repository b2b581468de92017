//! A new user's first ten minutes: the README's commands, as they stand there.

use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use postern_tests::{checkout, eventually_within};

/// The lines of the README's shell blocks.
fn commands() -> Vec<String> {
    let text = std::fs::read_to_string(checkout().join("README.md")).unwrap();
    let blocks = text.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    blocks.flat_map(str::lines).map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect()
}

fn shell(line: &str) -> (i32, String) {
    let output = Command::new("sh").args(["-c", line]).current_dir(checkout()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap_or(-1), text)
}

/// `make demo`, ended with its whole group.
struct Demo {
    child: std::process::Child,
    text: Arc<Mutex<String>>,
}

impl Demo {
    fn start() -> Self {
        let mut command = Command::new("make");
        command.arg("demo").current_dir(checkout()).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Started by hand it has no make above it.
        for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS"] {
            command.env_remove(name);
        }
        let mut child = command.process_group(0).spawn().unwrap();
        let text = Arc::new(Mutex::new(String::new()));
        let streams: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for stream in streams {
            let text = Arc::clone(&text);
            std::thread::spawn(move || {
                use std::io::BufRead;
                for line in std::io::BufReader::new(stream).lines().map_while(Result::ok) {
                    text.lock().unwrap().push_str(&(line + "\n"));
                }
            });
        }
        Self { child, text }
    }

    fn text(&self) -> String {
        self.text.lock().unwrap().clone()
    }

    /// Ctrl-C: the terminal signals the whole group.
    fn interrupt(&self) {
        let group = format!("-{}", self.child.id());
        assert!(Command::new("kill").args(["-INT", "--", &group]).status().unwrap().success());
    }
}

impl Drop for Demo {
    fn drop(&mut self) {
        let group = format!("-{}", self.child.id());
        let _ = Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status();
        let _ = self.child.wait();
    }
}

#[test]
fn the_readmes_commands_do_what_it_says() {
    let commands = commands();
    assert!(commands.iter().any(|line| line == "make demo") && commands.iter().any(|line| line == "make test"));
    let mut demo = Demo::start();
    // A cold build is part of it.
    eventually_within(Duration::from_secs(900), "make demo to be ready", || {
        assert!(demo.child.try_wait().unwrap().is_none(), "make demo ended:\n{}", demo.text());
        demo.text().contains("ready: http://127.0.0.1:8080").then_some(())
    });
    let shown = demo.text();
    for line in commands.iter().filter(|line| line.starts_with("curl") || line.starts_with("sed")) {
        assert!(shown.contains(line.as_str()), "make demo does not print the README's line\n{line}\nbut\n{shown}");
    }
    let expected = [
        ("curl http://localhost:8080/orders/42", 0, "\"api\": \"orders\""),
        ("curl -s http://localhost:9902/conditions", 0, "ask operations to allow it"),
        ("sed -i", 0, "\"api\": \"invoices\""),
        ("target/debug/postern-router check", 1, "did you mean \\\"destinations\\\"?"),
        ("target/debug/postern-router explain", 0, "/orders#default answers"),
    ];
    for line in commands.iter().filter(|line| !line.starts_with("make")) {
        let (_, code, words) =
            expected.iter().find(|(start, ..)| line.starts_with(start)).unwrap_or_else(|| panic!("{line}"));
        if line.contains("check") {
            // The typo that the README asks for; what is served stays.
            assert_eq!(shell("sed -i s/^destinations:/destinatons:/ .demo/boundary.yaml").0, 0);
        }
        let (found, text) = shell(line);
        assert!(
            found == *code && text.contains(&words.replace("\\\"", "\"")),
            "{line}\nended with {found} and said\n{text}"
        );
    }
    let (_, text) = shell("curl -s http://localhost:8080/orders/42");
    assert!(text.contains("\"api\": \"invoices\""), "a typo in the boundary changed what is served: {text}");
    demo.interrupt();
    eventually_within(Duration::from_secs(20), "make demo to end on Ctrl-C", || demo.child.try_wait().unwrap());
    assert!(Command::new("curl").args(["-s", "http://localhost:8080/"]).status().unwrap().code() == Some(7));
}
