//! What is made from the registry and lies elsewhere: the list in `docs/metrics.md`, the dashboard, the alerts.
//!
//! `POSTERN_UPDATE_GOLDEN=1 cargo test -p postern-router documented` writes them anew; without it they must be what
//! the registry says.

mod alerts;
mod dashboard;
mod query;

use std::path::PathBuf;

use super::registry::{ALL, Told};

fn file(path: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// Compares, or rewrites when asked to.
fn hold(path: &str, expected: &str) {
    let path = file(path);
    if std::env::var_os("POSTERN_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        return std::fs::write(path, expected).unwrap();
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{} is not what the registry says; POSTERN_UPDATE_GOLDEN=1 rewrites it", path.display());
}

/// As it stands on a scrape, with its labels.
fn row(family: &Told) -> String {
    let labels = if family.labels.is_empty() { String::new() } else { format!("{{{}}}", family.labels.join(",")) };
    let (name, suffix, kind) = (family.name, family.kind.suffix(), family.kind.word());
    format!("| `{name}{suffix}{labels}` | {kind} | {} |\n", family.help)
}

const BEGIN: &str = "<!-- made from the registry -->\n";
const END: &str = "<!-- end -->\n";

#[test]
fn every_family_is_documented_and_no_other_is() {
    let page = std::fs::read_to_string(file("docs/metrics.md")).unwrap();
    let (before, rest) = page.split_once(BEGIN).unwrap();
    let (_, after) = rest.split_once(END).unwrap();
    let rows: String = ALL.iter().map(|family| row(family)).collect();
    let table = format!("| metric | kind | |\n|---|---|---|\n{rows}");
    hold("docs/metrics.md", &format!("{before}{BEGIN}{table}{END}{after}"));
}

#[test]
fn the_dashboard_is_what_is_made_from_the_registry() {
    hold("deploy/dashboards/postern.json", &dashboard::dashboard());
}

#[test]
fn the_alerts_are_what_is_made_from_the_registry() {
    hold("deploy/alerts/postern.yaml", &alerts::alerts());
}
