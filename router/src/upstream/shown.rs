//! Certificates that destinations show: what stands in them, also of those that were refused.
//!
//! Owns a verifier that refuses everything and keeps what it refused, so that somebody can be told why a destination is not
//! believed. Must never lead to a connection that anything is sent over.

use std::sync::{Arc, Mutex, PoisonError};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, SignatureScheme};
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};

/// The most names of one certificate that are told.
const NAMES: usize = 16;

/// The longest name that is told whole.
const NAME: usize = 128;

/// What a certificate says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Leaf {
    /// The DNS names it is for, as far as they are told.
    pub(crate) names: Vec<String>,
    /// Who signed it, in its own words.
    pub(crate) issuer: String,
    /// Whether it says that it signed itself.
    pub(crate) own_issuer: bool,
    /// From when to when it is valid, in seconds after 1970.
    pub(crate) valid: (i64, i64),
}

impl Leaf {
    /// Reads one in DER.
    pub(crate) fn read(der: &[u8]) -> Option<Self> {
        let (_, certificate) = X509Certificate::from_der(der).ok()?;
        let alternative = certificate.subject_alternative_name().ok().flatten();
        let names = alternative.iter().flat_map(|found| &found.value.general_names).filter_map(|name| match name {
            GeneralName::DNSName(name) => Some(plain(name)),
            _ => None,
        });
        let validity = certificate.validity();
        Some(Self {
            names: names.take(NAMES).collect(),
            issuer: plain(&certificate.issuer().to_string()),
            own_issuer: certificate.issuer() == certificate.subject(),
            valid: (validity.not_before.timestamp(), validity.not_after.timestamp()),
        })
    }
}

/// Whoever made the certificate wrote this: nothing in it may steer a terminal.
fn plain(text: &str) -> String {
    text.chars().take(NAME).map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// Refuses every certificate, and keeps the last.
#[derive(Debug)]
pub(super) struct RefusesAll {
    schemes: Vec<SignatureScheme>,
    seen: Mutex<Option<CertificateDer<'static>>>,
}

impl RefusesAll {
    /// One that asks for the signatures that this configuration asks for.
    pub(super) fn like(config: &ClientConfig) -> Arc<Self> {
        let schemes = config.crypto_provider().signature_verification_algorithms.supported_schemes();
        Arc::new(Self { schemes, seen: Mutex::default() })
    }

    /// What it refused last.
    pub(super) fn seen(&self) -> Option<Leaf> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.as_ref().and_then(|certificate| Leaf::read(certificate))
    }
}

const NEVER: rustls::Error = rustls::Error::InvalidCertificate(CertificateError::ApplicationVerificationFailure);

impl ServerCertVerifier for RefusesAll {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _asked: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        *self.seen.lock().unwrap_or_else(PoisonError::into_inner) = Some(end_entity.clone().into_owned());
        Err(NEVER)
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(NEVER)
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(NEVER)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.schemes.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_stranger_wrote_into_a_certificate_steers_no_terminal() {
        assert_eq!(plain("CN=\u{1b}[2Jx\r\ny"), "CN=?[2Jx??y");
        assert_eq!(plain(&"a".repeat(1_000)).len(), NAME);
    }

    #[test]
    fn what_only_looks_believes_nobody() {
        let key = rcgen::generate_simple_self_signed(vec!["orders.internal".to_owned()]).unwrap();
        let config = super::super::tls::client_config(
            &postern_config::document::Roots::Webpki,
            super::super::Verify::ServerName,
            None,
            crate::snapshot::Speaks::Http1,
        );
        let refuses = RefusesAll::like(&config.unwrap());
        let asked = ServerName::try_from("orders.internal").unwrap();
        assert!(refuses.verify_server_cert(key.cert.der(), &[], &asked, &[], UnixTime::now()).is_err());
        let seen = refuses.seen().unwrap();
        assert_eq!((seen.names, seen.own_issuer), (vec!["orders.internal".to_owned()], true));
    }
}
