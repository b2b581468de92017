//! Reading the merged file as if a stranger had written it: digest first, then shape, then the boundary
//! again over every route.
//!
//! One bad line never costs another: a route that does not hold is put aside, the rest stays. What a newer
//! syncer added is ignored and named, except where ignoring it would open something.

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{API_VERSION, Content, Digest, FileKey, Header, KIND, Refused, Sources};
use crate::check::{Boundary, recheck};
use crate::document::{ApiVersion, BoundaryDocument, BoundaryKind, Destination, Identity, PathRule, PolicyLayer};
use crate::problem::{ProblemKind, Problems};
use crate::route::Route;
use crate::schema::{self, Checker};
use crate::value::{HostPattern, Timestamp};

/// Why a file as a whole is not taken. Closed; the names are what metrics and `/snapshot` show.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum MergedError {
    /// No digest line at its end: cut short, or another kind of file.
    #[error("the last line carries no digest: the file is cut short or not a merged file")]
    NoDigest,
    /// The digest is not that of the bytes before it.
    #[error("the digest does not fit the bytes before it: the file is damaged or was edited")]
    DigestMismatch,
    /// A key is configured and the file carries no code.
    #[error("the file carries no authentication code, and a key is configured")]
    MacMissing,
    /// The code was not made with the configured key.
    #[error("the authentication code was not made with the configured key")]
    MacMismatch,
    /// Not JSON of the expected shape.
    #[error("the file is not readable: {0}")]
    Syntax(String),
    /// Another kind of document.
    #[error("the file says it is {0}, not {API_VERSION} {KIND}")]
    WrongKind(String),
    /// The boundary in it does not hold.
    #[error("the boundary in the file does not hold: {0}")]
    Boundary(Problems),
    /// A field that a newer syncer wrote, in a place where ignoring it could open something.
    #[error("{0} is not known to this router, and ignoring it could open something")]
    UnknownSecurityField(String),
}

impl MergedError {
    /// A short word for metrics and status pages.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::NoDigest => "no_digest",
            Self::DigestMismatch => "digest_mismatch",
            Self::MacMissing => "mac_missing",
            Self::MacMismatch => "mac_mismatch",
            Self::Syntax(_) => "syntax",
            Self::WrongKind(_) => "wrong_kind",
            Self::Boundary(_) => "boundary_invalid",
            Self::UnknownSecurityField(_) => "unknown_security_field",
        }
    }
}

/// A route that was put aside.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Quarantined {
    /// `ROOT#NAME`, or what there is of it.
    pub id: String,
    /// Why.
    pub why: String,
}

/// What a file says.
#[derive(Debug, Clone)]
pub struct Reading {
    /// The generation and where it comes from.
    pub header: Header,
    /// What is served.
    pub content: Content,
    /// The digest of the file.
    pub digest: Digest,
    /// Routes, destinations and issuers that were put aside.
    pub quarantined: Vec<Quarantined>,
    /// Fields that a newer syncer wrote and that were ignored.
    pub ignored: Vec<String>,
}

