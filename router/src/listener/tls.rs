//! How a listener speaks TLS: versions, protocols, sessions, and the certificates in use.
//!
//! Owns the making of server configurations, and the one that is in use. TLS 1.3 and 1.2 with the provider's suites,
//! all of which have forward secrecy and authenticate; there is no setting for more. Must never know requests.
//!
//! A resumed session skips the check of the client's certificate. So a listener's tickets are sealed with a key of
//! its own, made anew (and from then on every 6 hours, good for 12) whenever the authorities of clients change, and
//! no session is kept here: nothing that one listener handed out, or the same one under other authorities, is taken.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use postern_config::value::Timestamp;
use rustls::crypto::{CryptoProvider, aws_lc_rs};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, ProducesTickets};
use rustls::{ServerConfig, SupportedProtocolVersion, version};

use super::authorities::{Authorities, Clients};
use super::certificate::{CertificateFiles, Chooser, Identity, SetupError};
use super::files::{Files, Kept, Looked};
use crate::freshness::unix_now;
use crate::observe::{CertificateCells, ReloadResult};

/// What is offered inside TLS, the best first (ALPN, RFC 7301 §6). A client that names others alone is refused.
const PROTOCOLS: [&[u8]; 2] = [b"h2", b"http/1.1"];

/// How often files are looked at. Twice this is the most from a change to its use.
const POLL: Duration = Duration::from_millis(500);

/// What settings ask of a listener.
#[derive(Debug, Clone)]
pub(crate) struct TlsSetup {
    /// What is shown, the default first.
    pub(crate) certificates: Vec<CertificateFiles>,
    /// Whether clients show a certificate, and whose.
    pub(crate) clients: Option<Clients>,
    /// Whether TLS 1.2 is spoken too.
    pub(crate) speaks_12: bool,
}

/// What the cores ask for a listener's configuration.
pub(crate) struct Tls {
    live: Mutex<Live>,
    /// How often what is asked of clients has changed.
    turn: AtomicU64,
    /// How a boundary calls the authorities of clients.
    pub(super) authorities: Option<Arc<str>>,
}

struct Live {
    config: Arc<ServerConfig>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
}

impl Tls {
    /// The configuration for the next handshake.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        Arc::clone(&self.live.lock().unwrap_or_else(PoisonError::into_inner).config)
    }

    /// What is asked of clients' certificates, if anything.
    pub(super) fn verifier(&self) -> Option<Arc<dyn ClientCertVerifier>> {
        self.live.lock().unwrap_or_else(PoisonError::into_inner).verifier.clone()
    }

    /// Changes whenever what is asked of clients does. One that was read before a handshake is never newer than what the
    /// handshake asked.
    pub(super) fn turn(&self) -> u64 {
        self.turn.load(Ordering::Acquire)
    }

    fn publish(&self, live: Live, turned: bool) {
        *self.live.lock().unwrap_or_else(PoisonError::into_inner) = live;
        self.turn.fetch_add(u64::from(turned), Ordering::Release);
    }
}

/// Looks after the files of one listener, on a thread that serves nobody.
pub(crate) struct Keeper {
    tls: Arc<Tls>,
    cells: Arc<CertificateCells>,
    identities: Vec<Kept<Identity>>,
    clients: Option<(Clients, Kept<Authorities>)>,
    verifier: Option<Arc<dyn ClientCertVerifier>>,
    /// Whether the next list of revoked certificates should be there and is not.
    overdue: bool,
    ticketer: Option<Arc<dyn ProducesTickets>>,
    provider: Arc<CryptoProvider>,
    speaks_12: bool,
}

impl Keeper {
    /// Reads everything that a listener needs. `now` in unix seconds.
    ///
    /// # Errors
    /// When any file is wrong: at the start there is no older one to go on with.
    pub(crate) fn open(setup: &TlsSetup, now: i64) -> Result<Self, SetupError> {
        // Passed on explicitly: a process-wide default could be another one.
        let provider = Arc::new(aws_lc_rs::default_provider());
        let identity = |pair: &CertificateFiles| {
            let files = Files::new([&pair.certificate, &pair.key]);
            let (pair, provider) = (pair.clone(), Arc::clone(&provider));
            Kept::open(files, now, move |now| Identity::read(&pair, &provider, now))
        };
        let identities = setup.certificates.iter().map(identity).collect::<Result<Vec<_>, _>>()?;
        let clients = match setup.clients.clone() {
            None => None,
            Some(clients) => {
                let (read, provider) = (clients.clone(), Arc::clone(&provider));
                let kept = Kept::open(clients.files(), now, move |now| Authorities::read(&read, &provider, now))?;
                Some((clients, kept))
            }
        };
        let ticketer = Some(ticketer()?);
        let speaks_12 = setup.speaks_12;
        let verifier = verifier(clients.as_ref(), &provider)?;
        let config = config(&identities, verifier.as_ref(), ticketer.as_ref(), &provider, speaks_12)?;
        let live = Mutex::new(Live { config, verifier: verifier.clone() });
        let authorities = clients.as_ref().and_then(|(clients, _)| clients.name.clone());
        let tls = Arc::new(Tls { live, turn: AtomicU64::new(0), authorities });
        let keeper = Self {
            tls,
            cells: Arc::default(),
            identities,
            clients,
            verifier,
            overdue: false,
            ticketer,
            provider,
            speaks_12,
        };
        keeper.tell();
        Ok(keeper)
    }

