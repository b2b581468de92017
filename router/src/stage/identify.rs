//! Who asks for what: request id, client address, canonical host and path.
//!
//! The only reader of `Host` and of the forwarding headers. Must never know routes or credentials.

use std::fmt;
use std::net::IpAddr;

use http::header::{HOST, HeaderName};
use http::request::Parts;
use http::{HeaderMap, Method, Version};
use postern_config::limits::PATH_BYTES;
use postern_config::value::{HostName, Network, PathError, canonical_path};
use smallvec::SmallVec;

use crate::reject::{Reason, Rejection};

/// The facts of a connection that a request came over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Arrival {
    /// The other end of the socket.
    pub(crate) peer: IpAddr,
    /// Whether the listener speaks TLS.
    pub(crate) tls: bool,
}

/// Whom to believe about the hops in front; fixed at start.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trust {
    /// Networks of the proxies in front.
    pub(crate) proxies: Vec<Network>,
    /// How many of them a request passes.
    pub(crate) hops: usize,
}

/// The most header fields of a request.
pub(crate) const HEADER_COUNT: usize = 100;
/// The most bytes of all header fields of a request.
pub(crate) const HEADER_BYTES: usize = 24 * 1024;

/// A request that has one reading.
pub(crate) struct Request {
    /// Method, raw target and headers as they came.
    pub(crate) head: Parts,
    /// Names the exchange in logs and answers.
    pub(crate) id: RequestId,
    /// The client, as far as trusted proxies vouch for it.
    pub(crate) client: IpAddr,
    /// What goes into `X-Forwarded-For` in front of the peer: only hops that trusted proxies named.
    pub(crate) vouched: Option<String>,
    /// `https` or `http`, as the client spoke.
    pub(crate) scheme: &'static str,
    /// The host in lower case, without port.
    pub(crate) host: Box<str>,
    /// The canonical path.
    pub(crate) path: RequestPath,
}

/// The canonical path, or as much of it as has one reading.
pub(crate) enum RequestPath {
    /// All of it.
    Canonical(Box<str>),
    /// The whole segments in front of the first ambiguity, and what it was.
    Ambiguous(Box<str>, PathError),
}

impl RequestPath {
    /// Its segments, from the left.
    pub(crate) fn segments(&self) -> SmallVec<[&str; 16]> {
        let (Self::Canonical(path) | Self::Ambiguous(path, _)) = self;
        match path.strip_prefix('/') {
            Some("") | None => SmallVec::new(),
            Some(rest) => rest.split('/').collect(),
        }
    }
}

impl fmt::Display for RequestPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Canonical(path) => f.write_str(path),
            Self::Ambiguous(front, error) => write!(f, "{front}… ({error})"),
        }
    }
}

/// Names an exchange: 32 hexadecimal digits, or what a trusted proxy called it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RequestId(Box<str>);

