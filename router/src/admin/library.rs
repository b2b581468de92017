//! What the files of generations say, for people who look at the page: the one that is served, those before it, and how
//! two of them differ.
//!
//! Files are read on a thread that may wait, one at a time, and the last answers are kept, so that nobody who asks often
//! costs much. Must never know requests, and nothing that is read here is ever served.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_config::changes::Changes;
use postern_config::merged::{self, Digest, FileKey, Reading};
use postern_config::{file, limits};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;

/// Where the syncer keeps past generations, below its directory.
const HISTORY: &str = "history";
/// How many differences are kept.
const DIFFERENCES: usize = 2;
/// The longest answer that is kept.
const KEPT_BYTES: usize = 16 << 20;
/// How much of a file's two ends is read to tell what it is.
const END_BYTES: u64 = 16 << 10;

/// The files of generations.
pub(crate) struct Library {
    place: Arc<Place>,
    /// Held for as long as a file is read, also when whoever asked is gone.
    shelf: Arc<Mutex<Shelf>>,
}

/// Where the files are, and the key they are verified with.
struct Place {
    merged: PathBuf,
    key: Option<FileKey>,
}

/// The last answers.
#[derive(Default)]
struct Shelf {
    live: Option<Arc<Told>>,
    differences: VecDeque<((u64, u64), Arc<str>)>,
}

/// What the file of the generation that is served says, as JSON.
pub(crate) struct Told {
    digest: Digest,
    /// Every route as it stands there.
    pub(crate) routes: String,
    /// Every refused registration as it stands there.
    pub(crate) refused: String,
    /// What of the boundary's destinations is worth knowing.
    pub(crate) destinations: String,
}

impl Library {
    /// The files beside a merged file.
    pub(crate) fn new(merged: PathBuf, key: Option<FileKey>) -> Self {
        Self { place: Arc::new(Place { merged, key }), shelf: Arc::default() }
    }

    /// What the file of that generation says.
    ///
    /// # Errors
    /// When no file holds it any more, for a person.
    pub(crate) async fn live(&self, generation: u64, digest: Digest) -> Result<Arc<Told>, String> {
        self.read(move |place, shelf| {
            if let Some(told) = shelf.live.as_ref().filter(|told| told.digest == digest) {
                return Ok(Arc::clone(told));
            }
            shelf.live = None;
            let told = Arc::new(Told::of(&place.open(generation, Some(digest))?));
            let bytes = told.routes.len() + told.refused.len() + told.destinations.len();
            shelf.live = (bytes <= KEPT_BYTES).then(|| Arc::clone(&told));
            Ok(told)
        })
        .await
    }

    /// Which generations there are files of, the newest first, as JSON.
    ///
    /// # Errors
    /// When nothing can be read, for a person.
    pub(crate) async fn generations(&self) -> Result<String, String> {
        self.read(|place, _| Ok(json!({"generations": place.generations()}).to_string())).await
    }

    /// What one generation has otherwise than another, as JSON.
    ///
    /// # Errors
    /// When one of them cannot be read, for a person.
    pub(crate) async fn difference(&self, from: u64, to: u64) -> Result<Arc<str>, String> {
        self.read(move |place, shelf| {
            if let Some((_, kept)) = shelf.differences.iter().find(|(pair, _)| *pair == (from, to)) {
                return Ok(Arc::clone(kept));
            }
            let (before, after) = (place.open(from, None)?, place.open(to, None)?);
            let changes = Changes::between(&before.content, &after.content);
            let said = json!({
                "before": identity(&before), "after": identity(&after), "weaker": changes.weakens(), "changes": changes,
            });
            let said: Arc<str> = said.to_string().into();
            if said.len() <= KEPT_BYTES {
                shelf.differences.truncate(DIFFERENCES - 1);
                shelf.differences.push_front(((from, to), Arc::clone(&said)));
            }
            Ok(said)
        })
        .await
    }

    /// Reads on a thread that may wait. One at a time: the shelf goes along, so that also what nobody waits for any more
    /// is finished before the next begins.
    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Place, &mut Shelf) -> Result<T, String> + Send + 'static,
    ) -> Result<T, String> {
        let mut shelf = Arc::clone(&self.shelf).lock_owned().await;
        let place = Arc::clone(&self.place);
        let read = tokio::task::spawn_blocking(move || read(&place, &mut shelf)).await;
        read.unwrap_or_else(|_| Err("it could not be read".to_owned()))
    }
}

