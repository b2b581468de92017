//! Tokens that were verified a moment ago: the same bytes need not be verified again until they expire.
//!
//! A core has one of its own. An entry belongs to the issuer it was verified by, in the form that was compiled then:
//! when keys change there is another issuer, and the entry is worth nothing. Times are looked at on every use. Must
//! never hold what was not verified.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::unsync::Cache;

use super::jwt::{Issuer, Lifetime};
use super::{Flaw, Principal};

/// The most bytes that entries may take on one core, tokens and claims together.
const BYTES: u64 = 8 * 1024 * 1024;
/// Tokens longer than this are verified each time.
const TOKEN: usize = 4 * 1024;
/// What an entry takes besides its token, roughly: claims are the token once more, decoded.
const ENTRY: usize = 512;

/// Verified tokens of one core.
pub(crate) struct VerifiedTokens(Cache<Box<str>, Entry, Weight, foldhash::quality::RandomState>);

#[derive(Clone)]
struct Entry {
    issuer: Arc<Issuer>,
    lifetime: Lifetime,
    principal: Principal,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Box<str>, Entry> for Weight {
    fn weight(&self, token: &Box<str>, _: &Entry) -> u64 {
        (3 * token.len() + ENTRY) as u64
    }
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        // The seed of the hash is random, so that nobody can choose tokens that fall together.
        let hash = foldhash::quality::RandomState::default();
        Self(Cache::with(4_096, BYTES, Weight, hash, Default::default()))
    }
}

impl VerifiedTokens {
    /// Who the token proves its bearer to be, if one of `issuers` verified these very bytes before.
    ///
    /// # Errors
    /// When it has expired since.
    pub(super) fn find<'i>(
        &self,
        token: &str,
        mut issuers: impl Iterator<Item = &'i Arc<Issuer>>,
        now: i64,
    ) -> Option<Result<Principal, Flaw>> {
        let entry = self.0.get(token)?;
        issuers.any(|issuer| Arc::ptr_eq(issuer, &entry.issuer)).then(|| {
            entry.lifetime.check(now)?;
            Ok(entry.principal.clone())
        })
    }

    /// Remembers a token that was verified.
    pub(super) fn keep(&mut self, token: &str, issuer: &Arc<Issuer>, lifetime: Lifetime, principal: &Principal) {
        if token.len() <= TOKEN {
            let entry = Entry { issuer: Arc::clone(issuer), lifetime, principal: principal.clone() };
            self.0.insert(token.into(), entry);
        }
    }

    /// Forgets everything: keys may have changed.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }
}
