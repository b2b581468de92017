//! What all that goes to a collector has in common: where it is, who it must prove to be, what the router calls itself.

use std::collections::BTreeMap;
use std::path::Path;

use http::{HeaderMap, HeaderName, HeaderValue, Uri};
use postern_config::value::Period;
use serde::{Deserialize, Serialize};

/// The two forms of OTLP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OtlpProtocol {
    /// OTLP/gRPC; collectors listen on 4317.
    Grpc,
    /// OTLP/HTTP with Protobuf; collectors listen on 4318.
    Http,
}

/// The part of a section that is about its collector.
pub(crate) struct ToCollector<'s> {
    pub(crate) endpoint: Option<&'s str>,
    pub(crate) protocol: OtlpProtocol,
    pub(crate) headers_file: Option<&'s Path>,
    pub(crate) ca_file: Option<&'s Path>,
    pub(crate) timeout: Period,
    pub(crate) service_name: &'s str,
    pub(crate) resource: &'s BTreeMap<String, String>,
}

impl ToCollector<'_> {
    /// The collector's address, when there is one and it is one.
    pub(crate) fn address(&self) -> Option<Uri> {
        let uri: Uri = self.endpoint?.parse().ok()?;
        let plain = matches!(uri.scheme_str(), Some("http" | "https")) && uri.query().is_none();
        let path = matches!(uri.path(), "" | "/") || self.protocol == OtlpProtocol::Http;
        // What stands in front of `@` would be a secret that is shown.
        let host = uri.host().is_some_and(|host| !host.is_empty())
            && uri.authority().is_some_and(|authority| !authority.as_str().contains('@'));
        (plain && path && host).then_some(uri)
    }

    /// All attributes of what it is told of.
    pub(crate) fn attributes(&self) -> BTreeMap<String, String> {
        let mut attributes = self.resource.clone();
        attributes.entry("service.name".to_owned()).or_insert_with(|| self.service_name.to_owned());
        attributes.entry("service.version".to_owned()).or_insert_with(|| env!("CARGO_PKG_VERSION").to_owned());
        attributes
    }

    /// The headers of `headers_file`, which nobody may see.
    ///
    /// # Errors
    /// Where it cannot be read, in words that hold nothing of it.
    pub(crate) fn headers(&self) -> Result<HeaderMap, String> {
        let Some(path) = self.headers_file else { return Ok(HeaderMap::new()) };
        let text = std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
        let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
        lines
            .map(|(index, line)| {
                header(line).ok_or_else(|| format!("{}:{}: is no NAME: VALUE", path.display(), index + 1))
            })
            .collect()
    }

    /// What is wrong in the section of that name, a line each.
    pub(super) fn problems(&self, section: &str) -> Vec<String> {
        let no_address = self.endpoint.is_some() && self.address().is_none();
        [
            (no_address, "endpoint: is no address of a collector; write e.g. http://127.0.0.1:4317"),
            (self.timeout.duration().is_zero(), "timeout: is zero, so nothing could be sent; write e.g. 5s"),
            (self.service_name.is_empty(), "service_name: is empty; write e.g. postern-router"),
        ]
        .into_iter()
        .filter(|(wrong, _)| *wrong)
        .map(|(_, text)| format!("{section}.{text}"))
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
