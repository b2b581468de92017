//! Listening: one socket a core on the same address, so that the kernel spreads connections and no core waits
//! for another; what is let in, and TLS where it is asked for.
//!
//! A connection is handed on as a [`Stream`], which is the same to whoever reads it. Assumes that bounds are shared
//! out: each core counts for itself. Must never know HTTP or routes.

mod authorities;
mod bounds;
mod certificate;
mod files;
mod handshake;
mod spread;
mod stream;
mod tls;

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use socket2::{Domain, Socket, Type};
use tokio::net::TcpStream;

pub(crate) use authorities::Clients;
pub(crate) use bounds::{Bounds, Door, Places};
pub(crate) use certificate::{CertificateFiles, SetupError};
pub(crate) use files::{Files, Kept, Looked};
pub(crate) use spread::{Incoming, Spread};
pub(crate) use stream::{Protocol, Stream};
pub(crate) use tls::{Keeper, Tls, TlsSetup, look_after};

use bounds::{Admitted, Place};
use spread::Handed;

use crate::connection;
use crate::drain::Phase;
use crate::services::Core;
use crate::stage::identify::{Arrival, OddNames};

/// Connections that the kernel keeps while we are busy.
const BACKLOG: i32 = 4_096;

/// A socket for each core on `address`; port 0 takes a free one, the same for all.
///
/// # Errors
/// What the system says, for example that the address is in use.
pub(crate) fn bind(address: SocketAddr, cores: usize) -> std::io::Result<Vec<TcpListener>> {
    // SO_REUSEPORT would let a second router steal half of the connections without a word.
    drop(TcpListener::bind(address)?);
    let mut address = address;
    let mut listeners = Vec::with_capacity(cores);
    for _ in 0..cores {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(socket2::Protocol::TCP))?;
        socket.set_reuse_address(true)?;
        socket.set_reuse_port(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(BACKLOG)?;
        let listener = TcpListener::from(socket);
        address = listener.local_addr()?;
        listeners.push(listener);
    }
    Ok(listeners)
}

/// One core's socket of a listener.
pub(crate) struct Entrance {
    /// Which of the listeners it is.
    pub(crate) number: usize,
    /// Bound and listening.
    pub(crate) socket: TcpListener,
    /// How TLS is spoken there; not at all, when there is none.
    pub(crate) tls: Option<Arc<Tls>>,
    /// Its places, which it shares with the same listener on other cores.
    pub(crate) places: Places,
    /// What becomes of names with twins there.
    pub(crate) odd_names: OddNames,
}

/// What is known of a connection where it came in.
struct Guest {
    peer: IpAddr,
    place: Place,
    odd_names: OddNames,
}

