//! Keys of consumers: which key it is, and whether it is that key.
//!
//! A key is found by its id and proved by one HMAC, compared in constant time, so it is judged on the serving thread. An id
//! that nobody has costs the same HMAC and the same comparison. Must never hold a key, nor know where one is kept.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use http::HeaderValue;
use postern_config::api_key::{self, Digest, Pepper};
use postern_config::document::{ApiKeyRealm, Consumer, KeyDigest, Limit, Mode};
use postern_config::secrets::Secrets;
use serde_json::json;

use super::presented::Places;
use super::{Flaw, Way, challenge};
use crate::limiter::Quota;
use crate::place::TokenPlace;
use crate::principal::Principal;

/// A list of consumers with keys.
pub(crate) struct KeyRealm {
    /// None when it is not there: then nobody can be told from anybody.
    pepper: Option<Pepper>,
    place: TokenPlace,
    by_id: HashMap<Box<str>, Entry>,
    challenge: HeaderValue,
    notes: Vec<String>,
}

struct Entry {
    digest: Digest,
    /// In Unix seconds.
    expires: Option<i64>,
    /// Whether it is refused for that.
    is_revoked: bool,
    /// Whose it is, made once for all its requests.
    consumer: Principal,
}

impl KeyRealm {
    /// Parses the digests. A key whose digest is of no use is left out and [noted](Self::notes). Without its pepper, keys
    /// of this realm get [`KeysMissing`](crate::reject::Reason::KeysMissing), which is not the caller's fault.
    ///
    /// # Errors
    /// What makes it useless or unsafe even with a pepper.
    pub(crate) fn compile(document: &ApiKeyRealm, secrets: &Secrets) -> Result<Self, String> {
        let name = &document.name;
        let via: Arc<str> = format!("api_key:{name}").into();
        let (mut by_id, mut notes) = (HashMap::new(), Vec::new());
        let pepper = match secrets.resolve(&document.pepper).map(Pepper::parse) {
            Some(Ok(pepper)) => Some(pepper),
            Some(Err(why)) => {
                notes.push(format!("its pepper {why}, so its routes answer 503"));
                None
            }
            None => {
                notes.push("names a pepper that is not there, so its routes answer 503".to_owned());
                None
            }
        };
        let revoked: HashSet<&String> = document.revoked.iter().collect();
        let quota = |limit: &Limit| (limit.name.clone(), Arc::new(Quota::compile(limit, &via)));
        let quotas: HashMap<_, _> = document.limits.iter().map(quota).collect();
        for consumer in &document.consumers {
            let quota = consumer.limit.as_ref().and_then(|name| quotas.get(name)).cloned();
            let known = principal(consumer, &via).with_quota(quota);
            for KeyDigest { id, digest, expires } in &consumer.keys {
                let Some(digest) = Digest::parse(digest) else {
                    notes.push(format!("a key of {} is left out: its digest is none", consumer.name));
                    continue;
                };
                let is_revoked = revoked.contains(id);
                let spared = is_revoked && document.revoked_mode == Mode::Shadow;
                let entry = Entry {
                    digest,
                    expires: expires.map(|at| at.unix()),
                    is_revoked: is_revoked && document.revoked_mode == Mode::Enforce,
                    consumer: known.clone().spared_for(spared.then(|| Flaw::RevokedApiKey.reason())),
                };
                by_id.entry(id.as_str().into()).or_insert(entry);
            }
        }
        Ok(Self {
            pepper,
            place: TokenPlace::compile(&document.place())?,
            by_id,
            challenge: challenge::of_key_realm(name.as_str()),
            notes,
        })
    }

    /// What was left out, for the log and for `check`.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Where its keys stand.
    pub(crate) fn place(&self) -> &TokenPlace {
        &self.place
    }

    /// The `WWW-Authenticate` of this realm.
    pub(super) fn challenge(&self) -> &HeaderValue {
        &self.challenge
    }

    /// Whose key it is. `id` is the one in it.
    fn verify(&self, key: &str, id: &str, now: i64) -> Result<Principal, Flaw> {
        let pepper = self.pepper.as_ref().ok_or(Flaw::NoPepper)?;
        let entry = self.by_id.get(id);
        // In this order: an unknown id costs as much as a known one.
        let same = entry.map_or(&Digest::NOBODY, |entry| &entry.digest).is(&pepper.digest(key));
        let entry = entry.ok_or(Flaw::UnknownApiKey)?;
        if !same {
            return Err(Flaw::WrongApiKey);
        }
        // Only who has the key learns that it was taken away, or that it ended.
        if entry.is_revoked {
            return Err(Flaw::RevokedApiKey);
        }
        if entry.expires.is_some_and(|expires| now >= expires) {
            return Err(Flaw::ExpiredApiKey);
        }
        Ok(entry.consumer.clone())
    }
}

fn principal(consumer: &Consumer, via: &Arc<str>) -> Principal {
    let name = consumer.name.as_str();
    let scopes = consumer.scopes.iter().map(|scope| scope.as_str().into()).collect();
    let claims = Arc::new(json!({"sub": name, "scope": consumer.scopes.join(" "), "roles": consumer.roles}));
    Principal::of_key(name.into(), Arc::clone(via), scopes, claims).with_roles(&consumer.roles)
}

/// Who the key proves its bearer to be: of the realms that have keys where this one stands, the one that knows its id, or
/// else the first, for the time it takes.
pub(super) fn verify(ways: &[Way], key: &str, at: &Places<'_>, now: i64) -> Result<Principal, Flaw> {
    let id = api_key::id_of(key).ok_or(Flaw::ApiKeyForm)?;
    let realms = || {
        ways.iter().filter_map(|way| match way {
            Way::ApiKey(realm) => at.contains(&Some(realm.place())).then_some(realm),
            Way::None | Way::Iam | Way::Jwt(_) | Way::Basic(_) | Way::Mtls(_) | Way::External(_) => None,
        })
    };
    let knows = realms().find(|realm| realm.by_id.contains_key(id));
    knows.or_else(|| realms().next()).ok_or(Flaw::NotAccepted)?.verify(key, id, now)
}
