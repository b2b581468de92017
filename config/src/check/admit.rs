//! May this registration be a route? The one place that says so, for the syncer that writes the merged
//! file and for the router that reads it.

use crate::condition::Reason;
use crate::document::{Authenticator, Destination, PathHandling, PathRule, PolicySet, Registration, Target};
use crate::limits;
use crate::problem::{Problem, did_you_mean};
use crate::route::{Origin, Route, RouteTarget};
use crate::value::HostName;

use super::{Boundary, layers};

/// One reason why a registration is not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// The reason, of a closed list.
    pub reason: Reason,
    /// JSON pointer into the registration.
    pub at: String,
    /// What was found and what to do.
    pub message: String,
}

impl Refusal {
    fn new(reason: Reason, at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, at: at.into(), message: message.into() }
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let message = match &problem.hint {
            Some(hint) => format!("{} ({hint})", problem.message),
            None => problem.message.clone(),
        };
        Self::new(Reason::SchemaInvalid, problem.at, message)
    }
}

/// Turns a registration into a route, when the boundary allows everything it asks for. The route is not
/// yet placed in time: `held_since` is zero and it has no conditions.
///
/// # Errors
/// Every reason against it.
pub fn admit(boundary: &Boundary, registration: &Registration) -> Result<Route, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let rule = check_root(&mut refusals, boundary, registration);
    check_match(&mut refusals, boundary, registration);
    let destinations = check_targets(&mut refusals, boundary, rule, registration);
    let policies = layers::effective(boundary, &registration.policies, rule);
    check_policies(&mut refusals, boundary, rule, registration, &policies);
    check_rewrite(&mut refusals, registration);
    check_iam(&mut refusals, registration, &destinations, &policies);
    if !refusals.is_empty() {
        refusals.sort_by(|a, b| (&a.at, a.reason).cmp(&(&b.at, b.reason)));
        return Err(refusals);
    }
    let as_registered = (policies != registration.policies).then(|| registration.policies.clone());
    Ok(Route {
        id: registration.id().to_string(),
        root: registration.root.clone(),
        owner: registration.owner.clone(),
        matching: registration.matching.clone(),
        destinations,
        rewrite: registration.rewrite.clone(),
        policies,
        lease_until: registration.lease_until,
        origin: Origin { version: registration.version, held_since: 0, policies: as_registered },
        conditions: Vec::new(),
    })
}

/// Checks a route of a file as if its registration came for the first time: whoever can write the file
/// must not be able to reach more than the boundary in it allows.
///
/// # Errors
/// Every reason against it.
pub fn recheck(boundary: &Boundary, route: &Route) -> Result<(), Vec<Refusal>> {
    let again = admit(boundary, &route.registration())?;
    let same = again.id == route.id && again.destinations == route.destinations && again.policies == route.policies;
    if same {
        return Ok(());
    }
    Err(vec![Refusal::new(
        Reason::SchemaInvalid,
        "",
        "the line is not what its boundary and registration make of it: it was changed after it was written",
    )])
}

fn check_root<'b>(
    refusals: &mut Vec<Refusal>,
    boundary: &'b Boundary,
    registration: &Registration,
) -> Option<&'b PathRule> {
    let rule = boundary.rule_for(&registration.root);
    match rule {
        None if !boundary.document().paths.is_empty() => refusals.push(Refusal::new(
            Reason::RootNotAllowed,
            "/root",
            format!("the boundary has no path rule that covers {}; ask operations for one", registration.root),
        )),
        Some(rule) if !rule.owners.is_empty() && !rule.owners.contains(&registration.owner) => {
            let owners: Vec<&str> = rule.owners.iter().map(crate::value::Name::as_str).collect();
            refusals.push(Refusal::new(
                Reason::OwnerMismatch,
                "/owner",
                format!("{} belongs to {}, not to {}", rule.prefix, owners.join(", "), registration.owner),
            ));
        }
        _ => {}
    }
    rule
}

