//! How often something may be asked for.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mode, is_default, mapping};
use crate::value::{Name, Rate};

/// How often requests may come: those of one route, or of one consumer over all routes. Counted by each router for itself,
/// over all its cores.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Limit {
    /// How it is called in logs, metrics and `explain`.
    pub name: Name,
    /// How often, in the long run.
    pub rate: Rate,
    /// How many may come at once after a pause; what comes in a second, and one at least, when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub burst: Option<u32>,
    /// Who has a count of its own.
    #[serde(default, skip_serializing_if = "is_default")]
    pub by: LimitBy,
    /// Whether what comes too often is refused.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

/// Who has a count of its own.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LimitBy {
    /// Whoever was proved to call; who was not, by its address.
    #[default]
    Caller,
    /// The client's address; of IPv6 the network of 64 bits, which one client has to itself.
    Client,
    /// Nobody: all requests of the route are counted together.
    Route,
}

impl Limit {
    /// How many may come at once.
    pub fn burst(&self) -> u32 {
        self.burst.unwrap_or_else(|| self.rate.per_second())
    }
}

mapping!(Limit);
