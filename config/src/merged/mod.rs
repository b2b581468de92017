//! The merged file: all that passes from the syncer to the router, made to be read by people.
//!
//! Owns its types, its layout (one route, destination or refusal a line) and its digest. Assumes that
//! whoever wrote it may be hostile: reading checks everything again.
//! Must never know where the bytes are kept or which process asks.

mod digest;
mod keys;
mod line;
mod outline;
mod read;
mod write;

pub use digest::{Digest, FileKey};
pub use outline::{ChangedRoute, Difference, Outline};
pub use read::{MergedError, Quarantined, Reading, read};
pub use write::write;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::check::Boundary;
use crate::condition::Condition;
use crate::document::{BoundaryDocument, Jwk, JwtIssuer};
use crate::route::Route;
use crate::value::{Name, Timestamp};

/// The content of a merged file: what is compared to tell whether a generation is new.
#[derive(Debug, Clone, PartialEq)]
pub struct Content {
    /// The boundary, without the secrets that it may carry.
    pub boundary: Boundary,
    /// Sorted by id.
    pub routes: Vec<Route>,
    /// Sorted by id.
    pub refused: Vec<Refused>,
    /// Public keys of issuers that publish them, sorted by name.
    pub keys: Vec<IssuerKeys>,
}

/// The public keys that an issuer published.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IssuerKeys {
    /// The issuer's name in the boundary.
    pub name: Name,
    /// What its tokens say in `iss`. Keys are nobody's once the boundary says something else here or in `from`.
    pub issuer: String,
    /// The URL of the boundary that led to them.
    pub from: String,
    /// The keys.
    pub keys: Vec<Jwk>,
}

impl IssuerKeys {
    /// Whether they are the keys of an issuer as it is configured.
    pub fn are_of(&self, issuer: &JwtIssuer) -> bool {
        let from = issuer.jwks_url.as_ref().or(issuer.discovery_url.as_ref());
        self.name == issuer.name && self.issuer == issuer.issuer && from == Some(&self.from)
    }
}

/// What is said about a generation besides its content.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Rises by one with every content that is written.
    pub generation: u64,
    /// The digest of the generation before, when there was one.
    pub previous: Option<Digest>,
    /// When it was written.
    pub written_at: Timestamp,
    /// What it was made from.
    pub sources: Sources,
}

/// What a generation was made from.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Sources {
    /// The boundary's store.
    pub boundary: Source,
    /// The registrations' store.
    pub registrations: Source,
    /// The generation whose routes stay whatever the registrations say, when somebody pinned one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
}

/// A generation whose routes stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Pinned {
    /// Its number.
    pub generation: u64,
    /// When it was pinned.
    pub since: Timestamp,
}

/// One store, as it was read.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Source {
    /// `s3://…`, `dynamodb://…`, or a path.
    pub uri: String,
    /// The object's entity tag.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub etag: Option<String>,
    /// The object's version.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version_id: Option<String>,
    /// The `#registry` version at which the scan was taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    /// How many items there were.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub items: Option<u64>,
    /// When it was read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_at: Option<Timestamp>,
}

/// A registration that did not become a route.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Refused {
    /// `ROOT#NAME`, or what there is of it.
    pub id: String,
    /// Who answers for it, when that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The registration as it was found, cut when it is long.
    pub registration: Value,
    /// Why.
    pub conditions: Vec<Condition>,
}

/// How much there is of everything, for people and for a quick check.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Counts {
    /// Routes.
    pub routes: u64,
    /// Routes that are served in an older form.
    pub stale: u64,
    /// Refused registrations.
    pub refused: u64,
    /// Destinations of the boundary.
    pub destinations: u64,
    /// Different owners of routes.
    pub owners: u64,
}

impl Content {
    /// Counts what is there.
    pub fn counts(&self) -> Counts {
        let stale = self.routes.iter().filter(|route| is_stale(route)).count();
        let owners: std::collections::BTreeSet<_> = self.routes.iter().map(|route| &route.owner).collect();
        Counts {
            routes: self.routes.len() as u64,
            stale: stale as u64,
            refused: self.refused.len() as u64,
            destinations: self.document().destinations.len() as u64,
            owners: owners.len() as u64,
        }
    }

    fn document(&self) -> &BoundaryDocument {
        self.boundary.document()
    }
}

/// Whether an older form of a registration is served.
pub fn is_stale(route: &Route) -> bool {
    route
        .conditions
        .iter()
        .any(|one| one.kind == crate::condition::ConditionType::Stale && one.status == crate::condition::Status::True)
}

/// The `apiVersion` of the file.
pub const API_VERSION: &str = "postern/v1";
/// The `kind` of the file.
pub const KIND: &str = "MergedConfig";

/// The file beside the merged one that the syncer touches after every pass in which both stores could be read:
/// its age is the age of the configuration, since the merged file is only written when something changed.
pub const HEARTBEAT: &str = "heartbeat";
