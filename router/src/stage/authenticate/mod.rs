//! Credentials → [`Principal`]: who calls, or why that is not proved.
//!
//! Owns the one reading of credentials and what each way accepts. Must never know what the caller may do, nor
//! fetch a key: keys and hashes come compiled, the time is an argument. A step that fails refuses.

mod api_key;
mod assumed;
mod basic;
mod challenge;
pub(crate) mod external;
mod flaw;
mod iam;
mod json;
mod jwt;
mod keyed;
mod keys;
mod mtls;
mod presented;
mod revoked;
mod rules;
mod signed;
mod stored;
mod token;
mod unknown;
mod verified;

#[cfg(test)]
mod tests;

use std::cell::RefCell;
use std::sync::Arc;

use postern_config::document::CertificateSource;

pub(crate) use self::api_key::KeyRealm;
pub(crate) use self::assumed::assume;
pub(crate) use self::basic::{PasswordQuestion, Realm};
use self::external::{External, Rulings};
pub(crate) use self::flaw::Flaw;
pub(crate) use self::jwt::Issuer;
use self::mtls::KnownCertificates;
pub(crate) use self::mtls::{CertificateRealm, Certificates, Relayed};
use self::presented::{Places, Presented};
pub(crate) use self::signed::{AskedFor, SKEW, Signed};
use self::token::Token;
pub(crate) use self::unknown::UnknownKeys;
use self::verified::VerifiedTokens;
use crate::http1::Fields;
use crate::place::TokenPlace;
pub(crate) use crate::principal::Principal;
use crate::reject::Rejection;

/// One way to prove who calls.
#[derive(Clone)]
pub(crate) enum Way {
    /// Nobody need be proved.
    None,
    /// The destination checks a signature; the router leaves it untouched.
    Iam,
    /// A token of that issuer.
    Jwt(Arc<Issuer>),
    /// A user of that realm.
    Basic(Arc<Realm>),
    /// A key of a consumer of that realm.
    ApiKey(Arc<KeyRealm>),
    /// A certificate of a client of that realm.
    Mtls(Arc<CertificateRealm>),
    /// Whoever that authorizer says yes to.
    External(Arc<External>),
}

impl Way {
    /// Where all that it reads stands; nothing for `Authorization` where that is a way's usual place.
    pub(crate) fn places(&self) -> &[TokenPlace] {
        match self {
            Self::External(external) => external.places(),
            other => other.place().map_or(&[], std::slice::from_ref),
        }
    }

    /// Where its tokens or keys stand, when that is not `Authorization`.
    fn place(&self) -> Option<&TokenPlace> {
        match self {
            Self::Jwt(issuer) => issuer.place(),
            Self::ApiKey(realm) => Some(realm.place()),
            Self::None | Self::Iam | Self::Basic(_) | Self::Mtls(_) | Self::External(_) => None,
        }
    }

    /// Whether it asks for the certificate that a load balancer in front verified.
    pub(crate) fn asks_relayed(&self) -> bool {
        matches!(self, Self::Mtls(realm) if realm.from() == CertificateSource::Alb)
    }

    fn uses_authorization(&self) -> bool {
        match self {
            Self::None | Self::ApiKey(_) | Self::Mtls(_) | Self::External(_) => false,
            Self::Iam | Self::Basic(_) => true,
            Self::Jwt(issuer) => issuer.place().is_none(),
        }
    }
}

/// How far the stage came by itself.
pub(crate) enum Outcome {
    /// It is known who calls.
    Proved(Principal),
    /// A password must be checked, which takes too long for a serving thread.
    Ask(PasswordQuestion),
    /// An authorizer must be asked, which takes a connection.
    Consult(Arc<External>),
}

/// What one core remembers of tokens, certificates and callers.
#[derive(Default)]
pub(crate) struct Memory {
    verified: RefCell<VerifiedTokens>,
    certificates: RefCell<KnownCertificates>,
    /// What authorizers ruled.
    pub(crate) rulings: RefCell<Rulings>,
    /// Names of keys that nobody has, and who has been asked for them.
    pub(crate) unknown: RefCell<UnknownKeys>,
}

impl Memory {
    /// `hints`: whether keys can be asked for before their time.
    pub(crate) fn new(hints: bool) -> Self {
        let unknown = if hints { UnknownKeys::asking() } else { UnknownKeys::default() };
        Self { unknown: RefCell::new(unknown), ..Self::default() }
    }

