//! What changed of a set of policies, and whether it demands less than before.

use serde_json::Value;

use crate::check::satisfies;
use crate::document::{
    AnyOf, Authenticator, Authorization, BodyPolicy, Breaker, IdentityToken, Limit, LimitBy, Mode, PathHandling,
    PolicySet,
};
use crate::limits;
use crate::value::Network;

use super::{Aspect, Weaker, value_of, yes_if};

/// The policies that differ, each as `PREFIX.NAME`.
pub(super) fn aspects(prefix: &str, before: &PolicySet, after: &PolicySet) -> Vec<Aspect> {
    let (old, new) = (value_of(before), value_of(after));
    let names: std::collections::BTreeSet<&String> =
        [&old, &new].into_iter().filter_map(Value::as_object).flat_map(|set| set.keys()).collect();
    let differing = names.into_iter().filter(|name| old.get(*name) != new.get(*name));
    let aspect = |name: &String| {
        let value = |set: &Value| set.get(name).cloned().unwrap_or_default();
        Aspect::new(format!("{prefix}.{name}"), value(&old), value(&new)).weaker(weaker(name, before, after))
    };
    differing.map(aspect).collect()
}

/// Whether a policy that differs demands less.
fn weaker(name: &str, before: &PolicySet, after: &PolicySet) -> Option<Weaker> {
    // Destructured without `..`, so that a new policy cannot be forgotten here.
    let PolicySet {
        authentication,
        authorization,
        identity_headers: _,
        identity_headers_mode: _,
        identity_token,
        limits,
        timeouts: _,
        breaker,
        body,
        telemetry: _,
        path,
        websocket: _,
    } = after;
    match name {
        "authentication" => yes_if(proves_less(before.authentication.as_ref(), authentication.as_ref())),
        "authorization" => demands_less(before.authorization.as_ref(), authorization.as_ref()),
        "identity_headers" | "identity_headers_mode" => yes_if(names_caller(before) && !names_caller(after)),
        "identity_token" => yes_if(is_sent(before.identity_token.as_ref()) && !is_sent(identity_token.as_ref())),
        "limits" => yes_if(lets_more(before.limits.as_deref(), limits.as_deref())),
        "breaker" => yes_if(opens_less(before.breaker.as_ref(), breaker.as_ref())),
        "body" => yes_if(most(body) > most(&before.body)),
        "path" => yes_if(*path == Some(PathHandling::Raw)),
        _ => None,
    }
}

/// Whether requests pass `after` that did not pass `before`: a limit is gone, larger, counted for more, or not insisted on.
fn lets_more(before: Option<&[Limit]>, after: Option<&[Limit]>) -> bool {
    let holds = |limit: &&Limit| limit.mode == Mode::Enforce;
    let after = || after.unwrap_or_default().iter().filter(holds);
    let keeps = |old: &Limit, new: &Limit| {
        // Counted together, more is counted.
        let counts = new.by == old.by || new.by == LimitBy::Route;
        counts && new.rate.interval() >= old.rate.interval() && new.burst() <= old.burst()
    };
    before.unwrap_or_default().iter().filter(holds).any(|old| !after().any(|new| keeps(old, new)))
}

/// Whether headers tell the destination who calls.
fn names_caller(policies: &PolicySet) -> bool {
    policies.identity_headers_mode == Mode::Enforce
        && policies.identity_headers.as_ref().is_some_and(|map| !map.is_empty())
}

/// Whether a token does.
fn is_sent(token: Option<&IdentityToken>) -> bool {
    token.is_some_and(|token| token.mode == Mode::Enforce)
}

/// Whether a destination that fails is asked after `after` where it was left alone before: later, for shorter, or by everybody.
fn opens_less(before: Option<&Breaker>, after: Option<&Breaker>) -> bool {
    let holds = |breaker: &&Breaker| breaker.mode == Mode::Enforce;
    let Some(before) = before.filter(holds) else { return false };
    after.filter(holds).is_none_or(|after| {
        let later = after.failures() > before.failures() || after.ratio() > before.ratio();
        later || after.within() < before.within() || after.opens_for() < before.opens_for()
    })
}

fn most(body: &BodyPolicy) -> u64 {
    body.max.map_or(limits::BODY_BYTES, |max| max.bytes())
}

/// Whether somebody passes `after` who did not pass `before`.
pub(super) fn proves_less(before: Option<&AnyOf>, after: Option<&AnyOf>) -> bool {
    let Some(before) = before.filter(|one| one.mode == Mode::Enforce && !is_open(one)) else { return false };
    after.is_none_or(|after| !satisfies(after, before))
}

fn is_open(any_of: &AnyOf) -> bool {
    any_of.any_of.contains(&Authenticator::None)
}

/// Whether `after` lets somebody through whom `before` did not.
pub(super) fn demands_less(before: Option<&Authorization>, after: Option<&Authorization>) -> Option<Weaker> {
    let before = before.filter(|one| one.mode == Mode::Enforce)?;
    let Some(after) = after.filter(|one| one.mode == Mode::Enforce) else { return Some(Weaker::Yes) };
    // Destructured without `..`, so that a new demand cannot be forgotten here.
    let Authorization { scopes, roles, allow, deny, policies, cedar, mode: _ } = after;
    let fewer_scopes = before.scopes.iter().any(|scope| !scopes.contains(scope));
    let more_roles = widened(&before.roles, roles, |role, before| before.contains(role));
    let more_networks = widened(&before.allow, allow, covered);
    let fewer_denied = before.deny.iter().any(|network| !covered(network, deny));
    let other_policies = before.policies != *policies || before.cedar != *cedar;
    match fewer_scopes || more_roles || more_networks || fewer_denied {
        true => Some(Weaker::Yes),
        false => other_policies.then_some(Weaker::Maybe),
    }
}

/// Whether a list of which one must fit, where an empty one asks for nothing, takes more than it did.
fn widened<T>(before: &[T], after: &[T], within: impl Fn(&T, &[T]) -> bool) -> bool {
    !before.is_empty() && (after.is_empty() || after.iter().any(|one| !within(one, before)))
}

/// Whether a network lies inside one of a list.
pub(super) fn covered(network: &Network, by: &[Network]) -> bool {
    let (first, last) = network.ends();
    by.iter().any(|one| one.contains(first) && one.contains(last))
}
