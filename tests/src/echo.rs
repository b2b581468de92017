//! The contract `test.Echo`, which `tests/grpc/server.py` tells, served and called by tonic. Messages are plain
//! bytes, so no schema and no compiler of schemas is needed.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, BufMut, Bytes};
use tokio::sync::{mpsc, oneshot};
use tokio_stream::wrappers::ReceiverStream;
use tokio_stream::{Stream, StreamExt};
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service};
use tonic::metadata::{BinaryMetadataValue, MetadataMap};
use tonic::server::{ClientStreamingService, ServerStreamingService, StreamingService, UnaryService};
use tonic::transport::server::TcpIncoming;
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};

/// A server of the contract, on a thread of its own; ends when it is dropped.
pub struct EchoServer {
    port: u16,
    alive: Option<oneshot::Sender<()>>,
    cancelled: Arc<AtomicUsize>,
}

impl EchoServer {
    /// One that speaks HTTP/2 in the clear.
    pub fn start() -> Self {
        let cancelled = Arc::new(AtomicUsize::new(0));
        let echo = Echo { cancelled: Arc::clone(&cancelled) };
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        listener.set_nonblocking(true).unwrap();
        let (alive, killed) = oneshot::channel();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let incoming =
                    TcpIncoming::from(tokio::net::TcpListener::from_std(listener).unwrap()).with_nodelay(Some(true));
                tokio::select! {
                    served = Server::builder().add_service(echo).serve_with_incoming(incoming) => served.unwrap(),
                    _ = killed => {}
                }
            });
        });
        Self { port, alive: Some(alive), cancelled }
    }

    /// Ends it without a word, connections and all.
    pub fn kill(&mut self) {
        self.alive = None;
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// How many calls of `Sleep` were cancelled.
    pub fn cancelled(&self) -> usize {
        self.cancelled.load(Ordering::SeqCst)
    }
}

/// Messages that are nothing but their bytes.
#[derive(Default, Clone, Copy)]
struct Plain;

impl Codec for Plain {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, out: &mut EncodeBuf<'_>) -> Result<(), Status> {
        out.put(item);
        Ok(())
    }
}

impl Decoder for Plain {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, buffer: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(buffer.copy_to_bytes(buffer.remaining())))
    }
}

#[derive(Clone)]
struct Echo {
    cancelled: Arc<AtomicUsize>,
}

impl tonic::server::NamedService for Echo {
    const NAME: &'static str = "test.Echo";
}

impl Service<http::Request<Body>> for Echo {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Infallible>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = Method { name: request.uri().path().rsplit('/').next().unwrap().to_owned(), echo: self.clone() };
        let mut grpc =
            tonic::server::Grpc::new(Plain).apply_max_message_size_config(Some(usize::MAX), Some(usize::MAX));
        Box::pin(async move {
            Ok(match &*method.name {
                "Expand" => grpc.server_streaming(method, request).await,
                "Total" => grpc.client_streaming(method, request).await,
                "Chat" => grpc.streaming(method, request).await,
                _ => grpc.unary(method, request).await,
            })
        })
    }
}

struct Method {
    name: String,
    echo: Echo,
}

type Messages = std::pin::Pin<Box<dyn Stream<Item = Result<Bytes, Status>> + Send>>;

/// What was asked with comes back.
fn answered<T>(metadata: &MetadataMap, message: T) -> Response<T> {
    let mut response = Response::new(message);
    if let Some(asked) = metadata.get("x-ask") {
        response.metadata_mut().insert("x-answer", asked.clone());
    }
    if let Some(asked) = metadata.get_bin("x-bytes-bin") {
        response.metadata_mut().insert_bin("x-bytes-bin", asked.clone());
    }
    response
}

/// Counts the calls that are dropped before they end.
struct Watched(Option<Arc<AtomicUsize>>);

impl Drop for Watched {
    fn drop(&mut self) {
        if let Some(count) = self.0.take() {
            count.fetch_add(1, Ordering::SeqCst);
        }
    }
}

impl UnaryService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let (name, cancelled) = (self.name.clone(), Arc::clone(&self.echo.cancelled));
        Box::pin(async move {
            let metadata = request.metadata().clone();
            match &*name {
                "Unary" => Ok(answered(&metadata, request.into_inner())),
                "Fail" => Err(Status::failed_precondition("100 % no, \u{fc}berhaupt nicht")),
                "Cancelled" => Ok(Response::new(cancelled.load(Ordering::SeqCst).to_string().into())),
                "Deadline" => {
                    let left = metadata.get("grpc-timeout").map_or("none", |value| value.to_str().unwrap());
                    let (number, unit) = left.split_at(left.len() - 1);
                    let scale = [("H", 3_600.0), ("M", 60.0), ("S", 1.0), ("m", 1e-3), ("u", 1e-6), ("n", 1e-9)];
                    let scale = scale.into_iter().find(|(known, _)| *known == unit).unwrap().1;
                    Ok(Response::new((number.parse::<f64>().unwrap() * scale).to_string().into()))
                }
                "Sleep" => {
                    let mut watched = Watched(Some(cancelled));
                    tokio::time::sleep(Duration::from_secs(60)).await;
                    watched.0 = None;
                    Ok(Response::new(Bytes::new()))
                }
                _ => Err(Status::unimplemented("no such method")),
            }
        })
    }
}

