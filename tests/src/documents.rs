//! A place with documents and a merged file: what operations and pipelines write, and what the syncer makes of
//! it, made here without one where a test is about the router alone.

use std::path::{Path, PathBuf};

use postern_config::check::admit;
use postern_config::document::{BoundaryDocument, Registration};
use postern_config::merged::{self, Content, Header, Sources};
use postern_config::value::Timestamp;
use postern_config::{Boundary, file, parse, schema};

/// The host that test sites answer.
pub const HOST: &str = "api.example.com";

/// A boundary that lets `localhost` be reached on every port that tests use. Complete it with `boundary_with`.
pub const BOUNDARY: &str = "
apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com, '*.api.example.com']
destinations:
  - {name: local, hosts: [localhost], schemes: [http], ports: PORTS, addresses: [127.0.0.0/8]}
";

/// The boundary for those ports, with more YAML behind it.
pub fn boundary_with(ports: &[u16], more: &str) -> String {
    format!("{}{more}", BOUNDARY.replace("PORTS", &format!("{ports:?}")))
}

/// A registration of `root` that leads to a port, with more YAML behind it.
pub fn registration(root: &str, port: u16, more: &str) -> String {
    format!("root: {root}\nowner: team\ndestination: {{url: 'http://localhost:{port}'}}\n{more}\n")
}

/// A directory with a merged file in it.
pub struct Site {
    directory: tempfile::TempDir,
    generation: u64,
}

impl Site {
    /// An empty place.
    pub fn empty() -> Self {
        Self { directory: tempfile::tempdir().unwrap(), generation: 0 }
    }

    /// A place whose merged file holds these registrations.
    pub fn new(boundary: &str, registrations: &[String]) -> Self {
        let mut site = Self::empty();
        site.publish(boundary, registrations);
        site
    }

    /// The directory.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The merged file.
    pub fn merged(&self) -> PathBuf {
        self.path().join("merged.json")
    }

    /// The generation that was published last.
    pub fn generation(&self) -> u64 {
        self.generation
    }

    /// Replaces the merged file by the next generation.
    pub fn publish(&mut self, boundary: &str, registrations: &[String]) {
        let bytes = self.next(boundary, registrations);
        file::replace(&self.merged(), &bytes, 0o640).unwrap();
    }

    /// The bytes of the next generation, not yet in place.
    pub fn next(&mut self, boundary: &str, registrations: &[String]) -> Vec<u8> {
        self.generation += 1;
        merged_file(self.generation, boundary, registrations)
    }
}

/// The bytes of a merged file.
pub fn merged_file(generation: u64, boundary: &str, registrations: &[String]) -> Vec<u8> {
    let value = parse::values(boundary).unwrap().remove(0);
    let document: BoundaryDocument =
        parse::document(&value, schema::boundary()).unwrap_or_else(|error| panic!("{error}"));
    let boundary = Boundary::check(document).unwrap_or_else(|error| panic!("{error}"));
    let mut routes: Vec<_> = registrations
        .iter()
        .map(|text| {
            let value = parse::values(text).unwrap_or_else(|error| panic!("{error}\n{text}")).remove(0);
            let registration: Registration =
                parse::document(&value, schema::registration()).unwrap_or_else(|error| panic!("{error}\n{text}"));
            admit(&boundary, &registration).unwrap_or_else(|refusals| panic!("{refusals:?}\n{text}"))
        })
        .collect();
    routes.sort_by(|a, b| a.id.cmp(&b.id));
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    let header = Header {
        generation,
        previous: None,
        written_at: Timestamp::from_unix(i64::try_from(now).unwrap()),
        sources: Sources::default(),
    };
    merged::write(&header, &Content { boundary, routes, refused: Vec::new(), keys: Vec::new() }, None).0
}