    /// What the cores ask.
    pub(crate) fn tls(&self) -> Arc<Tls> {
        Arc::clone(&self.tls)
    }

    /// What is counted.
    pub(crate) fn cells(&self) -> Arc<CertificateCells> {
        Arc::clone(&self.cells)
    }

    /// Looks at the files, and serves what has come. Whatever is wrong changes nothing.
    pub(super) fn look(&mut self, now: i64) {
        let mut changed = false;
        for kept in &mut self.identities {
            changed |= note(&self.cells, &kept.look(now));
        }
        let turned = self.look_at_clients(now);
        if turned {
            // Without a new key no session is resumed: one of the older authorities must not be.
            self.ticketer = ticketer().ok();
        }
        if changed || turned {
            let config = config(
                &self.identities,
                self.verifier.as_ref(),
                self.ticketer.as_ref(),
                &self.provider,
                self.speaks_12,
            );
            match config {
                Ok(config) => self.tls.publish(Live { config, verifier: self.verifier.clone() }, turned),
                Err(error) => tracing::error!(%error, "the older certificates stay"),
            }
        }
        self.tell();
    }

    /// Whether what is asked of clients is not what it was.
    fn look_at_clients(&mut self, now: i64) -> bool {
        let Some((clients, kept)) = &mut self.clients else { return false };
        let loaded = note(&self.cells, &kept.look(now));
        let due = kept.value.due.filter(|due| *due < now).map(Timestamp::from_unix);
        let was = std::mem::replace(&mut self.overdue, due.is_some());
        if let (false, Some(at), Some(file)) = (was, due, &clients.revoked) {
            let (file, refuses) = (file.display(), clients.refuses_overdue);
            tracing::warn!(%file, %at, refuses, "the list of revoked certificates was to be replaced");
        }
        if loaded {
            match verifier(self.clients.as_ref(), &self.provider) {
                Ok(verifier) => self.verifier = verifier,
                Err(error) => tracing::error!(%error, "the older authorities stay"),
            }
        }
        let refuses = self.clients.as_ref().is_some_and(|(clients, _)| clients.refuses_overdue);
        loaded || (refuses && was != self.overdue)
    }

    fn tell(&self) {
        let first = self.identities.iter().map(|kept| kept.value.not_after).min().unwrap_or(i64::MAX);
        let authorities = self.clients.as_ref().is_some_and(|(_, kept)| kept.is_refused());
        self.cells.stand(first, authorities || self.identities.iter().any(Kept::is_refused));
    }
}

/// Looks after the files of all listeners until the other end of the channel is gone.
pub(crate) fn look_after(mut keepers: Vec<Keeper>, until: &Receiver<()>) {
    while matches!(until.recv_timeout(POLL), Err(RecvTimeoutError::Timeout)) {
        for keeper in &mut keepers {
            keeper.look(unix_now());
        }
    }
}

/// Counts and logs what became of files; whether there is something new to serve.
fn note(cells: &CertificateCells, looked: &Looked) -> bool {
    match looked {
        Looked::Same => return false,
        Looked::Loaded(files) => {
            cells.reloaded(ReloadResult::Loaded);
            tracing::info!(%files, "new handshakes use the files that have come");
        }
        Looked::Refused(files, error) => {
            let result = error.result();
            cells.reloaded(result);
            tracing::warn!(%files, %error, result = result.word(), "the older files stay in use");
        }
    }
    matches!(looked, Looked::Loaded(_))
}

fn config(
    identities: &[Kept<Identity>],
    verifier: Option<&Arc<dyn ClientCertVerifier>>,
    ticketer: Option<&Arc<dyn ProducesTickets>>,
    provider: &Arc<CryptoProvider>,
    speaks_12: bool,
) -> Result<Arc<ServerConfig>, SetupError> {
    let library = |error: &dyn std::fmt::Display| SetupError::Library(error.to_string());
    const NEWER: &[&SupportedProtocolVersion] = &[&version::TLS13];
    const BOTH: &[&SupportedProtocolVersion] = &[&version::TLS13, &version::TLS12];
    let builder = ServerConfig::builder_with_provider(Arc::clone(provider))
        .with_protocol_versions(if speaks_12 { BOTH } else { NEWER })
        .map_err(|error| library(&error))?;
    let builder = match verifier {
        None => builder.with_no_client_auth(),
        Some(verifier) => builder.with_client_cert_verifier(Arc::clone(verifier)),
    };
    let chooser = Chooser::new(identities.iter().map(|kept| &kept.value));
    let chooser = chooser.ok_or_else(|| library(&"a listener has no certificate"))?;
    let mut config = builder.with_cert_resolver(Arc::new(chooser));
    config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
    if let Some(ticketer) = ticketer {
        config.ticketer = Arc::clone(ticketer);
    }
    config.session_storage = Arc::new(NoServerSessionStorage {});
    // Early data can be replayed by anyone on the way (RFC 8446 §8). It is off by default; said here lest it change.
    config.max_early_data_size = 0;
    Ok(Arc::new(config))
}

fn verifier(
    clients: Option<&(Clients, Kept<Authorities>)>,
    provider: &Arc<CryptoProvider>,
) -> Result<Option<Arc<dyn ClientCertVerifier>>, SetupError> {
    clients.map(|(clients, kept)| kept.value.verifier(clients, provider)).transpose()
}

fn ticketer() -> Result<Arc<dyn ProducesTickets>, SetupError> {
    aws_lc_rs::Ticketer::new().map_err(|error| SetupError::Library(error.to_string()))
}
