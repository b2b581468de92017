//! A connection that speaks HTTP/2: hyper's protocol, our requests.
//!
//! Owns the bounds of what one connection may hold (RFC 9113 §10.5) and the translation of heads and bodies into the
//! forms that the pipeline knows. Must never know policies or destinations.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body::{Body, Frame, SizeHint};
use http_body_util::Either;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::interval;

use super::both_ways::BothWays;
use super::gathered::Gathered;
use super::stream_body::StreamBody;
use super::streams::{Piece, State, Stream, Streams};
use super::{date, extended};
use crate::body::Metered;
use crate::drain::Phase;
use crate::http1::{Flaw, Framing, RequestHead};
use crate::observe::Exchange;
use crate::pipeline::{self, Answer};
use crate::reject::{self, Local, Reason, Rejection};
use crate::services::Core;
use crate::stage::identify::Arrival;
use crate::stage::transform;
use crate::upstream::{Content, UpstreamBody, UpstreamFault};

/// Requests at once on one connection.
const STREAMS: u32 = 100;
/// What a client may send of one body before we take it, and of all of them together.
const WINDOW: u32 = 64 * 1024;
const CONNECTION_WINDOW: u32 = 1024 * 1024;
/// The most bytes of one request's fields, counted with 32 for each (RFC 9113 §6.5.2).
const HEADER_LIST: u32 = 16 * 1024;
/// What a field takes in the library's form of a head, apart from its text.
const FIELD: usize = 104;
/// A client keeps no table of fields here once it has heard of it: with one, a byte on the wire could stand for
/// thousands in memory. Until then it may have the 4 KiB that everyone begins with (RFC 9113 §6.5.2).
const HEADER_TABLE: u32 = 0;
/// Streams that were reset, by either side, before the connection is given up (rapid reset, MadeYouReset).
const PENDING_RESETS: usize = 20;
const LOCAL_RESETS: usize = 128;
/// What is buffered of an answer that a client does not take.
const SEND_BUFFER: usize = 64 * 1024;
/// How often it is looked after.
const TEND: Duration = Duration::from_secs(1);

/// Serves requests until either side ends the connection.
pub(super) async fn serve<S>(core: Rc<Core>, io: S, arrival: Arrival)
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let mut http = http2::Builder::new(OnThisCore);
    http.timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        // The library refuses what reaches the bound that it is told.
        .max_header_list_size(HEADER_LIST + 1)
        .header_table_size(HEADER_TABLE)
        .max_pending_accept_reset_streams(PENDING_RESETS)
        .max_local_error_reset_streams(LOCAL_RESETS)
        .max_send_buf_size(SEND_BUFFER)
        .enable_connect_protocol()
        .keep_alive_interval(core.shared.idle_timeout / 3)
        .keep_alive_timeout(Duration::from_secs(20))
        .auto_date_header(false);
    let streams = Rc::new(Streams::new());
    let (handler, seen) = (Rc::clone(&core), Rc::clone(&streams));
    let service = service_fn(move |request| one(Rc::clone(&handler), arrival.clone(), request, seen.open()));
    let io = Gathered::new(io);
    let mut connection = pin!(http.serve_connection(TokioIo::new(io.share()), service));
    let mut closing = pin!(core.shared.drain.reached(Phase::Closing));
    let mut tended = interval(TEND);
    let mut ending = false;
    loop {
        tokio::select! {
            // What a client does wrong on its own connection is answered there, or it has left.
            () = poll_fn(|context| poll_turn(connection.as_mut(), &io, context)) => return,
            () = &mut closing, if !ending => ending = true,
            _ = tended.tick() => match streams.state(core.shared.idle_timeout, core.shared.http2_requests) {
                State::Stalled => return,
                State::Idle | State::Old if !ending => ending = true,
                State::Idle | State::Old | State::Busy => continue,
            },
        }
        // Two steps: what is on its way here is still served (RFC 9113 §6.8).
        connection.as_mut().graceful_shutdown();
    }
}

/// What answers a request. Boxed: it is moved several times on its way into a task of its own, and its memory goes when
/// the answer's body begins, and not with its stream.
type Answering = Pin<Box<dyn Future<Output = Result<Response<extended::Reply>, Infallible>>>>;

/// Answers one request.
fn one(core: Rc<Core>, arrival: Arrival, request: Request<Incoming>, stream: Rc<Stream>) -> Answering {
    if extended::is_asked(&request) {
        return Box::pin(async move { Ok(extended::answer(&core, &arrival, request, stream).await) });
    }
    Box::pin(async move {
        let taken = taken_in(&core, request, &stream).await;
        Ok(answer(&core, &arrival, taken, stream).await.map(Either::Left))
    })
}

