//! Of two registrations that claim the same requests, the one that held them first keeps them: the loser is told
//! by whom it is shadowed, the winner never notices.
//!
//! Age is `held_since`, the generation since which a route holds its claim; the router breaks ties by it too. A
//! route keeps its age while its claim stays the same, and also when the claim changes as long as that takes
//! nothing from another that held it already. Otherwise widening a claim would be a way to rob, or be robbed.

use std::collections::HashMap;

use postern_config::condition::{Condition, ConditionType, Reason, Status};
use postern_config::merged::Refused;
use postern_config::route::Route;

use super::claim::{Claim, Slot};
use super::past::Past;
use super::settle;
use super::{Input, Outcome};

/// A route among those that claim the same shape.
struct Member {
    index: usize,
    claim: Claim,
    /// What it claimed before, and since when.
    before: Option<(Claim, u64)>,
}

/// Gives every route its age, and takes from the younger what an older one holds.
pub(super) fn settle(input: &Input<'_>, past: &Past<'_>, outcome: &mut Outcome) {
    let mut by_shape: HashMap<String, Vec<usize>> = HashMap::with_capacity(outcome.routes.len());
    for (index, route) in outcome.routes.iter().enumerate() {
        by_shape.entry(Claim::of(route).shape).or_default().push(index);
    }
    let mut lost: Vec<(usize, Refused)> = Vec::new();
    for indices in by_shape.into_values() {
        if let [index] = indices[..] {
            let route = &mut outcome.routes[index];
            route.origin.held_since = past.route(&route.id).map_or(input.generation, |before| before.origin.held_since);
            continue;
        }
        let members = members(&outcome.routes, past, indices);
        lost.extend(settle_shape(input, &members, &mut outcome.routes));
    }
    lost.sort_by_key(|(index, _)| std::cmp::Reverse(*index));
    for (index, refused) in lost {
        outcome.routes.swap_remove(index);
        outcome.refused.push(refused);
    }
}

fn members(routes: &[Route], past: &Past<'_>, indices: Vec<usize>) -> Vec<Member> {
    let member = |index: usize| {
        let before = past.route(&routes[index].id).map(|route| (Claim::of(route), route.origin.held_since));
        Member { index, claim: Claim::of(&routes[index]), before }
    };
    indices.into_iter().map(member).collect()
}

fn settle_shape(input: &Input<'_>, members: &[Member], routes: &mut [Route]) -> Vec<(usize, Refused)> {
    let ages = ages(input, members);
    let mut order: Vec<usize> = (0..members.len()).collect();
    order.sort_by(|&a, &b| (ages[a], &routes[members[a].index].id).cmp(&(ages[b], &routes[members[b].index].id)));
    let mut holders: HashMap<Slot<'_>, usize> = HashMap::new();
    let mut lost = Vec::new();
    for at in order {
        let member = &members[at];
        routes[member.index].origin.held_since = ages[at];
        let (free, taken): (Vec<_>, Vec<_>) = member.claim.slots().partition(|slot| !holders.contains_key(slot));
        if !taken.is_empty() {
            let condition =
                shadowed_by(input, &routes[member.index], &taken, |slot| &routes[members[holders[slot]].index].id);
            if free.is_empty() {
                lost.push((member.index, settle::shadowed(&routes[member.index], condition)));
                continue;
            }
            routes[member.index].conditions.push(condition);
        }
        holders.extend(free.into_iter().map(|slot| (slot, at)));
    }
    lost
}

/// Since when each holds what it claims.
fn ages(input: &Input<'_>, members: &[Member]) -> Vec<u64> {
    // Who held what before, within this shape.
    let mut held: HashMap<Slot<'_>, Vec<usize>> = HashMap::new();
    for (at, member) in members.iter().enumerate() {
        if let Some((before, _)) = member.before.as_ref().filter(|(before, _)| before.shape == member.claim.shape) {
            for slot in member.claim.slots().filter(|slot| before.has(slot)) {
                held.entry(slot).or_default().push(at);
            }
        }
    }
    let robs = |at: usize, member: &Member, before: &Claim| {
        let had = |slot: &Slot<'_>| before.shape == member.claim.shape && before.has(slot);
        let others = |slot: Slot<'_>| held.get(&slot).is_some_and(|holders| holders.iter().any(|&one| one != at));
        member.claim.slots().filter(|slot| !had(slot)).any(others)
    };
    let age = |(at, member): (usize, &Member)| match &member.before {
        None => input.generation,
        Some((before, age)) if *before == member.claim || !robs(at, member, before) => *age,
        Some(_) => input.generation,
    };
    members.iter().enumerate().map(age).collect()
}

fn shadowed_by<'r>(
    input: &Input<'_>,
    loser: &Route,
    taken: &[Slot<'_>],
    holder: impl Fn(&Slot<'_>) -> &'r String,
) -> Condition {
    const NAMED: usize = 4;
    let mut by_winner: Vec<(&str, String)> =
        taken.iter().map(|slot| (holder(slot).as_str(), slot.to_string())).collect();
    by_winner.sort();
    let mut parts: Vec<String> = Vec::new();
    for group in by_winner.chunk_by(|a, b| a.0 == b.0).take(NAMED) {
        let slots: Vec<&str> = group.iter().map(|(_, slot)| slot.as_str()).take(NAMED).collect();
        let more = if group.len() > NAMED { format!(" and {} more", group.len() - NAMED) } else { String::new() };
        parts.push(format!("{} holds {}{more}", group[0].0, slots.join(", ")));
    }
    Condition {
        kind: ConditionType::Conflicted,
        status: Status::True,
        reason: Reason::ShadowedBy,
        at: Some("/match".to_owned()),
        message: format!("{}, claimed here too; narrow match, or agree with its owner", parts.join("; ")),
        observed_generation: loser.origin.version,
        since: input.now,
    }
}
