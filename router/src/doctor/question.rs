//! The request that a route is visited with: made from the route where nobody gave one, and turned into what its
//! destinations get by the same stages as serving.
//!
//! A request that nobody gave changes nothing (RFC 9110 §9.2.1): `GET`, because a method and path that a private API does
//! not have look like a refusal there, and `GET` is the one that most paths have. Credentials are only those that were
//! given. Must never send anything.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use postern_config::document::{Destination as Entry, Roots};
use postern_config::route::Route;
use postern_config::value::{HostPattern, Method, Segment};

use super::{Place, ROUTE, Step, Trust};
use crate::explain::Asked;
use crate::http1::{Flaw, Framing, Outbound, RequestHead};
use crate::manual;
use crate::place::TokenPlace;
use crate::reject::Rejection;
use crate::snapshot::table::Passed;
use crate::snapshot::{RoutePlan, Snapshot, Target};
use crate::stage::authenticate::{AskedFor, Signed, Way};
use crate::stage::find::find;
use crate::stage::identify::{Arrival, OddNames, Request, RequestId, Trust as Hops, identify};
use crate::stage::transform;

/// Where a visit comes from, as destinations are told.
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// The method of a visit: the one that was asked for, or one that changes nothing and that the route takes.
pub(crate) fn method<'m>(asked: Option<&'m str>, takes: &[Method]) -> &'m str {
    let harmless = ["GET", "HEAD", "OPTIONS"];
    let taken = |method: &&&str| takes.is_empty() || takes.iter().any(|one| one.as_str() == **method);
    asked.unwrap_or_else(|| harmless.iter().find(taken).copied().unwrap_or("GET"))
}

/// Whether a method changes nothing.
pub(crate) fn is_harmless(method: &str) -> bool {
    matches!(method, "GET" | "HEAD" | "OPTIONS")
}

/// `METHOD URL` that a route answers, with the headers that it asks for.
pub(crate) fn line(route: &Route, hosts: &[HostPattern], method: &str, path: Option<&str>) -> (String, Vec<String>) {
    let matching = &route.matching;
    let among = if matching.hosts.is_empty() { hosts } else { &matching.hosts };
    let exact = among.iter().find(|host| matches!(host, HostPattern::Exact(_)));
    let host = match exact.or(among.first()) {
        Some(HostPattern::Exact(host)) => host.to_string(),
        Some(HostPattern::Wildcard(parent)) => format!("doctor.{parent}"),
        None => "localhost".to_owned(),
    };
    let path = path.map_or_else(|| some_path(route), str::to_owned);
    let pairs: Vec<String> =
        matching.query.iter().map(|(name, value)| format!("{}={}", escaped(name), escaped(value))).collect();
    let query = match (pairs.is_empty(), path.contains('?')) {
        (true, _) => String::new(),
        (false, false) => format!("?{}", pairs.join("&")),
        (false, true) => format!("&{}", pairs.join("&")),
    };
    let headers = matching.headers.iter().map(|(name, value)| format!("{}: {value}", name.as_str()));
    (format!("{method} https://{host}{path}{query}"), headers.collect())
}

/// A path that the route answers. What stands for a variable is made up.
fn some_path(route: &Route) -> String {
    let Some(template) = &route.matching.path else { return route.root.as_str().to_owned() };
    let parts = template.segments().iter().filter_map(|segment| match segment {
        Segment::Literal(text) => Some(format!("/{text}")),
        Segment::Variable(_) => Some("/doctor".to_owned()),
        Segment::Rest(_) => None,
    });
    let path: String = parts.collect();
    if path.is_empty() { "/".to_owned() } else { path }
}

/// RFC 3986 §2.1, for everything but what is never special.
fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}

/// A request in its one reading, named by random bits.
///
/// # Errors
/// What serving would refuse it for.
pub(crate) fn request(snapshot: &Snapshot, asked: Asked, random: u128) -> Result<Request, Rejection> {
    let arrival = Arrival { peer: HERE, tls: true, certificate: None, odd_names: OddNames::default() };
    identify(Rc::new(asked.head()), &arrival, &Hops::default(), &snapshot.hosts, RequestId::new(random))
}

/// The route that answers a request.
///
/// # Errors
/// The step that says why there is none.
pub(crate) fn answering(snapshot: &Snapshot, request: &Request, now: i64) -> Result<Arc<RoutePlan>, Step> {
    find(snapshot, request, now, |_, _| {}).map_err(|rejection| refused(&rejection))
}

