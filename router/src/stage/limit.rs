//! Whether a request comes too often, or brings too much.
//!
//! Owns who is counted by which limit, and what is told of one that refuses. The counts themselves are the limiter's, which
//! is handed in together with the time. Must never know credentials.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use http::HeaderValue;
use http::header::RETRY_AFTER;
use postern_config::document::{LimitBy, Mode};
use smallvec::SmallVec;

use crate::http1::Framing;
use crate::limiter::{Counted, Limiter, Quota};
use crate::principal::Principal;
use crate::reject::{Reason, Rejection};
use crate::rights::Verdict;
use crate::snapshot::RoutePlan;

/// What a route takes of a body; what is announced as too long is refused before a byte goes up.
pub(crate) fn limit_body(route: &RoutePlan, framing: Framing) -> Result<(), Rejection> {
    match framing {
        Framing::Length(announced) if announced > route.body_max => {
            Err(Rejection::new(Reason::BodyTooLarge, format!("{announced} bytes")))
        }
        _ => Ok(()),
    }
}

/// The limits that hold for a request: the caller's own, then the route's.
pub(crate) fn quotas<'a>(route: &'a RoutePlan, principal: &'a Principal) -> impl Iterator<Item = &'a Quota> {
    principal.quota().into_iter().chain(&route.limits).filter(|quota| quota.mode != Mode::Off)
}

/// Counts a request at every limit that holds for it, in their order, and ends at the first that refuses it: what is refused
/// is counted at those before. Verdicts are of those that it was too much for.
pub(crate) fn limit_rate(
    route: &RoutePlan,
    principal: &Principal,
    client: IpAddr,
    limiter: &Limiter,
    now: Instant,
) -> (Result<(), Rejection>, SmallVec<[Verdict; 1]>) {
    let mut verdicts = SmallVec::new();
    for quota in quotas(route, principal) {
        let who = counted(quota.by, principal, client);
        let Err(early) = limiter.take(quota, who, now) else { continue };
        let verdict = Verdict::too_often(quota.name.as_ref().into(), quota.mode, format!("{} is exceeded", quota.rate));
        let refused = quota.mode == Mode::Enforce;
        let rejection = refused.then(|| refusal(&verdict, early));
        verdicts.push(verdict);
        if let Some(rejection) = rejection {
            return (Err(rejection), verdicts);
        }
    }
    (Ok(()), verdicts)
}

/// Whose count it is. A caller of whom nothing is proved is known by its address.
fn counted<'p>(by: LimitBy, principal: &'p Principal, client: IpAddr) -> Counted<'p> {
    match by {
        LimitBy::Caller if principal.is_proved() => Counted::Caller(principal.via(), principal.name()),
        LimitBy::Caller | LimitBy::Client => Counted::Client(client),
        LimitBy::Route => Counted::All,
    }
}

/// In whole seconds, since `Retry-After` has no others, and never too few (RFC 9110 §10.2.3).
fn refusal(verdict: &Verdict, early: Duration) -> Rejection {
    let seconds = early.as_secs() + u64::from(early.subsec_nanos() > 0);
    Rejection::new(Reason::RateLimited, format!("{verdict}: {}", verdict.why))
        .header(RETRY_AFTER, HeaderValue::from(seconds))
}