/// Lets the library do all it can, then sends what came of it.
fn poll_turn<S: AsyncWrite + Unpin>(
    connection: Pin<&mut impl Future>,
    io: &Gathered<S>,
    context: &mut Context<'_>,
) -> Poll<()> {
    let over = connection.poll(context).is_ready();
    let broken = matches!(io.poll_send(context), Poll::Ready(Err(_)));
    if over || broken { Poll::Ready(()) } else { Poll::Pending }
}

/// Streams run on the core that took their connection.
#[derive(Clone, Copy)]
struct OnThisCore;

impl<F: Future<Output = ()> + 'static> Executor<F> for OnThisCore {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(future);
    }
}

async fn answer(
    core: &Rc<Core>,
    arrival: &Arrival,
    taken: Result<(RequestHead, StreamBody), Rejection>,
    stream: Rc<Stream>,
) -> Response<AnswerBody> {
    let (head, body) = match taken {
        Ok(taken) => taken,
        Err(rejection) => {
            let (exchange, answer) = pipeline::refuse(core, arrival, &rejection);
            return local(answer, exchange, stream);
        }
    };
    let head_only = *head.method() == http::Method::HEAD;
    let (exchange, answer) = pipeline::handle(core, arrival, head, body).await;
    match answer {
        Answer::Local(mut answer) => {
            if head_only {
                answer.body.clear();
            }
            local(answer, exchange, stream)
        }
        Answer::Upstream(answer) => match answer.content {
            Content::Body(body) => passed_on(&answer.head, body, head_only, exchange, stream),
            Content::Tunnel(_) => {
                let rejection = Rejection::new(Reason::Internal, "a tunnel that nobody asked for");
                local(crate::reject::answer(&rejection, exchange.id.as_str()), exchange, stream)
            }
        },
    }
}

/// A request in the form that the pipeline knows, once there is room for its head.
async fn taken_in(
    core: &Core,
    request: Request<Incoming>,
    stream: &Stream,
) -> Result<(RequestHead, StreamBody), Rejection> {
    let (parts, body) = request.into_parts();
    let text = text_of(&parts.headers);
    // A head waits for room in the smaller of its forms: the library's has so much for each field, but texts that were
    // said once are there once (RFC 7541 §2.3.2); ours is the text.
    let many_fields = parts.headers.len() * FIELD > text;
    if !many_fields {
        stream.admit(text).await;
    }
    let head = read_head(parts, &body)?;
    if many_fields {
        stream.admit(text).await;
    }
    let body = StreamBody::new(body, core.shared.body_idle, &head);
    Ok((head, body))
}

/// How long names and values are, without any frame around them.
fn text_of(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len()).sum()
}

