//! How destinations prove who they are.
//!
//! Owns the making of client configurations: which authorities are trusted, which name the certificate must
//! carry, what the router shows of itself. Called when a snapshot is compiled, never during a request. There is no
//! way to a configuration that does not verify chain and name. Must never know requests.
//!
//! A resumed session skips the certificate check, and rustls finds sessions by server name within one
//! configuration. So two destinations that verify differently must never share a configuration:
//! [`ClientConfigs`] makes one for each (roots, way of verifying, client certificate, protocols offered).

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::sync::Arc;

use postern_config::document::{ClientCertificate, Roots};
use postern_config::value::{HostName, HostPattern};
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, DistinguishedName, RootCertStore, SignatureScheme,
};

use super::limits;
use crate::reject::{Reason, Rejection};
use crate::snapshot::Speaks;

/// Which name the destination's certificate must carry.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Verify {
    /// The one that is asked for (the server name indication).
    ServerName,
    /// This one, whatever is asked for. A wildcard demands a certificate over all names of one label there.
    Fixed(HostPattern),
}

impl Verify {
    /// What the boundary's `tls.server_name` demands when `asked` is asked for.
    ///
    /// A pattern that covers `asked` leaves the stock way: a certificate for `asked` is a certificate within the
    /// pattern, and nothing has to be replaced to check it.
    pub(crate) fn of(server_name: Option<&HostPattern>, asked: &HostName) -> Self {
        match server_name {
            Some(pattern) if !pattern.matches(asked) => Self::Fixed(pattern.clone()),
            _ => Self::ServerName,
        }
    }
}

/// Why a configuration cannot be made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsSetupError {
    /// A file cannot be read.
    #[error("cannot read {file}: {error}")]
    Unreadable { file: String, error: io::Error },
    /// A file is no PEM, or holds nothing of what is needed.
    #[error("{file}: {error}")]
    Pem { file: String, error: pem::Error },
    /// A file holds no certificate.
    #[error("{file} holds no certificate")]
    Empty { file: String },
    /// A certificate cannot be an authority.
    #[error("{file}: {error}")]
    Root { file: String, error: rustls::Error },
    /// Certificate and key do not belong together, or are of a kind that is not supported.
    #[error("{file}: {error}")]
    ClientCertificate { file: String, error: rustls::Error },
    /// A name that no certificate carries.
    #[error("{name} is not a name that a certificate carries")]
    Name { name: String },
    /// The library refuses.
    #[error("cannot set up TLS: {0}")]
    Library(String),
}

/// The configurations of one snapshot, each made once.
#[derive(Default)]
pub(crate) struct ClientConfigs {
    made: HashMap<(Roots, Verify, Option<ClientCertificate>, Speaks), Arc<ClientConfig>>,
}

impl ClientConfigs {
    /// The configuration for this trust, made if need be.
    ///
    /// # Errors
    /// When it cannot be made.
    pub(crate) fn config(
        &mut self,
        roots: &Roots,
        verify: Verify,
        client_certificate: Option<&ClientCertificate>,
        speaks: Speaks,
    ) -> Result<Arc<ClientConfig>, TlsSetupError> {
        let key = (roots.clone(), verify, client_certificate.cloned(), speaks);
        if let Some(config) = self.made.get(&key) {
            return Ok(Arc::clone(config));
        }
        let config = client_config(roots, key.1.clone(), client_certificate, speaks)?;
        self.made.insert(key, Arc::clone(&config));
        Ok(config)
    }
}

