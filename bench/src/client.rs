//! One connection of a load: writes a request that was made before, reads the answer and counts its bytes.

use std::io;
use std::net::SocketAddr;

use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

use crate::http;

/// Large enough that a large answer does not cost the load more than the proxy.
const BUFFER: usize = 128 * 1024;

/// Plain or TLS.
trait Stream: AsyncRead + AsyncWrite + Unpin {}

impl<T: AsyncRead + AsyncWrite + Unpin> Stream for T {}

/// Where connections lead.
#[derive(Clone)]
pub(crate) struct Door {
    address: SocketAddr,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

impl Door {
    /// The door of a target.
    pub(crate) fn new(target: &crate::Target) -> Result<Self, Box<dyn std::error::Error>> {
        let tls = match &target.tls {
            Some(roots) => Some((crate::tls::connector(roots)?, ServerName::try_from(target.host.clone())?)),
            None => None,
        };
        Ok(Self { address: target.address, tls })
    }

    /// A new connection, its handshake done.
    pub(crate) async fn connect(&self) -> io::Result<Connection> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        let stream: Box<dyn Stream> = match &self.tls {
            Some((connector, name)) => Box::new(connector.connect(name.clone(), stream).await?),
            None => Box::new(stream),
        };
        Ok(Connection { stream })
    }
}

/// What came back.
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: u16,
    /// The bytes of the body.
    pub(crate) bytes: u64,
    /// Whether the connection can be used no more.
    pub(crate) closes: bool,
}

/// An open connection.
pub(crate) struct Connection {
    stream: Box<dyn Stream>,
}

/// A buffer that fits, to be used for one exchange after the other.
pub(crate) fn buffer() -> Vec<u8> {
    vec![0; BUFFER]
}

impl Connection {
    /// Sends a request and reads its answer to the last byte.
    pub(crate) async fn exchange(&mut self, request: &[u8], buffer: &mut [u8]) -> io::Result<Answer> {
        self.stream.write_all(request).await?;
        self.stream.flush().await?;
        let (mut filled, mut looked) = (0, 0);
        let end = loop {
            filled += self.read(&mut buffer[filled..]).await?;
            if let Some(end) = http::head_end(&buffer[..filled], looked)? {
                break end;
            }
            looked = filled;
        };
        let head = &buffer[..end];
        let (status, closes) = (http::status(head)?, http::closes(head));
        let bytes = http::length(head)?.ok_or_else(|| io::Error::other("an answer without a length"))?;
        let mut got = (filled - end) as u64;
        while got < bytes {
            got += self.read(buffer).await? as u64;
        }
        if got > bytes {
            return Err(io::Error::other("more bytes than the answer announced"));
        }
        Ok(Answer { status, bytes, closes })
    }

    /// Ends the connection in order, so that TLS says good-bye as a browser does.
    pub(crate) async fn end(mut self) {
        // The other side may have gone already.
        let _ = self.stream.shutdown().await;
    }

    async fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.stream.read(buffer).await? {
            0 => Err(io::ErrorKind::UnexpectedEof.into()),
            read => Ok(read),
        }
    }
}
