//! How much is told of a route's requests that went well. Of those that did not, everything is.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::mapping;
use crate::value::Share;

/// How much is told of requests that went well; those that were refused, failed or slow always are.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Telemetry {
    /// The share of them in the access log; all when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub access_log: Option<Share>,
    /// The share of them in the audit log; what the router's setting `audit.allowed` says when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<Share>,
    /// The share of them that a collector gets traces of, unless somebody in front has decided; what the router's setting
    /// `tracing.sampled` says when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub traces: Option<Share>,
}

mapping!(Telemetry);
