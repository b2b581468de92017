//! Looking at the way to a destination, step by step: every address by itself, as far as serving would go.
//!
//! Owns facts for whoever asks what is wrong; nothing is sent behind a handshake. Goes by the same resolver, the same
//! permission for each address, the same socket and the same TLS as a request does, so nothing is dialled here that a
//! request could not dial. Must never say what a fact means.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};
use tokio_rustls::TlsConnector;

use super::connect::{Offer, handshake, open};
use super::limits;
use super::resolve::{Resolver, Unresolved};
use super::shown::{Leaf, RefusesAll};
use super::tls;
use crate::reject::Reason;
use crate::snapshot::{AddressRefused, Destination, TlsPlan};

/// What was seen of a destination.
pub(crate) struct Sighting {
    /// The addresses of its name.
    pub(crate) resolved: Result<Vec<Seen>, Unresolved>,
    /// How long the name took.
    pub(crate) took: Duration,
}

/// One address.
pub(crate) struct Seen {
    pub(crate) address: IpAddr,
    pub(crate) went: Went,
}

/// How far one address could be followed.
pub(crate) enum Went {
    /// No socket was made.
    Refused(AddressRefused),
    /// It may be dialled, and so may more than are ever tried for one connection.
    NotTried,
    /// No connection.
    Unconnected(NotConnected),
    /// A connection, within so long.
    Connected { took: Duration, tls: Option<Result<Secured, Unproved>> },
}

/// Why there is no connection.
pub(crate) enum NotConnected {
    /// The address said no.
    Refused,
    /// Nothing came back in time.
    Silent,
    /// What the system says otherwise.
    Failed(String),
}

/// A handshake that came to its end.
pub(crate) struct Secured {
    pub(crate) version: &'static str,
    pub(crate) leaf: Option<Leaf>,
}

/// A handshake that did not.
pub(crate) struct Unproved {
    pub(crate) reason: Reason,
    /// The library's words.
    pub(crate) words: String,
    /// The certificate that was not believed, where it came to that.
    pub(crate) leaf: Option<Leaf>,
}

/// Looks, with so much patience for the name and again for the addresses, which are tried at once.
pub(crate) async fn look(resolver: &Resolver, destination: &Arc<Destination>, patience: Duration) -> Sighting {
    let began = Instant::now();
    let resolved = resolver.resolve(destination.dial(), began + patience).await;
    let took = began.elapsed();
    let addresses = match resolved {
        Ok(addresses) => addresses,
        Err(why) => return Sighting { resolved: Err(why), took },
    };
    let deadline = Instant::now() + patience;
    let mut attempts = JoinSet::new();
    let mut seen = Vec::with_capacity(addresses.len());
    for (place, &address) in addresses.iter().enumerate() {
        let went = match destination.permits(address) {
            Err(why) => Went::Refused(why),
            Ok(()) if attempts.len() < limits::CANDIDATES => {
                let destination = Arc::clone(destination);
                attempts.spawn_local(async move { (place, follow(&destination, address, deadline).await) });
                Went::NotTried
            }
            Ok(()) => Went::NotTried,
        };
        seen.push(Seen { address, went });
    }
    while let Some(done) = attempts.join_next().await {
        if let Ok((place, went)) = done {
            seen[place].went = went;
        }
    }
    Sighting { resolved: Ok(seen), took }
}

/// One address that may be dialled, as far as a handshake.
async fn follow(destination: &Destination, address: IpAddr, deadline: Instant) -> Went {
    let began = Instant::now();
    let address = SocketAddr::new(address, destination.port());
    let tcp = match timeout_at(deadline, open(address)).await {
        Err(_) => return Went::Unconnected(NotConnected::Silent),
        Ok(Err(error)) => return Went::Unconnected(unconnected(&error)),
        Ok(Ok(tcp)) => tcp,
    };
    let took = began.elapsed();
    let Some(plan) = destination.tls() else { return Went::Connected { took, tls: None } };
    let tls = match handshake(plan, Offer::All, tcp, deadline).await {
        Ok(secured) => {
            let connection = secured.get_ref().1;
            let version = match connection.protocol_version() {
                Some(rustls::ProtocolVersion::TLSv1_3) => "TLS 1.3",
                _ => "TLS 1.2",
            };
            let leaf = connection.peer_certificates().and_then(|chain| Leaf::read(chain.first()?));
            Ok(Secured { version, leaf })
        }
        Err(rejection) => {
            let unbelieved =
                matches!(rejection.reason, Reason::TlsNameMismatch | Reason::TlsExpired | Reason::TlsUnknownIssuer);
            let leaf = if unbelieved { shown(plan, address, deadline).await } else { None };
            Err(Unproved { reason: rejection.reason, words: rejection.detail.to_string(), leaf })
        }
    };
    Went::Connected { took, tls: Some(tls) }
}

fn unconnected(error: &io::Error) -> NotConnected {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => NotConnected::Refused,
        io::ErrorKind::TimedOut => NotConnected::Silent,
        _ => NotConnected::Failed(error.to_string()),
    }
}

/// The certificate that an address shows, over a connection that ends with looking at it.
async fn shown(plan: &TlsPlan, address: SocketAddr, deadline: Instant) -> Option<Leaf> {
    let tcp = timeout_at(deadline, open(address)).await.ok()?.ok()?;
    let refuses_all = RefusesAll::like(&plan.config);
    let connector = TlsConnector::from(tls::looking(&plan.config, Arc::clone(&refuses_all)));
    let refused = timeout_at(deadline, connector.connect(plan.server_name.clone(), tcp)).await;
    drop(refused);
    refuses_all.seen()
}
