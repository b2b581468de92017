//! The way to a collector: where it is, who it must prove to be, and one connection to it.
//!
//! Owns sockets to collectors, and the making of the library's exporter over them. Whom it reaches is fixed at start;
//! nothing that a document or a client says leads here. Must never know what is sent.

use std::fmt;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, Uri};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper_util::rt::TokioIo;
use opentelemetry_http::{HttpClient, HttpError};
use opentelemetry_otlp::{
    ExporterBuildError, Protocol as Wire, SpanExporter, WithExportConfig as _, WithHttpConfig as _,
    WithTonicConfig as _,
};
use postern_config::document::Roots;
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::codegen::Service;
use tonic::metadata::MetadataMap;
use tonic::transport::{Channel, Endpoint};

use crate::snapshot::Speaks;
use crate::upstream::{ClientConfigs, Verify};

/// How collectors are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// OTLP/gRPC.
    Grpc,
    /// OTLP/HTTP with Protobuf.
    Http,
}

/// A collector, as the settings name it.
pub(crate) struct Collector {
    /// `http://…` or `https://…`.
    pub(crate) endpoint: Uri,
    pub(crate) protocol: Protocol,
    /// Headers for whoever asks who sends; their values are secrets.
    pub(crate) headers: HeaderMap,
    /// The authorities that its certificate is verified with.
    pub(crate) roots: Roots,
    /// For one message, from the connection to the answer.
    pub(crate) timeout: Duration,
}

/// The most bytes of an answer that are read: there are some dozen.
const ANSWER: usize = 64 * 1024;

impl Collector {
    /// An exporter for spans. Connects when there is something to send; to be called within a runtime.
    ///
    /// # Errors
    /// When the authorities cannot be read, or the library refuses what it is given.
    pub(super) fn exporter(&self) -> Result<SpanExporter, String> {
        let refused = |error: ExporterBuildError| error.to_string();
        match self.protocol {
            Protocol::Grpc => {
                let builder = SpanExporter::builder().with_tonic().with_channel(self.channel()?);
                let metadata = MetadataMap::from_headers(self.headers.clone());
                builder.with_metadata(metadata).with_timeout(self.timeout).build().map_err(refused)
            }
            Protocol::Http => {
                let builder = SpanExporter::builder().with_http().with_http_client(self.one_shot()?);
                let builder = builder.with_protocol(Wire::HttpBinary).with_endpoint(self.url("/v1/traces"));
                builder.with_timeout(self.timeout).build().map_err(refused)
            }
        }
    }

    /// The way to one that speaks gRPC. Connects when there is something to send; to be called within a runtime.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub(crate) fn channel(&self) -> Result<Channel, String> {
        let endpoint = Endpoint::from(self.endpoint.clone()).timeout(self.timeout).connect_timeout(self.timeout);
        Ok(endpoint.connect_with_connector_lazy(self.connector(Speaks::Http2)?))
    }

    /// The way to one that speaks HTTP.
    ///
    /// # Errors
    /// When the authorities cannot be read.
    pub(crate) fn one_shot(&self) -> Result<OneShot, String> {
        let (connector, headers) = (self.connector(Speaks::Http1)?, self.headers.clone());
        Ok(OneShot { connector, headers, timeout: self.timeout })
    }

    /// Where OTLP/HTTP takes what goes to `path`: below an address that names no path, else there (OTLP 1.x, "Endpoint
    /// URLs").
    pub(crate) fn url(&self, path: &str) -> String {
        match self.endpoint.path() {
            "" | "/" => format!("{}{path}", self.endpoint.to_string().trim_end_matches('/')),
            _ => self.endpoint.to_string(),
        }
    }

    fn connector(&self, speaks: Speaks) -> Result<Connector, String> {
        let host = self.endpoint.host().ok_or("names no host")?.trim_matches(['[', ']']).to_owned();
        let secure = self.endpoint.scheme_str() == Some("https");
        let standard = if secure { 443 } else { 80 };
        let tls = secure.then(|| {
            let config = ClientConfigs::default().config(&self.roots, Verify::ServerName, None, speaks);
            let name = ServerName::try_from(host.clone()).map_err(|error| error.to_string())?;
            Ok::<_, String>((TlsConnector::from(config.map_err(|error| error.to_string())?), name))
        });
        let port = self.endpoint.port_u16().unwrap_or(standard);
        Ok(Connector { address: Arc::new((host, port)), tls: tls.transpose()? })
    }
}

/// Opens connections to one collector, whatever it is asked for.
#[derive(Clone)]
struct Connector {
    address: Arc<(String, u16)>,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// What goes over a connection, encrypted or not.
trait Carries: AsyncRead + AsyncWrite + Send + Unpin {}
impl<S: AsyncRead + AsyncWrite + Send + Unpin> Carries for S {}

type Connection = TokioIo<Box<dyn Carries>>;
type Later<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Connector {
    async fn open(self) -> io::Result<Connection> {
        let (host, port) = &*self.address;
        let stream = TcpStream::connect((host.as_str(), *port)).await?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(match self.tls {
            None => Box::new(stream),
            Some((tls, name)) => Box::new(tls.connect(name, stream).await?),
        }))
    }
}

impl Service<Uri> for Connector {
    type Response = Connection;
    type Error = io::Error;
    type Future = Later<io::Result<Connection>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        Box::pin(self.clone().open())
    }
}

/// Sends over HTTP/1.1, each message over a connection of its own: there is one a second.
pub(crate) struct OneShot {
    connector: Connector,
    headers: HeaderMap,
    timeout: Duration,
}

/// Headers are secrets.
impl fmt::Debug for OneShot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OneShot").field("address", &self.connector.address).finish_non_exhaustive()
    }
}

impl OneShot {
    /// Sends a message and waits for its answer.
    ///
    /// # Errors
    /// When there is none in time.
    pub(crate) async fn send(&self, request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        tokio::time::timeout(self.timeout, self.exchange(request)).await?
    }

    async fn exchange(&self, mut request: Request<Bytes>) -> Result<Response<Bytes>, HttpError> {
        let target = request.uri().path_and_query().map_or("/", |target| target.as_str()).parse::<Uri>()?;
        let authority = request.uri().authority().map(|authority| HeaderValue::from_str(authority.as_str()));
        *request.uri_mut() = target;
        if let Some(host) = authority.transpose()? {
            request.headers_mut().insert(http::header::HOST, host);
        }
        request.headers_mut().extend(self.headers.clone());
        let connection = self.connector.clone().open().await?;
        let (mut sender, driver) = hyper::client::conn::http1::handshake(connection).await?;
        let answer = async {
            let (parts, body) = sender.send_request(request.map(Full::new)).await?.into_parts();
            let body = Limited::new(body, ANSWER).collect().await?.to_bytes();
            Ok(Response::from_parts(parts, body))
        };
        tokio::select! {
            answer = answer => answer,
            Err(error) = driver => Err(error.into()),
        }
    }
}

impl HttpClient for OneShot {
    fn send_bytes<'l, 'f>(
        &'l self,
        request: Request<Bytes>,
    ) -> Pin<Box<dyn Future<Output = Result<Response<Bytes>, HttpError>> + Send + 'f>>
    where
        'l: 'f,
        Self: 'f,
    {
        Box::pin(self.send(request))
    }
}
