//! Translation: what stands in both stores, and what was granted before, to the content of the next generation.
//!
//! Owns what becomes of each registration and what is said about it. Pure: the clock, the stores and the files
//! are arguments, so a golden pair shows every case. Each registration is judged on its own; what they have to
//! do with each other (the same id, the same requests) is settled afterwards, in favour of whoever held first.
//! Must never know where registrations come from, or what the content is written to.

mod claim;
mod conflict;
mod past;
mod settle;

use std::time::Duration;

use postern_config::Boundary;
use postern_config::check::{self, Refusal};
use postern_config::condition::Reason;
use postern_config::document::Registration;
use postern_config::merged::{Content, Refused};
use postern_config::parse;
use postern_config::route::Route;
use postern_config::schema;
use postern_config::value::Timestamp;

use crate::item::Item;
use crate::limits;
use claim::Claim;
use past::Past;

/// What a translation is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What operations allow.
    pub boundary: &'a Boundary,
    /// What stands in the registrations' store.
    pub items: &'a [Item],
    /// What was granted before.
    pub previous: Option<&'a Content>,
    /// When this happens.
    pub now: Timestamp,
    /// The number that the next generation would have.
    pub generation: u64,
    /// What does not change between passes.
    pub rules: &'a Rules,
}

/// What a translation is told by the settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rules {
    /// How long an older form of a registration that turned bad is served.
    pub max_stale_route: Duration,
    /// Whether destinations may name loopback addresses.
    pub allow_loopback_destinations: bool,
}

/// Makes the content of the next generation.
pub fn translate(input: &Input<'_>) -> Content {
    let past = Past::of(input.previous);
    let mut outcome = each_by_itself(input, &past);
    conflict::settle(input, &past, &mut outcome);
    outcome.finish(input, &past)
}

/// What becomes of each registration, before they have anything to do with each other's requests.
fn each_by_itself(input: &Input<'_>, past: &Past<'_>) -> Outcome {
    let mut judged: Vec<Judged<'_>> = input.items.iter().map(|item| Judged::of(input, item)).collect();
    // The order of the store decides nothing.
    judged.sort_by(|a, b| (&a.id, &a.item.origin).cmp(&(&b.id, &b.item.origin)));
    let mut outcome = Outcome::default();
    for same_id in judged.chunk_by_mut(|a, b| a.id == b.id) {
        settle::one_id(input, past, same_id, &mut outcome);
    }
    settle::keep_unseen(input, past, input.items, &mut outcome);
    outcome
}

/// Applies a new boundary to what was granted before, for as long as the registrations cannot be read: what it
/// no longer allows is refused at once, everything else stays as it is.
pub fn reapply(input: &Input<'_>, previous: &Content) -> Content {
    let past = Past::of(Some(previous));
    let mut outcome = Outcome { routes: Vec::new(), refused: previous.refused.clone() };
    for route in &previous.routes {
        let registration = route.registration();
        match grant(input.boundary, &registration, input.rules, input.now) {
            Ok(granted) => outcome.routes.push(again(route, granted)),
            Err(refusals) => {
                let value = serde_json::to_value(&registration).unwrap_or_default();
                let item = Item::readable(&route.id, &value);
                outcome.refused.push(settle::refused(input, &item, &refusals));
            }
        }
    }
    outcome.finish(input, &past)
}

/// Whether `route`, as it was granted, would still be granted; the granted form if so.
pub fn regrant(boundary: &Boundary, route: &Route, rules: &Rules, now: Timestamp) -> Option<Route> {
    grant(boundary, &route.registration(), rules, now).ok().map(|granted| again(route, granted))
}

/// The route as it is granted now, with the age and the conditions that it had.
fn again(before: &Route, granted: Route) -> Route {
    let mut route = granted;
    route.origin.held_since = before.origin.held_since;
    route.conditions.clone_from(&before.conditions);
    route
}

