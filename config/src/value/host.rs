//! Host names and host patterns.
//!
//! A name here is a DNS name in lower case and nothing else: no address, no port, no trailing dot,
//! nothing that a resolver could read as a number (`2852039166`, `0xa9fea9fe` and `127.1` resolve to
//! addresses in glibc, while no address parser sees one).

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{ValueError, leaf};

/// A DNS name in lower case, at most 253 bytes (RFC 1035 §2.3.4, RFC 1123 §2.1).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct HostName(Arc<str>);

impl HostName {
    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The name without its first label, when there is more than one.
    pub fn parent(&self) -> Option<&str> {
        self.0.split_once('.').map(|(_, parent)| parent)
    }
}

impl FromStr for HostName {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        if text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            return text.to_ascii_lowercase().parse();
        }
        check_name(text)?;
        Ok(Self(text.into()))
    }
}

/// So that a set of names can be asked with borrowed text.
impl std::borrow::Borrow<str> for HostName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for HostName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A host name, or `*.` and a name of at least two labels: the wildcard stands for exactly one label.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum HostPattern {
    /// Exactly this name.
    Exact(HostName),
    /// One label, then this name.
    Wildcard(HostName),
}

impl HostPattern {
    /// Whether `host` is a name this pattern stands for.
    pub fn matches(&self, host: &HostName) -> bool {
        match self {
            Self::Exact(name) => name == host,
            Self::Wildcard(parent) => host.parent() == Some(parent.as_str()),
        }
    }

    /// Whether every name that `other` stands for is one this pattern stands for.
    pub fn covers(&self, other: &Self) -> bool {
        match other {
            Self::Exact(name) => self.matches(name),
            Self::Wildcard(_) => self == other,
        }
    }
}

impl FromStr for HostPattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let Some(parent) = text.strip_prefix("*.") else {
            if text == "*" {
                return Err(ValueError::new("stands for every host").hint("list the hosts, or write *.example.com"));
            }
            return text.parse().map(Self::Exact);
        };
        let parent: HostName = parent.parse()?;
        if parent.parent().is_none() {
            return Err(ValueError::new("is a wildcard over a whole top-level domain")
                .hint("a wildcard needs two labels behind it, as in *.example.com"));
        }
        Ok(Self::Wildcard(parent))
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exact(name) => name.fmt(f),
            Self::Wildcard(parent) => write!(f, "*.{parent}"),
        }
    }
}

fn check_name(name: &str) -> Result<(), ValueError> {
    const EXAMPLE: &str = "write a DNS name such as api.example.com";
    let fault = |message: &str| Err(ValueError::new(message).hint(EXAMPLE));
    if name.is_empty() {
        return fault("is empty");
    }
    if name.len() > 253 {
        return fault("is longer than 253 bytes");
    }
    if name.parse::<std::net::IpAddr>().is_ok() || name.starts_with('[') {
        return Err(ValueError::new("is an address, not a name")
            .hint("write a DNS name; for destinations put the address into \"addresses\""));
    }
    if name.contains("://") {
        return fault("is a URL, not a name");
    }
    if name.rsplit_once(':').is_some_and(|(_, port)| !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit()))
    {
        return Err(ValueError::new("has a port").hint("write the name alone"));
    }
    if name.contains('*') {
        return fault("has a wildcard where only *. in front may be");
    }
    if name.len() > 1 && name.ends_with('.') {
        return Err(ValueError::new("ends with a dot").hint(format!("write {}", name.trim_end_matches('.'))));
    }
    for label in name.split('.') {
        if label.is_empty() {
            return fault("has an empty label");
        }
        if label.len() > 63 {
            return fault("has a label longer than 63 bytes");
        }
        if !label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return fault("has a character that no host name has");
        }
        if label.starts_with('-') || label.ends_with('-') {
            return fault("has a label that begins or ends with a hyphen");
        }
    }
    let last = name.rsplit('.').next().unwrap_or(name);
    if last.bytes().all(|byte| byte.is_ascii_digit()) || last.starts_with("0x") {
        return fault("ends in a number, which resolvers read as an address");
    }
    Ok(())
}

leaf!(HostName, "postern-host", "A DNS name in lower case.", "orders.apis.internal.example.com");
leaf!(
    HostPattern,
    "postern-host-pattern",
    "A DNS name, or *. and a name: the wildcard stands for one label.",
    "*.api.example.com"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_resolvers_read_as_addresses_are_refused() {
        for text in [
            "2852039166", "0xa9fea9fe", "127.1", "10.0.0.1", "::1", "[::1]", "a.0x7f", "example.123", "", ".", "a..b",
            "a.b.", "-a.b", "a-.b", "a b", "a_b.c", "é.example", "*", "*.com", "*.*.example.com", "a.*.example.com",
        ] {
            assert!(text.parse::<HostPattern>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_wildcard_stands_for_one_label() {
        let pattern: HostPattern = "*.api.example.com".parse().unwrap();
        for (host, expected) in
            [("a.api.example.com", true), ("api.example.com", false), ("a.b.api.example.com", false)]
        {
            assert_eq!(pattern.matches(&host.parse().unwrap()), expected, "{host}");
        }
        assert!(pattern.covers(&"A.api.EXAMPLE.com".parse().unwrap()));
        assert!(!"x.example.com".parse::<HostPattern>().unwrap().covers(&pattern));
    }
}