impl RequestId {
    /// A new one from 128 random bits.
    pub(crate) fn new(random: u128) -> Self {
        Self(format!("{random:032x}").into())
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// What a trusted proxy called it, when that can stand in a log.
    fn trusted(headers: &HeaderMap) -> Option<Self> {
        let text = headers.get(REQUEST_ID)?.to_str().ok()?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
        let usable = (1..=128).contains(&text.len()) && text.bytes().all(fits);
        usable.then(|| Self(text.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The header that names an exchange.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The id of a request: needed also for those that are then refused.
pub(crate) fn request_id(head: &Parts, arrival: Arrival, trust: &Trust, random: u128) -> RequestId {
    match trust.vouches_for(arrival.peer) {
        true => RequestId::trusted(&head.headers).unwrap_or_else(|| RequestId::new(random)),
        false => RequestId::new(random),
    }
}

/// Gives a request its one reading.
///
/// # Errors
/// When it has none or several: 400, 414, 421, 431 or 501.
pub(crate) fn identify(head: Parts, arrival: Arrival, trust: &Trust, id: RequestId) -> Result<Request, Rejection> {
    check_method(&head.method)?;
    check_headers(&head.headers)?;
    let host = host_of(&head)?;
    let raw = head.uri.path_and_query().map_or("", |target| target.as_str());
    if raw.len() > PATH_BYTES {
        return Err(Rejection::new(Reason::PathTooLong, format!("{} bytes", raw.len())));
    }
    let path = read_path(head.uri.path())?;
    let (client, vouched) = trust.client(&head.headers, arrival.peer);
    let scheme = trust.scheme(&head.headers, arrival);
    Ok(Request { id, client, vouched, scheme, host, path, head })
}

fn check_method(method: &Method) -> Result<(), Rejection> {
    match *method {
        Method::CONNECT | Method::TRACE => Err(Rejection::new(Reason::MethodNotSupported, method.to_string())),
        _ => Ok(()),
    }
}

/// `_` and `.` in a name have twins that other software reads as the same header.
fn check_headers(headers: &HeaderMap) -> Result<(), Rejection> {
    if headers.len() > HEADER_COUNT {
        return Err(Rejection::new(Reason::HeadersTooLarge, format!("{} fields", headers.len())));
    }
    let mut bytes = 0;
    for (name, value) in headers {
        bytes += name.as_str().len() + value.len() + 4;
        if name.as_str().bytes().any(|byte| byte == b'_' || byte == b'.') {
            return Err(Rejection::new(Reason::HeaderInvalid, format!("the name {name} has twins")));
        }
    }
    match bytes {
        0..=HEADER_BYTES => Ok(()),
        _ => Err(Rejection::new(Reason::HeadersTooLarge, format!("{bytes} bytes"))),
    }
}

/// The one host of a request, in lower case and without port (RFC 9112 §3.2).
fn host_of(head: &Parts) -> Result<Box<str>, Rejection> {
    let mut fields = head.headers.get_all(HOST).iter();
    let field = match (fields.next(), fields.next()) {
        (Some(field), None) => Some(field.to_str().map_err(|_| Rejection::new(Reason::HostInvalid, "not ASCII"))?),
        (None, _) => None,
        (Some(_), Some(_)) => return Err(Rejection::new(Reason::HostMissing, "more than one Host")),
    };
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let text = match (field, authority) {
        (Some(field), Some(authority)) if !field.eq_ignore_ascii_case(authority) => {
            return Err(Rejection::new(Reason::HostInvalid, "the target names another host than Host"));
        }
        (Some(field), _) => field,
        (None, Some(authority)) if head.version >= Version::HTTP_2 => authority,
        (None, _) => return Err(Rejection::new(Reason::HostMissing, "no Host")),
    };
    let name = match text.rsplit_once(':') {
        Some((name, port)) if !port.is_empty() && port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()) => {
            name
        }
        Some(_) => return Err(Rejection::new(Reason::HostInvalid, "an odd port, or an address")),
        None => text,
    };
    match name.parse::<HostName>() {
        Ok(host) => Ok(host.as_str().into()),
        // An address may be meant as one; it is not a domain that is answered, and the health check has
        // passed before this.
        Err(_) if name.parse::<IpAddr>().is_ok() => Err(Rejection::new(Reason::HostNotListed, "an address")),
        Err(error) => Err(Rejection::new(Reason::HostInvalid, error.to_string())),
    }
}

fn read_path(raw: &str) -> Result<RequestPath, Rejection> {
    match canonical_path(raw.as_bytes()) {
        Ok(path) => Ok(RequestPath::Canonical(path.as_ref().into())),
        Err(PathError::NotAbsolute) => Err(Rejection::new(Reason::BadRequest, "the target is not a path")),
        Err(PathError::TooLong) => Err(Reason::PathTooLong.into()),
        Err(error) => Ok(RequestPath::Ambiguous(unambiguous_front(raw), error)),
    }
}

/// The canonical form of the whole segments in front of the first one that is ambiguous.
fn unambiguous_front(raw: &str) -> Box<str> {
    let mut front = String::new();
    for segment in raw.split('/').skip(1) {
        let longer = format!("{front}/{segment}");
        match canonical_path(longer.as_bytes()) {
            // An empty segment is fine at the end of a path, and this is not the end.
            Ok(canonical) if !segment.is_empty() => front = canonical.into_owned(),
            _ => break,
        }
    }
    if front.is_empty() { "/".into() } else { front.into() }
}

impl Trust {
    fn vouches_for(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(peer))
    }

    /// The client's address, and the hops behind it that may be passed on. Counted from the right, where the
    /// nearest proxy writes; everything a client wrote itself lies to the left and is dropped.
    fn client(&self, headers: &HeaderMap, peer: IpAddr) -> (IpAddr, Option<String>) {
        if self.hops == 0 || !self.vouches_for(peer) {
            return (peer, None);
        }
        let fields = headers.get_all("x-forwarded-for").iter();
        let entries: SmallVec<[&str; 8]> =
            fields.filter_map(|field| field.to_str().ok()).flat_map(|text| text.split(',')).map(str::trim).collect();
        let from = entries.len().saturating_sub(self.hops);
        let named = &entries[from..];
        let parsed: Option<SmallVec<[IpAddr; 8]>> = named.iter().map(|text| parse_hop(text)).collect();
        match parsed.as_deref() {
            Some([client, ..]) => (*client, Some(named.join(", "))),
            _ => (peer, None),
        }
    }

    /// What the client spoke to the outermost trusted proxy.
    fn scheme(&self, headers: &HeaderMap, arrival: Arrival) -> &'static str {
        if self.hops > 0 && self.vouches_for(arrival.peer) {
            // CloudFront removes X-Forwarded-Proto and says it under its own name.
            for name in ["cloudfront-forwarded-proto", "x-forwarded-proto"] {
                match headers.get(name).map(http::HeaderValue::as_bytes) {
                    Some(b"https") => return "https",
                    Some(b"http") => return "http",
                    _ => {}
                }
            }
        }
        if arrival.tls { "https" } else { "http" }
    }
}

/// An address as proxies write it: plain, with a port, or an IPv6 one in brackets.
fn parse_hop(text: &str) -> Option<IpAddr> {
    text.parse()
        .ok()
        .or_else(|| text.parse::<std::net::SocketAddr>().ok().map(|address| address.ip()))
        .or_else(|| text.strip_prefix('[')?.strip_suffix(']')?.parse().ok())
}
