//! TLS for both ends of a measurement: 1.3 alone, and no resumption, so that every connection costs a full handshake.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use rustls::client::Resumption;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio_rustls::{TlsAcceptor, TlsConnector};

/// What a load speaks, trusting the certificates of a PEM file.
pub(crate) fn client(roots: &Path) -> Result<Arc<ClientConfig>, Box<dyn Error>> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(roots)? {
        store.add(certificate?)?;
    }
    let builder = ClientConfig::builder_with_protocol_versions(&[&TLS13]);
    let mut config = builder.with_root_certificates(store).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

/// The same for the asynchronous commands.
pub(crate) fn connector(roots: &Path) -> Result<TlsConnector, Box<dyn Error>> {
    Ok(TlsConnector::from(client(roots)?))
}

/// What the destination speaks.
pub(crate) fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Box<dyn Error>> {
    let chain = CertificateDer::pem_file_iter(certificate)?.collect::<Result<Vec<_>, _>>()?;
    let builder = ServerConfig::builder_with_protocol_versions(&[&TLS13]).with_no_client_auth();
    let mut config = builder.with_single_cert(chain, PrivateKeyDer::from_pem_file(key)?)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
