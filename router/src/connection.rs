//! One client connection: hyper over one stream, its time limits, its end.
//!
//! A narrow seam: an own codec takes this file's place and no other notices. Must never know policies or
//! destinations.

use std::cell::Cell;
use std::future::Future as _;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::body::AnswerBody;
use crate::drain::Phase;
use crate::listener::Stream;
use crate::pipeline;
use crate::services::Core;
use crate::stage::identify::{Arrival, HEADER_BYTES};

/// Serves a connection until either side ends it.
pub(crate) async fn serve(core: Rc<Core>, stream: Stream, arrival: Arrival) {
    let (head, idle) = (core.shared.head_timeout, core.shared.idle_timeout);
    let stage = Rc::new(Cell::new(Stage::Awaited(Instant::now())));
    let (handler, told) = (Rc::clone(&core), Rc::clone(&stage));
    let service = service_fn(move |request| {
        let core = Rc::clone(&handler);
        let stage = Rc::clone(&told);
        stage.set(Stage::Served);
        async move {
            let answer = pipeline::handle(core, arrival, request).await;
            Ok::<_, std::convert::Infallible>(answer.map(|body| Answer { body, stage }))
        }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        // One clock from the end of an answer to the end of the next head. `Clocked` has two, and this is what
        // makes hyper read, and so look at them, while nothing happens.
        .header_read_timeout(idle + head)
        // Room for the request line beside the headers.
        .max_buf_size(HEADER_BYTES + 16 * 1024)
        .max_headers(128)
        .half_close(false);
    let stream = Clocked { stream, stage, head, idle, alarm: None, stalled: None };
    let connection = http.serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    let closing = core.shared.drain.reached(Phase::Closing);
    let over = core.shared.drain.reached(Phase::Over);
    tokio::pin!(closing, over);
    let mut graceful = false;
    loop {
        // What a client does wrong on its own connection is answered there, or it has left.
        tokio::select! {
            _ = &mut connection => return,
            () = &mut closing, if !graceful => {
                graceful = true;
                connection.as_mut().graceful_shutdown();
            }
            () = &mut over => return,
        }
    }
}

/// Where a connection stands between two requests.
#[derive(Clone, Copy)]
enum Stage {
    /// No byte of the next head has come, since then.
    Awaited(Instant),
    /// A head is coming, since then.
    Coming(Instant),
    /// A request is being served, which has clocks of its own.
    Served,
}

/// A stream that ends when the next request, or the rest of its head, is too long in coming.
struct Clocked {
    stream: Stream,
    stage: Rc<Cell<Stage>>,
    head: Duration,
    idle: Duration,
    /// Made when the client is first waited for, and moved only when it fires or would fire too late.
    alarm: Option<Pin<Box<Sleep>>>,
    /// While the client takes nothing of what is written to it.
    stalled: Option<Pin<Box<Sleep>>>,
}

impl Clocked {
    /// A client that takes not a byte for as long as an idle one may live would otherwise hold a connection here
    /// and one to the destination for ever.
    fn poll_taken<T>(&mut self, written: Poll<io::Result<T>>, context: &mut Context<'_>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stalled = None;
            return written;
        }
        let idle = self.idle;
        let stalled = self.stalled.get_or_insert_with(|| Box::pin(sleep(idle)));
        ready!(stalled.as_mut().poll(context));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }

    /// Comes to an end when the client has been waited for long enough.
    fn poll_due(&mut self, context: &mut Context<'_>) -> Poll<()> {
        let due = match self.stage.get() {
            Stage::Awaited(since) => since + self.idle,
            Stage::Coming(since) => since + self.head,
            Stage::Served => return Poll::Pending,
        };
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if alarm.deadline() > due {
            alarm.as_mut().reset(due);
        }
        loop {
            ready!(alarm.as_mut().poll(context));
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            alarm.as_mut().reset(due);
        }
    }
}

impl AsyncRead for Clocked {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match (read, self.stage.get()) {
            (Poll::Ready(Ok(())), Stage::Awaited(_)) if buffer.filled().len() > before => {
                self.stage.set(Stage::Coming(Instant::now()));
                Poll::Ready(Ok(()))
            }
            (Poll::Pending, stage) => {
                ready!(self.poll_due(context));
                match stage {
                    // As if the client had closed: it gets no answer to a request that it has not begun.
                    Stage::Awaited(_) => Poll::Ready(Ok(())),
                    _ => Poll::Ready(Err(io::ErrorKind::TimedOut.into())),
                }
            }
            (read, _) => read,
        }
    }
}

impl AsyncWrite for Clocked {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.poll_taken(written, context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        parts: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.poll_taken(written, context)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

/// The body of an answer; with its end the next request is awaited.
struct Answer {
    body: AnswerBody,
    stage: Rc<Cell<Stage>>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        self.stage.set(Stage::Awaited(Instant::now()));
    }
}

impl Body for Answer {
    type Data = Bytes;
    type Error = <AnswerBody as Body>::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
