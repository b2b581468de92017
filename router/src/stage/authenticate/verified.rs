//! Tokens that were verified a moment ago: the same bytes need not be verified again until they expire.
//!
//! A core has one of its own. An entry belongs to the issuer it was verified by, in the form that was compiled then:
//! when keys change there is another issuer, and the entry is worth nothing. Times are looked at on every use. A token is
//! known by a digest of all of it, under a key that no other core and no other process has: so none lies in memory that
//! could be sent again. Must never hold what was not verified.

use std::sync::Arc;

use hmac::{Hmac, Mac as _};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use sha2::Sha256;

use super::jwt::{Issuer, Lifetime};
use super::{Flaw, Principal, keyed};

/// The most bytes that entries may take on one core, claims above all.
const BYTES: u64 = 8 * 1024 * 1024;
/// Tokens longer than this are verified each time.
const TOKEN: usize = 4 * 1024;
/// What an entry takes besides its token, roughly: claims are the token once more, decoded.
const ENTRY: usize = 512;

/// Verified tokens of one core.
pub(crate) struct VerifiedTokens {
    known: Cache<Digest, Entry, Weight, foldhash::quality::RandomState>,
    /// `None` without randomness: then nothing is remembered.
    key: Option<Hmac<Sha256>>,
}

type Digest = [u8; 32];

#[derive(Clone)]
struct Entry {
    length: usize,
    issuer: Arc<Issuer>,
    lifetime: Lifetime,
    principal: Principal,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Digest, Entry> for Weight {
    fn weight(&self, _: &Digest, entry: &Entry) -> u64 {
        (3 * entry.length + ENTRY) as u64
    }
}

impl Default for VerifiedTokens {
    fn default() -> Self {
        // The seed of the hash is random, so that nobody can choose tokens that fall together.
        let hash = foldhash::quality::RandomState::default();
        Self { known: Cache::with(4_096, BYTES, Weight, hash, Default::default()), key: keyed::key() }
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
        let entry = self.known.get(&self.digest(token)?)?;
        issuers.any(|issuer| Arc::ptr_eq(issuer, &entry.issuer)).then(|| {
            entry.lifetime.check(now)?;
            Ok(entry.principal.clone())
        })
    }

    /// Remembers a token that was verified.
    pub(super) fn keep(&mut self, token: &str, issuer: &Arc<Issuer>, lifetime: Lifetime, principal: &Principal) {
        if let Some(digest) = self.digest(token) {
            let entry =
                Entry { length: token.len(), issuer: Arc::clone(issuer), lifetime, principal: principal.clone() };
            self.known.insert(digest, entry);
        }
    }

    /// Forgets everything: keys may have changed.
    pub(crate) fn clear(&mut self) {
        self.known.clear();
    }

    /// `None` for a token that is not remembered.
    fn digest(&self, token: &str) -> Option<Digest> {
        let mut mac = self.key.clone().filter(|_| token.len() <= TOKEN)?;
        mac.update(token.as_bytes());
        Some(mac.finalize().into_bytes().into())
    }
}
