//! Which route answers: the request put to the table, and what it says turned into a refusal.
//!
//! Must never know credentials or client addresses.

use std::sync::Arc;

use http::HeaderValue;
use http::header::ALLOW;

use super::identify::{Request, RequestPath};
use crate::reject::{Reason, Rejection};
use crate::snapshot::table::{Found, Passed, Query};
use crate::snapshot::{RoutePlan, Snapshot};

/// Finds the route of a request; `passed` is told of every better-placed one that does not answer.
///
/// # Errors
/// 421 for a host that is not answered, 400 for a path with two readings, 404, or 405 with `Allow`.
pub(crate) fn find(
    snapshot: &Snapshot,
    request: &Request,
    now: i64,
    passed: impl FnMut(&Arc<RoutePlan>, Passed),
) -> Result<Arc<RoutePlan>, Rejection> {
    if !snapshot.hosts.answers(request.host.as_str()) {
        return Err(Rejection::new(Reason::HostNotListed, request.host.to_string()));
    }
    let ambiguous = match &request.path {
        RequestPath::Plain | RequestPath::Canonical(_) => None,
        RequestPath::Ambiguous(_, error) => Some(*error),
    };
    let segments = request.segments();
    let query = Query {
        host: request.host.as_str(),
        segments: &segments,
        ambiguous: ambiguous.is_some(),
        method: request.head.method(),
        headers: request.head.fields(),
        query: request.head.query(),
        now,
    };
    match (snapshot.table.find(&query, passed), ambiguous) {
        (Found::Route(route), _) => Ok(Arc::clone(route)),
        (_, Some(error)) => Err(Rejection::new(Reason::PathAmbiguous, error.to_string())),
        (Found::OtherMethods(methods), None) => {
            let allow = methods.join(", ");
            let rejection = Rejection::new(Reason::MethodNotAllowed, format!("allowed: {allow}"));
            Err(match HeaderValue::from_str(&allow) {
                Ok(value) => rejection.header(ALLOW, value),
                Err(_) => rejection,
            })
        }
        (Found::Nothing, None) => Err(Reason::RouteNotFound.into()),
    }
}