/// What serving says where it refuses a request before it gets anywhere.
pub(crate) fn refused(rejection: &Rejection) -> Step {
    let code = rejection.reason.code();
    let remedy = manual::entry(code).map_or_else(String::new, |entry| entry.remedy);
    Step::failed(ROUTE, format!("{code}: {}", rejection.reason.public()), remedy)
}

/// Whether a route answers the request that it is visited with.
pub(crate) fn judge(snapshot: &Snapshot, plan: &RoutePlan, request: &Request, now: i64) -> Step {
    let what = format!("{} https://{}{}", request.head.method(), request.host, request.head.path());
    let mut objection = None;
    let found = find(snapshot, request, now, |passed, why| {
        if passed.id == plan.id {
            objection = Some(why);
        }
    });
    let remedy = "give --path, --method and -H of a request that it answers";
    match found {
        Ok(found) if found.id == plan.id => Step::ok(ROUTE, format!("{} of {} answers {what}", plan.id, plan.owner)),
        _ if objection == Some(Passed::LeaseExpired) => Step::failed(
            ROUTE,
            format!("the lease of {} has ended: it answers nothing", plan.id),
            "let its pipeline register it anew, with a later lease_until",
        ),
        _ if objection == Some(Passed::Method) => Step::unclear(
            ROUTE,
            format!(
                "{} does not take {}: {what} is what it is visited with all the same",
                plan.id,
                request.head.method()
            ),
            "give --method to ask as callers do, if that may change something",
        ),
        Ok(other) => Step::unclear(ROUTE, format!("{what} is answered by {}, not by {}", other.id, plan.id), remedy),
        Err(rejection) => {
            Step::unclear(ROUTE, format!("{what} is not answered by {}: {}", plan.id, rejection.reason.code()), remedy)
        }
    }
}

/// The request as a destination gets it. Tokens are taken off where serving takes them off; what is signed stays whole.
pub(crate) fn outbound(snapshot: &Snapshot, plan: &RoutePlan, target: &Target, request: &Request) -> Outbound {
    let is_signed = Signed::read(request.head.fields(), request.head.query()).is_some();
    let off: Vec<&TokenPlace> = if is_signed { Vec::new() } else { plan.ways.iter().flat_map(Way::places).collect() };
    transform::request(request, HERE, plan, target, &snapshot.settable, false, &off.into_iter(), None, None, |_| None)
}

/// What the router has against the signature of a request; nothing where there is none.
pub(crate) fn signature(
    snapshot: &Snapshot,
    plan: &RoutePlan,
    target: &Target,
    request: &Request,
    now: i64,
    skew: Duration,
) -> Option<Result<(), String>> {
    let head = &request.head;
    let signed = Signed::read(head.fields(), head.query())?;
    let sent = || transform::target(request, plan, target);
    let asked =
        plan.signed_as_asked.then(|| AskedFor { host: request.asked_host(), target: head.target(), sent: sent() });
    let host = target.destination.host().to_str().unwrap_or_default();
    let fits = signed.fits(host, asked, now, skew, |name| transform::arrives(head, &snapshot.settable, name));
    Some(fits.map_err(|rejection| format!("{}: {}", rejection.reason.code(), rejection.detail)))
}

/// What is known of a target before it is visited.
///
/// # Errors
/// When what would be sent is no request.
pub(crate) fn place(entry: &Entry, plan: &RoutePlan, target: &Target, outbound: Outbound) -> Result<Place, Flaw> {
    let head = RequestHead::parse(&outbound.framed(Framing::None))?;
    let destination = &target.destination;
    let host = destination.host().to_str().unwrap_or_default().to_owned();
    let asked = host.split(':').next().unwrap_or_default().to_owned();
    let tls = destination.tls().map(|_| {
        let fixed = entry.tls.server_name.as_ref();
        let fixed = fixed.filter(|pattern| asked.parse().is_ok_and(|asked| !pattern.matches(&asked)));
        let roots = match &entry.tls.roots {
            Roots::Webpki => "webpki".to_owned(),
            Roots::Amazon => "amazon".to_owned(),
            Roots::PemFile(file) => format!("pem_file {file}"),
        };
        Trust { name: fixed.map_or(asked, ToString::to_string), roots }
    });
    Ok(Place {
        destination: destination.name().to_string(),
        dial: destination.dial().to_string(),
        port: destination.port(),
        host,
        tls,
        networks: entry.addresses.iter().map(ToString::to_string).collect(),
        prefix: target.prefix.to_string(),
        method: head.method().to_string(),
        target: head.target().to_owned(),
        iam: plan.ways.iter().any(|way| matches!(way, Way::Iam)),
    })
}
