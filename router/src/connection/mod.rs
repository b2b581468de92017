//! One client connection: which protocol it speaks, its time limits, its end.
//!
//! Must never know policies or destinations.

mod date;
mod http1;
mod http2;
mod reader;
mod rewound;
mod streams;
mod writer;

use std::cell::RefCell;
use std::rc::Rc;

use self::http1::End;
use self::rewound::Rewound;
use crate::listener::{Protocol, Stream};
use crate::services::Core;
use crate::stage::identify::Arrival;

/// Serves a connection until either side ends it.
pub(crate) async fn serve(core: Rc<Core>, stream: Stream, arrival: Arrival) {
    if stream.protocol() == Some(Protocol::Http2) {
        return http2::serve(core, stream, arrival).await;
    }
    let io = RefCell::new(stream);
    if let End::Http2(read) = http1::serve(&core, &io, arrival).await {
        http2::serve(core, Rewound::new(read, io.into_inner()), arrival).await;
    }
}
