//! Files that are read again when they change, with the last good ones kept.
//!
//! Looks at what the system says of a file (its length, its times, which file it is), through symlinks, so that a
//! swapped link is seen as well. What has changed is read only once it has been still from one look to the next:
//! a file that is being written in its place is not read in two halves. Must never know what the bytes mean.

use std::fmt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::certificate::SetupError;

/// Files that make sense together.
#[derive(Debug, Clone)]
pub(crate) struct Files(Vec<PathBuf>);

impl Files {
    pub(crate) fn new<const N: usize>(files: [&PathBuf; N]) -> Self {
        Self(files.into_iter().cloned().collect())
    }

    fn stamps(&self) -> Vec<Option<Stamp>> {
        self.0.iter().map(|file| Stamp::of(file)).collect()
    }
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, file) in self.0.iter().enumerate() {
            let between = if index == 0 { "" } else { ", " };
            write!(f, "{between}{}", file.display())?;
        }
        Ok(())
    }
}

/// What the system says of a file. The time of its last change covers what keeps length and inode, and whoever sets
/// the time of its last writing back.
#[derive(Debug, PartialEq, Eq)]
struct Stamp {
    device: u64,
    inode: u64,
    length: u64,
    written: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    fn of(file: &Path) -> Option<Self> {
        let facts = file.metadata().ok()?;
        Some(Self {
            device: facts.dev(),
            inode: facts.ino(),
            length: facts.len(),
            written: (facts.mtime(), facts.mtime_nsec()),
            changed: (facts.ctime(), facts.ctime_nsec()),
        })
    }
}

/// How files are read at a time (unix seconds).
type Read<T> = Box<dyn Fn(i64) -> Result<T, SetupError> + Send>;

/// What was last read from files and good.
pub(crate) struct Kept<T> {
    pub(crate) value: T,
    files: Files,
    read: Read<T>,
    stamps: Vec<Option<Stamp>>,
    /// The stamps have stood still, and what they stand for was read.
    settled: bool,
    /// Why what lies there now is not in use.
    refused: Option<String>,
}

/// What a look found.
pub(crate) enum Looked {
    /// Nothing new.
    Same,
    /// Another value.
    Loaded(Files),
    /// Files that cannot be used, told once for each change of theirs, and again only for another reason.
    Refused(Files, SetupError),
}

impl<T: PartialEq> Kept<T> {
    /// Reads for the first time.
    ///
    /// # Errors
    /// When the files cannot be used.
    pub(crate) fn open(
        files: Files,
        now: i64,
        read: impl Fn(i64) -> Result<T, SetupError> + Send + 'static,
    ) -> Result<Self, SetupError> {
        let stamps = files.stamps();
        Ok(Self { value: read(now)?, files, read: Box::new(read), stamps, settled: false, refused: None })
    }

    /// Whether what lies there is not in use.
    pub(crate) fn is_refused(&self) -> bool {
        self.refused.is_some()
    }

    /// Reads what has changed and stood still since, and again what was refused: time may have made it valid.
    pub(crate) fn look(&mut self, now: i64) -> Looked {
        let stamps = self.files.stamps();
        if stamps != self.stamps {
            self.stamps = stamps;
            self.settled = false;
            return Looked::Same;
        }
        if self.settled && self.refused.is_none() {
            return Looked::Same;
        }
        let fresh = !std::mem::replace(&mut self.settled, true);
        match (self.read)(now) {
            Ok(value) => {
                self.refused = None;
                if value == self.value {
                    return Looked::Same;
                }
                self.value = value;
                Looked::Loaded(self.files.clone())
            }
            Err(error) => {
                let why = error.to_string();
                if !fresh && self.refused.as_ref() == Some(&why) {
                    return Looked::Same;
                }
                self.refused = Some(why);
                Looked::Refused(self.files.clone(), error)
            }
        }
    }
}