/// Everything that decides on one registration by itself.
fn grant(
    boundary: &Boundary,
    registration: &Registration,
    rules: &Rules,
    now: Timestamp,
) -> Result<Route, Vec<Refusal>> {
    if let Some(until) = registration.lease_until.filter(|until| *until <= now) {
        return Err(vec![Refusal {
            reason: Reason::LeaseExpired,
            at: "/lease_until".to_owned(),
            message: format!("the lease ended at {until}; register again with a later one"),
        }]);
    }
    let route = check::admit(boundary, registration)?;
    let mut refusals = Vec::new();
    if !rules.allow_loopback_destinations {
        refusals.extend(loopback(boundary, &route));
    }
    if let Some(count) = Claim::of(&route).too_many() {
        refusals.push(Refusal {
            reason: Reason::SchemaInvalid,
            at: "/match".to_owned(),
            message: format!(
                "claims {count} pairs of host and method, more than {}; leave methods or hosts out to mean all of them",
                limits::CLAIMS_PER_REGISTRATION
            ),
        });
    }
    if refusals.is_empty() { Ok(route) } else { Err(refusals) }
}

/// A destination on loopback is for demos and tests, and asks for a flag on both processes.
fn loopback<'a>(boundary: &'a Boundary, route: &'a Route) -> impl Iterator<Item = Refusal> + 'a {
    route.destinations.iter().enumerate().filter_map(move |(index, target)| {
        let destination = boundary.destination(&target.via)?;
        destination.addresses.iter().any(|network| network.is_loopback()).then(|| Refusal {
            reason: Reason::DestinationNotAllowed,
            at: if route.destinations.len() == 1 {
                "/destination/url".to_owned()
            } else {
                format!("/destinations/{index}/url")
            },
            message: format!(
                "the destination \"{}\" is on loopback addresses, which needs --allow-loopback-destinations on syncer and router",
                destination.name
            ),
        })
    })
}

/// An item with what its own content says of it.
struct Judged<'a> {
    item: &'a Item,
    id: String,
    verdict: Option<Result<Route, Vec<Refusal>>>,
}

impl<'a> Judged<'a> {
    fn of(input: &Input<'_>, item: &'a Item) -> Self {
        // A defect of ours that one registration brings out must not stop all the others.
        let judged = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| judge(input, item)));
        let (id, verdict) = judged.unwrap_or_else(|_| {
            let refusal = Refusal {
                reason: Reason::SchemaInvalid,
                at: String::new(),
                message: "could not be judged: a defect of the syncer, which its log tells; please report it"
                    .to_owned(),
            };
            (item.id(), Err(vec![refusal]))
        });
        Self { item, id, verdict: Some(verdict) }
    }
}

/// The id of an entry, and what its own content says of it.
fn judge(input: &Input<'_>, item: &Item) -> (String, Result<Route, Vec<Refusal>>) {
    if !item.problems.is_empty() {
        return (item.id(), Err(item.problems.iter().cloned().map(Refusal::from).collect()));
    }
    match parse::document::<Registration>(&item.value(), schema::registration()) {
        Ok(registration) => {
            (registration.id().to_string(), grant(input.boundary, &registration, input.rules, input.now))
        }
        Err(problems) => (item.id(), Err(problems.0.into_iter().map(Refusal::from).collect())),
    }
}

/// What has been decided so far.
#[derive(Default)]
struct Outcome {
    routes: Vec<Route>,
    refused: Vec<Refused>,
}

impl Outcome {
    fn finish(mut self, input: &Input<'_>, past: &Past<'_>) -> Content {
        for route in &mut self.routes {
            route.conditions.sort_by(|a, b| (a.kind, &a.at).cmp(&(b.kind, &b.at)));
            past.carry_over(&route.id, &mut route.conditions);
        }
        for refused in &mut self.refused {
            past.carry_over(&refused.id, &mut refused.conditions);
        }
        self.routes.sort_by(|a, b| a.id.cmp(&b.id));
        self.refused.sort_by(|a, b| a.id.cmp(&b.id));
        settle::bound_what_is_shown(&mut self.refused);
        Content { boundary: input.boundary.clone(), routes: self.routes, refused: self.refused, keys: Vec::new() }
    }
}

#[cfg(test)]
mod measure;
#[cfg(test)]
mod tests;
