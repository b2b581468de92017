//! WebSockets over HTTP/2 (RFC 8441): one stream of a connection becomes a tunnel.
//!
//! Owns the translation of an extended CONNECT into the handshake that HTTP/1.1 has for the same, and back: behind
//! this, routes and destinations see no difference. The key is the router's own, since HTTP/2 has none. Must never
//! know policies or destinations.

use std::rc::Rc;

use http::{HeaderName, HeaderValue, Method, Request, Response};
use http_body_util::{Either, Empty};
use hyper::body::Incoming;
use hyper::ext::Protocol;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

use super::http2::{AnswerBody, local, passed_on, read_head};
use super::stream_body::StreamBody;
use super::streams::{Piece, Stream};
use super::tunnel::{self, Opened};
use crate::buffer::Buffer;
use crate::http1::ResponseHead;
use crate::observe::Exchange;
use crate::pipeline::{self, Answer};
use crate::reject::{self, Reason, Rejection};
use crate::services::Core;
use crate::stage::identify::Arrival;
use crate::stage::transform;
use crate::upstream::Content;
use crate::websocket;

/// What a stream is answered with: a body, or nothing but the bytes of a tunnel.
pub(super) type Reply = Either<AnswerBody, Empty<Piece>>;

/// Whether a request asks for a WebSocket (RFC 8441 §5).
pub(super) fn is_asked(request: &Request<Incoming>) -> bool {
    let protocol = request.extensions().get::<Protocol>();
    *request.method() == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

/// Answers a request for a WebSocket.
pub(super) async fn answer(
    core: &Rc<Core>,
    arrival: &Arrival,
    mut request: Request<Incoming>,
    stream: Rc<Stream>,
) -> Response<Reply> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (mut parts, body) = request.into_parts();
    let asked = as_handshake(&mut parts, &websocket::key(core.random()));
    let head = match asked.and_then(|()| read_head(parts, &body)) {
        Ok(head) => head,
        Err(rejection) => {
            let (exchange, answer) = pipeline::refuse(core, arrival, &rejection);
            return local(answer, exchange, stream).map(Either::Left);
        }
    };
    let body = StreamBody::new(body, core.shared.body_idle, &head);
    let (exchange, answer) = pipeline::handle(core, arrival, head, body).await;
    match answer {
        // A success would tell the client that its tunnel stands (RFC 9110 §9.3.6).
        Answer::Local(answer) if answer.status.is_success() => {
            refuse(&Rejection::new(Reason::UpgradeNotSupported, "no WebSocket is answered here"), exchange, stream)
        }
        Answer::Local(answer) => local(answer, exchange, stream).map(Either::Left),
        Answer::Upstream(answer) => match answer.content {
            Content::Tunnel(parts) => {
                let response = agreed(&answer.head, &exchange);
                let (connection, came) = *parts;
                let opened = Opened { stream: connection, came, early: Buffer::default(), exchange };
                tokio::task::spawn_local(run(Rc::clone(core), upgrade, opened, stream));
                response
            }
            Content::Body(_) if answer.head.status().is_success() => {
                let why = "a success that is no 101, to a request for a WebSocket over HTTP/2";
                refuse(&Rejection::new(Reason::DestinationProtocol, why), exchange, stream)
            }
            Content::Body(body) => passed_on(&answer.head, body, false, exchange, stream).map(Either::Left),
        },
    }
}

/// The request as HTTP/1.1 has it.
fn as_handshake(parts: &mut http::request::Parts, key: &str) -> Result<(), Rejection> {
    const FIELDS: [(HeaderName, HeaderValue); 2] = [
        (http::header::CONNECTION, HeaderValue::from_static("upgrade")),
        (http::header::UPGRADE, HeaderValue::from_static("websocket")),
    ];
    let key = HeaderValue::from_str(key).map_err(|_| Rejection::new(Reason::Internal, "a key that is none"))?;
    parts.method = Method::GET;
    parts.headers.insert(http::header::SEC_WEBSOCKET_KEY, key);
    parts.headers.extend(FIELDS);
    Ok(())
}

/// What the client is told when the destination has agreed.
fn agreed(head: &ResponseHead, exchange: &Exchange) -> Response<Reply> {
    let mut response = Response::new(Either::Right(Empty::new()));
    let headers = response.headers_mut();
    transform::response_fields(head, &exchange.id, |name, value| {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value))
            && name != http::header::SEC_WEBSOCKET_ACCEPT
        {
            headers.append(name, value);
        }
    });
    response
}

fn refuse(rejection: &Rejection, mut exchange: Box<Exchange>, stream: Rc<Stream>) -> Response<Reply> {
    exchange.rejected(rejection);
    local(reject::answer(rejection, exchange.id.as_str()), exchange, stream).map(Either::Left)
}

/// Passes bytes until the tunnel is over. The stream is held: as long as it is, its connection is not idle.
async fn run(core: Rc<Core>, upgrade: OnUpgrade, opened: Opened, _stream: Rc<Stream>) {
    if let Ok(client) = upgrade.await {
        tunnel::run(&core, TokioIo::new(client), opened).await;
    }
}
