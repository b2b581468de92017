//! What authorizers ruled a moment ago, on one core.
//!
//! A ruling is known by digests under a key that no other core and no other process has, of the authorizer and of all that
//! the caller proved itself with: so nothing lies in memory that could be sent again, and an authorizer that is changed is
//! another one. A policy holds for the caller, since it says itself what it is about; a plain yes or no holds for the very
//! request that was asked about. Must never hold a failure: only what was ruled.

use std::sync::Arc;
use std::time::Instant;

use hmac::{Hmac, Mac as _};
use quick_cache::Weighter;
use quick_cache::unsync::Cache;
use sha2::Sha256;

use super::super::keyed;
use super::{External, Format, Question, Ruling};

/// The most bytes that rulings may take on one core.
const BYTES: u64 = 8 * 1024 * 1024;
/// What one takes besides its texts, roughly.
const ENTRY: usize = 512;

/// Rulings of one core.
pub(crate) struct Rulings {
    known: Cache<Digest, Entry, Weight, foldhash::quality::RandomState>,
    /// `None` without randomness: then nothing is remembered.
    key: Option<Hmac<Sha256>>,
}

pub(crate) type Digest = [u8; 32];

/// Under what a ruling is remembered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Keys {
    /// The caller, whatever it asks for.
    caller: Digest,
    /// The caller and what it asks for.
    pub(crate) request: Digest,
}

#[derive(Clone)]
struct Entry {
    ruling: Arc<Ruling>,
    until: Instant,
    bytes: usize,
}

#[derive(Clone)]
struct Weight;

impl Weighter<Digest, Entry> for Weight {
    fn weight(&self, _: &Digest, entry: &Entry) -> u64 {
        (entry.bytes + ENTRY) as u64
    }
}

impl Default for Rulings {
    fn default() -> Self {
        let hash = foldhash::quality::RandomState::default();
        Self { known: Cache::with(4_096, BYTES, Weight, hash, Default::default()), key: keyed::key() }
    }
}

impl Rulings {
    /// Under what a ruling on the request of that ARN is remembered; none where nothing is.
    pub(crate) fn keys(&self, external: &External, question: &Question<'_>, arn: &str) -> Option<Keys> {
        if external.ttl().is_zero() {
            return None;
        }
        let mut caller = self.key.clone()?;
        let add = |mac: &mut Hmac<Sha256>, part: &[u8]| {
            // With the length in front, no two lists of parts have the same bytes.
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        };
        add(&mut caller, &external.identity());
        for value in external.values(question) {
            add(&mut caller, value.as_bytes());
        }
        let mut request = caller.clone();
        add(&mut caller, b"caller");
        add(&mut request, b"request");
        let (head, about) = (question.head, &question.about);
        // Whoever is told the client's address may go by it.
        let client = match &external.authorizer.format {
            Format::Token => String::new(),
            Format::Request(_) | Format::Plain { .. } => about.client.to_canonical().to_string(),
        };
        for part in [head.method().as_str(), question.scheme, about.host, head.target(), arn, &client] {
            add(&mut request, part.as_bytes());
        }
        if let Format::Plain { headers, .. } = &external.authorizer.format {
            for name in headers {
                let values = head.fields().all(name);
                values.for_each(|value| add(&mut request, value));
                add(&mut request, name.as_bytes());
            }
        }
        let [caller, request] = [caller, request].map(|mac| mac.finalize().into_bytes().into());
        Some(Keys { caller, request })
    }

    /// What was ruled, if that still holds.
    pub(crate) fn find(&self, keys: &Keys, now: Instant) -> Option<Arc<Ruling>> {
        let live = |digest| self.known.get(digest).filter(|entry| now < entry.until);
        live(&keys.caller).or_else(|| live(&keys.request)).map(|entry| Arc::clone(&entry.ruling))
    }

    /// Remembers a ruling; `until` when.
    pub(crate) fn keep(&mut self, keys: &Keys, ruling: &Arc<Ruling>, until: Instant) {
        let bytes = match &**ruling {
            Ruling::Policy(caller, policy) => caller.size() + policy.size(),
            Ruling::Yes(caller) => caller.size(),
            Ruling::No | Ruling::Unauthorized => 0,
        };
        let digest = match &**ruling {
            Ruling::Policy(..) => keys.caller,
            Ruling::Yes(_) | Ruling::No | Ruling::Unauthorized => keys.request,
        };
        self.known.insert(digest, Entry { ruling: Arc::clone(ruling), until, bytes });
    }
}
