//! What the next generation would change, and why: the difference between two contents, in the words of routes.
//!
//! Pure. Must never write anything.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use postern_config::condition::{Condition, Status};
use postern_config::merged::{Content, Refused, is_stale};
use postern_config::route::Route;
use serde::Serialize;
use serde_json::Value;

use crate::guard::Hold;

/// The difference between what stands and what would stand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The number that the next generation would have; `null` when nothing would change.
    pub generation: Option<u64>,
    /// What happens to each registration and route that changes, or is refused.
    pub changes: Vec<Change>,
    /// Parts of the boundary that change.
    pub boundary: Vec<String>,
    /// Why something is held, when it is.
    pub held: Option<String>,
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
    /// Which fields change.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<String>,
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
    let held = |id: &str| hold.is_some_and(|hold| hold.ids.iter().any(|one| one == id));
    let mut changes = Vec::new();
    let mut unchanged = 0;
    for (id, route) in &after {
        let known = before.get(id);
        let action = match known {
            _ if held(id) => Action::Held,
            _ if is_stale(route) => Action::Stale,
            None => Action::Added,
            Some(before) if before == route => {
                unchanged += 1;
                continue;
            }
            Some(_) => Action::Changed,
        };
        let fields = known.map(|before| changed_fields(before, route)).unwrap_or_default();
        changes.push(Change {
            id: (*id).to_owned(),
            action,
            owner: Some(route.owner.to_string()),
            ends_route: false,
            fields,
            reasons: worth_telling(&route.conditions),
        });
    }
    let refused: BTreeMap<&str, &Refused> = next.refused.iter().map(|one| (one.id.as_str(), one)).collect();
    for (id, route) in before.iter().filter(|(id, _)| !after.contains_key(*id) && !refused.contains_key(*id)) {
        changes.push(Change {
            id: (*id).to_owned(),
            action: Action::Removed,
            owner: Some(route.owner.to_string()),
            ends_route: true,
            fields: Vec::new(),
            reasons: Vec::new(),
        });
    }
    for one in &next.refused {
        changes.push(Change {
            id: one.id.clone(),
            action: Action::Refused,
            owner: one.owner.clone(),
            ends_route: before.contains_key(one.id.as_str()) && !after.contains_key(one.id.as_str()),
            fields: Vec::new(),
            reasons: one.conditions.clone(),
        });
    }
    changes.sort_by(|a, b| (&a.id, a.action).cmp(&(&b.id, b.action)));
    Plan {
        generation: (previous != Some(next)).then_some(generation),
        changes,
        boundary: previous.map(|content| changed_boundary(content, next)).unwrap_or_default(),
        held: hold.map(|hold| hold.message.clone()),
        unchanged,
        refused: next.refused.len(),
    }
}

/// What a reader has to know: that all is well goes without saying.
fn worth_telling(conditions: &[Condition]) -> Vec<Condition> {
    let routine = |one: &&Condition| {
        one.status == Status::True
            && matches!(
                one.kind,
                postern_config::condition::ConditionType::Accepted
                    | postern_config::condition::ConditionType::ResolvedRefs
            )
    };
    conditions.iter().filter(|one| !routine(one)).cloned().collect()
}

fn changed_fields(before: &Route, after: &Route) -> Vec<String> {
    let value = |route: &Route| serde_json::to_value(route).unwrap_or(Value::Null);
    changed_keys(&value(before), &value(after))
}

fn changed_boundary(before: &Content, after: &Content) -> Vec<String> {
    let value = |content: &Content| serde_json::to_value(content.boundary.document()).unwrap_or(Value::Null);
    changed_keys(&value(before), &value(after))
}

fn changed_keys(before: &Value, after: &Value) -> Vec<String> {
    let (Value::Object(before), Value::Object(after)) = (before, after) else { return Vec::new() };
    let mut keys: Vec<&String> = before.keys().chain(after.keys()).collect();
    keys.sort();
    keys.dedup();
    keys.into_iter().filter(|key| before.get(*key) != after.get(*key)).cloned().collect()
}

impl Plan {
    /// The plan for people.
    pub fn text(&self) -> String {
        let mut out = String::new();
        for part in &self.boundary {
            let _ = writeln!(out, "~ boundary: {part} changes");
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
            let fields =
                if change.fields.is_empty() { String::new() } else { format!(": {}", change.fields.join(", ")) };
            let ends = if change.ends_route && change.action == Action::Refused { ": its route ends" } else { "" };
            let _ = writeln!(out, "{mark} {} {}{owner}{fields}{ends}", change.action.word(), change.id);
            for reason in &change.reasons {
                let _ = writeln!(out, "    {}", describe(reason));
            }
        }
        if let Some(held) = &self.held {
            let _ = writeln!(out, "held: {held}");
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

/// A condition in one line: reason, place, words.
pub(crate) fn describe(condition: &Condition) -> String {
    let mut text = format!("{:?}", condition.reason);
    if let Some(at) = &condition.at {
        let _ = write!(text, " at {at}");
    }
    if !condition.message.is_empty() {
        let _ = write!(text, ": {}", condition.message);
    }
    text
}