impl Place {
    /// Reads the file of a generation: the merged one, or one of the history.
    fn open(&self, generation: u64, digest: Option<Digest>) -> Result<Reading, String> {
        let is_it = |reading: &Reading| {
            reading.header.generation == generation && digest.is_none_or(|digest| reading.digest == digest)
        };
        let kept = self.kept().into_iter().filter(|(number, _)| *number == generation).map(|(_, path)| path);
        for path in kept.chain([self.merged.clone()]) {
            let bytes = file::read_bounded(&path, limits::MERGED_FILE_BYTES);
            let reading = bytes.ok().and_then(|bytes| merged::read(&bytes, self.key.as_ref()).ok());
            if let Some(reading) = reading.filter(is_it) {
                return Ok(reading);
            }
        }
        Err(format!("no file holds generation {generation} any more"))
    }

    /// The files of the history, the newest first.
    fn kept(&self) -> Vec<(u64, PathBuf)> {
        let history = self.merged.parent().map(|directory| directory.join(HISTORY)).unwrap_or_default();
        let number = |path: &Path| path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok();
        let paths = std::fs::read_dir(history).into_iter().flatten().filter_map(|entry| Some(entry.ok()?.path()));
        let mut files: Vec<(u64, PathBuf)> = paths.filter_map(|path| Some((number(&path)?, path))).collect();
        files.sort_unstable_by(|a, b| b.cmp(a));
        files
    }

    fn generations(&self) -> Vec<Value> {
        let files = self.kept().into_iter().map(|(_, path)| path).chain([self.merged.clone()]);
        let mut found: Vec<Value> = files.filter_map(|path| ends(&path)).map(Value::Object).collect();
        let number = |one: &Value| one["generation"].as_u64();
        found.sort_by_key(|one| std::cmp::Reverse(number(one)));
        found.dedup_by_key(|one| number(one));
        found
    }
}

/// What a file says of itself in its first and last lines; none when it is no merged file. It is not verified: this only
/// tells people what there is.
fn ends(path: &Path) -> Option<Map<String, Value>> {
    let mut file = File::open(path).ok().filter(|file| file.metadata().is_ok_and(|facts| facts.is_file()))?;
    let mut told = Map::new();
    let mut take = |file: &mut File| -> Option<()> {
        let mut bytes = Vec::new();
        file.take(END_BYTES).read_to_end(&mut bytes).ok()?;
        let text = String::from_utf8_lossy(&bytes);
        let members = text.lines().filter_map(|line| {
            serde_json::from_str::<Map<String, Value>>(&format!("{{{}}}", line.trim_end_matches(','))).ok()
        });
        let wanted = ["generation", "written_at", "sources", "counts", "digest"];
        told.extend(members.flatten().filter(|(name, _)| wanted.contains(&name.as_str())));
        Some(())
    };
    take(&mut file)?;
    let length = file.metadata().ok()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(END_BYTES))).ok()?;
    take(&mut file)?;
    told.get("generation").is_some_and(Value::is_u64).then_some(told)
}

fn identity(reading: &Reading) -> Value {
    let header = &reading.header;
    json!({"generation": header.generation, "digest": reading.digest.to_string(), "written_at": header.written_at})
}

impl Told {
    fn of(reading: &Reading) -> Self {
        let content = &reading.content;
        let destinations: Vec<Value> = content
            .boundary
            .document()
            .destinations
            .iter()
            .map(|one| {
                json!({
                    "name": one.name, "hosts": one.hosts, "schemes": one.schemes, "ports": one.ports,
                    "addresses": one.addresses, "dial": one.dial, "protocol": one.protocol,
                })
            })
            .collect();
        let generation = reading.header.generation;
        Self {
            digest: reading.digest,
            routes: json!({"generation": generation, "routes": content.routes}).to_string(),
            refused: json!({"generation": generation, "refused": content.refused}).to_string(),
            destinations: json!({"generation": generation, "destinations": destinations}).to_string(),
        }
    }
}
