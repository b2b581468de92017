//! What a route asks of the stages. The names are the same in a registration, in the boundary's
//! `defaults` and in its `overrides`.

use std::fmt;
use std::str::FromStr;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Authorization, Breaker, IdentityToken, Limit, Mode, Telemetry, is_default, mapping};
use crate::value::{ByteSize, HeaderName, Name, Period, ValueError, leaf};

/// A set of policies; what is left out says nothing.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PolicySet {
    /// Who must be proved; open when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AnyOf>,
    /// What the caller must be allowed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
    /// Headers that tell the destination who calls: header name to claim path.
    #[serde(default, deserialize_with = "super::maps::distinct_if_given", skip_serializing_if = "Option::is_none")]
    #[schemars(extend("propertyNames" = HeaderName::names(), "postern-distinct-names" = true))]
    pub identity_headers: Option<IndexMap<HeaderName, String>>,
    /// Whether the destination gets `identity_headers`, beside which it stands. In `shadow` it is counted and told which ones
    /// would be set, and none is. What clients write there is taken off in every mode.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity_headers_mode: Mode,
    /// A token that tells the destination who calls.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub identity_token: Option<IdentityToken>,
    /// How often requests may come. All of them hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Vec<Limit>>,
    /// How long each phase may take.
    #[serde(default, skip_serializing_if = "is_default")]
    pub timeouts: RouteTimeouts,
    /// When a destination that fails is left alone for a while; never when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker: Option<Breaker>,
    /// What may be in a request's body.
    #[serde(default, skip_serializing_if = "is_default")]
    pub body: BodyPolicy,
    /// How much is told of requests.
    #[serde(default, skip_serializing_if = "is_default")]
    pub telemetry: Telemetry,
    /// What happens to paths with two readings; `strict` when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathHandling>,
    /// Whether a WebSocket may be opened (RFC 6455); refused when nobody says anything. `timeouts.idle` holds for it as
    /// well, and is ten minutes when nobody says anything; `timeouts.total` ends with its handshake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub websocket: Option<bool>,
}

/// Proofs of which one is enough.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct AnyOf {
    /// `jwt:NAME`, `basic:NAME`, `api_key:NAME`, `mtls:NAME`, `external:NAME`, `iam`, or `none`.
    pub any_of: Vec<Authenticator>,
    /// Whether who proves nothing is refused. In `shadow` such a caller goes on as one of whom nothing is known.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
    /// As whose request callers of `iam` sign theirs. When left out: `router` where the Host that the destination is sent is
    /// one that the route answers by its full name, else `destination`, whose path must then be the one that was asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signed_for: Option<SignedFor>,
}

/// What an AWS signature covers: Host and path as they are asked for, or as they arrive.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum SignedFor {
    /// As the router is asked, which is what SDKs do: the destination answers to the router's own name, as a private custom
    /// domain does. Who asks for another Host, or for a path that is changed, is refused with both.
    Router,
    /// As the destination gets it: clients sign for its Host and for the rewritten path, and send to the router.
    Destination,
}

/// One way to prove who calls.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Authenticator {
    /// Nobody need be proved.
    None,
    /// The destination checks a SigV4 signature; the router leaves all it covers untouched.
    Iam,
    /// A token of that issuer.
    Jwt(Name),
    /// A user of that realm.
    Basic(Name),
    /// A key of a consumer of that realm.
    ApiKey(Name),
    /// A certificate of a client of that realm.
    Mtls(Name),
    /// Whoever that authorizer says yes to.
    External(Name),
}

impl FromStr for Authenticator {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        match text.split_once(':') {
            Some(("jwt", name)) => name.parse().map(Self::Jwt),
            Some(("basic", name)) => name.parse().map(Self::Basic),
            Some(("api_key", name)) => name.parse().map(Self::ApiKey),
            Some(("mtls", name)) => name.parse().map(Self::Mtls),
            Some(("external", name)) => name.parse().map(Self::External),
            None if text == "iam" => Ok(Self::Iam),
            None if text == "none" => Ok(Self::None),
            _ => Err(ValueError::new("is no way to authenticate")
                .hint("write jwt:NAME, basic:NAME, api_key:NAME, mtls:NAME, external:NAME, iam or none")),
        }
    }
}

impl fmt::Display for Authenticator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("none"),
            Self::Iam => f.write_str("iam"),
            Self::Jwt(name) => write!(f, "jwt:{name}"),
            Self::Basic(name) => write!(f, "basic:{name}"),
            Self::ApiKey(name) => write!(f, "api_key:{name}"),
            Self::Mtls(name) => write!(f, "mtls:{name}"),
            Self::External(name) => write!(f, "external:{name}"),
        }
    }
}

leaf!(
    Authenticator,
    "postern-authenticator",
    "jwt:NAME, basic:NAME, api_key:NAME, mtls:NAME, external:NAME, iam or none.",
    "jwt:corp"
);

/// How long each phase may take.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct RouteTimeouts {
    /// To resolve, connect and finish the TLS handshake; 2 s when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connect: Option<Period>,
    /// From the request's last byte to the answer's first; 35 s when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Period>,
    /// Without a byte in either direction; 60 s when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub idle: Option<Period>,
    /// From the request's head to the answer's last byte; without end when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<Period>,
}

/// What may be in a request's body.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BodyPolicy {
    /// The most bytes; 10 MiB when nobody says anything.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<ByteSize>,
}

/// What happens to paths with two readings.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum PathHandling {
    /// They are refused.
    Strict,
    /// They are forwarded below the root; only the root itself must have one reading.
    Raw,
}

mapping!(PolicySet, AnyOf, RouteTimeouts, BodyPolicy);
