//! Names of keys that no key of their issuer has, on one core: which of them may still turn up, and whose keys should be
//! fetched before their time.
//!
//! A token under an unknown name may be forged, or signed with a key that was made a moment ago. Called invalid at once
//! it would be a false refusal after every rotation; so it is told to come again, once, until the keys have been fetched
//! anew, and only then is it invalid. Must never ask anybody itself: names wait here until the core hands them over.

use std::cell::Cell;
use std::collections::HashMap;
use std::hash::BuildHasher as _;
use std::rc::Rc;
use std::sync::Arc;

use quick_cache::unsync::Cache;

/// Unknown names of keys, on one core.
#[derive(Default)]
pub(crate) struct UnknownKeys(Option<Asking>);

struct Asking {
    seen: Cache<u128, Seen>,
    /// Seeds are random, so that nobody can choose names that fall together.
    hashes: [foldhash::quality::RandomState; 2],
    /// Issuers that are to be asked, each with the round in which that will be, once it is known.
    open: HashMap<Arc<str>, Rc<Cell<u64>>>,
    /// The last round of each issuer that came back.
    done: HashMap<Arc<str>, u64>,
}

#[derive(Clone)]
struct Seen {
    /// The round of fetching that tells; 0 while it is not known.
    round: Rc<Cell<u64>>,
    since: i64,
}

impl UnknownKeys {
    /// One whose issuers can be asked. Without it every unknown name is invalid.
    pub(crate) fn asking() -> Self {
        Self(Some(Asking {
            seen: Cache::new(NAMES),
            hashes: Default::default(),
            open: HashMap::new(),
            done: HashMap::new(),
        }))
    }

    /// Whether a key of that name may still turn up. `now` is in Unix seconds.
    pub(super) fn is_awaited(&mut self, issuer: &Arc<str>, kid: &str, now: i64) -> bool {
        self.0.as_mut().is_some_and(|asking| asking.is_awaited(issuer, kid, now))
    }

    /// Hands over which issuers should be asked: `ask` gives the round in which that will be.
    pub(crate) fn hand_over(&mut self, mut ask: impl FnMut(&str) -> u64) {
        for (issuer, round) in self.0.iter_mut().flat_map(|asking| asking.open.drain()) {
            round.set(ask(name_of(&issuer)));
        }
    }

    /// That round of fetching an issuer's keys came back, and what it brought is served.
    pub(crate) fn came_back(&mut self, issuer: &str, round: u64) {
        if let Some(asking) = &mut self.0 {
            asking.done.insert(format!("{JWT}{issuer}").into(), round);
        }
    }
}

impl Asking {
    fn is_awaited(&mut self, issuer: &Arc<str>, kid: &str, now: i64) -> bool {
        let [high, low] = self.hashes.each_ref().map(|hash| u128::from(hash.hash_one((&**issuer, kid))));
        let digest = high << 64 | low;
        if let Some(seen) = self.seen.get(&digest).filter(|seen| now < seen.since + REMEMBERED_S) {
            let round = seen.round.get();
            let told = round != 0 && self.done.get(issuer).is_some_and(|done| *done >= round);
            return !told && now < seen.since + PATIENCE_S;
        }
        let round = Rc::clone(self.open.entry(Arc::clone(issuer)).or_default());
        self.seen.insert(digest, Seen { round, since: now });
        true
    }
}

fn name_of(via: &str) -> &str {
    via.strip_prefix(JWT).unwrap_or(via)
}

const JWT: &str = "jwt:";

/// Names remembered on one core. When more come, older ones are forgotten, and told to come again once more.
const NAMES: usize = 4_096;

/// For how long a name is remembered, in seconds. A key may be used before it is published everywhere: a name that
/// nobody had a while ago is asked for again.
const REMEMBERED_S: i64 = 120;

/// For how long a name is waited for when nobody can be asked, in seconds. Longer than two early fetches are apart.
const PATIENCE_S: i64 = 75;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_awaited_until_a_round_that_began_later_came_back() {
        let corp: Arc<str> = "jwt:corp".into();
        let mut keys = UnknownKeys::asking();
        assert!(keys.is_awaited(&corp, "a", 0));
        let mut asked = Vec::new();
        keys.hand_over(|name| {
            asked.push(name.to_owned());
            7
        });
        assert_eq!(asked, ["corp"]);
        assert!(keys.is_awaited(&corp, "a", 1));
        keys.hand_over(|name| panic!("{name} is asked for once"));
        keys.came_back("corp", 6);
        assert!(keys.is_awaited(&corp, "a", 1), "that round began before the name was seen");
        assert!(keys.is_awaited(&corp, "b", 1), "seen while a round was on its way");
        keys.came_back("corp", 7);
        assert!(!keys.is_awaited(&corp, "a", 1));
        assert!(keys.is_awaited(&corp, "b", 1), "the next round tells");
        keys.hand_over(|_| 8);
        keys.came_back("other", 9);
        assert!(keys.is_awaited(&corp, "b", 1));
        keys.came_back("corp", 8);
        assert!(!keys.is_awaited(&corp, "b", 1) && !keys.is_awaited(&corp, "a", 1));
        assert!(keys.is_awaited(&corp, "a", REMEMBERED_S), "asked for again after a while");
    }

    #[test]
    fn nobody_waits_for_ever_or_where_nobody_can_be_asked() {
        let corp: Arc<str> = "jwt:corp".into();
        assert!(!UnknownKeys::default().is_awaited(&corp, "a", 0));
        let mut keys = UnknownKeys::asking();
        assert!(keys.is_awaited(&corp, "a", 0));
        assert!(keys.is_awaited(&corp, "a", PATIENCE_S - 1));
        assert!(!keys.is_awaited(&corp, "a", PATIENCE_S));
    }

    #[test]
    fn many_names_are_one_question_and_a_bounded_memory() {
        let corp: Arc<str> = "jwt:corp".into();
        let mut keys = UnknownKeys::asking();
        (0..100_000).for_each(|number| assert!(keys.is_awaited(&corp, &number.to_string(), 0)));
        let mut questions = 0;
        keys.hand_over(|_| {
            questions += 1;
            1
        });
        assert_eq!(questions, 1);
        assert!(keys.0.is_some_and(|asking| asking.seen.len() <= NAMES));
    }
}
