//! Both sides of the router over HTTP/2 in the clear: a destination and a client, scripted.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{RecvStream, SendStream};
use http::{HeaderMap, Request, Response};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use crate::secure::TlsClient;

/// A message as it came or goes, request or answer.
#[derive(Debug, Clone, Default)]
pub struct Message {
    /// Method and URI, or the status.
    pub start: String,
    /// The fields.
    pub headers: HeaderMap,
    /// The body, whole.
    pub body: Vec<u8>,
    /// What came behind it.
    pub trailers: HeaderMap,
    /// Of a request: whether the answer is read only when all of it was sent.
    pub sends_first: bool,
}

impl Message {
    /// An answer with this status and body.
    pub fn answer(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self { start: status.to_string(), body: body.into(), ..Self::default() }
    }

    /// A request of the test host, for example `GET /a`.
    pub fn request(start: &str) -> Self {
        let (method, path) = start.split_once(' ').unwrap();
        Self { start: format!("{method} http://{}{path}", crate::HOST), ..Self::default() }
    }

    /// The same with a field.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.append(name, value.parse().unwrap());
        self
    }

    /// The same with a body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = body.into();
        self
    }

    /// The same with a field behind the body.
    #[must_use]
    pub fn trailer(mut self, name: &'static str, value: &str) -> Self {
        self.trailers.append(name, value.parse().unwrap());
        self
    }

    /// The status of an answer.
    pub fn status(&self) -> u16 {
        self.start.parse().unwrap()
    }

    /// A field, as text.
    pub fn field(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(|value| value.to_str().unwrap())
    }

    /// Whether nothing follows the head.
    fn is_only_a_head(&self) -> bool {
        self.body.is_empty() && self.trailers.is_empty()
    }

    async fn send_rest(self, mut stream: SendStream<Bytes>) -> Result<(), h2::Error> {
        let mut left = Bytes::from(self.body);
        while !left.is_empty() {
            stream.reserve_capacity(left.len());
            let Some(room) = std::future::poll_fn(|context| stream.poll_capacity(context)).await else { return Ok(()) };
            stream.send_data(left.split_to(room?.min(left.len())), false)?;
        }
        if self.trailers.is_empty() {
            stream.send_data(Bytes::new(), true)
        } else {
            stream.send_trailers(self.trailers)
        }
    }

    async fn receive_rest(&mut self, mut stream: RecvStream) -> Result<(), h2::Error> {
        while let Some(data) = stream.data().await {
            let data = data?;
            stream.flow_control().release_capacity(data.len())?;
            self.body.extend_from_slice(&data);
        }
        self.trailers = stream.trailers().await?.unwrap_or_default();
        Ok(())
    }
}

/// A destination that speaks HTTP/2 alone; ends with the test's process. A path that begins with `/early` is answered
/// before the body is read, one with `/both` while it is.
pub struct Http2Origin {
    address: SocketAddr,
    connections: Arc<AtomicUsize>,
    received: Arc<Mutex<Vec<Message>>>,
}

