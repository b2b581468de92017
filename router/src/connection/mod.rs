//! One client connection: which protocol it speaks, its time limits, its end.
//!
//! Must never know policies or destinations.

mod date;
mod http1;
mod reader;
mod writer;

use std::cell::RefCell;
use std::rc::Rc;

use tokio::net::TcpStream;

use crate::services::Core;
use crate::stage::identify::Arrival;

/// Serves a connection until either side ends it.
pub(crate) async fn serve(core: Rc<Core>, stream: TcpStream, arrival: Arrival) {
    let io = RefCell::new(stream);
    http1::serve(&core, &io, arrival).await;
}
