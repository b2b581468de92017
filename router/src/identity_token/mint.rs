//! Tokens that were made a moment ago, and how one is made.
//!
//! A core has a memory of its own: a caller that comes again by the same route within half of its token's life gets the same
//! one, so the common request signs nothing. Time and randomness are arguments. Must never make one for a caller that
//! nobody proved.

use std::rc::Rc;
use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use serde_json::{Map, Value};

use super::key::SigningKey;
use super::keys::Keys;
use crate::principal::Principal;
use crate::snapshot::{RoutePlan, TokenPlan};

/// The most bytes that tokens may take on one core, with the callers they are about.
const BYTES: u64 = 4 * 1024 * 1024;
/// What an entry takes besides its token, roughly.
const ENTRY: usize = 1024;
/// Longest token: it goes into one header.
const TOKEN: usize = 8 * 1024;
/// How long a token is good whose caller came with one that had expired within the leeway, in seconds.
const LAST: i64 = 5;

/// What one core made lately.
pub(crate) struct Minted {
    known: Cache<(usize, usize), Entry, Weight, foldhash::quality::RandomState>,
    /// The key, and after how many changes it was asked for.
    key: Option<(u64, Arc<SigningKey>)>,
}

#[derive(Clone)]
struct Entry {
    /// Kept, so that where they lie in memory means them for as long as the entry is there.
    route: Arc<RoutePlan>,
    principal: Principal,
    key: Arc<SigningKey>,
    /// When it may be given out, in unix seconds: a clock may go back.
    from: i64,
    until: i64,
    token: Rc<str>,
}

#[derive(Clone)]
struct Weight;

impl Weighter<(usize, usize), Entry> for Weight {
    fn weight(&self, _: &(usize, usize), entry: &Entry) -> u64 {
        (3 * entry.token.len() + ENTRY) as u64
    }
}

impl Default for Minted {
    fn default() -> Self {
        let hash = foldhash::quality::RandomState::default();
        Self { known: Cache::with(4_096, BYTES, Weight, hash, Default::default()), key: None }
    }
}

impl Minted {
    /// The token for a caller that was proved, by a route that has a `plan`.
    ///
    /// # Errors
    /// Why there is none.
    pub(crate) fn token(
        &mut self,
        keys: &Keys,
        route: &Arc<RoutePlan>,
        plan: &TokenPlan,
        principal: &Principal,
        now: i64,
        random: impl FnOnce() -> u128,
    ) -> Result<Rc<str>, &'static str> {
        let key = self.key(keys);
        let at = (Arc::as_ptr(route).addr(), principal.address());
        if let Some(entry) = self.known.get(&at)
            && (entry.from..entry.until).contains(&now)
            && Arc::ptr_eq(&entry.key, &key)
            && Arc::ptr_eq(&entry.route, route)
            && entry.principal.address() == at.1
        {
            return Ok(Rc::clone(&entry.token));
        }
        let expires = expiry(plan, principal, now);
        let claims = claims(route, plan, principal, &keys.issuer, (now, expires), random());
        let token: Rc<str> = key.sign(&claims).map_err(|_| "the token cannot be signed")?.into();
        if token.len() > TOKEN {
            return Err("the token would be longer than 8 KiB");
        }
        let entry = Entry {
            route: Arc::clone(route),
            principal: principal.clone(),
            key,
            from: now,
            until: now + (expires - now) / 2,
            token: Rc::clone(&token),
        };
        self.known.insert(at, entry);
        Ok(token)
    }

    fn key(&mut self, keys: &Keys) -> Arc<SigningKey> {
        let changes = keys.changes();
        match &self.key {
            Some((seen, key)) if *seen == changes => Arc::clone(key),
            _ => {
                let key = Arc::clone(&keys.ring().current);
                self.key = Some((changes, Arc::clone(&key)));
                key
            }
        }
    }

    /// Forgets everything: another generation is served.
    pub(crate) fn forget(&mut self) {
        self.known.clear();
    }
}

/// Not after the caller's own token.
fn expiry(plan: &TokenPlan, principal: &Principal, now: i64) -> i64 {
    let usual = now.saturating_add(plan.ttl);
    #[allow(clippy::cast_possible_truncation, reason = "a number that is too large becomes the largest")]
    let theirs = principal.said(&["exp"]).and_then(Value::as_f64).map(|at| at as i64);
    theirs.map_or(usual, |at| usual.min(at.max(now + LAST)))
}

fn claims(
    route: &RoutePlan,
    plan: &TokenPlan,
    principal: &Principal,
    issuer: &str,
    (now, expires): (i64, i64),
    random: u128,
) -> Map<String, Value> {
    let mut claims = Map::new();
    claims.insert("iss".to_owned(), issuer.into());
    // A token of an issuer need not have a subject.
    if !principal.name().is_empty() {
        claims.insert("sub".to_owned(), principal.name().into());
    }
    claims.insert("aud".to_owned(), (*plan.audience).into());
    claims.insert("iat".to_owned(), now.into());
    claims.insert("nbf".to_owned(), now.into());
    claims.insert("exp".to_owned(), expires.into());
    claims.insert("jti".to_owned(), format!("{random:032x}").into());
    // The same name may mean two callers, by two issuers.
    claims.insert("via".to_owned(), principal.via().into());
    // Whoever registers a route chooses its audience: by this a destination tells its own routes from others.
    claims.insert("route".to_owned(), (*route.id).into());
    for (name, path) in &plan.claims {
        if let Some(value) = principal.value(path) {
            claims.insert(name.to_string(), value);
        }
    }
    claims
}
