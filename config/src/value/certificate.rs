//! What a client's certificate can say of it: URIs, SPIFFE ids, and the digest of the whole certificate.
//!
//! Compared byte for byte, so each value has one spelling.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use super::{ValueError, leaf};

/// The longest URI, in bytes: what the SPIFFE standard lets an id have (SPIFFE-ID §2.3).
const URI_BYTES: usize = 2_048;

/// A URI as a certificate carries it (RFC 5280 §4.2.1.6): a scheme, a colon, and visible ASCII.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CertificateUri(Arc<str>);

impl CertificateUri {
    /// The URI as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for CertificateUri {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let scheme = |text: &str| {
            let rest = |byte: u8| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte);
            text.starts_with(|first: char| first.is_ascii_alphabetic()) && text.bytes().all(rest)
        };
        let parts = text.split_once(':').filter(|(before, behind)| scheme(before) && !behind.is_empty());
        if parts.is_none() || text.len() > URI_BYTES || !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(ValueError::new("is not a URI").hint(
                "write it as the certificate carries it, as in urn:example:billing; openssl x509 -text shows it",
            ));
        }
        Ok(Self(text.into()))
    }
}

impl fmt::Display for CertificateUri {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

leaf!(
    CertificateUri,
    "postern-certificate-uri",
    "A URI as a certificate carries it, compared byte for byte.",
    "urn:example:billing"
);

/// A SPIFFE id, or with a slash at its end all ids below it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SpiffePattern(Arc<str>);

impl SpiffePattern {
    /// As it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether an id is this one or, behind a slash, below it: by whole segments, and never the prefix itself.
    pub fn matches(&self, id: &str) -> bool {
        is_spiffe_id(id) && (*self.0 == *id || self.0.ends_with('/') && id.starts_with(&*self.0))
    }
}

impl FromStr for SpiffePattern {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        // With a slash at its end it is what an id begins with.
        let id = text.strip_suffix('/').unwrap_or(text);
        if is_spiffe_id(id) || (id.len() < text.len() && is_trust_domain(id.strip_prefix(SPIFFE).unwrap_or_default())) {
            return Ok(Self(text.into()));
        }
        Err(ValueError::new("is not a SPIFFE id").hint(
            "write spiffe://example.com/ns/billing for one, spiffe://example.com/ns/ for all below it; the trust domain \
             in lower case",
        ))
    }
}

impl fmt::Display for SpiffePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

leaf!(
    SpiffePattern,
    "postern-spiffe-pattern",
    "A SPIFFE id; with a slash at its end all ids below it, by whole segments.",
    "spiffe://example.com/ns/billing/"
);

const SPIFFE: &str = "spiffe://";

/// Whether a text is the id of a workload (SPIFFE-ID §2): a trust domain, and a path without empty or dot segments.
pub fn is_spiffe_id(text: &str) -> bool {
    let Some((domain, path)) = text.strip_prefix(SPIFFE).and_then(|rest| rest.split_once('/')) else { return false };
    let segment = |segment: &str| {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        !segment.is_empty() && segment != "." && segment != ".." && segment.bytes().all(fits)
    };
    text.len() <= URI_BYTES && is_trust_domain(domain) && path.split('/').all(segment)
}

/// SPIFFE-ID §2.1.
fn is_trust_domain(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-_".contains(&byte);
    (1..=255).contains(&text.len()) && text.bytes().all(fits)
}

/// The SHA-256 of a whole certificate in DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint([u8; 32]);

impl Fingerprint {
    /// That digest.
    pub fn of_digest(digest: [u8; 32]) -> Self {
        Self(digest)
    }
}

impl FromStr for Fingerprint {
    type Err = ValueError;

