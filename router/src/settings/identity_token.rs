//! The settings of the tokens that tell destinations who calls.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

/// What the router signs tokens for destinations with.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentityTokens {
    /// Its private key as PEM (PKCS #8): P-256 or Ed25519. Read again when it changes. Without one no token is made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_file: Option<PathBuf>,
    /// What it calls itself in `iss`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub issuer: Option<String>,
    /// Where its public keys are answered on the data listeners, for any Host and without authentication; nowhere when
    /// left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwks_path: Option<String>,
}

/// What is wrong, a line each.
pub(super) fn problems(tokens: &IdentityTokens, health_path: &str) -> impl Iterator<Item = String> {
    let named = tokens.issuer.as_ref().is_some_and(|issuer| !issuer.is_empty());
    let path = tokens.jwks_path.as_deref();
    let misplaced = path.is_some_and(|path| !path.starts_with('/') || path.contains(['?', '#', ' ']));
    [
        (tokens.key_file.is_some() && !named, "identity_token.issuer: is not set; write e.g. https://api.example.com"),
        (
            tokens.key_file.is_none() && (tokens.issuer.is_some() || path.is_some()),
            "identity_token.key_file: is not set, so no token could be made; name a PEM file",
        ),
        (misplaced, "identity_token.jwks_path: is no path; write e.g. /.well-known/postern/jwks.json"),
        (path == Some(health_path), "identity_token.jwks_path: is health_path as well; choose another"),
    ]
    .into_iter()
    .filter(|(wrong, _)| *wrong)
    .map(|(_, text)| text.to_owned())
}
