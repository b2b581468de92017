//! The settings of traces: where they go, how many, whose word is believed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use postern_config::value::Period;
use serde::{Deserialize, Serialize};

use super::collector::{OtlpProtocol, ToCollector};

/// What becomes of traces. Without an endpoint there are none, and headers about them pass as they come.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tracing {
    /// The collector: `http://HOST:PORT` or `https://HOST:PORT`; with `protocol = "http"` a path may follow, and is
    /// `/v1/traces` when none does.
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
    /// For one batch, from the connection to the answer.
    pub timeout: Period,
    /// The share, from 0 to 1, that is kept of requests that nobody in front has decided about.
    pub sampled: f64,
    /// A request that takes this long is kept always, as is one that went wrong.
    pub slow: Period,
    /// Whose `traceparent` and `X-Amzn-Trace-Id` are gone on with; everybody else begins a trace of their own.
    pub trust: TraceTrust,
    /// Whether destinations get `X-Amzn-Trace-Id`.
    pub x_amzn_trace_id: AmznTraceId,
    /// What the router calls itself in them.
    pub service_name: String,
    /// More of what they are of, e.g. `"deployment.environment.name" = "production"`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub resource: BTreeMap<String, String>,
}

/// Whose word about a trace is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TraceTrust {
    /// That of `trusted_proxies`, which pass on what their clients say.
    Proxies,
    /// Everybody's.
    All,
    /// Nobody's.
    None,
}

/// When destinations get `X-Amzn-Trace-Id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AmznTraceId {
    /// Where the request came with one.
    WhenItCame,
    /// With every request.
    Always,
}

impl Default for Tracing {
    fn default() -> Self {
        Self {
            endpoint: None,
            protocol: OtlpProtocol::Grpc,
            headers_file: None,
            ca_file: None,
            timeout: Period::from_millis(5_000),
            sampled: 0.01,
            slow: Period::from_millis(1_000),
            trust: TraceTrust::Proxies,
            x_amzn_trace_id: AmznTraceId::WhenItCame,
            service_name: "postern-router".to_owned(),
            resource: BTreeMap::new(),
        }
    }
}

impl Tracing {
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
pub(super) fn problems(tracing: &Tracing) -> Vec<String> {
    let mut problems = tracing.to_collector().problems("tracing");
    if !(0.0..=1.0).contains(&tracing.sampled) {
        problems.push("tracing.sampled: is no share; write a number from 0 to 1".to_owned());
    }
    problems
}
