//! A collector of OpenTelemetry: OTLP/gRPC served by tonic, OTLP/HTTP by a scripted destination. It keeps what it gets.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_server::{
    MetricsService, MetricsServiceServer,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{ExportMetricsServiceRequest, ExportMetricsServiceResponse};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message as _;
use tokio::net::{TcpListener, TcpStream};
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};

use crate::origin::{Origin, Received, Reply};
use crate::process::run_in;
use crate::pushed::Push;
use crate::tls::{Authority, TlsOrigin, Validity};
use crate::wait::{Gate, eventually};

/// A span as it came.
#[derive(Debug, Clone)]
pub struct KeptSpan {
    /// In hexadecimal digits, as in headers.
    pub trace: String,
    /// In hexadecimal digits.
    pub id: String,
    /// In hexadecimal digits; empty for none.
    pub parent: String,
    /// The `tracestate`.
    pub state: String,
    /// W3C's flags.
    pub flags: u32,
    /// Whether the parent is another's.
    pub remote_parent: bool,
    /// Its name.
    pub name: String,
    /// 2 for a server's, 3 for a client's.
    pub kind: i32,
    /// 2 for an error.
    pub status: i32,
    /// When it began and ended, in nanoseconds after 1970.
    pub times: (u64, u64),
    /// Its attributes as text.
    pub attributes: BTreeMap<String, String>,
    /// Names and times of its events.
    pub events: Vec<(String, u64)>,
    /// What it is of.
    pub resource: BTreeMap<String, String>,
}

impl KeptSpan {
    /// An attribute; empty when there is none.
    pub fn get(&self, name: &str) -> &str {
        self.attributes.get(name).map_or("", String::as_str)
    }

    /// Whether it is the span of a request, not of what a destination was asked.
    pub fn is_server(&self) -> bool {
        self.kind == 2
    }
}

#[derive(Default)]
struct Book {
    spans: Vec<KeptSpan>,
    /// Metrics, by the moment that they are of.
    pushes: BTreeMap<u64, Push>,
    /// Headers of the calls, in lower case.
    headers: Vec<Vec<(String, String)>>,
    /// All bytes of the calls as text, for who looks for what must not be there.
    raw: Vec<u8>,
}

/// A listening collector; ends with the test's process.
pub struct Collector {
    endpoint: String,
    book: Arc<Mutex<Book>>,
    /// Keeps the listening half of one over HTTP.
    _origin: Option<Listening>,
}

