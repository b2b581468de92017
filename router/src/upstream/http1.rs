//! The HTTP/1 engine towards destinations: the one file here that knows it is hyper's.
//!
//! Owns one connection: a request in, an answer's head and body out, and the task that moves the bytes. Assumes one
//! exchange at a time. Must never know pools, deadlines or destinations, so that another engine fits in its place.

use std::error::Error as _;
use std::io;
use std::net::IpAddr;
use std::rc::Rc;

use http::{Request, Response};
use hyper::client::conn::http1::{Builder, SendRequest};
use hyper_util::rt::TokioIo;
use tokio::task::AbortHandle;
use tokio::time::Instant;

use super::connect::{Activity, Stream};
use super::limits;
use super::tls;
use super::upload::RequestBody;
use crate::reject::{Reason, Rejection};

/// The answer's body as the engine gives it.
pub(super) type Incoming = hyper::body::Incoming;

/// What the engine says when it fails in the middle of a body.
pub(super) type BodyError = hyper::Error;

/// One connection to a destination. Dropping it closes the socket, whatever is under way.
pub(super) struct Connection {
    sender: SendRequest<RequestBody>,
    driver: AbortHandle,
    activity: Rc<Activity>,
    peer: IpAddr,
    too_old_at: Instant,
}

/// A request that brought no answer.
pub(super) struct SendFailure {
    /// The request, when not a byte of it was sent: then it is as if it had never been tried.
    pub(super) unsent: Option<Request<RequestBody>>,
    /// Why.
    pub(super) rejection: Rejection,
    /// Whether the connection failed before a byte of the answer, rather than by what the answer said.
    pub(super) lost: bool,
}

impl Connection {
    /// Takes a stream into use.
    pub(super) async fn open(stream: Stream) -> Result<Self, Rejection> {
        let (peer, activity) = (stream.peer(), stream.activity());
        let (sender, driver) = Builder::new()
            .max_buf_size(limits::READ_BUFFER)
            .max_headers(limits::HEADERS)
            .handshake(TokioIo::new(stream))
            .await
            .map_err(|error| rejection(&error))?;
        // What becomes of the connection is told to whoever has an exchange on it; there is nobody else to tell.
        let driver = tokio::task::spawn_local(async move { drop(driver.await) }).abort_handle();
        // Give or take a tenth, so that connections made together do not go together.
        let age = limits::AGE.mul_f64(0.9 + 0.2 * fastrand::f64());
        Ok(Self { sender, driver, activity, peer, too_old_at: Instant::now() + age })
    }

    /// Sends a request. One at a time.
    pub(super) fn send(
        &mut self,
        request: Request<RequestBody>,
    ) -> impl Future<Output = Result<Response<Incoming>, SendFailure>> + use<> {
        let received = self.activity.received();
        let activity = Rc::clone(&self.activity);
        let sending = self.sender.try_send_request(request);
        async move {
            sending.await.map_err(|mut failure| {
                let unsent = failure.take_message();
                let error = failure.into_error();
                let lost = activity.received() == received && !error.is_parse();
                SendFailure { unsent, rejection: rejection(&error), lost }
            })
        }
    }

    /// Whether the exchange before is over on both sides and the connection lives: it may take a request.
    pub(super) fn is_ready(&self) -> bool {
        self.sender.is_ready() && !self.sender.is_closed()
    }

    /// The address at the other end.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Until when it may be used again.
    pub(super) fn too_old_at(&self) -> Instant {
        self.too_old_at
    }

    /// When the last byte was sent.
    pub(super) fn wrote_at(&self) -> Instant {
        self.activity.wrote_at()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.driver.abort();
    }
}

/// What an error of the engine means.
pub(super) fn rejection(error: &hyper::Error) -> Rejection {
    Rejection::new(reason(error), chain(error))
}

fn reason(error: &hyper::Error) -> Reason {
    if error.is_parse() {
        return Reason::DestinationProtocol;
    }
    if error.is_body_write_aborted() {
        // The body was shorter than announced: only a client that went away does that.
        return Reason::ClientClosed;
    }
    if let Some(io) = io_cause(error) {
        if tls::tls_error(io).is_some() {
            // TLS 1.3 refuses a client certificate only after the handshake.
            return Reason::TlsFailed;
        }
        if matches!(io.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData) {
            // A chunk that is none.
            return Reason::DestinationProtocol;
        }
    }
    Reason::DestinationReset
}

fn io_cause(error: &hyper::Error) -> Option<&io::Error> {
    let mut cause = error.source();
    while let Some(inner) = cause {
        if let Some(io) = inner.downcast_ref::<io::Error>() {
            return Some(io);
        }
        cause = inner.source();
    }
    None
}

/// The error with all its causes; hyper's own words name only the outermost.
fn chain(error: &hyper::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
