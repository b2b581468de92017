//! Conditions: what became of a registration, in the words of the Kubernetes Gateway API.
//!
//! Owns the types and the closed list of reasons. Must never know where they are reported.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::document::mapping;
use crate::value::Timestamp;

/// One statement about a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct Condition {
    /// What is stated.
    #[serde(rename = "type")]
    pub kind: ConditionType,
    /// Whether it holds.
    pub status: Status,
    /// Why, as one of a closed list.
    pub reason: Reason,
    /// JSON pointer to the field of the registration that is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<String>,
    /// Why, for a person, with what to do.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// The version of the registration that this is about.
    pub observed_generation: u64,
    /// When status or reason last changed.
    pub since: Timestamp,
}

/// What a condition states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum ConditionType {
    /// The registration is well formed, and its owner may ask for it.
    Accepted,
    /// What it refers to exists and is allowed.
    ResolvedRefs,
    /// The routers serve it.
    Programmed,
    /// Another registration holds some of the requests it claims.
    Conflicted,
    /// An older form is served, because the present one is bad.
    Stale,
    /// A change is not carried out until it is confirmed.
    Held,
}

/// Whether a condition holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Status {
    /// It holds.
    True,
    /// It does not.
    False,
    /// Nobody can tell yet.
    Unknown,
}

/// Why a condition has its status. Closed; `docs/conditions.md` documents them one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Reason {
    /// All is well.
    Accepted,
    /// Every reference resolves.
    ResolvedRefs,
    /// The routers serve the generation that holds it.
    Programmed,
    /// No router has been asked, or none has answered yet.
    Pending,
    /// Not every router serves the generation that holds it.
    AwaitingRouters,
    /// The document is malformed: a field is unknown, missing, of the wrong type or without meaning.
    SchemaInvalid,
    /// No destination of the boundary allows the URL, its scheme, its port or the Host.
    DestinationNotAllowed,
    /// A host is not one that the boundary answers.
    HostNotListed,
    /// The boundary has no path rule that covers the root.
    RootNotAllowed,
    /// The root belongs to other owners.
    OwnerMismatch,
    /// A policy refers to an issuer or realm that the boundary does not have.
    PolicyNotFound,
    /// The registration asks for less than the boundary demands there.
    RequirementNotMet,
    /// Two policies, or a policy and a rewrite, cannot both be.
    IncompatiblePolicies,
    /// Understood, and not available in this release.
    UnsupportedValue,
    /// Two items say they are the same registration.
    DuplicateRegistration,
    /// Another registration held these requests first.
    ShadowedBy,
    /// The lease has ended.
    LeaseExpired,
    /// The last good form is served.
    ServingLastGood,
    /// The last good form was served for as long as it may be.
    StaleTooLong,
    /// Too much would vanish at once.
    ShrinkGuard,
}

impl Reason {
    /// Every reason, for the documentation and its test.
    pub const ALL: [Self; 20] = [
        Self::Accepted,
        Self::ResolvedRefs,
        Self::Programmed,
        Self::Pending,
        Self::AwaitingRouters,
        Self::SchemaInvalid,
        Self::DestinationNotAllowed,
        Self::HostNotListed,
        Self::RootNotAllowed,
        Self::OwnerMismatch,
        Self::PolicyNotFound,
        Self::RequirementNotMet,
        Self::IncompatiblePolicies,
        Self::UnsupportedValue,
        Self::DuplicateRegistration,
        Self::ShadowedBy,
        Self::LeaseExpired,
        Self::ServingLastGood,
        Self::StaleTooLong,
        Self::ShrinkGuard,
    ];

    /// The condition that a refusal for this reason makes false (or, for conflicts, true).
    pub fn condition(self) -> ConditionType {
        match self {
            Self::DestinationNotAllowed | Self::PolicyNotFound | Self::ResolvedRefs => ConditionType::ResolvedRefs,
            Self::ShadowedBy => ConditionType::Conflicted,
            Self::Programmed | Self::Pending | Self::AwaitingRouters => ConditionType::Programmed,
            Self::ServingLastGood | Self::StaleTooLong => ConditionType::Stale,
            Self::ShrinkGuard => ConditionType::Held,
            _ => ConditionType::Accepted,
        }
    }
}

impl Condition {
    /// Whether somebody who asks what changed has to know it: that all is well goes without saying.
    pub fn is_worth_telling(&self) -> bool {
        let routine = matches!(self.kind, ConditionType::Accepted | ConditionType::ResolvedRefs);
        !(routine && self.status == Status::True)
    }

    /// In one line: reason, place, words.
    pub fn told(&self) -> String {
        let at = self.at.as_ref().map_or_else(String::new, |at| format!(" at {at}"));
        let message = if self.message.is_empty() { String::new() } else { format!(": {}", self.message) };
        format!("{:?}{at}{message}", self.reason)
    }
}

mapping!(Condition);
