//! The stores: what operations allow and what pipelines ask for, read so that a failure is never taken for news.
//!
//! Owns how each store is read and, for registrations, written. The only place that knows AWS. An observation is
//! whole or it is a failure: half a scan, a cut document or a missing object changes nothing.
//! Must never know what becomes of what it reads.

mod attributes;
pub mod board;
pub mod boundary;
mod client;
mod directory;
mod dynamodb;
pub mod registrations;
mod s3;
pub mod secret;
pub mod store;

pub use client::Clients;

use std::fmt;
use std::str::FromStr;

/// What a look at a store gave.
#[derive(Debug)]
pub enum Observed<T> {
    /// The same as the last time.
    Unchanged,
    /// Something else than the last time.
    Changed(T),
    /// Nothing that can be used; what was known stays.
    Failed(SourceError),
}

/// Why a store could not be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct SourceError {
    /// Of a closed list, for metrics.
    pub reason: FailureReason,
    /// What was tried, what came back, what to do.
    pub message: String,
}

impl SourceError {
    pub(crate) fn new(reason: FailureReason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// Kinds of failure, as metrics name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureReason {
    /// There is no such object, table, file or directory.
    NotFound,
    /// The store refuses us.
    Forbidden,
    /// No answer in time.
    Timeout,
    /// The store cannot be reached, or answers with an error of its own.
    Unavailable,
    /// The store asks us to slow down.
    Throttled,
    /// More than a documented bound.
    TooLarge,
    /// What stands there is not a document of the kind.
    Invalid,
    /// It changed while it was read, more often than is worth waiting for.
    Unstable,
}

impl FailureReason {
    /// The word for it in metrics and status pages.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NotFound => "not_found",
            Self::Forbidden => "forbidden",
            Self::Timeout => "timeout",
            Self::Unavailable => "unavailable",
            Self::Throttled => "throttled",
            Self::TooLarge => "too_large",
            Self::Invalid => "invalid",
            Self::Unstable => "unstable",
        }
    }
}

impl fmt::Display for FailureReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Where a store is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Location {
    /// An object in S3.
    S3 {
        /// The bucket.
        bucket: String,
        /// The key.
        key: String,
    },
    /// A table in DynamoDB.
    DynamoDb {
        /// The table.
        table: String,
    },
    /// A file or directory.
    Path(std::path::PathBuf),
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Some(rest) = text.strip_prefix("s3://") {
            return match rest.split_once('/') {
                Some((bucket, key)) if !bucket.is_empty() && !key.is_empty() => {
                    Ok(Self::S3 { bucket: bucket.to_owned(), key: key.to_owned() })
                }
                _ => Err(format!("{text:?} names no object: write s3://BUCKET/KEY")),
            };
        }
        if let Some(table) = text.strip_prefix("dynamodb://") {
            let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"_.-".contains(&byte);
            return match table.trim_end_matches('/') {
                table if !table.is_empty() && table.bytes().all(fits) => Ok(Self::DynamoDb { table: table.to_owned() }),
                _ => Err(format!("{text:?} names no table: write dynamodb://TABLE")),
            };
        }
        let path = text.strip_prefix("file://").unwrap_or(text);
        match text.split_once("://") {
            Some((scheme, _)) if scheme != "file" => {
                Err(format!("{scheme}:// is not known here: write s3://BUCKET/KEY, dynamodb://TABLE or a path"))
            }
            _ if path.is_empty() => Err("is empty: write s3://BUCKET/KEY, dynamodb://TABLE or a path".to_owned()),
            _ => Ok(Self::Path(path.into())),
        }
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::S3 { bucket, key } => write!(f, "s3://{bucket}/{key}"),
            Self::DynamoDb { table } => write!(f, "dynamodb://{table}"),
            Self::Path(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_written_as_it_was_read() {
        for text in ["s3://bucket/boundary.yaml", "s3://bucket/a/b", "dynamodb://table", "boundary.yaml", "/a/b"] {
            assert_eq!(text.parse::<Location>().unwrap().to_string(), text);
        }
        assert_eq!("file:///a/b".parse::<Location>().unwrap().to_string(), "/a/b");
    }

    #[test]
    fn a_location_that_names_nothing_is_refused() {
        for text in [
            "", "file://", "s3://", "s3://bucket", "s3://bucket/", "s3:///key", "dynamodb://", "dynamodb://a b",
            "http://x/y",
        ] {
            assert!(text.parse::<Location>().is_err(), "{text}");
        }
    }
}
