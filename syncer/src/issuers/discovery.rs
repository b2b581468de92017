//! From what the boundary says of an issuer to its keys: directly, or by way of its discovery document.
//!
//! Must never know when that is done.

use std::time::Duration;

use serde_json::Value;

use super::http::{Fetched, Http};
use super::jwks::{Sifted, sift};
use super::{Spec, Start};
use crate::source::{FailureReason, SourceError};

/// Keys that were fetched.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    /// What can be used, and what was left out.
    pub sifted: Sifted,
    /// For how long the issuer says that they hold.
    pub max_age: Option<Duration>,
}

/// Fetches the keys of an issuer, anew each time.
///
/// # Errors
/// Why there are none, in words that name the URL.
pub async fn fetch(http: &Http, spec: &Spec) -> Result<Published, SourceError> {
    let url = match &spec.from {
        Start::Jwks(url) => url.clone(),
        Start::Discovery(url) => {
            let document = http.get(url, &spec.roots).await?;
            keys_url(&document.body, &spec.issuer).map_err(|why| invalid(url, &why))?
        }
    };
    let Fetched { body, max_age } = http.get(&url, &spec.roots).await?;
    let sifted = sift(&body).map_err(|why| invalid(&url, &why))?;
    Ok(Published { sifted, max_age })
}

fn invalid(url: &str, why: &str) -> SourceError {
    SourceError::new(FailureReason::Invalid, format!("{url} {why}"))
}

/// What a discovery document says of the keys, when it is the issuer's own (OpenID Connect Discovery 1.0 §4.3: the
/// two must be the same to the letter, or one issuer could speak for another).
fn keys_url(body: &[u8], issuer: &str) -> Result<String, String> {
    let document: Value = serde_json::from_slice(body).map_err(|_| "is not JSON".to_owned())?;
    if document.get("issuer").and_then(Value::as_str) != Some(issuer) {
        return Err("names another issuer than the boundary does".to_owned());
    }
    let url = document.get("jwks_uri").and_then(Value::as_str).ok_or("names no jwks_uri")?;
    if !postern_config::check::can_be_fetched(url) {
        return Err("names a jwks_uri that is not an https URL".to_owned());
    }
    Ok(url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_document_speaks_for_its_own_issuer_alone() {
        let read = |text: &str| keys_url(text.as_bytes(), "https://a.example/");
        let good = r#"{"issuer": "https://a.example/", "jwks_uri": "https://keys.example/a"}"#;
        assert_eq!(read(good).as_deref(), Ok("https://keys.example/a"));
        for bad in [
            r#"{"issuer": "https://a.example", "jwks_uri": "https://keys.example/a"}"#,
            r#"{"issuer": "https://A.example/", "jwks_uri": "https://keys.example/a"}"#,
            r#"{"jwks_uri": "https://keys.example/a"}"#,
            r#"{"issuer": "https://a.example/"}"#,
            r#"{"issuer": "https://a.example/", "jwks_uri": "http://keys.example/a"}"#,
            r#"{"issuer": "https://a.example/", "jwks_uri": "file:///etc/passwd"}"#,
            r#"{"issuer": "https://a.example/", "jwks_uri": "https://user@keys.example/a"}"#,
            "<html>",
            "",
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