/// Reads and checks a merged file.
///
/// # Errors
/// When the file as a whole cannot be trusted. Single routes that do not hold are in
/// [`Reading::quarantined`] instead.
pub fn read(bytes: &[u8], key: Option<&FileKey>) -> Result<Reading, MergedError> {
    let digest = verify(bytes, key)?;
    let text = std::str::from_utf8(bytes).map_err(|error| MergedError::Syntax(error.to_string()))?;
    let kind: Kind = serde_json::from_str(text).map_err(|error| MergedError::Syntax(error.to_string()))?;
    if (&*kind.api_version, &*kind.kind) != (API_VERSION, KIND) {
        return Err(MergedError::WrongKind(format!("{} {}", kind.api_version, kind.kind)));
    }
    let shape: Shape<'_> = serde_json::from_str(text).map_err(|error| MergedError::Syntax(error.to_string()))?;
    let mut aside = Aside::default();
    aside.ignored.extend(shape.unknown.keys().cloned());
    let boundary = read_boundary(&shape, &mut aside)?;
    let mut routes: Vec<Route> = Vec::with_capacity(shape.routes.len());
    for (index, raw) in shape.routes.iter().enumerate() {
        let at = format!("/routes/{index}");
        let Some(route) = entry::<Route>(raw, &at, schema::route(), &mut aside) else { continue };
        match recheck(&boundary, &route) {
            Ok(()) => routes.push(route),
            Err(refusals) => {
                let why = refusals.iter().map(|one| format!("{}: {}", one.at, one.message)).collect::<Vec<_>>();
                aside.put(route.id, why.join("; "));
            }
        }
    }
    routes.sort_by(|a, b| a.id.cmp(&b.id));
    for pair in routes.windows(2).filter(|pair| pair[0].id == pair[1].id) {
        aside.put(pair[1].id.clone(), "the same id stands twice in the file; the first line is taken".to_owned());
    }
    routes.dedup_by(|later, first| later.id == first.id);
    let refused = shape.refused.iter().filter_map(|raw| serde_json::from_str::<Refused>(raw.get()).ok()).collect();
    Ok(Reading {
        header: Header {
            generation: shape.generation,
            previous: shape.previous.and_then(|text| text.parse().ok()),
            written_at: shape.written_at,
            sources: shape.sources,
        },
        content: Content { boundary, routes, refused },
        digest,
        quarantined: aside.quarantined,
        ignored: aside.ignored,
    })
}

/// Checks the last two lines, to the byte: `"digest": "…"` (and `"mac": "…"`), then `}`.
fn verify(bytes: &[u8], key: Option<&FileKey>) -> Result<Digest, MergedError> {
    const START: &[u8] = b"\n\"digest\": \"";
    let tail_from = bytes.len().saturating_sub(300);
    let at = bytes[tail_from..]
        .windows(START.len())
        .rposition(|window| window == START)
        .map(|at| tail_from + at + 1)
        .ok_or(MergedError::NoDigest)?;
    let (body, line) = bytes.split_at(at);
    let line = std::str::from_utf8(line).map_err(|_| MergedError::NoDigest)?;
    let inner = line
        .strip_prefix("\"digest\": \"")
        .and_then(|rest| rest.strip_suffix("\"\n}\n"))
        .ok_or(MergedError::NoDigest)?;
    let (digest, code) = match inner.split_once("\", \"mac\": \"") {
        Some((digest, code)) => (digest, Some(code)),
        None => (inner, None),
    };
    let digest: Digest = digest.parse().map_err(|()| MergedError::NoDigest)?;
    if digest != Digest::of(body) {
        return Err(MergedError::DigestMismatch);
    }
    match (key, code) {
        (None, None) => Ok(digest),
        // Without the key the code cannot be judged; that it has the form of one can.
        (None, Some(code)) if FileKey::has_form(code) => Ok(digest),
        (None, Some(_)) => Err(MergedError::MacMismatch),
        (Some(_), None) => Err(MergedError::MacMissing),
        (Some(key), Some(code)) if key.verifies(body, code) => Ok(digest),
        (Some(_), Some(_)) => Err(MergedError::MacMismatch),
    }
}

#[derive(Deserialize)]
struct Kind {
    #[serde(rename = "apiVersion", default)]
    api_version: String,
    #[serde(default)]
    kind: String,
}

/// The file, with its lines still unread.
#[derive(Deserialize)]
struct Shape<'a> {
    generation: u64,
    #[serde(default)]
    previous: Option<String>,
    written_at: Timestamp,
    #[serde(default)]
    sources: Sources,
    hosts: Vec<HostPattern>,
    #[serde(borrow)]
    destinations: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    identity: Option<&'a RawValue>,
    #[serde(default, borrow)]
    paths: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    defaults: Option<&'a RawValue>,
    #[serde(default, borrow)]
    overrides: Option<&'a RawValue>,
    #[serde(borrow)]
    routes: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    refused: Vec<&'a RawValue>,
    #[serde(flatten)]
    unknown: std::collections::BTreeMap<String, serde::de::IgnoredAny>,
}

