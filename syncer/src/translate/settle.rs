//! What becomes of a registration: a route, a route in its older form, or a line that says why not.

use std::collections::HashSet;

use postern_config::check::Refusal;
use postern_config::condition::{Condition, ConditionType, Reason, Status};
use postern_config::merged::Refused;
use postern_config::route::Route;
use postern_config::value::{Period, Timestamp};
use serde_json::{Value, json};

use super::past::Past;
use super::{Input, Judged, Outcome, regrant};
use crate::item::Item;
use crate::limits;
use crate::redact;

/// Settles all entries that say they are the same registration: the first good one is it. One that is bad never
/// stands in the way of a good one.
pub(super) fn one_id(input: &Input<'_>, past: &Past<'_>, same: &mut [Judged<'_>], outcome: &mut Outcome) {
    let mut taken_by: Option<String> = None;
    for judged in same.iter_mut() {
        match judged.verdict.take_if(|verdict| verdict.is_ok()) {
            Some(Ok(mut route)) if taken_by.is_none() => {
                taken_by = Some(judged.item.origin.to_string());
                route.conditions = vec![
                    holds(Reason::Accepted, route.origin.version, input.now),
                    holds(Reason::ResolvedRefs, route.origin.version, input.now),
                ];
                outcome.routes.push(route);
            }
            Some(_) => {
                let first = taken_by.as_deref().unwrap_or_default();
                let refusal = Refusal {
                    reason: Reason::DuplicateRegistration,
                    at: String::new(),
                    message: format!("{} is already registered by {first}; give this one another name", judged.id),
                };
                outcome.refused.push(refused(input, judged.item, &[refusal]));
            }
            None => {}
        }
    }
    // What has been taken above has no verdict left.
    for judged in same.iter_mut() {
        let Some(Err(refusals)) = judged.verdict.take() else { continue };
        let older = if taken_by.is_none() { older_form(input, past, judged, &refusals) } else { Older::None };
        match older {
            Older::Served(route) => {
                taken_by = Some(judged.item.origin.to_string());
                outcome.routes.push(*route);
            }
            Older::TooLong(refusal) => {
                let all: Vec<Refusal> = refusals.into_iter().chain([refusal]).collect();
                outcome.refused.push(refused(input, judged.item, &all));
            }
            Older::None => outcome.refused.push(refused(input, judged.item, &refusals)),
        }
    }
}

enum Older {
    Served(Box<Route>),
    TooLong(Refusal),
    None,
}

/// The form that was granted before, when it may still be served in place of a bad one.
fn older_form(input: &Input<'_>, past: &Past<'_>, judged: &Judged<'_>, refusals: &[Refusal]) -> Older {
    let limit = input.rules.max_stale_route.as_secs().min(u64::from(u32::MAX));
    let too_long = Refusal {
        reason: Reason::StaleTooLong,
        at: String::new(),
        message: format!(
            "the last good form was served for {} and is not any more",
            Period::from_millis(limit * 1_000)
        ),
    };
    let Some(route) = past.route(&judged.id) else {
        // Said for as long as the bad form stands, not only in the generation that dropped the route.
        let told = past.refusals(&judged.id).any(|one| one.reason == Reason::StaleTooLong);
        return if told { Older::TooLong(too_long) } else { Older::None };
    };
    if refusals.iter().any(|one| one.reason == Reason::LeaseExpired) {
        return Older::None;
    }
    let Some(mut route) = regrant(input.boundary, route, input.rules, input.now) else { return Older::None };
    let since = past.stale_since(&route.id).unwrap_or(input.now);
    let until = since.unix().saturating_add(i64::try_from(limit).unwrap_or(i64::MAX));
    if input.now.unix() >= until {
        return Older::TooLong(too_long);
    }
    let version = judged.item.version();
    route.conditions = refusals.iter().take(limits::CONDITIONS).map(|one| denies(one, version, input.now)).collect();
    route.conditions.push(serving_last_good(
        format!(
            "the new form is refused ({}), so the last good form, version {}, is served until {}",
            cut(&refusals.first().map(described).unwrap_or_default()),
            route.origin.version,
            Timestamp::from_unix(until)
        ),
        version,
        since,
    ));
    Older::Served(Box::new(route))
}

/// Keeps routes whose registration is nowhere to be seen while something could not be read at all: it may be in
/// there, and absence is not an instruction.
pub(super) fn keep_unseen(input: &Input<'_>, past: &Past<'_>, items: &[Item], outcome: &mut Outcome) {
    let Some(unreadable) = items.iter().filter(|item| item.opaque).min_by(|a, b| a.origin.cmp(&b.origin)) else {
        return;
    };
    let seen: HashSet<&str> = outcome
        .routes
        .iter()
        .map(|route| route.id.as_str())
        .chain(outcome.refused.iter().map(|one| one.id.as_str()))
        .collect();
    let limit = i64::try_from(input.rules.max_stale_route.as_secs()).unwrap_or(i64::MAX);
    let mut kept = Vec::new();
    for before in past.routes().filter(|route| !seen.contains(route.id.as_str())) {
        let Some(mut route) = regrant(input.boundary, before, input.rules, input.now) else { continue };
        let since = past.stale_since(&route.id).unwrap_or(input.now);
        let until = since.unix().saturating_add(limit);
        if input.now.unix() >= until {
            continue;
        }
        let version = route.origin.version;
        route.conditions = vec![
            holds(Reason::Accepted, version, input.now),
            holds(Reason::ResolvedRefs, version, input.now),
            serving_last_good(
                format!(
                    "its registration is not to be found, and {} cannot be read; the last good form is served until {}",
                    unreadable.origin,
                    Timestamp::from_unix(until)
                ),
                version,
                since,
            ),
        ];
        kept.push(route);
    }
    outcome.routes.extend(kept);
}

/// The line of a registration that did not become a route.
pub(super) fn refused(input: &Input<'_>, item: &Item, refusals: &[Refusal]) -> Refused {
    let version = item.version();
    let conditions = refusals.iter().take(limits::CONDITIONS).map(|one| denies(one, version, input.now)).collect();
    let owner = item.owner().filter(|owner| owner.len() <= 128).map(|owner| redact::text(&owner));
    Refused { id: item.id(), owner, registration: redact::shown(&item.value()), conditions }
}

/// A registration that loses all it claims is a line as well.
pub(super) fn shadowed(route: &Route, condition: Condition) -> Refused {
    let value = serde_json::to_value(route.registration()).unwrap_or(Value::Null);
    Refused {
        id: route.id.clone(),
        owner: Some(route.owner.to_string()),
        registration: redact::shown(&value),
        conditions: vec![condition],
    }
}

/// Leaves out what refused registrations say once there is more of it than a file should carry.
pub(super) fn bound_what_is_shown(refused: &mut [Refused]) {
    let mut total = 0_usize;
    for one in refused {
        total = total.saturating_add(one.registration.to_string().len());
        if total > limits::REFUSED_TOTAL_BYTES {
            one.registration = json!({ "cut": "" });
        }
    }
}

fn holds(reason: Reason, version: u64, now: Timestamp) -> Condition {
    Condition {
        kind: reason.condition(),
        status: Status::True,
        reason,
        at: None,
        message: String::new(),
        observed_generation: version,
        since: now,
    }
}

fn denies(refusal: &Refusal, version: u64, now: Timestamp) -> Condition {
    let kind = refusal.reason.condition();
    Condition {
        kind,
        status: if kind == ConditionType::Conflicted { Status::True } else { Status::False },
        reason: refusal.reason,
        at: Some(cut(&refusal.at)).filter(|at| !at.is_empty()),
        message: cut(&redact::text(&refusal.message)),
        observed_generation: version,
        since: now,
    }
}

fn serving_last_good(message: String, version: u64, since: Timestamp) -> Condition {
    Condition {
        kind: ConditionType::Stale,
        status: Status::True,
        reason: Reason::ServingLastGood,
        at: None,
        message,
        observed_generation: version,
        since,
    }
}

fn described(refusal: &Refusal) -> String {
    let message = redact::text(&refusal.message);
    if refusal.at.is_empty() { message } else { format!("{}: {message}", refusal.at) }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(limits::MESSAGE_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}
