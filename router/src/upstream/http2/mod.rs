//! HTTP/2 with destinations: many exchanges on few connections (RFC 9113).
//!
//! Owns the translation of heads into the library's form and back, and what the library's errors mean. Assumes that
//! the head is already what the destination shall see. Must never know the client's Host or URI.

mod body;
mod exchange;
mod sessions;
mod upload;

use http::header::{CONNECTION, HeaderName, HeaderValue, TE, TRANSFER_ENCODING};
use http::uri::{Authority, PathAndQuery, Scheme};
use http::{HeaderMap, Method, Request, StatusCode, Uri, Version};

pub(super) use self::body::OverHttp2;
pub(super) use self::exchange::Reached;
pub(super) use self::sessions::Sessions;

use self::sessions::{Look, Slot};

use super::tls;
use crate::http1::{FIELDS, Fields, Flaw, Framing, Outbound, RequestHead, ResponseHead, content_length};
use crate::reject::{Reason, Rejection};
use crate::snapshot::Destination;

/// A request's head as it is sent, as often as need be.
struct Sending {
    head: RequestHead,
    te_trailers: bool,
    /// Fields that only the router sets, so no trailer of the client's may carry them.
    barred: Box<[HeaderName]>,
}

impl Sending {
    /// Reads the head that was written for HTTP/1: so both protocols carry the same, in the same one reading.
    fn new(mut outbound: Outbound, framing: Framing) -> Result<Self, Rejection> {
        let (te_trailers, barred) = (outbound.te_trailers, std::mem::take(&mut outbound.barred));
        let head = RequestHead::parse(&outbound.framed(framing))?;
        Ok(Self { head, te_trailers, barred })
    }

    fn request(&self, destination: &Destination) -> Result<Request<()>, Rejection> {
        let mut request = Request::new(());
        *request.method_mut() = self.head.method().clone();
        *request.version_mut() = Version::HTTP_2;
        *request.uri_mut() = uri(self.head.target(), destination)?;
        let headers = request.headers_mut();
        headers.reserve(self.head.fields().len());
        for (name, value) in self.head.fields().iter() {
            let (Ok(name), Ok(value)) = (HeaderName::from_bytes(name), HeaderValue::from_bytes(value)) else {
                return Err(Flaw::Field.into());
            };
            // What the name of the destination and the end of the body are is said elsewhere (RFC 9113 §8.2.2, §8.3.1).
            if ![http::header::HOST, TRANSFER_ENCODING, CONNECTION].contains(&name) {
                headers.append(name, value);
            }
        }
        if self.te_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        Ok(request)
    }

    /// Trailers as they may go up: nothing that stands in the head, or that only the router writes there.
    fn trailers(&self, trailers: &HeaderMap) -> HeaderMap {
        let head = self.head.fields();
        let may_pass = |name: &HeaderName| !self.barred.contains(name) && head.get(name.as_str()).is_none();
        let passing = trailers.iter().filter(|(name, _)| may_pass(name)).take(FIELDS);
        passing.map(|(name, value)| (name.clone(), value.clone())).collect()
    }
}

fn uri(target: &str, destination: &Destination) -> Result<Uri, Rejection> {
    let mut parts = http::uri::Parts::default();
    parts.scheme = Some(if destination.tls().is_some() { Scheme::HTTPS } else { Scheme::HTTP });
    parts.authority = Some(Authority::try_from(destination.host().as_bytes()).map_err(|_| Flaw::Target)?);
    parts.path_and_query = Some(PathAndQuery::try_from(target).map_err(|_| Flaw::Target)?);
    Ok(Uri::from_parts(parts).map_err(|_| Flaw::Target)?)
}

/// An answer's head in the form that the rest knows; `ended` when nothing follows it.
fn response_head(parts: &http::response::Parts, method: &Method, ended: bool) -> Result<ResponseHead, Rejection> {
    let malformed = |flaw: Flaw| Rejection::new(Reason::DestinationProtocol, flaw.to_string());
    if parts.headers.len() > FIELDS {
        return Err(malformed(Flaw::TooManyFields));
    }
    let mut fields = Fields::default();
    for (name, value) in &parts.headers {
        if !fields.push(name.as_str(), value.as_bytes()) {
            return Err(malformed(Flaw::HeadTooLarge));
        }
    }
    let length = content_length(&fields).map_err(malformed)?;
    let bodiless =
        ended || *method == Method::HEAD || matches!(parts.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let framing = match length {
        _ if bodiless => Framing::None,
        Some(0) => Framing::None,
        Some(length) => Framing::Length(length),
        None => Framing::Chunked,
    };
    Ok(ResponseHead::from_parts(parts.status, fields, framing))
}

/// What an error of the library means for the exchange.
fn rejection(error: &h2::Error) -> Rejection {
    let reason = match error.get_io() {
        // TLS 1.3 refuses a client certificate only after the handshake.
        Some(io) if tls::tls_error(io).is_some() => Reason::TlsFailed,
        Some(_) => Reason::DestinationReset,
        // What the library resets by itself, it does for the peer's fault.
        None if error.is_library() => Reason::DestinationProtocol,
        None if error.reason() == Some(h2::Reason::HTTP_1_1_REQUIRED) => Reason::DestinationProtocol,
        None => Reason::DestinationReset,
    };
    Rejection::new(reason, error.to_string())
}

/// Whether the destination says that it did nothing (RFC 9113 §8.7): the stream was refused, or lies beyond the
/// last one that a connection which is going away took.
fn is_unprocessed(error: &h2::Error) -> bool {
    let refused = error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM);
    error.is_remote() && (error.is_go_away() || refused)
}
