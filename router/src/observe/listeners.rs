//! What is counted of listeners: handshakes, connections turned away, certificates and what became of their files.
//!
//! Cells of each core like all others; a certificate's belong to the thread that looks after the files. Must never
//! know TLS.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::exposition::Exposition;
use super::metrics::{CellU64, Metrics};
use super::registry;

/// Makes a closed list of words, each with a cell of its own.
macro_rules! words {
    ($(#[$about:meta])* $name:ident { $($(#[$one:meta])* $variant:ident = $word:literal,)* }) => {
        $(#[$about])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum $name { $($(#[$one])* $variant,)* }

        impl $name {
            const ALL: &[Self] = &[$(Self::$variant),*];

            /// As metrics and logs have it.
            pub(crate) fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)* }
            }
        }
    };
}

words! {
    /// Why a handshake came to nothing.
    HandshakeFailure {
        /// It took too long.
        Timeout = "timeout",
        /// The client went away in its midst.
        Closed = "closed",
        /// What came is no TLS, or broke its rules.
        Malformed = "malformed",
        /// No version, cipher or protocol in common.
        Incompatible = "incompatible",
        /// The client's certificate is missing or proves nothing.
        ClientCertificate = "client_certificate",
        /// The client refused, most often the certificate that it was shown.
        Refused = "refused",
        /// Anything else.
        Other = "other",
    }
}

words! {
    /// What became of a certificate's files when they had changed.
    ReloadResult {
        /// New handshakes use them.
        Loaded = "loaded",
        /// One is missing or cannot be read.
        Unreadable = "unreadable",
        /// One holds nothing of what is needed, or half of it.
        Malformed = "malformed",
        /// The key is another certificate's.
        KeyMismatch = "key_mismatch",
        /// It was valid until before now.
        Expired = "expired",
        /// It will be valid.
        NotYetValid = "not_yet_valid",
        /// The library takes it not.
        Unusable = "unusable",
    }
}

/// The cells of one core.
#[derive(Default)]
pub(crate) struct ListenerCells {
    pub(crate) handshakes_open: CellU64,
    pub(crate) handshakes: CellU64,
    pub(crate) resumed: CellU64,
    failures: [CellU64; HandshakeFailure::ALL.len()],
    pub(crate) address_refused: CellU64,
}

impl ListenerCells {
    /// A handshake came to nothing.
    pub(crate) fn failed(&self, why: HandshakeFailure) {
        self.failures[why as usize].add(1);
    }
}

/// The certificates of one listener, as they stand.
#[derive(Default)]
pub(crate) struct CertificateCells {
    reloads: [AtomicU64; ReloadResult::ALL.len()],
    /// Unix seconds.
    first_expiry: AtomicI64,
    refused: AtomicBool,
}

impl CertificateCells {
    /// Files had changed, and this became of them.
    pub(crate) fn reloaded(&self, result: ReloadResult) {
        self.reloads[result as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The first expiry (unix seconds) of what is served, and whether any file is not the one that is served.
    pub(crate) fn stand(&self, first_expiry: i64, refused: bool) {
        self.first_expiry.store(first_expiry, Ordering::Relaxed);
        self.refused.store(refused, Ordering::Relaxed);
    }
}

/// A listener that speaks TLS, by its address.
pub(crate) type Certificates = (SocketAddr, Arc<CertificateCells>);

/// The listeners' part of the exposition.
pub(super) fn listeners(out: &mut Exposition, metrics: &Metrics, now: i64) {
    out.single(&registry::HANDSHAKES_OPEN, metrics.sum(|core| &core.listeners.handshakes_open));
    out.single(&registry::HANDSHAKES, metrics.sum(|core| &core.listeners.handshakes));
    out.single(&registry::HANDSHAKES_RESUMED, metrics.sum(|core| &core.listeners.resumed));
    let mut samples = out.family(&registry::HANDSHAKE_FAILURES);
    for &why in HandshakeFailure::ALL {
        samples.value([why.word()], metrics.sum(|core| &core.listeners.failures[why as usize]));
    }
    out.single(&registry::CONNECTIONS_REFUSED, metrics.sum(|core| &core.listeners.address_refused));
    certificates(out, metrics, now);
}

fn certificates(out: &mut Exposition, metrics: &Metrics, now: i64) {
    let mut samples = out.family(&registry::CERTIFICATE_RELOADS);
    for (address, cells) in &metrics.certificates {
        for &result in ReloadResult::ALL {
            let count = cells.reloads[result as usize].load(Ordering::Relaxed);
            samples.value([&address.to_string(), result.word()], count);
        }
    }
    let mut samples = out.family(&registry::CERTIFICATE_EXPIRY);
    for (address, cells) in &metrics.certificates {
        let left = cells.first_expiry.load(Ordering::Relaxed).saturating_sub(now);
        samples.value([&address.to_string()], left);
    }
    let mut samples = out.family(&registry::CERTIFICATE_REFUSED);
    for (address, cells) in &metrics.certificates {
        samples.value([&address.to_string()], cells.refused.load(Ordering::Relaxed));
    }
}
