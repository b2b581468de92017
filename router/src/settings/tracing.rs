//! The settings of traces: where they go, how many, whose word is believed.

use std::collections::BTreeMap;
use std::path::PathBuf;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use postern_config::value::Period;
use serde::{Deserialize, Serialize};

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

/// The two forms of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// OTLP/gRPC; collectors listen on 4317.
    Grpc,
    /// OTLP/HTTP with Protobuf; collectors listen on 4318.
    Http,
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
    /// The collector's address, when there is one and it is one.
    pub(crate) fn collector(&self) -> Option<Uri> {
        let uri: Uri = self.endpoint.as_deref()?.parse().ok()?;
        let plain = matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
        let path = matches!(uri.path(), "" | "/") || self.protocol == OtlpProtocol::Http;
        // What stands in front of `@` would be a secret that is shown.
        let host = uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        (plain && path && host).then_some(uri)
    }

    /// All attributes of what the spans are of.
    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.resource.clone();
        attributes.entry("service.name".to_owned()).or_insert_with(|| self.service_name.clone());
        attributes.entry("service.version".to_owned()).or_insert_with(|| env!("CARGO_PKG_VERSION").to_owned());
        attributes
    }

    /// The headers of `headers_file`, which nobody may see.
    ///
    /// # Errors
    /// Where it cannot be read, in words that hold nothing of it.
    pub(crate) fn headers(&self) -> Result<HeaderMap, String> {
        let Some(path) = &self.headers_file else { return Ok(HeaderMap::new()) };
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(index, line)| {
                header(line).ok_or_else(|| format!("{}:{}: is no NAME: VALUE", path.display(), index + 1))
            })
            .collect()
    }
}

fn header(line: &str) -> Option<(HeaderName, HeaderValue)> {
    let (name, value) = line.split_once(':')?;
    let mut value: HeaderValue = value.trim().parse().ok()?;
    // So that no library shows it either.
    value.set_sensitive(true);
    Some((name.trim().parse().ok()?, value))
}

/// What is wrong, a line each.
pub(super) fn problems(tracing: &Tracing) -> impl Iterator<Item = String> {
    let no_address = tracing.endpoint.is_some() && tracing.collector().is_none();
    let share = !(0.0..=1.0).contains(&tracing.sampled);
    [
        (no_address, "tracing.endpoint: is no address of a collector; write e.g. http://127.0.0.1:4317"),
        (share, "tracing.sampled: is no share; write a number from 0 to 1"),
        (tracing.timeout.duration().is_zero(), "tracing.timeout: is zero, so nothing could be sent; write e.g. 5s"),
        (tracing.service_name.is_empty(), "tracing.service_name: is empty; write e.g. postern-router"),
    ]
    .into_iter()
    .filter(|(wrong, _)| *wrong)
    .map(|(_, text)| text.to_owned())
}
