//! Both sides of `forward`, scripted in one place: a name server, destinations, the body that a client sends.

mod addresses;
mod bodies;
mod dns;
mod http2;
mod pool;
mod resolve;
mod tls;
mod uploads;

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep, timeout};

use super::*;
use crate::body::BodyFault;
use crate::http1::Framing;
use dns::NameServer;

/// Runs a test on the kind of runtime that a core has. A test that hangs fails.
fn local(test: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default()).unwrap();
    runtime.block_on(async { timeout(Duration::from_secs(60), test).await.expect("the test came to no end") });
}

/// A destination that does what its script says with every connection.
struct Server {
    port: u16,
    accepted: Rc<Cell<usize>>,
}

impl Server {
    async fn start<F>(script: impl Fn(TcpStream, usize) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        Self::at("127.0.0.1:0", script).await
    }

    async fn at<F>(address: &str, script: impl Fn(TcpStream, usize) -> F + 'static) -> Self
    where
        F: Future<Output = ()> + 'static,
    {
        let listener = TcpListener::bind(address).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let accepted = Rc::new(Cell::new(0));
        let count = Rc::clone(&accepted);
        tokio::task::spawn_local(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let turn = count.get();
                count.set(turn + 1);
                tokio::task::spawn_local(script(stream, turn));
            }
        });
        Self { port, accepted }
    }

    /// Answers every request on every connection with the same bytes.
    async fn answering(answer: &'static str) -> Self {
        Self::start(move |mut stream, _| async move {
            while read_head(&mut stream).await.is_some() {
                stream.write_all(answer.as_bytes()).await.unwrap();
            }
        })
        .await
    }

    /// A plain destination that leads here.
    fn destination(&self) -> Arc<Destination> {
        Destination::for_test(("localhost", self.port), "orders.test", None, &["127.0.0.0/8"], true)
    }
}

/// Everything up to the empty line; `None` when the peer is done.
async fn read_head(stream: &mut (impl AsyncRead + Unpin)) -> Option<String> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.ok()?);
    }
    Some(String::from_utf8(head).unwrap())
}

/// Upstreams that ask nobody: every destination is `localhost`.
fn upstreams() -> Upstreams {
    Upstreams::new(Resolver::new(&["127.0.0.1:1".parse().unwrap()]).unwrap())
}

async fn upstreams_with(names: &NameServer) -> Upstreams {
    Upstreams::new(Resolver::new(&[names.address()]).unwrap())
}

fn head(method: Method, path: &str, destination: &Destination) -> Outbound {
    let mut text = Buffer::small();
    let host = destination.host().to_str().unwrap();
    text.extend_from_slice(format!("{method} {path} HTTP/1.1\r\nhost: {host}\r\n").as_bytes());
    Outbound::new(text, method, false)
}

/// A client's body by script.
#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    exact: Option<u64>,
    pause: Option<Pin<Box<Sleep>>>,
    piece: &'static [u8],
    trailers: Option<http::HeaderMap>,
}

enum Step {
    Data(&'static [u8]),
    Pause(Duration),
    Stall,
    Fault(BodyFault),
}

impl Script {
    fn of(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: steps.into_iter().collect(), ..Self::default() }
    }

    fn exactly(length: u64, steps: impl IntoIterator<Item = Step>) -> Self {
        Self { exact: Some(length), ..Self::of(steps) }
    }

    fn bytes(data: &'static [u8]) -> Self {
        Self::exactly(data.len() as u64, [Step::Data(data)])
    }

    fn none() -> Self {
        Self::exactly(0, [])
    }
}

impl ClientBody for Script {
    fn poll_piece(&mut self, context: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        if !self.piece.is_empty() {
            return Poll::Ready(Ok(true));
        }
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        match self.steps.pop_front() {
            None => Poll::Ready(Ok(false)),
            Some(Step::Data(data)) => {
                self.piece = data;
                Poll::Ready(Ok(true))
            }
            Some(Step::Fault(fault)) => Poll::Ready(Err(fault)),
            Some(Step::Pause(length)) => {
                self.pause = Some(Box::pin(sleep(length)));
                self.poll_piece(context)
            }
            Some(Step::Stall) => {
                self.steps.push_front(Step::Stall);
                Poll::Pending
            }
        }
    }

    fn piece(&self) -> &[u8] {
        self.piece
    }

    fn consume(&mut self, bytes: usize) {
        self.piece = &self.piece[bytes..];
    }

    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }

    fn trailers(&mut self) -> Option<http::HeaderMap> {
        self.trailers.take()
    }
}

impl Script {
    fn metered(self) -> Metered<Self> {
        let framing = match self.exact {
            Some(0) => Framing::None,
            Some(length) => Framing::Length(length),
            None => Framing::Chunked,
        };
        Metered::new(self, framing, u64::MAX, None)
    }
}

fn body<B>(answer: Answer<B>) -> UpstreamBody<B> {
    let Content::Body(body) = answer.content else { panic!("another protocol") };
    body
}

/// The next piece of an answer; `None` at its end.
async fn piece<B: ClientBody>(body: &mut UpstreamBody<B>) -> Option<String> {
    poll_fn(|context| body.poll_piece(context)).await.unwrap().then(|| {
        let text = String::from_utf8(body.piece().to_vec()).unwrap();
        body.consume(text.len());
        text
    })
}

/// The rest of an answer.
async fn collect<B: ClientBody>(content: Content<B>) -> Result<Vec<u8>, Reason> {
    let Content::Body(mut body) = content else { panic!("another protocol") };
    let mut bytes = Vec::new();
    while poll_fn(|context| body.poll_piece(context)).await.map_err(|fault| fault.reason)? {
        bytes.extend_from_slice(body.piece());
        body.consume(body.piece().len());
    }
    Ok(bytes)
}

/// Short ones, so that a test of a timeout is over soon; long enough for a busy machine.
fn timeouts() -> Timeouts {
    let moment = Duration::from_secs(10);
    Timeouts { connect: moment, first_byte: moment, idle: moment, total: None }
}

/// One request without a body, its answer read to the end.
async fn get(upstreams: &Upstreams, destination: &Arc<Destination>) -> Result<String, Reason> {
    send(upstreams, destination, Method::GET, Script::none(), timeouts()).await.map(|(_, body)| body)
}

async fn send(
    upstreams: &Upstreams,
    destination: &Arc<Destination>,
    method: Method,
    body: Script,
    timeouts: Timeouts,
) -> Result<(StatusCode, String), Reason> {
    let mut phases = Phases::default();
    let head = head(method, "/orders/1?a=b", destination);
    let answer = upstreams
        .forward(destination, timeouts, head, body.metered(), &mut phases, Instant::now())
        .await
        .map_err(|rejection| rejection.reason)?;
    let status = answer.head.status();
    let bytes = collect(answer.content).await?;
    Ok((status, String::from_utf8(bytes).unwrap()))
}

/// Lets everything else run until something holds.
async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(1)).await;
    }
}
