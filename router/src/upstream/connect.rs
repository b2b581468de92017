//! The one dialer: every socket towards a destination is made here.
//!
//! Owns the way from a destination to a stream: resolve, ask for every address whether the destination permits it,
//! connect to exactly the address that was asked for, then TLS. Assumes that a destination says nothing that a
//! request chose. Must never know requests.

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Phases;
use super::connections::{Census, Presence};
use super::limits;
use super::resolve::Resolver;
use super::tls;
use crate::reject::{Reason, Rejection};
use crate::snapshot::{Destination, TlsPlan};

/// Makes connections on one core.
pub(super) struct Dialer {
    resolver: Resolver,
    pub(super) census: Census,
    dials: Cell<u64>,
    failed: Cell<u64>,
    refused: Cell<u64>,
}

/// What TLS offers to speak.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Offer {
    /// What the destination speaks.
    All,
    /// HTTP/1.1 alone.
    Http1,
}

/// What a dialer did since it was made.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dials {
    /// Sockets that were asked to connect.
    pub(super) dials: u64,
    /// Of these, the ones that did not.
    pub(super) failed: u64,
    /// Addresses for which no socket was made.
    pub(super) refused: u64,
}

impl Dialer {
    pub(super) fn new(resolver: Resolver) -> Self {
        Self { resolver, census: Census::default(), dials: Cell::new(0), failed: Cell::new(0), refused: Cell::new(0) }
    }

    pub(super) fn dials(&self) -> Dials {
        Dials { dials: self.dials.get(), failed: self.failed.get(), refused: self.refused.get() }
    }

    pub(super) fn lookups(&self) -> u64 {
        self.resolver.lookups()
    }

    /// A stream to `destination`, ready for the first byte, no later than `deadline`.
    pub(super) async fn dial(
        &self,
        destination: &Destination,
        offer: Offer,
        deadline: Instant,
        phases: &mut Phases,
    ) -> Result<Stream, Rejection> {
        let begun = Instant::now();
        let addresses = self.resolver.resolve(destination.dial(), deadline).await.map_err(|error| {
            Rejection::new(Reason::DestinationUnresolved, format!("{}: {error}", destination.dial()))
        })?;
        let resolved = Instant::now();
        phases.resolve = Some(resolved - begun);
        let candidates = self.candidates(destination, &addresses)?;
        let (peer, tcp) = self.connect(&candidates, deadline).await?;
        let presence = self.census.opened(destination.name());
        let connected = Instant::now();
        phases.connect = Some(connected - resolved);
        let io = match destination.tls() {
            None => Io::Plain(tcp),
            Some(plan) => {
                let secured = handshake(plan, offer, tcp, deadline).await?;
                phases.tls = Some(connected.elapsed());
                Io::Tls(Box::new(secured))
            }
        };
        Ok(Stream { io, peer: peer.ip(), presence })
    }

    /// The addresses that may be dialled, in the order in which to try them.
    fn candidates(&self, destination: &Destination, addresses: &[IpAddr]) -> Result<Vec<SocketAddr>, Rejection> {
        let mut refusal = None;
        let mut permitted = Vec::with_capacity(addresses.len());
        for &address in addresses {
            match destination.permits(address) {
                Ok(()) => permitted.push(address),
                Err(why) => {
                    self.refused.set(self.refused.get() + 1);
                    refusal.get_or_insert((address, why));
                }
            }
        }
        if let (Some((address, why)), true) = (refusal, permitted.is_empty()) {
            let detail = format!("{} is {address}: {why}", destination.dial());
            return Err(Rejection::new(Reason::DestinationAddressForbidden, detail));
        }
        // The answer's order holds for its TTL; starting elsewhere every time spreads what it spread.
        let turn = usize::try_from(self.dials.get()).unwrap_or(0);
        let ordered = interleave(&permitted, turn);
        Ok(ordered.map(|address| SocketAddr::new(address, destination.port())).take(limits::CANDIDATES).collect())
    }

    /// Connects to the first candidate that answers; the next is tried when one fails or keeps silent for a moment.
    async fn connect(
        &self,
        candidates: &[SocketAddr],
        deadline: Instant,
    ) -> Result<(SocketAddr, TcpStream), Rejection> {
        if let &[only] = candidates {
            self.count_dial();
            let opened = timeout_at(deadline, open(only)).await.map_err(|_| {
                self.count_failure();
                too_late("connect")
            })?;
            return self.judge(only, opened).map(|stream| (only, stream));
        }
        let mut attempts = JoinSet::new();
        let mut left = candidates.iter();
        let mut last = Rejection::new(Reason::DestinationUnresolved, "no address to connect to");
        loop {
            if let Some(&candidate) = left.next() {
                self.count_dial();
                attempts.spawn_local(async move { (candidate, open(candidate).await) });
            } else if attempts.is_empty() {
                return Err(last);
            }
            let stagger = if left.len() == 0 { deadline } else { deadline.min(Instant::now() + limits::STAGGER) };
            tokio::select! {
                Some(Ok((candidate, opened))) = attempts.join_next() => match self.judge(candidate, opened) {
                    Ok(stream) => return Ok((candidate, stream)),
                    Err(rejection) => last = rejection,
                },
                () = sleep_until(stagger) => {
                    if Instant::now() >= deadline {
                        self.failed.set(self.failed.get() + attempts.len() as u64);
                        return Err(too_late("connect"));
                    }
                }
            }
        }
    }

