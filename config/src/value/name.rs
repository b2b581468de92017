//! Small words: names, header names, methods, schemes.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Leaf, ValueError, leaf};

/// A name that people give: of a destination, an owner, a registration, an issuer.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Name(Arc<str>);

impl Name {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Name {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"._-@/".contains(&byte);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(fits) || !text.as_bytes()[0].is_ascii_alphanumeric()
        {
            return Err(ValueError::new("is not a name")
                .hint("1 to 128 of letters, digits and . _ - @ /, beginning with a letter or digit"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

leaf!(Name, "postern-name", "A name: letters, digits and . _ - @ /.", "team-orders");

/// An HTTP field name in lower case (RFC 9110 §5.1), without `_` and `.`: those have twins that
/// other software takes for the same name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HeaderName(Arc<str>);

impl HeaderName {
    /// The name in lower case.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The schema of a mapping's keys that are header names.
    pub(crate) fn names() -> serde_json::Value {
        serde_json::json!({ "type": "string", "format": Self::FORMAT })
    }
}

impl FromStr for HeaderName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-^`|~".contains(&byte);
        if text.is_empty() || text.len() > 128 || !text.bytes().all(fits) {
            return Err(
                ValueError::new("is not a header name").hint("letters, digits and hyphens, as in x-api-version")
            );
        }
        Ok(Self(text.to_ascii_lowercase().into()))
    }
}

impl fmt::Display for HeaderName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

leaf!(HeaderName, "postern-header-name", "A header name; case does not matter.", "x-api-version");

/// An HTTP method: an upper-case token (RFC 9110 §9.1). `CONNECT` is refused: a router of paths
/// has no use for it, and `TRACE` echoes credentials.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Method(Arc<str>);

impl Method {
    /// The method as it stands in a request line.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Method {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if matches!(text, "CONNECT" | "TRACE") {
            return Err(ValueError::new("is a method that is never routed"));
        }
        if text.is_empty() || text.len() > 32 || !text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'-') {
            return Err(ValueError::new("is not a method").hint("upper case, as in GET or POST"));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for Method {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

leaf!(Method, "postern-method", "An HTTP method in upper case.", "GET");

/// How a destination is spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Scheme {
    /// Over TLS, always verified.
    Https,
    /// In the clear; must be written out.
    Http,
}

impl Scheme {
    /// The scheme as it stands in a URL.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Https => "https",
            Self::Http => "http",
        }
    }

    /// The port that a URL means when it names none.
    pub fn default_port(self) -> u16 {
        match self {
            Self::Https => 443,
            Self::Http => 80,
        }
    }
}