/// Takes connections until the router closes.
pub(crate) async fn run(core: Rc<Core>, door: Rc<Door>, entrance: Entrance) -> std::io::Result<()> {
    let Entrance { number, socket, tls, places, odd_names } = entrance;
    let listener = tokio::net::TcpListener::from_std(socket)?;
    let closing = core.shared.drain.reached(Phase::Closing);
    tokio::pin!(closing);
    loop {
        let taken = async {
            room(&core, &door, tls.is_some()).await;
            let (stream, peer) = listener.accept().await?;
            Ok((stream, peer, place(&door, &places, &listener).await))
        };
        let accepted = tokio::select! {
            accepted = taken => accepted,
            () = &mut closing => return Ok(()),
        };
        match accepted {
            Ok((stream, peer, place)) => {
                let guest = Guest { peer: peer.ip().to_canonical(), place, odd_names };
                match core.shared.spread.place(core.index) {
                    here if here == core.index => open(&core, &door, tls.as_ref(), stream, guest),
                    there => hand(&core, there, number, stream, guest),
                }
            }
            Err::<_, std::io::Error>(error) => {
                // Out of descriptors or memory: what is open goes on, and accepting at once would only spin.
                core.metrics.accept_failures.add(1);
                if let Some(count) = door.accept_failed.say() {
                    tracing::warn!(%error, count, "connections could not be taken; this is the last");
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn hand(core: &Core, there: usize, entrance: usize, stream: TcpStream, guest: Guest) {
    match stream.into_std() {
        Ok(stream) => core.shared.spread.hand(there, Handed { entrance, stream, guest }),
        Err(_) => core.shared.spread.gone(there),
    }
}

/// Takes what other cores hand on, until the router closes. `tls` is that of each listener.
pub(crate) async fn take_handed(core: Rc<Core>, door: Rc<Door>, tls: Vec<Option<Arc<Tls>>>, mut incoming: Incoming) {
    while let Some(Handed { entrance, stream, guest }) = incoming.recv().await {
        match TcpStream::from_std(stream) {
            Ok(stream) => open(&core, &door, tls.get(entrance).and_then(Option::as_ref), stream, guest),
            Err(_) => core.shared.spread.gone(core.index),
        }
    }
}

/// Comes to an end when one more may be taken; until then it waits in the kernel.
async fn room(core: &Core, door: &Door, tls: bool) {
    while core.metrics.connections.value() >= core.shared.connections_per_core as u64 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    if tls {
        // A place was free; it is taken when the connection's own task asks. Held here, idle listeners would keep
        // places from busy ones.
        drop(door.handshakes.acquire().await);
    }
}

/// A place at the listener for a connection that has come. While there is none it waits here and those behind it in the
/// kernel: a place that were taken before anybody came would be kept from the other cores.
async fn place(door: &Door, places: &Places, listener: &tokio::net::TcpListener) -> Place {
    if let Some(place) = places.at_once() {
        return place;
    }
    if let Some(count) = door.listener_full.say() {
        let address = listener.local_addr().ok();
        tracing::warn!(?address, count, "a listener has all its connections and more wait; this is the last");
    }
    places.one().await
}

fn open(core: &Rc<Core>, door: &Rc<Door>, tls: Option<&Arc<Tls>>, stream: TcpStream, guest: Guest) {
    let Guest { peer, place, odd_names } = guest;
    let _ = stream.set_nodelay(true);
    core.metrics.accepted.add(1);
    let Some(admitted) = admit(core, door, peer) else { return core.shared.spread.gone(core.index) };
    core.metrics.connections.add(1);
    core.shared.drain.opened();
    let mut arrival = Arrival { peer, tls: tls.is_some(), certificate: None, odd_names };
    let guard = Open(Rc::clone(core), admitted, place);
    let core = Rc::clone(core);
    match tls {
        None => tokio::task::spawn_local(async move {
            let _guard = guard;
            connection::serve(core, Stream::Plain(stream), arrival).await;
        }),
        Some(tls) => {
            let (door, tls) = (Rc::clone(door), Arc::clone(tls));
            tokio::task::spawn_local(async move {
                let _guard = guard;
                // In a box of its own, which goes with the handshake: the connection lives far longer.
                let turn = tls.turn();
                let secured = Box::pin(handshake::secure(&core, &door, &tls, stream, peer)).await;
                arrival.certificate = secured.as_ref().and_then(|stream| stream.client_certificate(&tls, turn));
                drop((door, tls));
                if let Some(stream) = secured {
                    connection::serve(core, stream, arrival).await;
                }
            })
        }
    };
}

/// Room for one more from that address. Trusted proxies carry the connections of many.
fn admit(core: &Core, door: &Rc<Door>, peer: IpAddr) -> Option<Admitted> {
    if core.shared.trust.proxies.iter().any(|network| network.contains(peer)) {
        return Some(Admitted::uncounted());
    }
    let admitted = door.admit(peer);
    if admitted.is_none() {
        core.metrics.listeners.address_refused.add(1);
        if let Some(count) = door.address_refused.say() {
            tracing::warn!(%peer, count, "connections beyond limits.connections_per_address; this is the last");
        }
    }
    admitted
}

/// Counts a connection for as long as it is open, also when its task panics.
struct Open(
    Rc<Core>,
    #[expect(dead_code, reason = "held for its end")] Admitted,
    #[expect(dead_code, reason = "held for its end")] Place,
);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.set(self.0.metrics.connections.value().saturating_sub(1));
        self.0.shared.drain.closed();
        self.0.shared.spread.gone(self.0.index);
    }
}
