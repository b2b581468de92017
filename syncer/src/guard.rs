//! May this content replace that one? A step that takes too much at once is held until it is seen a second time.
//!
//! Pure, and without a memory of its own: what is held, and since when, stands in the conditions of the routes
//! that are kept, so a restart changes nothing. Only registrations that are gone count. One that is there and
//! refused was decided on by itself, and what the boundary no longer allows is never held.
//! Must never know files, stores or the clock.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use postern_config::condition::{Condition, ConditionType, Reason, Status};
use postern_config::merged::Content;
use postern_config::route::Route;
use postern_config::value::Timestamp;

use crate::translate::{Rules, regrant};

/// What the guard is told.
#[derive(Debug, Clone, Copy)]
pub struct Step<'a> {
    /// What is served.
    pub previous: Option<&'a Content>,
    /// When the registrations were last seen as they are.
    pub observed_at: Timestamp,
    /// How long after the first observation a second one confirms it.
    pub grace: Duration,
    /// Whether somebody released it.
    pub released: bool,
    /// What decides whether a route would still be granted.
    pub rules: &'a Rules,
}

/// What is kept against the registrations' store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hold {
    /// The ids of the routes that are kept.
    pub ids: Vec<String>,
    /// Why, for a person.
    pub message: String,
    /// Since when.
    pub since: Timestamp,
}

/// Routes that may always go: a team that takes down a service is no accident.
const FEW: usize = 5;
/// The share of routes, in per cent, that may go in one step.
const SHARE: usize = 30;

/// Puts back into `content` what must not vanish yet.
pub fn guard(step: &Step<'_>, content: &mut Content) -> Option<Hold> {
    let previous = step.previous?;
    let vanished = vanished(step, previous, content);
    // Counted against what could have stayed: what the boundary took is no measure.
    let total = vanished.len() + previous.routes.iter().filter(|route| content_has(content, &route.id)).count();
    let why = alarming(&vanished, total).or_else(|| all_of_one_owner(&vanished, content))?;
    if step.released {
        return None;
    }
    let held_before: HashSet<&str> =
        previous.routes.iter().filter(|route| held(route).is_some()).map(|route| route.id.as_str()).collect();
    let equal = held_before.len() == vanished.len() && vanished.iter().all(|route| held_before.contains(&*route.id));
    let first_seen = vanished.iter().filter_map(held).map(|one| one.since).min();
    let since = first_seen.filter(|_| equal).unwrap_or(step.observed_at);
    let until = since.unix().saturating_add(i64::try_from(step.grace.as_secs()).unwrap_or(i64::MAX));
    if equal && step.observed_at.unix() >= until {
        return None;
    }
    let message = format!(
        "{why} vanished in one step; they stay until that is seen again after {}, or until postern-syncer release",
        Timestamp::from_unix(until)
    );
    let ids = vanished.iter().map(|route| route.id.clone()).collect();
    for mut route in vanished {
        let version = route.origin.version;
        route.conditions.retain(|one| one.kind != ConditionType::Held);
        route.conditions.push(Condition {
            kind: ConditionType::Held,
            status: Status::True,
            reason: Reason::ShrinkGuard,
            at: None,
            message: message.clone(),
            observed_generation: version,
            since,
        });
        content.routes.push(route);
    }
    content.routes.sort_by(|a, b| a.id.cmp(&b.id));
    Some(Hold { ids, message, since })
}

/// Routes whose registration is gone, in the form in which they would still be granted.
fn vanished(step: &Step<'_>, previous: &Content, content: &Content) -> Vec<Route> {
    let refused: HashSet<&str> = content.refused.iter().map(|one| one.id.as_str()).collect();
    previous
        .routes
        .iter()
        .filter(|route| !content_has(content, &route.id) && !refused.contains(route.id.as_str()))
        .filter_map(|route| regrant(&content.boundary, route, step.rules, step.observed_at))
        .collect()
}

fn content_has(content: &Content, id: &str) -> bool {
    content.routes.binary_search_by(|route| route.id.as_str().cmp(id)).is_ok()
}

/// What of it is too much, in words.
fn alarming(vanished: &[Route], total: usize) -> Option<String> {
    let gone = vanished.len();
    if gone > 0 && gone == total {
        return Some(format!("all {total} routes"));
    }
    if gone > FEW && gone * 100 > total * SHARE {
        return Some(format!("{gone} of {total} routes"));
    }
    None
}

/// A team that loses everything at once has more likely lost its pipeline than its services.
fn all_of_one_owner(vanished: &[Route], content: &Content) -> Option<String> {
    let mut gone: BTreeMap<&str, usize> = BTreeMap::new();
    for route in vanished {
        *gone.entry(route.owner.as_str()).or_default() += 1;
    }
    gone.retain(|_, count| *count > FEW);
    if gone.is_empty() {
        return None;
    }
    let left: HashSet<&str> = content.routes.iter().map(|route| route.owner.as_str()).collect();
    let (owner, count) = gone.into_iter().find(|(owner, _)| !left.contains(owner))?;
    Some(format!("all {count} routes of {owner}"))
}

