//! An issuer of tokens, compiled: whose keys, for whom, and what a token of it must say. What its claims must be is in
//! `rules`.

use std::sync::Arc;

use postern_config::document::{Algorithm, JwtIssuer};
use postern_config::secrets::Secrets;
use serde_json::{Map, Value};

use super::Flaw;
use super::keys::Key;
use super::revoked::Revoked;
use super::rules::Rules;
use super::token::Token;
use crate::place::TokenPlace;
use crate::principal::Principal;
use crate::snapshot::ClaimPath;

/// An issuer of tokens, with its keys.
pub(crate) struct Issuer {
    /// `jwt:NAME`.
    via: Arc<str>,
    issuer: Box<str>,
    audiences: Box<[Box<str>]>,
    leeway: f64,
    rules: Rules,
    revoked: Revoked,
    /// Where its tokens stand; in `Authorization` when nothing is said.
    place: Option<TokenPlace>,
    /// Whether its keys are fetched, so that others may come.
    is_published: bool,
    roles: ClaimPath,
    keys: Box<[Key]>,
    notes: Vec<String>,
}

impl Issuer {
    /// Parses its keys. A key that is of no use is left out and [noted](Self::notes); with none left, tokens
    /// of this issuer get [`KeysMissing`](crate::reject::Reason::KeysMissing), which is not the caller's fault.
    ///
    /// # Errors
    /// What makes it useless or unsafe even with keys.
    pub(crate) fn compile(document: &JwtIssuer, secrets: &Secrets) -> Result<Self, String> {
        let name = &document.name;
        if document.issuer.is_empty() {
            return Err("issuer is empty".to_owned());
        }
        // Without an audience, a token made for any other service of this issuer would pass.
        if document.audiences.is_empty() || document.audiences.iter().any(String::is_empty) {
            return Err("names no audience".to_owned());
        }
        let mut notes = Vec::new();
        let mut keys = Vec::new();
        let documents = document.jwks.as_ref().map_or(&[][..], |set| &set.keys);
        for (index, key) in documents.iter().enumerate() {
            if keys.len() == KEYS_MAX {
                notes.push(format!("only the first {KEYS_MAX} of {} keys are used", documents.len()));
                break;
            }
            match Key::compile(key, &document.algorithms, secrets) {
                Ok(key) => keys.push(key),
                Err(why) => notes.push(format!("key {index} is left out: it {why}")),
            }
        }
        if keys.is_empty() {
            notes.push("has no keys, so its routes answer 503".to_owned());
        }
        Ok(Self {
            via: format!("jwt:{name}").into(),
            issuer: document.issuer.as_str().into(),
            audiences: document.audiences.iter().map(|one| one.as_str().into()).collect(),
            leeway: document.leeway.duration().as_secs_f64(),
            rules: Rules::compile(document),
            revoked: Revoked::compile(&document.revoked),
            place: document.token.as_ref().map(TokenPlace::compile).transpose()?,
            is_published: document.jwks_url.is_some() || document.discovery_url.is_some(),
            roles: ClaimPath(document.roles_claim.as_deref().unwrap_or("roles").split('.').map(Into::into).collect()),
            keys: keys.into(),
            notes,
        })
    }

    /// What was left out, for the log and for `check`.
    pub(crate) fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Whether it can verify anything.
    pub(crate) fn has_keys(&self) -> bool {
        !self.keys.is_empty()
    }

    /// `jwt:NAME`.
    pub(super) fn via(&self) -> &Arc<str> {
        &self.via
    }

    /// Whether its keys are fetched, so that others may come.
    pub(super) fn is_published(&self) -> bool {
        self.is_published
    }

    /// Where its tokens stand; in `Authorization` when nothing is said.
    pub(crate) fn place(&self) -> Option<&TokenPlace> {
        self.place.as_ref()
    }

    /// Where its tokens name roles.
    pub(super) fn roles(&self) -> &ClaimPath {
        &self.roles
    }

    /// Whether one of its keys has that name.
    pub(super) fn has_named(&self, kid: Option<&str>) -> bool {
        kid.is_some() && self.keys.iter().any(|key| key.kid() == kid)
    }

    /// What a token of it must say besides.
    pub(super) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Whether a token with this `iss` is its own.
    pub(super) fn is_named(&self, iss: &str) -> bool {
        *self.issuer == *iss
    }

    /// Who the token proves its bearer to be.
    ///
    /// Claims are looked at only under a signature that verifies: a forger learns nothing of them, not even
    /// that a token would have been expired.
    /// They are taken out of the token that is sound.
    pub(super) fn verify(&self, token: &mut Token<'_>, now: i64) -> Result<(Principal, Lifetime), Flaw> {
        if !self.has_keys() {
            return Err(Flaw::NoKeys);
        }
        self.rules.check_type(token.typ.as_deref())?;
        let key = self.check_signature(token)?;
        let claims = &token.claims;
        if !claims.get("iss").and_then(Value::as_str).is_some_and(|iss| self.is_named(iss)) {
            return Err(Flaw::UnknownIssuer);
        }
        self.check_audience(claims.get("aud"))?;
        let lifetime = self.lifetime(claims)?;
        lifetime.check(now)?;
        // By the key that signed it, whether the token names that or not.
        let spared = self.revoked.check(claims, key.kid().or(token.kid.as_deref()))?;
        self.rules.check_claims(claims)?;
        let scopes = scopes(claims)?;
        let subject = subject(claims.get("sub"))?.to_owned();
        self.rules.check_scopes(&scopes)?;
        let claims = Value::Object(std::mem::take(&mut token.claims));
        let principal = Principal::of_token(&subject, Arc::clone(&self.via), scopes, claims);
        Ok((principal.with_roles_at(&self.roles).spared_for(spared.map(Flaw::reason)), lifetime))
    }

