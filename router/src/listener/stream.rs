//! The two kinds of connection, read and written in one way.
//!
//! Assumes that a handshake is over before a stream is made. Must never know HTTP.

use std::future::Future as _;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_rustls::server::TlsStream;

use super::authorities::Standing;
use super::tls::Tls;
use crate::client_certificate::ClientCertificate;
use crate::connection::Transport;

/// What client and listener agreed to speak inside TLS (ALPN).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `http/1.1`.
    Http1,
    /// `h2`.
    Http2,
}

impl Protocol {
    /// By the name that is on the wire (RFC 7301 §6).
    fn named(name: &[u8]) -> Option<Self> {
        match name {
            b"http/1.1" => Some(Self::Http1),
            b"h2" => Some(Self::Http2),
            _ => None,
        }
    }
}

/// A client's connection.
pub(crate) enum Stream {
    /// As it came.
    Plain(TcpStream),
    /// Inside TLS.
    Tls(Box<Secured>),
}

/// A connection inside TLS.
pub(crate) struct Secured {
    stream: TlsStream<TcpStream>,
    /// How long a client may take nothing of what was written.
    patience: Duration,
    /// While it takes nothing.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Secured {
    /// What is encrypted and not taken waits here, where without TLS it would wait in the kernel: a flush and an end
    /// that are immediate there may last for ever. Asked again before the alarm, the socket has taken something.
    fn poll_taken(&mut self, done: Poll<io::Result<()>>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if done.is_ready() {
            self.stalled = None;
            return done;
        }
        let due = Instant::now() + self.patience;
        let alarm = self.stalled.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if !alarm.is_elapsed() {
            alarm.as_mut().reset(due);
            ready!(alarm.as_mut().poll(context));
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// More was taken over.
    fn moved<T>(&mut self, written: Poll<T>) -> Poll<T> {
        if written.is_ready() {
            self.stalled = None;
        }
        written
    }
}

impl Stream {
    /// What a handshake led to.
    pub(super) fn secured(stream: TlsStream<TcpStream>, patience: Duration) -> Self {
        Self::Tls(Box::new(Secured { stream, patience, stalled: None }))
    }

    /// What was agreed on; nothing without TLS, or when the client named nothing.
    pub(crate) fn protocol(&self) -> Option<Protocol> {
        match self {
            Self::Plain(_) => None,
            Self::Tls(secured) => secured.stream.get_ref().1.alpn_protocol().and_then(Protocol::named),
        }
    }

    /// The certificate that the client showed, and that was verified in the handshake or in the session that it resumes:
    /// by what was asked in that turn.
    pub(super) fn client_certificate(&self, tls: &Arc<Tls>, turn: u64) -> Option<Rc<ClientCertificate>> {
        let Self::Tls(secured) = self else { return None };
        let chain = secured.stream.get_ref().1.peer_certificates()?;
        let standing = Standing::new(tls, turn, chain);
        let read = ClientCertificate::read(chain.first()?)?;
        Some(Rc::new(read.verified(tls.authorities.clone(), move |now| standing.holds(now))))
    }
}

impl Transport for Stream {
    fn abort(&self) {
        let tcp = match self {
            Self::Plain(stream) => stream,
            Self::Tls(secured) => secured.stream.get_ref().0,
        };
        // When that cannot be had, the connection is gone already.
        let _ = SockRef::from(tcp).set_linger(Some(Duration::ZERO));
    }

    fn plain(&self) -> Option<&TcpStream> {
        match self {
            Self::Plain(stream) => Some(stream),
            Self::Tls(_) => None,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(secured) => Pin::new(&mut secured.stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(secured) => {
                let written = Pin::new(&mut secured.stream).poll_write(context, bytes);
                secured.moved(written)
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write_vectored(context, parts),
            Self::Tls(secured) => {
                let written = Pin::new(&mut secured.stream).poll_write_vectored(context, parts);
                secured.moved(written)
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        match self {
            Self::Plain(stream) => stream.is_write_vectored(),
            Self::Tls(secured) => secured.stream.is_write_vectored(),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(secured) => {
                let flushed = Pin::new(&mut secured.stream).poll_flush(context);
                secured.poll_taken(flushed, context)
            }
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(secured) => {
                let closed = Pin::new(&mut secured.stream).poll_shutdown(context);
                secured.poll_taken(closed, context)
            }
        }
    }
}
