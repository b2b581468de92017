//! The settings of metrics that are pushed: where they go, and how often.

use std::collections::BTreeMap;
use std::path::PathBuf;

use postern_config::value::Period;
use serde::{Deserialize, Serialize};

use super::collector::{OtlpProtocol, ToCollector};

/// Where metrics are pushed. Without an endpoint they are not; `/metrics` tells them in any case.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OtlpMetrics {
    /// The collector: `http://HOST:PORT` or `https://HOST:PORT`; with `protocol = "http"` a path may follow, and is
    /// `/v1/metrics` when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub endpoint: Option<String>,
    /// What it speaks.
    pub protocol: OtlpProtocol,
    /// A file with headers for it, `NAME: VALUE` on each line. For what is secret: it is read at start and never shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub headers_file: Option<PathBuf>,
    /// The authorities that its certificate is verified with, as PEM; those of the public web when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// For one message, from the connection to the answer.
    pub timeout: Period,
    /// How often they are pushed.
    pub interval: Period,
    /// What the router calls itself there.
    pub service_name: String,
    /// More of what they are of, e.g. `"deployment.environment.name" = "production"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource: BTreeMap<String, String>,
}

impl Default for OtlpMetrics {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: OtlpProtocol::Grpc,
            headers_file: None,
            ca_file: None,
            timeout: Period::from_millis(5_000),
            interval: Period::from_millis(60_000),
            service_name: "postern-router".to_owned(),
            resource: BTreeMap::new(),
        }
    }
}

impl OtlpMetrics {
    /// What is about the collector.
    pub(crate) fn to_collector(&self) -> ToCollector<'_> {
        ToCollector {
            endpoint: self.endpoint.as_deref(),
            protocol: self.protocol,
            headers_file: self.headers_file.as_deref(),
            ca_file: self.ca_file.as_deref(),
            timeout: self.timeout,
            service_name: &self.service_name,
            resource: &self.resource,
        }
    }
}

/// What is wrong, a line each.
pub(super) fn problems(metrics: &OtlpMetrics) -> Vec<String> {
    let mut problems = metrics.to_collector().problems("otlp_metrics");
    if metrics.interval.duration().as_secs() < 1 {
        problems.push("otlp_metrics.interval: is shorter than a second; write e.g. 60s".to_owned());
    }
    problems
}
