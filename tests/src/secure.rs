//! Clients that speak TLS to the router, and what they find out about it.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rustls::crypto::aws_lc_rs;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ALL_VERSIONS, ClientConfig, ClientConnection, HandshakeKind, ProtocolVersion, StreamOwned, SupportedProtocolVersion,
};

use crate::client::Client;
use crate::tls::{Authority, Certificate};

/// A client with its trust and its memory of sessions; clones share both.
#[derive(Clone)]
pub struct TlsClient {
    config: ClientConfig,
}

/// A connection inside TLS, and what the handshake led to.
pub struct Secured {
    /// To speak HTTP with.
    pub client: Client,
    /// The version that was agreed on.
    pub version: ProtocolVersion,
    /// The protocol that was agreed on (ALPN).
    pub protocol: Option<String>,
    /// Whether an earlier session goes on.
    pub resumed: bool,
    /// Whether the session that was offered would have taken data before the handshake.
    pub takes_early_data: bool,
    /// The certificate that was shown, in this session or the one it resumes.
    pub shown: CertificateDer<'static>,
}

impl TlsClient {
    /// One that trusts an authority, and shows nothing of itself.
    pub fn new(authority: &Authority) -> Self {
        Self::speaking(authority, ALL_VERSIONS, None)
    }

    /// One that speaks these versions, and shows a certificate when there is one.
    pub fn speaking(
        authority: &Authority,
        versions: &[&'static SupportedProtocolVersion],
        certificate: Option<&Certificate>,
    ) -> Self {
        let builder = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(authority.roots());
        let mut config = match certificate {
            None => builder.with_no_client_auth(),
            Some(one) => builder.with_client_auth_cert(vec![one.der()], one.key()).unwrap(),
        };
        // Otherwise nobody would see it offered.
        config.enable_early_data = true;
        Self { config }
    }

    /// The same, offering these protocols.
    #[must_use]
    pub fn offering(mut self, protocols: &[&str]) -> Self {
        self.config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        self
    }

    pub(crate) fn config(self) -> ClientConfig {
        self.config
    }

    /// The bytes that a handshake begins with.
    pub fn hello(&self, name: &str) -> Vec<u8> {
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(Arc::new(self.config.clone()), name).unwrap();
        let mut bytes = Vec::new();
        while connection.wants_write() {
            connection.write_tls(&mut bytes).unwrap();
        }
        bytes
    }

    /// Connects and shakes hands, asking for a name (for an address nothing is asked).
    pub fn connect(&self, address: SocketAddr, name: &str) -> io::Result<Secured> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let name = ServerName::try_from(name.to_owned()).map_err(io::Error::other)?;
        let mut connection = ClientConnection::new(Arc::new(self.config.clone()), name).map_err(io::Error::other)?;
        let takes_early_data = connection.early_data().is_some();
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(Secured {
            version: connection.protocol_version().unwrap(),
            protocol: connection.alpn_protocol().map(|name| String::from_utf8_lossy(name).into_owned()),
            resumed: connection.handshake_kind() == Some(HandshakeKind::Resumed),
            takes_early_data,
            shown: connection.peer_certificates().unwrap()[0].clone().into_owned(),
            client: Client::over(StreamOwned::new(connection, stream)),
        })
    }
}
