//! One client connection: hyper over one stream, its time limits, its end.
//!
//! A narrow seam: an own codec takes this file's place and no other notices. Must never know policies or
//! destinations.

use std::rc::Rc;

use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::TcpStream;

use crate::drain::Phase;
use crate::pipeline;
use crate::services::Core;
use crate::stage::identify::{Arrival, HEADER_BYTES};

/// Serves a connection until either side ends it.
pub(crate) async fn serve(core: Rc<Core>, stream: TcpStream, arrival: Arrival) {
    let handler = Rc::clone(&core);
    let service = service_fn(move |request| {
        let core = Rc::clone(&handler);
        async move { Ok::<_, std::convert::Infallible>(pipeline::handle(core, arrival, request).await) }
    });
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new())
        // Also the bound of an idle connection: hyper has one clock for both. The head's own is kept by the
        // reading of its first byte; until the codec is our own, the longer of the two holds.
        .header_read_timeout(core.shared.idle_timeout.max(core.shared.head_timeout))
        // Room for the request line beside the headers.
        .max_buf_size(HEADER_BYTES + 16 * 1024)
        .max_headers(128)
        .half_close(false)
        .pipeline_flush(true);
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
