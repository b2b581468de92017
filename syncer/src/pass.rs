//! One pass without the world: what was observed, and what stands, to what should stand.
//!
//! Owns the order translate → guard and what happens while one of the stores has not been read yet. `run` and
//! `plan` share it, so a plan cannot say anything else than what a run does. Pure.

use std::time::Duration;

use postern_config::Boundary;
use postern_config::merged::{Content, IssuerKeys, is_stale};
use postern_config::value::Timestamp;

use crate::guard::{self, Hold, Step};
use crate::item::Item;
use crate::translate::{self, Input, Rules};

/// What a pass is made from.
#[derive(Debug, Clone, Copy)]
pub struct Situation<'a> {
    /// What operations allow: as observed, or as it stands while that cannot be read.
    pub boundary: &'a Boundary,
    /// The registrations, when they have been read since the start.
    pub items: Option<&'a [Item]>,
    /// When they were last seen as they are.
    pub observed_at: Timestamp,
    /// The keys of issuers that publish them, as far as they are known: those of the boundary alone.
    pub keys: &'a [IssuerKeys],
    /// What stands.
    pub previous: Option<&'a Content>,
    /// The number that the next generation has.
    pub generation: u64,
    /// When this happens.
    pub now: Timestamp,
    /// What the settings tell the translation.
    pub rules: &'a Rules,
    /// How long the shrink guard waits for a second observation.
    pub shrink_grace: Duration,
    /// Whether somebody released what the guard holds.
    pub released: bool,
}

/// What should stand, and what the guard keeps in it. `None` when there is nothing to make it from.
pub fn next(situation: &Situation<'_>) -> Option<(Content, Option<Hold>)> {
    let input = Input {
        boundary: situation.boundary,
        items: situation.items.unwrap_or_default(),
        previous: situation.previous,
        now: situation.now,
        generation: situation.generation,
        rules: situation.rules,
    };
    if situation.items.is_none() {
        let content = translate::reapply(&input, situation.previous?);
        let content = Content { keys: situation.keys.to_vec(), ..content };
        return Some((content, None));
    }
    let mut content = translate::translate(&input);
    let step = Step {
        previous: situation.previous,
        observed_at: situation.observed_at,
        grace: situation.shrink_grace,
        released: situation.released,
        rules: situation.rules,
    };
    let hold = guard::guard(&step, &mut content);
    content.keys = situation.keys.to_vec();
    Some((content, hold))
}

/// When time alone next changes what should stand: a lease ends, an older form was served long enough, a hold has
/// waited long enough.
pub fn due(
    content: &Content,
    hold: Option<&Hold>,
    rules: &Rules,
    shrink_grace: Duration,
    now: Timestamp,
) -> Option<Timestamp> {
    let after = |since: Timestamp, period: Duration| {
        Timestamp::from_unix(since.unix().saturating_add(i64::try_from(period.as_secs()).unwrap_or(i64::MAX)))
    };
    let leases = content.routes.iter().filter_map(|route| route.lease_until);
    let stale = content.routes.iter().filter(|route| is_stale(route)).flat_map(|route| &route.conditions);
    let stale = stale.map(|condition| after(condition.since, rules.max_stale_route));
    let held = hold.map(|hold| after(hold.since, shrink_grace));
    // A hold that is past its time waits for an observation, so it stays due.
    leases.chain(stale).filter(|instant| *instant > now).chain(held).min()
}
