//! A merged file that nobody serves: what would stand, for whoever wants to look at it before.

use std::path::Path;

use postern_config::file;
use postern_config::merged::{self, Content, Header, Sources};
use postern_config::value::Timestamp;

/// Writes what would stand as that generation to `path`, which must not be in the directory that routers watch.
///
/// # Errors
/// In words: when it is there, or cannot be written.
pub fn write_aside(
    path: &Path,
    directory: &Path,
    generation: u64,
    content: &Content,
    now: Timestamp,
) -> Result<(), String> {
    let place = path.parent().and_then(|parent| parent.canonicalize().ok());
    if directory.canonicalize().is_ok_and(|directory| place == Some(directory)) {
        return Err(format!("{} is where routers look for what is live; choose another place", path.display()));
    }
    let header = Header { generation, previous: None, written_at: now, sources: Sources::default() };
    let (bytes, _) = merged::write(&header, content, None);
    file::replace(path, &bytes, 0o640).map(drop).map_err(|error| format!("{}: {error}", path.display()))
}
