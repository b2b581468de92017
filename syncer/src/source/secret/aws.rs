//! Secrets in AWS: Secrets Manager, and SecureString parameters of Systems Manager.
//!
//! Asks for the present version, since that is what rotation moves. What the SDK says of a failure holds no secret: answers that
//! carry one are errors of none.

use std::time::Duration;

use aws_sdk_secretsmanager::Client as SecretsManager;
use aws_sdk_secretsmanager::config::{Config, Region};
use aws_sdk_ssm::Client as Parameters;
use aws_sdk_ssm::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ssm::types::ParameterType;
use postern_config::secrets::{Reference, SecretText};
use serde_json::Value;

use super::{FailureReason, SourceError};
use crate::source::client::{Clients, describe};

/// Both stores.
#[derive(Debug)]
pub(super) struct Stores {
    secrets: SecretsManager,
    parameters: Parameters,
}

impl Stores {
    pub(super) async fn load(time: Duration) -> Result<Self, String> {
        let clients = Clients::load(true, time).await?;
        Ok(Self { secrets: clients.secrets_manager(), parameters: clients.parameters() })
    }

    /// <https://docs.aws.amazon.com/secretsmanager/latest/apireference/API_GetSecretValue.html>; without a stage that is
    /// `AWSCURRENT`.
    pub(super) async fn secret(
        &self,
        reference: &Reference,
        id: &str,
        key: Option<&str>,
    ) -> Result<SecretText, SourceError> {
        let mut asked = self.secrets.get_secret_value().secret_id(id).customize();
        if let Some(region) = region(id) {
            asked = asked.config_override(Config::builder().region(region));
        }
        let sent = asked.send().await;
        let mut output = sent.map_err(|error| failed(reference, "secretsmanager:GetSecretValue", &error))?;
        let text = output.secret_string.take().map(SecretText::new).ok_or_else(|| {
            SourceError::new(
                FailureReason::Invalid,
                format!("{reference} holds bytes and no text; store base64url as text"),
            )
        })?;
        match key {
            None => Ok(text),
            Some(key) => member(&text, key)
                .map_err(|why| SourceError::new(FailureReason::Invalid, format!("{reference}: what is there {why}"))),
        }
    }

    /// <https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html>
    pub(super) async fn parameter(&self, reference: &Reference, name: &str) -> Result<SecretText, SourceError> {
        let sent = self.parameters.get_parameter().name(name).with_decryption(true).send().await;
        let output = sent.map_err(|error| failed(reference, "ssm:GetParameter", &error))?;
        let parameter = output.parameter.unwrap_or_else(|| aws_sdk_ssm::types::Parameter::builder().build());
        if parameter.r#type != Some(ParameterType::SecureString) {
            let message = format!("{reference} is no SecureString, so others may read it; store it as one");
            return Err(SourceError::new(FailureReason::Invalid, message));
        }
        parameter
            .value
            .map(SecretText::new)
            .ok_or_else(|| SourceError::new(FailureReason::Invalid, format!("{reference} has no value")))
    }
}

/// Where a secret is that is named by its ARN, which a name leaves to the syncer.
fn region(id: &str) -> Option<Region> {
    let name = id.strip_prefix("arn:")?.split(':').nth(2)?;
    Some(Region::new(name.to_owned()))
}

/// A member of a JSON object. Errors of the parser are not shown: they may quote what they parse.
fn member(text: &SecretText, key: &str) -> Result<SecretText, &'static str> {
    let value: Value = serde_json::from_str(text.expose()).map_err(|_| "is not JSON, so nothing in it has a name")?;
    let object = value.as_object().ok_or("is no JSON object")?;
    match object.get(key) {
        Some(Value::String(text)) => Ok(SecretText::new(text.clone())),
        Some(_) => Err("has something else than a text under that name"),
        None => Err("has nothing of that name"),
    }
}

fn failed<E, R>(reference: &Reference, operation: &str, error: &SdkError<E, R>) -> SourceError
where
    SdkError<E, R>: std::error::Error + ProvideErrorMetadata,
{
    let (reason, remedy) = match error.code() {
        // A secret that is on its way to deletion is an invalid request to Secrets Manager.
        Some("ResourceNotFoundException" | "ParameterNotFound" | "InvalidRequestException") => {
            (FailureReason::NotFound, "")
        }
        Some("AccessDeniedException" | "AccessDenied") => {
            (FailureReason::Forbidden, "; the syncer's role needs that action on it, and kms:Decrypt on its key")
        }
        Some(
            "DecryptionFailure"
            | "InvalidKeyId"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException",
        ) => (FailureReason::Forbidden, ""),
        Some("ThrottlingException" | "Throttling" | "RequestLimitExceeded" | "TooManyRequestsException") => {
            (FailureReason::Throttled, "")
        }
        _ if matches!(error, SdkError::TimeoutError(_)) => (FailureReason::Timeout, ""),
        _ => (FailureReason::Unavailable, ""),
    };
    SourceError::new(reason, format!("{operation} for {reference}: {}{remedy}", describe(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_arn_says_its_region_and_a_name_says_none() {
        let arn = "arn:aws:secretsmanager:eu-west-1:111122223333:secret:postern/hs-AbCdEf";
        assert_eq!(region(arn), Some(Region::from_static("eu-west-1")));
        assert_eq!(region("postern/hs"), None);
    }

    #[test]
    fn a_member_is_a_text_of_that_name_and_nothing_is_shown_of_what_is_none() {
        let get = |json: &str, key: &str| {
            member(&SecretText::new(json.to_owned()), key).map(|found| found.expose().to_owned())
        };
        assert_eq!(get(r#"{"a": "b", "c": "d"}"#, "c").as_deref(), Ok("d"));
        for text in
            ["hunter2", r#"{"a": "hunter2""#, r#"["hunter2"]"#, r#"{"c": 1}"#, r#"{"c": ["hunter2"]}"#, "{}", "null"]
        {
            assert!(!get(text, "c").unwrap_err().contains("hunter2"));
        }
    }
}