/// Makes a configuration that trusts `roots` and takes only certificates as `verify` says.
///
/// # Errors
/// When a file is missing or wrong.
pub(crate) fn client_config(
    roots: &Roots,
    verify: Verify,
    client_certificate: Option<&ClientCertificate>,
    speaks: Speaks,
) -> Result<Arc<ClientConfig>, TlsSetupError> {
    // Passed on explicitly: a process-wide default could be another one.
    let provider = Arc::new(aws_lc_rs::default_provider());
    let roots = Arc::new(root_store(roots)?);
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| TlsSetupError::Library(error.to_string()))?;
    let builder = match verify {
        Verify::ServerName => builder.with_root_certificates(roots),
        Verify::Fixed(pattern) => {
            let verifier = FixedName::new(roots, provider, &pattern)?;
            builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier))
        }
    };
    let mut config = match client_certificate {
        None => builder.with_no_client_auth(),
        Some(ClientCertificate { certificate_file, key_file }) => {
            let chain = certificates(certificate_file)?;
            let key = private_key(key_file)?;
            builder
                .with_client_auth_cert(chain, key)
                .map_err(|error| TlsSetupError::ClientCertificate { file: certificate_file.clone(), error })?
        }
    };
    // A session is resumed within one configuration, so what was agreed on then was among what is offered now.
    config.alpn_protocols = match speaks {
        Speaks::Http1 => vec![b"http/1.1".to_vec()],
        Speaks::Http2 => vec![b"h2".to_vec()],
        Speaks::Either => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
    };
    // Early data can be replayed by anyone on the way (RFC 8446 §8). It is off by default; said here lest it change.
    config.enable_early_data = false;
    Ok(Arc::new(config))
}

/// The same configuration with another verifier, for looking at a certificate that was just refused. `refuses_all` says
/// yes to nothing, and no session of the real configuration is resumed, so nothing is ever sent over what it connects.
pub(super) fn looking(config: &ClientConfig, refuses_all: Arc<super::shown::RefusesAll>) -> Arc<ClientConfig> {
    let mut looking = config.clone();
    looking.resumption = rustls::client::Resumption::disabled();
    looking.dangerous().set_certificate_verifier(refuses_all);
    Arc::new(looking)
}

/// Verifies against one name, whichever was asked for.
///
/// For a private-zone name in front of API Gateway, which answers with `*.execute-api.{region}.amazonaws.com`
/// whatever name it is asked for. It decides nothing: everything is the stock verifier's, handed another name.
#[derive(Debug)]
struct FixedName {
    stock: Arc<WebPkiServerVerifier>,
    name: ServerName<'static>,
}

impl FixedName {
    fn new(
        roots: Arc<RootCertStore>,
        provider: Arc<CryptoProvider>,
        pattern: &HostPattern,
    ) -> Result<Self, TlsSetupError> {
        let stock = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|error| TlsSetupError::Library(error.to_string()))?;
        Ok(Self { stock, name: fixed_name(pattern)? })
    }
}

/// A name that only a certificate over the pattern carries. A verifier takes names, not patterns: for a wildcard a
/// label is put in its place that nobody has a certificate of its own for, so that `*.x` alone can match.
fn fixed_name(pattern: &HostPattern) -> Result<ServerName<'static>, TlsSetupError> {
    let name = match pattern {
        HostPattern::Exact(name) => name.to_string(),
        HostPattern::Wildcard(parent) => format!("{PROBE_LABEL}.{parent}"),
    };
    ServerName::try_from(name.clone()).map_err(|_| TlsSetupError::Name { name })
}

const PROBE_LABEL: &str = "any-name-of-this-wildcard";

impl ServerCertVerifier for FixedName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        _asked: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        self.stock.verify_server_cert(end_entity, intermediates, &self.name, ocsp_response, now)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.stock.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.stock.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.stock.supported_verify_schemes()
    }

    fn root_hint_subjects(&self) -> Option<&[DistinguishedName]> {
        self.stock.root_hint_subjects()
    }
}

fn root_store(roots: &Roots) -> Result<RootCertStore, TlsSetupError> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Webpki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Amazon => store.extend(amazon_roots()),
        Roots::PemFile(file) => {
            for certificate in certificates(file)? {
                store.add(certificate).map_err(|error| TlsSetupError::Root { file: file.clone(), error })?;
            }
        }
    }
    Ok(store)
}

/// Amazon Trust Services: its own roots, and the Starfield one that older chains end in.
fn amazon_roots() -> impl Iterator<Item = rustls::pki_types::TrustAnchor<'static>> {
    let names = |subject: &[u8], text: &str| subject.windows(text.len()).any(|part| part == text.as_bytes());
    webpki_roots::TLS_SERVER_ROOTS
        .iter()
        .filter(move |anchor| {
            names(&anchor.subject, "Amazon Root CA ")
                || names(&anchor.subject, "Starfield Services Root Certificate Authority")
        })
        .cloned()
}

