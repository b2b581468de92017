//! The disk: bounded reads, and replacing a file so that a reader sees the old bytes or the new ones.
//!
//! Must never know what the bytes mean.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileTypeExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Why a file was not read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// There is nothing at that path.
    #[error("there is no file at {0}")]
    Absent(PathBuf),
    /// A directory, FIFO, device or socket stands there.
    #[error("{path} is {kind}, not a regular file")]
    NotRegular {
        /// The path.
        path: PathBuf,
        /// What stands there.
        kind: &'static str,
    },
    /// Nothing is in it.
    #[error("{0} is empty")]
    Empty(PathBuf),
    /// It is larger than the bound.
    #[error("{path} has more than {limit} bytes")]
    TooLarge {
        /// The path.
        path: PathBuf,
        /// The bound, in bytes.
        limit: u64,
    },
    /// The system refused.
    #[error("{path} cannot be read: {error}")]
    Io {
        /// The path.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
}

/// Reads a regular file of at most `limit` bytes. Follows symlinks; never blocks on a FIFO.
///
/// # Errors
/// When it is absent, something else than a file, empty, or too large.
pub fn read_bounded(path: &Path, limit: u64) -> Result<Vec<u8>, ReadError> {
    let failed = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => ReadError::Absent(path.to_owned()),
        _ => ReadError::Io { path: path.to_owned(), error },
    };
    // Opening a FIFO waits for its writer unless it is told not to.
    let file =
        OpenOptions::new().read(true).custom_flags(libc::O_NONBLOCK | libc::O_CLOEXEC).open(path).map_err(failed)?;
    let facts = file.metadata().map_err(failed)?;
    if !facts.is_file() {
        return Err(ReadError::NotRegular { path: path.to_owned(), kind: kind_of(facts.file_type()) });
    }
    if facts.len() > limit {
        return Err(ReadError::TooLarge { path: path.to_owned(), limit });
    }
    let mut bytes = Vec::with_capacity(usize::try_from(facts.len()).unwrap_or(0).saturating_add(1));
    file.take(limit + 1).read_to_end(&mut bytes).map_err(failed)?;
    match bytes.len() as u64 {
        0 => Err(ReadError::Empty(path.to_owned())),
        length if length > limit => Err(ReadError::TooLarge { path: path.to_owned(), limit }),
        _ => Ok(bytes),
    }
}

fn kind_of(kind: fs::FileType) -> &'static str {
    if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a FIFO"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}

/// Replaces `path` by `bytes`: a temporary file in the same directory, fsync, read back and compared,
/// renamed, directory fsynced. A reader sees the old bytes or the new ones, also after a power cut.
/// Tells what the system says of the file that was written: what lies there later may be another.
///
/// # Errors
/// What the system said; the old file stands and the temporary one is gone.
pub fn replace(path: &Path, bytes: &[u8], mode: u32) -> io::Result<fs::Metadata> {
    let directory = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let name =
        path.file_name().ok_or_else(|| io::Error::new(io::ErrorKind::InvalidInput, "the path has no file name"))?;
    let temporary = directory.join(format!(".{}.{}.tmp", name.to_string_lossy(), std::process::id()));
    let written = write_verified(&temporary, bytes, mode);
    let facts = written.and_then(|facts| fs::rename(&temporary, path).map(|()| facts)).inspect_err(|_| {
        let _ = fs::remove_file(&temporary);
    })?;
    File::open(directory)?.sync_all()?;
    Ok(facts)
}

fn write_verified(path: &Path, bytes: &[u8], mode: u32) -> io::Result<fs::Metadata> {
    // A temporary file left behind by a killed process has our name when its number comes round again.
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    let facts = file.metadata()?;
    drop(file);
    if fs::read(path)? != bytes {
        return Err(io::Error::other("what was read back is not what was written"));
    }
    Ok(facts)
}

/// Removes temporary files that killed processes left beside `path`. Failures do not matter: they are
/// small, hidden and never read.
pub fn sweep(path: &Path) {
    let (Some(directory), Some(name)) = (path.parent(), path.file_name()) else { return };
    let prefix = format!(".{}.", name.to_string_lossy());
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let found = entry.file_name();
        let found = found.to_string_lossy();
        if found.starts_with(&prefix) && found.ends_with(".tmp") {
            let _ = fs::remove_file(entry.path());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_regular_file_within_its_bound_is_read() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        assert!(matches!(read_bounded(&path, 4), Err(ReadError::Absent(_))));
        for (bytes, fits) in [(&b""[..], false), (b"1234", true), (b"12345", false)] {
            fs::write(&path, bytes).unwrap();
            assert_eq!(read_bounded(&path, 4).is_ok(), fits, "{bytes:?}");
        }
        assert!(matches!(read_bounded(directory.path(), 4), Err(ReadError::NotRegular { kind: "a directory", .. })));
        let fifo = directory.path().join("fifo");
        assert!(std::process::Command::new("mkfifo").arg(&fifo).status().unwrap().success());
        assert!(matches!(read_bounded(&fifo, 4), Err(ReadError::NotRegular { kind: "a FIFO", .. })));
    }

    #[test]
    fn a_replaced_file_leaves_nothing_beside_it() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("merged.json");
        fs::write(directory.path().join(".merged.json.1.tmp"), "left behind").unwrap();
        replace(&path, b"one", 0o640).unwrap();
        replace(&path, b"two", 0o640).unwrap();
        sweep(&path);
        assert_eq!(fs::read(&path).unwrap(), b"two");
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_failed_replacement_leaves_the_old_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("merged.json");
        fs::create_dir(&path).unwrap();
        assert!(replace(&path, b"x", 0o640).is_err());
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
    }
}
