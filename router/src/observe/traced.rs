//! What is kept of an exchange for a collector of traces.
//!
//! Must never keep a credential, a query or a body.

use std::time::{Duration, SystemTime};

use http::HeaderValue;

use super::Exchange;
use crate::http1::{Fields, RequestHead, Version};
use crate::snapshot::Target;
use crate::trace::{Kept, OfRoute, Onward, Trace, state};

/// What there is of an exchange only where traces are on.
pub(super) struct Traced {
    pub(super) trace: Trace,
    /// The host that the destination is called by.
    destination: Option<HeaderValue>,
    /// When the head of its answer was there.
    answered: Option<Duration>,
}

impl Traced {
    pub(super) fn new(trace: Trace) -> Self {
        Self { trace, destination: None, answered: None }
    }

    pub(super) fn answered(&mut self, after: Duration) {
        self.answered = Some(after);
    }
}

impl Exchange {
    /// What the head for `target` says of the trace; nothing where traces are off. `is_signed` says whether the client
    /// signed a header.
    pub(crate) fn onward<'r>(
        &mut self,
        target: &Target,
        fields: &'r Fields,
        is_signed: impl Fn(&str) -> bool,
    ) -> Option<Onward<'r>> {
        let rules = self.core.shared.tracing.as_ref()?;
        let traced = self.traced.as_mut()?;
        traced.destination = Some(target.destination.host().clone());
        let share = self.record.route.as_ref().and_then(|route| route.telemetry.traces);
        Some(Onward::new(rules, traced.trace, rules.keeps(&traced.trace, share), fields, is_signed))
    }

    /// Keeps an exchange that is over: the share that is asked for, and what went wrong or was slow.
    pub(super) fn keep_trace(&self, took: Duration) {
        let (Some(traced), Some(rules)) = (&self.traced, &self.core.shared.tracing) else { return };
        let record = &self.record;
        // What load balancers and verifiers ask the router for itself is nobody's request.
        if record.route.is_none() && record.reason.is_none() {
            return;
        }
        let share = record.route.as_ref().and_then(|route| route.telemetry.traces);
        let sampled = rules.keeps(&traced.trace, share);
        // A WebSocket is open for as long as it likes.
        let slow = took >= rules.slow && record.tunnel.is_none();
        if sampled || slow || record.reason.is_some() || record.status >= 500 {
            self.core.keep_trace(sampled, || self.kept(traced, sampled, took));
        }
    }

    fn kept(&self, traced: &Traced, sampled: bool, took: Duration) -> Kept {
        let (record, head) = (&self.record, self.head.as_deref());
        Kept {
            trace: traced.trace,
            sampled,
            state: head.and_then(|head| state(&traced.trace, head.fields())),
            began: SystemTime::now() - took,
            took,
            method: head.map(|head| head.method().clone()),
            path: Kept::path(head.map_or("", RequestHead::path)),
            is_http2: head.is_some_and(|head| head.version() == Version::Http2),
            scheme: record.scheme,
            host: record.host.clone(),
            client: record.client,
            request_id: self.id.clone(),
            generation: record.generation,
            route: record.route.as_ref().map(|route| OfRoute { id: route.id.clone(), owner: route.owner.clone() }),
            destination: record.destination.as_ref().map(|name| (name.clone(), traced.destination.clone())),
            status: record.status,
            reason: record.reason,
            phases: record.phases,
            answered: traced.answered,
            bytes_in: self.bytes_in.as_ref().map_or(0, |bytes| bytes.get()),
            bytes_out: self.bytes_out,
        }
    }
}
