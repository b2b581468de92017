//! What a caller must be allowed: the policy of a route, and what the boundary knows that policies may name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{is_default, mapping};
use crate::value::{Name, Network};

/// What the caller must be allowed. Every layer that says something makes a demand of its own, and a request must meet
/// all of them: what a registration says can only narrow what the boundary demands. In the merged file a route shows
/// its registration's own demand, with the scopes of every layer; the others stand in the boundary there.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Authorization {
    /// Scopes that the caller must all have.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Roles of which the caller must have at least one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
    /// Networks in which the client's address must lie; any when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<Network>,
    /// Networks in which the client's address must not lie, whatever `allow` says.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deny: Vec<Network>,
    /// Cedar policies of the boundary, by name. Together with `cedar` they are one set: one `permit` must hold, and
    /// no `forbid` may.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<Name>,
    /// Policies in Cedar, written out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cedar: Option<String>,
    /// Whether what does not meet this demand is refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

impl Authorization {
    /// Whether it asks for scopes.
    pub fn names_scopes(&self) -> bool {
        !self.scopes.is_empty()
    }

    /// Whether it asks for roles.
    pub fn names_roles(&self) -> bool {
        !self.roles.is_empty()
    }
}

/// What becomes of a decision. From the strictest on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mode {
    /// Who does not pass is refused.
    #[default]
    Enforce,
    /// It is decided, counted and logged who would not pass, and nobody is refused.
    Shadow,
    /// Nothing is decided.
    Off,
}

impl Mode {
    /// As it stands in documents, logs and metrics.
    pub fn word(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
            Self::Off => "off",
        }
    }
}

/// What policies may name.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Rights {
    /// Cedar policies with a name.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub policies: Vec<NamedPolicy>,
    /// Groups of callers: `principal in Group::"NAME"`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<Group>,
    /// Claims of tokens that policies may read: `principal.claims.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<Claim>,
}

/// Cedar policies under a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct NamedPolicy {
    /// How routes and layers call it, and how logs do.
    pub name: Name,
    /// The text, of one `permit` or `forbid` or of several.
    pub cedar: String,
}

/// A group of callers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Group {
    /// How policies call it.
    pub name: Name,
    /// Who is in it: `jwt:NAME#SUBJECT`, `basic:NAME#USER`, `api_key:NAME#CONSUMER` or `mtls:NAME#CLIENT`.
    pub members: Vec<String>,
}

/// A claim of tokens that policies may read. A token that has it with a value of another type is not taken for one
/// without it: whatever policies decide, its bearer is refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Claim {
    /// How policies call it: letters, digits and `_`.
    pub name: String,
    /// Where it stands in the token, with dots between the steps; under its name when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// What it holds.
    #[serde(rename = "type")]
    pub kind: ClaimType,
}

/// What a claim holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum ClaimType {
    /// A text.
    String,
    /// A whole number.
    Long,
    /// True or false.
    Bool,
    /// A list of texts.
    Strings,
}

mapping!(Authorization, Rights, NamedPolicy, Group, Claim);
