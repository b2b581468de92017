//! The heads on their way through: what is taken off, what the router writes, and the forwarded target.
//!
//! The only writer of forwarding and identity headers. Order matters: hop-by-hop headers and those that
//! `Connection` names go first, then everything the router could set, then the router's own are written, so
//! that nothing a client sends can take one of them off or stand in its place.
//! Must never know bodies, or whether a request may pass.

use std::borrow::Cow;
use std::net::IpAddr;

use http::{HeaderMap, HeaderName};
use smallvec::SmallVec;

use super::identify::{REQUEST_ID, Request, RequestId};
use crate::buffer::Buffer;
use crate::digits;
use crate::http1::twins::{is_odd, plain};
use crate::http1::{Fields, Framing, Outbound, RequestHead, ResponseHead, Version, write_field};
use crate::place::{self, TokenPlace};
use crate::rights::{Kind, Verdict};
use crate::snapshot::{ClaimPath, PathPart, PathPlan, RoutePlan, Target};
use crate::trace::{HEADERS, Onward};

/// What the router writes of its own into a request's head, or about.
const OWN: usize = 384;

/// The head as the destination gets it, written in one pass. `upgrade` asks it for a WebSocket, whatever is left of the
/// client's own words for that; tokens at the places in `off` are taken off; `identity_token` is the router's own; `traced` says
/// what is told of the trace, where that is kept; `claim` gives the value of a claim of the caller.
#[allow(clippy::too_many_arguments, reason = "each is another stage's result, and has one caller")]
pub(crate) fn request<'p>(
    request: &Request,
    peer: IpAddr,
    route: &RoutePlan,
    target: &Target,
    settable: &[HeaderName],
    upgrade: bool,
    off: &(impl Iterator<Item = &'p TokenPlace> + Clone),
    identity_token: Option<&str>,
    traced: Option<&Onward<'_>>,
    claim: impl Fn(&ClaimPath) -> Option<String>,
) -> Outbound {
    let Request { head, id, vouched, scheme, host, has_odd_names, .. } = request;
    // A connection with many requests at once keeps no more than it must for each.
    let mut out = match head.version() {
        Version::Http2 => Buffer::exact(head.size() + OWN),
        Version::Http10 | Version::Http11 => Buffer::small(),
    };
    out.extend_from_slice(head.method().as_str().as_bytes());
    out.push(b' ');
    write_target(&mut out, request, route, target, off);
    out.extend_from_slice(b" HTTP/1.1\r\n");
    out.extend_from_slice(target.destination.host_line());
    let named = named_by_connection(head.fields());
    let taken_off = |name: &[u8]| {
        is_hop_by_hop(name)
            || is_never_forwarded(name)
            || is_named(name, settable.iter().map(HeaderName::as_str))
            || is_named(name, named.iter().copied())
            || off.clone().any(|place| place.takes_off(name))
            || traced.is_some_and(|traced| traced.takes_off(name))
    };
    head.fields().write_kept(&mut out, kept(*has_odd_names, taken_off));
    place::write_cookies(&mut out, head.fields(), off);
    write_field(&mut out, REQUEST_ID.as_bytes(), id.as_str().as_bytes());
    out.extend_from_slice(b"x-forwarded-for: ");
    if let Some(vouched) = vouched {
        out.extend_from_slice(vouched.as_bytes());
        out.extend_from_slice(b", ");
    }
    digits::address(&mut out, peer);
    let rest: &[u8] = match *scheme {
        "https" => b"\r\nvia: 1.1 postern\r\nx-forwarded-proto: https\r\nx-forwarded-host: ",
        _ => b"\r\nvia: 1.1 postern\r\nx-forwarded-proto: http\r\nx-forwarded-host: ",
    };
    out.extend_from_slice(rest);
    out.extend_from_slice(host.as_str().as_bytes());
    out.extend_from_slice(b"\r\n");
    for (name, path) in &route.identity_headers {
        if let Some(value) = claim(path) {
            write_field(&mut out, name.as_str().as_bytes(), value.as_bytes());
        }
    }
    if let (Some(plan), Some(token)) = (&route.identity_token, identity_token) {
        write_field(&mut out, plan.header.as_str().as_bytes(), token.as_bytes());
    }
    if let Some(traced) = traced {
        traced.write(&mut out);
    }
    if upgrade {
        out.extend_from_slice(b"connection: upgrade\r\nupgrade: websocket\r\n");
    }
    let mut outbound = Outbound::new(out, head.method().clone(), upgrade);
    outbound.te_trailers = head.version() == Version::Http2 && head.lists("te", "trailers");
    if head.version() == Version::Http2 && head.framing() != Framing::None {
        let traces = traced.map_or(&[][..], |_| &HEADERS);
        outbound.barred = settable.iter().chain(traces).cloned().collect();
    }
    outbound
}

