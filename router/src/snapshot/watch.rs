//! Watch, read, check, compile, publish: the way of a file into use, on a thread of its own.
//!
//! The directory is watched and not the file, because a rename puts another inode under the name; and it is
//! looked at in any case once a poll, because events get lost (overflow, network file systems, a directory
//! that was made anew). A failure anywhere keeps what is served.
//!
//! The only reader of the merged file. Must never know HTTP or stages.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::{Duration, Instant, SystemTime};

use notify::Watcher as _;
use postern_config::file::{self, ReadError};
use postern_config::limits;
use postern_config::merged::{self, Digest, FileKey, Reading};
use postern_config::secrets::{self, Secrets};
use zeroize::Zeroizing;

use super::Snapshot;
use super::compile::{Options, compile};
use super::store::Store;
use super::transition::{Coming, Transitions};
use crate::breaker::Breakers;
use crate::freshness::unix_now;
use crate::reserve::{self, Reserve};

/// What wakes the watching thread.
pub(crate) enum Wake {
    /// Something happened in the directory.
    Event,
    /// The router ends.
    Stop,
}

/// Brings files into use.
pub(crate) struct FileWatch {
    /// The merged file.
    pub(crate) path: PathBuf,
    /// How often it is looked at without an event.
    pub(crate) poll: Duration,
    /// Whether events are listened for at all; off to show that the poll alone is enough.
    pub(crate) events: bool,
    /// When given, a file without its code is not taken.
    pub(crate) key: Option<FileKey>,
    pub(crate) options: Options,
    /// What outlives snapshots.
    pub(crate) breakers: Arc<Breakers>,
    pub(crate) store: Arc<Store>,
    pub(crate) transitions: Transitions,
    /// Let go of for as long as a file is read.
    pub(crate) reserve: Reserve,
}

/// The word for what the system does not let be read.
const UNREADABLE: &str = "unreadable";

/// What was seen last, so that the same bytes are not judged twice.
#[derive(Default)]
struct Seen {
    fingerprint: Option<Fingerprint>,
    bytes: Option<Digest>,
}

/// Tells without reading whether a file is still the same.
#[derive(PartialEq, Eq, Clone)]
struct Fingerprint {
    merged: Option<(u64, u64, SystemTime, u64)>,
    secrets: Option<(u64, u64, SystemTime, u64)>,
}

