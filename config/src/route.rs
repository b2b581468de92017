//! A route: a registration inside the boundary, with everything decided. One line of the merged file.
//!
//! Must never know how it was admitted (`check`) or how it is written (`merged`).

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::condition::Condition;
use crate::document::mapping;
use crate::document::{PolicySet, Registration, Rewrite, RouteId, RouteMatch, Target};
use crate::value::{DestinationUrl, HostName, Name, RootPath, Timestamp};

/// What is granted: these requests, to those destinations, under these policies.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Route {
    /// `ROOT#NAME`.
    pub id: String,
    /// The root path.
    pub root: RootPath,
    /// Who answers for it.
    pub owner: Name,
    /// Which requests below the root are meant.
    #[serde(default, rename = "match")]
    pub matching: RouteMatch,
    /// Where they lead, each inside one destination of the boundary.
    pub destinations: Vec<RouteTarget>,
    /// How the path is changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rewrite: Option<Rewrite>,
    /// What holds: the registration's policies between the boundary's defaults and overrides.
    #[serde(default)]
    pub policies: PolicySet,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease_until: Option<Timestamp>,
    /// Where it comes from.
    pub origin: Origin,
    /// What became of the registration.
    #[serde(default)]
    pub conditions: Vec<Condition>,
}

/// One place where a route leads.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RouteTarget {
    /// Its URL.
    pub url: DestinationUrl,
    /// The Host sent, and the name asked for in TLS.
    pub host: HostName,
    /// Its share.
    pub weight: u16,
    /// The destination of the boundary that allows it.
    pub via: Name,
}

/// Where a route comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Origin {
    /// The registration's version.
    pub version: u64,
    /// The generation since which it holds its requests: of two equals the lower one answers.
    pub held_since: u64,
    /// The policies as registered, when the boundary's layers changed them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policies: Option<PolicySet>,
}

impl Route {
    /// The identity of the route.
    pub fn route_id(&self) -> RouteId {
        RouteId { root: self.root.clone(), name: self.name() }
    }

    fn name(&self) -> Name {
        let text = self.id.rsplit_once('#').map_or("default", |(_, name)| name);
        #[allow(clippy::unwrap_used, reason = "\"default\" is a name")]
        text.parse().unwrap_or_else(|_| "default".parse().unwrap())
    }

    /// The registration that this route was made from, so that it can be checked again.
    pub fn registration(&self) -> Registration {
        let targets = self.destinations.iter().map(|target| Target {
            url: target.url.clone(),
            host: Some(target.host.clone()),
            weight: target.weight,
        });
        Registration {
            api_version: crate::document::ApiVersion::V1,
            kind: crate::document::RegistrationKind::Registration,
            root: self.root.clone(),
            name: self.name(),
            owner: self.owner.clone(),
            version: self.origin.version,
            matching: self.matching.clone(),
            destination: None,
            destinations: targets.collect(),
            rewrite: self.rewrite.clone(),
            policies: self.origin.policies.clone().unwrap_or_else(|| self.policies.clone()),
            lease_until: self.lease_until,
        }
    }
}

mapping!(Route, RouteTarget, Origin);
