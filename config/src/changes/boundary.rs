//! What changed of what operations allow.

use crate::document::{ApiKeyRealm, BasicRealm, BoundaryDocument, Destination, JwtIssuer, Mode, PathRule};
use crate::value::Name;

use super::{Aspect, Weaker, named, policies, value_of, yes_if};

/// What differs, in the order of the document's names; what allows more is marked.
pub(super) fn aspects(before: &BoundaryDocument, after: &BoundaryDocument) -> Vec<Aspect> {
    let mut aspects = named::aspects("", &value_of(before), &value_of(after));
    for aspect in &mut aspects {
        aspect.weaker = weaker(&aspect.what, before, after);
    }
    aspects
}

/// Whether what changed at a place allows more than before.
fn weaker(what: &str, before: &BoundaryDocument, after: &BoundaryDocument) -> Option<Weaker> {
    let (part, rest) = what.split_once('.').unwrap_or((what, ""));
    match part {
        "destinations" => destination(rest, before, after),
        "paths" => rule(rest, before, after),
        "defaults" | "overrides" => {
            let (old, new) = if part == "defaults" {
                (&before.defaults.policies, &after.defaults.policies)
            } else {
                (&before.overrides.policies, &after.overrides.policies)
            };
            let name = rest.strip_prefix("policies.").unwrap_or(rest);
            let name = name.split('.').next().unwrap_or(name);
            policies::aspects("", old, new).into_iter().find(|one| one.what == format!(".{name}"))?.weaker
        }
        // Who else may prove what, and what policies say, is for a person to judge.
        "identity" => yes_if(is_tried_out(rest, before, after)).max(Some(Weaker::Maybe)),
        "authorization" => Some(Weaker::Maybe),
        _ => None,
    }
}

fn destination(rest: &str, before: &BoundaryDocument, after: &BoundaryDocument) -> Option<Weaker> {
    let find = |document: &'_ BoundaryDocument| -> Option<Destination> {
        document.destinations.iter().find(|one| is_of(rest, one.name.as_str())).cloned()
    };
    let new = find(after)?;
    let Some(old) = find(before) else { return Some(Weaker::Yes) };
    let field = rest.strip_prefix(new.name.as_str()).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
    let more = |old: &[_], new: &[_]| new.iter().any(|one| !old.contains(one));
    match field.split('.').next().unwrap_or_default() {
        "hosts" => yes_if(more(&texts(&old.hosts), &texts(&new.hosts))),
        "schemes" => yes_if(more(&texts(&old.schemes), &texts(&new.schemes))),
        "ports" => yes_if(more(&texts(&old.ports), &texts(&new.ports))),
        "addresses" if old.addresses.is_empty() != new.addresses.is_empty() => Some(Weaker::Maybe),
        "addresses" => yes_if(new.addresses.iter().any(|one| !policies::covered(one, &old.addresses))),
        // Where it is dialled and whose certificate is believed.
        "dial" | "tls" => Some(Weaker::Maybe),
        _ => None,
    }
}

fn rule(rest: &str, before: &BoundaryDocument, after: &BoundaryDocument) -> Option<Weaker> {
    let find = |document: &'_ BoundaryDocument| -> Option<PathRule> {
        document
            .paths
            .iter()
            .filter(|one| is_of(rest, one.prefix.as_str()))
            .max_by_key(|one| one.prefix.as_str().len())
            .cloned()
    };
    let old = find(before)?;
    let Some(new) = find(after) else { return Some(Weaker::Yes) };
    let field = rest.strip_prefix(new.prefix.as_str()).and_then(|rest| rest.strip_prefix('.')).unwrap_or_default();
    match field {
        "owners" => yes_if(widened(&old.owners, &new.owners)),
        "destinations" => yes_if(widened(&old.destinations, &new.destinations)),
        "audiences" => yes_if(widened(&old.audiences, &new.audiences)),
        field if field.starts_with("require") => {
            let (old, new) = (&old.require, &new.require);
            let proves = policies::proves_less(old.authentication.as_ref(), new.authentication.as_ref());
            let demands = policies::demands_less(old.authorization.as_ref(), new.authorization.as_ref());
            yes_if(proves).max(demands)
        }
        _ => None,
    }
}

/// Whether a list, of which an empty one holds everything, holds something that it did not.
fn widened<T: PartialEq>(old: &[T], new: &[T]) -> bool {
    !old.is_empty() && (new.is_empty() || new.iter().any(|one| !old.contains(one)))
}

/// Whether what a way to prove who calls refuses by itself is not insisted on any more.
fn is_tried_out(rest: &str, before: &BoundaryDocument, after: &BoundaryDocument) -> bool {
    let (old, new) = (&before.identity, &after.identity);
    let (way, rest) = rest.split_once('.').unwrap_or((rest, ""));
    match way {
        "jwt" => {
            let mode = |issuers: &[JwtIssuer]| mode_in(rest, "revoked", issuers, |one| (&one.name, one.revoked.mode));
            lets_go(mode(&old.jwt), mode(&new.jwt))
        }
        "basic" => {
            let mode = |realms: &[BasicRealm]| mode_in(rest, "lockout", realms, |one| (&one.name, one.lockout.mode));
            lets_go(mode(&old.basic), mode(&new.basic))
        }
        "api_key" => {
            let mode =
                |realms: &[ApiKeyRealm]| mode_in(rest, "revoked_mode", realms, |one| (&one.name, one.revoked_mode));
            lets_go(mode(&old.api_key), mode(&new.api_key))
        }
        _ => false,
    }
}

/// The mode of the entry that `rest` names, where it names `field` of it or something therein.
fn mode_in<T>(rest: &str, field: &str, entries: &[T], of: impl Fn(&T) -> (&Name, Mode)) -> Option<Mode> {
    let field_of = |name: &Name| rest.strip_prefix(name.as_str()).and_then(|rest| rest.strip_prefix('.'));
    let named = |name: &Name| field_of(name).is_some_and(|rest| is_of(rest, field));
    entries.iter().map(of).find(|(name, _)| named(name)).map(|(_, mode)| mode)
}

fn lets_go(before: Option<Mode>, after: Option<Mode>) -> bool {
    before == Some(Mode::Enforce) && after.is_some_and(|mode| mode != Mode::Enforce)
}

/// Whether `rest` is `name`, or something of it.
fn is_of(rest: &str, name: &str) -> bool {
    rest.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn texts<T: serde::Serialize>(values: &[T]) -> Vec<String> {
    values.iter().map(|value| value_of(value).to_string()).collect()
}