impl Http2Origin {
    /// Answers as `script` says.
    pub fn start(script: impl Fn(&Message) -> Message + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let (connections, received) = (Arc::new(AtomicUsize::new(0)), Arc::default());
        let (count, seen) = (Arc::clone(&connections), Arc::clone(&received));
        let script = Arc::new(script);
        std::thread::spawn(move || {
            run(async move {
                let listener = tokio::net::TcpListener::from_std(listener).unwrap();
                while let Ok((stream, _)) = listener.accept().await {
                    count.fetch_add(1, Ordering::SeqCst);
                    stream.set_nodelay(true).unwrap();
                    tokio::spawn(serve(stream, Arc::clone(&script), Arc::clone(&seen)));
                }
            });
        });
        Self { address, connections, received }
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// The request that came last.
    pub fn last(&self) -> Message {
        self.received.lock().unwrap().last().unwrap().clone()
    }
}

async fn serve<S>(stream: TcpStream, script: Arc<S>, seen: Arc<Mutex<Vec<Message>>>)
where
    S: Fn(&Message) -> Message + Send + Sync + 'static,
{
    let Ok(mut connection) = h2::server::handshake(stream).await else { return };
    while let Some(Ok((request, respond))) = connection.accept().await {
        tokio::spawn(answer(request, respond, Arc::clone(&script), Arc::clone(&seen)));
    }
}

async fn answer<S: Fn(&Message) -> Message>(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    script: Arc<S>,
    seen: Arc<Mutex<Vec<Message>>>,
) {
    let (parts, body) = request.into_parts();
    let start = format!("{} {}", parts.method, parts.uri);
    let mut message = Message { start, headers: parts.headers, ..Message::default() };
    if parts.uri.path().starts_with("/both") {
        let reply = script(&message);
        let stream = respond.send_response(Response::new(()), false).unwrap();
        let _ = tokio::join!(message.receive_rest(body), reply.send_rest(stream));
        seen.lock().unwrap().push(message);
        return;
    }
    let early = parts.uri.path().starts_with("/early");
    if !early && message.receive_rest(body).await.is_err() {
        return;
    }
    let reply = script(&message);
    seen.lock().unwrap().push(message);
    let mut head = Response::new(());
    *head.status_mut() = reply.status().try_into().unwrap();
    *head.headers_mut() = reply.headers.clone();
    if let Ok(stream) = respond.send_response(head, reply.is_only_a_head())
        && !reply.is_only_a_head()
    {
        let _ = reply.send_rest(stream).await;
    }
}

/// Sends these requests one after another on one connection of HTTP/2, with prior knowledge.
pub fn over_http2(address: SocketAddr, requests: Vec<Message>) -> Vec<Result<Message, h2::Error>> {
    run(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        call_all(stream, requests).await
    })
}

/// The same inside TLS, in which a client agrees on HTTP/2.
pub fn over_secure_http2(
    client: &TlsClient,
    address: SocketAddr,
    requests: Vec<Message>,
) -> Vec<Result<Message, h2::Error>> {
    let config = client.clone().offering(&["h2"]).config();
    run(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from(crate::HOST).unwrap();
        let stream = tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap();
        call_all(stream, requests).await
    })
}

/// Talks over one connection of HTTP/2, inside TLS when there is a client of it; fails when that takes longer than half a
/// minute.
pub fn talk_http2<T>(
    secure: Option<&TlsClient>,
    address: SocketAddr,
    talk: impl AsyncFnOnce(h2::client::SendRequest<Bytes>) -> T,
) -> T {
    let config = secure.map(|client| client.clone().offering(&["h2"]).config());
    run(async move {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let sender = match config {
            None => shake(stream).await,
            Some(config) => {
                let name = ServerName::try_from(crate::HOST).unwrap();
                shake(tokio_rustls::TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()).await
            }
        };
        tokio::time::timeout(Duration::from_secs(30), talk(sender)).await.expect("it hangs")
    })
}

async fn shake<S>(stream: S) -> h2::client::SendRequest<Bytes>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (sender, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    sender
}

async fn call_all<S>(stream: S, requests: Vec<Message>) -> Vec<Result<Message, h2::Error>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let mut sender = shake(stream).await;
    let mut answers = Vec::new();
    for request in requests {
        answers.push(call(&mut sender, request).await);
    }
    answers
}

async fn call(sender: &mut h2::client::SendRequest<Bytes>, request: Message) -> Result<Message, h2::Error> {
    let (method, uri) = request.start.split_once(' ').unwrap();
    let mut head = Request::builder().method(method).uri(uri).body(()).unwrap();
    *head.headers_mut() = request.headers.clone();
    let sends_first = request.sends_first;
    let (answer, stream) = sender.send_request(head, request.is_only_a_head())?;
    // What the other side does not take of the body it may answer all the same.
    let mut sent = (!request.is_only_a_head()).then(|| tokio::spawn(request.send_rest(stream)));
    if let Some(sending) = sent.take_if(|_| sends_first) {
        sending.await.unwrap()?;
    }
    let (parts, body) = answer.await?.into_parts();
    let mut message =
        Message { start: parts.status.as_u16().to_string(), headers: parts.headers, ..Message::default() };
    message.receive_rest(body).await?;
    if let Some(sent) = sent {
        sent.abort();
    }
    Ok(message)
}

fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}