fn check_match(refusals: &mut Vec<Refusal>, boundary: &Boundary, registration: &Registration) {
    let matching = &registration.matching;
    for (index, host) in matching.hosts.iter().enumerate() {
        if !boundary.lists(host) {
            let listed: Vec<String> = boundary.document().hosts.iter().take(8).map(ToString::to_string).collect();
            refusals.push(Refusal::new(
                Reason::HostNotListed,
                format!("/match/hosts/{index}"),
                format!("\"{host}\" is not answered here; the boundary lists {}", listed.join(", ")),
            ));
        }
    }
    if let Some(path) = &matching.path
        && !path.is_below(&registration.root)
    {
        refusals.push(Refusal::new(
            Reason::SchemaInvalid,
            "/match/path",
            format!("\"{path}\" does not lie below the root {}", registration.root),
        ));
    }
    for (field, count) in [("headers", matching.headers.len()), ("query", matching.query.len())] {
        if count > limits::MATCH_CONDITIONS {
            refusals.push(Refusal::new(
                Reason::SchemaInvalid,
                format!("/match/{field}"),
                format!("has {count} conditions, more than {}", limits::MATCH_CONDITIONS),
            ));
        }
    }
    for name in matching.headers.keys() {
        if matches!(name.as_str(), "host" | "connection" | "transfer-encoding" | "content-length") {
            refusals.push(Refusal::new(
                Reason::SchemaInvalid,
                format!("/match/headers/{name}"),
                "a route cannot depend on this header; match.hosts is for hosts".to_owned(),
            ));
        }
    }
}

