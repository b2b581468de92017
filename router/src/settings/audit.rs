//! The settings of the audit log.

use std::path::PathBuf;

use postern_config::value::ByteSize;
use serde::{Deserialize, Serialize};

use super::FileKeyText;

/// A log of what was configured and decided, of which no line can be changed unseen.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditLog {
    /// Where its files lie; there is no such log when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// A file that would grow beyond this is followed by another.
    pub max_file: ByteSize,
    /// The share of allowed requests that is noted, from 0 to 1; denied ones all are.
    pub allowed: f64,
    /// Makes the digests ones that only its holders can make.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<FileKeyText>,
}

impl Default for AuditLog {
    fn default() -> Self {
        Self { directory: None, max_file: ByteSize::new(64 * 1024 * 1024), allowed: 0.0, key: None }
    }
}

/// What is wrong, a line each.
pub(super) fn problems(audit: &AuditLog) -> impl Iterator<Item = String> {
    let share = !(0.0..=1.0).contains(&audit.allowed);
    let small = audit.max_file.bytes() < 64 * 1024;
    let weak = audit.key.as_ref().is_some_and(|key| key.expose().len() < 16);
    [
        (share, "audit.allowed: is no share; write a number from 0 to 1"),
        (small, "audit.max_file: is smaller than 64KiB, so every few lines would have a file of their own"),
        (weak, "audit.key: is shorter than 16 bytes and could be guessed"),
    ]
    .into_iter()
    .filter(|(wrong, _)| *wrong)
    .map(|(_, text)| text.to_owned())
}
