//! What the next generation would change, and why: the difference between two contents, in the words of routes.
//!
//! Pure. Must never write anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use postern_config::changes::{Action, Aspect, Changes, RouteChange};
use postern_config::merged::{Content, Pinned, Refused, is_stale};
use postern_config::route::Route;
use serde::Serialize;

use crate::guard::Hold;

/// The difference between what stands and what would stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The number that the next generation would have; `null` when nothing would change.
    pub generation: Option<u64>,
    /// What happens to each registration and route that changes, or is refused.
    pub changes: Vec<RouteChange>,
    /// What changes of the boundary.
    pub boundary: Vec<Aspect>,
    /// Why something is held, when it is.
    pub held: Option<String>,
    /// The generation whose routes stay, when one is pinned.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pinned: Option<Pinned>,
    /// How much stays as it is.
    pub unchanged: usize,
    /// How many registrations are, or stay, refused.
    pub refused: usize,
}

/// Compares what stands with what would stand as `generation`.
pub fn plan(previous: Option<&Content>, next: &Content, hold: Option<&Hold>, generation: u64) -> Plan {
    let nothing = Vec::new();
    let before: BTreeMap<&str, &Route> =
        previous.map_or(&nothing, |content| &content.routes).iter().map(|route| (route.id.as_str(), route)).collect();
    let after: BTreeMap<&str, &Route> = next.routes.iter().map(|route| (route.id.as_str(), route)).collect();
    let Changes { boundary, routes, .. } = previous.map(|content| Changes::between(content, next)).unwrap_or_default();
    let mut aspects: BTreeMap<String, Vec<Aspect>> = routes.into_iter().map(|one| (one.id, one.aspects)).collect();
    let held = |id: &str| hold.is_some_and(|hold| hold.ids.iter().any(|one| one == id));
    let mut changes = Vec::new();
    let mut unchanged = 0;
    for (id, route) in &after {
        let action = match before.get(id) {
            _ if held(id) => Action::Held,
            _ if is_stale(route) => Action::Stale,
            None => Action::Added,
            Some(before) if before == route => {
                unchanged += 1;
                continue;
            }
            Some(_) => Action::Changed,
        };
        let aspects = aspects.remove(*id).unwrap_or_default();
        let reasons = route.conditions.iter().filter(|one| one.is_worth_telling()).cloned().collect();
        changes.push(RouteChange { reasons, ..RouteChange::of_route(route, action, aspects) });
    }
    let refused: BTreeMap<&str, &Refused> = next.refused.iter().map(|one| (one.id.as_str(), one)).collect();
    for (_, route) in before.iter().filter(|(id, _)| !after.contains_key(*id) && !refused.contains_key(*id)) {
        changes.push(RouteChange::of_route(route, Action::Removed, Vec::new()));
    }
    for one in &next.refused {
        let ends_route = before.contains_key(one.id.as_str()) && !after.contains_key(one.id.as_str());
        changes.push(RouteChange::of_refused(one, Action::Refused, ends_route));
    }
    changes.sort_by(|a, b| (&a.id, a.action).cmp(&(&b.id, b.action)));
    Plan {
        generation: (previous != Some(next)).then_some(generation),
        changes,
        boundary,
        held: hold.map(|hold| hold.message.clone()),
        pinned: None,
        unchanged,
        refused: next.refused.len(),
    }
}

impl Plan {
    /// The plan for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for aspect in &self.boundary {
            let _ = writeln!(out, "~ boundary {aspect}");
        }
        for change in &self.changes {
            let _ = write!(out, "{change}");
        }
        if let Some(held) = &self.held {
            let _ = writeln!(out, "held: {held}");
        }
        if let Some(pinned) = &self.pinned {
            let _ = writeln!(out, "{}", crate::order::warning(pinned));
        }
        let _ = match self.generation {
            Some(generation) => writeln!(
                out,
                "generation {generation} would be written: {} unchanged, {} refused",
                self.unchanged, self.refused
            ),
            None => writeln!(out, "nothing would change: {} unchanged, {} refused", self.unchanged, self.refused),
        };
        out
    }
}
