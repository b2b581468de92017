//! The boundary: what operations allow. Lives in S3, or in a file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{AnyOf, ApiVersion, Authorization, Identity, PolicySet, Rights, is_default, mapping};
use crate::value::{HostName, HostPattern, Name, Network, RootPath, Scheme};

/// What operations allow: which hosts are answered, which destinations may be reached, who may claim
/// which root, and what holds everywhere.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields, rename_all = "camelCase")]
#[schemars(title = "Boundary")]
pub struct BoundaryDocument {
    /// Always `postern/v1`.
    pub api_version: ApiVersion,
    /// Always `Boundary`.
    pub kind: BoundaryKind,
    /// Domains that are answered; every other Host gets 421.
    pub hosts: Vec<HostPattern>,
    /// What may be reached, and how it is dialled.
    pub destinations: Vec<Destination>,
    /// Who may prove what.
    #[serde(default, skip_serializing_if = "is_default")]
    pub identity: Identity,
    /// What `authorization` policies may name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub authorization: Rights,
    /// Who may claim which root, and what is demanded there. Without any entry every root may be claimed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub paths: Vec<PathRule>,
    /// What holds where a registration says nothing.
    #[serde(default, skip_serializing_if = "is_default")]
    pub defaults: PolicyLayer,
    /// What holds whatever a registration says.
    #[serde(default, skip_serializing_if = "is_default")]
    pub overrides: PolicyLayer,
}

/// The kind of a boundary document.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum BoundaryKind {
    /// The only one.
    Boundary,
}

/// Policies that hold for all routes.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PolicyLayer {
    /// The policies, under the same names as in a registration.
    #[serde(default, skip_serializing_if = "is_default")]
    pub policies: PolicySet,
}

/// A set of hosts that may be reached, and how they are dialled.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Destination {
    /// How it is called in path rules, conditions, logs and metrics.
    pub name: Name,
    /// Hosts that a registration may name, in its URL and as the Host sent.
    pub hosts: Vec<HostPattern>,
    /// How they may be spoken to; `https` alone when left out.
    #[serde(default = "https_only", skip_serializing_if = "is_https_only")]
    pub schemes: Vec<Scheme>,
    /// Ports that may be dialled; the schemes' own when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<std::num::NonZeroU16>,
    /// Networks in which resolved addresses must lie. When left out only public addresses are dialled.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<Network>,
    /// The name to resolve and connect to instead of the URL's host, for example a VPC endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dial: Option<HostName>,
    /// The protocol spoken; `http1` when left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub protocol: Protocol,
    /// How the destination's certificate is verified. It always is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tls: DestinationTls,
}

fn https_only() -> Vec<Scheme> {
    vec![Scheme::Https]
}

fn is_https_only(schemes: &[Scheme]) -> bool {
    schemes == [Scheme::Https]
}

/// What is spoken to a destination.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// HTTP/1.1.
    #[default]
    Http1,
    /// HTTP/2 over TLS, and nothing else; for `https` alone.
    H2,
    /// HTTP/2 in the clear, known in advance; for `schemes: [http]` alone.
    H2c,
    /// Over `https` HTTP/2 where the destination offers it, else HTTP/1.1; over `http` HTTP/1.1.
    Auto,
}

/// How a destination's certificate is verified. There is no way to turn verification off.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct DestinationTls {
    /// The name that the certificate must carry, when it is not the Host sent; a wildcard stands for a
    /// certificate over all names of one label there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server_name: Option<HostPattern>,
    /// Whose signature is trusted; `webpki` when left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roots: Roots,
    /// What the router proves itself with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub client_certificate: Option<ClientCertificate>,
}

/// A set of certificate authorities.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Roots {
    /// The public web's authorities, as bundled with the router.
    #[default]
    Webpki,
    /// Amazon Trust Services alone: narrower, and all that API Gateway needs.
    Amazon,
    /// The certificates in a PEM file on the router's disk.
    PemFile(String),
}

/// A certificate and key that the router shows to a destination.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ClientCertificate {
    /// PEM chain on the router's disk, the leaf first.
    pub certificate_file: String,
    /// PEM key on the router's disk.
    pub key_file: String,
}

/// Who may claim which root, and what is demanded there. The longest prefix that covers what a registration
/// claims rules it; a template whose variable may hold a longer prefix is under that rule as well. A root
/// without a template is a fallback: it gives way to longer ones, and is under no rule but its own.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct PathRule {
    /// The root and everything below it, by whole segments; `/` covers every root.
    pub prefix: RootPath,
    /// Owners that may register here; anyone when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub owners: Vec<Name>,
    /// Destinations that may be used here; all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Name>,
    /// Audiences that registrations may have identity tokens made for here; all when left out. Where destinations can reach
    /// each other, one could otherwise have tokens made for another's audience, and keep them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<String>,
    /// What every route here must demand at least.
    #[serde(default, skip_serializing_if = "is_default")]
    pub require: Requirement,
}

/// What every route under a path rule must demand at least.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Requirement {
    /// Proofs of which a route must demand one. A route that names none gets these; one that names others is refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<AnyOf>,
    /// Rights that are demanded besides the route's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorization: Option<Authorization>,
}

mapping!(BoundaryDocument, PolicyLayer, Destination, DestinationTls, ClientCertificate, PathRule, Requirement);
