//! Who asks for what: request id, client address, canonical host and path.
//!
//! The only reader of `Host` and of the forwarding headers. Must never know routes or credentials.

use std::borrow::Cow;
use std::fmt;
use std::net::IpAddr;
use std::rc::Rc;

use http::Method;
use postern_config::limits::PATH_BYTES;
use postern_config::value::{HostName, Network, PathError, canonical_path};
use smallvec::SmallVec;

use crate::client_certificate::ClientCertificate;
use crate::http1::twins::is_odd;
use crate::http1::{Fields, RequestHead, text};
use crate::reject::{Reason, Rejection};
use crate::snapshot::HostSet;

/// The facts of a connection that a request came over.
#[derive(Debug, Clone)]
pub(crate) struct Arrival {
    /// The other end of the socket.
    pub(crate) peer: IpAddr,
    /// Whether the listener speaks TLS.
    pub(crate) tls: bool,
    /// The certificate that the client showed there, which was verified.
    pub(crate) certificate: Option<Rc<ClientCertificate>>,
    /// What its listener does with names that have twins.
    pub(crate) odd_names: OddNames,
}

/// What becomes of a header whose name has `_` or `.` in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum OddNames {
    /// Its request is refused.
    #[default]
    Refuse,
    /// It is dropped before anything looks at the request.
    Drop,
    /// It goes on, unless it reads as what the router sets or takes off.
    Pass,
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
    pub(crate) head: Rc<RequestHead>,
    /// Names the exchange in logs and answers.
    pub(crate) id: RequestId,
    /// The client, as far as trusted proxies vouch for it.
    pub(crate) client: IpAddr,
    /// What goes into `X-Forwarded-For` in front of the peer: only hops that trusted proxies named.
    pub(crate) vouched: Option<String>,
    /// `https` or `http`, as the client spoke.
    pub(crate) scheme: &'static str,
    /// The host in lower case, without port.
    pub(crate) host: HostName,
    /// The canonical path.
    pub(crate) path: RequestPath,
    /// Whether there are headers whose names have twins.
    pub(crate) has_odd_names: bool,
}

/// The canonical path, or as much of it as has one reading.
pub(crate) enum RequestPath {
    /// The raw path is the canonical one: the common case.
    Plain,
    /// All of it.
    Canonical(Box<str>),
    /// The whole segments in front of the first ambiguity, and what it was.
    Ambiguous(Box<str>, PathError),
}

impl Request {
    /// The canonical path, or as much of it as has one reading.
    pub(crate) fn path(&self) -> &str {
        match &self.path {
            RequestPath::Plain => self.head.path(),
            RequestPath::Canonical(path) | RequestPath::Ambiguous(path, _) => path,
        }
    }

    /// The host as it was asked for: its case and port are the client's.
    pub(crate) fn asked_host(&self) -> &str {
        self.head.fields().get("host").and_then(text).unwrap_or_default()
    }

    /// Its segments, from the left.
    pub(crate) fn segments(&self) -> SmallVec<[&str; 16]> {
        match self.path().strip_prefix('/') {
            Some("") | None => SmallVec::new(),
            Some(rest) => rest.split('/').collect(),
        }
    }
}

/// Names an exchange: 32 hexadecimal digits, or what a trusted proxy called it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum RequestId {
    /// Made here.
    Made([u8; 32]),
    /// A trusted proxy's word.
    Trusted(Box<str>),
}

impl RequestId {
    /// A new one from 128 random bits.
    pub(crate) fn new(random: u128) -> Self {
        let digit = |place: usize| b"0123456789abcdef"[(random >> (4 * (31 - place)) & 0xf) as usize];
        Self::Made(std::array::from_fn(digit))
    }

    pub(crate) fn as_str(&self) -> &str {
        match self {
            // Digits are ASCII.
            Self::Made(digits) => std::str::from_utf8(digits).unwrap_or_default(),
            Self::Trusted(text) => text,
        }
    }

    /// What a trusted proxy called it, when that can stand in a log.
    fn trusted(fields: &Fields) -> Option<Self> {
        let text = text(fields.get(REQUEST_ID)?)?;
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
        let usable = (1..=128).contains(&text.len()) && text.bytes().all(fits);
        usable.then(|| Self::Trusted(text.into()))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The header that names an exchange.
pub(crate) const REQUEST_ID: &str = "x-request-id";

/// The id of a request: needed also for those that are then refused.
pub(crate) fn request_id(fields: &Fields, arrival: &Arrival, trust: &Trust, random: u128) -> RequestId {
    match trust.vouches_for(arrival.peer) {
        true => RequestId::trusted(fields).unwrap_or_else(|| RequestId::new(random)),
        false => RequestId::new(random),
    }
}

/// A head without the headers whose names have twins, where the listener wants them dropped. Comes in front of
/// [`identify`], which refuses what would be left.
pub(crate) fn without_odd_names(mut head: RequestHead, arrival: &Arrival) -> RequestHead {
    if arrival.odd_names == OddNames::Drop {
        head.drop_named(is_odd);
    }
    head
}

/// Gives a request its one reading.
///
/// # Errors
/// When it has none or several: 400, 414, 421, 431 or 501.
pub(crate) fn identify(
    head: Rc<RequestHead>,
    arrival: &Arrival,
    trust: &Trust,
    hosts: &HostSet,
    id: RequestId,
) -> Result<Request, Rejection> {
    check_method(head.method())?;
    let has_odd_names = check_fields(head.fields(), arrival.odd_names)?;
    let host = host_of(&head, hosts)?;
    if head.target().len() > PATH_BYTES {
        return Err(Rejection::new(Reason::PathTooLong, format!("{} bytes", head.target().len())));
    }
    let path = read_path(head.path())?;
    let (client, vouched) = trust.client(head.fields(), arrival.peer);
    let scheme = trust.scheme(head.fields(), arrival);
    Ok(Request { id, client, vouched, scheme, host, path, head, has_odd_names })
}

/// The certificate of the client that the load balancer in front says to have verified, as it relays it (AWS,
/// "Mutual authentication with TLS in Application Load Balancer"). From a peer that is no trusted proxy it is a client's
/// own words, and two of them are nobody's.
pub(crate) fn relayed_certificate<'r>(request: &'r Request, arrival: &Arrival, trust: &Trust) -> Option<&'r [u8]> {
    if trust.hops == 0 || !trust.vouches_for(arrival.peer) {
        return None;
    }
    let mut values = request.head.fields().all(RELAYED_CERTIFICATE);
    let only = values.next()?;
    if values.next().is_some() { None } else { Some(only) }
}

