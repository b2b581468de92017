//! Public keys of issuers that publish them: fetched over HTTPS, sifted, and kept while an issuer is down.
//!
//! Owns how keys come into the merged file, so that no router needs a way out. Each issuer has a task of its own: one
//! that is slow or down delays neither the stores nor another issuer. An answer that is no set of keys changes nothing.
//! Must never know routes, or what tokens are for.

pub mod discovery;
pub mod http;
pub mod jwks;
pub mod known;
pub mod pace;
mod trust;
pub mod watch;

use postern_config::Boundary;
use postern_config::document::{JwtIssuer, Roots};
use postern_config::value::Name;

/// Whose keys are fetched, and where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spec {
    /// The issuer's name in the boundary.
    pub name: Name,
    /// What its tokens say in `iss`.
    pub issuer: String,
    /// Where to begin.
    pub from: Start,
    /// Whose signature on certificates is trusted.
    pub roots: Roots,
}

/// Where to begin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// The keys themselves (RFC 7517 §5).
    Jwks(String),
    /// A document that says where they are (OpenID Connect Discovery 1.0 §4).
    Discovery(String),
}

impl Spec {
    /// What is to be fetched for an issuer; `None` when its keys are written out.
    pub fn of(issuer: &JwtIssuer) -> Option<Self> {
        let from = match (&issuer.jwks_url, &issuer.discovery_url) {
            (Some(url), _) => Start::Jwks(url.clone()),
            (None, Some(url)) => Start::Discovery(url.clone()),
            (None, None) => return None,
        };
        let (name, roots) = (issuer.name.clone(), issuer.roots.clone());
        Some(Self { name, issuer: issuer.issuer.clone(), from, roots })
    }

    /// Everything that is to be fetched for a boundary.
    pub fn all(boundary: &Boundary) -> Vec<Self> {
        boundary.document().identity.jwt.iter().filter_map(Self::of).collect()
    }

    /// The URL that the boundary names.
    pub fn url(&self) -> &str {
        match &self.from {
            Start::Jwks(url) | Start::Discovery(url) => url,
        }
    }
}