enum Listening {
    Plain(#[allow(dead_code, reason = "kept, so that it listens")] Origin),
    Secure(#[allow(dead_code, reason = "kept, so that it listens")] TlsOrigin),
}

impl Collector {
    /// One that speaks OTLP/gRPC.
    pub fn grpc() -> Self {
        let gate = Gate::closed();
        gate.open();
        Self::grpc_behind(gate)
    }

    /// The same; it answers nothing until the gate is open.
    pub fn grpc_behind(gate: Arc<Gate>) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        listener.set_nonblocking(true).unwrap();
        let kept = Grpc { book: Arc::clone(&book), gate };
        let (traces, metrics) = (TraceServiceServer::new(kept.clone()), MetricsServiceServer::new(kept));
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let incoming = TcpIncoming::from(TcpListener::from_std(listener).unwrap());
                Server::builder().add_service(traces).add_service(metrics).serve_with_incoming(incoming).await.unwrap();
            });
        });
        Self { endpoint, book, _origin: None }
    }

    /// One that speaks OTLP/gRPC over TLS, as `localhost`, to who offers HTTP/2.
    pub fn grpc_secure(authority: &Authority) -> Self {
        let plain = Self::grpc();
        let behind: SocketAddr = plain.endpoint.trim_start_matches("http://").parse().unwrap();
        let config = authority.sign(&["localhost"], Validity::Now).server(&[b"h2"]);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let endpoint = format!("https://localhost:{}", listener.local_addr().unwrap().port());
        listener.set_nonblocking(true).unwrap();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(end_tls(tokio_rustls::TlsAcceptor::from(config), listener, behind));
        });
        Self { endpoint, ..plain }
    }

    /// One that speaks OTLP/HTTP.
    pub fn http() -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let kept = Arc::clone(&book);
        let origin = Origin::start(move |request| take(request, &kept));
        let endpoint = format!("http://127.0.0.1:{}", origin.port());
        Self { endpoint, book, _origin: Some(Listening::Plain(origin)) }
    }

    /// The same over TLS, as `localhost`.
    pub fn https(authority: &Authority) -> Self {
        let book = Arc::new(Mutex::new(Book::default()));
        let kept = Arc::clone(&book);
        let certificate = authority.sign(&["localhost"], Validity::Now);
        let origin = TlsOrigin::answering(&certificate, move |request| take(request, &kept));
        let endpoint = format!("https://localhost:{}", origin.origin().port());
        Self { endpoint, book, _origin: Some(Listening::Secure(origin)) }
    }

    /// Its address for the settings.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Everything so far.
    pub fn spans(&self) -> Vec<KeptSpan> {
        self.book.lock().unwrap().spans.clone()
    }

    /// The metrics so far, the newest last.
    pub fn pushes(&self) -> Vec<Push> {
        self.book.lock().unwrap().pushes.values().cloned().collect()
    }

    /// Waits for metrics that fit.
    pub fn push_that(&self, what: &str, fits: impl Fn(&Push) -> bool) -> Push {
        eventually(what, || self.pushes().into_iter().rev().find(&fits))
    }

    /// The headers of each call so far.
    pub fn headers(&self) -> Vec<Vec<(String, String)>> {
        self.book.lock().unwrap().headers.clone()
    }

    /// All that it got, as text.
    pub fn raw(&self) -> String {
        String::from_utf8_lossy(&self.book.lock().unwrap().raw).into_owned()
    }

    /// Waits for the spans of a request, the server's first.
    pub fn of_request(&self, request_id: &str) -> Vec<KeptSpan> {
        eventually("the spans of a request", || {
            let spans = self.spans();
            let request = spans.iter().find(|span| span.get("postern.request_id") == request_id)?.clone();
            let below = spans.into_iter().filter(|span| span.parent == request.id && span.trace == request.trace);
            Some([vec![request.clone()], below.collect()].concat())
        })
    }
}

/// Takes TLS off connections and hands on what is in them.
async fn end_tls(acceptor: tokio_rustls::TlsAcceptor, listener: std::net::TcpListener, behind: SocketAddr) {
    let listener = TcpListener::from_std(listener).unwrap();
    while let Ok((stream, _)) = listener.accept().await {
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            let Ok(mut secure) = acceptor.accept(stream).await else { return };
            assert_eq!(secure.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
            let mut plain = TcpStream::connect(behind).await.unwrap();
            let _ = tokio::io::copy_bidirectional(&mut secure, &mut plain).await;
        });
    }
}

/// One call over HTTP.
fn take(request: &Received, book: &Mutex<Book>) -> Reply {
    if request.header("content-type") != Some("application/x-protobuf") {
        return Reply::Body(415, Vec::new());
    }
    let headers = request.headers.iter().map(|(name, value)| (name.to_ascii_lowercase(), value.clone())).collect();
    match &*request.target {
        "/v1/traces" => match ExportTraceServiceRequest::decode(&*request.body) {
            Ok(message) => note(book, headers, &message),
            Err(_) => return Reply::Body(400, Vec::new()),
        },
        "/v1/metrics" => match ExportMetricsServiceRequest::decode(&*request.body) {
            Ok(message) => note_metrics(book, headers, &message),
            Err(_) => return Reply::Body(400, Vec::new()),
        },
        _ => return Reply::Body(404, Vec::new()),
    }
    // An answer that says nothing of failures is empty, of either kind.
    Reply::Body(200, Vec::new())
}

#[derive(Clone)]
struct Grpc {
    book: Arc<Mutex<Book>>,
    gate: Arc<Gate>,
}

