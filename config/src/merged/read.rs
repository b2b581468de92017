//! Reading the merged file as if a stranger had written it: digest first, then shape, then the boundary
//! again over every route.
//!
//! One bad line never costs another: a route that does not hold is put aside, the rest stays (`line`). What a
//! newer syncer added is ignored and named, except where ignoring it would open something.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use serde_json::value::RawValue;

use super::keys;
use super::line::{Aside, Unknown, entry, refused, understand};
use super::{API_VERSION, Content, Digest, FileKey, Header, KIND, Sources};
use crate::check::{Boundary, reached_by, recheck};
use crate::document::{
    ApiKeyRealm, ApiVersion, BasicRealm, BoundaryDocument, BoundaryKind, Destination, ExternalAuthorizer, Identity,
    JwtIssuer, MtlsRealm, PathRule, PolicyLayer, Rights,
};
use crate::limits;
use crate::parse::json_value;
use crate::problem::Problems;
use crate::route::Route;
use crate::schema;
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
    /// More lines than a table may have.
    #[error("{0}")]
    TooMany(String),
    /// A field that a newer syncer wrote, in a place where ignoring it could open something.
    #[error("the file has a field that is not known to this router, and ignoring it could open something: {0}")]
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
            Self::TooMany(_) => "too_many",
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
    let shape = shape_of(text)?;
    let mut aside = Aside::default();
    aside.ignored.extend(shape.unknown.keys().map(|field| format!("/{field}")));
    let boundary = read_boundary(&shape, &mut aside)?;
    let routes = read_routes(&shape.routes, &boundary, &mut aside);
    let keys = keys::read(&shape.keys, &boundary, &mut aside);
    let refused = shape.refused.iter().enumerate();
    let refused = refused.filter_map(|(index, raw)| refused_line(raw, index, &mut aside)).collect();
    Ok(Reading {
        header: Header {
            generation: shape.generation,
            previous: shape.previous.and_then(|text| text.parse().ok()),
            written_at: shape.written_at,
            sources: shape.sources,
        },
        content: Content { boundary, routes, refused, keys },
        digest,
        quarantined: aside.quarantined,
        ignored: aside.ignored,
    })
}

fn shape_of(text: &str) -> Result<Shape<'_>, MergedError> {
    let wrong_kind = |api_version: &str, kind: &str| {
        ((api_version, kind) != (API_VERSION, KIND))
            .then(|| MergedError::WrongKind(crate::problem::shown(&format!("{api_version} {kind}"))))
    };
    let shape: Shape<'_> = serde_json::from_str(text).map_err(|error| {
        // Another kind of file has another shape: its kind says more than the field that is missing.
        let kind = serde_json::from_str(text).ok().and_then(|kind: Kind| wrong_kind(&kind.api_version, &kind.kind));
        kind.unwrap_or_else(|| MergedError::Syntax(error.to_string()))
    })?;
    if let Some(error) = wrong_kind(&shape.api_version, &shape.kind) {
        return Err(error);
    }
    for (what, count) in [("routes", shape.routes.len()), ("refused registrations", shape.refused.len())] {
        if count > limits::REGISTRATIONS {
            return Err(MergedError::TooMany(format!("{count} {what}, more than {}", limits::REGISTRATIONS)));
        }
    }
    Ok(shape)
}

fn refused_line(raw: &RawValue, index: usize, aside: &mut Aside) -> Option<super::Refused> {
    refused(raw, &format!("/refused/{index}"), &mut aside.ignored)
}

fn read_routes(lines: &[&RawValue], boundary: &Boundary, aside: &mut Aside) -> Vec<Route> {
    let mut routes: Vec<Route> = Vec::with_capacity(lines.len());
    for (index, raw) in lines.iter().enumerate() {
        let line = entry(raw, &format!("/routes/{index}"), schema::route(), Unknown::IgnoredWhereSafe, aside);
        let Some(route): Option<Route> = line else { continue };
        match recheck(boundary, &route) {
            Ok(()) => routes.push(route),
            Err(refusals) => {
                let why = refusals.iter().map(ToString::to_string).collect::<Vec<_>>();
                aside.put(route.id, why.join("; "));
            }
        }
    }
    // Stable, so that of two lines with one id the first is the first.
    routes.sort_by(|a, b| a.id.cmp(&b.id));
    for pair in routes.windows(2).filter(|pair| pair[0].id == pair[1].id) {
        aside.put(pair[1].id.as_str(), "the same id stands twice in the file; the first line is taken");
    }
    routes.dedup_by(|later, first| later.id == first.id);
    routes
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
    #[serde(rename = "apiVersion")]
    api_version: String,
    kind: String,
    generation: u64,
    #[serde(default)]
    previous: Option<String>,
    written_at: Timestamp,
    #[serde(default)]
    sources: Sources,
    hosts: Vec<HostPattern>,
    #[serde(borrow)]
    destinations: Vec<&'a RawValue>,
    #[serde(default)]
    identity: Ways<'a>,
    #[serde(default, borrow)]
    authorization: Option<&'a RawValue>,
    #[serde(default, borrow)]
    keys: Vec<&'a RawValue>,
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
    /// For people, and checked by `verify`.
    #[serde(default, rename = "counts")]
    _counts: IgnoredAny,
    #[serde(rename = "digest")]
    _digest: IgnoredAny,
    #[serde(default, rename = "mac")]
    _mac: IgnoredAny,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

#[derive(Default, Deserialize)]
struct Ways<'a> {
    #[serde(default, borrow)]
    jwt: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    basic: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    api_key: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    mtls: Vec<&'a RawValue>,
    #[serde(default, borrow)]
    external: Vec<&'a RawValue>,
    #[serde(flatten)]
    unknown: BTreeMap<String, IgnoredAny>,
}

