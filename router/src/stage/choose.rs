//! Which of its places a request goes to: by weight, and past those whose breaker is open.
//!
//! Owns what is told of a breaker that refuses, and what counts as a failure. The breakers are handed in with the targets,
//! the time and chance as arguments. Must never know callers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::RETRY_AFTER;
use http::{HeaderValue, StatusCode};
use postern_config::document::Mode;

use crate::breaker::{Outcome, Pass, State};
use crate::reject::{Fault, Reason, Rejection};
use crate::rights::Verdict;
use crate::snapshot::Target;

/// Where a request goes, and the leave of the breaker there, where there is one.
pub(crate) type Chosen<'r> = (&'r Target, Option<Pass>);

/// Chooses, and takes the leave. `below` gives a random number below its argument. A verdict is of a breaker that refuses.
pub(crate) fn choose(
    targets: &[Target],
    clock: impl FnOnce() -> Instant,
    mut below: impl FnMut(u32) -> u32,
) -> (Result<Chosen<'_>, Rejection>, Option<Verdict>) {
    if targets.iter().all(|target| target.breaker.is_none()) {
        return (by_weight(targets.iter(), below).map(|target| (target, None)).ok_or_else(nowhere), None);
    }
    let now = clock();
    // Whoever takes a trial between our look and our leave makes us look again; that happens once for each.
    for _ in targets {
        let ready = targets.iter().filter(|target| is_ready(target, now));
        let Some(target) = by_weight(ready, &mut below) else { break };
        let Some(breaker) = &target.breaker else { return (Ok((target, None)), None) };
        match breaker.admit(now) {
            Ok(pass) => return (Ok((target, Some(pass))), None),
            Err(state) if breaker.mode() == Mode::Shadow => {
                return (Ok((target, None)), Some(verdict(target, Mode::Shadow, state)));
            }
            Err(_) => {}
        }
    }
    let (rejection, verdict) = refusal(targets, now);
    (Err(rejection), verdict)
}

/// The first place that a request could go to at an instant; nothing is taken, and nothing is left to chance.
///
/// # Errors
/// When every breaker is open.
pub(crate) fn preview(targets: &[Target], now: Option<Instant>) -> Result<&Target, Rejection> {
    let ready = targets.iter().filter(|target| now.map_or(target.weight > 0, |now| is_ready(target, now)));
    match (by_weight(ready, |_| 0), now) {
        (Some(target), _) => Ok(target),
        (None, Some(now)) => Err(refusal(targets, now).0),
        (None, None) => Err(nowhere()),
    }
}

/// Whether a request may go there. What is only tried out takes nothing away.
fn is_ready(target: &Target, now: Instant) -> bool {
    let open = target.breaker.as_ref().filter(|breaker| breaker.mode() == Mode::Enforce);
    target.weight > 0 && open.is_none_or(|breaker| matches!(breaker.state(now), State::Closed | State::HalfOpen))
}

fn by_weight<'r>(
    targets: impl Iterator<Item = &'r Target> + Clone,
    mut below: impl FnMut(u32) -> u32,
) -> Option<&'r Target> {
    let mut rest = targets.clone();
    let last = rest.next()?;
    if rest.next().is_none() {
        return Some(last);
    }
    let total: u32 = targets.clone().map(|target| target.weight).sum();
    let (mut left, mut last) = (below(total.max(1)), last);
    for target in targets {
        match left.checked_sub(target.weight) {
            None => return Some(target),
            Some(rest) => left = rest,
        }
        last = target;
    }
    // Weights are checked to have a sum, but a breaker may open while they are added up.
    Some(last)
}

/// The refusal where every breaker is open: until the first of them lets somebody try. In whole seconds, never too few
/// (RFC 9110 §10.2.3).
fn refusal(targets: &[Target], now: Instant) -> (Rejection, Option<Verdict>) {
    let wait = |target: &Target| match target.breaker.as_ref()?.state(now) {
        State::Open(left) => Some(left),
        // Whoever tries will have done so in a moment.
        State::Trying | State::HalfOpen | State::Closed => Some(Duration::ZERO),
    };
    let closest = targets.iter().filter(|target| target.weight > 0).min_by_key(|target| wait(target));
    let Some(target) = closest else { return (nowhere(), None) };
    let left = wait(target).unwrap_or_default();
    let state = if left.is_zero() { State::Trying } else { State::Open(left) };
    let verdict = verdict(target, Mode::Enforce, state);
    let seconds = (left.as_secs() + u64::from(left.subsec_nanos() > 0)).max(1);
    let rejection = Rejection::new(Reason::BreakerOpen, format!("{verdict}: {}", verdict.why));
    (rejection.header(RETRY_AFTER, HeaderValue::from(seconds)), Some(verdict))
}

fn verdict(target: &Target, mode: Mode, state: State) -> Verdict {
    let why = match state {
        State::Open(_) => "it failed too often",
        State::Trying | State::HalfOpen | State::Closed => "another request tries whether it is well again",
    };
    Verdict::left_alone(Arc::clone(target.destination.name()), mode, why)
}

/// A route has a target with a weight: the check of registrations left no others.
fn nowhere() -> Rejection {
    Rejection::new(Reason::Internal, "the route leads nowhere")
}