fn certificates(file: &str) -> Result<Vec<CertificateDer<'static>>, TlsSetupError> {
    let text = read(file)?;
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(&text)
        .collect::<Result<_, _>>()
        .map_err(|error| TlsSetupError::Pem { file: file.to_owned(), error })?;
    if certificates.is_empty() {
        return Err(TlsSetupError::Empty { file: file.to_owned() });
    }
    Ok(certificates)
}

fn private_key(file: &str) -> Result<PrivateKeyDer<'static>, TlsSetupError> {
    PrivateKeyDer::from_pem_slice(&read(file)?).map_err(|error| TlsSetupError::Pem { file: file.to_owned(), error })
}

fn read(file: &str) -> Result<Vec<u8>, TlsSetupError> {
    let mut text = Vec::new();
    File::open(file)
        .and_then(|opened| opened.take(limits::PEM_BYTES).read_to_end(&mut text))
        .map_err(|error| TlsSetupError::Unreadable { file: file.to_owned(), error })?;
    Ok(text)
}

/// Why a handshake, or what follows it, failed: an error that TLS put into an I/O error, or none.
pub(super) fn tls_error(error: &io::Error) -> Option<&rustls::Error> {
    error.get_ref()?.downcast_ref()
}

/// The refusal for a failed handshake. The words are the library's: they name what was expected and, for a wrong
/// name, what was presented.
pub(super) fn rejection(error: &io::Error) -> Rejection {
    let reason = match tls_error(error) {
        Some(rustls::Error::InvalidCertificate(error)) => certificate_reason(error),
        _ => Reason::TlsFailed,
    };
    Rejection::new(reason, format!("TLS handshake: {error}"))
}

fn certificate_reason(error: &CertificateError) -> Reason {
    match error {
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => Reason::TlsNameMismatch,
        CertificateError::Expired
        | CertificateError::ExpiredContext { .. }
        | CertificateError::NotValidYet
        | CertificateError::NotValidYetContext { .. } => Reason::TlsExpired,
        CertificateError::UnknownIssuer | CertificateError::BadSignature => Reason::TlsUnknownIssuer,
        // A certificate made by `openssl req -x509` is its own authority: nobody signed it that is trusted. The
        // library has no variant for it.
        CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => Reason::TlsUnknownIssuer,
        _ => Reason::TlsFailed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundled_roots_are_there() {
        assert!(root_store(&Roots::Webpki).unwrap().len() > 100);
        // Four of its own and Starfield's, and nobody else's.
        assert_eq!(root_store(&Roots::Amazon).unwrap().len(), 5);
    }

    #[test]
    fn another_name_is_fixed_only_where_the_stock_way_cannot_do() {
        let asked: HostName = "a1b2.execute-api.eu-west-1.amazonaws.com".parse().unwrap();
        let private: HostName = "orders.apis.internal".parse().unwrap();
        let region: HostPattern = "*.execute-api.eu-west-1.amazonaws.com".parse().unwrap();
        assert_eq!(Verify::of(None, &private), Verify::ServerName);
        assert_eq!(Verify::of(Some(&region), &asked), Verify::ServerName);
        assert_eq!(Verify::of(Some(&region), &private), Verify::Fixed(region.clone()));
        let exact = HostPattern::Exact(asked.clone());
        assert_eq!(Verify::of(Some(&exact), &asked), Verify::ServerName);
        assert_eq!(Verify::of(Some(&exact), &private), Verify::Fixed(exact.clone()));
    }

    #[test]
    fn files_that_are_wrong_are_named() {
        let directory = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = directory.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.to_str().unwrap().to_owned()
        };
        let empty = file("empty.pem", "nothing here");
        let broken = file("broken.pem", "-----BEGIN CERTIFICATE-----\n!\n-----END CERTIFICATE-----\n");
        let missing = directory.path().join("missing.pem").to_str().unwrap().to_owned();
        for name in [&empty, &broken, &missing] {
            let error =
                client_config(&Roots::PemFile(name.clone()), Verify::ServerName, None, Speaks::Http1).unwrap_err();
            assert!(error.to_string().contains(name.as_str()), "{error}");
            let client = ClientCertificate { certificate_file: name.clone(), key_file: name.clone() };
            let error = client_config(&Roots::Webpki, Verify::ServerName, Some(&client), Speaks::Http1).unwrap_err();
            assert!(error.to_string().contains(name.as_str()), "{error}");
        }
    }
}