/// Which names go on: where some have twins and may, each goes the way of what others read it as.
fn kept(has_odd_names: bool, taken_off: impl Fn(&[u8]) -> bool) -> impl FnMut(&[u8]) -> bool {
    move |name| !taken_off(name) && (!has_odd_names || !is_odd(name) || !taken_off(&plain(name)))
}

/// Which headers would tell the destination who calls, where that is only tried out: their names, never what would stand
/// there. `claim` gives the value of a claim of the caller.
pub(crate) fn kept_back(route: &RoutePlan, claim: impl Fn(&ClaimPath) -> Option<String>) -> Option<Verdict> {
    let would_be = route.identity_headers_tried.iter().filter(|(_, path)| claim(path).is_some());
    let names: SmallVec<[&str; 4]> = would_be.map(|(name, _)| name.as_str()).collect();
    (!names.is_empty()).then(|| Verdict::kept_back(Kind::IdentityHeaders, names.join(", ")))
}

/// Whether a header arrives as the client sent it: what is taken off or written anew does not.
pub(crate) fn arrives(head: &RequestHead, settable: &[HeaderName], name: &str) -> bool {
    let named = named_by_connection(head.fields());
    let is_ours =
        |name: &[u8]| is_named(name, settable.iter().map(HeaderName::as_str)) || is_named(name, named.iter().copied());
    let goes_on = |name: &[u8]| !is_hop_by_hop(name) && !is_never_forwarded(name) && !is_ours(name);
    let bytes = name.as_bytes();
    if is_odd(bytes) && head.fields().get(name).is_none() {
        // Its listener dropped it.
        return false;
    }
    // The same length is written again.
    let same_length = matches!(head.framing(), Framing::Length(_)) && name == "content-length" && !is_ours(bytes);
    same_length || (goes_on(bytes) && (!is_odd(bytes) || goes_on(&plain(bytes))))
}

/// The target as the destination gets it when no token is taken off.
pub(crate) fn target<'r>(request: &'r Request, route: &RoutePlan, target: &Target) -> Cow<'r, str> {
    if matches!(route.path, PathPlan::Keep) && target.prefix.is_empty() {
        return Cow::Borrowed(request.head.target());
    }
    let mut out = Vec::new();
    write_target(&mut out, request, route, target, &std::iter::empty::<&TokenPlace>());
    // Raw paths and prefixes are ASCII.
    Cow::Owned(String::from_utf8_lossy(&out).into_owned())
}

/// Takes off a client's trailers what a destination would believe of a head, and every name with a twin, whatever its
/// listener says of heads. What only some snapshot's router writes is taken off where that is known.
pub(crate) fn request_trailers(trailers: &mut HeaderMap) {
    remove(trailers, |name| {
        is_hop_by_hop(name) || is_never_forwarded(name) || is_odd(name) || is_named(name, END_TO_END.into_iter())
    });
}

/// Takes off a destination's trailers what it may not say to a client.
pub(crate) fn response_trailers(trailers: &mut HeaderMap) {
    remove(trailers, |name| !passes_down(name));
}

fn remove(trailers: &mut HeaderMap, taken_off: impl Fn(&[u8]) -> bool) {
    let names: SmallVec<[HeaderName; 4]> =
        trailers.keys().filter(|name| taken_off(name.as_str().as_bytes())).cloned().collect();
    for name in names {
        trailers.remove(name);
    }
}

/// The fields as the client gets them, but for those of framing, which belong to the connection. `each` is told the
/// names of those that are passed on.
pub(crate) fn response(head: &ResponseHead, id: &RequestId, out: &mut Vec<u8>, mut each: impl FnMut(&[u8])) {
    let named = named_by_connection(head.fields());
    head.fields().write_kept(out, |name| {
        let passes = passes_down(name) && !is_named(name, named.iter().copied());
        if passes {
            each(name);
        }
        passes
    });
    write_field(out, REQUEST_ID.as_bytes(), id.as_str().as_bytes());
}

/// The same for a protocol that does not write lines.
pub(crate) fn response_fields(head: &ResponseHead, id: &RequestId, mut emit: impl FnMut(&[u8], &[u8])) {
    let named = named_by_connection(head.fields());
    for (name, value) in head.fields().iter() {
        if passes_down(name) && !is_named(name, named.iter().copied()) {
            emit(name, value);
        }
    }
    emit(REQUEST_ID.as_bytes(), id.as_str().as_bytes());
}