#[tonic::async_trait]
impl TraceService for Grpc {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.gate.pass();
        note(&self.book, headers(&request), request.get_ref());
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tonic::async_trait]
impl MetricsService for Grpc {
    async fn export(
        &self,
        request: Request<ExportMetricsServiceRequest>,
    ) -> Result<Response<ExportMetricsServiceResponse>, Status> {
        self.gate.pass();
        note_metrics(&self.book, headers(&request), request.get_ref());
        Ok(Response::new(ExportMetricsServiceResponse::default()))
    }
}

fn headers<T>(request: &Request<T>) -> Vec<(String, String)> {
    let headers = request.metadata().clone().into_headers();
    headers.iter().map(|(name, value)| (name.to_string(), value.to_str().unwrap_or("").to_owned())).collect()
}

fn note_metrics(book: &Mutex<Book>, headers: Vec<(String, String)>, message: &ExportMetricsServiceRequest) {
    let mut book = book.lock().unwrap();
    book.headers.push(headers);
    book.raw.extend(message.encode_to_vec());
    let at = Push::moment(message);
    book.pushes.entry(at).or_insert_with(|| Push { at, ..Push::default() }).add(message);
}

fn note(book: &Mutex<Book>, headers: Vec<(String, String)>, message: &ExportTraceServiceRequest) {
    let mut book = book.lock().unwrap();
    book.headers.push(headers);
    book.raw.extend(message.encode_to_vec());
    for of_resource in &message.resource_spans {
        let resource = of_resource.resource.as_ref().map(|resource| attributes(&resource.attributes));
        let resource = resource.unwrap_or_default();
        let spans = of_resource.scope_spans.iter().flat_map(|scope| &scope.spans);
        book.spans.extend(spans.map(|span| kept(span, &resource)));
    }
}

fn kept(span: &Span, resource: &BTreeMap<String, String>) -> KeptSpan {
    let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    KeptSpan {
        trace: hex(&span.trace_id),
        id: hex(&span.span_id),
        parent: hex(&span.parent_span_id),
        state: span.trace_state.clone(),
        flags: span.flags & 0xff,
        remote_parent: span.flags & 0x200 != 0,
        name: span.name.clone(),
        kind: span.kind,
        status: span.status.as_ref().map_or(0, |status| status.code),
        times: (span.start_time_unix_nano, span.end_time_unix_nano),
        attributes: attributes(&span.attributes),
        events: span.events.iter().map(|event| (event.name.clone(), event.time_unix_nano)).collect(),
        resource: resource.clone(),
    }
}

/// Attributes as text.
pub(crate) fn attributes(attributes: &[KeyValue]) -> BTreeMap<String, String> {
    attributes.iter().map(|attribute| (attribute.key.clone(), told(attribute.value.as_ref()))).collect()
}

fn told(value: Option<&AnyValue>) -> String {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Value::StringValue(text)) => text.clone(),
        Some(Value::BoolValue(yes)) => yes.to_string(),
        Some(Value::IntValue(number)) => number.to_string(),
        Some(Value::DoubleValue(number)) => number.to_string(),
        other => format!("{other:?}"),
    }
}

/// Settings of the section that mean nothing are told at start, with what is wrong; and files of its collector that are not
/// there, as `failure` names it. `config` is a merged file.
pub fn slips_are_told_at_start(section: &str, slips: &[(&str, &str, &str)], failure: &str, config: &str) {
    let variable = |name: &str| format!("POSTERN_ROUTER_{}__{name}", section.to_uppercase());
    for (name, value, told) in slips {
        let slip = run_in("postern-router", &["serve", "--print-settings"], &[(&variable(name), value)]);
        assert!(slip.code == 2 && slip.err.contains(told), "{name}={value}: {slip:?}");
        assert!(!slip.err.contains("canary-5e1d"), "{slip:?}");
    }
    let (endpoint, missing) = (variable("ENDPOINT"), "/nowhere/headers");
    for name in ["HEADERS_FILE", "CA_FILE"] {
        let environment = [(&*variable(name), missing), (&*endpoint, "https://localhost:1")];
        let arguments = ["serve", "--config", config, "--listen", "127.0.0.1:0", "--admin", "127.0.0.1:0"];
        let slip = run_in("postern-router", &arguments, &environment);
        assert!(slip.code != 0 && slip.err.contains(failure) && slip.err.contains(missing), "{slip:?}");
    }
}
