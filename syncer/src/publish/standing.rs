//! What stands in the directory: the merged file, or when it cannot be read the newest copy that can.

use std::path::Path;
use std::sync::Arc;

use postern_config::merged::{self, Content, Digest, FileKey, Header, Reading};
use postern_config::{file, limits};

use super::{HISTORY, MERGED};

/// A generation that stands, or stood.
#[derive(Debug, Clone, PartialEq)]
pub struct Standing {
    /// Its number and where it comes from.
    pub header: Header,
    /// What it says.
    pub content: Arc<Content>,
    /// Its digest.
    pub digest: Digest,
    /// Whether it is the merged file itself; else a copy, and the file must be written anew.
    pub live: bool,
}

/// What stands in `directory`, and the highest generation that anything there shows.
pub fn standing(directory: &Path, key: Option<&FileKey>) -> (Option<Standing>, u64) {
    let path = directory.join(MERGED);
    let history = directory.join(HISTORY);
    let mut copies = generations(&history);
    copies.sort_unstable_by(|a, b| b.cmp(a));
    let newest = copies.first().map_or(0, |(generation, _)| *generation);
    let bytes = file::read_bounded(&path, limits::MERGED_FILE_BYTES);
    let absent = matches!(bytes, Err(file::ReadError::Absent(_)));
    match bytes.map_err(|error| error.to_string()).and_then(|bytes| read(&bytes, key)) {
        Ok(reading) => {
            let highest = newest.max(reading.header.generation);
            return (Some(stood(reading, true)), highest);
        }
        Err(_) if absent && copies.is_empty() => return (None, 0),
        Err(error) => {
            tracing::error!(file = %path.display(), error, "the standing file cannot be used; going on from its history");
        }
    }
    let highest = newest.max(salvaged(&path, newest));
    for (_, name) in copies {
        let copy = history.join(name);
        let bytes = file::read_bounded(&copy, limits::MERGED_FILE_BYTES).map_err(|error| error.to_string());
        match bytes.and_then(|bytes| read(&bytes, key)) {
            Ok(reading) => return (Some(stood(reading, false)), highest),
            Err(error) => tracing::warn!(file = %copy.display(), error, "a copy in the history cannot be used"),
        }
    }
    (None, highest)
}

fn stood(reading: Reading, live: bool) -> Standing {
    Standing { header: reading.header, content: Arc::new(reading.content), digest: reading.digest, live }
}

fn read(bytes: &[u8], key: Option<&FileKey>) -> Result<Reading, String> {
    merged::read(bytes, key).map_err(|error| error.to_string())
}

/// Numbers and names of the copies in the history.
pub(super) fn generations(history: &Path) -> Vec<(u64, String)> {
    let entries = std::fs::read_dir(history).into_iter().flatten().flatten();
    entries
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let digits = name.strip_suffix(".json")?;
            let generation = digits.parse().ok().filter(|_| digits.bytes().all(|byte| byte.is_ascii_digit()))?;
            Some((generation, name))
        })
        .collect()
}

/// The generation that a damaged file still tells, if it can be one that follows the history: a router may have
/// loaded it before it was damaged, and would refuse the same number again.
fn salvaged(path: &Path, newest: u64) -> u64 {
    use std::io::Read;
    let mut start = [0_u8; 512];
    let Ok(facts) = std::fs::metadata(path) else { return 0 };
    if !facts.is_file() {
        return 0;
    }
    let count = std::fs::File::open(path).and_then(|mut file| file.read(&mut start)).unwrap_or(0);
    let text = String::from_utf8_lossy(&start[..count]);
    let digits = text.split_once("\"generation\": ").map_or("", |(_, rest)| rest);
    let digits: String = digits.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok().filter(|found| *found <= newest.saturating_add(1_000)).unwrap_or(0)
}
