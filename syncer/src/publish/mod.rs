//! Publishing: the content as a file that readers see whole, old or new.
//!
//! Owns the directory that both processes share: the merged file, the secrets beside it, the history, and the
//! lock that makes this the only writer. What is written is read back as the router would read it; only if that
//! gives the same content does it go live. Must never know where the content came from.

mod aside;
mod standing;

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use postern_config::condition::{Condition, ConditionType, Reason, Status};
use postern_config::merged::{self, Content, Digest, FileKey, Header, Pinned, Reading, Refused, Sources};
use postern_config::secrets::{self, Secrets};
use postern_config::value::Timestamp;
use postern_config::{file, limits};

use crate::issuers::known::Seen;
use crate::limits::SUPERSEDED_FOR;
use crate::redact;
pub use aside::write_aside;
pub use standing::{Standing, standing};

/// Name of the merged file.
pub const MERGED: &str = "merged.json";
/// Name of the file of when the keys of each issuer were last seen.
pub const KEYS_SEEN: &str = "keys-seen.json";
/// Name of the directory of past generations.
pub const HISTORY: &str = "history";
/// Name of the file of which generation is pinned.
pub const PINNED: &str = "pinned.json";
const LOCK: &str = ".lock";

/// Why the directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another syncer writes there.
    #[error("another syncer already writes to {0}; end that one, or choose another --out")]
    Taken(PathBuf),
    /// The system refused.
    #[error("{path} cannot be used: {error}")]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Why a generation did not go live; what stood before still stands.
#[derive(Debug, thiserror::Error)]
pub enum PublishError {
    /// The system refused.
    #[error("{path} cannot be written: {error}")]
    Io {
        /// What.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// No router would take a file of that size.
    #[error("the merged file would have {0} bytes, more than a router takes; remove registrations")]
    TooLarge(usize),
    /// What was written reads back as something else.
    #[error("what was written does not read back the same: {0}")]
    Unfaithful(String),
}

/// What publishing did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// What stands says the same.
    Unchanged,
    /// A generation was written.
    Written {
        /// Its number.
        generation: u64,
        /// Its digest.
        digest: Digest,
    },
}

/// The only writer of a directory.
#[derive(Debug)]
pub struct Publisher {
    directory: PathBuf,
    key: Option<FileKey>,
    standing: Option<Standing>,
    /// What the file looked like when it was last known to be ours; `None` when it is not.
    mark: Option<Mark>,
    /// The highest generation that anything in the directory shows.
    highest: u64,
    /// Those that the standing generation names.
    in_force: Secrets,
    /// Those that stand beside the file: also some that a generation before named.
    secrets: Secrets,
    superseded_since: Option<Timestamp>,
    _lock: File,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Mark {
    inode: u64,
    length: u64,
    modified: Option<SystemTime>,
}

impl Publisher {
    /// Takes the directory, and reads what stands there.
    ///
    /// # Errors
    /// When another syncer writes there, or the system refuses.
    pub fn open(directory: &Path, key: Option<FileKey>) -> Result<Self, OpenError> {
        let failed = |path: &Path| {
            let path = path.to_owned();
            move |error| OpenError::Io { path, error }
        };
        let history = directory.join(HISTORY);
        fs::DirBuilder::new().recursive(true).mode(0o750).create(&history).map_err(failed(&history))?;
        let lock_path = directory.join(LOCK);
        let lock = fs::OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o640)
            .open(&lock_path)
            .map_err(failed(&lock_path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(fs::TryLockError::WouldBlock) => return Err(OpenError::Taken(directory.to_owned())),
            Err(fs::TryLockError::Error(error)) => return Err(OpenError::Io { path: lock_path, error }),
        }
        let path = directory.join(MERGED);
        file::sweep(&path);
        file::sweep(&directory.join(secrets::FILE_NAME));
        file::sweep(&directory.join(KEYS_SEEN));
        file::sweep(&directory.join(PINNED));
        sweep_history(&history);
        let (found, highest) = standing(directory, key.as_ref());
        let secrets = fs::read(directory.join(secrets::FILE_NAME))
            .ok()
            .and_then(|bytes| Secrets::from_bytes(&bytes).ok())
            .unwrap_or_default();
        let named = found.as_ref().map(|found| secrets::names_in(found.content.boundary.document()));
        let mut publisher = Self {
            directory: directory.to_owned(),
            key,
            superseded_since: found.as_ref().map(|found| found.header.written_at),
            mark: found.as_ref().filter(|found| found.live).and_then(|_| mark(&path)),
            standing: found,
            highest,
            in_force: secrets.only(&named.unwrap_or_default()),
            secrets,
            _lock: lock,
        };
        publisher.complete_history();
        Ok(publisher)
    }

