//! What changed of what operations allow.

use crate::document::{BoundaryDocument, Destination, PathRule};

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
        "identity" | "authorization" => Some(Weaker::Maybe),
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

/// Whether `rest` is `name`, or something of it.
fn is_of(rest: &str, name: &str) -> bool {
    rest.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

fn texts<T: serde::Serialize>(values: &[T]) -> Vec<String> {
    values.iter().map(|value| value_of(value).to_string()).collect()
}
