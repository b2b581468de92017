//! Writing registrations, one at a time, for pipelines: to the table, or to a directory of files.
//!
//! Every write is conditional on who owns the entry and on the version that was read, so two pipelines never
//! overwrite each other unseen, and nobody takes over what another owner holds. Must never know the boundary:
//! whether an entry makes sense is the syncer's to say, in its conditions.

use std::path::{Path, PathBuf};

use postern_config::{file, parse};
use serde_json::{Map, Value};

use super::client::Clients;
use super::directory;
use super::dynamodb::writes;
use super::{FailureReason, Location, SourceError};
use crate::item::Item;

/// A store that can be written to.
#[derive(Debug)]
pub enum Store {
    /// A table in DynamoDB.
    Table(writes::Writes),
    /// A directory of files.
    Directory(PathBuf),
}

/// Which entry is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its root.
    pub root: String,
    /// Its name under that root.
    pub name: String,
}

/// Why nothing was written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Somebody else holds it, or wrote meanwhile; what stands there.
    #[error("another entry stands there")]
    Stands(Box<Item>),
    /// There is no such entry.
    #[error("there is no such registration")]
    Absent,
    /// It stands in a file with others, which people keep by hand.
    #[error("it stands in {0} together with others; change that file")]
    Shared(PathBuf),
    /// The store failed.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Store {
    /// Opens the store at `location`.
    ///
    /// # Errors
    /// When no registrations can be there.
    pub fn open(location: &Location, clients: &Clients) -> Result<Self, String> {
        match location {
            Location::Path(path) => Ok(Self::Directory(path.clone())),
            Location::DynamoDb { table } => Ok(Self::Table(writes::Writes::new(clients.dynamodb(), table))),
            Location::S3 { .. } => {
                Err(format!("{location} is an object; registrations are dynamodb://TABLE or a directory"))
            }
        }
    }

    /// What is registered there.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn read(&self, entry: &Entry) -> Result<Option<Item>, SourceError> {
        match self {
            Self::Table(table) => table.read(entry).await,
            Self::Directory(path) => Ok(find(path, entry)?.map(|found| found.item)),
        }
    }

    /// What rises with every write, as `RegistrationsReading` has it: what is written after this is later.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub async fn clock(&self) -> Result<Option<u64>, SourceError> {
        match self {
            Self::Table(table) => table.version().await,
            Self::Directory(path) => Ok(directory::written(path, &directory::names(path)?).and_then(directory::micros)),
        }
    }

    /// Everything that is registered.
    ///
    /// # Errors
    /// When the store cannot be read whole.
    pub async fn list(&self) -> Result<Vec<Item>, SourceError> {
        match self {
            Self::Table(table) => table.list().await,
            Self::Directory(path) => {
                let names = directory::names(path)?;
                Ok(names.iter().flat_map(|name| directory::read_file(&path.join(name), name)).collect())
            }
        }
    }

    /// Writes `fields`, when nothing stands there or what was `read` still does and has the same owner.
    ///
    /// # Errors
    /// When something else stands there, or the store fails; then nothing was written.
    pub async fn put(&self, entry: &Entry, fields: &Map<String, Value>, read: Option<&Item>) -> Result<(), WriteError> {
        match self {
            Self::Table(table) => table.put(fields, read).await,
            Self::Directory(path) => put_file(path, entry, fields, read),
        }
    }

    /// Takes an entry of `owner` away.
    ///
    /// # Errors
    /// When another owner holds it, it is not there, or the store fails; then nothing changed.
    pub async fn delete(&self, entry: &Entry, owner: &str) -> Result<(), WriteError> {
        match self {
            Self::Table(table) => table.delete(entry, owner).await,
            Self::Directory(path) => delete_file(path, entry, owner),
        }
    }
}

impl Entry {
    /// `ROOT` or `ROOT#NAME`, as it stands in the store: also one that no registration could have.
    pub fn parse(text: &str) -> Self {
        let (root, name) = text.rsplit_once('#').unwrap_or((text, "default"));
        Self { root: root.to_owned(), name: name.to_owned() }
    }

    /// `ROOT#NAME`.
    pub fn id(&self) -> String {
        format!("{}#{}", self.root, self.name)
    }
}

struct Found {
    path: PathBuf,
    item: Item,
    alone: bool,
}

fn find(directory: &Path, entry: &Entry) -> Result<Option<Found>, SourceError> {
    for name in directory::names(directory)? {
        let path = directory.join(&name);
        let items = directory::read_file(&path, &name);
        let alone = items.len() == 1;
        if let Some(item) = items.into_iter().find(|item| item.id() == entry.id()) {
            return Ok(Some(Found { path, item, alone }));
        }
    }
    Ok(None)
}