fn read_boundary(shape: &Shape<'_>, aside: &mut Aside) -> Result<Boundary, MergedError> {
    let destinations = shape.destinations.iter().enumerate().filter_map(|(index, raw)| {
        entry::<Destination>(raw, &format!("/destinations/{index}"), schema::destination(), Unknown::Refused, aside)
    });
    let destinations: Vec<Destination> = destinations.collect();
    let mut identity = read_identity(&shape.identity, aside);
    identity.external = read_authorizers(&shape.identity, &destinations, aside);
    // What is demanded of everybody must be understood to the last word.
    let mut paths = Vec::with_capacity(shape.paths.len());
    for (index, raw) in shape.paths.iter().enumerate() {
        paths.push(strict::<PathRule>(raw, &format!("/paths/{index}"))?);
    }
    let authorization = shape.authorization.map(|raw| strict::<Rights>(raw, "/authorization")).transpose()?;
    let document = BoundaryDocument {
        api_version: ApiVersion::V1,
        kind: BoundaryKind::Boundary,
        hosts: shape.hosts.clone(),
        destinations,
        identity,
        authorization: authorization.unwrap_or_default(),
        paths,
        defaults: layer(shape.defaults, "/defaults", aside)?,
        overrides: layer(shape.overrides, "/overrides", aside)?,
    };
    Boundary::check(document).map_err(MergedError::Boundary)
}

/// An issuer or realm that is not understood in full is put aside, and with it every route that names it. A
/// whole way to authenticate that is not known can only be named by routes that are not understood either.
fn read_identity(ways: &Ways<'_>, aside: &mut Aside) -> Identity {
    aside.ignored.extend(ways.unknown.keys().map(|field| format!("/identity/{field}")));
    let jwt = ways.jwt.iter().enumerate().filter_map(|(index, raw)| {
        entry::<JwtIssuer>(raw, &format!("/identity/jwt/{index}"), schema::issuer(), Unknown::Refused, aside)
    });
    let jwt = jwt.collect();
    let basic = ways.basic.iter().enumerate().filter_map(|(index, raw)| {
        entry::<BasicRealm>(raw, &format!("/identity/basic/{index}"), schema::realm(), Unknown::Refused, aside)
    });
    let basic = basic.collect();
    let api_key = ways.api_key.iter().enumerate().filter_map(|(index, raw)| {
        let at = format!("/identity/api_key/{index}");
        entry::<ApiKeyRealm>(raw, &at, schema::api_key_realm(), Unknown::Refused, aside)
    });
    let api_key = api_key.collect();
    let mtls = ways.mtls.iter().enumerate().filter_map(|(index, raw)| {
        entry::<MtlsRealm>(raw, &format!("/identity/mtls/{index}"), schema::mtls_realm(), Unknown::Refused, aside)
    });
    Identity { jwt, basic, api_key, mtls: mtls.collect(), external: Vec::new() }
}

/// An authorizer that no destination allows is never asked: it is put aside as one that is not understood, and the routes
/// that name it are refused.
fn read_authorizers(ways: &Ways<'_>, destinations: &[Destination], aside: &mut Aside) -> Vec<ExternalAuthorizer> {
    let mut known = Vec::with_capacity(ways.external.len());
    for (index, raw) in ways.external.iter().enumerate() {
        let at = format!("/identity/external/{index}");
        let read = entry::<ExternalAuthorizer>(raw, &at, schema::authorizer(), Unknown::Refused, aside);
        let Some(authorizer) = read else { continue };
        match reached_by(destinations, &authorizer) {
            Ok(_) => known.push(authorizer),
            // Without destinations there is no route to be refused.
            Err(_) if destinations.is_empty() => known.push(authorizer),
            Err((field, why)) => aside.put(authorizer.name.as_str(), format!("{at}/{field}: {why}")),
        }
    }
    known
}

/// A layer of policies. A policy that is not known is taken out of it as it is taken out of the routes that it
/// went into.
fn layer(raw: Option<&RawValue>, at: &str, aside: &mut Aside) -> Result<PolicyLayer, MergedError> {
    let Some(raw) = raw else { return Ok(PolicyLayer::default()) };
    if let Ok(layer) = serde_json::from_str(raw.get()) {
        return Ok(layer);
    }
    let failed = |error: serde_json::Error| MergedError::Syntax(format!("{at}: {error}"));
    let mut value: Value = json_value(raw.get()).map_err(failed)?;
    understand(&mut value, at, schema::layer(), Unknown::IgnoredWhereSafe, &mut aside.ignored)
        .map_err(|why| MergedError::UnknownSecurityField(format!("{at}: {why}")))?;
    serde_json::from_value(value).map_err(failed)
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
