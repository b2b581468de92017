//! What lies in the files of a listener: certificates with their keys. The authorities of clients are in `authorities`.
//!
//! Reads, and says in one word and with a remedy what cannot be used. A pair that is returned belongs together and
//! is valid now. Must never know which pair is served, nor let a byte of a key into a message.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use postern_config::file::{ReadError, read_bounded};
use postern_config::value::Timestamp;
use rustls::InconsistentKeys;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use x509_parser::prelude::{FromDer, GeneralName, X509Certificate};
use zeroize::Zeroizing;

use crate::observe::ReloadResult;

/// Largest file read. A chain has some 10 KB, a bundle of authorities some 200.
const PEM_BYTES: u64 = 1024 * 1024;

/// Where a certificate and its key lie.
#[derive(Debug, Clone)]
pub(crate) struct CertificateFiles {
    /// The certificate, then those between it and its authority.
    pub(crate) certificate: PathBuf,
    /// Its private key.
    pub(crate) key: PathBuf,
}

/// Why files cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SetupError {
    /// The system does not hand it out.
    #[error("{0}; check the path, and who may read it")]
    Unreadable(#[from] ReadError),
    /// No certificate, or half of one.
    #[error("{0} holds no whole certificate; write it as PEM, with the chain behind it")]
    NoCertificate(PathBuf),
    /// No key, or half of one.
    #[error("{0} holds no whole private key; write it as PEM, not encrypted")]
    NoKey(PathBuf),
    /// PEM, but no certificate inside.
    #[error("{0} holds no X.509 certificate that can be parsed; have it issued anew")]
    NotX509(PathBuf),
    /// Another certificate's key.
    #[error(
        "the key in {key} is not that of the certificate in {certificate}; put both there that were issued together"
    )]
    KeyMismatch { certificate: PathBuf, key: PathBuf },
    /// Too late.
    #[error("the certificate in {file} expired at {at}; put a renewed one there")]
    Expired { file: PathBuf, at: Timestamp },
    /// Too early.
    #[error("the certificate in {file} is valid from {at} on; put one there that is valid now, or set the clock")]
    NotYetValid { file: PathBuf, at: Timestamp },
    /// No list, or half of one.
    #[error("{0} holds no whole list of revoked certificates that says when the next is due; write it as PEM")]
    NoList(PathBuf),
    /// The next one should be there.
    #[error("the list of revoked certificates in {file} was to be replaced by {at}; put the next one there")]
    Overdue { file: PathBuf, at: Timestamp },
    /// The library does not take it.
    #[error("{file} cannot be used: {error}")]
    Unusable { file: PathBuf, error: String },
    /// The library refuses altogether.
    #[error("TLS cannot be set up: {0}")]
    Library(String),
}

impl SetupError {
    /// As it is counted.
    pub(super) fn result(&self) -> ReloadResult {
        match self {
            Self::Unreadable(_) => ReloadResult::Unreadable,
            Self::NoCertificate(_) | Self::NoKey(_) | Self::NotX509(_) | Self::NoList(_) => ReloadResult::Malformed,
            Self::KeyMismatch { .. } => ReloadResult::KeyMismatch,
            Self::Expired { .. } | Self::Overdue { .. } => ReloadResult::Expired,
            Self::NotYetValid { .. } => ReloadResult::NotYetValid,
            Self::Unusable { .. } | Self::Library(_) => ReloadResult::Unusable,
        }
    }
}

/// A certificate with its key, and what it says of itself.
#[derive(Debug, Clone)]
pub(super) struct Identity {
    certified: Arc<CertifiedKey>,
    /// In lower case; a wildcard as it is written.
    names: Vec<Box<str>>,
    /// Unix seconds.
    pub(super) not_after: i64,
}

/// Two are equal when they show the same chain: it fits one key.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert
    }
}

impl Identity {
    /// Reads a pair that is valid at `now` (unix seconds).
    ///
    /// # Errors
    /// When anything about it is wrong.
    pub(super) fn read(files: &CertificateFiles, provider: &CryptoProvider, now: i64) -> Result<Self, SetupError> {
        let file = &files.certificate;
        let chain = certificates(file)?;
        let text = Zeroizing::new(read_bounded(&files.key, PEM_BYTES)?);
        // What the library says about a broken key may quote it.
        let key = PrivateKeyDer::from_pem_slice(&text).map_err(|_| SetupError::NoKey(files.key.clone()))?;
        let (names, not_after) = facts(file, &chain[0], now)?;
        let certified = CertifiedKey::from_der(chain, key, provider).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                SetupError::KeyMismatch { certificate: file.clone(), key: files.key.clone() }
            }
            error => SetupError::Unusable { file: files.key.clone(), error: error.to_string() },
        })?;
        Ok(Self { certified: Arc::new(certified), names, not_after })
    }
}

/// The names that a certificate is for, and its expiry.
fn facts(file: &Path, der: &CertificateDer<'_>, now: i64) -> Result<(Vec<Box<str>>, i64), SetupError> {
    let not_x509 = || SetupError::NotX509(file.to_owned());
    let (_, certificate) = X509Certificate::from_der(der).map_err(|_| not_x509())?;
    let validity = certificate.validity();
    let (from, until) = (validity.not_before.timestamp(), validity.not_after.timestamp());
    if until < now {
        return Err(SetupError::Expired { file: file.to_owned(), at: Timestamp::from_unix(until) });
    }
    if from > now {
        return Err(SetupError::NotYetValid { file: file.to_owned(), at: Timestamp::from_unix(from) });
    }
    let alternative = certificate.subject_alternative_name().map_err(|_| not_x509())?;
    let names = alternative.iter().flat_map(|found| &found.value.general_names).filter_map(|name| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase().into_boxed_str()),
        _ => None,
    });
    Ok((names.collect(), until))
}

/// All certificates in a file, in their order.
///
/// # Errors
/// When there is none, or half of one.
pub(super) fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, SetupError> {
    let text = read_bounded(file, PEM_BYTES)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&text).collect();
    chain.ok().filter(|chain| !chain.is_empty()).ok_or_else(|| SetupError::NoCertificate(file.to_owned()))
}

/// Chooses what is shown: the certificate over the very name that is asked for, else over all names of one label
/// there, else the first.
#[derive(Debug)]
pub(super) struct Chooser {
    first: Arc<CertifiedKey>,
    by_name: HashMap<Box<str>, Arc<CertifiedKey>>,
}

impl Chooser {
    /// Of two that carry the same name the former is shown. None, when there is none.
    pub(super) fn new<'a>(identities: impl DoubleEndedIterator<Item = &'a Identity> + Clone) -> Option<Self> {
        let first = Arc::clone(&identities.clone().next()?.certified);
        let mut by_name = HashMap::new();
        for identity in identities.rev() {
            by_name.extend(identity.names.iter().map(|name| (name.clone(), Arc::clone(&identity.certified))));
        }
        Some(Self { first, by_name })
    }

    fn choose(&self, asked: &str) -> &Arc<CertifiedKey> {
        let asked = asked.to_ascii_lowercase();
        let wildcard = || self.by_name.get(&*format!("*.{}", asked.split_once('.')?.1));
        self.by_name.get(&*asked).or_else(wildcard).unwrap_or(&self.first)
    }
}

impl ResolvesServerCert for Chooser {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(hello.server_name().map_or(&self.first, |asked| self.choose(asked))))
    }
}
