//! Listening: one socket a core on the same address, so that the kernel spreads connections and no core waits
//! for another.
//!
//! Must never know HTTP or routes.

use std::net::{SocketAddr, TcpListener};
use std::rc::Rc;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use crate::connection;
use crate::drain::Phase;
use crate::services::Core;
use crate::stage::identify::Arrival;

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
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
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

/// Takes connections until the router closes.
pub(crate) async fn run(core: Rc<Core>, listener: TcpListener) -> std::io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let closing = core.shared.drain.reached(Phase::Closing);
    tokio::pin!(closing);
    loop {
        if core.metrics.connections.value() >= core.shared.connections_per_core as u64 {
            // One more waits in the kernel until another has gone.
            tokio::select! {
                () = tokio::time::sleep(Duration::from_millis(5)) => continue,
                () = &mut closing => return Ok(()),
            }
        }
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = &mut closing => return Ok(()),
        };
        match accepted {
            Ok((stream, peer)) => open(&core, stream, peer),
            Err(error) => {
                // Out of descriptors or memory: what is open goes on, and accepting at once would only spin.
                core.metrics.accept_failures.add(1);
                tracing::warn!(%error, "a connection could not be taken");
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        }
    }
}

fn open(core: &Rc<Core>, stream: tokio::net::TcpStream, peer: SocketAddr) {
    let _ = stream.set_nodelay(true);
    core.metrics.accepted.add(1);
    core.metrics.connections.add(1);
    core.shared.drain.opened();
    let arrival = Arrival { peer: peer.ip().to_canonical(), tls: false };
    let guard = Open(Rc::clone(core));
    let core = Rc::clone(core);
    tokio::task::spawn_local(async move {
        let _guard = guard;
        connection::serve(core, stream, arrival).await;
    });
}

/// Counts a connection for as long as it is open, also when its task panics.
struct Open(Rc<Core>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.metrics.connections.set(self.0.metrics.connections.value().saturating_sub(1));
        self.0.shared.drain.closed();
    }
}