fn check_targets(
    refusals: &mut Vec<Refusal>,
    boundary: &Boundary,
    rule: Option<&PathRule>,
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
        match allowing(boundary, rule, target) {
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
    rule: Option<&PathRule>,
    target: &Target,
) -> Result<&'b Destination, (&'static str, String)> {
    let mut nearest: (u8, &'static str, String) = (0, "url", no_destination(boundary, &target.url.host));
    for destination in &boundary.document().destinations {
        match refuses(destination, rule, target) {
            None => return Ok(destination),
            Some(refusal) if refusal.0 > nearest.0 => nearest = refusal,
            Some(_) => {}
        }
    }
    Err((nearest.1, nearest.2))
}

/// Why a destination does not allow a target: how near it came, the field, and the words.
fn refuses(destination: &Destination, rule: Option<&PathRule>, target: &Target) -> Option<(u8, &'static str, String)> {
    let lists = |host: &HostName| destination.hosts.iter().any(|pattern| pattern.matches(host));
    let name = &destination.name;
    if !lists(&target.url.host) {
        return Some((0, "url", String::new()));
    }
    let host = host_of(target);
    if !lists(host) {
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
    match rule {
        Some(rule) if !rule.destinations.is_empty() && !rule.destinations.contains(name) => {
            let allowed: Vec<&str> = rule.destinations.iter().map(crate::value::Name::as_str).collect();
            let text = format!(
                "below {} only the destination {} may be used, not \"{name}\"",
                rule.prefix,
                allowed.join(" or ")
            );
            Some((4, "url", text))
        }
        _ => None,
    }
}

fn no_destination(boundary: &Boundary, host: &HostName) -> String {
    let known = boundary.document().destinations.iter().flat_map(|one| &one.hosts).map(ToString::to_string);
    let known: Vec<String> = known.take(1_000).collect();
    match did_you_mean(host.as_str(), known.iter().map(String::as_str)) {
        Some(hint) => format!("no destination of the boundary lists the host {host}; {hint}"),
        None => format!("no destination of the boundary lists the host {host}; ask operations to allow it"),
    }
}

fn check_policies(
    refusals: &mut Vec<Refusal>,
    boundary: &Boundary,
    rule: Option<&PathRule>,
    registration: &Registration,
    policies: &PolicySet,
) {
    let mut problems = Vec::new();
    layers::check_policies(&mut problems, "/policies", &registration.policies, &boundary.document().identity);
    refusals.extend(problems.into_iter().map(|problem| match problem.kind {
        crate::ProblemKind::NotFound => Refusal { reason: Reason::PolicyNotFound, ..Refusal::from(problem) },
        _ => Refusal::from(problem),
    }));
    let ways = policies.authentication.as_ref().map_or(&[][..], |any_of| any_of.any_of.as_slice());
    if let Some(required) = rule.and_then(|rule| rule.require.authentication.as_ref()) {
        let weaker: Vec<String> =
            ways.iter().filter(|way| !required.any_of.contains(way)).map(ToString::to_string).collect();
        if !weaker.is_empty() {
            let demanded: Vec<String> = required.any_of.iter().map(ToString::to_string).collect();
            refusals.push(Refusal::new(
                Reason::RequirementNotMet,
                "/policies/authentication",
                format!(
                    "the boundary demands {} here, so {} cannot be enough",
                    demanded.join(" or "),
                    weaker.join(" or ")
                ),
            ));
        }
    }
    let scopes = policies.authorization.as_ref().is_some_and(|one| !one.scopes.is_empty());
    let unproved = ways.is_empty() || ways.iter().any(|way| matches!(way, Authenticator::None | Authenticator::Iam));
    if scopes && unproved {
        refusals.push(Refusal::new(
            Reason::IncompatiblePolicies,
            "/policies/authorization",
            "scopes are demanded of callers who need not prove who they are; demand jwt or basic as well",
        ));
    }
    if policies.path == Some(PathHandling::Raw) && registration.matching.path.is_some() {
        refusals.push(Refusal::new(
            Reason::IncompatiblePolicies,
            "/policies/path",
            "a template cannot be matched against paths with two readings; leave match.path out, or path: raw",
        ));
    }
}

fn check_rewrite(refusals: &mut Vec<Refusal>, registration: &Registration) {
    let Some(rewrite) = &registration.rewrite else { return };
    match (&rewrite.prefix, &rewrite.path) {
        (Some(_), None) => {}
        (None, Some(path)) => {
            let known: Vec<&str> = registration.matching.path.iter().flat_map(|path| path.variables()).collect();
            for name in path.variables().filter(|name| !known.contains(name)) {
                refusals.push(Refusal::new(
                    Reason::SchemaInvalid,
                    "/rewrite/path",
                    format!("the variable {{{name}}} is not one of match.path"),
                ));
            }
        }
        _ => refusals.push(Refusal::new(Reason::SchemaInvalid, "/rewrite", "give one of prefix and path")),
    }
}

/// A SigV4 signature covers host, path and query (`aws.md` §2): what the client signed must be what the
/// destination receives.
fn check_iam(refusals: &mut Vec<Refusal>, registration: &Registration, targets: &[RouteTarget], policies: &PolicySet) {
    let ways = policies.authentication.as_ref().map_or(&[][..], |any_of| any_of.any_of.as_slice());
    if !ways.contains(&Authenticator::Iam) {
        return;
    }
    let mut refuse = |at: &str, message: String| {
        refusals.push(Refusal::new(Reason::IncompatiblePolicies, at, message));
    };
    if ways.len() > 1 {
        refuse(
            "/policies/authentication",
            "iam stands alone: the Authorization header has room for one proof".to_owned(),
        );
    }
    if registration.rewrite.is_some() {
        refuse(
            "/rewrite",
            "iam: the client signs the path, so a changed path breaks the signature; leave rewrite out".to_owned(),
        );
    }
    for target in targets.iter().filter(|target| !target.url.prefix().is_empty()) {
        let prefix = target.url.prefix();
        refuse(
            "/destination/url",
            format!(
                "iam: the client signs the path, so {prefix} cannot be put in front of it; take it out of the URL and \
                 let the root begin with it ({prefix}{})",
                registration.root.as_str().trim_end_matches('/')
            ),
        );
    }
    if targets.windows(2).any(|pair| pair[0].host != pair[1].host) {
        refuse("/destinations", "iam: the client signs one host, and these destinations have several".to_owned());
    }
}
