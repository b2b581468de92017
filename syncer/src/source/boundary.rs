//! The boundary's store: an object in S3, or a file.
//!
//! Assumes that what stands there may be half written, of another kind or hostile: only a document that passes
//! every check is an observation. Must never know registrations.

use std::path::PathBuf;
use std::time::Duration;

use postern_config::document::BoundaryDocument;
use postern_config::merged::{Digest, Source};
use postern_config::secrets::{Taken, came_from, names_in, place_of};
use postern_config::value::Timestamp;
use postern_config::{Boundary, Problems, file, limits, parse, schema};

use super::client::Clients;
use super::s3::{Fetched, Object};
use super::{FailureReason, Location, Observed, SourceError};

/// A boundary as it was read.
#[derive(Debug, Clone)]
pub struct BoundaryReading {
    /// What is allowed, without secrets.
    pub boundary: Boundary,
    /// The secrets that stood in it, and those that it refers to.
    pub taken: Taken,
    /// Where it stood.
    pub source: Source,
    /// The digest of its bytes.
    pub digest: Digest,
}

impl BoundaryReading {
    /// Calls secrets as `standing` calls those of the same places and references. Without the secrets themselves nobody can
    /// tell whether they are others.
    pub fn keep_names_of(&mut self, standing: &BoundaryDocument) {
        let names = names_in(standing);
        let taken = &self.taken;
        self.boundary.name_secrets(|place| {
            let reference = taken.wanted.iter().find(|one| one.place == place).map(|one| &one.reference);
            names.iter().find(|name| place_of(name) == place && came_from(name, reference)).cloned()
        });
    }
}

/// Where the boundary is, and what was read there last.
#[derive(Debug)]
pub struct BoundarySource {
    place: Place,
    uri: String,
    last: Option<Digest>,
}

#[derive(Debug)]
enum Place {
    File(PathBuf),
    Object(Object),
}

impl BoundarySource {
    /// Opens the store at `location`.
    ///
    /// # Errors
    /// When no boundary can be there.
    pub fn open(location: &Location, clients: &Clients, time: Duration) -> Result<Self, String> {
        let place = match location {
            Location::Path(path) => Place::File(path.clone()),
            Location::S3 { bucket, key } => Place::Object(Object::new(clients.s3(), bucket, key, time)),
            Location::DynamoDb { .. } => {
                return Err(format!("{location} is a table; a boundary is s3://BUCKET/KEY or a file"));
            }
        };
        Ok(Self { place, uri: location.to_string(), last: None })
    }

    /// Whether looking again at once costs something.
    pub fn is_remote(&self) -> bool {
        matches!(self.place, Place::Object(_))
    }

    /// Looks at the store.
    pub async fn observe(&mut self, now: Timestamp) -> Observed<BoundaryReading> {
        let fetched = match &mut self.place {
            Place::File(path) => read_file(path),
            Place::Object(object) => object.fetch().await,
        };
        let (bytes, mut source) = match fetched {
            Ok(Fetched::Same) => return Observed::Unchanged,
            Ok(Fetched::New { bytes, source }) => (bytes, source),
            Err(error) => return Observed::Failed(error),
        };
        // The bytes decide: an entity tag may change without them, and stay although they changed.
        let digest = Digest::of(&bytes);
        if self.last == Some(digest) {
            self.taken();
            return Observed::Unchanged;
        }
        match read(&bytes) {
            Ok((boundary, taken)) => {
                self.last = Some(digest);
                self.taken();
                source.uri.clone_from(&self.uri);
                source.read_at = Some(now);
                Observed::Changed(BoundaryReading { boundary, taken, source, digest })
            }
            Err(message) => {
                Observed::Failed(SourceError::new(FailureReason::Invalid, format!("{}: {message}", self.uri)))
            }
        }
    }

    /// Only what was good need not be sent again: a bad object is read until it is mended.
    fn taken(&mut self) {
        if let Place::Object(object) = &mut self.place {
            object.taken();
        }
    }
}

fn read_file(path: &std::path::Path) -> Result<Fetched, SourceError> {
    match file::read_bounded(path, limits::BOUNDARY_BYTES) {
        Ok(bytes) => Ok(Fetched::New { bytes, source: Source::default() }),
        Err(error) => {
            let reason = match error {
                file::ReadError::Absent(_) => FailureReason::NotFound,
                file::ReadError::TooLarge { .. } => FailureReason::TooLarge,
                file::ReadError::NotRegular { .. } | file::ReadError::Empty(_) => FailureReason::Invalid,
                file::ReadError::Io { .. } => FailureReason::Unavailable,
            };
            Err(SourceError::new(reason, error.to_string()))
        }
    }
}

/// Bytes to a checked boundary, its secrets taken out.
fn read(bytes: &[u8]) -> Result<(Boundary, Taken), String> {
    let text = std::str::from_utf8(bytes).map_err(|error| format!("is not UTF-8 text: {error}"))?;
    let values = parse::values(text).map_err(|problem| problem.to_string())?;
    let [value] = values.as_slice() else {
        return Err(format!("holds {} documents; a boundary is exactly one", values.len()));
    };
    let mut document: BoundaryDocument =
        parse::document(value, schema::boundary()).map_err(|problems| told(text, &problems))?;
    let taken = Taken::from(&mut document);
    let boundary = Boundary::check(document).map_err(|problems| told(text, &problems))?;
    Ok((boundary, taken))
}

/// Every problem with its line and column.
fn told(text: &str, problems: &Problems) -> String {
    let places = parse::Places::of(text);
    let lines: Vec<String> = problems.0.iter().map(|problem| places.tell(0, "", problem)).collect();
    lines.join("\n")
}
