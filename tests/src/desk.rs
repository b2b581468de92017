//! Documents as people write them, on a disk, with the syncer's real passes over them.

use std::path::PathBuf;

use serde_json::Value;

use crate::documents::{Site, boundary_with, registration};
use crate::process::{Output, Syncer, run};

/// A boundary and registrations on a disk, as people write them, and what the syncer makes of them.
pub struct Desk {
    site: Site,
}

impl Desk {
    /// A desk with a boundary that lets the ports 1 and 2 of this machine be reached.
    pub fn new() -> Self {
        let desk = Self { site: Site::empty() };
        std::fs::create_dir(desk.path("registrations")).unwrap();
        desk.boundary("");
        desk
    }

    /// One with three generations: a second route, then the first one led elsewhere and is open.
    pub fn of_three_generations() -> Self {
        let desk = Self::new();
        desk.boundary("identity: {basic: [{name: ops, users: []}]}");
        desk.route("orders", 1, "version: 1\npolicies: {authentication: {any_of: ['basic:ops']}}");
        desk.publish();
        desk.route("bills", 1, "version: 1");
        desk.publish();
        desk.route("orders", 2, "version: 2");
        desk.publish();
        desk
    }

    /// A place on it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.site.path().join(name)
    }

    /// Writes the boundary, with more YAML behind it.
    pub fn boundary(&self, more: &str) {
        std::fs::write(self.path("boundary.yaml"), boundary_with(&[1, 2], more)).unwrap();
    }

    /// Writes a registration of `/NAME`.
    pub fn route(&self, name: &str, port: u16, more: &str) {
        let text = registration(&format!("/{name}"), port, more);
        std::fs::write(self.path(&format!("registrations/{name}.yaml")), text).unwrap();
    }

    /// Takes a registration away.
    pub fn remove(&self, name: &str) {
        std::fs::remove_file(self.path(&format!("registrations/{name}.yaml"))).unwrap();
    }

    /// Where the syncer writes.
    pub fn out(&self) -> String {
        self.path("out").display().to_string()
    }

    /// The flags that name both documents.
    pub fn source_arguments(&self, boundary: &str) -> [String; 4] {
        let text = |name: &str| self.path(name).display().to_string();
        ["--boundary".to_owned(), text(boundary), "--registrations".to_owned(), text("registrations")]
    }

    /// One pass.
    pub fn publish(&self) {
        let (source, out) = (self.source_arguments("boundary.yaml"), self.out());
        let mut arguments = vec!["run", "--once", "--allow-loopback-destinations", "--out", &out];
        arguments.extend(source.iter().map(String::as_str));
        let done = run("postern-syncer", &arguments);
        assert_eq!(done.code, 0, "{done:?}");
    }

    /// What the next pass would change, were the boundary that of this file.
    pub fn plan(&self, boundary: &str, more: &[&str]) -> Output {
        let (source, out) = (self.source_arguments(boundary), self.out());
        let mut arguments = vec!["plan", "--allow-loopback-destinations", "--out", &out];
        arguments.extend(source.iter().map(String::as_str));
        arguments.extend(more);
        run("postern-syncer", &arguments)
    }

    /// What a command of the router says that must succeed.
    pub fn told(&self, arguments: &[&str]) -> String {
        let done = run("postern-router", arguments);
        assert_eq!(done.code, 0, "{done:?}");
        done.out
    }

    /// The same, as JSON.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.told(&[arguments, &["--output", "json"]].concat())).unwrap()
    }

    /// A syncer that goes on.
    pub fn syncer(&self) -> Syncer {
        let text = |name: &str| self.path(name).display().to_string();
        Syncer::run(&text("boundary.yaml"), &text("registrations"), &self.path("out"), &[])
    }
}

impl Default for Desk {
    fn default() -> Self {
        Self::new()
    }
}
