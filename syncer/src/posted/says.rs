//! A content to what is said of each registration in it, and to what has to be posted.
//!
//! Two tasks that see the same say the same, although each saw it at a time of its own: times are no part of what is
//! compared. Pure.

use std::cmp::Reverse;
use std::collections::HashMap;

use postern_config::condition::{Condition, ConditionType};
use postern_config::merged::{Content, Digest};
use postern_config::value::Timestamp;

use super::{Entry, Mark, State};
use crate::limits;

/// What is said of each registration, in short, by id.
pub type Said = HashMap<String, String>;

/// What is said of every registration.
pub fn all(content: &Content, mark: &Mark) -> Said {
    let routes = content.routes.iter().map(|route| {
        (route.id.clone(), in_short(State::Route, route.origin.version, &route.conditions, mark.boundary.as_deref()))
    });
    let refused = content.refused.iter().map(|one| {
        (one.id.clone(), in_short(State::Refused, version(&one.conditions), &one.conditions, mark.boundary.as_deref()))
    });
    // Of two that claim the same id the route is the registration.
    refused.chain(routes).collect()
}

/// The entry of one registration.
pub fn entry(content: &Content, id: &str, mark: &Mark, by: &str, now: Timestamp) -> Option<Entry> {
    let (state, version, owner, conditions) = found(content, id)?;
    let boundary = mark.boundary.as_deref();
    Some(Entry {
        id: id.to_owned(),
        version,
        owner: owner.map(str::to_owned),
        state,
        conditions: conditions.iter().take(limits::CONDITIONS).cloned().collect(),
        clock: mark.clock.unwrap_or_default(),
        boundary: boundary.map(str::to_owned),
        says: in_short(state, version, conditions, boundary),
        by: by.to_owned(),
        at: now,
    })
}

/// What changed between what is said and what was posted: entries to post, and ids whose entry goes. What somebody may be
/// waiting for comes first: what was posted in other words before, then what is said since the least time.
pub fn to_do(said: &Said, posted: &Said, since: impl Fn(&str) -> i64) -> (Vec<String>, Vec<String>) {
    let mut post: Vec<String> =
        said.iter().filter(|(id, says)| posted.get(*id) != Some(says)).map(|(id, _)| id.clone()).collect();
    let mut remove: Vec<String> = posted.keys().filter(|id| !said.contains_key(*id)).cloned().collect();
    post.sort_by_cached_key(|id| (!posted.contains_key(id), Reverse(since(id)), id.clone()));
    remove.sort();
    (post, remove)
}

/// Since when the latest of what is said of a registration is said, in seconds after 1970.
pub fn since(content: &Content, id: &str) -> i64 {
    let found = found(content, id).map(|(_, _, _, conditions)| conditions);
    found.into_iter().flatten().map(|one| one.since.unix()).max().unwrap_or_default()
}

type Found<'a> = (State, u64, Option<&'a str>, &'a [Condition]);

fn found<'a>(content: &'a Content, id: &str) -> Option<Found<'a>> {
    if let Ok(at) = content.routes.binary_search_by(|route| route.id.as_str().cmp(id)) {
        let route = &content.routes[at];
        let version = version_of_route(&route.conditions, route.origin.version);
        return Some((State::Route, version, Some(route.owner.as_str()), &route.conditions));
    }
    let at = content.refused.binary_search_by(|one| one.id.as_str().cmp(id)).ok()?;
    let refused = &content.refused[at];
    Some((State::Refused, version(&refused.conditions), refused.owner.as_deref(), &refused.conditions))
}

fn version(conditions: &[Condition]) -> u64 {
    conditions.iter().map(|one| one.observed_generation).max().unwrap_or_default()
}

/// A route in its older form speaks of the newer one that was refused.
fn version_of_route(conditions: &[Condition], served: u64) -> u64 {
    version(conditions).max(served)
}

fn in_short(state: State, version: u64, conditions: &[Condition], boundary: Option<&str>) -> String {
    let mut text = format!("{state:?} {}", version_of_route(conditions, version));
    for one in conditions {
        // How long something is kept is said in its message, by each task's own clock.
        let dated = matches!(one.kind, ConditionType::Stale | ConditionType::Held);
        let message = if dated { "" } else { one.message.as_str() };
        text.push_str(&format!("\n{:?} {:?} {:?} {:?} {message}", one.kind, one.status, one.reason, one.at));
    }
    // Whoever reads that something is refused has to know by which boundary: it may be an older one that says so.
    if conditions.iter().any(Condition::is_worth_telling) || state == State::Refused {
        text.push_str(boundary.unwrap_or_default());
    }
    let digest = Digest::of(text.as_bytes()).to_string();
    digest.trim_start_matches("sha256:").chars().take(32).collect()
}

#[cfg(test)]
mod tests {
    use postern_config::condition::{Reason, Status};

    use super::*;

    fn condition(kind: ConditionType, status: Status, message: &str, since: i64) -> Condition {
        let since = Timestamp::from_unix(since);
        let reason = Reason::Accepted;
        Condition { kind, status, reason, at: None, message: message.to_owned(), observed_generation: 3, since }
    }

    fn short(conditions: &[Condition], boundary: &str) -> String {
        in_short(State::Route, 3, conditions, Some(boundary))
    }

    #[test]
    fn two_tasks_that_see_the_same_say_the_same() {
        let good = |since| [condition(ConditionType::Accepted, Status::True, "", since)];
        assert_eq!(short(&good(1), "b1"), short(&good(2), "b1"));
        // One that is well is said no other way by the next boundary that lets it be.
        assert_eq!(short(&good(1), "b1"), short(&good(1), "b2"));
        let stale = |until| [condition(ConditionType::Stale, Status::True, until, 1)];
        assert_eq!(short(&stale("until 1"), "b1"), short(&stale("until 2"), "b1"));
    }

    #[test]
    fn what_a_pipeline_has_to_know_makes_another_entry() {
        let good = [condition(ConditionType::Accepted, Status::True, "", 1)];
        let bad = |message| [condition(ConditionType::Accepted, Status::False, message, 1)];
        let mut seen = vec![short(&good, "b1"), short(&bad("x"), "b1"), short(&bad("y"), "b1"), short(&bad("x"), "b2")];
        seen.push(in_short(State::Refused, 3, &bad("x"), Some("b1")));
        seen.push(in_short(State::Route, 4, &good, Some("b1")));
        let count = seen.len();
        seen.sort();
        seen.dedup();
        assert_eq!(seen.len(), count);
    }

    #[test]
    fn only_what_differs_is_posted_or_taken_away() {
        let said = |pairs: &[(&str, &str)]| -> Said {
            pairs.iter().map(|(id, says)| ((*id).to_owned(), (*says).to_owned())).collect()
        };
        let now = said(&[("/a", "1"), ("/b", "2"), ("/c", "3")]);
        let posted = said(&[("/a", "1"), ("/b", "1"), ("/d", "4")]);
        let none = |_: &str| 0;
        assert_eq!(to_do(&now, &posted, none), (vec!["/b".to_owned(), "/c".to_owned()], vec!["/d".to_owned()]));
        assert_eq!(to_do(&now, &now, none), (Vec::new(), Vec::new()));
        // Behind what is posted in other words, what is new comes before what has long been so.
        let all = said(&[("/a", "1"), ("/b", "2"), ("/c", "3"), ("/e", "5")]);
        let (post, _) = to_do(&all, &posted, |id| i64::from(id == "/e"));
        assert_eq!(post, ["/b", "/e", "/c"]);
    }
}