    /// Forgets who was verified: keys may have changed.
    pub(crate) fn forget_verified(&self) {
        self.verified.borrow_mut().clear();
        self.certificates.borrow_mut().clear();
    }
}

/// Finds out who calls, by one of `ways`: the credentials that are there decide which, and are then the only
/// thing that counts. A bad token is refused also where nobody need be proved. Where a request brings none, the
/// certificate that was shown is the credential.
///
/// On a route that asks for no proof at all, credentials are the destination's and not looked at.
///
/// `now` is in Unix seconds; `memory` holds tokens that passed and keys that are asked for.
///
/// # Errors
/// The refusal, with the challenges of the route's ways.
pub(crate) fn authenticate(
    ways: &[Way],
    headers: &Fields,
    query: Option<&str>,
    shown: Certificates<'_>,
    now: i64,
    memory: &Memory,
) -> Result<Outcome, Rejection> {
    decide(ways, headers, query, shown, now, memory).map_err(|flaw| challenge::refuse(ways, flaw))
}

fn decide(
    ways: &[Way],
    headers: &Fields,
    query: Option<&str>,
    shown: Certificates<'_>,
    now: i64,
    memory: &Memory,
) -> Result<Outcome, Flaw> {
    if ways.iter().all(|way| matches!(way, Way::None)) {
        return Ok(Outcome::Proved(Principal::anonymous()));
    }
    match presented::read(ways, headers, query)? {
        Presented::Nothing => match mtls::prove(ways, shown, now, memory) {
            Some(proved) => proved.map(Outcome::Proved),
            None if ways.iter().any(|way| matches!(way, Way::None)) => Ok(Outcome::Proved(Principal::anonymous())),
            None if ways.iter().all(|way| matches!(way, Way::Mtls(_))) => Err(Flaw::MissingCertificate),
            None => Err(Flaw::Missing),
        },
        Presented::Token { text, at } => by_token(ways, text, &at, now, memory).map(Outcome::Proved),
        Presented::Key { text, at } => api_key::verify(ways, text, &at, now).map(Outcome::Proved),
        Presented::Basic(base64) => basic::ask(ways, base64).map(Outcome::Ask),
        Presented::Sources(external) => Ok(Outcome::Consult(Arc::clone(external))),
        Presented::Signed if ways.iter().any(|way| matches!(way, Way::Iam)) => Ok(Outcome::Proved(Principal::iam())),
        Presented::Signed => Err(Flaw::NotAccepted),
    }
}

/// The token names its issuer, and that issuer alone verifies it: trying others would let one issuer's token
/// pass for another's.
fn by_token(ways: &[Way], text: &str, at: &Places<'_>, now: i64, memory: &Memory) -> Result<Principal, Flaw> {
    let issuers = || {
        ways.iter().filter_map(|way| match way {
            // An issuer whose tokens come in a cookie does not take one from elsewhere.
            Way::Jwt(issuer) => at.contains(&issuer.place()).then_some(issuer),
            Way::None | Way::Iam | Way::Basic(_) | Way::ApiKey(_) | Way::Mtls(_) | Way::External(_) => None,
        })
    };
    if issuers().next().is_none() {
        return Err(Flaw::NotAccepted);
    }
    // Nothing can be verified here at the moment, so nothing can be called invalid either.
    if issuers().all(|issuer| !issuer.has_keys()) {
        return Err(Flaw::NoKeys);
    }
    if let Some(known) = memory.verified.borrow().find(text, issuers(), now) {
        return known;
    }
    let mut token = Token::parse(text)?;
    let iss = token.issuer().ok_or(Flaw::UnknownIssuer)?;
    let issuer = issuers().find(|issuer| issuer.is_named(iss)).ok_or(Flaw::UnknownIssuer)?;
    let verified = issuer.verify(&mut token, now).map_err(|flaw| {
        // A key that came after ours were fetched is nobody's fault: while one may be on its way, nothing is called
        // invalid that no key of ours is named for. A token without a name stands for itself.
        let kid = token.kid.as_deref();
        let unproved = matches!(flaw, Flaw::UnknownKey | Flaw::Signature | Flaw::Algorithm) && !issuer.has_named(kid);
        let awaited = unproved
            && issuer.is_published()
            && memory.unknown.borrow_mut().is_awaited(issuer.via(), kid.unwrap_or(text), now);
        if awaited { Flaw::KeyAwaited } else { flaw }
    });
    let (principal, lifetime) = verified?;
    memory.verified.borrow_mut().keep(text, issuer, lifetime, &principal);
    Ok(principal)
}