    /// What stands, or stood last.
    pub fn standing(&self) -> Option<&Standing> {
        self.standing.as_ref()
    }

    /// Whether the file is still the one that was written here, and its secrets are beside it.
    pub fn is_intact(&self) -> bool {
        self.mark.is_some() && self.mark == mark(&self.directory.join(MERGED)) && self.has_secrets()
    }

    fn has_secrets(&self) -> bool {
        self.secrets.is_empty() || self.directory.join(secrets::FILE_NAME).is_file()
    }

    /// The secrets that stand beside the file.
    pub fn secrets(&self) -> &Secrets {
        &self.secrets
    }

    /// Those of them that the standing generation names.
    pub fn in_force(&self) -> &Secrets {
        &self.in_force
    }

    /// The number that the next generation has.
    pub fn next_generation(&self) -> u64 {
        self.highest + 1
    }

    /// Makes `content` live, when it is not what stands.
    ///
    /// # Errors
    /// When it cannot be written, or does not read back. What stood before still stands.
    pub fn publish(
        &mut self,
        content: Content,
        sources: Sources,
        secrets: &Secrets,
        now: Timestamp,
    ) -> Result<Published, PublishError> {
        self.notice_strangers();
        let path = self.directory.join(MERGED);
        let is_ours = self.is_intact();
        let same = self
            .standing
            .as_ref()
            .is_some_and(|standing| *standing.content == content && standing.header.sources.pinned == sources.pinned);
        if is_ours && same && *secrets == self.in_force {
            return Ok(Published::Unchanged);
        }
        let header = Header {
            generation: self.next_generation(),
            previous: self.standing.as_ref().map(|standing| standing.digest),
            written_at: now,
            sources,
        };
        let (bytes, reading) = self.faithful(&header, content)?;
        // First, and with those of the generation that stands: whichever of the two files a router reads first, it finds what
        // the merged file names.
        self.write_secrets(self.in_force.and(secrets))?;
        let failed = |error| PublishError::Io { path: path.clone(), error };
        let written = file::replace(&path, &bytes, 0o640).map_err(failed)?;
        // From here on the generation is live, whatever becomes of its copy. What lies there by now may be another's.
        self.mark = Some(Mark::of(&written));
        self.highest = header.generation;
        self.standing =
            Some(Standing { header, content: Arc::new(reading.content), digest: reading.digest, live: true });
        self.in_force = secrets.clone();
        self.superseded_since = (self.secrets != self.in_force).then_some(now);
        self.keep_copy(self.highest, &bytes);
        Ok(Published::Written { generation: self.highest, digest: reading.digest })
    }

