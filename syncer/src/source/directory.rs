//! A directory of registration files: each holds one registration, a list of them, or several YAML documents.
//!
//! A file that cannot be read is one bad entry named after it; the others go on. The directory itself missing is
//! a failure of the source.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use postern_config::{Problem, ProblemKind, file, limits as documents, parse};
use serde_json::Value;

use super::{FailureReason, SourceError};
use crate::item::Item;
use crate::limits;

/// A directory, and what was read there last.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    files: HashMap<String, Known>,
    clock: Option<u64>,
}

#[derive(Debug)]
struct Known {
    mark: Option<Mark>,
    items: Vec<Item>,
}

/// What changes with a file's content, except within one tick of the file system's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    length: u64,
    modified: SystemTime,
    inode: u64,
}

/// How old a file must be before its mark alone is trusted: two writes within one tick look the same.
const SETTLED: std::time::Duration = std::time::Duration::from_secs(2);

impl Directory {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), files: HashMap::new(), clock: None }
    }

    /// Every entry of every file, or `None` when nothing changed since the last time.
    pub(super) fn read(&mut self) -> Result<Option<Vec<Item>>, SourceError> {
        let names = names(&self.path)?;
        let before = clock(&self.path, &names);
        let mut changed = names.len() != self.files.len();
        let mut files = HashMap::with_capacity(names.len());
        for name in &names {
            let path = self.path.join(name);
            let mark = mark(&path);
            let known = match self.files.remove(name) {
                Some(known) if mark.is_some() && known.mark == mark => known,
                before => {
                    let items = read_file(&path, name);
                    changed |= before.is_none_or(|before| before.items != items);
                    Known { mark: mark.filter(is_settled), items }
                }
            };
            files.insert(name.clone(), known);
        }
        self.files = files;
        // What moved while it was read may have been read in two halves; the next look tells.
        let clock = before.filter(|before| clock(&self.path, &names) == Some(*before));
        changed |= std::mem::replace(&mut self.clock, clock) != clock;
        if !changed {
            return Ok(None);
        }
        let items: Vec<Item> =
            names.iter().filter_map(|name| self.files.get(name)).flat_map(|known| known.items.clone()).collect();
        if items.len() > documents::REGISTRATIONS {
            return Err(SourceError::new(
                FailureReason::TooLarge,
                format!("{} holds more than {} registrations", self.path.display(), documents::REGISTRATIONS),
            ));
        }
        Ok(Some(items))
    }

    /// What rises with every change: when the directory or a file in it was last written, in microseconds after 1970. It
    /// means the same to everybody who reads the directory. None when that is not settled yet.
    pub(super) fn clock(&self) -> Option<u64> {
        self.clock
    }

    /// Forgets what was read, so that the next look is a whole one.
    pub(super) fn forget(&mut self) {
        self.files.clear();
    }
}

/// The registration files in a directory, sorted.
pub(super) fn names(path: &Path) -> Result<Vec<String>, SourceError> {
    let failed = |error: std::io::Error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => FailureReason::NotFound,
            std::io::ErrorKind::PermissionDenied => FailureReason::Forbidden,
            _ => FailureReason::Unavailable,
        };
        SourceError::new(reason, format!("the directory {} cannot be read: {error}", path.display()))
    };
    let mut names = Vec::new();
    for entry in fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let Ok(name) = entry.file_name().into_string() else { continue };
        let known = [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending));
        let is_directory = fs::metadata(entry.path()).is_ok_and(|facts| facts.is_dir());
        if known && !name.starts_with('.') && !is_directory {
            names.push(name);
        }
        if names.len() > limits::FILES {
            return Err(SourceError::new(
                FailureReason::TooLarge,
                format!("{} holds more than {} files", path.display(), limits::FILES),
            ));
        }
    }
    names.sort();
    Ok(names)
}

/// When anything in the directory was last written, unless that was a moment ago: two writes within one tick of the file
/// system's clock look the same.
fn clock(path: &Path, names: &[String]) -> Option<u64> {
    let latest = written(path, names)?;
    #[allow(clippy::disallowed_methods, reason = "compared with the file system's clock, not used to decide")]
    let settled = SystemTime::now().duration_since(latest).is_ok_and(|age| age > TICK);
    micros(latest).filter(|_| settled)
}

/// When anything in the directory was last written.
pub(super) fn written(path: &Path, names: &[String]) -> Option<SystemTime> {
    let written = |path: &Path| fs::metadata(path).ok()?.modified().ok();
    let files = names.iter().map(|name| written(&path.join(name)));
    std::iter::once(written(path)).chain(files).flatten().max()
}

/// An instant as a number that rises.
pub(super) fn micros(instant: SystemTime) -> Option<u64> {
    u64::try_from(instant.duration_since(SystemTime::UNIX_EPOCH).ok()?.as_micros()).ok()
}

/// Longer than a tick of the file system's clock.
const TICK: std::time::Duration = std::time::Duration::from_millis(20);

fn mark(path: &Path) -> Option<Mark> {
    use std::os::unix::fs::MetadataExt;
    let facts = fs::metadata(path).ok()?;
    Some(Mark { length: facts.len(), modified: facts.modified().ok()?, inode: facts.ino() })
}

fn is_settled(mark: &Mark) -> bool {
    #[allow(clippy::disallowed_methods, reason = "compared with the file system's clock, not used to decide")]
    SystemTime::now().duration_since(mark.modified).is_ok_and(|age| age > SETTLED)
}

/// What stands in one file; never fails, since a bad file is a bad entry.
pub(super) fn read_file(path: &Path, name: &str) -> Vec<Item> {
    let bytes = match file::read_bounded(path, documents::REGISTRATION_FILE_BYTES) {
        Ok(bytes) => bytes,
        // An empty file says that there is nothing, as a file that holds only comments does.
        Err(file::ReadError::Empty(_)) => return Vec::new(),
        Err(error) => return vec![Item::opaque(name, Problem::new("", ProblemKind::Syntax, error.to_string()))],
    };
    let text = match String::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            return vec![Item::opaque(
                name,
                Problem::new("", ProblemKind::Syntax, format!("is not UTF-8 text: {error}")),
            )];
        }
    };
    match parse::values(&text) {
        Ok(documents) => entries(documents, name),
        Err(problem) => vec![Item::opaque(name, problem)],
    }
}

fn entries(documents: Vec<Value>, name: &str) -> Vec<Item> {
    let values: Vec<Value> = documents
        .into_iter()
        .flat_map(|document| match document {
            Value::Array(list) => list,
            other => vec![other],
        })
        .collect();
    let single = values.len() == 1;
    let place = |index: usize| if single { name.to_owned() } else { format!("{name}#{index:06}") };
    values.into_iter().enumerate().map(|(index, value)| Item::readable(&place(index), &value)).collect()
}
