//! Certificate authorities of a test's own, and destinations that speak TLS.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

use crate::origin::{Origin, ReadWrite, Received, Reply};

/// A certificate authority.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// When a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Validity {
    /// Now.
    Now,
    /// Until a day long gone.
    Over,
    /// From a day far away.
    NotYet,
}

/// A certificate with its key.
pub struct Certificate {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    /// A new one of that name.
    pub fn new(name: &str) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        let certificate = params.self_signed(&key).unwrap();
        Self { issuer: Issuer::new(params, key), certificate }
    }

    /// A certificate for these names.
    pub fn sign(&self, names: &[&str], validity: Validity) -> Certificate {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(names, validity).signed_by(&key, &self.issuer).unwrap();
        Certificate { certificate, key }
    }

    /// Writes its certificate as PEM; the path goes into a boundary's `pem_file`.
    pub fn write(&self, directory: &Path, name: &str) -> PathBuf {
        let path = directory.join(name);
        std::fs::write(&path, self.certificate.pem()).unwrap();
        path
    }

    pub(crate) fn issuer(&self) -> &Issuer<'static, KeyPair> {
        &self.issuer
    }

    pub(crate) fn roots(&self) -> RootCertStore {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.der().clone()).unwrap();
        roots
    }
}

impl Certificate {
    pub(crate) fn of(certificate: rcgen::Certificate, key: KeyPair) -> Self {
        Self { certificate, key }
    }

    /// A certificate that nobody but itself has signed.
    pub fn self_signed(names: &[&str]) -> Self {
        let key = KeyPair::generate().unwrap();
        let certificate = leaf(names, Validity::Now).self_signed(&key).unwrap();
        Self { certificate, key }
    }

    /// The certificate itself, as it is shown.
    pub fn der(&self) -> CertificateDer<'static> {
        self.certificate.der().clone()
    }

    /// The certificate as PEM.
    pub fn pem(&self) -> String {
        self.certificate.pem()
    }

    /// Its key as PEM.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// What a server needs that shows it and speaks these protocols (ALPN).
    pub(crate) fn server(&self, protocols: &[&[u8]]) -> Arc<ServerConfig> {
        let builder = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()));
        let builder = builder.with_protocol_versions(rustls::ALL_VERSIONS).unwrap().with_no_client_auth();
        let mut config = builder.with_single_cert(vec![self.der()], self.key()).unwrap();
        config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
        Arc::new(config)
    }

    pub(crate) fn key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::try_from(self.key.serialize_der()).unwrap()
    }

    /// Writes certificate and key as PEM.
    pub fn write(&self, directory: &Path) -> (PathBuf, PathBuf) {
        let (certificate, key) = (directory.join("certificate.pem"), directory.join("key.pem"));
        std::fs::write(&certificate, self.certificate.pem()).unwrap();
        std::fs::write(&key, self.key.serialize_pem()).unwrap();
        (certificate, key)
    }
}

fn leaf(names: &[&str], validity: Validity) -> CertificateParams {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).unwrap();
    match validity {
        Validity::Now => {}
        Validity::Over => {
            params.not_before = date_time_ymd(2020, 1, 1);
            params.not_after = date_time_ymd(2021, 1, 1);
        }
        Validity::NotYet => {
            params.not_before = date_time_ymd(2090, 1, 1);
            params.not_after = date_time_ymd(2091, 1, 1);
        }
    }
    params
}

/// A destination that speaks TLS.
pub struct TlsOrigin {
    origin: Origin,
    seen: Arc<Seen>,
}

/// What of the connections is not in the requests.
#[derive(Default)]
struct Seen {
    handshakes: AtomicUsize,
    bytes: AtomicU64,
    asked: Mutex<Vec<String>>,
    shown: AtomicUsize,
}

impl TlsOrigin {
    /// One that shows this certificate and speaks TLS 1.3 and 1.2.
    pub fn start(certificate: &Certificate) -> Self {
        Self::speaking(certificate, rustls::ALL_VERSIONS, None)
    }

    /// One that answers as `script` says.
    pub fn answering(certificate: &Certificate, script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::made(certificate, rustls::ALL_VERSIONS, None, script)
    }

    /// One that speaks these versions, and demands a certificate of the client when an authority is given.
    pub fn speaking(
        certificate: &Certificate,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Authority>,
    ) -> Self {
        let answer = |request: &Received| Reply::ok(format!("tls {} {}", request.method, request.target));
        Self::made(certificate, versions, clients, answer)
    }

    fn made(
        certificate: &Certificate,
        versions: &[&'static SupportedProtocolVersion],
        clients: Option<&Authority>,
        answer: impl Fn(&Received) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let builder =
            ServerConfig::builder_with_provider(Arc::clone(&provider)).with_protocol_versions(versions).unwrap();
        let builder = match clients {
            None => builder.with_no_client_auth(),
            Some(authority) => {
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(authority.roots()), provider);
                builder.with_client_cert_verifier(verifier.build().unwrap())
            }
        };
        let chain: Vec<CertificateDer<'static>> = vec![certificate.certificate.der().clone()];
        let key = certificate.key();
        let config = Arc::new(builder.with_single_cert(chain, key).unwrap());
        let seen = Arc::new(Seen::default());
        let counted = Arc::clone(&seen);
        let origin = Origin::wrapped(answer, move |stream| secure(stream, &config, &counted));
        Self { origin, seen }
    }

    /// What it shares with every other destination.
    pub fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Handshakes that came to their end.
    pub fn handshakes(&self) -> usize {
        self.seen.handshakes.load(Ordering::SeqCst)
    }

    /// Bytes of requests that came through TLS.
    pub fn bytes(&self) -> u64 {
        self.seen.bytes.load(Ordering::SeqCst)
    }

    /// The names that clients asked for (the server name indication).
    pub fn asked(&self) -> Vec<String> {
        self.seen.asked.lock().unwrap().clone()
    }

    /// Connections whose client showed a certificate.
    pub fn shown(&self) -> usize {
        self.seen.shown.load(Ordering::SeqCst)
    }
}

fn secure(mut stream: TcpStream, config: &Arc<ServerConfig>, seen: &Arc<Seen>) -> io::Result<Box<dyn ReadWrite>> {
    let mut connection = ServerConnection::new(Arc::clone(config)).map_err(io::Error::other)?;
    while connection.is_handshaking() {
        let outcome = connection.complete_io(&mut stream);
        if let Some(name) = connection.server_name() {
            let mut asked = seen.asked.lock().unwrap();
            if asked.last().is_none_or(|last| last != name) {
                asked.push(name.to_owned());
            }
        }
        outcome?;
    }
    seen.handshakes.fetch_add(1, Ordering::SeqCst);
    if connection.peer_certificates().is_some() {
        seen.shown.fetch_add(1, Ordering::SeqCst);
    }
    Ok(Box::new(Counted { stream: StreamOwned::new(connection, stream), seen: Arc::clone(seen) }))
}

struct Counted {
    stream: StreamOwned<ServerConnection, TcpStream>,
    seen: Arc<Seen>,
}

impl Read for Counted {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.stream.read(buffer)?;
        self.seen.bytes.fetch_add(read as u64, Ordering::SeqCst);
        Ok(read)
    }
}

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}
