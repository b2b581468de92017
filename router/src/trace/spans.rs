//! What was kept of an exchange becomes spans: one of the request and one of what a destination was asked, by
//! OpenTelemetry's semantic conventions for HTTP.
//!
//! Pure; on the thread that sends, and nowhere else.

use std::str::FromStr;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{Event, SpanContext, SpanKind, Status, TraceFlags, TraceState};
use opentelemetry::{InstrumentationScope, KeyValue, Value};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

use super::{Kept, SpanId, Trace};

/// Who made the spans.
pub(super) fn scope() -> InstrumentationScope {
    InstrumentationScope::builder("postern-router").with_version(env!("CARGO_PKG_VERSION")).build()
}

/// Appends the spans of an exchange.
pub(super) fn spans(kept: &Kept, scope: &InstrumentationScope, out: &mut Vec<SpanData>) {
    out.push(request(kept, scope));
    if kept.destination.is_some() && kept.phases.attempts > 0 {
        out.push(attempt(kept, scope));
    }
}

/// The span of the request, as a server's.
fn request(kept: &Kept, scope: &InstrumentationScope) -> SpanData {
    let mut attributes = Attributes::default();
    let name = method(kept, &mut attributes);
    let name = match &kept.route {
        Some(route) => format!("{name} {}", route.id),
        None => name.to_owned(),
    };
    attributes.add("url.path", kept.path.to_string());
    attributes.add_some("url.scheme", Some(kept.scheme).filter(|scheme| !scheme.is_empty()));
    attributes.add_some("server.address", kept.host.as_ref().map(ToString::to_string));
    attributes.add_some("client.address", kept.client.map(|client| client.to_string()));
    attributes.add("network.protocol.version", if kept.is_http2 { "2" } else { "1.1" });
    attributes.add("http.response.status_code", i64::from(kept.status));
    attributes.add_some("http.route", kept.route.as_ref().map(|route| route.id.to_string()));
    attributes.add("http.request.body.size", i64::try_from(kept.bytes_in).unwrap_or(i64::MAX));
    attributes.add("http.response.body.size", i64::try_from(kept.bytes_out).unwrap_or(i64::MAX));
    attributes.add("postern.request_id", kept.request_id.as_str().to_owned());
    attributes.add("postern.generation", i64::try_from(kept.generation).unwrap_or(i64::MAX));
    attributes.add_some("postern.owner", kept.route.as_ref().map(|route| route.owner.to_string()));
    attributes.add_some("postern.destination", kept.destination.as_ref().map(|(name, _)| name.to_string()));
    attributes.add_some("postern.reason", kept.reason.map(|reason| reason.code()));
    attributes.add_some("postern.kept", (!kept.sampled).then(|| if went_wrong(kept) { "failed" } else { "slow" }));
    let (error, status) = server_status(kept);
    attributes.add_some("error.type", error);
    SpanData {
        span_context: context(kept, kept.trace.request),
        parent_span_id: kept.trace.caller.map_or(opentelemetry::trace::SpanId::INVALID, id),
        parent_span_is_remote: kept.trace.caller.is_some(),
        span_kind: SpanKind::Server,
        name: name.into(),
        start_time: kept.began,
        end_time: kept.began + kept.took,
        attributes: attributes.0,
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: scope.clone(),
    }
}

/// The span of what a destination was asked, as its client's.
fn attempt(kept: &Kept, scope: &InstrumentationScope) -> SpanData {
    let mut attributes = Attributes::default();
    let name = method(kept, &mut attributes);
    let (destination, host) = kept.destination.as_ref().map_or(("", None), |(name, host)| (name, host.as_ref()));
    let host = host.and_then(|host| host.to_str().ok()).unwrap_or_default();
    let (name_of_host, port) = host.rsplit_once(':').unwrap_or((host, ""));
    attributes.add("server.address", name_of_host.to_owned());
    attributes.add_some("server.port", port.parse::<i64>().ok());
    attributes.add("postern.destination", destination.to_owned());
    attributes.add("postern.connection.reused", kept.phases.reused);
    let again = kept.phases.attempts.saturating_sub(1);
    attributes.add_some("http.request.resend_count", (again > 0).then_some(i64::from(again)));
    attributes.add_some("http.response.status_code", kept.answered.map(|_| i64::from(kept.status)));
    let (error, status) = client_status(kept);
    attributes.add_some("error.type", error);
    SpanData {
        span_context: context(kept, kept.trace.attempt),
        parent_span_id: id(kept.trace.request),
        parent_span_is_remote: false,
        span_kind: SpanKind::Client,
        name: name.to_owned().into(),
        start_time: kept.began + kept.phases.decided.unwrap_or_default(),
        end_time: kept.began + kept.took,
        attributes: attributes.0,
        dropped_attributes_count: 0,
        events: phases(kept),
        links: SpanLinks::default(),
        status,
        instrumentation_scope: scope.clone(),
    }
}

