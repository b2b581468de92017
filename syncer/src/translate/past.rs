//! What was granted and said before, by id: so that what did not change stays the same to the byte.

use std::collections::HashMap;

use postern_config::condition::{Condition, ConditionType, Status};
use postern_config::merged::{Content, Refused};
use postern_config::route::Route;
use postern_config::value::Timestamp;

/// The previous content, by id.
pub(super) struct Past<'a> {
    routes: HashMap<&'a str, &'a Route>,
    refused: HashMap<&'a str, Vec<&'a Refused>>,
}

impl<'a> Past<'a> {
    pub(super) fn of(previous: Option<&'a Content>) -> Self {
        let mut routes = HashMap::new();
        let mut refused: HashMap<&str, Vec<&Refused>> = HashMap::new();
        if let Some(content) = previous {
            routes.extend(content.routes.iter().map(|route| (route.id.as_str(), route)));
            for one in &content.refused {
                refused.entry(one.id.as_str()).or_default().push(one);
            }
        }
        Self { routes, refused }
    }

    /// The route of that id.
    pub(super) fn route(&self, id: &str) -> Option<&'a Route> {
        self.routes.get(id).copied()
    }

    /// Every route there was.
    pub(super) fn routes(&self) -> impl Iterator<Item = &'a Route> + '_ {
        self.routes.values().copied()
    }

    /// Since when an older form of it is served, when one is.
    pub(super) fn stale_since(&self, id: &str) -> Option<Timestamp> {
        let conditions = &self.route(id)?.conditions;
        let stale = |one: &&Condition| one.kind == ConditionType::Stale && one.status == Status::True;
        conditions.iter().find(stale).map(|one| one.since)
    }

    /// What was said of refused entries of that id.
    pub(super) fn refusals(&self, id: &str) -> impl Iterator<Item = &'a Condition> + '_ {
        self.refused.get(id).into_iter().flatten().flat_map(|one| one.conditions.iter())
    }

    /// Gives conditions that said the same before the time since when they say it.
    pub(super) fn carry_over(&self, id: &str, conditions: &mut [Condition]) {
        for condition in conditions {
            let before = self.route(id).into_iter().flat_map(|route| &route.conditions).chain(self.refusals(id));
            if let Some(since) = before.filter(|one| says_the_same(one, condition)).map(|one| one.since).min() {
                condition.since = since;
            }
        }
    }
}

fn says_the_same(one: &Condition, other: &Condition) -> bool {
    (one.kind, one.status, one.reason) == (other.kind, other.status, other.reason)
        && one.at == other.at
        && one.message == other.message
}
