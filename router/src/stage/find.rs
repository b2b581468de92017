//! Which route answers: the request put to the table, and what it says turned into a refusal.
//!
//! Must never know credentials or client addresses.

use std::sync::Arc;

use http::HeaderValue;
use http::header::ALLOW;
use postern_config::value::PathError;

use super::identify::{Request, RequestPath};
use crate::reject::{Reason, Rejection};
use crate::snapshot::table::{Found, Outranked, Passed, Query};
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
    let segments = request.segments();
    match (snapshot.table.find(&query(request, &segments, now), passed), ambiguity(request)) {
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

/// The routes that would answer if the one that does were not there, each with why it comes after that one.
pub(crate) fn outranked(snapshot: &Snapshot, request: &Request, now: i64) -> Vec<(Arc<RoutePlan>, Outranked)> {
    let segments = request.segments();
    let found = snapshot.table.outranked(&query(request, &segments, now));
    found.into_iter().map(|(route, why)| (Arc::clone(route), why)).collect()
}

fn query<'r>(request: &'r Request, segments: &'r [&'r str], now: i64) -> Query<'r> {
    Query {
        host: request.host.as_str(),
        segments,
        ambiguous: ambiguity(request).is_some(),
        method: request.head.method(),
        headers: request.head.fields(),
        query: request.head.query(),
        now,
    }
}

fn ambiguity(request: &Request) -> Option<PathError> {
    match &request.path {
        RequestPath::Plain | RequestPath::Canonical(_) => None,
        RequestPath::Ambiguous(_, error) => Some(*error),
    }
}
