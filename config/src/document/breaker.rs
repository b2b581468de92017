//! When a destination that fails is left alone for a while.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Mode, is_default, mapping};
use crate::value::{Period, Share};

/// When a destination that fails is asked no more for a while. Counted by each router for itself, over all its cores and all
/// routes that lead there and say the same.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Breaker {
    /// Fewer failures never open it; 10 when left out. What fails is a request that gets no answer, or 500, 502, 503 or 504.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// Nor do failures that are a smaller share of all requests; 50% when left out. With 0% their number alone decides.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ratio: Option<Share>,
    /// How long back is counted, from 100ms to 1h; 10 seconds when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Period>,
    /// How long nothing is sent, up to 1h; 5 seconds when left out. Then one request at a time tries whether the destination is
    /// well again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub opens_for: Option<Period>,
    /// Whether requests are refused while it is open.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

impl Breaker {
    /// Fewer failures never open it.
    pub fn failures(&self) -> u32 {
        self.failures.unwrap_or(10)
    }

    /// Nor do failures that are a smaller share.
    pub fn ratio(&self) -> Share {
        self.ratio.unwrap_or(Share::HALF)
    }

    /// How long back is counted.
    pub fn within(&self) -> Period {
        self.within.unwrap_or(Period::from_millis(10_000))
    }

    /// How long nothing is sent.
    pub fn opens_for(&self) -> Period {
        self.opens_for.unwrap_or(Period::from_millis(5_000))
    }
}

mapping!(Breaker);
