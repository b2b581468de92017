//! How the access log looks, as it is written in settings.

use serde::{Deserialize, Serialize};

use super::Settings;
use crate::observe::{ACCESS_LOG_FIELDS, LogFormat};

/// The form of the access log's lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AccessLogFormat {
    /// A JSON object.
    #[default]
    Json,
    /// `field=value`, in quotes where need be.
    KeyValue,
    /// What Apache and nginx call combined.
    Combined,
}

impl Settings {
    /// The form that is asked for.
    pub(crate) fn log_format(&self) -> LogFormat {
        let fields = self.access_log_fields.clone();
        match self.access_log_format {
            AccessLogFormat::Json if fields.is_empty() => LogFormat::Whole,
            AccessLogFormat::Json => LogFormat::Json(fields),
            AccessLogFormat::KeyValue => LogFormat::KeyValue(fields),
            AccessLogFormat::Combined => LogFormat::Combined,
        }
    }
}

/// What means nothing, each with what to do.
pub(super) fn problems(settings: &Settings) -> Vec<String> {
    let unknown = settings.access_log_fields.iter().filter(|field| !ACCESS_LOG_FIELDS.contains(&field.as_str()));
    let mut problems: Vec<String> = unknown
        .map(|field| {
            let near = postern_config::problem::did_you_mean(field, ACCESS_LOG_FIELDS.iter().copied());
            let known = || format!("there are {}", ACCESS_LOG_FIELDS.join(", "));
            format!("access_log_fields: {field:?} is no field of the log; {}", near.unwrap_or_else(known))
        })
        .collect();
    if settings.access_log_format == AccessLogFormat::Combined && !settings.access_log_fields.is_empty() {
        problems
            .push("access_log_fields: combined has fields of its own; take this out, or choose key_value".to_owned());
    }
    problems
}
