//! One client connection: which protocol it speaks, its time limits, its end.
//!
//! Must never know policies or destinations.

mod date;
mod extended;
mod http1;
mod http2;
mod reader;
mod rewound;
mod tunnel;
mod way;
mod writer;

use std::cell::RefCell;
use std::rc::Rc;

use tokio::net::TcpStream;

use self::http1::End;
use self::rewound::Rewound;
use crate::services::Core;
use crate::stage::identify::Arrival;

/// Serves a connection until either side ends it.
pub(crate) async fn serve(core: Rc<Core>, stream: TcpStream, arrival: Arrival) {
    let io = RefCell::new(stream);
    match http1::serve(&core, &io, arrival).await {
        End::Closed => {}
        End::Http2(read) => http2::serve(core, Rewound::new(read, io.into_inner()), arrival).await,
        // Boxed, so that no other connection has the size of a tunnel.
        End::Tunnel(opened) => Box::pin(tunnel::run(&core, io.into_inner(), *opened)).await,
    }
}