fn read_boundary(shape: &Shape<'_>, aside: &mut Aside) -> Result<Boundary, MergedError> {
    let destinations = shape
        .destinations
        .iter()
        .enumerate()
        .filter_map(|(index, raw)| {
            entry::<Destination>(raw, &format!("/destinations/{index}"), schema::destination(), aside)
        })
        .collect();
    // What is demanded of everybody must be understood to the last word.
    let mut paths = Vec::with_capacity(shape.paths.len());
    for (index, raw) in shape.paths.iter().enumerate() {
        paths.push(strict::<PathRule>(raw, &format!("/paths/{index}"))?);
    }
    let layer = |raw: Option<&RawValue>, at: &str| match raw {
        Some(raw) => strict::<PolicyLayer>(raw, at),
        None => Ok(PolicyLayer::default()),
    };
    let document = BoundaryDocument {
        api_version: ApiVersion::V1,
        kind: BoundaryKind::Boundary,
        hosts: shape.hosts.clone(),
        destinations,
        identity: match shape.identity {
            Some(raw) => strict::<Identity>(raw, "/identity")?,
            None => Identity::default(),
        },
        paths,
        defaults: layer(shape.defaults, "/defaults")?,
        overrides: layer(shape.overrides, "/overrides")?,
    };
    Boundary::check(document).map_err(MergedError::Boundary)
}

fn strict<T: DeserializeOwned>(raw: &RawValue, at: &str) -> Result<T, MergedError> {
    serde_json::from_str(raw.get()).map_err(|error| {
        let text = error.to_string();
        if text.contains("unknown field") {
            MergedError::UnknownSecurityField(format!("{at}: {text}"))
        } else {
            MergedError::Syntax(format!("{at}: {text}"))
        }
    })
}

#[derive(Default)]
struct Aside {
    quarantined: Vec<Quarantined>,
    ignored: Vec<String>,
}

impl Aside {
    fn put(&mut self, id: String, why: String) {
        self.quarantined.push(Quarantined { id, why });
    }
}

/// One line. When it has fields that this router does not know, they are taken out and named; the line is
/// put aside when one of them stands where ignoring it could open something.
fn entry<T: DeserializeOwned>(raw: &RawValue, at: &str, checker: &Checker, aside: &mut Aside) -> Option<T> {
    if let Ok(entry) = serde_json::from_str(raw.get()) {
        return Some(entry);
    }
    let mut value: Value = serde_json::from_str(raw.get()).ok()?;
    let id = ["id", "name"].iter().find_map(|field| value.get(field)?.as_str()).unwrap_or(at).to_owned();
    let problems = checker.problems(&value);
    let (unknown, wrong): (Vec<_>, Vec<_>) =
        problems.into_iter().partition(|problem| problem.kind == ProblemKind::UnknownField);
    if !wrong.is_empty() {
        aside.put(id, Problems(wrong).to_string());
        return None;
    }
    for problem in unknown {
        if could_open(&problem.at) {
            aside.put(id, format!("{} is not known to this router, and ignoring it could open something", problem.at));
            return None;
        }
        if let Some((parent, field)) = problem.at.rsplit_once('/')
            && let Some(Value::Object(fields)) = value.pointer_mut(parent)
        {
            fields.remove(&field.replace("~1", "/").replace("~0", "~"));
        }
        aside.ignored.push(format!("{at}{}", problem.at));
    }
    match serde_json::from_value(value) {
        Ok(entry) => Some(entry),
        Err(error) => {
            aside.put(id, error.to_string());
            None
        }
    }
}

/// Whether an unknown field stands where it may narrow something: then leaving it out would widen it.
fn could_open(at: &str) -> bool {
    at.split('/')
        .any(|token| matches!(token, "authentication" | "authorization" | "destinations" | "require" | "match"))
        || at.starts_with("/addresses")
        || at.starts_with("/tls")
}
