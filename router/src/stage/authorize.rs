//! Principal → [`Permit`]: may this caller use this route?
//!
//! The sole maker of a permit, and `forward` takes nothing else: a request that skipped this stage cannot be
//! written. Must never know credentials.

use std::sync::Arc;

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use postern_config::document::Mode;

use crate::principal::Principal;
use crate::reject::{Reason, Rejection};
use crate::rights::{Circumstances, Kind, Verdict};
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

/// What was decided: the permit or the refusal, and what the route's demands said.
pub(crate) struct Decided {
    /// 403 when a demand that is insisted on is not met.
    pub(crate) permit: Result<Permit, Rejection>,
    /// For the log, for metrics and for `explain`.
    pub(crate) verdicts: Vec<Verdict>,
}

/// Lets the principal pass when it meets every demand of the route that is insisted on. Those that are tried out are
/// asked as well, and change nothing.
///
/// `all` asks for a verdict also where there is nothing to tell.
pub(crate) fn authorize(
    route: Arc<RoutePlan>,
    principal: Principal,
    circumstances: &Circumstances<'_>,
    all: bool,
) -> Decided {
    let verdicts = route.rights.decide(&principal, circumstances, all);
    let refusing = verdicts.iter().find(|verdict| !verdict.allowed && verdict.mode == Mode::Enforce);
    let permit = match refusing {
        None => Ok(Permit { route, principal }),
        Some(verdict) => Err(refusal(verdict, &route, &principal)),
    };
    Decided { permit, verdicts }
}

/// The client learns the reason's code and no more: names of policies tell how the boundary is built.
fn refusal(verdict: &Verdict, route: &RoutePlan, principal: &Principal) -> Rejection {
    let reason = match verdict.kind {
        Kind::Scopes => Reason::ScopeMissing,
        Kind::Roles => Reason::RoleMissing,
        Kind::Addresses => Reason::AddressDenied,
        Kind::Policies
        | Kind::Authentication
        | Kind::Rate
        | Kind::Revocation
        | Kind::Lockout
        | Kind::IdentityHeaders
        | Kind::IdentityToken
        | Kind::Breaker => Reason::PolicyDenied,
    };
    let rejection = Rejection::new(reason, verdict.why.clone());
    // For a bearer of a token, with the scopes that are asked for (RFC 6750 §3.1).
    match verdict.kind == Kind::Scopes && principal.has_token() {
        true => rejection.header(WWW_AUTHENTICATE, challenge(&route.rights.scopes())),
        false => rejection,
    }
}

/// Scopes with characters that RFC 6749 §3.3 has no room for are not named: a quote would end the value.
fn challenge(scopes: &[&str]) -> HeaderValue {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::rights::Rights;
    use crate::snapshot::{PathPlan, Timeouts};

    fn route(scopes: &[&str]) -> Arc<RoutePlan> {
        Arc::new(RoutePlan {
            id: "/orders#default".into(),
            origins: "".into(),
            owner: "team-orders".into(),
            targets: Box::default(),
            ways: Box::default(),
            insists: true,
            signed_as_asked: false,
            rights: Rights::of_scopes(scopes),
            identity_headers: Box::default(),
            identity_headers_tried: Box::default(),
            identity_token: None,
            timeouts: Timeouts::default(),
            limits: Box::default(),
            telemetry: Default::default(),
            body_max: 0,
            path: PathPlan::Keep,
            raw_path: false,
            websocket: None,
        })
    }

    fn bearer(scopes: &[&str]) -> Principal {
        let scopes = scopes.iter().map(|scope| Box::from(*scope)).collect();
        Principal::of_token("u-1", "jwt:corp".into(), scopes, json!({}))
    }

    fn decided(route: Arc<RoutePlan>, principal: Principal) -> Result<Permit, Rejection> {
        let client = std::net::Ipv4Addr::LOCALHOST.into();
        let circumstances = Circumstances { method: "GET", host: "a.example.com", path: Some("/"), client, now: 0 };
        authorize(route, principal, &circumstances, false).permit
    }

    #[test]
    fn every_scope_must_be_held() {
        let cases: &[(&[&str], &[&str], bool)] = &[
            (&[], &[], true),
            (&[], &["a"], true),
            (&["a"], &["a"], true),
            (&["a", "b"], &["b", "x", "a"], true),
            (&["a"], &[], false),
            (&["a", "b"], &["a"], false),
            (&["a"], &["A"], false),
            (&["orders:read"], &["orders"], false),
            (&["orders"], &["orders:read"], false),
            (&["a b"], &["a", "b"], false),
        ];
        for (asked, held, passes) in cases {
            let found = decided(route(asked), bearer(held));
            assert_eq!(found.is_ok(), *passes, "{asked:?} of {held:?}");
            if let Ok(permit) = found {
                assert_eq!(&*permit.route().id, "/orders#default");
                assert_eq!(permit.principal().name(), "u-1");
            }
        }
    }

    #[test]
    fn a_bearer_is_told_which_scopes_and_others_are_not() {
        let refused = |principal, scopes: &[&str]| decided(route(scopes), principal).err().expect("refused");
        let rejection = refused(bearer(&[]), &["a", "b"]);
        assert_eq!((rejection.reason, rejection.reason.status().as_u16()), (Reason::ScopeMissing, 403));
        let told = |rejection: &Rejection| {
            rejection.headers.iter().map(|(_, value)| value.to_str().unwrap().to_owned()).collect::<Vec<_>>()
        };
        assert_eq!(told(&rejection), [r#"Bearer realm="postern", error="insufficient_scope", scope="a b""#]);
        for odd in ["a\"b", "a\\b", "a\r\nb", "ä"] {
            assert_eq!(told(&refused(bearer(&[]), &["x", odd])), [INSUFFICIENT.to_str().unwrap()], "{odd}");
        }
        let user = Principal::of_user("alice".into(), "basic:ops".into(), Arc::default());
        for principal in [Principal::anonymous(), Principal::iam(), user] {
            assert!(refused(principal, &["a"]).headers.is_empty());
        }
    }
}
