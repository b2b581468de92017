//! A compiled destination: everything a socket needs, decided before any request comes.
//!
//! The fields are private and only `compile` makes one, so no request can put a name or an address of its
//! own into it.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use postern_config::value::{Forbidden, HostName, Network, forbidden, is_private};
use rustls::pki_types::ServerName;

/// Where connections go, and how they are verified. Two routes to the same place share one.
pub(crate) struct Destination {
    /// Tells destinations apart that must not share connections; also survives reloads.
    key: Arc<str>,
    /// The boundary's name for it.
    name: Arc<str>,
    dial: HostName,
    port: u16,
    /// The `Host` that is sent, with the port when it is not the scheme's own.
    host: HeaderValue,
    /// The same as a line of a head.
    host_line: Box<[u8]>,
    tls: Option<TlsPlan>,
    speaks: Speaks,
    addresses: Box<[Network]>,
    allow_loopback: bool,
}

/// What is spoken with a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Speaks {
    /// HTTP/1.1.
    Http1,
    /// HTTP/2: agreed on within TLS, or known in advance without.
    Http2,
    /// Whichever TLS agrees on, HTTP/2 rather.
    Either,
}

/// How a TLS connection is made: the name asked for, and whose certificate is taken.
#[derive(Clone)]
pub(crate) struct TlsPlan {
    /// The server name indication.
    pub(crate) server_name: ServerName<'static>,
    /// Verifies chain and name; there is no other kind. Offers what the destination speaks.
    pub(crate) config: Arc<rustls::ClientConfig>,
    /// The same, offering HTTP/1.1 alone.
    pub(crate) http1: Arc<rustls::ClientConfig>,
}

/// Why a resolved address is not dialled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AddressRefused {
    /// Refused whatever a boundary says.
    #[error("{0}")]
    Forbidden(Forbidden),
    /// Outside of the networks that the destination names.
    #[error("outside of the destination's addresses")]
    Outside,
    /// Private, and the destination names no networks.
    #[error("a private address, and the destination names no addresses")]
    Private,
}

/// What `compile` needs to say to make one.
pub(super) struct DestinationParts {
    pub(super) key: Arc<str>,
    pub(super) name: Arc<str>,
    pub(super) dial: HostName,
    pub(super) port: u16,
    pub(super) host: HeaderValue,
    pub(super) tls: Option<TlsPlan>,
    pub(super) speaks: Speaks,
    pub(super) addresses: Box<[Network]>,
    pub(super) allow_loopback: bool,
}

impl Destination {
    pub(super) fn new(parts: DestinationParts) -> Self {
        let DestinationParts { key, name, dial, port, host, tls, speaks, addresses, allow_loopback } = parts;
        let host_line = [b"host: ", host.as_bytes(), b"\r\n"].concat().into();
        Self { key, name, dial, port, host, host_line, tls, speaks, addresses, allow_loopback }
    }

    /// A destination without a boundary, for tests of what is done with one.
    #[cfg(test)]
    pub(crate) fn for_test(
        (dial, port): (&str, u16),
        host: &str,
        tls: Option<TlsPlan>,
        addresses: &[&str],
        allow_loopback: bool,
    ) -> Arc<Self> {
        Self::speaking(Speaks::Http1, (dial, port), host, tls, addresses, allow_loopback)
    }

    /// The same that speaks something else.
    #[cfg(test)]
    pub(crate) fn speaking(
        speaks: Speaks,
        (dial, port): (&str, u16),
        host: &str,
        tls: Option<TlsPlan>,
        addresses: &[&str],
        allow_loopback: bool,
    ) -> Arc<Self> {
        Arc::new(Self::new(DestinationParts {
            key: format!("{dial}:{port} {host}").into(),
            name: "test".into(),
            dial: dial.parse().unwrap(),
            port,
            host: HeaderValue::from_str(host).unwrap(),
            tls,
            speaks,
            addresses: addresses.iter().map(|network| network.parse().unwrap()).collect(),
            allow_loopback,
        }))
    }

    /// The identity under which connections are kept.
    pub(crate) fn key(&self) -> &Arc<str> {
        &self.key
    }

    /// The boundary's name for it, for logs and metrics.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The name that is resolved.
    pub(crate) fn dial(&self) -> &HostName {
        &self.dial
    }

    /// The port that is dialled.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// The `Host` that is sent.
    pub(crate) fn host(&self) -> &HeaderValue {
        &self.host
    }

    /// The same as a line of a head, with its end.
    pub(crate) fn host_line(&self) -> &[u8] {
        &self.host_line
    }

    /// How TLS is made; `None` for plain HTTP.
    pub(crate) fn tls(&self) -> Option<&TlsPlan> {
        self.tls.as_ref()
    }

    /// What is spoken with it.
    pub(crate) fn speaks(&self) -> Speaks {
        self.speaks
    }

    /// Whether a socket may be opened to `address`. Asked for the very address that is then dialled.
    ///
    /// # Errors
    /// Why not.
    pub(crate) fn permits(&self, address: IpAddr) -> Result<(), AddressRefused> {
        let named = self.addresses.iter().any(|network| network.contains(address));
        match forbidden(address) {
            Some(Forbidden::Loopback) if self.allow_loopback && named => Ok(()),
            Some(kind) => Err(AddressRefused::Forbidden(kind)),
            None if named => Ok(()),
            None if !self.addresses.is_empty() => Err(AddressRefused::Outside),
            None if is_private(address) => Err(AddressRefused::Private),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.key)
    }
}
