//! The AWS clients: credentials and region as every AWS tool finds them, timeouts of our own.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::error::{DisplayErrorContext, SdkError};

/// Makes clients; loads nothing from the environment before one is asked for.
#[derive(Debug, Clone, Default)]
pub struct Clients {
    config: Option<SdkConfig>,
}

impl Clients {
    /// Reads region, credentials and endpoint as the AWS SDKs do, when a store in AWS is used at all.
    ///
    /// # Errors
    /// When there is no region: then nothing could be found.
    pub async fn load(needed: bool, operation_timeout: Duration) -> Result<Self, String> {
        if !needed {
            return Ok(Self::default());
        }
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(operation_timeout.min(Duration::from_secs(3)))
            .operation_attempt_timeout(operation_timeout)
            .operation_timeout(operation_timeout)
            .build();
        let config = aws_config::defaults(BehaviorVersion::latest()).timeout_config(timeouts).load().await;
        if config.region().is_none() {
            return Err("no AWS region is set; set AWS_REGION, e.g. AWS_REGION=eu-west-1".to_owned());
        }
        Ok(Self { config: Some(config) })
    }

    pub(super) fn s3(&self) -> aws_sdk_s3::Client {
        let config = self.config();
        // Emulators are not found under BUCKET.host names.
        let elsewhere = config.endpoint_url().is_some() || std::env::var_os("AWS_ENDPOINT_URL_S3").is_some();
        let built = aws_sdk_s3::config::Builder::from(&config).force_path_style(elsewhere).build();
        aws_sdk_s3::Client::from_conf(built)
    }

    pub(super) fn dynamodb(&self) -> aws_sdk_dynamodb::Client {
        aws_sdk_dynamodb::Client::new(&self.config())
    }

    pub(super) fn secrets_manager(&self) -> aws_sdk_secretsmanager::Client {
        aws_sdk_secretsmanager::Client::new(&self.config())
    }

    pub(super) fn parameters(&self) -> aws_sdk_ssm::Client {
        aws_sdk_ssm::Client::new(&self.config())
    }

    fn config(&self) -> SdkConfig {
        self.config.clone().unwrap_or_else(|| SdkConfig::builder().behavior_version(BehaviorVersion::latest()).build())
    }
}

/// What an SDK error says, with its causes, in one line.
pub(super) fn describe<E, R>(error: &SdkError<E, R>) -> String
where
    SdkError<E, R>: std::error::Error,
{
    let text = DisplayErrorContext(error).to_string();
    // Behind the causes stands the whole response in debug form.
    let first = text.split(" (").next().unwrap_or(&text);
    first.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(400).collect()
}
