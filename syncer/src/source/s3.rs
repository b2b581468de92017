//! One object in S3, read by conditional GET: that it did not change is the normal answer.
//!
//! Assumes that the key is missing as 403 or as 404 (it depends on `s3:ListBucket`), that it can be a delete
//! marker, and that a body can stall or lie about its length. Must never know what the bytes mean.

use std::time::Duration;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::primitives::DateTime;
use postern_config::limits;
use postern_config::merged::Source;

use super::client::describe;
use super::{FailureReason, SourceError};

/// What a read gave.
#[derive(Debug)]
pub(super) enum Fetched {
    /// What was taken last still stands.
    Same,
    /// Bytes, with what the store says of them.
    New {
        /// The bytes.
        bytes: Vec<u8>,
        /// Entity tag and version.
        source: Source,
    },
}

/// An object, and what was taken from it last.
#[derive(Debug)]
pub(super) struct Object {
    client: Client,
    bucket: String,
    key: String,
    time: Duration,
    taken: Option<Mark>,
    seen: Option<Mark>,
}

#[derive(Debug, Clone)]
struct Mark {
    etag: Option<String>,
    modified: Option<DateTime>,
}

impl Object {
    pub(super) fn new(client: Client, bucket: &str, key: &str, time: Duration) -> Self {
        Self { client, bucket: bucket.to_owned(), key: key.to_owned(), time, taken: None, seen: None }
    }

    /// The bytes last fetched were good: from now on they need not be sent again.
    pub(super) fn taken(&mut self) {
        self.taken = self.seen.take().or(self.taken.take());
    }

    /// Reads the object when it is another one than was taken last.
    pub(super) async fn fetch(&mut self) -> Result<Fetched, SourceError> {
        // The SDK has no total timeout of its own, and none at all for the body.
        match tokio::time::timeout(self.time, self.fetch_untimed()).await {
            Ok(result) => result,
            Err(_) => Err(SourceError::new(
                FailureReason::Timeout,
                format!("s3://{}/{} was not read within {:?}", self.bucket, self.key, self.time),
            )),
        }
    }

    async fn fetch_untimed(&mut self) -> Result<Fetched, SourceError> {
        let etag = self.taken.as_ref().and_then(|mark| mark.etag.clone());
        let sent = self.client.get_object().bucket(&self.bucket).key(&self.key).set_if_none_match(etag).send().await;
        let output = match sent {
            Ok(output) => output,
            // The SDK has no word for 304: it arrives as an error without a code.
            Err(SdkError::ServiceError(error)) if error.raw().status().as_u16() == 304 => return Ok(Fetched::Same),
            Err(error) => return Err(self.failed(&error)),
        };
        if output.delete_marker == Some(true) {
            return Err(SourceError::new(
                FailureReason::NotFound,
                format!("s3://{}/{} is a delete marker; restore a version", self.bucket, self.key),
            ));
        }
        self.read_body(output).await
    }

    async fn read_body(&mut self, mut output: GetObjectOutput) -> Result<Fetched, SourceError> {
        let too_large = || {
            SourceError::new(
                FailureReason::TooLarge,
                format!("s3://{}/{} has more than {} bytes", self.bucket, self.key, limits::BOUNDARY_BYTES),
            )
        };
        let announced = output.content_length.and_then(|length| u64::try_from(length).ok());
        if announced.is_some_and(|length| length > limits::BOUNDARY_BYTES) {
            return Err(too_large());
        }
        let mut bytes = Vec::new();
        while let Some(chunk) = output.body.next().await {
            let chunk = chunk.map_err(|error| {
                let text = format!("s3://{}/{} broke off: {error}", self.bucket, self.key);
                SourceError::new(FailureReason::Unavailable, text)
            })?;
            if (bytes.len() + chunk.len()) as u64 > limits::BOUNDARY_BYTES {
                return Err(too_large());
            }
            bytes.extend_from_slice(&chunk);
        }
        if announced.is_some_and(|length| length != bytes.len() as u64) {
            return Err(SourceError::new(
                FailureReason::Unavailable,
                format!("s3://{}/{} is not as long as announced", self.bucket, self.key),
            ));
        }
        let mark = Mark { etag: output.e_tag.clone(), modified: output.last_modified };
        if let (Some(before), Some(now)) = (self.taken.as_ref().and_then(|mark| mark.modified), mark.modified)
            && now < before
        {
            tracing::warn!(
                object = format!("s3://{}/{}", self.bucket, self.key), before = %before, now = %now,
                "the boundary is older than the one before; fine for a rollback, otherwise someone must look"
            );
        }
        self.seen = Some(mark);
        Ok(Fetched::New {
            bytes,
            source: Source { etag: output.e_tag, version_id: output.version_id, ..Source::default() },
        })
    }

    fn failed(&self, error: &SdkError<GetObjectError>) -> SourceError {
        let status = error.raw_response().map(|response| response.status().as_u16());
        let (reason, remedy) = match status {
            Some(404) => (FailureReason::NotFound, "; the last good boundary stays in force"),
            Some(403) => (
                FailureReason::Forbidden,
                "; the key may be missing (without s3:ListBucket that is 403 too), or s3:GetObject",
            ),
            Some(429 | 503) => (FailureReason::Throttled, ""),
            _ if matches!(error, SdkError::TimeoutError(_)) => (FailureReason::Timeout, ""),
            _ => (FailureReason::Unavailable, ""),
        };
        SourceError::new(reason, format!("s3://{}/{}: {}{remedy}", self.bucket, self.key, describe(error)))
    }
}