    /// The key that made the signature.
    fn check_signature(&self, token: &Token<'_>) -> Result<&Key, Flaw> {
        if token.kid.is_none() && self.is_ambiguous(token.algorithm) {
            return Err(Flaw::UnknownKey);
        }
        let candidates = self.keys.iter().filter(|key| self.is_asked_for(key, token.kid.as_deref()));
        let mut flaw = Flaw::UnknownKey;
        // Rotation leaves a handful of keys; each further try would be CPU that a forger spends for us.
        let mut tries = 0;
        for key in candidates {
            if !key.is_for(token.algorithm) {
                flaw = if tries == 0 { Flaw::Algorithm } else { flaw };
                continue;
            }
            if tries == TRIES_MAX {
                break;
            }
            tries += 1;
            if key.verifies(token.algorithm, token.signed, token.signature) {
                return Ok(key);
            }
            flaw = Flaw::Signature;
        }
        Err(flaw)
    }

    /// An issuer that names its keys names them in its tokens: one without a name fits only where no choice is left. Where
    /// keys have no names there is nothing to go by, and a rotation leaves two of them for a while.
    fn is_ambiguous(&self, algorithm: Algorithm) -> bool {
        let mut fitting = self.keys.iter().filter(|key| key.is_for(algorithm));
        let named = fitting.clone().any(|key| key.kid().is_some());
        named && fitting.nth(1).is_some()
    }

    /// A token that names a key gets that key alone. A key without a name answers to any only as the sole one.
    fn is_asked_for(&self, key: &Key, kid: Option<&str>) -> bool {
        match (kid, key.kid()) {
            (None, _) => true,
            (Some(asked), Some(kid)) => asked == kid,
            (Some(_), None) => self.keys.len() == 1,
        }
    }

    fn check_audience(&self, aud: Option<&Value>) -> Result<(), Flaw> {
        let known = |value: &Value| value.as_str().is_some_and(|aud| self.audiences.iter().any(|one| **one == *aud));
        let fine = match aud {
            Some(Value::Array(items)) => items.iter().all(Value::is_string) && items.iter().any(known),
            Some(value) => known(value),
            None => false,
        };
        fine.then_some(()).ok_or(Flaw::Audience)
    }

    /// RFC 7519 §4.1.4 to §4.1.6. Seconds may have a fraction (§2, `NumericDate`).
    fn lifetime(&self, claims: &Map<String, Value>) -> Result<Lifetime, Flaw> {
        let seconds = |name: &str| match claims.get(name) {
            None => Ok(None),
            Some(Value::Number(number)) => number.as_f64().filter(|time| time.is_finite()).map(Some).ok_or(Flaw::Times),
            Some(_) => Err(Flaw::Times),
        };
        let expires = seconds("exp")?.ok_or(Flaw::Times)?;
        // Made in the future is as wrong as valid in the future: a clock is off, or somebody plays with it.
        let starts = [seconds("nbf")?, seconds("iat")?].into_iter().flatten().reduce(f64::max);
        Ok(Lifetime { starts, expires, leeway: self.leeway })
    }
}

/// When a token is of use.
#[derive(Clone, Copy)]
pub(super) struct Lifetime {
    starts: Option<f64>,
    expires: f64,
    leeway: f64,
}

impl Lifetime {
    /// Whether it is of use now.
    pub(super) fn check(self, now: i64) -> Result<(), Flaw> {
        // Exact: the seconds of our time are far below 2^53.
        let now = now as f64;
        if now >= self.expires + self.leeway {
            return Err(Flaw::Expired);
        }
        if self.starts.is_some_and(|starts| now + self.leeway < starts) {
            return Err(Flaw::NotYetValid);
        }
        Ok(())
    }
}

/// A token without a subject is fine: it is of a machine that only its scopes tell apart.
pub(super) fn subject(sub: Option<&Value>) -> Result<&str, Flaw> {
    match sub {
        None => Ok(""),
        // It goes into logs and is compared: what is long or could forge a line is no name.
        Some(Value::String(text)) if text.len() <= SUBJECT_MAX && !text.chars().any(char::is_control) => Ok(text),
        Some(_) => Err(Flaw::Subject),
    }
}

/// `scope` (RFC 8693 §4.2) and `scp`, as issuers write them: words with blanks between, or a list.
pub(super) fn scopes(claims: &Map<String, Value>) -> Result<Vec<Box<str>>, Flaw> {
    let mut found = Vec::new();
    for claim in [claims.get("scope"), claims.get("scp")].into_iter().flatten() {
        match claim {
            Value::String(words) => found.extend(words.split(' ').filter(|word| !word.is_empty()).map(Box::from)),
            Value::Array(items) => {
                for item in items {
                    found.push(item.as_str().ok_or(Flaw::Scopes)?.into());
                }
            }
            _ => return Err(Flaw::Scopes),
        }
    }
    Ok(found)
}

/// Most keys of one issuer: large ones publish some ten.
const KEYS_MAX: usize = postern_config::limits::ISSUER_KEYS;

/// Most keys that are tried for one token.
const TRIES_MAX: usize = 8;

/// Longest subject, in bytes. OpenID Connect Core §2 ends at 255 characters.
const SUBJECT_MAX: usize = 1024;