    fn from_str(text: &str) -> Result<Self, ValueError> {
        let digits = text.strip_prefix("sha256:").filter(|digits| digits.len() == 64);
        let digit = |byte: u8| (byte as char).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let bytes: Option<Vec<u8>> = digits
            .into_iter()
            .flat_map(|digits| digits.as_bytes().chunks(2))
            .map(|pair| Some(digit(pair[0])? << 4 | digit(pair[1])?))
            .collect();
        bytes.and_then(|bytes| bytes.try_into().ok()).map(Self).ok_or_else(|| {
            ValueError::new("is not the fingerprint of a certificate")
                .hint("sha256: and 64 hexadecimal digits: openssl x509 -in FILE -outform DER | sha256sum")
        })
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

leaf!(
    Fingerprint,
    "postern-fingerprint",
    "The SHA-256 of a certificate in DER: sha256: and 64 hexadecimal digits.",
    "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_an_id_or_for_whole_segments_below_one() {
        let matches = |pattern: &str, id: &str| pattern.parse::<SpiffePattern>().expect(pattern).matches(id);
        for (pattern, id, expected) in [
            ("spiffe://a.example/ns/billing", "spiffe://a.example/ns/billing", true),
            ("spiffe://a.example/ns/billing", "spiffe://a.example/ns/billing/x", false),
            ("spiffe://a.example/ns/billing", "spiffe://a.example/ns/Billing", false),
            ("spiffe://a.example/ns/billing/", "spiffe://a.example/ns/billing/x/y", true),
            ("spiffe://a.example/ns/billing/", "spiffe://a.example/ns/billing", false),
            ("spiffe://a.example/ns/billing/", "spiffe://a.example/ns/billing/", false),
            ("spiffe://a.example/ns/billing/", "spiffe://a.example/ns/billing-x/y", false),
            ("spiffe://a.example/ns/billing/", "spiffe://a.example/ns/billing/../x", false),
            ("spiffe://a.example/ns/billing/", "spiffe://a.example/ns/billing/x?y", false),
            ("spiffe://a.example/ns/billing/", "spiffe://a.example/ns/billing/x%2fy", false),
            ("spiffe://a.example/", "spiffe://a.example/x", true),
            ("spiffe://a.example/", "spiffe://a.example", false),
            ("spiffe://a.example/", "spiffe://a.example.org/x", false),
            ("spiffe://a.example/", "spiffe://b.a.example/x", false),
            ("spiffe://a.example/", "SPIFFE://a.example/x", false),
        ] {
            assert_eq!(matches(pattern, id), expected, "{pattern} {id}");
        }
        for bad in [
            "", "spiffe://", "spiffe:///", "spiffe://a", "spiffe:///x", "spiffe://A/x", "spiffe://a//",
            "spiffe://a/x//", "spiffe://a/./", "spiffe://a/../x", "spiffe://a:1/x", "spiffe://u@a/x", "spiffe://a/*",
            "https://a/x", "a/x/",
        ] {
            assert!(bad.parse::<SpiffePattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_fingerprint_has_one_meaning() {
        let text = format!("sha256:{}", "0a".repeat(32));
        assert_eq!(text.parse(), Ok(Fingerprint([10; 32])));
        assert_eq!(text.to_uppercase().replace("SHA", "sha").parse(), Ok(Fingerprint([10; 32])));
        assert_eq!(Fingerprint([10; 32]).to_string(), text);
        for bad in ["", "sha256:", "sha256:0a", &text[7..], &text.replace("256", "1"), &format!("{text}0a")] {
            assert!(bad.parse::<Fingerprint>().is_err(), "{bad}");
        }
        assert!(format!("sha256:{}", "é".repeat(32)).parse::<Fingerprint>().is_err());
        assert!(format!("sha256:{}", "+a".repeat(32)).parse::<Fingerprint>().is_err());
    }

    #[test]
    fn a_uri_has_a_scheme_and_nothing_unseen() {
        for good in ["urn:example:a", "https://a.example/b?c", "spiffe://a/b", "a+b-c.1:x"] {
            assert!(good.parse::<CertificateUri>().is_ok(), "{good}");
        }
        for bad in ["", "urn", "urn:", ":x", "1a:x", "a b:c", "urn:a b", "urn:\u{0}", "urn:ä"] {
            assert!(bad.parse::<CertificateUri>().is_err(), "{bad}");
        }
    }
}
