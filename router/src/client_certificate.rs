//! What a client's certificate says: its names, its digest, and when it is valid.
//!
//! Lies outside of the stages because a connection carries it and `authenticate` judges it. Assumes that somebody has
//! verified the certificate: the listener in its handshake, or a load balancer that is believed. Names that could be
//! read in two ways (with a NUL, not ASCII, a wildcard) are left out, so they are nobody's. Must never know whose it is.

use std::fmt;
use std::sync::Arc;

use postern_config::value::{CertificateUri, Fingerprint, HostName};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use sha2::{Digest as _, Sha256};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The most names of one certificate that are looked at. Those of clients have a few.
const NAMES: usize = 256;

/// A certificate that was verified, as far as it matters who showed it.
pub(crate) struct ClientCertificate {
    /// DNS names, in lower case.
    pub(crate) dns: Box<[HostName]>,
    /// URIs, as they are.
    pub(crate) uris: Box<[CertificateUri]>,
    /// Whether it has one URI and no other, as the X.509 certificate of a workload must (X509-SVID §2).
    pub(crate) has_one_uri: bool,
    /// Of the whole of it.
    pub(crate) fingerprint: Fingerprint,
    /// Unix seconds.
    valid: (i64, i64),
    /// How a boundary calls the authorities under which it was verified.
    pub(crate) authorities: Option<Arc<str>>,
    /// Asks whoever verified it whether it would do so again then, where that can be asked.
    standing: Option<Box<dyn Fn(i64) -> bool>>,
}

impl ClientCertificate {
    /// Reads one in DER; nothing when it cannot be read whole.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        if !rest.is_empty() {
            return None;
        }
        let validity = certificate.validity();
        let alternative = certificate.subject_alternative_name().ok()?;
        let names = || alternative.iter().flat_map(|found| &found.value.general_names).take(NAMES);
        let dns = names().filter_map(|name| match name {
            GeneralName::DNSName(name) => name.parse().ok(),
            _ => None,
        });
        let uris = names().filter_map(|name| match name {
            GeneralName::URI(uri) => uri.parse().ok(),
            _ => None,
        });
        // In the certificate, not among those that can be read.
        let is_uri = |name: &&GeneralName<'_>| match name {
            GeneralName::URI(_) => true,
            GeneralName::Invalid(tag, _) => tag.0 == 6,
            _ => false,
        };
        Some(Self {
            dns: dns.collect(),
            uris: uris.collect(),
            has_one_uri: names().filter(is_uri).count() == 1,
            fingerprint: Fingerprint::of_digest(Sha256::digest(der).into()),
            valid: (validity.not_before.timestamp(), validity.not_after.timestamp()),
            authorities: None,
            standing: None,
        })
    }

    /// Reads one as a load balancer relays it: PEM, escaped as in URLs, and nothing else. A plus stands
    /// for itself, as base64 needs it.
    pub(crate) fn relayed(value: &[u8]) -> Option<Self> {
        let text = unescaped(value)?;
        let several = CertificateDer::pem_slice_iter(&text).nth(1).is_some();
        if several { None } else { Self::first_of(&text) }
    }

    /// Reads the first one in a PEM file: behind it stand those between it and its authority.
    pub(crate) fn first_of(pem: &[u8]) -> Option<Self> {
        Self::read(&CertificateDer::pem_slice_iter(pem).next()?.ok()?)
    }

    /// The same, under these authorities and for as long as whoever verified it says so.
    #[must_use]
    pub(crate) fn verified(self, authorities: Option<Arc<str>>, standing: impl Fn(i64) -> bool + 'static) -> Self {
        Self { authorities, standing: Some(Box::new(standing)), ..self }
    }

    /// Whether it is valid then, in Unix seconds: a connection may outlive its certificate.
    pub(crate) fn is_valid_at(&self, now: i64) -> bool {
        (self.valid.0..=self.valid.1).contains(&now)
    }

    /// Whether it would be verified again: a connection may also outlive what was thought of its certificate.
    pub(crate) fn stands_at(&self, now: i64) -> bool {
        self.standing.as_ref().is_none_or(|standing| standing(now))
    }
}

impl fmt::Debug for ClientCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ClientCertificate").field(&self.fingerprint).finish()
    }
}

/// Undoes `%41` (RFC 3986 §2.1); nothing when an escape is none.
fn unescaped(value: &[u8]) -> Option<Vec<u8>> {
    let digit = |byte: u8| (byte as char).to_digit(16);
    let mut out = Vec::with_capacity(value.len());
    let mut bytes = value.iter().copied();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'%' => u8::try_from(digit(bytes.next()?)? << 4 | digit(bytes.next()?)?).ok()?,
            other => other,
        });
    }
    Some(out)
}
