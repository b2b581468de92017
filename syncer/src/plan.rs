//! What the next generation would change, and why: the difference between two contents, in the words of routes.
//!
//! Pure. Must never write anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use postern_config::changes::{Aspect, Changes};
use postern_config::condition::Condition;
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
    pub changes: Vec<Change>,
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

/// One registration or route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Change {
    /// `ROOT#NAME`.
    pub id: String,
    /// What happens.
    pub action: Action,
    /// Its owner, when known.
    pub owner: Option<String>,
    /// Whether a route that stands would end.
    pub ends_route: bool,
    /// What changes of it, and whether it becomes weaker.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aspects: Vec<Aspect>,
    /// Why, when there is a reason to tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Condition>,
}

/// What happens to a registration or route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It becomes a route.
    Added,
    /// Its route changes.
    Changed,
    /// Its route ends.
    Removed,
    /// It is refused.
    Refused,
    /// It stays for now although its registration is gone.
    Held,
    /// An older form of it is served.
    Stale,
}

impl Action {
    fn word(self) -> &'static str {
        match self {
            Self::Added => "added",
            Self::Changed => "changed",
            Self::Removed => "removed",
            Self::Refused => "refused",
            Self::Held => "held",
            Self::Stale => "stale",
        }
    }
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
        changes.push(of_route(route, action, aspects, worth_telling(&route.conditions)));
    }
    let refused: BTreeMap<&str, &Refused> = next.refused.iter().map(|one| (one.id.as_str(), one)).collect();
    for (_, route) in before.iter().filter(|(id, _)| !after.contains_key(*id) && !refused.contains_key(*id)) {
        changes.push(of_route(route, Action::Removed, Vec::new(), Vec::new()));
    }
    for one in &next.refused {
        changes.push(Change {
            id: one.id.clone(),
            action: Action::Refused,
            owner: one.owner.clone(),
            ends_route: before.contains_key(one.id.as_str()) && !after.contains_key(one.id.as_str()),
            aspects: Vec::new(),
            reasons: one.conditions.clone(),
        });
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

fn of_route(route: &Route, action: Action, aspects: Vec<Aspect>, reasons: Vec<Condition>) -> Change {
    let (id, owner) = (route.id.clone(), Some(route.owner.to_string()));
    Change { id, action, owner, ends_route: action == Action::Removed, aspects, reasons }
}

fn worth_telling(conditions: &[Condition]) -> Vec<Condition> {
    conditions.iter().filter(|one| one.is_worth_telling()).cloned().collect()
}

impl Plan {
    /// The plan for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for aspect in &self.boundary {
            let _ = writeln!(out, "~ boundary {aspect}");
        }
        for change in &self.changes {
            let mark = match change.action {
                Action::Added => '+',
                Action::Removed => '-',
                Action::Changed => '~',
                Action::Refused => '!',
                Action::Held | Action::Stale => '=',
            };
            let owner = change.owner.as_ref().map_or_else(String::new, |owner| format!(" ({owner})"));
            let ends = if change.ends_route && change.action == Action::Refused { ": its route ends" } else { "" };
            let _ = writeln!(out, "{mark} {} {}{owner}{ends}", change.action.word(), change.id);
            for aspect in &change.aspects {
                let _ = writeln!(out, "    {aspect}");
            }
            for reason in &change.reasons {
                let _ = writeln!(out, "    {}", reason.told());
            }
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
