//! Reading the keys that the syncer fetched: each is held against what a public key may be, and belongs to an issuer of
//! the boundary or to nobody.
//!
//! A line that does not hold costs its issuer its keys, and no other issuer anything.

use serde_json::value::RawValue;

use super::IssuerKeys;
use super::line::Aside;
use crate::check::{Boundary, key_problems};
use crate::limits;

pub(super) fn read(lines: &[&RawValue], boundary: &Boundary, aside: &mut Aside) -> Vec<IssuerKeys> {
    let mut found: Vec<IssuerKeys> = Vec::with_capacity(lines.len().min(limits::ISSUERS));
    for (index, raw) in lines.iter().enumerate().take(limits::ISSUERS) {
        match serde_json::from_str::<IssuerKeys>(raw.get()) {
            Ok(keys) => match judge(&keys, boundary) {
                Ok(()) => found.push(keys),
                Err(why) => aside.put(format!("keys {}", keys.name), why),
            },
            Err(error) => aside.put(format!("/keys/{index}"), format!("is not readable: {error}")),
        }
    }
    found.sort_by(|a, b| a.name.cmp(&b.name));
    found.dedup_by(|later, first| later.name == first.name);
    found
}

fn judge(keys: &IssuerKeys, boundary: &Boundary) -> Result<(), String> {
    if !boundary.document().identity.jwt.iter().any(|issuer| keys.are_of(issuer)) {
        return Err("are of no issuer of the boundary".to_owned());
    }
    if keys.keys.len() > limits::ISSUER_KEYS {
        return Err(format!("are {}, more than {}", keys.keys.len(), limits::ISSUER_KEYS));
    }
    for (index, key) in keys.keys.iter().enumerate() {
        if key.kty == "oct" {
            return Err(format!("key {index} is a shared one, which nobody publishes"));
        }
        if let Some(problem) = key_problems(key).first() {
            return Err(format!("key {index}: {problem}"));
        }
    }
    Ok(())
}
