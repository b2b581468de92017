//! What is kept of one exchange for its spans: a plain record that a core hands over.
//!
//! Must never hold a query, a credential, a body or a header's value.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::{HeaderValue, Method};
use postern_config::value::HostName;

use super::Trace;
use crate::reject::Reason;
use crate::stage::identify::RequestId;
use crate::upstream::Phases;

/// The most bytes of a path that are kept.
const PATH: usize = 1_024;

/// One exchange that is over.
pub(crate) struct Kept {
    pub(crate) trace: Trace,
    /// Whether it was to be kept whatever became of it; otherwise it went wrong, or was slow.
    pub(crate) sampled: bool,
    /// The caller's `tracestate`, where its trace is gone on with.
    pub(crate) state: Option<Box<str>>,
    pub(crate) began: SystemTime,
    pub(crate) took: Duration,
    /// None of what came in place of a request.
    pub(crate) method: Option<Method>,
    pub(crate) path: Box<str>,
    pub(crate) is_http2: bool,
    /// `https` or `http`; empty when it was not found out.
    pub(crate) scheme: &'static str,
    pub(crate) host: Option<HostName>,
    pub(crate) client: Option<IpAddr>,
    pub(crate) request_id: RequestId,
    pub(crate) generation: u64,
    pub(crate) route: Option<OfRoute>,
    /// Whom it was sent to: the destination's name, and the host that it is called by.
    pub(crate) destination: Option<(Arc<str>, Option<HeaderValue>)>,
    pub(crate) status: u16,
    pub(crate) reason: Option<Reason>,
    pub(crate) phases: Phases,
    /// When the head of a destination's answer was there, after the beginning.
    pub(crate) answered: Option<Duration>,
    pub(crate) bytes_in: u64,
    pub(crate) bytes_out: u64,
}

/// Which route it was.
pub(crate) struct OfRoute {
    pub(crate) id: Arc<str>,
    pub(crate) owner: Arc<str>,
}

impl Kept {
    /// As much of a path as is kept. Paths are visible ASCII.
    pub(crate) fn path(raw: &str) -> Box<str> {
        raw.get(..PATH).unwrap_or(raw).into()
    }
}
