//! Who may call with a certificate of its own: clients, and what their certificates say of them. Whose certificates are
//! taken at all is decided where TLS ends: by the authorities of a listener, or of a load balancer in front.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{is_default, mapping};
use crate::value::{CertificateUri, Fingerprint, HostPattern, Name, SpiffePattern};

/// A list of clients with certificates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MtlsRealm {
    /// How it is called in policies, and the realm in `WWW-Authenticate`.
    pub name: Name,
    /// Where certificates come from; `connection` when left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub from: CertificateSource,
    /// Under whose authority they must be: what the `client_authentication` of a listener has for its `name`. Any that
    /// a listener takes when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorities: Option<Name>,
    /// Who has certificates. Of several that one certificate fits, the first.
    pub clients: Vec<MtlsClient>,
}

/// Where the certificates of clients come from.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum CertificateSource {
    /// The client's own connection, to a listener with `client_authentication`.
    #[default]
    Connection,
    /// A load balancer in front, which is one of the router's `trusted_proxies` and verifies certificates (mutual TLS in
    /// verify mode): `X-Amzn-Mtls-Clientcert-Leaf`. From anybody else that header proves nothing.
    Alb,
}

/// Who has a certificate: one of what is named must be in it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct MtlsClient {
    /// Its name, which is the caller's name in logs and in the claim `sub`.
    pub name: Name,
    /// DNS names of its certificates; a wildcard stands for exactly one label. One that is itself a wildcard in a
    /// certificate is nobody's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<HostPattern>,
    /// URIs of its certificates, byte for byte.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uri: Vec<CertificateUri>,
    /// SPIFFE ids, in certificates with one URI and no other (X509-SVID §2); with a slash at the end all ids below.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub spiffe: Vec<SpiffePattern>,
    /// Digests of its very certificates.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fingerprints: Vec<Fingerprint>,
    /// Scopes that it has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Roles that it has, in the claim `roles`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

mapping!(MtlsRealm, MtlsClient);
