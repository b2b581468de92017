//! Golden pairs: what goes in, and every word that comes out.
//!
//! `config/golden/problems/NAME.yaml` is a boundary or a registration (its first word says which), beside it
//! `NAME.txt` with its problems. `config/golden/admit/NAME.yaml` is a boundary, `---`, and registrations;
//! beside it `NAME.txt` with a route line or the refusals of each. `POSTERN_UPDATE_GOLDEN=1` rewrites the
//! second half of every pair, and the schemas.

#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use postern_config::check::admit;
use postern_config::condition::Reason;
use postern_config::document::{BoundaryDocument, Registration};
use postern_config::merged::Refused;
use postern_config::route::Route;
use postern_config::{Boundary, Problem, Problems, parse, schema};
use schemars::JsonSchema;

fn folder(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares, or rewrites when asked to.
fn hold(path: &Path, expected: &str) {
    if std::env::var_os("POSTERN_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        found == expected,
        "{} is not what the code says; POSTERN_UPDATE_GOLDEN=1 rewrites it. Expected:\n{expected}\nfound:\n{found}",
        path.display()
    );
}

fn pairs(name: &str) -> Vec<(PathBuf, String)> {
    let mut inputs: Vec<PathBuf> =
        std::fs::read_dir(folder(name)).unwrap().map(|entry| entry.unwrap().path()).collect();
    inputs.retain(|path| path.extension().is_some_and(|extension| extension != "txt"));
    inputs.sort();
    assert!(!inputs.is_empty());
    inputs.into_iter().map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

fn boundary_of(value: &serde_json::Value) -> Result<Boundary, Problems> {
    parse::document::<BoundaryDocument>(value, schema::boundary()).and_then(Boundary::check)
}

#[test]
fn every_document_has_the_problems_written_beside_it() {
    for (path, text) in pairs("golden/problems") {
        let is_boundary = path.file_name().unwrap().to_string_lossy().starts_with("boundary");
        let problems = match parse::values(&text) {
            Err(problem) => vec![problem],
            Ok(values) => values.iter().flat_map(|value| problems_of(value, is_boundary)).collect(),
        };
        let mut told = String::new();
        for problem in &problems {
            writeln!(told, "{problem}").unwrap();
        }
        assert!(!problems.is_empty(), "{}", path.display());
        hold(&path.with_extension("txt"), &told);
    }
}

fn problems_of(value: &serde_json::Value, is_boundary: bool) -> Vec<Problem> {
    let found = if is_boundary {
        boundary_of(value).map(drop)
    } else {
        parse::document::<Registration>(value, schema::registration()).map(drop)
    };
    found.err().map(|problems| problems.0).unwrap_or_default()
}

#[test]
fn every_registration_becomes_the_line_or_the_refusals_written_beside_it() {
    let mut seen = BTreeSet::new();
    for (path, text) in pairs("golden/admit") {
        let mut values = parse::values(&text).unwrap();
        let boundary = boundary_of(&values.remove(0)).unwrap();
        let mut told = String::new();
        for value in &values {
            let registration: Registration = match parse::document(value, schema::registration()) {
                Ok(registration) => registration,
                Err(problems) => {
                    seen.insert(Reason::SchemaInvalid);
                    writeln!(told, "malformed\n{problems}").unwrap();
                    continue;
                }
            };
            match admit(&boundary, &registration) {
                Ok(route) => {
                    seen.insert(Reason::Accepted);
                    writeln!(told, "{}", serde_json::to_string(&route).unwrap()).unwrap();
                }
                Err(refusals) => {
                    writeln!(told, "{} is refused", registration.id()).unwrap();
                    for refusal in refusals {
                        seen.insert(refusal.reason);
                        writeln!(told, "  {:?} {refusal}", refusal.reason).unwrap();
                    }
                }
            }
        }
        hold(&path.with_extension("txt"), &told);
    }
    // Those that `admit` gives; the others are given by whoever knows time, routers and other registrations.
    for reason in [
        Reason::Accepted,
        Reason::SchemaInvalid,
        Reason::DestinationNotAllowed,
        Reason::HostNotListed,
        Reason::RootNotAllowed,
        Reason::OwnerMismatch,
        Reason::PolicyNotFound,
        Reason::RequirementNotMet,
        Reason::IncompatiblePolicies,
    ] {
        assert!(seen.contains(&reason), "no golden pair shows {reason:?}");
    }
}

#[test]
fn the_schemas_are_those_of_the_types() {
    fn written<T: JsonSchema>(name: &str) {
        let schema = schema::schema_of::<T>();
        assert!(schema["title"].is_string() && schema["description"].is_string() && schema.get("$id").is_none());
        hold(
            &folder("schema").join(format!("{name}.json")),
            &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()),
        );
    }
    written::<BoundaryDocument>("boundary");
    written::<Registration>("registration");
    written::<Route>("merged-route");
    written::<Refused>("merged-refused");
}
