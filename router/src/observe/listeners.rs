//! What is counted of listeners: handshakes, connections turned away, certificates and what became of their files.
//!
//! Cells of each core like all others; a certificate's belong to the thread that looks after the files. Must never
//! know TLS.

use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

use super::metrics::{CellU64, Metrics, family, single};

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
pub(super) fn listeners(out: &mut String, metrics: &Metrics, now: i64) {
    let open = metrics.sum(|core| &core.listeners.handshakes_open);
    single(out, "postern_handshakes_open", "gauge", "TLS handshakes under way.", open);
    let done = metrics.sum(|core| &core.listeners.handshakes);
    single(out, "postern_handshakes_total", "counter", "TLS handshakes that came to their end.", done);
    let resumed = metrics.sum(|core| &core.listeners.resumed);
    single(out, "postern_handshakes_resumed_total", "counter", "Those that resumed a session.", resumed);
    let name = "postern_handshake_failures_total";
    family(out, name, "counter", "TLS handshakes that came to nothing, by reason.");
    for &why in HandshakeFailure::ALL {
        let count = metrics.sum(|core| &core.listeners.failures[why as usize]);
        let _ = writeln!(out, "{name}{{reason=\"{}\"}} {count}", why.word());
    }
    let refused = metrics.sum(|core| &core.listeners.address_refused);
    let name = "postern_connections_refused_total";
    single(out, name, "counter", "Connections beyond those that one address may have.", refused);
    certificates(out, metrics, now);
}

fn certificates(out: &mut String, metrics: &Metrics, now: i64) {
    if metrics.certificates.is_empty() {
        return;
    }
    let name = "postern_listener_certificate_reloads_total";
    family(out, name, "counter", "Changed files of certificates, by what became of them.");
    for (address, cells) in &metrics.certificates {
        for &result in ReloadResult::ALL {
            let count = cells.reloads[result as usize].load(Ordering::Relaxed);
            let _ = writeln!(out, "{name}{{listener=\"{address}\",result=\"{}\"}} {count}", result.word());
        }
    }
    let name = "postern_listener_certificate_expiry_seconds";
    family(out, name, "gauge", "Until the first of a listener's certificates expires; negative when one has.");
    for (address, cells) in &metrics.certificates {
        let left = cells.first_expiry.load(Ordering::Relaxed).saturating_sub(now);
        let _ = writeln!(out, "{name}{{listener=\"{address}\"}} {left}");
    }
    let name = "postern_listener_certificate_refused";
    family(out, name, "gauge", "Whether a file that lies there is not the one that is served.");
    for (address, cells) in &metrics.certificates {
        let refused = u8::from(cells.refused.load(Ordering::Relaxed));
        let _ = writeln!(out, "{name}{{listener=\"{address}\"}} {refused}");
    }
}