    fn judge(&self, candidate: SocketAddr, opened: io::Result<TcpStream>) -> Result<TcpStream, Rejection> {
        opened.map_err(|error| {
            self.count_failure();
            refusal(&error, candidate)
        })
    }

    fn count_dial(&self) {
        self.dials.set(self.dials.get() + 1);
    }

    fn count_failure(&self) {
        self.failed.set(self.failed.get() + 1);
    }
}

/// Families in turn, IPv6 first (RFC 8305 §4), each begun at another place every `turn`.
fn interleave(addresses: &[IpAddr], turn: usize) -> impl Iterator<Item = IpAddr> {
    let (v6, v4): (Vec<IpAddr>, Vec<IpAddr>) = addresses.iter().partition(|address| address.is_ipv6());
    let turned = move |family: &[IpAddr], place: usize| -> Option<IpAddr> {
        (place < family.len()).then(|| family[(place + turn) % family.len()])
    };
    (0..addresses.len()).flat_map(move |place| [turned(&v6, place), turned(&v4, place)]).flatten()
}

pub(super) async fn open(address: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(address).await?;
    // Heads are written whole; waiting for more would only cost a round trip.
    stream.set_nodelay(true)?;
    // Notices a peer that vanished without a word, and keeps a NAT or NLB (350 s) from forgetting the flow.
    let keepalive = TcpKeepalive::new().with_time(KEEPALIVE).with_interval(KEEPALIVE / 3);
    SockRef::from(&stream).set_tcp_keepalive(&keepalive)?;
    Ok(stream)
}

const KEEPALIVE: Duration = Duration::from_secs(45);

pub(super) async fn handshake(
    plan: &TlsPlan,
    offer: Offer,
    tcp: TcpStream,
    deadline: Instant,
) -> Result<TlsStream<TcpStream>, Rejection> {
    let config = match offer {
        Offer::All => &plan.config,
        Offer::Http1 => &plan.http1,
    };
    let connector = TlsConnector::from(std::sync::Arc::clone(config));
    let secured = timeout_at(deadline, connector.connect(plan.server_name.clone(), tcp)).await;
    secured.map_err(|_| too_late("TLS handshake"))?.map_err(|error| tls::rejection(&error))
}

fn too_late(phase: &'static str) -> Rejection {
    Rejection::new(Reason::DestinationConnectTimeout, format!("no answer in time: {phase}"))
}

fn refusal(error: &io::Error, address: SocketAddr) -> Rejection {
    let reason = match error.raw_os_error() {
        // The router's own: no file descriptors left.
        Some(libc_errno::ENFILE | libc_errno::EMFILE) => Reason::Overloaded,
        _ if error.kind() == io::ErrorKind::TimedOut => Reason::DestinationConnectTimeout,
        _ => Reason::DestinationRefused,
    };
    Rejection::new(reason, format!("{address}: {error}"))
}

/// The same numbers on every system this is built for.
mod libc_errno {
    pub(super) const ENFILE: i32 = 23;
    pub(super) const EMFILE: i32 = 24;
}

/// A connected, and where asked for verified, stream.
pub(crate) struct Stream {
    io: Io,
    peer: IpAddr,
    presence: Rc<Presence>,
}

enum Io {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// The address that was dialled.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// That it is counted.
    pub(super) fn presence(&self) -> &Rc<Presence> {
        &self.presence
    }

    /// Whether TLS agreed on HTTP/2.
    pub(super) fn agreed_on_http2(&self) -> bool {
        match &self.io {
            Io::Plain(_) => false,
            Io::Tls(tls) => tls.get_ref().1.alpn_protocol() == Some(b"h2"),
        }
    }

    /// The socket, when bytes come over it as they are.
    pub(super) fn plain(&self) -> Option<&TcpStream> {
        match &self.io {
            Io::Plain(tcp) => Some(tcp),
            Io::Tls(_) => None,
        }
    }

    /// The socket, to be asked how it is.
    pub(super) fn tcp(&self) -> &TcpStream {
        match &self.io {
            Io::Plain(tcp) => tcp,
            Io::Tls(tls) => tls.get_ref().0,
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_read(cx, buf),
            Io::Tls(tls) => Pin::new(tls).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write(cx, buf),
            Io::Tls(tls) => Pin::new(tls).poll_write(cx, buf),
        }
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_write_vectored(cx, bufs),
            Io::Tls(tls) => Pin::new(tls).poll_write_vectored(cx, bufs),
        }
    }

    fn is_write_vectored(&self) -> bool {
        match &self.io {
            Io::Plain(tcp) => tcp.is_write_vectored(),
            Io::Tls(tls) => tls.is_write_vectored(),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_flush(cx),
            Io::Tls(tls) => Pin::new(tls).poll_flush(cx),
        }
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.io {
            Io::Plain(tcp) => Pin::new(tcp).poll_shutdown(cx),
            Io::Tls(tls) => Pin::new(tls).poll_shutdown(cx),
        }
    }
}