impl ServerStreamingService<Bytes> for Method {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<Response<Messages>, Status>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        Box::pin(async move {
            let metadata = request.metadata().clone();
            let count: usize = std::str::from_utf8(request.get_ref()).unwrap().parse().unwrap();
            let messages = tokio_stream::iter(0..count).map(|number| Ok(Bytes::from(number.to_string())));
            Ok(answered(&metadata, Box::pin(messages) as Messages))
        })
    }
}

impl ClientStreamingService<Bytes> for Method {
    type Response = Bytes;
    type Future = BoxFuture<Response<Bytes>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async move {
            let mut messages = request.into_inner();
            let mut total = 0;
            while let Some(message) = messages.message().await? {
                total += message.len();
            }
            Ok(Response::new(total.to_string().into()))
        })
    }
}

impl StreamingService<Bytes> for Method {
    type Response = Bytes;
    type ResponseStream = Messages;
    type Future = BoxFuture<Response<Messages>, Status>;

    fn call(&mut self, request: Request<Streaming<Bytes>>) -> Self::Future {
        Box::pin(async move {
            let metadata = request.metadata().clone();
            let messages = request.into_inner().map(|message| message.map(|text| [b"re: ", &*text].concat().into()));
            Ok(answered(&metadata, Box::pin(messages) as Messages))
        })
    }
}

/// A client of the contract.
#[derive(Clone)]
pub struct EchoClient(tonic::client::Grpc<Channel>);

impl EchoClient {
    /// A connection to `address` that names `authority`.
    pub async fn connect(address: SocketAddr, authority: &str) -> Self {
        let endpoint = Endpoint::from_shared(format!("http://{address}")).unwrap();
        let endpoint = endpoint.origin(format!("http://{authority}").parse().unwrap());
        let grpc = tonic::client::Grpc::new(endpoint.connect().await.unwrap());
        Self(grpc.max_decoding_message_size(usize::MAX).max_encoding_message_size(usize::MAX))
    }

    fn path(name: &str) -> http::uri::PathAndQuery {
        format!("/test.Echo/{name}").parse().unwrap()
    }

    /// One message up, one down.
    pub async fn unary(&self, name: &str, message: impl Into<Request<Bytes>>) -> Result<Response<Bytes>, Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.unwrap();
        grpc.unary(message.into(), Self::path(name), Plain).await
    }

    /// One message up, many down.
    pub async fn expand(&self, count: usize) -> Result<Streaming<Bytes>, Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.unwrap();
        let request = Request::new(Bytes::from(count.to_string()));
        Ok(grpc.server_streaming(request, Self::path("Expand"), Plain).await?.into_inner())
    }

    /// Many messages up, one down.
    pub async fn total(&self, messages: Vec<Bytes>) -> Result<Bytes, Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.unwrap();
        let request = Request::new(tokio_stream::iter(messages));
        Ok(grpc.client_streaming(request, Self::path("Total"), Plain).await?.into_inner())
    }

    /// Both ways at once: what is sent, and what comes back.
    pub async fn chat(&self) -> Result<(mpsc::Sender<Bytes>, Streaming<Bytes>), Status> {
        self.open_chat(mpsc::channel(1)).await
    }

    /// The same with a first message, for servers that wait for one before they answer.
    pub async fn chat_with(&self, first: Bytes) -> Result<(mpsc::Sender<Bytes>, Streaming<Bytes>), Status> {
        let (sender, messages) = mpsc::channel(1);
        sender.send(first).await.unwrap();
        self.open_chat((sender, messages)).await
    }

    async fn open_chat(
        &self,
        (sender, messages): (mpsc::Sender<Bytes>, mpsc::Receiver<Bytes>),
    ) -> Result<(mpsc::Sender<Bytes>, Streaming<Bytes>), Status> {
        let mut grpc = self.0.clone();
        grpc.ready().await.unwrap();
        let request = Request::new(ReceiverStream::new(messages));
        Ok((sender, grpc.streaming(request, Self::path("Chat"), Plain).await?.into_inner()))
    }
}

/// A request that asks with metadata, of both kinds.
pub fn asking(message: &'static [u8]) -> Request<Bytes> {
    let mut request = Request::new(Bytes::from_static(message));
    request.metadata_mut().insert("x-ask", "a".parse().unwrap());
    request.metadata_mut().insert_bin("x-bytes-bin", BinaryMetadataValue::from_bytes(b"\x00\xff"));
    request
}