impl FileWatch {
    /// Watches until told to stop. `wakes` and `waker` are the two ends of one channel.
    pub(crate) fn run(self, wakes: &Receiver<Wake>, waker: &Sender<Wake>) {
        let mut seen = Seen::default();
        let mut watch = DirectoryWatch::default();
        let mut first = true;
        self.recover(self.said_generation());
        loop {
            if self.events {
                watch.keep(self.directory(), waker);
            }
            self.look(&mut seen);
            if self.events && !watch.is_on(self.directory()) {
                // It came between the two: what happens in it next would wake nobody.
                continue;
            }
            if std::mem::take(&mut first) && self.store.live().is_none() {
                self.recover(0);
                // Judged once more, now beside what is served.
                seen = Seen::default();
                self.look(&mut seen);
            }
            match wakes.recv_timeout(self.poll) {
                Ok(Wake::Stop) | Err(RecvTimeoutError::Disconnected) => return,
                Ok(Wake::Event) => {
                    // Many events for one change: they are all answered by one look.
                    while let Ok(wake) = wakes.try_recv() {
                        if matches!(wake, Wake::Stop) {
                            return;
                        }
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
    }

    fn directory(&self) -> &Path {
        match self.path.parent() {
            Some(parent) if !parent.as_os_str().is_empty() => parent,
            _ => Path::new("."),
        }
    }

    /// Serves the newest good generation of the history, when it is newer than `standing`. So a restart never goes
    /// back, and a bad file does not leave it with nothing.
    fn recover(&self, standing: u64) {
        for path in self.history().into_iter().take(limits::HISTORY) {
            if generation_of(&path).is_none_or(|generation| generation <= standing) {
                return;
            }
            if let Ok((reading, secrets, _)) = self.read(&path) {
                tracing::warn!(
                    path = %path.display(),
                    "the merged file is missing, bad or older: serving the newest good generation of the history"
                );
                return self.bring_into_use(reading, &secrets, Instant::now());
            }
        }
    }

    /// The generation that the file says it is, unverified: enough to tell whether the history has a newer one
    /// without reading a large file twice.
    fn said_generation(&self) -> u64 {
        let mut head = [0; 512];
        let read = std::fs::metadata(&self.path)
            .ok()
            .filter(std::fs::Metadata::is_file)
            .and_then(|_| std::fs::File::open(&self.path).ok())
            .and_then(|mut file| std::io::Read::read(&mut file, &mut head).ok());
        let head = String::from_utf8_lossy(&head[..read.unwrap_or(0)]);
        let number =
            head.split_once("\"generation\": ").and_then(|(_, rest)| rest.split([',', '\n']).next()?.parse().ok());
        number.unwrap_or(0)
    }

    /// The kept generations, the newest first.
    fn history(&self) -> Vec<PathBuf> {
        let entries = std::fs::read_dir(self.directory().join("history"));
        let mut paths: Vec<PathBuf> = entries.into_iter().flatten().flatten().map(|entry| entry.path()).collect();
        paths.retain(|path| generation_of(path).is_some());
        paths.sort_by_key(|path| std::cmp::Reverse(generation_of(path)));
        paths
    }

    /// One look at the file; does nothing when it is the one that was judged last.
    fn look(&self, seen: &mut Seen) {
        self.reserve.take();
        let mut fingerprint = self.fingerprint();
        if seen.fingerprint.as_ref() == Some(&fingerprint) && fingerprint.merged.is_some() {
            return;
        }
        let started = Instant::now();
        match self.read(&self.path) {
            // The same bytes again, perhaps after others: they were judged, and are what is served or not.
            Ok((reading, _, bytes)) if seen.bytes == Some(bytes) => {
                if self.store.live().is_some_and(|live| live.digest == reading.digest) {
                    self.store.settled();
                }
            }
            Ok((reading, secrets, bytes)) => {
                seen.bytes = Some(bytes);
                self.judge(reading, &secrets, started);
            }
            Err((reason, message)) => {
                seen.bytes = None;
                if reason == UNREADABLE {
                    // What the system refuses now it may grant a moment later, with the same file lying there.
                    fingerprint.merged = None;
                }
                self.reject(reason, message);
            }
        }
        seen.fingerprint = Some(fingerprint);
    }

    fn fingerprint(&self) -> Fingerprint {
        use std::os::unix::fs::MetadataExt;
        let facts = |path: &Path| {
            let facts = std::fs::metadata(path).ok()?;
            Some((facts.dev(), facts.ino(), facts.modified().ok()?, facts.len()))
        };
        Fingerprint { merged: facts(&self.path), secrets: facts(&self.directory().join(secrets::FILE_NAME)) }
    }

    /// Reads and checks a file, and the secrets that it names, if they are there; the digest is that of all of it. Secrets
    /// that it does not name are another generation's, and no news.
    fn read(&self, path: &Path) -> Result<(Reading, Secrets, Digest), (&'static str, String)> {
        let bytes =
            self.bytes(path, limits::MERGED_FILE_BYTES).map_err(|error| (word_of(&error), error.to_string()))?;
        let reading = merged::read(&bytes, self.key.as_ref()).map_err(|error| (error.reason(), error.to_string()))?;
        let secrets = self
            .secrets()
            .map_err(|error| (UNREADABLE, error.to_string()))?
            .only(&secrets::names_in(reading.content.boundary.document()));
        let both = format!("{}{}", Digest::of(&bytes), Digest::of(&secrets.to_bytes()));
        Ok((reading, secrets, Digest::of(both.as_bytes())))
    }

    /// The bytes of a file, by the descriptor that is kept for it; for no longer than that takes, since others wait for one.
    fn bytes(&self, path: &Path, most: u64) -> Result<Vec<u8>, ReadError> {
        self.reserve.release();
        let read = file::read_bounded(path, most);
        self.reserve.take();
        read
    }

    /// An error when the system has no room to read them now: without them callers would be refused who are known.
    fn secrets(&self) -> Result<Secrets, ReadError> {
        match self.bytes(&self.directory().join(secrets::FILE_NAME), limits::BOUNDARY_BYTES).map(Zeroizing::new) {
            Ok(bytes) => Ok(Secrets::from_bytes(&bytes).unwrap_or_else(|why| {
                tracing::error!(why, "secrets cannot be read: issuers that need one have no keys");
                Secrets::default()
            })),
            Err(ReadError::Io { path, error }) if reserve::is_exhaustion(&error) => Err(ReadError::Io { path, error }),
            Err(_) => Ok(Secrets::default()),
        }
    }

    /// Generations only rise, by steps that can be.
    fn judge(&self, reading: Reading, secrets: &Secrets, started: Instant) {
        if let Some(live) = self.store.live() {
            let (new, old) = (reading.header.generation, live.header.generation);
            if new < old {
                return self.reject("older_generation", format!("the file is generation {new}, and {old} is served"));
            }
            if new == old && reading.digest != live.digest {
                let message = format!("the file says it is generation {new} as the served one, and is another");
                return self.reject("generation_reused", message);
            }
            if new - old > limits::GENERATION_JUMP {
                let message = format!("the file is generation {new}, out of reach from {old}");
                return self.reject("generation_jump", message);
            }
        }
        self.bring_into_use(reading, secrets, started);
    }

    fn bring_into_use(&self, reading: Reading, secrets: &Secrets, started: Instant) {
        let read = started.elapsed();
        let generation = reading.header.generation;
        let coming = self.transitions.of(&reading);
        // A defect in compiling must not end the thread that could bring the mended file.
        let compiled = std::panic::catch_unwind(AssertUnwindSafe(|| {
            compile(reading, secrets, &self.breakers, self.options, unix_now())
        }));
        match compiled {
            Ok(snapshot) => self.publish(snapshot, coming, read, started.elapsed() - read),
            Err(_) => self.reject("compile_panicked", format!("generation {generation} cannot be compiled")),
        }
    }

    fn publish(&self, snapshot: Snapshot, coming: Coming, read: Duration, compiling: Duration) {
        for one in &snapshot.quarantined {
            tracing::error!(id = one.id, why = one.why, "put aside");
        }
        for note in &snapshot.notes {
            tracing::warn!(note, "remark on the configuration");
        }
        tracing::info!(
            generation = snapshot.header.generation,
            routes = snapshot.table.routes().len(),
            read_ms = read.as_secs_f64() * 1e3,
            compile_ms = compiling.as_secs_f64() * 1e3,
            "serving a new generation"
        );
        let generation = snapshot.header.generation;
        self.store.publish(Arc::new(snapshot), read.as_secs_f64(), compiling.as_secs_f64());
        self.transitions.served(coming, generation);
    }

    fn reject(&self, reason: &'static str, message: String) {
        let before = self.store.status().rejected.clone();
        if before.is_none_or(|before| before.message != message) {
            self.transitions.refused(reason, &message);
            match self.store.live() {
                Some(live) => {
                    tracing::error!(reason, message, serving = live.header.generation, "a file did not go live")
                }
                None => tracing::warn!(reason, message, "no configuration yet"),
            }
        }
        self.store.reject(reason, message, unix_now());
    }
}

fn generation_of(path: &Path) -> Option<u64> {
    path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok()
}

fn word_of(error: &ReadError) -> &'static str {
    match error {
        ReadError::Absent(_) => "absent",
        ReadError::NotRegular { .. } => "not_regular",
        ReadError::Empty(_) => "empty",
        ReadError::TooLarge { .. } => "too_large",
        ReadError::Io { .. } => UNREADABLE,
    }
}

/// A watch on a directory that is put up again when the directory is another one.
#[derive(Default)]
struct DirectoryWatch {
    watcher: Option<notify::RecommendedWatcher>,
    watched: Option<(u64, u64)>,
    /// The watched directory was removed. A new one of that name often gets the same inode number.
    gone: Arc<AtomicBool>,
}

impl DirectoryWatch {
    fn keep(&mut self, directory: &Path, waker: &Sender<Wake>) {
        let present = Self::identity(directory);
        if present == self.watched && self.watcher.is_some() && !self.gone.load(Ordering::Acquire) {
            return;
        }
        self.watched = present;
        self.gone = Arc::default();
        self.watcher = present.and_then(|_| watch(directory, waker.clone(), Arc::clone(&self.gone)));
    }

    /// Whether the directory is the one that was put under watch last, be it that there is none.
    fn is_on(&self, directory: &Path) -> bool {
        Self::identity(directory) == self.watched
    }

    fn identity(directory: &Path) -> Option<(u64, u64)> {
        use std::os::unix::fs::MetadataExt;
        std::fs::metadata(directory).ok().map(|facts| (facts.dev(), facts.ino()))
    }
}

fn watch(directory: &Path, waker: Sender<Wake>, gone: Arc<AtomicBool>) -> Option<notify::RecommendedWatcher> {
    let watched = directory.to_owned();
    let on_event = move |event: notify::Result<notify::Event>| {
        if event.as_ref().is_ok_and(|event| event.kind.is_remove() && event.paths.contains(&watched)) {
            gone.store(true, Ordering::Release);
        }
        // What a reader does is no change, and answering it would read for ever.
        if !event.is_ok_and(|event| event.kind.is_access()) {
            let _ = waker.send(Wake::Event);
        }
    };
    let watching = notify::recommended_watcher(on_event).and_then(|mut watcher| {
        watcher.watch(directory, notify::RecursiveMode::NonRecursive)?;
        Ok(watcher)
    });
    match watching {
        Ok(watcher) => Some(watcher),
        Err(error) => {
            tracing::warn!(%error, directory = %directory.display(), "no events from this directory: polling alone");
            None
        }
    }
}
