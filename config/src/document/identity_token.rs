//! What a route asks of the token that tells its destination who calls.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mode, is_default, mapping};
use crate::value::{HeaderName, Period};

/// A short-lived token of the router's own that tells the destination who calls (RFC 7519). Callers that nobody proved get
/// none. Where the router has no key to sign with, requests are refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct IdentityToken {
    /// The header that it goes into; `x-postern-identity` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderName>,
    /// Whom it is for (`aud`): a name that the destination knows itself by, and no other.
    pub audience: String,
    /// How long it is good, from 10 seconds to an hour; 60 seconds when left out. Never longer than the caller's own token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Period>,
    /// Claims besides its own (`iss`, `sub`, `aud`, `iat`, `nbf`, `exp`, `jti`, `via`, `route`): name to the path of the caller's
    /// claim.
    #[serde(default, deserialize_with = "super::maps::distinct", skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(extend("postern-distinct-names" = true))]
    pub claims: IndexMap<String, String>,
    /// Whether the destination gets it. In `shadow` it is made, counted and told of, and nothing is sent or refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

impl IdentityToken {
    /// The header where nobody says another.
    pub const HEADER: &'static str = "x-postern-identity";

    /// The header that it goes into.
    pub fn header(&self) -> &str {
        self.header.as_ref().map_or(Self::HEADER, HeaderName::as_str)
    }

    /// How long it is good.
    pub fn ttl(&self) -> Period {
        self.ttl.unwrap_or(Period::from_millis(60_000))
    }
}

mapping!(IdentityToken);
