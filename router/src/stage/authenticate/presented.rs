//! What a request presents: the one reading of `Authorization`, of a presigned query and of the places that issuers have
//! for their tokens, or none at all.
//!
//! What has two readings is refused here, before anything is looked up.

use std::sync::Arc;

use smallvec::SmallVec;

use super::external::{External, Present};
use super::{Flaw, Way, iam};
use crate::http1::{Fields, text};
use crate::place::{Ambiguous, TokenPlace};

/// The credentials of a request, in their one reading.
pub(super) enum Presented<'r> {
    /// There are none.
    Nothing,
    /// A token: in `Authorization` (RFC 6750 §2.1), or where an issuer of the route has its own. Never one in the body.
    Token { text: &'r str, at: Places<'r> },
    /// A consumer's key, where a realm of the route has its keys.
    Key { text: &'r str, at: Places<'r> },
    /// Base64 of user and password (RFC 7617).
    Basic(&'r str),
    /// All that the route's authorizer reads.
    Sources(&'r Arc<External>),
    /// A well-formed AWS signature, in the header or in the query. Whether it is right is the destination's
    /// matter.
    Signed,
}

/// Where the same token or key stands; `None` is `Authorization`. Only those who have theirs there verify it.
pub(super) type Places<'r> = SmallVec<[Option<&'r TokenPlace>; 2]>;

/// Reads what is presented, wherever one of `ways` looks.
pub(super) fn read<'r>(ways: &'r [Way], headers: &'r Fields, query: Option<&'r str>) -> Result<Presented<'r>, Flaw> {
    let external = ways.iter().find_map(|way| match way {
        Way::External(external) => Some(external),
        _ => None,
    });
    let others = read_others(ways, headers, query)?;
    let Some(external) = external else { return Ok(others) };
    match (external.presented(headers, query)?, others) {
        (Present::All, Presented::Nothing) => Ok(Presented::Sources(external)),
        // Whoever brings a part of it means to be proved.
        (Present::Some, Presented::Nothing) => Err(Flaw::Missing),
        (Present::All, _) => Err(Flaw::Several),
        (_, others) => Ok(others),
    }
}

/// What ways read that are no authorizers.
fn read_others<'r>(ways: &'r [Way], headers: &'r Fields, query: Option<&'r str>) -> Result<Presented<'r>, Flaw> {
    let mut found = None;
    for (way, place) in ways.iter().filter_map(|way| Some((way, way.place()?))) {
        let text = place.find(headers, query).map_err(|ambiguous| match ambiguous {
            Ambiguous::Twice => Flaw::Several,
            Ambiguous::Spelling => Flaw::Malformed,
        })?;
        if let Some(text) = text {
            found = Some(match way {
                // Whether it has the form of a key is asked where it is looked up.
                Way::ApiKey(_) => key_together(found, text, place)?,
                _ => {
                    check_token(text)?;
                    together(found, text, Some(place))?
                }
            });
        }
    }
    // Where no way looks at it, what stands in Authorization is between the client and the destination.
    let standard = match ways.iter().any(Way::uses_authorization) {
        true => read_standard(headers, query, ways.iter().any(|way| matches!(way, Way::Iam)))?,
        false => Presented::Nothing,
    };
    match (standard, found) {
        (standard, None) => Ok(standard),
        (Presented::Nothing, Some(found)) => Ok(found),
        (Presented::Token { text, .. }, found) => together(found, text, None),
        (Presented::Key { .. } | Presented::Basic(_) | Presented::Sources(_) | Presented::Signed, Some(_)) => {
            Err(Flaw::Several)
        }
    }
}

/// One token in two places is one token; two tokens are two callers.
fn together<'r>(
    before: Option<Presented<'r>>,
    text: &'r str,
    place: Option<&'r TokenPlace>,
) -> Result<Presented<'r>, Flaw> {
    match before {
        None => Ok(Presented::Token { text, at: SmallVec::from_slice(&[place]) }),
        Some(Presented::Token { text: known, mut at }) if known == text => {
            at.push(place);
            Ok(Presented::Token { text, at })
        }
        Some(_) => Err(Flaw::Several),
    }
}

/// The same of keys. Realms may have their keys in one place: what stands there is one key.
fn key_together<'r>(
    before: Option<Presented<'r>>,
    text: &'r str,
    place: &'r TokenPlace,
) -> Result<Presented<'r>, Flaw> {
    match before {
        None => Ok(Presented::Key { text, at: SmallVec::from_slice(&[Some(place)]) }),
        Some(Presented::Key { text: known, mut at }) if known == text => {
            at.push(Some(place));
            Ok(Presented::Key { text, at })
        }
        Some(_) => Err(Flaw::Several),
    }
}

/// `Authorization`, and the query when `signatures` are of use.
fn read_standard<'r>(headers: &'r Fields, query: Option<&str>, signatures: bool) -> Result<Presented<'r>, Flaw> {
    let mut values = headers.all("authorization");
    let value = values.next();
    if values.next().is_some() {
        return Err(Flaw::Several);
    }
    let presigned = signatures && query.is_some_and(iam::is_presigned);
    match (value, presigned) {
        (None, false) => Ok(Presented::Nothing),
        (None, true) => iam::check_query(query.unwrap_or_default()).map(|()| Presented::Signed),
        (Some(_), true) => Err(Flaw::Several),
        (Some(value), false) => read_header(text(value).ok_or(Flaw::Malformed)?),
    }
}

/// `scheme SP credentials`, and nothing around it: RFC 9110 §11.4 has more forms, clients use this one.
fn read_header(value: &str) -> Result<Presented<'_>, Flaw> {
    let (scheme, credentials) = value.split_once(' ').ok_or(Flaw::Malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        check_token(credentials)?;
        Ok(Presented::Token { text: credentials, at: SmallVec::from_slice(&[None]) })
    } else if scheme.eq_ignore_ascii_case("basic") {
        if credentials.len() > BASIC_MAX {
            return Err(Flaw::BasicTooLong);
        }
        is_token68(credentials).then_some(Presented::Basic(credentials)).ok_or(Flaw::Malformed)
    } else if iam::is_scheme(scheme) {
        iam::check_header(scheme, credentials).map(|()| Presented::Signed)
    } else {
        Err(Flaw::NotAccepted)
    }
}

fn check_token(text: &str) -> Result<(), Flaw> {
    if text.len() > TOKEN_MAX {
        return Err(Flaw::TokenTooLong);
    }
    is_token68(text).then_some(()).ok_or(Flaw::Malformed)
}

/// RFC 9110 §11.2: one word, so neither a second space nor a comma-joined second credential fits.
fn is_token68(text: &str) -> bool {
    let word = text.trim_end_matches('=');
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// The longest token, in bytes: tokens with hundreds of groups stay below 8 KiB, and a head ends at 64 KiB.
pub(super) const TOKEN_MAX: usize = 16 * 1024;

/// The longest base64 of user and password, in bytes.
pub(super) const BASIC_MAX: usize = 1024;
