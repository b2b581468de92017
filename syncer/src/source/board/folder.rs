//! A directory in place of the status table, for demos and single machines: `tasks/NAME.json` and `entries/NAME.json`.
//!
//! The same conditions hold as for the table; the directory is locked while they are looked at.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use postern_config::file;
use postern_config::merged::Digest;
use postern_config::value::Timestamp;
use serde_json::{Map, Value};

use crate::limits;
use crate::posted::{Entry, outlived};
use crate::source::{FailureReason, SourceError};

/// A directory that things are posted to.
#[derive(Debug)]
pub(super) struct Folder {
    path: PathBuf,
}

impl Folder {
    pub(super) fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    pub(super) fn put_beat(&self, task: &str, fields: &Map<String, Value>) -> Result<(), SourceError> {
        self.write(&self.beat_path(task), fields)
    }

    pub(super) fn remove_beat(&self, task: &str) -> Result<(), SourceError> {
        remove(&self.beat_path(task))
    }

    pub(super) fn beats(&self) -> Result<Vec<Value>, SourceError> {
        self.all("tasks")
    }

    pub(super) fn put_entry(&self, entry: &Entry, fields: &Map<String, Value>) -> Result<(), SourceError> {
        let path = self.entry_path(&entry.id);
        let _lock = self.lock()?;
        let standing = read(&path)?;
        let later = is_later(standing.as_ref(), entry.clock);
        let stays = standing.is_some_and(|one| match later {
            true => {
                one["at"].as_str().and_then(|at| at.parse().ok()).is_some_and(|at: Timestamp| at >= outlived(entry.at))
            }
            false => one["says"] == entry.says.as_str(),
        });
        if stays {
            return Ok(());
        }
        self.write(&path, fields)
    }

    pub(super) fn remove_entry(&self, id: &str, clock: u64) -> Result<(), SourceError> {
        let path = self.entry_path(id);
        let _lock = self.lock()?;
        if is_later(read(&path)?.as_ref(), clock) { Ok(()) } else { remove(&path) }
    }

    pub(super) fn entry(&self, id: &str) -> Result<Option<Value>, SourceError> {
        read(&self.entry_path(id))
    }

    pub(super) fn entries(&self) -> Result<Vec<Value>, SourceError> {
        self.all("entries")
    }

    /// The name of a task has been checked: it is one of a file as well.
    fn beat_path(&self, task: &str) -> PathBuf {
        self.path.join("tasks").join(format!("{task}.json"))
    }

    /// An id may be longer than a file's name, and holds slashes; what it is about stands in the file.
    fn entry_path(&self, id: &str) -> PathBuf {
        let plain: String = id.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).take(80).collect();
        let digest = Digest::of(id.as_bytes()).to_string();
        let digest: String = digest.trim_start_matches("sha256:").chars().take(16).collect();
        self.path.join("entries").join(format!("{}.{digest}.json", plain.trim_matches('-')))
    }

    fn write(&self, path: &Path, fields: &Map<String, Value>) -> Result<(), SourceError> {
        let text = serde_json::to_string_pretty(fields).unwrap_or_default() + "\n";
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(|error| failed(parent, &error))?;
        }
        file::replace(path, text.as_bytes(), 0o640).map(drop).map_err(|error| failed(path, &error))
    }

    fn all(&self, kind: &str) -> Result<Vec<Value>, SourceError> {
        let path = self.path.join(kind);
        let listed = match fs::read_dir(&path) {
            Ok(listed) => listed,
            // Nothing has been posted yet; that the place itself is not there is a slip.
            Err(error) if error.kind() == io::ErrorKind::NotFound && self.path.is_dir() => return Ok(Vec::new()),
            Err(error) => return Err(failed(&path, &error)),
        };
        let mut found = Vec::new();
        for file in listed {
            let file = file.map_err(|error| failed(&path, &error))?.path();
            if file.extension().is_some_and(|ending| ending == "json") {
                // Taken away in between: it is gone.
                found.extend(read(&file)?);
            }
        }
        Ok(found)
    }

    fn lock(&self) -> Result<File, SourceError> {
        fs::create_dir_all(&self.path).map_err(|error| failed(&self.path, &error))?;
        let file = File::open(&self.path).map_err(|error| failed(&self.path, &error))?;
        file.lock().map_err(|error| failed(&self.path, &error))?;
        Ok(file)
    }
}

