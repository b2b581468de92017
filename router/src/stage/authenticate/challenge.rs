//! What a refused client is told: which ways there are, and of a token only "invalid" or "expired".

use http::HeaderValue;
use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};
use smallvec::SmallVec;

use super::{Flaw, Way};
use crate::reject::{Reason, Rejection};

/// Challenges of one route: a route with more than four kinds of proof is rare.
pub(super) type Challenges = SmallVec<[HeaderValue; 4]>;

/// A refusal with what its status asks for: 401 comes with challenges (RFC 9110 §11.6.1), 503 with a time.
pub(super) fn refuse(ways: &[Way], flaw: Flaw) -> Rejection {
    let rejection = Rejection::new(flaw.reason(), flaw.words());
    match flaw.reason() {
        Reason::KeysMissing if flaw == Flaw::KeyAwaited => rejection.header(RETRY_AFTER, SOON),
        Reason::KeysMissing => rejection.header(RETRY_AFTER, KEYS_RETRY),
        Reason::ScopeMissing => rejection.header(WWW_AUTHENTICATE, insufficient(ways)),
        Reason::TokenInvalid => challenged(rejection, challenges(ways, &TOKEN_INVALID)),
        Reason::TokenExpired => challenged(rejection, challenges(ways, &TOKEN_EXPIRED)),
        Reason::TokenRevoked => challenged(rejection, challenges(ways, &TOKEN_REVOKED)),
        _ => challenged(rejection, challenges(ways, &BEARER)),
    }
}

/// The refusal of a password, whose challenges were collected when it was asked about.
pub(super) fn refuse_password(challenges: &Challenges, flaw: Flaw) -> Rejection {
    challenged(Rejection::new(flaw.reason(), flaw.words()), challenges.clone())
}

/// What a client may try on a route with these ways, each once and in their order.
pub(super) fn plain_challenges(ways: &[Way]) -> Challenges {
    challenges(ways, &BEARER)
}

/// The challenge of a realm (RFC 7617 §2.1: the charset makes clients send UTF-8).
pub(super) fn of_realm(name: &str) -> HeaderValue {
    HeaderValue::try_from(format!("Basic realm=\"{name}\", charset=\"UTF-8\"")).unwrap_or(BASIC)
}

/// The challenge of a realm of keys. No scheme is registered for them; RFC 9110 §11.6.1 asks for one all the same.
pub(super) fn of_key_realm(name: &str) -> HeaderValue {
    HeaderValue::try_from(format!("ApiKey realm=\"{name}\"")).unwrap_or(API_KEY)
}

/// The challenge of a realm of certificates. HTTP has no scheme for what TLS proves, and RFC 9110 §15.5.2 asks for a challenge
/// with 401 all the same; the name is that of a draft (draft-thomson-httpbis-cant), which nobody else uses for another thing.
pub(super) fn of_certificate_realm(name: &str) -> HeaderValue {
    HeaderValue::try_from(format!("ClientCertificate realm=\"{name}\"")).unwrap_or(CERTIFICATE)
}

/// The challenge of an authorizer: of bearers where it reads `Authorization`, else a scheme of our own, as keys have one.
pub(super) fn of_authorizer(name: &str, bearer: bool) -> HeaderValue {
    match bearer {
        true => BEARER,
        false => HeaderValue::try_from(format!("External realm=\"{name}\"")).unwrap_or(EXTERNAL),
    }
}

/// Which scopes are missing; without their names where issuers of one route ask for different ones.
fn insufficient(ways: &[Way]) -> HeaderValue {
    let mut asked = ways.iter().filter_map(|way| match way {
        Way::Jwt(issuer) => issuer.rules().insufficient(),
        Way::None | Way::Iam | Way::Basic(_) | Way::ApiKey(_) | Way::Mtls(_) | Way::External(_) => None,
    });
    match (asked.next(), asked.next()) {
        (Some(only), None) => only.clone(),
        _ => INSUFFICIENT,
    }
}

fn challenges(ways: &[Way], bearer: &HeaderValue) -> Challenges {
    let mut found = Challenges::new();
    for way in ways {
        let challenge = match way {
            Way::None => continue,
            // Names no realm: what is signed for what is between the client and the destination.
            Way::Iam => &SIGNATURE,
            Way::Jwt(_) => bearer,
            Way::Basic(realm) => realm.challenge(),
            Way::ApiKey(realm) => realm.challenge(),
            Way::Mtls(realm) => realm.challenge(),
            Way::External(external) => external.challenge(),
        };
        if !found.contains(challenge) {
            found.push(challenge.clone());
        }
    }
    found
}

fn challenged(rejection: Rejection, challenges: Challenges) -> Rejection {
    challenges.into_iter().fold(rejection, |rejection, challenge| rejection.header(WWW_AUTHENTICATE, challenge))
}

// RFC 6750 §3: no error code unless a token was there.
const BEARER: HeaderValue = HeaderValue::from_static(r#"Bearer realm="postern""#);
const TOKEN_INVALID: HeaderValue = HeaderValue::from_static(
    r#"Bearer realm="postern", error="invalid_token", error_description="the token is not valid""#,
);
const TOKEN_EXPIRED: HeaderValue = HeaderValue::from_static(
    r#"Bearer realm="postern", error="invalid_token", error_description="the token has expired""#,
);
const TOKEN_REVOKED: HeaderValue = HeaderValue::from_static(
    r#"Bearer realm="postern", error="invalid_token", error_description="the token was revoked""#,
);
const INSUFFICIENT: HeaderValue = HeaderValue::from_static(r#"Bearer realm="postern", error="insufficient_scope""#);
const BASIC: HeaderValue = HeaderValue::from_static(r#"Basic realm="postern", charset="UTF-8""#);
const API_KEY: HeaderValue = HeaderValue::from_static(r#"ApiKey realm="postern""#);
const CERTIFICATE: HeaderValue = HeaderValue::from_static(r#"ClientCertificate realm="postern""#);
const EXTERNAL: HeaderValue = HeaderValue::from_static(r#"External realm="postern""#);
const SIGNATURE: HeaderValue = HeaderValue::from_static("AWS4-HMAC-SHA256");

/// Keys that are being fetched are there within a second, as a rule.
const SOON: HeaderValue = HeaderValue::from_static("1");

/// Keys come with the next generation of the merged file, which the syncer tries for every few seconds.
const KEYS_RETRY: HeaderValue = HeaderValue::from_static("10");
