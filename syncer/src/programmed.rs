//! Whether the routers serve what was written: asked of each, at `/snapshot` of its admin address.
//!
//! A router that does not answer changes nothing but this: what was written stays written.

use std::time::Duration;

use postern_config::condition::{Condition, ConditionType, Reason, Status};
use postern_config::merged::Digest;
use postern_config::value::Timestamp;
use serde::Deserialize;

use crate::ask;

/// What the routers said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Programmed {
    /// Whether they serve it.
    pub status: Status,
    /// Why.
    pub reason: Reason,
    /// Of which generation they were asked.
    pub of: Option<Digest>,
    /// Which of them do not.
    pub message: String,
    /// Since when this is so.
    pub since: Option<Timestamp>,
}

impl Default for Programmed {
    fn default() -> Self {
        Self { status: Status::Unknown, reason: Reason::Pending, of: None, message: String::new(), since: None }
    }
}

impl Programmed {
    /// As a condition of a registration.
    pub fn condition(&self, observed_generation: u64, otherwise: Timestamp) -> Condition {
        Condition {
            kind: ConditionType::Programmed,
            status: self.status,
            reason: self.reason,
            at: None,
            message: self.message.clone(),
            observed_generation,
            since: self.since.unwrap_or(otherwise),
        }
    }
}

/// What a router says it serves.
#[derive(Debug, Deserialize)]
struct Snapshot {
    generation: Option<u64>,
    digest: Option<String>,
}

/// Asks every router for the generation that stands.
pub async fn ask_routers(routers: &[String], generation: u64, digest: Digest, time: Duration) -> Programmed {
    let mut serving = 0;
    let mut behind = Vec::new();
    let mut silent = Vec::new();
    for router in routers {
        match ask_one(router, time).await {
            Ok(snapshot) if serves(&snapshot, generation, digest) => serving += 1,
            Ok(snapshot) => match snapshot.generation {
                Some(own) => behind.push(format!("{router} serves generation {own}")),
                None => behind.push(format!("{router} serves none yet")),
            },
            Err(error) => silent.push(error),
        }
    }
    let (status, reason) = match (serving, behind.len(), silent.len()) {
        (0, 0, _) => (Status::Unknown, Reason::Pending),
        (_, 0, 0) => (Status::True, Reason::Programmed),
        _ => (Status::False, Reason::AwaitingRouters),
    };
    behind.extend(silent);
    let message = match (status, behind.is_empty()) {
        (Status::True, _) => format!("{serving} of {serving} routers serve generation {generation}"),
        (_, true) => "no router is asked".to_owned(),
        _ => format!("waiting for generation {generation}: {}", behind.join("; ")),
    };
    Programmed { status, reason, of: Some(digest), message, since: None }
}

async fn ask_one(router: &str, time: Duration) -> Result<Snapshot, String> {
    let answer = ask::get(router, "/snapshot", time).await?;
    if answer.status != 200 {
        return Err(format!("{router} answered {}", answer.status));
    }
    serde_json::from_slice(&answer.body).map_err(|_| format!("{router} did not answer in a form known here"))
}

/// A later generation holds what this one does; the same number with another digest is another file.
fn serves(snapshot: &Snapshot, generation: u64, digest: Digest) -> bool {
    match snapshot.generation {
        Some(own) if own > generation => true,
        Some(own) if own == generation => snapshot.digest.as_deref() == Some(digest.to_string().as_str()),
        _ => false,
    }
}
