//! Whether what a client signed can be what the destination receives: a SigV4 signature covers Host, path and query
//! (`aws.md` §2).

use crate::condition::Reason;
use crate::document::{AnyOf, Authenticator, PolicySet, Registration, SignedFor};
use crate::route::RouteTarget;
use crate::value::{HostName, HostPattern};

use super::{Boundary, Refusal};

/// Refuses what no signed request could pass, whatever it says. What depends on the request is left to the router.
pub(super) fn check(
    refusals: &mut Vec<Refusal>,
    boundary: &Boundary,
    registration: &Registration,
    targets: &[RouteTarget],
    policies: &PolicySet,
) {
    let Some(AnyOf { any_of: ways, signed_for, .. }) = &policies.authentication else { return };
    let mut refuse = |at: &str, message: String| {
        refusals.push(Refusal::new(Reason::IncompatiblePolicies, at, message));
    };
    if !ways.contains(&Authenticator::Iam) {
        return;
    }
    if ways.len() > 1 {
        refuse(
            "/policies/authentication",
            "iam stands alone: the Authorization header has room for one proof".to_owned(),
        );
    }
    if targets.windows(2).any(|pair| pair[0].host != pair[1].host) {
        refuse("/destinations", "iam: the client signs one host, and these destinations have several".to_owned());
    }
    if *signed_for == Some(SignedFor::Router)
        && let Some(target) = targets.iter().find(|target| !may_be_asked_for(boundary, registration, &target.host))
    {
        let message = format!(
            "iam: the destination is sent the Host {}, which this route does not answer, so nobody can sign it as the \
             router is asked; write signed_for: destination, or give the destination a host of the route's",
            target.host
        );
        refuse("/policies/authentication/signed_for", message);
    }
    if *signed_for != Some(SignedFor::Destination) {
        check_path(registration, targets, *signed_for, refuse);
    }
}

/// Whether requests for that host come to the registration.
fn may_be_asked_for(boundary: &Boundary, registration: &Registration, host: &HostName) -> bool {
    let hosts = &registration.matching.hosts;
    boundary.lists(&HostPattern::Exact(host.clone()))
        && (hosts.is_empty() || hosts.iter().any(|pattern| pattern.matches(host)))
}

/// Where the client signs the path it asks for, no path may be changed.
fn check_path(
    registration: &Registration,
    targets: &[RouteTarget],
    signed_for: Option<SignedFor>,
    mut refuse: impl FnMut(&str, String),
) {
    // A template may leave the paths alone that are already as it wants them: then it depends on the request.
    let depends = signed_for == Some(SignedFor::Router)
        && registration.rewrite.as_ref().is_some_and(|rewrite| rewrite.path.is_some() && rewrite.prefix.is_none());
    if registration.rewrite.is_some() && !depends {
        refuse(
            "/rewrite",
            "iam: the client signs the path, so a changed path breaks the signature; leave rewrite out, or write \
             signed_for: destination when clients sign the changed path"
                .to_owned(),
        );
    }
    let several = registration.destination.is_none();
    for (index, target) in targets.iter().enumerate().filter(|(_, target)| !target.url.prefix().is_empty()) {
        let prefix = target.url.prefix();
        refuse(
            &if several { format!("/destinations/{index}/url") } else { "/destination/url".to_owned() },
            format!(
                "iam: the client signs the path, so {prefix} cannot be put in front of it; take it out of the URL and \
                 let the root begin with it ({prefix}{}), or write signed_for: destination when clients sign it with \
                 {prefix} in front",
                registration.root.as_str().trim_end_matches('/')
            ),
        );
    }
}
