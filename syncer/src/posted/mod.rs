//! What tasks post to the status table, so that a pipeline learns what became of its registration everywhere.
//!
//! ```text
//! one item per registration: what became of it          says.rs   (content → entries)
//! one item per task:         what its routers serve      Beat
//! both, with the time    →   who serves it, who lags     together.rs
//! ```
//! Generations count by task and cannot be compared, so both are dated by what they were made from: the registry's
//! version, which every write of a registration raises, and the digest of the boundary. Pure: must never know where
//! things are posted, or read a clock.

pub mod says;
pub mod together;

use postern_config::condition::Condition;
use postern_config::merged::Pinned;
use postern_config::value::Timestamp;
use serde::{Deserialize, Serialize};

use crate::limits;

/// What a content was made from, in words that mean the same to every task.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    /// The version that the registrations had as a whole; none while they are not followed, or nobody counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock: Option<u64>,
    /// The digest of the boundary; none while it has not been read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
}

/// What became of one registration: the same for all tasks, so the first of them posts it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// `ROOT#NAME`.
    pub id: String,
    /// The version of the registration that this is about.
    pub version: u64,
    /// Who answers for it, as far as that could be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// Whether it is a route.
    pub state: State,
    /// What is stated, but for `Programmed`: that is what the tasks say together.
    pub conditions: Vec<Condition>,
    /// The version of the registrations as a whole at which it was seen. A task that serves this or a later one has
    /// seen this version or a later one.
    pub clock: u64,
    /// The boundary that it was held against.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary: Option<String>,
    /// What it says, in short: two entries of the same words need not replace each other.
    pub says: String,
    /// Which task posted it.
    pub by: String,
    /// When, by that task's clock.
    pub at: Timestamp,
}

/// Whether a registration is a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// It is, perhaps in an older form.
    Route,
    /// It is not.
    Refused,
}

/// One task's heartbeat.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Beat {
    /// The task's name.
    pub task: String,
    /// When it was posted, by the task's own clock.
    pub at: Timestamp,
    /// From when on the task counts as gone, in seconds after 1970: the attribute that DynamoDB's expiry looks at.
    pub expires: i64,
    /// The generation that its syncer wrote last. It counts for itself.
    pub generation: u64,
    /// The generation that all its routers were last found to serve; none while they do not answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serves: Option<u64>,
    /// What that generation was made from.
    #[serde(default)]
    pub mark: Mark,
    /// When its routers came to serve that.
    pub since: Timestamp,
    /// What its routers said, when not all of them serve the last generation.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub why: String,
    /// When it last read the boundary.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub boundary_read_at: Option<Timestamp>,
    /// The generation whose routes stay there, when one is pinned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// How many routes its shrink guard holds.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub held: usize,
    /// What keeps its syncer from following, when a store cannot be read or the file not be written.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub failing: String,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "as serde asks for it")]
fn is_zero(number: &usize) -> bool {
    *number == 0
}

/// Entries that were posted before this are outlived, when they are of a later version than whoever posts at `now` knows.
pub fn outlived(now: Timestamp) -> Timestamp {
    Timestamp::from_unix(now.unix() - limits::OUTLIVED)
}

impl Beat {
    /// Whether it says something else than `before`, the time aside.
    pub fn is_news(&self, before: &Self) -> bool {
        let undated =
            |beat: &Self| Self { at: Timestamp::from_unix(0), expires: 0, boundary_read_at: None, ..beat.clone() };
        undated(self) != undated(before)
    }
}
