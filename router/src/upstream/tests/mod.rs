//! Both sides of `forward`, scripted in one place: a name server, destinations, the body that a client sends.

mod addresses;
mod bodies;
mod dns;
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

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Sleep, sleep, timeout};

use super::*;
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

fn head(method: Method, path: &str, destination: &Destination) -> http::request::Parts {
    let mut request = Request::new(());
    *request.method_mut() = method;
    *request.uri_mut() = path.parse().unwrap();
    request.headers_mut().insert(HOST, destination.host().clone());
    request.into_parts().0
}

/// A client's body by script.
#[derive(Default)]
struct Script {
    steps: VecDeque<Step>,
    exact: Option<u64>,
    pause: Option<Pin<Box<Sleep>>>,
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

impl Body for Script {
    type Data = Bytes;
    type Error = BodyFault;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyFault>>> {
        if let Some(pause) = &mut self.pause {
            std::task::ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        match self.steps.pop_front() {
            None => Poll::Ready(None),
            Some(Step::Data(data)) => Poll::Ready(Some(Ok(Frame::data(Bytes::from_static(data))))),
            Some(Step::Fault(fault)) => Poll::Ready(Some(Err(fault))),
            Some(Step::Pause(length)) => {
                self.pause = Some(Box::pin(sleep(length)));
                self.poll_frame(cx)
            }
            Some(Step::Stall) => {
                self.steps.push_front(Step::Stall);
                Poll::Pending
            }
        }
    }

    fn is_end_stream(&self) -> bool {
        self.steps.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        self.exact.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
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
        .forward(destination, timeouts, head, body, &mut phases)
        .await
        .map_err(|rejection| rejection.reason)?;
    let (head, body) = answer.into_parts();
    let bytes = body.collect().await.map_err(|fault| fault.reason)?.to_bytes();
    Ok((head.status, String::from_utf8(bytes.to_vec()).unwrap()))
}

/// Lets everything else run until something holds.
async fn until(mut holds: impl FnMut() -> bool) {
    while !holds() {
        sleep(Duration::from_millis(1)).await;
    }
}
