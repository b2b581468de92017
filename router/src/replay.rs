//! The kept corpus of the fuzz targets, run again without a fuzzer: each input that once reached something new, each
//! that once broke a property, and some requests from the grammar. The properties are the fuzz targets' own.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

#[allow(clippy::type_complexity, clippy::unnecessary_to_owned, reason = "a property reads the same bytes twice")]
#[path = "../../tests/fuzz/src/properties/mod.rs"]
mod properties;

/// The kept inputs of a target, in the order of their names.
fn kept(target: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus").join(target);
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths
}

fn replay(target: &str, least: usize) {
    let (_, check) = properties::TARGETS.iter().find(|(name, _)| *name == target).unwrap();
    let paths = kept(target);
    assert!(paths.len() >= least, "only {} kept inputs: this shows nothing", paths.len());
    for path in paths {
        let input = std::fs::read(&path).unwrap();
        let outcome = std::panic::catch_unwind(|| check(&input));
        assert!(outcome.is_ok(), "{} breaks a property of {target}", path.display());
    }
}

#[test]
fn every_property_of_requests_holds_for_the_kept_corpus() {
    replay("request_head", 50);
}

#[test]
fn every_property_of_answers_holds_for_the_kept_corpus() {
    replay("response_head", 50);
}

#[test]
fn every_property_of_chunks_holds_for_the_kept_corpus() {
    replay("chunked", 50);
}

#[test]
fn every_property_of_hosts_holds_for_the_kept_corpus() {
    replay("host", 30);
}

#[test]
fn every_property_of_paths_holds_for_the_kept_corpus() {
    replay("path", 30);
}

#[test]
fn a_corpus_is_kept_for_every_target_and_for_nothing_else() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fuzz/corpus");
    let folders: BTreeSet<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    let targets: BTreeSet<String> = properties::TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, targets);
    let bytes: u64 = targets.iter().flat_map(|target| kept(target)).map(|path| path.metadata().unwrap().len()).sum();
    assert!(bytes < 2 << 20, "{bytes} bytes are kept: minimise them");
}

#[test]
fn requests_from_the_grammar_are_seen_as_the_oracle_and_hyper_see_them() {
    let tally = properties::differential::run(7, 4_000);
    let found: Vec<String> = tally.findings.iter().map(|bytes| bytes.escape_ascii().to_string()).collect();
    assert!(found.is_empty(), "{} connections break a property, the first of them\n{}", found.len(), found[0]);
    // The run shows something: most is seen alike, and the list of differences is met.
    assert!(tally.alike > tally.connections / 4 && tally.differences.len() > 8, "{tally:?}");
}
