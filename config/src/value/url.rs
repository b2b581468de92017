//! The URL of a destination: scheme, name, port, and a path that is put in front.

use std::fmt;
use std::str::FromStr;

use super::{HostName, RootPath, Scheme, ValueError, leaf};

/// Where a route leads. No credentials, query or fragment; the host is a name, never an address.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DestinationUrl {
    /// How it is spoken to.
    pub scheme: Scheme,
    /// The name that is resolved and dialled.
    pub host: HostName,
    /// The port, the scheme's own when the URL names none.
    pub port: u16,
    /// Put in front of the forwarded path; `/` adds nothing.
    pub path: RootPath,
}

impl DestinationUrl {
    /// The path that goes in front of the forwarded one: empty for `/`.
    pub fn prefix(&self) -> &str {
        match self.path.as_str() {
            "/" => "",
            path => path,
        }
    }
}

impl FromStr for DestinationUrl {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let (scheme, rest) = if let Some(rest) = text.strip_prefix("https://") {
            (Scheme::Https, rest)
        } else if let Some(rest) = text.strip_prefix("http://") {
            (Scheme::Http, rest)
        } else {
            return Err(ValueError::new("does not begin with https:// or http://").hint(EXAMPLE));
        };
        let (authority, path) = match rest.find(['/', '?', '#']) {
            Some(at) => rest.split_at(at),
            None => (rest, "/"),
        };
        if authority.contains('@') {
            return Err(ValueError::new("carries credentials").hint("write the URL without user and password"));
        }
        if path.contains(['?', '#']) {
            return Err(ValueError::new("has a query or a fragment").hint(EXAMPLE));
        }
        let (host, port) = match authority.rsplit_once(':') {
            Some((host, port)) => (host, parse_port(port)?),
            None => (authority, scheme.default_port()),
        };
        let host = host.parse().map_err(|error: ValueError| ValueError {
            message: format!("has a host that {error}"),
            hint: error.hint,
        })?;
        // One slash at the end means the same; more than one is a path with two readings.
        let path = match path.strip_suffix('/') {
            Some(shorter) if !shorter.is_empty() && !shorter.ends_with('/') => shorter,
            _ => path,
        };
        let path = path.parse().map_err(|error: ValueError| ValueError {
            message: format!("has a path that {}", error.message.trim_start_matches("is not a root: ")),
            hint: error.hint,
        })?;
        Ok(Self { scheme, host, port, path })
    }
}

fn parse_port(text: &str) -> Result<u16, ValueError> {
    match text.parse() {
        Ok(port) if port > 0 && text.bytes().all(|byte| byte.is_ascii_digit()) => Ok(port),
        _ => Err(ValueError::new("has a port that is not 1 to 65535").hint(EXAMPLE)),
    }
}

const EXAMPLE: &str = "write a URL such as https://orders.apis.internal.example.com/prod";

impl fmt::Display for DestinationUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.default_port() {
            write!(f, ":{}", self.port)?;
        }
        f.write_str(self.prefix())
    }
}

leaf!(
    DestinationUrl,
    "postern-url",
    "The URL of a destination: https or http, a name, an optional port and path.",
    "https://orders.apis.internal.example.com/prod"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_written_in_its_shortest_form() {
        for (text, written) in [
            ("https://a.example.com", "https://a.example.com"),
            ("https://A.example.com:443/", "https://a.example.com"),
            ("http://localhost:9001/prod/", "http://localhost:9001/prod"),
        ] {
            assert_eq!(text.parse::<DestinationUrl>().unwrap().to_string(), written);
        }
    }

    #[test]
    fn a_url_with_another_reading_is_refused() {
        for text in [
            "ftp://a.example.com", "https://", "https://user@a.example.com", "https://a.example.com@evil.com",
            "https://a.example.com?x", "https://a.example.com/#x", "https://a.example.com:0",
            "https://a.example.com:+80", "https://a.example.com:99999", "https://10.0.0.1", "https://[::1]",
            "https://169.254.169.254/latest", "https://0xa9fea9fe", "https://a.example.com/../x",
            "https://a.example.com/%2e", "https://a.example.com\\x", "https:/a.example.com", "//a.example.com",
            "https://a.example.com:80:80", "https://a b.com", "https://a.example.com//", "https://a.example.com/x//",
            "https://a.example.com.", "https://a.example.com/*",
        ] {
            assert!(text.parse::<DestinationUrl>().is_err(), "{text}");
        }
    }
}
