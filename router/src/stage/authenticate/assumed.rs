//! A caller that is only assumed: what would be known of it if its token said this.
//!
//! For whoever explains a decision; nothing that serves may use it.

use std::sync::Arc;

use serde_json::{Map, Value};

use super::jwt::{scopes, subject};
use super::{Flaw, Way, challenge};
use crate::principal::Principal;
use crate::reject::Rejection;
use crate::snapshot::ClaimPath;

/// Who would call, had a token of the route's first issuer made these claims, in time and for the right audience. Where a
/// route has no issuer, the claims are taken for those of anybody.
///
/// # Errors
/// Where a token with these claims would be refused whoever signed it.
pub(crate) fn assume(ways: &[Way], claims: &Map<String, Value>) -> Result<Principal, Rejection> {
    principal(ways, claims).map_err(|flaw| challenge::refuse(ways, flaw))
}

fn principal(ways: &[Way], claims: &Map<String, Value>) -> Result<Principal, Flaw> {
    let issuer = ways.iter().find_map(|way| match way {
        Way::Jwt(issuer) => Some(issuer),
        _ => None,
    });
    let (subject, scopes) = (subject(claims.get("sub"))?, scopes(claims)?);
    let said = Value::Object(claims.clone());
    match issuer {
        Some(issuer) => {
            issuer.rules().check_claims(claims)?;
            issuer.rules().check_scopes(&scopes)?;
            let principal = Principal::of_token(subject, Arc::clone(issuer.via()), scopes, said);
            Ok(principal.with_roles_at(issuer.roles()))
        }
        None => {
            let roles = ClaimPath(std::iter::once("roles".into()).collect());
            Ok(Principal::of_token(subject, "assumed".into(), scopes, said).with_roles_at(&roles))
        }
    }
}