/// What an answer's status, or why there is none, says of the destination.
pub(crate) fn outcome(answered: Result<StatusCode, Reason>) -> Outcome {
    match answered {
        // 501 and 505 are about the request; what comes of overload or loss is these four.
        Ok(status) if matches!(status.as_u16(), 500 | 502..=504) => Outcome::Failed,
        Ok(_) => Outcome::Answered,
        Err(Reason::DestinationAddressForbidden) => Outcome::Failed,
        Err(reason) if reason.fault() == Fault::Destination => Outcome::Failed,
        Err(_) => Outcome::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::breaker::Breakers;
    use crate::snapshot::Destination;

    fn target(name: &str, weight: u32, policy: &str, breakers: &Breakers) -> Target {
        let destination = Destination::for_test((name, 443), name, None, &[], false);
        let breaker = breakers.breaker(name, &name.into(), &serde_json::from_str(policy).unwrap());
        Target { destination, prefix: "".into(), weight, breaker }
    }

    /// Fails once at a target, which opens a breaker that waits for one failure.
    fn fail(target: &Target, now: Instant) {
        target.breaker.as_ref().unwrap().admit(now).ok().unwrap().ended(Outcome::Failed, 0, now);
    }

    const ONE: &str = r#"{"failures":1,"opens_for":"1500ms"}"#;

    fn chosen(targets: &[Target], now: Instant, at: u32) -> &str {
        let (target, _) = choose(targets, || now, |bound| at % bound).0.unwrap();
        target.destination.host().to_str().unwrap()
    }

    #[test]
    fn each_gets_its_share_and_one_that_is_open_none() {
        let now = Instant::now();
        let breakers = Breakers::new(1, now);
        let targets: Vec<_> =
            [("a", 2), ("b", 1), ("c", 0), ("d", 1)].map(|(name, weight)| target(name, weight, ONE, &breakers)).into();
        let shares = |wanted: [&str; 4]| {
            let all: Vec<_> = (0..4).map(|at| chosen(&targets, now, at)).collect();
            assert_eq!(all, wanted);
        };
        shares(["a", "a", "b", "d"]);
        fail(&targets[1], now);
        shares(["a", "a", "d", "a"]);
        fail(&targets[0], now);
        shares(["d"; 4]);
        fail(&targets[3], now);
        let (refused, verdict) = choose(&targets, || now, |_| 0);
        let rejection = refused.err().unwrap();
        assert_eq!(rejection.reason, Reason::BreakerOpen);
        assert_eq!(rejection.headers, [(RETRY_AFTER, HeaderValue::from(2))]);
        assert_eq!(verdict.unwrap().to_string(), "breaker:test");
        // When they are due one request tries each, and the next is refused.
        let due = now + Duration::from_millis(1_500);
        let trials: Vec<_> = (0..4).map(|_| choose(&targets, || due, |_| 0).0).collect();
        let tried: Vec<_> = trials.iter().flatten().map(|(target, _)| target.destination.host()).collect();
        assert_eq!(tried, ["a", "b", "d"], "nothing goes where the weight is 0");
        let rejection = trials[3].as_ref().err().unwrap();
        assert_eq!(rejection.headers, [(RETRY_AFTER, HeaderValue::from(1))]);
    }

    #[test]
    fn what_is_tried_out_passes_and_is_told() {
        let now = Instant::now();
        let breakers = Breakers::new(1, now);
        let targets = [target("a", 1, r#"{"failures":1,"mode":"shadow"}"#, &breakers)];
        fail(&targets[0], now);
        let (chosen, verdict) = choose(&targets, || now, |_| 0);
        assert!(chosen.is_ok_and(|(_, pass)| pass.is_none()), "what passes all the same is not counted");
        assert!(verdict.is_some_and(|verdict| verdict.is_shadow_denial()));
        assert!(preview(&targets, Some(now)).is_ok());
    }

    #[test]
    fn a_preview_takes_no_trial() {
        let now = Instant::now();
        let breakers = Breakers::new(1, now);
        let targets = [target("a", 1, ONE, &breakers)];
        fail(&targets[0], now);
        assert!(preview(&targets, None).is_ok());
        assert_eq!(preview(&targets, Some(now)).err().unwrap().reason, Reason::BreakerOpen);
        let due = now + Duration::from_millis(1_500);
        assert!((0..3).all(|_| preview(&targets, Some(due)).is_ok()));
        assert!(choose(&targets, || due, |_| 0).0.is_ok());
    }

    #[test]
    fn what_fails_is_the_destination_and_not_the_request() {
        let failed = [500, 502, 503, 504];
        for status in 100..600 {
            let wanted = if failed.contains(&status) { Outcome::Failed } else { Outcome::Answered };
            assert_eq!(outcome(Ok(StatusCode::from_u16(status).unwrap())), wanted, "{status}");
        }
        let failures: Vec<_> = Reason::all().filter(|reason| outcome(Err(*reason)) == Outcome::Failed).collect();
        for reason in [Reason::DestinationRefused, Reason::TlsExpired, Reason::DestinationReset, Reason::TotalTimeout] {
            assert!(failures.contains(&reason), "{reason:?}");
        }
        for reason in [Reason::ClientClosed, Reason::BodyTooSlow, Reason::Overloaded, Reason::RateLimited] {
            assert!(!failures.contains(&reason), "{reason:?}");
        }
    }
}
