//! A registration: what a service's pipeline asks for. A DynamoDB item, or a file.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PolicySet, is_default, mapping};
use crate::value::{DestinationUrl, HeaderName, HostName, HostPattern, Method, Name, RootPath, Template, Timestamp};

/// The version of the document format.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum ApiVersion {
    /// The only one.
    #[default]
    #[serde(rename = "postern/v1")]
    V1,
}

/// The kind of a registration document.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum RegistrationKind {
    /// The only one.
    #[default]
    Registration,
}

/// What a service's pipeline asks for: these requests, to that destination, under those policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Registration {
    /// `postern/v1` when given.
    #[serde(default, rename = "apiVersion", skip_serializing_if = "is_default")]
    pub api_version: ApiVersion,
    /// `Registration` when given.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: RegistrationKind,
    /// The root path that is claimed, with everything below it.
    pub root: RootPath,
    /// Tells registrations under one root apart; `default` when left out.
    #[serde(default = "default_name")]
    pub name: Name,
    /// Who answers for it.
    pub owner: Name,
    /// The optimistic lock: raised by one with every write.
    #[serde(default, skip_serializing_if = "is_default")]
    pub version: u64,
    /// Narrows the requests that are claimed.
    #[serde(default, rename = "match", skip_serializing_if = "is_default")]
    pub matching: RouteMatch,
    /// Where the requests lead. Either this or `destinations`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination: Option<Target>,
    /// Where the requests lead, by weight.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Target>,
    /// How the path is changed; kept as it is when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// What is asked of the stages.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policies: PolicySet,
    /// When the registration ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
}

fn default_name() -> Name {
    #[allow(clippy::unwrap_used, reason = "a constant that is a name")]
    "default".parse().unwrap()
}

impl Registration {
    /// The identity of the registration, and of the route that it becomes.
    pub fn id(&self) -> RouteId {
        RouteId { root: self.root.clone(), name: self.name.clone() }
    }
}

/// Which requests are meant, besides the root.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RouteMatch {
    /// Hosts, each one that the boundary lists; all of those when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<HostPattern>,
    /// Methods; all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub methods: Vec<Method>,
    /// A template at or below the root; the root and everything below it when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Template>,
    /// Headers with their exact values.
    #[serde(default, deserialize_with = "super::maps::distinct", skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(extend("propertyNames" = HeaderName::names(), "postern-distinct-names" = true))]
    pub headers: IndexMap<HeaderName, String>,
    /// Query parameters with their exact values.
    #[serde(default, deserialize_with = "super::maps::distinct", skip_serializing_if = "IndexMap::is_empty")]
    pub query: IndexMap<String, String>,
}

/// One place where requests lead.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Target {
    /// Its URL; the path is put in front of the forwarded one.
    pub url: DestinationUrl,
    /// The Host sent, the name asked for in TLS and verified; the URL's host when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// Its share among several; 1 when left out.
    #[serde(default = "one", skip_serializing_if = "is_one")]
    pub weight: u16,
}

fn one() -> u16 {
    1
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_one(weight: &u16) -> bool {
    *weight == 1
}

/// How the path is changed. Give one of the two.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Rewrite {
    /// Replaces the root; `/` strips it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<RootPath>,
    /// Replaces the whole path; may use the variables of `match.path`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Template>,
}

/// The identity of a registration and of its route: `ROOT#NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RouteId {
    /// The root path.
    pub root: RootPath,
    /// The name under that root.
    pub name: Name,
}

impl fmt::Display for RouteId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}#{}", self.root, self.name)
    }
}

impl FromStr for RouteId {
    type Err = crate::value::ValueError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (root, name) = text.rsplit_once('#').unwrap_or((text, "default"));
        Ok(Self { root: root.parse()?, name: name.parse()? })
    }
}

mapping!(Registration, RouteMatch, Target, Rewrite);
