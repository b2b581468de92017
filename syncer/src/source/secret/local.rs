//! Secrets on this machine: variables of the environment, and files.
//!
//! Assumes that a file may be replaced, written in its place, or be anything else than a file. Must never give half of one.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, SystemTime};

use postern_config::file::{self, ReadError};
use postern_config::secrets::SecretText;

use super::{FailureReason, SourceError};
use crate::limits;

/// For how long a file has stood still before it is read: one that is written in its place is not read in two halves.
const STILL: Duration = Duration::from_millis(500);

/// How often a file may have moved before that is a failure.
const ATTEMPTS: u32 = 6;

pub(super) fn variable(name: &str) -> Result<SecretText, SourceError> {
    match std::env::var(name) {
        Ok(text) => Ok(SecretText::new(text)),
        Err(std::env::VarError::NotPresent) => {
            Err(SourceError::new(FailureReason::NotFound, format!("env:{name} is not set where the syncer runs")))
        }
        Err(std::env::VarError::NotUnicode(_)) => Err(not_text("env", name)),
    }
}

pub(super) async fn file(path: &str) -> Result<SecretText, SourceError> {
    for _ in 0..ATTEMPTS {
        let before = facts(path).await?;
        let age = SystemTime::now().duration_since(before.3).unwrap_or_default();
        if age < STILL {
            tokio::time::sleep(STILL - age).await;
            if facts(path).await? != before {
                continue;
            }
        }
        let text = read(path).await?;
        if facts(path).await? == before {
            return Ok(text);
        }
    }
    Err(SourceError::new(FailureReason::Unstable, format!("file:{path} changes all the time")))
}

/// What tells one state of a file from another.
type Facts = (u64, u64, u64, SystemTime);

async fn facts(path: &str) -> Result<Facts, SourceError> {
    let facts = tokio::fs::metadata(path).await.and_then(|facts| {
        let modified = facts.modified()?;
        Ok((facts.dev(), facts.ino(), facts.len(), modified))
    });
    facts.map_err(|error| {
        let reason = match error.kind() {
            std::io::ErrorKind::NotFound => FailureReason::NotFound,
            std::io::ErrorKind::PermissionDenied => FailureReason::Forbidden,
            _ => FailureReason::Unavailable,
        };
        SourceError::new(reason, format!("file:{path} cannot be read: {error}"))
    })
}

/// On another thread: a network file system may keep it waiting.
async fn read(path: &str) -> Result<SecretText, SourceError> {
    let owned = path.to_owned();
    let read = tokio::task::spawn_blocking(move || file::read_bounded(Path::new(&owned), limits::SECRET_BYTES));
    let bytes = match read.await {
        Ok(Ok(bytes)) => bytes,
        Ok(Err(error)) => return Err(failed(&error)),
        Err(error) => return Err(SourceError::new(FailureReason::Unavailable, format!("file:{path}: {error}"))),
    };
    String::from_utf8(bytes).map(SecretText::new).map_err(|_| not_text("file", path))
}

fn failed(error: &ReadError) -> SourceError {
    let reason = match error {
        ReadError::Absent(_) => FailureReason::NotFound,
        ReadError::NotRegular { .. } | ReadError::Empty(_) => FailureReason::Invalid,
        ReadError::TooLarge { .. } => FailureReason::TooLarge,
        ReadError::Io { error, .. } if error.kind() == std::io::ErrorKind::PermissionDenied => FailureReason::Forbidden,
        ReadError::Io { .. } => FailureReason::Unavailable,
    };
    SourceError::new(reason, error.to_string())
}

fn not_text(scheme: &str, name: &str) -> SourceError {
    SourceError::new(FailureReason::Invalid, format!("{scheme}:{name} is not text; secrets are written in base64url"))
}
