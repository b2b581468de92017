//! What became of each route and each refused registration.

use std::collections::BTreeMap;

use crate::merged::{Content, Refused};
use crate::route::{Origin, Route};

use super::{Action, Aspect, RouteChange, policies, value_of};

/// The changes, sorted by id, and how many routes stayed.
pub(super) fn changes(before: &Content, after: &Content) -> (Vec<RouteChange>, usize) {
    let (old, new) = (by_id(&before.routes), by_id(&after.routes));
    let mut changes = Vec::new();
    let mut unchanged = 0;
    for (id, route) in &new {
        let (action, aspects) = match old.get(id) {
            None => (Action::Added, Vec::new()),
            Some(known) => match aspects(known, route) {
                same if same.is_empty() => {
                    unchanged += 1;
                    continue;
                }
                aspects => (Action::Changed, aspects),
            },
        };
        changes.push(RouteChange::of_route(route, action, aspects));
    }
    let refused_before: BTreeMap<&str, &Refused> = before.refused.iter().map(|one| (one.id.as_str(), one)).collect();
    let refused: BTreeMap<&str, &Refused> = after.refused.iter().map(|one| (one.id.as_str(), one)).collect();
    for (id, route) in old.iter().filter(|(id, _)| !new.contains_key(**id) && !refused.contains_key(**id)) {
        debug_assert_eq!(*id, route.id);
        changes.push(RouteChange::of_route(route, Action::Removed, Vec::new()));
    }
    for (id, one) in &refused {
        let known = refused_before.get(id);
        if known.is_none_or(|known| why(known) != why(one)) {
            let ends_route = old.contains_key(id) && !new.contains_key(id);
            changes.push(RouteChange::of_refused(one, Action::Refused, ends_route));
        }
    }
    for (id, one) in &refused_before {
        if !refused.contains_key(id) && !new.contains_key(id) {
            changes.push(RouteChange::of_refused(one, Action::Withdrawn, false));
        }
    }
    changes.sort_by(|a, b| (&a.id, a.action).cmp(&(&b.id, b.action)));
    (changes, unchanged)
}

fn by_id(routes: &[Route]) -> BTreeMap<&str, &Route> {
    routes.iter().map(|route| (route.id.as_str(), route)).collect()
}

/// Why something is refused, without since when.
fn why(one: &Refused) -> Vec<(String, Option<&str>, &str)> {
    let told = |condition: &'_ crate::condition::Condition| format!("{:?}", condition.reason);
    one.conditions.iter().map(|one| (told(one), one.at.as_deref(), one.message.as_str())).collect()
}

/// What of a route is otherwise than before.
fn aspects(before: &Route, after: &Route) -> Vec<Aspect> {
    // Destructured without `..`, so that a new field cannot be forgotten here.
    let Route { id: _, root: _, owner, matching, destinations, rewrite, policies, lease_until, origin, conditions } =
        after;
    // Which version it was is told beside the aspects; what was registered is in the policies that came of it.
    let Origin { version: _, held_since: _, policies: _ } = origin;
    let mut aspects = Vec::new();
    let mut changed = |what: &str, is: bool, from, to| {
        if is {
            aspects.push(Aspect::new(what, from, to));
        }
    };
    changed("owner", before.owner != *owner, value_of(&before.owner), value_of(owner));
    changed("match", before.matching != *matching, value_of(&before.matching), value_of(matching));
    let targets = (value_of(&before.destinations), value_of(destinations));
    changed("destinations", before.destinations != *destinations, targets.0, targets.1);
    changed("rewrite", before.rewrite != *rewrite, value_of(&before.rewrite), value_of(rewrite));
    changed("lease_until", before.lease_until != *lease_until, value_of(&before.lease_until), value_of(lease_until));
    let standing = |conditions: &[crate::condition::Condition]| {
        let told = conditions.iter().filter(|one| one.is_worth_telling());
        told.map(|one| format!("{:?}: {:?}", one.kind, one.reason)).collect::<Vec<_>>()
    };
    let (was, is) = (standing(&before.conditions), standing(conditions));
    changed("conditions", was != is, value_of(&was), value_of(&is));
    aspects.extend(policies::aspects("policies", &before.policies, policies));
    aspects
}
