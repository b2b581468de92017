//! Who may call with a key of its own: consumers, and digests of their keys. Never a key itself; the one secret in
//! here, the pepper, is moved out by the syncer before anything is written.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Limit, Mode, TokenPlace, is_default, mapping};
use crate::value::{HeaderName, Name, Timestamp};

/// A list of consumers with keys.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ApiKeyRealm {
    /// How it is called in policies, and the realm in `WWW-Authenticate`.
    pub name: Name,
    /// Where keys stand in a request; the header `x-api-key` when left out. What stands there never gets to the
    /// destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub location: Option<KeyPlace>,
    /// The key of the digests, base64url of at least 32 random bytes, or a reference to it: `env:NAME`, `file:/PATH`,
    /// `secretsmanager:ID`, `ssm:/NAME`. Digests alone are then of no use to anybody. In the merged file: the name of a
    /// secret in the file beside it.
    pub pepper: String,
    /// Who has keys.
    pub consumers: Vec<Consumer>,
    /// How often consumers may ask who name one of these, over all routes. Each consumer has a count of its own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limits: Vec<Limit>,
    /// Ids of keys that are refused whatever else is said of them: an old entry that comes back revives none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub revoked: Vec<String>,
    /// Whether who brings a key of `revoked` is refused. In `shadow` it is taken, and told that it would have been refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revoked_mode: Mode,
}

/// Where keys stand in a request: one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct KeyPlace {
    /// A header that holds the key alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderName>,
    /// A cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// A parameter of the query. What stands in a URL gets into logs and histories: the last resort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
}

/// Who has keys.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Consumer {
    /// Its name, which is the caller's name in logs and in the claim `sub`.
    pub name: Name,
    /// Its keys, two at most: one in use, and one to change over to.
    pub keys: Vec<KeyDigest>,
    /// Which of the realm's `limits` holds for it; none when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<Name>,
    /// Scopes that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Roles that it has, in the claim `roles`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

/// What is kept of a key. `postern-syncer key new` makes both.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct KeyDigest {
    /// The middle of the key (`pk_ID_SECRET`), no secret.
    pub id: String,
    /// HMAC-SHA-256 of the whole key under the realm's pepper, in 64 hexadecimal digits.
    pub digest: String,
    /// When it ends; never when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires: Option<Timestamp>,
}

impl ApiKeyRealm {
    /// Where its keys stand, in the words of token places: always taken off.
    pub fn place(&self) -> TokenPlace {
        let KeyPlace { header, cookie, query } = match &self.location {
            Some(place) => place.clone(),
            None => KeyPlace { header: DEFAULT_HEADER.parse().ok(), ..KeyPlace::default() },
        };
        TokenPlace { header, cookie, query, strip: None }
    }
}

/// The header that keys stand in where nobody says another.
const DEFAULT_HEADER: &str = "x-api-key";

impl fmt::Debug for ApiKeyRealm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiKeyRealm")
            .field("name", &self.name)
            .field("location", &self.location)
            .field("consumers", &self.consumers)
            .field("limits", &self.limits)
            .field("revoked", &self.revoked)
            .field("revoked_mode", &self.revoked_mode)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for KeyDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("KeyDigest").field("id", &self.id).field("expires", &self.expires).finish_non_exhaustive()
    }
}

mapping!(ApiKeyRealm, KeyPlace, Consumer, KeyDigest);
