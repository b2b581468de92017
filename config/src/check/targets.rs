//! Where a registration wants to lead, held against the destinations of the boundary.

use crate::condition::Reason;
use crate::document::{Destination, PathRule, Registration, Target};
use crate::limits;
use crate::problem::did_you_mean;
use crate::route::RouteTarget;
use crate::value::{HostName, Name};

use super::{Boundary, Refusal};

/// The targets that a destination allows, each with its name; a refusal for every other one.
pub(super) fn check(
    refusals: &mut Vec<Refusal>,
    boundary: &Boundary,
    rules: &[&PathRule],
    registration: &Registration,
) -> Vec<RouteTarget> {
    let targets: Vec<(String, &Target)> = match (&registration.destination, registration.destinations.as_slice()) {
        (Some(target), []) => vec![("/destination".to_owned(), target)],
        (None, []) => {
            refusals.push(Refusal::new(Reason::SchemaInvalid, "", "the field \"destination\" is missing"));
            Vec::new()
        }
        (None, several) => {
            several.iter().enumerate().map(|(index, target)| (format!("/destinations/{index}"), target)).collect()
        }
        (Some(_), _) => {
            refusals.push(Refusal::new(
                Reason::SchemaInvalid,
                "/destination",
                "is given together with destinations; give one of the two",
            ));
            Vec::new()
        }
    };
    if targets.len() > limits::ROUTE_DESTINATIONS {
        refusals.push(Refusal::new(
            Reason::SchemaInvalid,
            "/destinations",
            format!("has {} entries, more than {}", targets.len(), limits::ROUTE_DESTINATIONS),
        ));
    }
    if !targets.is_empty() && targets.iter().all(|(_, target)| target.weight == 0) {
        refusals.push(Refusal::new(
            Reason::SchemaInvalid,
            "/destinations",
            "every weight is zero, so nothing could be chosen",
        ));
    }
    let mut allowed = Vec::with_capacity(targets.len());
    for (at, target) in targets {
        match allowing(boundary, rules, target) {
            Ok(destination) => allowed.push(RouteTarget {
                url: target.url.clone(),
                host: host_of(target).clone(),
                weight: target.weight,
                via: destination.name.clone(),
            }),
            Err((field, message)) => {
                refusals.push(Refusal::new(Reason::DestinationNotAllowed, format!("{at}/{field}"), message));
            }
        }
    }
    allowed
}

fn host_of(target: &Target) -> &HostName {
    target.host.as_ref().unwrap_or(&target.url.host)
}

/// The first destination that allows all of a target; else the field that the nearest one refuses.
fn allowing<'b>(
    boundary: &'b Boundary,
    rules: &[&PathRule],
    target: &Target,
) -> Result<&'b Destination, (&'static str, String)> {
    let mut nearest: Option<(u8, &'static str, String)> = None;
    for destination in boundary.destinations_listing(&target.url.host) {
        match refuses(destination, rules, target) {
            None => return Ok(destination),
            Some(refusal) if nearest.as_ref().is_none_or(|known| refusal.0 > known.0) => nearest = Some(refusal),
            Some(_) => {}
        }
    }
    Err(match nearest {
        Some((_, field, message)) => (field, message),
        None => ("url", no_destination(boundary, &target.url.host)),
    })
}

/// Why a destination that lists the URL's host does not allow a target: how near it came, the field, and the
/// words.
pub(super) fn refuses(
    destination: &Destination,
    rules: &[&PathRule],
    target: &Target,
) -> Option<(u8, &'static str, String)> {
    let name = &destination.name;
    let host = host_of(target);
    if *host != target.url.host && !destination.hosts.iter().any(|pattern| pattern.matches(host)) {
        return Some((1, "host", format!("the destination \"{name}\" of the boundary does not list the host {host}")));
    }
    let (scheme, port) = (target.url.scheme, target.url.port);
    if !destination.schemes.contains(&scheme) {
        let allowed: Vec<&str> = destination.schemes.iter().map(|scheme| scheme.as_str()).collect();
        let text = format!(
            "the destination \"{name}\" is reached over {}, not over {}",
            allowed.join(" or "),
            scheme.as_str()
        );
        return Some((2, "url", text));
    }
    let allowed_ports: Vec<u16> = match destination.ports.as_slice() {
        [] => destination.schemes.iter().map(|scheme| scheme.default_port()).collect(),
        ports => ports.iter().map(|port| port.get()).collect(),
    };
    if !allowed_ports.contains(&port) {
        let allowed: Vec<String> = allowed_ports.iter().map(u16::to_string).collect();
        return Some((
            3,
            "url",
            format!("the destination \"{name}\" is reached on port {}, not on {port}", allowed.join(" or ")),
        ));
    }
    let closed = rules.iter().find(|rule| !rule.destinations.is_empty() && !rule.destinations.contains(name))?;
    let allowed: Vec<&str> = closed.destinations.iter().map(Name::as_str).collect();
    let text =
        format!("below {} only the destination {} may be used, not \"{name}\"", closed.prefix, allowed.join(" or "));
    Some((4, "url", text))
}

fn no_destination(boundary: &Boundary, host: &HostName) -> String {
    let known = boundary.document().destinations.iter().flat_map(|one| &one.hosts).map(ToString::to_string);
    // A hundred thousand refusals have to be worded, too.
    let known: Vec<String> = known.take(64).collect();
    match did_you_mean(host.as_str(), known.iter().map(String::as_str)) {
        Some(hint) => format!("no destination of the boundary lists the host {host}; {hint}"),
        None => format!("no destination of the boundary lists the host {host}; ask operations to allow it"),
    }
}
