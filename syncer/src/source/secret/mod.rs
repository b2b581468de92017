//! Secrets where references say they are: one look, one text or the reason why there is none.
//!
//! What it gives has been bounded and trimmed, and no more: whether it can serve is for others to say. Must never show or
//! keep what it reads, nor know what it is for.

mod aws;
mod local;

use std::time::Duration;

use postern_config::secrets::{Reference, SecretText};

use super::{FailureReason, SourceError};
use crate::limits;

/// Reads what references name. Loads nothing of AWS before one names something there.
#[derive(Debug)]
pub struct SecretSource {
    aws: tokio::sync::OnceCell<aws::Stores>,
    time: Duration,
}

impl SecretSource {
    /// One read takes at most `time`.
    pub fn new(time: Duration) -> Self {
        Self { aws: tokio::sync::OnceCell::new(), time }
    }

    /// Whether looking again at once costs something.
    pub fn is_remote(reference: &Reference) -> bool {
        matches!(reference, Reference::SecretsManager { .. } | Reference::Parameter(_))
    }

    /// Reads what the reference names.
    ///
    /// # Errors
    /// Why there is nothing, in words that show the reference and nothing of what is there.
    pub async fn read(&self, reference: &Reference) -> Result<SecretText, SourceError> {
        // The SDK's own timeouts leave room for more than one attempt.
        let read = tokio::time::timeout(self.time, self.read_untimed(reference));
        let text = read.await.unwrap_or_else(|_| {
            Err(SourceError::new(FailureReason::Timeout, format!("{reference} was not read within {:?}", self.time)))
        })?;
        within_bounds(reference, &text)
    }

    async fn read_untimed(&self, reference: &Reference) -> Result<SecretText, SourceError> {
        match reference {
            Reference::Environment(name) => local::variable(name),
            Reference::File(path) => local::file(path).await,
            Reference::SecretsManager { id, key } => {
                self.aws(reference).await?.secret(reference, id, key.as_deref()).await
            }
            Reference::Parameter(name) => self.aws(reference).await?.parameter(reference, name).await,
        }
    }

    async fn aws(&self, reference: &Reference) -> Result<&aws::Stores, SourceError> {
        let load = || aws::Stores::load(self.time);
        self.aws
            .get_or_try_init(load)
            .await
            .map_err(|why| SourceError::new(FailureReason::Unavailable, format!("{reference}: {why}")))
    }
}

/// People and tools end files and texts with a line feed.
fn within_bounds(reference: &Reference, text: &SecretText) -> Result<SecretText, SourceError> {
    let trimmed = text.expose().trim_ascii();
    if trimmed.is_empty() {
        return Err(SourceError::new(FailureReason::Invalid, format!("{reference} is empty")));
    }
    if trimmed.len() as u64 > limits::SECRET_BYTES {
        let message = format!("{reference} has more than {} bytes", limits::SECRET_BYTES);
        return Err(SourceError::new(FailureReason::TooLarge, message));
    }
    Ok(SecretText::new(trimmed.to_owned()))
}