/// What a load balancer writes in verify mode. In passthrough mode it verifies nothing, and names its header otherwise.
const RELAYED_CERTIFICATE: &str = "x-amzn-mtls-clientcert-leaf";

fn check_method(method: &Method) -> Result<(), Rejection> {
    match *method {
        Method::CONNECT | Method::TRACE => Err(Rejection::new(Reason::MethodNotSupported, method.to_string())),
        _ => Ok(()),
    }
}

/// Refuses what is too much, and names with twins unless they may go on; says whether there are any.
fn check_fields(fields: &Fields, odd_names: OddNames) -> Result<bool, Rejection> {
    if fields.len() > HEADER_COUNT {
        return Err(Rejection::new(Reason::HeadersTooLarge, format!("{} fields", fields.len())));
    }
    let (mut bytes, mut has_odd_names) = (0, false);
    for (name, value) in fields.iter() {
        bytes += name.len() + value.len() + 4;
        if is_odd(name) {
            has_odd_names = true;
            if odd_names != OddNames::Pass {
                let why = format!("the name {} has twins", String::from_utf8_lossy(name));
                return Err(Rejection::new(Reason::HeaderInvalid, why));
            }
        }
    }
    match bytes {
        0..=HEADER_BYTES => Ok(has_odd_names),
        _ => Err(Rejection::new(Reason::HeadersTooLarge, format!("{bytes} bytes"))),
    }
}

/// The one host of a request, in lower case and without port (RFC 9112 §3.2).
fn host_of(head: &RequestHead, hosts: &HostSet) -> Result<HostName, Rejection> {
    let mut values = head.fields().all("host");
    let value = match (values.next(), values.next()) {
        (Some(value), None) => text(value).ok_or_else(|| Rejection::new(Reason::HostInvalid, "not ASCII"))?,
        (None, _) => return Err(Rejection::new(Reason::HostMissing, "no Host")),
        (Some(_), Some(_)) => return Err(Rejection::new(Reason::HostMissing, "more than one Host")),
    };
    if head.authority().is_some_and(|authority| !value.eq_ignore_ascii_case(authority)) {
        return Err(Rejection::new(Reason::HostInvalid, "the target names another host than Host"));
    }
    if let Some(known) = hosts.known(value) {
        return Ok(known);
    }
    let name = match value.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok_and(|n| n > 0) && port.len() <= 5 && !port.starts_with('+') => {
            name
        }
        Some(_) => return Err(Rejection::new(Reason::HostInvalid, "an odd port, or an address")),
        None => value,
    };
    match name.parse::<HostName>() {
        Ok(host) => Ok(host),
        // An address may be meant as one; it is not a domain that is answered, and the health check has
        // passed before this.
        Err(_) if name.parse::<IpAddr>().is_ok() => Err(Rejection::new(Reason::HostNotListed, "an address")),
        Err(error) => Err(Rejection::new(Reason::HostInvalid, error.to_string())),
    }
}

fn read_path(raw: &str) -> Result<RequestPath, Rejection> {
    match canonical_path(raw.as_bytes()) {
        Ok(Cow::Borrowed(_)) => Ok(RequestPath::Plain),
        Ok(Cow::Owned(path)) => Ok(RequestPath::Canonical(path.into())),
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
    /// Whether somebody is a proxy in front.
    pub(crate) fn vouches_for(&self, peer: IpAddr) -> bool {
        self.proxies.iter().any(|network| network.contains(peer))
    }

    /// The client's address, and the hops behind it that may be passed on. Counted from the right, where the
    /// nearest proxy writes; everything a client wrote itself lies to the left and is dropped.
    fn client(&self, fields: &Fields, peer: IpAddr) -> (IpAddr, Option<String>) {
        if self.hops == 0 || !self.vouches_for(peer) {
            return (peer, None);
        }
        let values = fields.all("x-forwarded-for").filter_map(text);
        let entries: SmallVec<[&str; 8]> = values.flat_map(|text| text.split(',')).map(str::trim).collect();
        let from = entries.len().saturating_sub(self.hops);
        let named = &entries[from..];
        let parsed: Option<SmallVec<[IpAddr; 8]>> = named.iter().map(|text| parse_hop(text)).collect();
        match parsed.as_deref() {
            Some([client, ..]) => (*client, Some(named.join(", "))),
            _ => (peer, None),
        }
    }

    /// What the client spoke to the outermost trusted proxy.
    fn scheme(&self, fields: &Fields, arrival: &Arrival) -> &'static str {
        if self.hops > 0 && self.vouches_for(arrival.peer) {
            // CloudFront removes X-Forwarded-Proto and says it under its own name.
            for name in ["cloudfront-forwarded-proto", "x-forwarded-proto"] {
                match fields.get(name) {
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
