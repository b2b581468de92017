//! Whose certificates clients may show, and which of those were taken back.
//!
//! Reads both as one, because a list is of use only beside the authority that signed it. Owns how strictly lists are
//! taken: of the client's own certificate there must be a list, by its issuer; of those between it and the authority there
//! need be none. Must never know what a certificate says of its holder.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use postern_config::file::read_bounded;
use postern_config::value::Timestamp;
use rustls::RootCertStore;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, CertificateRevocationListDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use x509_parser::prelude::{CertificateRevocationList, FromDer};

use super::certificate::{SetupError, certificates};
use super::files::Files;
use super::tls::Tls;

/// Largest file of lists read: half a million certificates that were taken back.
const LISTS_BYTES: u64 = 32 * 1024 * 1024;

/// Whose certificates clients show.
#[derive(Debug, Clone)]
pub(crate) struct Clients {
    /// How a boundary calls the authorities.
    pub(crate) name: Option<Arc<str>>,
    /// The authorities.
    pub(crate) authorities: PathBuf,
    /// Their lists of certificates that were taken back.
    pub(crate) revoked: Option<PathBuf>,
    /// Whether nobody is let in any more when the next list is overdue.
    pub(crate) refuses_overdue: bool,
    /// Whether a client may come without.
    pub(crate) optional: bool,
}

impl Clients {
    /// What is looked at for changes.
    pub(super) fn files(&self) -> Files {
        match &self.revoked {
            None => Files::new([&self.authorities]),
            Some(revoked) => Files::new([&self.authorities, revoked]),
        }
    }
}

/// The authorities whose certificates clients may show, with their lists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Authorities {
    certificates: Vec<CertificateDer<'static>>,
    revoked: Vec<CertificateRevocationListDer<'static>>,
    /// When the first of the lists is to be replaced, in Unix seconds.
    pub(super) due: Option<i64>,
}

impl Authorities {
    /// Reads them at a time (unix seconds).
    ///
    /// # Errors
    /// When there is none, one cannot be an authority, or a list is none or should have been replaced by then: who holds
    /// the list back could let in whom it names.
    pub(super) fn read(clients: &Clients, provider: &Arc<CryptoProvider>, now: i64) -> Result<Self, SetupError> {
        let certificates = certificates(&clients.authorities)?;
        let (mut revoked, mut due) = (Vec::new(), None);
        if let Some(file) = &clients.revoked {
            revoked = lists(file)?;
            due = revoked.iter().map(|list| next_of(file, list, now)).collect::<Result<Vec<_>, _>>()?.into_iter().min();
        }
        let read = Self { certificates, revoked, due };
        read.verifier(clients, provider)?;
        Ok(read)
    }

    /// What the library asks at each handshake.
    ///
    /// # Errors
    /// When one cannot be an authority, or a list is not what the library takes for one.
    pub(super) fn verifier(
        &self,
        clients: &Clients,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, SetupError> {
        let unusable = |file: &Path, error: &dyn std::fmt::Display| SetupError::Unusable {
            file: file.to_owned(),
            error: error.to_string(),
        };
        let mut store = RootCertStore::empty();
        for certificate in &self.certificates {
            store.add(certificate.clone()).map_err(|error| unusable(&clients.authorities, &error))?;
        }
        let mut verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(store), Arc::clone(provider));
        if !self.revoked.is_empty() {
            verifier = verifier.with_crls(self.revoked.iter().cloned()).only_check_end_entity_revocation();
        }
        if clients.refuses_overdue {
            verifier = verifier.enforce_revocation_expiration();
        }
        if clients.optional {
            verifier = verifier.allow_unauthenticated();
        }
        let file = clients.revoked.as_ref().unwrap_or(&clients.authorities);
        let verifier = verifier.build().map_err(|error| unusable(file, &error))?;
        Ok(verifier)
    }
}

fn lists(file: &Path) -> Result<Vec<CertificateRevocationListDer<'static>>, SetupError> {
    let text = read_bounded(file, LISTS_BYTES)?;
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(&text).collect();
    lists.ok().filter(|lists| !lists.is_empty()).ok_or_else(|| SetupError::NoList(file.to_owned()))
}

/// When the next list is due (RFC 5280 §5.1.2.5, which demands that it is said).
fn next_of(file: &Path, list: &CertificateRevocationListDer<'_>, now: i64) -> Result<i64, SetupError> {
    let (_, list) = CertificateRevocationList::from_der(list).map_err(|_| SetupError::NoList(file.to_owned()))?;
    let next = list.next_update().ok_or_else(|| SetupError::NoList(file.to_owned()))?.timestamp();
    if next < now {
        return Err(SetupError::Overdue { file: file.to_owned(), at: Timestamp::from_unix(next) });
    }
    Ok(next)
}

/// Whether a chain that was verified in a handshake still would be. Authorities and lists change while connections are
/// open; whoever was taken back would otherwise go on for as long as the connection does.
pub(super) struct Standing {
    tls: Arc<Tls>,
    chain: Box<[CertificateDer<'static>]>,
    /// The turn of authorities that was asked last, and what it said.
    asked: Cell<(u64, bool)>,
}

impl Standing {
    /// Of a chain that was verified in that turn.
    pub(super) fn new(tls: &Arc<Tls>, turn: u64, chain: &[CertificateDer<'static>]) -> Self {
        Self { tls: Arc::clone(tls), chain: chain.into(), asked: Cell::new((turn, true)) }
    }

    /// Asks anew only when there is something new to ask. `now` in Unix seconds.
    pub(super) fn holds(&self, now: i64) -> bool {
        let turn = self.tls.turn();
        let (asked, held) = self.asked.get();
        if asked == turn {
            return held;
        }
        let held = self.verify(now).is_some();
        self.asked.set((turn, held));
        held
    }

    fn verify(&self, now: i64) -> Option<()> {
        let (leaf, between) = self.chain.split_first()?;
        let now = UnixTime::since_unix_epoch(Duration::from_secs(u64::try_from(now).ok()?));
        self.tls.verifier()?.verify_client_cert(leaf, between, now).ok().map(drop)
    }
}
