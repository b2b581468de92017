//! What a request presents: the one reading of `Authorization` and of a presigned query, or none at all.
//!
//! A header with two readings is refused here, before anything is looked up.

use super::{Flaw, iam};
use crate::http1::{Fields, text};

/// The credentials of a request, in their one reading.
pub(super) enum Presented<'r> {
    /// There are none.
    Nothing,
    /// A bearer token (RFC 6750 §2.1; never one in the query or the body).
    Bearer(&'r str),
    /// Base64 of user and password (RFC 7617).
    Basic(&'r str),
    /// A well-formed AWS signature, in the header or in the query. Whether it is right is the destination's
    /// matter.
    Signed,
}

/// Reads what is presented. `query` is looked at only when `signatures` are of use.
pub(super) fn read<'r>(headers: &'r Fields, query: Option<&str>, signatures: bool) -> Result<Presented<'r>, Flaw> {
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
        if credentials.len() > TOKEN_MAX {
            return Err(Flaw::TokenTooLong);
        }
        is_token68(credentials).then_some(Presented::Bearer(credentials)).ok_or(Flaw::Malformed)
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

/// RFC 9110 §11.2: one word, so neither a second space nor a comma-joined second credential fits.
fn is_token68(text: &str) -> bool {
    let word = text.trim_end_matches('=');
    !word.is_empty() && word.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte))
}

/// The longest token, in bytes: tokens with hundreds of groups stay below 8 KiB, and a head ends at 64 KiB.
pub(super) const TOKEN_MAX: usize = 16 * 1024;

/// The longest base64 of user and password, in bytes.
pub(super) const BASIC_MAX: usize = 1024;