/// An event at the end of each phase, with how long it took. A kept connection has only the last two.
fn phases(kept: &Kept) -> SpanEvents {
    let told = &kept.phases;
    let mut events = SpanEvents::default();
    let mut event = |name: &'static str, after: Duration, took: Option<Duration>| {
        let took = took.map(|took| KeyValue::new("postern.duration_ms", took.as_secs_f64() * 1_000.0));
        let at: SystemTime = kept.began + after;
        events.events.push(Event::new(name, at, took.into_iter().collect(), 0));
    };
    let mut after = told.decided.unwrap_or_default();
    for (name, took) in [("resolved", told.resolve), ("connected", told.connect), ("tls_established", told.tls)] {
        if let Some(took) = took {
            after += took;
            event(name, after, Some(took));
        }
    }
    if let Some(answered) = kept.answered {
        if let Some(waited) = told.first_byte {
            event("request_sent", answered.saturating_sub(waited), None);
        }
        event("first_byte", answered, told.first_byte);
    }
    events
}

/// The name of the method, which is one of a short list by the conventions; what it was, where it is another.
fn method(kept: &Kept, attributes: &mut Attributes) -> &'static str {
    const KNOWN: [&str; 8] = ["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH", "QUERY"];
    let Some(method) = &kept.method else { return "HTTP" };
    if let Some(known) = KNOWN.into_iter().find(|known| *known == method.as_str()) {
        attributes.add("http.request.method", known);
        return known;
    }
    attributes.add("http.request.method", "_OTHER");
    attributes.add("http.request.method_original", method.as_str().chars().take(32).collect::<String>());
    "HTTP"
}

fn went_wrong(kept: &Kept) -> bool {
    kept.reason.is_some() || kept.status >= 500
}

/// A server's span failed when the server did: what a client did wrong is no error of it.
fn server_status(kept: &Kept) -> (Option<Value>, Status) {
    let error = match kept.reason {
        Some(reason) => Some(Value::from(reason.code())),
        None => (kept.status >= 500).then(|| kept.status.to_string().into()),
    };
    let failed = kept.reason.map_or(kept.status >= 500, |reason| reason.fault().word() != "client");
    let description = kept.reason.map_or("", |reason| reason.code());
    (error, if failed { Status::error(description) } else { Status::Unset })
}

/// A client's span failed when there was no whole answer, or one that says so.
fn client_status(kept: &Kept) -> (Option<Value>, Status) {
    match (kept.reason, kept.answered) {
        (Some(reason), _) => (Some(reason.code().into()), Status::error(reason.code())),
        (None, Some(_)) if kept.status >= 400 => (Some(kept.status.to_string().into()), Status::error("")),
        _ => (None, Status::Unset),
    }
}

fn context(kept: &Kept, span: SpanId) -> SpanContext {
    let Trace { id: trace, random, .. } = kept.trace;
    let flags = TraceFlags::new(u8::from(kept.sampled) | u8::from(random) << 1);
    let trace = opentelemetry::trace::TraceId::from_bytes(trace.number().to_be_bytes());
    let state = kept.state.as_deref().and_then(|state| TraceState::from_str(state).ok()).unwrap_or_default();
    SpanContext::new(trace, id(span), flags, false, state)
}

fn id(span: SpanId) -> opentelemetry::trace::SpanId {
    opentelemetry::trace::SpanId::from_bytes(span.number().to_be_bytes())
}

#[derive(Default)]
struct Attributes(Vec<KeyValue>);

impl Attributes {
    fn add(&mut self, name: &'static str, value: impl Into<Value>) {
        self.0.push(KeyValue::new(name, value));
    }

    fn add_some(&mut self, name: &'static str, value: Option<impl Into<Value>>) {
        if let Some(value) = value {
            self.add(name, value);
        }
    }
}
