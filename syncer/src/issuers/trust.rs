//! Whose signature on an issuer's certificate is trusted. There is no way to a configuration that does not verify
//! chain and name.
//!
//! Must never know what is asked.

use std::sync::Arc;

use postern_config::document::Roots;
use postern_config::file;
use rustls::crypto::aws_lc_rs;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

/// A configuration that trusts these roots. Made anew for each fetch, so a file that changed counts at once.
///
/// # Errors
/// When a file cannot be read, or holds no certificate.
pub(super) fn client_config(roots: &Roots) -> Result<ClientConfig, String> {
    let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| format!("cannot be asked by TLS: {error}"))?
        .with_root_certificates(store(roots)?)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

fn store(roots: &Roots) -> Result<RootCertStore, String> {
    let mut store = RootCertStore::empty();
    match roots {
        Roots::Webpki => store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().cloned()),
        Roots::Amazon => {
            store.extend(webpki_roots::TLS_SERVER_ROOTS.iter().filter(|one| is_amazon(&one.subject)).cloned())
        }
        Roots::PemFile(path) => {
            let failed = |why: String| format!("cannot be trusted: roots: {path}: {why}");
            let bytes =
                file::read_bounded(std::path::Path::new(path), PEM_BYTES).map_err(|error| failed(error.to_string()))?;
            for certificate in CertificateDer::pem_slice_iter(&bytes) {
                let certificate = certificate.map_err(|error| failed(error.to_string()))?;
                store.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
            if store.is_empty() {
                return Err(failed("holds no certificate".to_owned()));
            }
        }
    }
    Ok(store)
}

/// Amazon Trust Services: its own roots, and the Starfield one that older chains end in.
fn is_amazon(subject: &[u8]) -> bool {
    let names = |text: &str| subject.windows(text.len()).any(|part| part == text.as_bytes());
    names("Amazon Root CA ") || names("Starfield Services Root Certificate Authority")
}

/// Largest file of certificates read, in bytes: a system's whole bundle is some 300 KB.
const PEM_BYTES: u64 = 4 * 1024 * 1024;
