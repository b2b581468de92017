//! One client connection: which protocol it speaks, its time limits, its end.
//!
//! Must never know policies or destinations.

mod both_ways;
mod date;
mod extended;
mod gathered;
mod http1;
mod http2;
mod intake;
mod pace;
mod reader;
mod rewound;
mod stream_body;
mod streams;
mod tunnel;
mod way;
mod writer;

use std::cell::RefCell;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;

use futures_util::FutureExt;
use tokio::net::TcpStream;

use self::http1::End;
use self::rewound::Rewound;
use crate::listener::{Protocol, Stream};
use crate::services::Core;
use crate::stage::identify::Arrival;

/// What carries a connection.
pub(crate) trait Transport {
    /// The end will be a reset, not a close: nobody shall take what came for whole.
    fn abort(&self);

    /// The socket, when what is written goes over it as it is.
    fn plain(&self) -> Option<&TcpStream>;
}

/// Serves a connection until either side ends it.
pub(crate) async fn serve(core: Rc<Core>, stream: Stream, arrival: Arrival) {
    let agreed = stream.protocol();
    let io = RefCell::new(stream);
    if agreed == Some(Protocol::Http2) {
        let Some(read) = http1::preface(&core, &io).await else { return };
        return Box::pin(http2::serve(core, Rewound::new(read, io.into_inner()), arrival)).await;
    }
    let served = AssertUnwindSafe(http1::serve(&core, &io, &arrival)).catch_unwind().await;
    // In the middle of an answer, perhaps.
    let end = served.unwrap_or_else(|_| {
        io.borrow().abort();
        End::Closed
    });
    match end {
        End::Closed => {}
        // Boxed, so that no other connection has the size of these.
        End::Http2(read) => Box::pin(http2::serve(core, Rewound::new(read, io.into_inner()), arrival)).await,
        End::Tunnel(opened) => Box::pin(tunnel::run(&core, io.into_inner(), *opened)).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a future takes, by the function that makes it.
    fn size<A, B, C, F>(_: impl FnOnce(A, B, C) -> F) -> usize {
        size_of::<F>()
    }

    /// Ten thousand idle connections each hold one of these.
    #[test]
    fn a_waiting_connection_is_small() {
        let all = size(serve);
        assert!(all <= 4_096, "{all} bytes");
    }
}