fn is_later(standing: Option<&Value>, clock: u64) -> bool {
    standing.and_then(|one| one.get("clock")?.as_u64()).is_some_and(|theirs| theirs > clock)
}

fn read(path: &Path) -> Result<Option<Value>, SourceError> {
    let bytes = match file::read_bounded(path, limits::POSTED_BYTES) {
        Ok(bytes) => bytes,
        Err(file::ReadError::Absent(_)) => return Ok(None),
        Err(error) => return Err(SourceError::new(FailureReason::Unavailable, error.to_string())),
    };
    serde_json::from_slice(&bytes)
        .map(Some)
        .map_err(|error| SourceError::new(FailureReason::Invalid, format!("{}: {error}", path.display())))
}

fn remove(path: &Path) -> Result<(), SourceError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(failed(path, &error)),
        _ => Ok(()),
    }
}

fn failed(path: &Path, error: &io::Error) -> SourceError {
    let reason = match error.kind() {
        io::ErrorKind::NotFound => FailureReason::NotFound,
        io::ErrorKind::PermissionDenied => FailureReason::Forbidden,
        _ => FailureReason::Unavailable,
    };
    SourceError::new(reason, format!("{} cannot be used: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::posted::State;

    fn entry(clock: u64, says: &str, at: i64) -> Entry {
        Entry {
            id: "/a/b#default".to_owned(),
            version: 1,
            owner: None,
            state: State::Route,
            conditions: Vec::new(),
            clock,
            boundary: None,
            says: says.to_owned(),
            by: "one".to_owned(),
            at: Timestamp::from_unix(at),
        }
    }

    #[test]
    fn what_is_later_stays_until_it_is_outlived() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::new(place.path());
        let posted = |entry: &Entry| {
            let Value::Object(fields) = serde_json::to_value(entry).unwrap() else { panic!() };
            folder.put_entry(entry, &fields).unwrap();
            let stands = folder.entry("/a/b#default").unwrap().unwrap();
            (stands["clock"].as_u64().unwrap(), stands["says"].as_str().unwrap().to_owned())
        };
        let stands = |clock, says: &str| (clock, says.to_owned());
        assert_eq!(posted(&entry(5, "x", 1_000)), stands(5, "x"));
        assert_eq!(posted(&entry(6, "x", 1_001)), stands(5, "x"), "the same words are not written twice");
        assert_eq!(posted(&entry(4, "y", 1_002)), stands(5, "x"), "a slower task takes nothing back");
        assert_eq!(posted(&entry(5, "y", 1_003)), stands(5, "y"));
        folder.remove_entry("/a/b#default", 4).unwrap();
        assert_eq!(folder.entries().unwrap().len(), 1);
        // The registrations were made anew, and count from the start.
        assert_eq!(posted(&entry(1, "y", 1_003 + limits::OUTLIVED)), stands(5, "y"));
        assert_eq!(posted(&entry(1, "y", 1_004 + limits::OUTLIVED)), stands(1, "y"));
        folder.remove_entry("/a/b#default", 1).unwrap();
        assert!(folder.entries().unwrap().is_empty() && folder.entry("/a/b#default").unwrap().is_none());
    }

    #[test]
    fn a_place_that_is_not_there_is_a_failure_and_an_empty_one_is_not() {
        let place = tempfile::tempdir().unwrap();
        assert!(Folder::new(place.path()).beats().unwrap().is_empty());
        assert!(Folder::new(&place.path().join("nowhere")).beats().is_err());
    }

    #[test]
    fn every_id_has_a_file_of_its_own() {
        let folder = Folder::new(Path::new("status"));
        let long = "/x".repeat(900);
        let ids = ["/a/b#default", "/a-b#default", "/a/b#Default", "#", "..", &long, &format!("{long}y")];
        let mut paths: Vec<_> = ids.iter().map(|id| folder.entry_path(id)).collect();
        assert!(paths.iter().all(|path| path.parent() == Some(Path::new("status/entries"))));
        assert!(paths.iter().all(|path| path.file_name().unwrap().len() < 120));
        paths.sort();
        paths.dedup();
        assert_eq!(paths.len(), ids.len());
    }
}