fn put_file(
    directory: &Path,
    entry: &Entry,
    fields: &Map<String, Value>,
    read: Option<&Item>,
) -> Result<(), WriteError> {
    let _lock = lock(directory)?;
    let path = match find(directory, entry)? {
        None => free_name(directory, entry),
        Some(found) => {
            let same = read.is_some_and(|read| read.value() == found.item.value());
            let owner = fields.get("owner").and_then(Value::as_str);
            if !same || found.item.owner().as_deref() != owner {
                return Err(WriteError::Stands(Box::new(found.item)));
            }
            if !found.alone {
                return Err(WriteError::Shared(found.path));
            }
            found.path
        }
    };
    let text = serde_json::to_string_pretty(fields).unwrap_or_default() + "\n";
    // JSON is YAML as well, so it may stand in a file of either name. What does not read back is not written.
    let back = parse::values(&text).ok().filter(|values| values.as_slice() == [Value::Object(fields.clone())]);
    if back.is_none() {
        return Err(SourceError::new(FailureReason::Invalid, "the registration does not read back as it is").into());
    }
    file::replace(&path, text.as_bytes(), 0o640).map_err(|error| failed(&path, &error))?;
    Ok(())
}

fn delete_file(directory: &Path, entry: &Entry, owner: &str) -> Result<(), WriteError> {
    let _lock = lock(directory)?;
    let found = find(directory, entry)?.ok_or(WriteError::Absent)?;
    if found.item.owner().as_deref() != Some(owner) {
        return Err(WriteError::Stands(Box::new(found.item)));
    }
    if !found.alone {
        return Err(WriteError::Shared(found.path));
    }
    std::fs::remove_file(&found.path).map_err(|error| failed(&found.path, &error).into())
}

/// Two pipelines on one machine take turns.
fn lock(directory: &Path) -> Result<std::fs::File, SourceError> {
    let file = std::fs::File::open(directory).map_err(|error| failed(directory, &error))?;
    file.lock().map_err(|error| failed(directory, &error))?;
    Ok(file)
}

/// A file name that says what is in it and is not taken.
fn free_name(directory: &Path, entry: &Entry) -> PathBuf {
    let plain = |text: &str| -> String {
        let kept = text.trim_matches('/').chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' });
        kept.take(80).collect()
    };
    let root = if entry.root == "/" { "root".to_owned() } else { plain(&entry.root) };
    let stem = format!("{root}.{}", plain(&entry.name));
    let numbered = (1..).map(|number| match number {
        1 => directory.join(format!("{stem}.json")),
        _ => directory.join(format!("{stem}.{number}.json")),
    });
    numbered.into_iter().find(|path| !path.exists()).unwrap_or_else(|| directory.join("registration.json"))
}

fn failed(path: &Path, error: &std::io::Error) -> SourceError {
    let reason = match error.kind() {
        std::io::ErrorKind::NotFound => FailureReason::NotFound,
        std::io::ErrorKind::PermissionDenied => FailureReason::Forbidden,
        _ => FailureReason::Unavailable,
    };
    SourceError::new(reason, format!("{} cannot be used: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fields(owner: &str, version: u64) -> Map<String, Value> {
        let value = json!({"root": "/a/b", "name": "default", "owner": owner, "version": version});
        value.as_object().unwrap().clone()
    }

    #[tokio::test]
    async fn a_directory_holds_what_was_put_there() {
        let directory = tempfile::tempdir().unwrap();
        let store = Store::Directory(directory.path().to_owned());
        let entry = Entry::parse("/a/b");
        assert!(store.read(&entry).await.unwrap().is_none());
        store.put(&entry, &fields("me", 1), None).await.unwrap();
        let read = store.read(&entry).await.unwrap().unwrap();
        assert_eq!((&*read.origin, read.version()), ("a-b.default.json", 1));
        store.put(&entry, &fields("me", 2), Some(&read)).await.unwrap();
        // What was read before is not what stands any more.
        assert!(matches!(store.put(&entry, &fields("me", 3), Some(&read)).await, Err(WriteError::Stands(_))));
        assert!(matches!(store.put(&entry, &fields("me", 3), None).await, Err(WriteError::Stands(_))));
        let read = store.read(&entry).await.unwrap();
        assert!(matches!(store.put(&entry, &fields("you", 3), read.as_ref()).await, Err(WriteError::Stands(_))));
        assert!(matches!(store.delete(&entry, "you").await, Err(WriteError::Stands(_))));
        store.delete(&entry, "me").await.unwrap();
        assert!(matches!(store.delete(&entry, "me").await, Err(WriteError::Absent)));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[tokio::test]
    async fn a_file_with_several_is_left_to_people() {
        let directory = tempfile::tempdir().unwrap();
        std::fs::write(directory.path().join("all.yaml"), "[{root: /a, owner: me}, {root: /b, owner: me}]").unwrap();
        let store = Store::Directory(directory.path().to_owned());
        assert!(matches!(store.delete(&Entry::parse("/a"), "me").await, Err(WriteError::Shared(_))));
        assert_eq!(store.list().await.unwrap().len(), 2);
    }
}