/// Only the router says why the router refused; and where else a destination is to be had is its own affair.
fn passes_down(name: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let router_s_own = match name.len() {
        7 => is("alt-svc"),
        12 => is(REQUEST_ID),
        14 => is("content-length"),
        16 => is("x-postern-reason"),
        _ => false,
    };
    !router_s_own && !is_hop_by_hop(name)
}

fn is_named<'n>(name: &[u8], mut names: impl Iterator<Item = &'n str>) -> bool {
    names.any(|other| other.len() == name.len() && other.as_bytes().eq_ignore_ascii_case(name))
}

/// What `Connection` names is for the next hop alone (RFC 9110 §7.6.1), but host, length and credentials are
/// end-to-end whatever anybody says of them.
fn named_by_connection(fields: &Fields) -> SmallVec<[&str; 4]> {
    fields
        .all("connection")
        .filter_map(|value| std::str::from_utf8(value).ok())
        .flat_map(|text| text.split(','))
        .map(str::trim)
        .filter(|name| !name.is_empty() && !is_named(name.as_bytes(), END_TO_END.into_iter()))
        .collect()
}

const END_TO_END: [&str; 6] = ["host", "content-length", "content-type", "authorization", "cookie", "cache-control"];

/// Hop-by-hop fields (RFC 9110 §7.6.1), by length: most names are told apart by that alone.
fn is_hop_by_hop(name: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    match name.len() {
        2 => is("te"),
        7 => is("upgrade") || is("trailer"),
        10 => is("connection") || is("keep-alive"),
        14 => is("http2-settings"),
        16 => is("proxy-connection"),
        17 => is("transfer-encoding"),
        18 => is("proxy-authenticate"),
        19 => is("proxy-authorization"),
        25 => is("proxy-authentication-info"),
        _ => false,
    }
}

/// What the router writes itself, what a client could choose an API, a method or a path with, and what only proxies
/// in front may say (`aws.md` §1, `threats.md` §7).
fn is_never_forwarded(name: &[u8]) -> bool {
    let is = |other: &str| name.eq_ignore_ascii_case(other.as_bytes());
    let begins =
        |start: &str| name.get(..start.len()).is_some_and(|front| front.eq_ignore_ascii_case(start.as_bytes()));
    let listed = match name.len() {
        4 => is("host"),
        6 => is("expect"),
        9 => is("forwarded") || is("x-real-ip"),
        // RFC 9440 §2.4: only who ended TLS says whose certificate it saw.
        11 => is("client-cert"),
        12 => is(REQUEST_ID),
        13 => is("x-rewrite-url") || is("x-http-method"),
        14 => is("content-length") || is("x-apigw-api-id") || is("x-original-url"),
        15 => is("x-original-host"),
        16 => is("x-postern-reason"),
        17 => is("x-method-override") || is("client-cert-chain"),
        18 => is("x-postern-identity"),
        22 => is("x-http-method-override"),
        _ => false,
    };
    listed
        || (begins("x-")
            && (begins("x-forwarded-") || begins("x-envoy-") || begins("x-amzn-oidc-") || begins("x-amzn-mtls-")))
}

/// The target as the destination gets it: the raw path, but for what the route replaces, and the raw query, but for
/// tokens.
fn write_target<'p>(
    out: &mut Vec<u8>,
    request: &Request,
    route: &RoutePlan,
    target: &Target,
    off: &(impl Iterator<Item = &'p TokenPlace> + Clone),
) {
    let start = out.len();
    let raw_path = request.head.path();
    out.extend_from_slice(target.prefix.as_bytes());
    match &route.path {
        PathPlan::Keep => out.extend_from_slice(raw_path.as_bytes()),
        PathPlan::ReplaceRoot { segments, with } => {
            out.extend_from_slice(with.as_bytes());
            out.extend_from_slice(behind(raw_path, *segments).as_bytes());
        }
        PathPlan::Template(parts) => {
            for part in parts {
                match part {
                    PathPart::Literal(literal) => out.extend_from_slice(literal.as_bytes()),
                    PathPart::Segment(index) => {
                        out.push(b'/');
                        out.extend_from_slice(raw_path.split('/').nth(index + 1).unwrap_or_default().as_bytes());
                    }
                    PathPart::Rest(index) => out.extend_from_slice(behind(raw_path, *index).as_bytes()),
                }
            }
        }
    }
    if out.len() == start {
        out.push(b'/');
    }
    if let Some(query) = request.head.query() {
        place::write_query(out, query, off);
    }
}

/// What stands behind that many segments of a raw path: empty, or beginning with `/`. A path with one reading
/// has the same segments raw and canonical, so raw ones can be counted.
fn behind(raw_path: &str, segments: usize) -> &str {
    match raw_path.match_indices('/').nth(segments) {
        Some((at, _)) => &raw_path[at..],
        None => "",
    }
}