    /// When the keys of each issuer were last seen, as it was remembered; nothing when that cannot be read.
    pub fn keys_seen(&self) -> Seen {
        let bytes = file::read_bounded(&self.directory.join(KEYS_SEEN), limits::BOUNDARY_BYTES);
        bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Remembers it beside the file and not in it: that an issuer still says the same is no new generation. A failure
    /// costs no more than that keys count as seen at the next start.
    pub fn remember_keys_seen(&self, seen: &Seen) {
        let path = self.directory.join(KEYS_SEEN);
        let bytes = serde_json::to_vec_pretty(seen).unwrap_or_default();
        if let Err(error) = file::replace(&path, &bytes, 0o640) {
            tracing::warn!(file = %path.display(), %error, "when keys were seen was not written");
        }
    }

    /// The generation that is pinned, as it was remembered.
    pub fn pinned(&self) -> Option<Pinned> {
        let bytes = file::read_bounded(&self.directory.join(PINNED), limits::BOUNDARY_BYTES).ok()?;
        serde_json::from_slice(&bytes)
            .inspect_err(|error| tracing::error!(%error, "{PINNED} cannot be read: nothing is pinned"))
            .ok()
    }

    /// Remembers which generation is pinned, across restarts.
    ///
    /// # Errors
    /// When that cannot be written.
    pub fn remember_pinned(&self, pinned: Option<Pinned>) -> Result<(), PublishError> {
        let path = self.directory.join(PINNED);
        let done = match pinned {
            Some(pinned) => file::replace(&path, &serde_json::to_vec(&pinned).unwrap_or_default(), 0o640).map(drop),
            None => remove(&path),
        };
        done.map_err(|error| PublishError::Io { path, error })
    }

    /// What a past generation says.
    ///
    /// # Errors
    /// When it is not kept any more, or cannot be read; in words.
    pub fn past(&self, generation: u64) -> Result<Arc<Content>, String> {
        if let Some(standing) = self.standing.as_ref().filter(|standing| standing.header.generation == generation) {
            return Ok(Arc::clone(&standing.content));
        }
        let path = self.directory.join(HISTORY).join(format!("{generation:010}.json"));
        let bytes = file::read_bounded(&path, limits::MERGED_FILE_BYTES)
            .map_err(|error| format!("generation {generation} is not kept: {error}"))?;
        let reading =
            merged::read(&bytes, self.key.as_ref()).map_err(|error| format!("generation {generation}: {error}"))?;
        Ok(Arc::new(reading.content))
    }

    /// Says that what stands is what the stores say. A failure costs nothing but the look of age.
    pub fn beat(&self, now: Timestamp) {
        let path = self.directory.join(merged::HEARTBEAT);
        if let Err(error) = fs::write(&path, format!("{now}\n")) {
            tracing::warn!(file = %path.display(), %error, "the heartbeat was not written");
        }
    }

    /// The bytes of the file, read back the way a router reads them. A line that does not survive that is refused
    /// by itself: it must not keep the others from going live.
    fn faithful(&self, header: &Header, mut content: Content) -> Result<(Vec<u8>, Reading), PublishError> {
        for _ in 0..2 {
            let (bytes, _) = merged::write(header, &content, self.key.as_ref());
            if bytes.len() as u64 > limits::MERGED_FILE_BYTES {
                return Err(PublishError::TooLarge(bytes.len()));
            }
            let reading =
                merged::read(&bytes, self.key.as_ref()).map_err(|error| PublishError::Unfaithful(error.to_string()))?;
            if reading.header == *header && reading.content == content && reading.quarantined.is_empty() {
                return Ok((bytes, reading));
            }
            if reading.header != *header || reading.content.boundary != content.boundary {
                return Err(PublishError::Unfaithful("the header or the boundary differs".to_owned()));
            }
            put_aside(&mut content, &reading, header.written_at);
        }
        Err(PublishError::Unfaithful("lines differ for no known reason".to_owned()))
    }

    fn write_secrets(&mut self, secrets: Secrets) -> Result<(), PublishError> {
        if secrets != self.secrets || !self.has_secrets() {
            let path = self.directory.join(secrets::FILE_NAME);
            let written = match secrets.is_empty() {
                true => remove(&path),
                false => file::replace(&path, &secrets.to_bytes(), 0o600).map(drop),
            };
            written.map_err(|error| PublishError::Io { path, error })?;
            self.secrets = secrets;
        }
        Ok(())
    }

    /// Takes secrets away that the standing generation does not name, once routers have had time to read it. A failure
    /// leaves them for the next try.
    pub fn forget_superseded(&mut self, now: Timestamp) {
        if self.secrets == self.in_force {
            self.superseded_since = None;
            return;
        }
        let since = *self.superseded_since.get_or_insert(now);
        if now.unix().saturating_sub(since.unix()) >= SUPERSEDED_FOR {
            // Not at every tick when the disk is full.
            self.superseded_since = Some(now);
            if let Err(error) = self.write_secrets(self.in_force.clone()) {
                tracing::warn!(%error, "superseded secrets were not taken away");
            }
        }
    }

    /// Somebody else may have put a later generation there: ours must be later still, or no router takes it.
    fn notice_strangers(&mut self) {
        let path = self.directory.join(MERGED);
        if self.mark.is_some() && self.mark == mark(&path) {
            return;
        }
        if self.mark.take().is_some() {
            tracing::error!(file = %path.display(), "the merged file was changed or removed by somebody else; writing it again");
        }
        let (_, highest) = standing(&self.directory, self.key.as_ref());
        self.highest = self.highest.max(highest);
    }

    fn keep_copy(&self, generation: u64, bytes: &[u8]) {
        let history = self.directory.join(HISTORY);
        let path = history.join(format!("{generation:010}.json"));
        if let Err(error) = file::replace(&path, bytes, 0o640) {
            tracing::error!(file = %path.display(), %error, "the copy for the history was not written");
        }
        let pinned = self.pinned().map(|pinned| pinned.generation);
        let mut kept = standing::generations(&history);
        kept.retain(|(generation, _)| Some(*generation) != pinned);
        kept.sort_unstable();
        for (_, name) in kept.iter().rev().skip(limits::HISTORY) {
            let _ = fs::remove_file(history.join(name));
        }
    }

    /// A process that was killed between the two may have left a live generation without its copy.
    fn complete_history(&mut self) {
        let Some(generation) = self.standing.as_ref().filter(|one| one.live).map(|one| one.header.generation) else {
            return;
        };
        let copy = self.directory.join(HISTORY).join(format!("{generation:010}.json"));
        if !copy.exists()
            && let Ok(bytes) = file::read_bounded(&self.directory.join(MERGED), limits::MERGED_FILE_BYTES)
        {
            self.keep_copy(generation, &bytes);
        }
    }
}

/// Turns the routes that did not read back into refused lines, and refused lines that did not into bare ones.
fn put_aside(content: &mut Content, reading: &Reading, now: Timestamp) {
    let intact: std::collections::HashMap<&str, &postern_config::route::Route> =
        reading.content.routes.iter().map(|route| (route.id.as_str(), route)).collect();
    let mut aside: Vec<Refused> = Vec::new();
    content.routes.retain(|route| {
        if intact.get(route.id.as_str()) == Some(&route) {
            return true;
        }
        let why = reading.quarantined.iter().find(|one| one.id == route.id).map_or("", |one| one.why.as_str());
        tracing::error!(route = route.id, why, "a route does not read back as it was written; it is refused");
        aside.push(Refused {
            id: route.id.clone(),
            owner: Some(route.owner.to_string()),
            registration: serde_json::Value::Null,
            conditions: vec![Condition {
                kind: ConditionType::Accepted,
                status: Status::False,
                reason: Reason::SchemaInvalid,
                at: None,
                message: redact::text(&format!("does not read back as it was written: {why}")),
                observed_generation: route.origin.version,
                since: now,
            }],
        });
        false
    });
    let line = |one: &Refused| serde_json::to_string(one).unwrap_or_default();
    let survived: std::collections::HashSet<String> = reading.content.refused.iter().map(line).collect();
    for one in content.refused.iter_mut().filter(|one| !survived.contains(&line(one))) {
        one.registration = serde_json::Value::Null;
    }
    content.refused.extend(aside);
    content.refused.sort_by(|a, b| a.id.cmp(&b.id));
}

fn sweep_history(history: &Path) {
    for (_, name) in standing::generations(history) {
        file::sweep(&history.join(name));
    }
}

/// Removes a file that may be gone already.
fn remove(path: &Path) -> io::Result<()> {
    fs::remove_file(path).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    })
}

fn mark(path: &Path) -> Option<Mark> {
    let facts = fs::symlink_metadata(path).ok().filter(fs::Metadata::is_file)?;
    Some(Mark::of(&facts))
}

impl Mark {
    fn of(facts: &fs::Metadata) -> Self {
        Self { inode: facts.ino(), length: facts.len(), modified: facts.modified().ok() }
    }
}

#[cfg(test)]
mod tests;
