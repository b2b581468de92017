//! Principal → [`Permit`]: may this caller use this route?
//!
//! The sole maker of a permit, and `forward` takes nothing else: a request that skipped this stage cannot be
//! written. Must never know credentials.

use std::sync::Arc;

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;

use crate::principal::Principal;
use crate::reject::{Reason, Rejection};
use crate::snapshot::RoutePlan;

/// Proof that a principal may use a route. It holds the route, so the request sees one generation to its end.
pub(crate) struct Permit {
    route: Arc<RoutePlan>,
    principal: Principal,
}

impl Permit {
    /// The route that may be used.
    pub(crate) fn route(&self) -> &Arc<RoutePlan> {
        &self.route
    }

    /// Who may use it.
    pub(crate) fn principal(&self) -> &Principal {
        &self.principal
    }
}

/// Lets the principal pass when it holds every scope that the route asks for.
///
/// # Errors
/// 403, for a bearer of a token with the scopes that are asked for (RFC 6750 §3.1).
pub(crate) fn authorize(route: Arc<RoutePlan>, principal: Principal) -> Result<Permit, Rejection> {
    if route.scopes.iter().all(|scope| principal.holds(scope)) {
        return Ok(Permit { route, principal });
    }
    let rejection = Rejection::new(Reason::ScopeMissing, "");
    Err(if principal.has_token() { rejection.header(WWW_AUTHENTICATE, challenge(&route.scopes)) } else { rejection })
}

/// Scopes with characters that RFC 6749 §3.3 has no room for are not named: a quote would end the value.
fn challenge(scopes: &[Box<str>]) -> HeaderValue {
    let token = |scope: &str| scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    let named = scopes.iter().all(|scope| token(scope)).then(|| scopes.join(" "));
    named
        .and_then(|scopes| {
            HeaderValue::try_from(format!(r#"Bearer realm="postern", error="insufficient_scope", scope="{scopes}""#))
                .ok()
        })
        .unwrap_or(INSUFFICIENT)
}

const INSUFFICIENT: HeaderValue = HeaderValue::from_static(r#"Bearer realm="postern", error="insufficient_scope""#);
