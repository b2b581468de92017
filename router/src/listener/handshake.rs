//! One handshake: its bound in time, its place among those under way, and the word for its failure.
//!
//! Runs in its connection's own task, so that who is slow keeps nobody but himself. Must never know HTTP.

use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use rustls::HandshakeKind;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use super::bounds::Door;
use super::stream::Stream;
use super::tls::Tls;
use crate::observe::HandshakeFailure;
use crate::services::Core;

/// Brings a connection into TLS. None, when it came to nothing; then it is closed.
pub(super) async fn secure(core: &Rc<Core>, door: &Door, tls: &Tls, stream: TcpStream, peer: IpAddr) -> Option<Stream> {
    let cells = &core.metrics.listeners;
    let (why, error) = match timeout(door.handshake, shake(core, door, tls, stream)).await {
        Ok(Ok(stream)) => {
            cells.handshakes.add(1);
            if stream.get_ref().1.handshake_kind() == Some(HandshakeKind::Resumed) {
                cells.resumed.add(1);
            }
            return Some(Stream::secured(stream, core.shared.idle_timeout));
        }
        Ok(Err(error)) => (failure(&error), error),
        Err(_) => (HandshakeFailure::Timeout, io::ErrorKind::TimedOut.into()),
    };
    cells.failed(why);
    if let Some(count) = door.handshake_failed.say() {
        tracing::info!(reason = why.word(), %error, %peer, count, "TLS handshakes came to nothing; this is the last");
    }
    None
}

async fn shake(core: &Rc<Core>, door: &Door, tls: &Tls, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
    // Never closed; were it, a handshake without its place would be the lesser harm.
    let _place = door.handshakes.acquire().await;
    let _open = Open::new(core);
    TlsAcceptor::from(tls.config()).accept(stream).await
}

/// Counts a handshake for as long as it is under way.
struct Open(Rc<Core>);

impl Open {
    fn new(core: &Rc<Core>) -> Self {
        core.metrics.listeners.handshakes_open.add(1);
        Self(Rc::clone(core))
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        let cell = &self.0.metrics.listeners.handshakes_open;
        cell.set(cell.value().saturating_sub(1));
    }
}

fn failure(error: &io::Error) -> HandshakeFailure {
    let Some(error) = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) else {
        return HandshakeFailure::Closed;
    };
    match error {
        rustls::Error::InvalidMessage(_)
        | rustls::Error::InappropriateMessage { .. }
        | rustls::Error::InappropriateHandshakeMessage { .. }
        | rustls::Error::PeerMisbehaved(_)
        | rustls::Error::PeerSentOversizedRecord
        | rustls::Error::DecryptError => HandshakeFailure::Malformed,
        rustls::Error::PeerIncompatible(_) | rustls::Error::NoApplicationProtocol => HandshakeFailure::Incompatible,
        rustls::Error::NoCertificatesPresented | rustls::Error::InvalidCertificate(_) => {
            HandshakeFailure::ClientCertificate
        }
        rustls::Error::AlertReceived(_) => HandshakeFailure::Refused,
        _ => HandshakeFailure::Other,
    }
}
