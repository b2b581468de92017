//! What one content has otherwise than another, in the words of routes: for people who ask what changed.
//!
//! Pure. Marks what became weaker. Assumes both contents passed every check. Must never decide what may be served.

mod boundary;
mod named;
mod policies;
mod routes;
mod text;

use serde::Serialize;
use serde_json::Value;

use crate::condition::Condition;
use crate::merged::{Content, Refused};
use crate::route::Route;

/// The difference between two contents.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Changes {
    /// What changed of what operations allow.
    pub boundary: Vec<Aspect>,
    /// Routes and registrations that are not what they were, sorted by id.
    pub routes: Vec<RouteChange>,
    /// How many routes are the same in both.
    pub unchanged: usize,
}

/// A route or registration that is not what it was.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RouteChange {
    /// `ROOT#NAME`.
    pub id: String,
    /// What became of it.
    pub action: Action,
    /// Who answers for it, when known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The registration's version: the new one where there is one, else the last.
    pub version: u64,
    /// Whether a route that stood ends with it.
    pub ends_route: bool,
    /// What is otherwise than before.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub aspects: Vec<Aspect>,
    /// Why it was refused, is held or stale.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub reasons: Vec<Condition>,
}

/// What became of a route or registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// It is a route now.
    Added,
    /// Its route is another one.
    Changed,
    /// Its route ended.
    Removed,
    /// It is refused now, or for another reason.
    Refused,
    /// It is not refused any more, and gone.
    Withdrawn,
    /// It stays for now although its registration is gone.
    Held,
    /// An older form of it is served.
    Stale,
}

/// One thing that is otherwise than before.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Aspect {
    /// What: `destinations`, `match`, `policies.authentication`; of the boundary `paths./pay`.
    pub what: String,
    /// How it was; none when it was not there.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub from: Value,
    /// How it is; none when it is not there any more.
    #[serde(skip_serializing_if = "Value::is_null")]
    pub to: Value,
    /// Whether less is demanded or more allowed than before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub weaker: Option<Weaker>,
}

/// That less is demanded or more allowed than before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weaker {
    /// It may be: what changed can only be judged by a person.
    Maybe,
    /// It is.
    Yes,
}

impl Changes {
    /// What `after` has otherwise than `before`.
    pub fn between(before: &Content, after: &Content) -> Self {
        let (routes, unchanged) = routes::changes(before, after);
        let (old, new) = (before.boundary.document(), after.boundary.document());
        Self { boundary: boundary::aspects(old, new), routes, unchanged }
    }

    /// Whether both contents are the same as far as requests and people are concerned.
    pub fn is_empty(&self) -> bool {
        self.boundary.is_empty() && self.routes.is_empty()
    }

    /// Whether anything became weaker for certain.
    pub fn weakens(&self) -> bool {
        let aspects = self.boundary.iter().chain(self.routes.iter().flat_map(|route| &route.aspects));
        aspects.into_iter().any(|aspect| aspect.weaker == Some(Weaker::Yes))
    }
}

impl RouteChange {
    /// What became of a route.
    pub fn of_route(route: &Route, action: Action, aspects: Vec<Aspect>) -> Self {
        Self {
            id: route.id.clone(),
            action,
            owner: Some(route.owner.to_string()),
            version: route.origin.version,
            ends_route: action == Action::Removed,
            aspects,
            reasons: Vec::new(),
        }
    }

    /// That a registration is refused, and why; or that it was.
    pub fn of_refused(one: &Refused, action: Action, ends_route: bool) -> Self {
        Self {
            id: one.id.clone(),
            action,
            owner: one.owner.clone(),
            version: one.conditions.iter().map(|condition| condition.observed_generation).max().unwrap_or(0),
            ends_route,
            aspects: Vec::new(),
            reasons: if action == Action::Refused { one.conditions.clone() } else { Vec::new() },
        }
    }
}

impl Aspect {
    fn new(what: impl Into<String>, from: Value, to: Value) -> Self {
        Self { what: what.into(), from, to, weaker: None }
    }

    fn weaker(mut self, weaker: Option<Weaker>) -> Self {
        self.weaker = weaker;
        self
    }
}

fn yes_if(weaker: bool) -> Option<Weaker> {
    weaker.then_some(Weaker::Yes)
}

fn value_of(what: &impl Serialize) -> Value {
    serde_json::to_value(what).unwrap_or_default()
}
