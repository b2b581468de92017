//! Realms of consumers with keys that can work: digests that are some, ids that name one key, places with one reading.
//!
//! Must never know a key, or show what is in a pepper or a digest.

use std::collections::HashMap;

use crate::api_key::{Digest, Pepper, is_id};
use crate::document::{ApiKeyRealm, Consumer, Identity, KeyDigest, LimitBy};
use crate::limits;
use crate::problem::{Problem, ProblemKind, shown};
use crate::secrets::{REFERENCE, Reference};

use super::lists::{bounded, unique, unknown_name};
use super::{limit, rights, tokens};

pub(super) fn check(problems: &mut Vec<Problem>, identity: &Identity) {
    let realms = &identity.api_key;
    bounded(problems, "/identity/api_key", realms.len(), limits::ISSUERS);
    unique(problems, realms.iter().map(|one| &one.name), |index| format!("/identity/api_key/{index}/name"));
    let mut ids = HashMap::new();
    for (index, realm) in realms.iter().enumerate() {
        let at = format!("/identity/api_key/{index}");
        check_pepper(problems, &at, &realm.pepper);
        check_place(problems, &at, realm, identity);
        bounded(problems, &format!("{at}/consumers"), realm.consumers.len(), limits::CONSUMERS);
        bounded(problems, &format!("{at}/revoked"), realm.revoked.len(), limits::CONSUMERS);
        limit::check(problems, &format!("{at}/limits"), realm.limits.iter());
        check_limits(problems, &at, realm);
        let names = realm.consumers.iter().map(|one| &one.name);
        unique(problems, names, |index| format!("{at}/consumers/{index}/name"));
        for (place, id) in realm.revoked.iter().enumerate().filter(|(_, id)| !is_id(id)) {
            problems.push(no_id(format!("{at}/revoked/{place}"), id));
        }
        for (place, consumer) in realm.consumers.iter().enumerate() {
            check_consumer(problems, &format!("{at}/consumers/{place}"), consumer, &mut ids);
        }
    }
}

fn check_pepper(problems: &mut Vec<Problem>, at: &str, pepper: &str) {
    // In the merged file a name stands in its place.
    if pepper.strip_prefix(REFERENCE).is_some_and(|name| !name.is_empty()) {
        return;
    }
    match Reference::read(pepper) {
        Some(Ok(_)) => return,
        Some(Err(problem)) => return problems.push(problem.under(&format!("{at}/pepper"))),
        None => {}
    }
    if let Some(hint) = Reference::hint_for(pepper) {
        let message = "is neither base64url nor a reference";
        return problems.push(Problem::new(format!("{at}/pepper"), ProblemKind::Invalid, message).hint(hint));
    }
    if let Err(fault) = Pepper::parse(pepper) {
        problems.push(
            Problem::new(format!("{at}/pepper"), ProblemKind::Invalid, fault)
                .hint("32 random bytes in base64url: openssl rand -base64 32 | tr +/ -_"),
        );
    }
}

fn check_place(problems: &mut Vec<Problem>, at: &str, realm: &ApiKeyRealm, identity: &Identity) {
    let at = format!("{at}/location");
    let place = realm.place();
    tokens::check_place(problems, &at, &place, "leave location out for x-api-key, or choose another name");
    let same = |one: &&crate::document::JwtIssuer| {
        one.token.as_ref().is_some_and(|token| {
            (&token.header, &token.cookie, &token.query) == (&place.header, &place.cookie, &place.query)
        })
    };
    if let Some(issuer) = identity.jwt.iter().find(same) {
        problems.push(
            Problem::new(at, ProblemKind::Contradiction, format!("is where the tokens of jwt:{} stand", issuer.name))
                .hint("give keys a place of their own: what stands there could be either"),
        );
    }
}

/// Limits of consumers are counted by consumer, and the names that consumers use stand for one.
fn check_limits(problems: &mut Vec<Problem>, at: &str, realm: &ApiKeyRealm) {
    for (index, _) in realm.limits.iter().enumerate().filter(|(_, limit)| limit.by != LimitBy::default()) {
        problems.push(
            Problem::new(
                format!("{at}/limits/{index}/by"),
                ProblemKind::Contradiction,
                "each consumer has its own count",
            )
            .hint("take by out; limits of routes may be counted otherwise"),
        );
    }
    let known = || realm.limits.iter().map(|limit| limit.name.as_str());
    for (index, consumer) in realm.consumers.iter().enumerate() {
        if let Some(name) = consumer.limit.as_ref().filter(|name| !known().any(|one| one == name.as_str())) {
            problems.push(unknown_name(format!("{at}/consumers/{index}/limit"), "limit", name.as_str(), known()));
        }
    }
}

fn check_consumer<'d>(
    problems: &mut Vec<Problem>,
    at: &str,
    consumer: &'d Consumer,
    ids: &mut HashMap<&'d str, String>,
) {
    if consumer.keys.len() > limits::CONSUMER_KEYS {
        let message = format!("has {} keys, more than {}", consumer.keys.len(), limits::CONSUMER_KEYS);
        problems.push(
            Problem::new(format!("{at}/keys"), ProblemKind::Limit, message)
                .hint("one in use and one to change over to; take those out that have ended"),
        );
    }
    for (index, KeyDigest { id, digest, expires: _ }) in consumer.keys.iter().enumerate() {
        let at = format!("{at}/keys/{index}");
        if !is_id(id) {
            problems.push(no_id(format!("{at}/id"), id));
        }
        if Digest::parse(digest).is_none() {
            let message = "is no digest: one has 64 hexadecimal digits";
            problems.push(
                Problem::new(format!("{at}/digest"), ProblemKind::Invalid, message)
                    .hint("postern-syncer key new makes key and digest; the key itself never stands here"),
            );
        }
        // Over all realms, so that an id says which key is meant wherever it is read.
        if let Some(first) = ids.insert(id, at.clone()) {
            let message = format!("{} is already the id of {first}", shown(id));
            problems.push(Problem::new(format!("{at}/id"), ProblemKind::Duplicate, message).hint("make a new key"));
        }
    }
    rights::check_scopes(problems, at, &consumer.scopes);
    check_roles(problems, at, &consumer.roles);
}

pub(super) fn check_roles(problems: &mut Vec<Problem>, at: &str, roles: &[String]) {
    bounded(problems, &format!("{at}/roles"), roles.len(), limits::TOKEN_RULES);
    for (index, role) in roles.iter().enumerate() {
        // They may go into a header, with commas between.
        if role.is_empty()
            || role.len() > 256
            || role.contains(|c: char| c == ',' || c.is_whitespace() || c.is_control())
        {
            let message = format!("{} is no role", shown(role));
            problems.push(
                Problem::new(format!("{at}/roles/{index}"), ProblemKind::Invalid, message)
                    .hint("one word without spaces and commas"),
            );
        }
    }
}

fn no_id(at: String, found: &str) -> Problem {
    // Who pastes a whole key here must not find it in a log.
    let message = if found.len() > crate::api_key::ID_MAX {
        "is no id of a key".to_owned()
    } else {
        format!("{} is no id of a key", shown(found))
    };
    Problem::new(at, ProblemKind::Invalid, message).hint("the middle of the key: of pk_ID_SECRET the ID")
}
