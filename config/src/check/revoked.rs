//! Revoked tokens: not more than routers can hold.
//!
//! Must never know tokens.

use crate::document::{Identity, RevokedTokens};
use crate::limits;
use crate::problem::{Problem, ProblemKind};

pub(super) fn check(problems: &mut Vec<Problem>, identity: &Identity) {
    let mut total = 0;
    for (index, issuer) in identity.jwt.iter().enumerate() {
        let at = format!("/identity/jwt/{index}/revoked");
        let RevokedTokens { jti, sub, kid, issued_before: _, digests, mode: _ } = &issuer.revoked;
        for (field, values) in [("jti", jti), ("sub", sub), ("kid", kid)] {
            check_words(problems, &format!("{at}/{field}"), values);
        }
        total += digests.count();
    }
    if total > limits::REVOKED_DIGESTS {
        let message = format!("has {total} digests of revoked tokens, more than {}", limits::REVOKED_DIGESTS);
        problems.push(
            Problem::new("/identity/jwt", ProblemKind::Limit, message)
                .hint("take those out that have expired, or use issued_before"),
        );
    }
}

fn check_words(problems: &mut Vec<Problem>, at: &str, values: &[String]) {
    if values.len() > limits::REVOKED_WORDS {
        let message = format!("has {} entries, more than {}", values.len(), limits::REVOKED_WORDS);
        problems.push(
            Problem::new(at, ProblemKind::Limit, message).hint("keep many as digests: postern-syncer token digests"),
        );
    }
    for (place, _) in values.iter().enumerate().filter(|(_, value)| value.is_empty() || value.len() > 1_024) {
        let message = "is empty, or longer than 1024 bytes";
        problems.push(Problem::new(format!("{at}/{place}"), ProblemKind::Invalid, message));
    }
}
