//! A connection that speaks HTTP/1: one request after the other, in their order.
//!
//! Everything that an exchange needs happens in this one task: reading, forwarding, answering. Must never know
//! policies or destinations.

use std::cell::RefCell;
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::rc::Rc;
use std::task::Poll;

use http::Method;
use tokio::io::{AsyncRead, AsyncWrite};

use super::Transport;
use super::reader::{Clocks, NoHead, Reader};
use super::tunnel::Opened;
use super::writer::{After, Terms, Writer};
use crate::buffer::Buffer;
use crate::drain::Phase;
use crate::http1::{RequestHead, Version};
use crate::observe::Exchange;
use crate::pipeline::{self, Answer};
use crate::reject::{Local, Reason, Rejection};
use crate::services::Core;
use crate::stage::identify::Arrival;
use crate::upstream::Content;

/// How it ended.
pub(super) enum End {
    /// For good.
    Closed,
    /// The client speaks HTTP/2; what was read of it.
    Http2(Buffer),
    /// Client and destination speak WebSocket from here on.
    Tunnel(Box<Opened>),
}

/// Serves requests until either side ends the connection.
pub(super) async fn serve<S>(core: &Rc<Core>, io: &RefCell<S>, arrival: &Arrival) -> End
where
    S: AsyncRead + AsyncWrite + Transport + Unpin,
{
    let shared = &core.shared;
    let clocks = clocks(core);
    let mut reader = Reader::new(io, clocks);
    let mut writer = Writer::new(io, shared.idle_timeout);
    let mut closing = pin!(shared.drain.reached(Phase::Closing));
    loop {
        let head = match next_head(&mut reader, closing.as_mut()).await {
            Ok(head) => head,
            Err(NoHead::Ended) => break,
            Err(NoHead::Http2) => return End::Http2(reader.into_unused()),
            Err(NoHead::Flawed(flaw)) => return refuse(core, arrival, reader, writer, &flaw.into()).await,
            Err(NoHead::TooSlow) => return refuse(core, arrival, reader, writer, &Reason::HeadTooSlow.into()).await,
        };
        let asked = Asked::of(&head);
        let (exchange, answer) = pipeline::handle(core, arrival, head, &mut reader).await;
        // What was reading the request when it panicked may not know where the next one begins.
        let ending = asked.closes || shared.drain.is_ending() || exchange.is_in_doubt();
        let after = match answer {
            Answer::Local(answer) => {
                let ending = ending || !reader.can_drain();
                writer.local(&answer, asked.terms(ending), exchange).await
            }
            Answer::Upstream(answer) => match answer.content {
                Content::Body(body) => writer.upstream(&answer.head, body, asked.terms(ending), exchange).await,
                Content::Tunnel(parts) => {
                    if !writer.switching(&answer.head, &exchange.id).await {
                        break;
                    }
                    let (stream, came) = *parts;
                    return End::Tunnel(Box::new(Opened { stream, came, early: reader.into_unused(), exchange }));
                }
            },
        };
        // What a client sent behind a handshake that came to nothing is perhaps no request.
        let unclear = asked.upgrades && !reader.is_idle();
        match after {
            After::Abort => return End::Closed,
            After::Next if !unclear => {
                if !reader.drain().await {
                    break;
                }
            }
            After::Next | After::Close => {
                reader.linger().await;
                break;
            }
        }
    }
    let _ = poll_fn(|context| Pin::new(&mut *io.borrow_mut()).poll_shutdown(context)).await;
    End::Closed
}

/// Waits for what a client of HTTP/2 begins with, within the clocks of a head: what was read, unless it was something
/// else.
pub(super) async fn preface<S>(core: &Rc<Core>, io: &RefCell<S>) -> Option<Buffer>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let mut reader = Reader::new(io, clocks(core));
    let closing = pin!(core.shared.drain.reached(Phase::Closing));
    match next_head(&mut reader, closing).await {
        Err(NoHead::Http2) => Some(reader.into_unused()),
        _ => None,
    }
}

fn clocks(core: &Core) -> Clocks {
    let shared = &core.shared;
    Clocks { head: shared.head_timeout, idle: shared.idle_timeout, body: shared.body_idle }
}

/// The next head, unless the router closes: what has begun is served; nothing new is begun.
async fn next_head<S>(
    reader: &mut Reader<'_, S>,
    mut closing: Pin<&mut impl Future<Output = ()>>,
) -> Result<RequestHead, NoHead>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    poll_fn(|context| {
        let polled = reader.poll_head(context);
        let over = polled.is_pending() && reader.is_idle() && closing.as_mut().poll(context).is_ready();
        if over { Poll::Ready(Err(NoHead::Ended)) } else { polled }
    })
    .await
}

/// What is to be known of a request when it is answered.
struct Asked {
    head_only: bool,
    version: Version,
    closes: bool,
    upgrades: bool,
}

impl Asked {
    fn of(head: &RequestHead) -> Self {
        let version = head.version();
        Self {
            head_only: *head.method() == Method::HEAD,
            version,
            closes: version == Version::Http10 || head.lists("connection", "close"),
            upgrades: head.lists("connection", "upgrade") && head.lists("upgrade", "websocket"),
        }
    }

    fn terms(&self, ending: bool) -> Terms {
        Terms { head_only: self.head_only, version: self.version, ending }
    }
}

/// Answers what is no request, and ends the connection: where the next one would begin cannot be known.
async fn refuse<S>(
    core: &Rc<Core>,
    arrival: &Arrival,
    mut reader: Reader<'_, S>,
    mut writer: Writer<'_, S>,
    rejection: &Rejection,
) -> End
where
    S: AsyncRead + AsyncWrite + Transport + Unpin,
{
    let (exchange, answer): (Box<Exchange>, Local) = pipeline::refuse(core, arrival, rejection);
    let terms = Terms { head_only: false, version: Version::Http11, ending: true };
    writer.local(&answer, terms, exchange).await;
    reader.linger().await;
    End::Closed
}
