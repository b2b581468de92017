//! Traces: which one a request belongs to, what its destination is told of it, and the way of finished ones to a
//! collector.
//!
//! Owns ids and their two spellings, the decision whether a trace is kept, and the thread that sends. What a core does
//! for a request is numbers and one small record; OpenTelemetry's objects exist on that thread alone. A collector that
//! takes nothing costs traces, which are counted, and never a request. Must never decide about a request.

mod begin;
mod collector;
mod export;
mod hex;
mod kept;
mod onward;
mod outbox;
mod spans;
mod w3c;
mod xray;

use std::num::{NonZeroU64, NonZeroU128};
use std::time::Duration;

pub(crate) use begin::Trace;
pub(crate) use collector::{Collector, OneShot, Protocol};
pub(crate) use export::{Ending, Setup, TraceWriter};
pub(crate) use kept::{Kept, OfRoute};
pub(crate) use onward::Onward;
pub(crate) use outbox::{Outbox, TraceCounts};

use http::HeaderName;

use crate::http1::Fields;
use crate::snapshot::Chance;

/// The headers about a trace.
pub(crate) static HEADERS: [HeaderName; 3] = [
    HeaderName::from_static(w3c::TRACEPARENT),
    HeaderName::from_static(w3c::TRACESTATE),
    HeaderName::from_static(xray::AMZN_TRACE_ID),
];

/// The id of a trace; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(NonZeroU128);

/// The id of a span; never zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(NonZeroU64);

impl TraceId {
    fn new(number: u128) -> Option<Self> {
        NonZeroU128::new(number).map(Self)
    }

    fn number(self) -> u128 {
        self.0.get()
    }

    /// As logs have it: 32 digits.
    pub(crate) fn digits(self) -> [u8; 32] {
        let mut digits = Vec::with_capacity(32);
        hex::write::<32>(&mut digits, self.number());
        digits.try_into().unwrap_or([b'0'; 32])
    }
}

impl SpanId {
    fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    fn number(self) -> u64 {
        self.0.get()
    }
}

/// The `tracestate` that belongs to a trace, which is the caller's where its trace is gone on with.
pub(crate) fn state(trace: &Trace, fields: &Fields) -> Option<Box<str>> {
    let state = trace.continues_w3c.then(|| w3c::state(fields)).flatten();
    state.map(|state| state.as_ref().into())
}

/// Whose word about a trace is believed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Believed {
    /// That of the proxies in front, which pass on what their clients say.
    Proxies,
    /// Everybody's.
    All,
    /// Nobody's.
    None,
}

/// What is fixed at start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rules {
    /// The share that is kept of requests that nobody else decided about, where the route does not say.
    pub(crate) share: Chance,
    /// What takes this long is always kept.
    pub(crate) slow: Duration,
    pub(crate) believed: Believed,
    /// Whether destinations get `X-Amzn-Trace-Id` also where none came.
    pub(crate) always_amzn: bool,
}

impl Rules {
    /// Whether a caller's word is believed, given whether it came from a proxy in front.
    pub(crate) fn believes(&self, vouched: impl FnOnce() -> bool) -> bool {
        match self.believed {
            Believed::Proxies => vouched(),
            Believed::All => true,
            Believed::None => false,
        }
    }

    /// Whether a request's trace is kept whatever becomes of it.
    pub(crate) fn keeps(&self, trace: &Trace, of_route: Option<Chance>) -> bool {
        trace.is_sampled(of_route.unwrap_or(self.share))
    }
}