/// The head in the form that the pipeline knows. HTTP/2 itself was checked by the library: pseudo-fields, names in
/// lower case, no connection-specific fields (RFC 9113 §8.2, §8.3).
pub(super) fn read_head(parts: http::request::Parts, body: &Incoming) -> Result<RequestHead, Rejection> {
    let http::request::Parts { method, uri, headers, .. } = parts;
    let authority = uri.authority().map(http::uri::Authority::as_str);
    let named = headers.get_all(http::header::HOST).iter().count();
    let disagrees =
        |host: &HeaderValue| authority.is_some_and(|name| !host.as_bytes().eq_ignore_ascii_case(name.as_bytes()));
    if named > 1 || headers.get(http::header::HOST).is_some_and(disagrees) {
        return Err(Rejection::new(Reason::HostInvalid, ":authority and host differ"));
    }
    let framing = match (body.is_end_stream(), body.size_hint().exact()) {
        (true, _) => Framing::None,
        (false, Some(length)) if length > 0 => Framing::Length(length),
        (false, _) => Framing::Chunked,
    };
    let target = uri.path_and_query().ok_or(Flaw::Target)?.as_str();
    // Crumbs of a cookie become one again (RFC 9113 §8.2.3).
    let crumbs: Vec<&[u8]> = headers.get_all(http::header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    let cookie = crumbs.join(&b"; "[..]);
    let host = authority.filter(|_| named == 0).map(|name| ("host", name.as_bytes()));
    let fields = headers
        .iter()
        .filter(|(name, _)| **name != http::header::COOKIE)
        .map(|(name, value)| (name.as_str(), value.as_bytes()))
        .chain((!crumbs.is_empty()).then_some(("cookie", &*cookie)));
    // The authority may become a field, and what stands between crumbs comes with them.
    let bytes = text_of(&headers) + authority.map_or(0, |name| "host".len() + name.len()) + cookie.len();
    let size = (headers.len() + 1, bytes);
    Ok(RequestHead::from_parts(method, target, host.into_iter().chain(fields), size, framing)?)
}

pub(super) fn local(answer: Local, mut exchange: Box<Exchange>, stream: Rc<Stream>) -> Response<AnswerBody> {
    let mut response = Response::new(());
    *response.status_mut() = answer.status;
    response.headers_mut().extend(answer.headers);
    response.headers_mut().insert(http::header::DATE, date_value());
    exchange.answer_complete(answer.body.len() as u64);
    let source = Source::Local((!answer.body.is_empty()).then(|| Bytes::from(answer.body)));
    response.map(|()| AnswerBody { source, exchange, stream })
}

pub(super) fn passed_on(
    head: &crate::http1::ResponseHead,
    body: UpstreamBody<Metered<StreamBody>>,
    head_only: bool,
    mut exchange: Box<Exchange>,
    stream: Rc<Stream>,
) -> Response<AnswerBody> {
    let mut response = Response::new(());
    *response.status_mut() = head.status();
    let headers = response.headers_mut();
    transform::response_fields(head, &exchange.id, |name, value| {
        if let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) {
            headers.append(name, value);
        }
    });
    headers.entry(http::header::DATE).or_insert_with(date_value);
    let length = match head.framing() {
        Framing::Length(length) => Some(length),
        Framing::None if head_only => crate::http1::content_length(head.fields()).ok().flatten(),
        _ => None,
    };
    if let Some(length) = length {
        headers.insert(http::header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    let nothing = matches!(head.framing(), Framing::None);
    if nothing {
        exchange.answer_complete(0);
    }
    let source = if nothing { Source::Local(None) } else { Source::Upstream(BothWays::new(body)) };
    response.map(|()| AnswerBody { source, exchange, stream })
}

fn date_value() -> HeaderValue {
    HeaderValue::from_bytes(date::now().as_bytes()).unwrap_or(HeaderValue::from_static(""))
}

/// An answer's body on its way down, with the record of its exchange: whenever this is dropped, the record is
/// finished.
pub(super) struct AnswerBody {
    source: Source,
    exchange: Box<Exchange>,
    stream: Rc<Stream>,
}

enum Source {
    Local(Option<Bytes>),
    Upstream(BothWays<Metered<StreamBody>>),
}

enum Next {
    Data(Bytes),
    Trailers(HeaderMap),
}

impl AnswerBody {
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Piece>, UpstreamFault>>> {
        let stream = &self.stream;
        let body = match &mut self.source {
            Source::Local(bytes) => return Poll::Ready(bytes.take().map(|bytes| Ok(Frame::data(stream.piece(bytes))))),
            Source::Upstream(body) => body,
        };
        body.read_at_most(std::task::ready!(stream.poll_room(context)));
        let exchange = &mut self.exchange;
        let next = body.poll_piece(context, |body, more| {
            if !more {
                exchange.answer_complete(0);
                return (body.trailers().map(Next::Trailers), true);
            }
            let bytes = Bytes::copy_from_slice(body.piece());
            body.consume(bytes.len());
            exchange.answer_bytes(bytes.len() as u64);
            (Some(Next::Data(bytes)), body.is_over())
        });
        match std::task::ready!(next) {
            Ok((Some(Next::Data(bytes)), over)) => {
                if over {
                    self.exchange.answer_complete(0);
                }
                Poll::Ready(Some(Ok(Frame::data(stream.piece(bytes)))))
            }
            Ok((Some(Next::Trailers(mut trailers)), _)) => {
                transform::response_trailers(&mut trailers);
                Poll::Ready(Some(Ok(Frame::trailers(trailers))))
            }
            Ok((None, _)) => Poll::Ready(None),
            Err(fault) => Poll::Ready(Some(self.fail(fault))),
        }
    }

    /// The answer breaks off: what its client is told.
    fn fail(&mut self, fault: UpstreamFault) -> Result<Frame<Piece>, UpstreamFault> {
        self.exchange.answer_failed(fault.reason);
        self.source = Source::Local(None);
        if self.exchange.is_grpc() { Ok(Frame::trailers(reject::grpc::trailers(fault.reason))) } else { Err(fault) }
    }
}

impl Body for AnswerBody {
    type Data = Piece;
    type Error = UpstreamFault;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Piece>, UpstreamFault>>> {
        // A panic here would end the stream without a word of its reason.
        let polled = catch_unwind(AssertUnwindSafe(|| self.poll_next(context)));
        polled.unwrap_or_else(|_| {
            let fault = Rejection::new(Reason::Internal, "the router panicked over this answer").into();
            Poll::Ready(Some(self.fail(fault)))
        })
    }

    fn is_end_stream(&self) -> bool {
        match &self.source {
            Source::Local(bytes) => bytes.is_none(),
            Source::Upstream(body) => body.is_over(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.source {
            Source::Local(bytes) => SizeHint::with_exact(bytes.as_ref().map_or(0, |bytes| bytes.len() as u64)),
            Source::Upstream(_) => SizeHint::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a future takes, by the function that makes it.
    fn size<A, B, C, D, F>(_: impl FnOnce(A, B, C, D) -> F) -> usize {
        size_of::<F>()
    }

    #[test]
    fn a_waiting_stream_is_small() {
        let all = size(answer);
        assert!(all <= 2_176, "{all} bytes");
    }
}
