//! May this registration be a route? The one place that says so, for the syncer that writes the merged
//! file and for the router that reads it.

use std::fmt;

use crate::condition::Reason;
use crate::document::{
    Authenticator, Authorization, IdentityToken, Mode, PathHandling, PathRule, PolicySet, Registration,
};
use crate::problem::{Problem, ProblemKind, shown};
use crate::route::{Origin, Route};
use crate::value::{Name, Template};

use super::rules::Governing;
use super::{Boundary, iam, layers, matching, targets};

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
    pub(super) fn new(reason: Reason, at: impl Into<String>, message: impl Into<String>) -> Self {
        Self { reason, at: at.into(), message: message.into() }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", crate::problem::place(&self.at), self.message)
    }
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        let message = match &problem.hint {
            Some(hint) => format!("{} ({hint})", problem.message),
            None => problem.message.clone(),
        };
        let reason = match problem.kind {
            ProblemKind::NotFound => Reason::PolicyNotFound,
            ProblemKind::Contradiction => Reason::IncompatiblePolicies,
            ProblemKind::Unsupported => Reason::UnsupportedValue,
            ProblemKind::Syntax
            | ProblemKind::UnknownField
            | ProblemKind::Missing
            | ProblemKind::WrongType
            | ProblemKind::Invalid
            | ProblemKind::Duplicate
            | ProblemKind::Limit => Reason::SchemaInvalid,
        };
        Self::new(reason, problem.at, message)
    }
}

/// Turns a registration into a route, when the boundary allows everything it asks for. The route is not
/// yet placed in time: `held_since` is zero and it has no conditions.
///
/// # Errors
/// Every reason against it.
pub fn admit(boundary: &Boundary, registration: &Registration) -> Result<Route, Vec<Refusal>> {
    let mut refusals = Vec::new();
    let governing = boundary.governing(registration);
    check_owner(&mut refusals, boundary, &governing, registration);
    matching::check(&mut refusals, boundary, registration);
    let destinations = targets::check(&mut refusals, boundary, &governing.claimed, registration);
    let policies = layers::effective(boundary, &registration.policies, &governing.claimed);
    check_policies(&mut refusals, boundary, &governing, registration, &policies);
    check_audience(&mut refusals, &governing, registration, &policies);
    matching::check_rewrite(&mut refusals, registration);
    iam::check(&mut refusals, boundary, registration, &destinations, &policies);
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

fn check_owner(
    refusals: &mut Vec<Refusal>,
    boundary: &Boundary,
    governing: &Governing<'_>,
    registration: &Registration,
) {
    if governing.claimed.is_empty() && !boundary.document().paths.is_empty() {
        refusals.push(Refusal::new(
            Reason::RootNotAllowed,
            "/root",
            format!("the boundary has no path rule that covers {}; ask operations for one", registration.root),
        ));
    }
    for rule in governing.root.iter().chain(&governing.claimed) {
        if rule.owners.is_empty() || rule.owners.contains(&registration.owner) {
            continue;
        }
        let owners: Vec<&str> = rule.owners.iter().map(Name::as_str).collect();
        let belongs = format!("{} belongs to {}, not to {}", rule.prefix, owners.join(", "), registration.owner);
        let (at, message) = match &registration.matching.path {
            Some(path) if !rule.prefix.covers(&registration.root) => {
                ("/match/path", format!("\"{path}\" also stands for paths where others are at home: {belongs}"))
            }
            _ => ("/owner", belongs),
        };
        refusals.push(Refusal::new(Reason::OwnerMismatch, at, message));
    }
}

fn check_policies(
    refusals: &mut Vec<Refusal>,
    boundary: &Boundary,
    governing: &Governing<'_>,
    registration: &Registration,
    policies: &PolicySet,
) {
    let document = boundary.document();
    let mut problems = Vec::new();
    let variables: Vec<&str> = registration.matching.path.iter().flat_map(Template::variables).collect();
    let own = &registration.policies;
    let known = &document.identity;
    layers::check_policies(&mut problems, "/policies", own, known, boundary.words(), Some(&variables));
    refusals.extend(problems.into_iter().map(Refusal::from));
    let proof = policies.authentication.as_ref();
    let ways = proof.map_or(&[][..], |any_of| any_of.any_of.as_slice());
    let insists = proof.is_none_or(|any_of| any_of.mode == Mode::Enforce);
    for (rule, required) in governing.proofs() {
        let demanded = || required.any_of.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or ");
        let mut refuse = |message| {
            refusals.push(Refusal::new(Reason::RequirementNotMet, "/policies/authentication", message));
        };
        let weaker: Vec<String> =
            ways.iter().filter(|way| !required.any_of.contains(way)).map(ToString::to_string).collect();
        if !weaker.is_empty() {
            let weaker = weaker.join(" or ");
            refuse(format!("the boundary demands {} below {}, so {weaker} cannot be enough", demanded(), rule.prefix));
        }
        if !insists {
            refuse(format!("the boundary demands {} below {}, so its mode must be enforce", demanded(), rule.prefix));
        }
    }
    let unproved =
        !insists || ways.is_empty() || ways.iter().any(|way| matches!(way, Authenticator::None | Authenticator::Iam));
    for (field, demands) in
        [("scopes", Authorization::names_scopes as fn(&_) -> _), ("roles", Authorization::names_roles)]
    {
        let demanded = boundary.demands(registration);
        let mut demanded = demanded.iter().filter(|demand| demand.authorization.mode == Mode::Enforce);
        if unproved && demanded.any(|demand| demands(demand.authorization)) {
            refusals.push(Refusal::new(
                Reason::IncompatiblePolicies,
                "/policies/authorization",
                format!("{field} are demanded of callers who need not prove who they are; demand jwt, basic, api_key or mtls as well"),
            ));
        }
    }
    if policies.path == Some(PathHandling::Raw) && registration.matching.path.is_some() {
        refusals.push(Refusal::new(
            Reason::IncompatiblePolicies,
            "/policies/path",
            "a template cannot be matched against paths with two readings; leave match.path out, or path: raw",
        ));
    }
}

/// Whom a registration may have identity tokens made for. What defaults or overrides ask for is operations' own affair.
fn check_audience(
    refusals: &mut Vec<Refusal>,
    governing: &Governing<'_>,
    registration: &Registration,
    policies: &PolicySet,
) {
    let own =
        registration.policies.identity_token.as_ref().filter(|own| Some(*own) == policies.identity_token.as_ref());
    let Some(IdentityToken { audience, .. }) = own.filter(|token| token.mode != Mode::Off) else { return };
    let closed = |rule: &&&PathRule| !rule.audiences.is_empty() && !rule.audiences.contains(audience);
    for rule in governing.claimed.iter().filter(closed) {
        let allowed = rule.audiences.join(" or ");
        refusals.push(Refusal::new(
            Reason::RequirementNotMet,
            "/policies/identity_token/audience",
            format!("below {} identity tokens are made for {allowed} only, not for {}", rule.prefix, shown(audience)),
        ));
    }
}