fn held(route: &Route) -> Option<&Condition> {
    route.conditions.iter().find(|one| one.kind == ConditionType::Held && one.status == Status::True)
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_config::check;
    use postern_config::document::{BoundaryDocument, Registration};
    use postern_config::{Boundary, parse, schema};

    const GRACE: Duration = Duration::from_secs(60);

    fn boundary(host: &str) -> Boundary {
        let text = format!(
            "apiVersion: postern/v1\nkind: Boundary\nhosts: [a.example.com]\ndestinations: [{{name: d, hosts: ['{host}']}}]"
        );
        let value = parse::values(&text).unwrap().remove(0);
        Boundary::check(parse::document::<BoundaryDocument>(&value, schema::boundary()).unwrap()).unwrap()
    }

    fn route(number: usize, owner: &str, more: &str) -> Route {
        let text =
            format!("root: /r{number:03}\nowner: {owner}\ndestination: {{url: 'https://d.example.com'}}\n{more}");
        let value = parse::values(&text).unwrap().remove(0);
        let registration: Registration = parse::document(&value, schema::registration()).unwrap();
        check::admit(&boundary("d.example.com"), &registration).unwrap()
    }

    fn content(routes: Vec<Route>) -> Content {
        Content { boundary: boundary("d.example.com"), routes, refused: Vec::new(), keys: Vec::new() }
    }

    fn rules() -> Rules {
        Rules { max_stale_route: GRACE, allow_loopback_destinations: false }
    }

    fn step(previous: &Content, next: &Content, at: i64, released: bool) -> (Content, Option<Hold>) {
        let rules = rules();
        let observed_at = Timestamp::from_unix(at);
        let mut content = next.clone();
        let hold =
            guard(&Step { previous: Some(previous), observed_at, grace: GRACE, released, rules: &rules }, &mut content);
        (content, hold)
    }

    #[test]
    fn too_much_at_once_is_held() {
        // Before, after, of which one owner: held?
        for (before, after, owned_before, owned_after, expected) in [
            (10, 10, 0, 0, false),
            (10, 5, 0, 0, false),
            (10, 4, 0, 0, true),
            (100, 70, 0, 0, false),
            (100, 69, 0, 0, true),
            (1, 0, 0, 0, true),
            (5, 0, 0, 0, true),
            (0, 0, 0, 0, false),
            (0, 10, 0, 0, false),
            (94, 94, 6, 0, true),
            (95, 95, 5, 0, false),
            (90, 90, 10, 1, false),
        ] {
            let routes = |count: usize, owned: usize| {
                let mut all: Vec<Route> = (0..count).map(|number| route(number, "one", "")).collect();
                all.extend((0..owned).map(|number| route(500 + number, "two", "")));
                content(all)
            };
            let previous = routes(before, owned_before);
            let (made, hold) = step(&previous, &routes(after, owned_after), 1_000, false);
            assert_eq!(hold.is_some(), expected, "{before} {after} {owned_before} {owned_after}");
            let stays = if expected { previous.routes.len() } else { after + owned_after };
            assert_eq!(made.routes.len(), stays);
        }
    }

    #[test]
    fn what_is_held_goes_when_it_is_seen_again_after_the_grace() {
        let before = content((0..10).map(|number| route(number, "one", "")).collect());
        let empty = content(Vec::new());
        let (held, hold) = step(&before, &empty, 1_000, false);
        assert_eq!(hold.unwrap().since.unix(), 1_000);
        // The same a moment later: nothing changes, to the byte.
        assert_eq!(step(&held, &empty, 1_059, false).0, held);
        // Something else vanishes as well: the wait begins again.
        let (other, hold) = step(&held, &content(vec![route(0, "one", "")]), 1_060, false);
        assert_eq!((hold.unwrap().since.unix(), other.routes.len()), (1_060, 10));
        // Everything is back: nothing is held.
        assert_eq!(step(&held, &before, 1_030, false), (before.clone(), None));
        // Seen again, or released.
        assert_eq!(step(&held, &empty, 1_060, false), (empty.clone(), None));
        assert_eq!(step(&held, &empty, 1_001, true), (empty, None));
    }

    #[test]
    fn what_the_boundary_took_or_a_lease_ended_is_not_held() {
        let previous = content((0..10).map(|number| route(number, "one", "")).collect());
        let mut next = Content { boundary: boundary("other.example.com"), ..content(Vec::new()) };
        next.routes.clear();
        assert_eq!(step(&previous, &next, 1_000, false).1, None);
        let leased = |number| route(number, "one", "lease_until: 1970-01-01T00:10:00Z");
        let previous = content((0..10).map(leased).collect());
        assert_eq!(step(&previous, &content(Vec::new()), 1_000, false).1, None);
        assert!(step(&previous, &content(Vec::new()), 100, false).1.is_some());
        // Nor does a hold outlive a removal from the boundary.
        let previous = content((0..10).map(|number| route(number, "one", "")).collect());
        let (held, _) = step(&previous, &content(Vec::new()), 1_000, false);
        assert_eq!(step(&held, &next, 1_010, false), (next, None));
    }

    #[test]
    fn what_is_refused_is_there() {
        let previous = content((0..10).map(|number| route(number, "one", "")).collect());
        let mut next = content(Vec::new());
        next.refused = (previous.routes.iter())
            .map(|route| postern_config::merged::Refused {
                id: route.id.clone(),
                owner: None,
                registration: serde_json::Value::Null,
                conditions: Vec::new(),
            })
            .collect();
        assert_eq!(step(&previous, &next, 1_000, false).1, None);
    }
}
