//! The heads on their way through: what is taken off, what the router writes, and the forwarded target.
//!
//! The only writer of forwarding and identity headers. Order matters: hop-by-hop headers and those that
//! `Connection` names go first, then everything the router could set, then the router's own are written, so
//! that nothing a client sends can take one of them off or stand in its place.
//! Must never know bodies, or whether a request may pass.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Uri, Version, response};

use super::identify::{REQUEST_ID, Request, RequestId};
use crate::reject::{Reason, Rejection};
use crate::snapshot::{ClaimPath, PathPart, PathPlan, RoutePlan, Target};

/// The head as the destination gets it. `claim` gives the value of a claim of the caller.
///
/// # Errors
/// When the rewritten target is no target: an internal failure, since every part was checked.
pub(crate) fn request(
    request: Request,
    peer: std::net::IpAddr,
    route: &RoutePlan,
    target: &Target,
    settable: &[HeaderName],
    claim: impl Fn(&ClaimPath) -> Option<String>,
) -> Result<Parts, Rejection> {
    let uri = forwarded_target(&request, route, target)?;
    let Request { mut head, id, vouched, scheme, host, .. } = request;
    let headers = &mut head.headers;
    let carries_trailers = accepts_trailers(headers);
    remove_hop_by_hop(headers);
    for name in NEVER_FORWARDED {
        headers.remove(name);
    }
    remove_families(headers);
    for name in settable {
        headers.remove(name);
    }
    if carries_trailers {
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
    }
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::HOST, target.destination.host().clone());
    write(headers, REQUEST_ID, id.as_str());
    let chain = match vouched {
        Some(vouched) => format!("{vouched}, {peer}"),
        None => peer.to_string(),
    };
    write(headers, FORWARDED_FOR, &chain);
    headers.insert(FORWARDED_PROTO, HeaderValue::from_static(scheme));
    write(headers, FORWARDED_HOST, &host);
    headers.append(header::VIA, HeaderValue::from_static("1.1 postern"));
    for (name, path) in &route.identity_headers {
        if let Some(value) = claim(path) {
            write(headers, name.clone(), &value);
        }
    }
    head.uri = uri;
    head.version = Version::HTTP_11;
    head.extensions = http::Extensions::new();
    Ok(head)
}

/// The head as the client gets it.
pub(crate) fn response(head: &mut response::Parts, id: &RequestId) {
    let headers = &mut head.headers;
    remove_hop_by_hop(headers);
    // Only the router says why the router refused; and where else a destination is to be had is its own affair.
    headers.remove(crate::reject::REASON_HEADER);
    headers.remove(header::ALT_SVC);
    write(headers, REQUEST_ID, id.as_str());
    head.version = Version::HTTP_11;
    head.extensions = http::Extensions::new();
}

/// Hop-by-hop headers (RFC 9110 §7.6.1), those that `Connection` names among them.
fn remove_hop_by_hop(headers: &mut HeaderMap) {
    if headers.contains_key(header::CONNECTION) {
        let named: Vec<HeaderName> = headers
            .get_all(header::CONNECTION)
            .iter()
            .filter_map(|value| value.to_str().ok())
            .flat_map(|text| text.split(','))
            .filter_map(|name| name.trim().parse().ok())
            .collect();
        // Host, length and credentials are end-to-end whatever a client says of them.
        for name in named.iter().filter(|name| !END_TO_END.contains(name)) {
            headers.remove(name);
        }
    }
    for name in &HOP_BY_HOP {
        headers.remove(name);
    }
}

const HOP_BY_HOP: [HeaderName; 11] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("http2-settings"),
    HeaderName::from_static("proxy-authentication-info"),
    header::TRAILER,
];

const END_TO_END: [HeaderName; 6] = [
    header::HOST,
    header::CONTENT_LENGTH,
    header::CONTENT_TYPE,
    header::AUTHORIZATION,
    header::COOKIE,
    header::CACHE_CONTROL,
];

/// What a client could choose an API, a method or a path with, or pass itself off as a proxy
/// (`aws.md` §1, `threats.md` §7).
const NEVER_FORWARDED: [&str; 11] = [
    "x-apigw-api-id", "x-http-method-override", "x-http-method", "x-method-override", "x-original-url",
    "x-rewrite-url", "x-original-host", "x-real-ip", "forwarded", "expect", "x-postern-reason",
];

/// Whole families of headers that only proxies in front may speak in.
fn remove_families(headers: &mut HeaderMap) {
    let is_family = |name: &HeaderName| {
        let name = name.as_str();
        name.starts_with("x-forwarded-") || name.starts_with("x-envoy-") || name.starts_with("x-amzn-oidc-")
    };
    let named: smallvec::SmallVec<[HeaderName; 8]> = headers.keys().filter(|name| is_family(name)).cloned().collect();
    for name in named {
        headers.remove(name);
    }
}

/// `TE: trailers` says that trailers are not lost on the way here; gRPC asks for it.
fn accepts_trailers(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).iter();
    values
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .any(|one| one.trim().eq_ignore_ascii_case("trailers"))
}

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

fn write(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// The target as the destination gets it: the raw path, but for what the route replaces, and the raw query.
fn forwarded_target(request: &Request, route: &RoutePlan, target: &Target) -> Result<Uri, Rejection> {
    let raw = request.head.uri.path_and_query();
    if target.prefix.is_empty() && matches!(route.path, PathPlan::Keep) {
        // Byte for byte and without a copy; a signature over the path holds.
        let kept = raw.cloned().unwrap_or_else(|| PathAndQuery::from_static("/"));
        return Ok(Uri::from(kept));
    }
    let raw_path = request.head.uri.path();
    let mut text = String::with_capacity(target.prefix.len() + raw_path.len() + 64);
    text.push_str(&target.prefix);
    match &route.path {
        PathPlan::Keep => text.push_str(raw_path),
        PathPlan::ReplaceRoot { segments, with } => {
            text.push_str(with);
            text.push_str(behind(raw_path, *segments));
        }
        PathPlan::Template(parts) => {
            for part in parts {
                match part {
                    PathPart::Literal(literal) => text.push_str(literal),
                    PathPart::Segment(index) => {
                        text.push('/');
                        text.push_str(raw_path.split('/').nth(index + 1).unwrap_or_default());
                    }
                    PathPart::Rest(index) => text.push_str(behind(raw_path, *index)),
                }
            }
        }
    }
    if text.is_empty() {
        text.push('/');
    }
    if let Some(query) = request.head.uri.query() {
        text.push('?');
        text.push_str(query);
    }
    text.parse::<PathAndQuery>()
        .map(Uri::from)
        .map_err(|error| Rejection::new(Reason::Internal, format!("the rewritten target is none: {error}")))
}

/// What stands behind that many segments of a raw path: empty, or beginning with `/`. A path with one reading
/// has the same segments raw and canonical, so raw ones can be counted.
fn behind(raw_path: &str, segments: usize) -> &str {
    match raw_path.match_indices('/').nth(segments) {
        Some((at, _)) => &raw_path[at..],
        None => "",
    }
}
