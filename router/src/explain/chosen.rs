//! What is told of the destinations that a route chooses from: by which weights, what opens their breakers, and how these
//! stand where that is known.

use std::time::Instant;

use postern_config::document::Mode;

use super::Explanation;
use crate::breaker::State;
use crate::reject::Rejection;
use crate::snapshot::Target;
use crate::stage::choose::preview;

/// The first place that a request could go to, with the steps to it.
///
/// # Errors
/// When every breaker is open.
pub(super) fn choose<'r>(
    targets: &'r [Target],
    live: Option<Instant>,
    explanation: &mut Explanation,
) -> Result<&'r Target, Rejection> {
    tell(targets, live, explanation);
    let target = preview(targets, live)?;
    if targets.len() > 1 {
        let shares: Vec<_> = targets.iter().map(|one| format!("{} {}", one.weight, one.destination.name())).collect();
        explanation.step("choose", format!("by weight among {}; the first is shown", shares.join(", ")));
    }
    Ok(target)
}

/// A step for each breaker. Without the running router's time nobody knows how one stands.
fn tell(targets: &[Target], live: Option<Instant>, explanation: &mut Explanation) {
    let mut told: Vec<String> = Vec::new();
    for breaker in targets.iter().filter_map(|target| target.breaker.as_ref()) {
        let tried = if breaker.mode() == Mode::Shadow { "; shadow" } else { "" };
        let stands =
            live.map_or("; the running router knows whether it is open".to_owned(), |now| match breaker.state(now) {
                State::Closed => "; closed now".to_owned(),
                State::HalfOpen => "; half-open now: the next request tries it".to_owned(),
                State::Trying => "; half-open now: a request tries it".to_owned(),
                State::Open(left) => format!("; open for another {left:.0?}"),
            });
        let words = format!("{}: {}{tried}{stands}", breaker.destination(), breaker.words());
        // Two targets may lead to the same place.
        if !told.contains(&words) {
            explanation.step("breaker", words.clone());
            told.push(words);
        }
    }
}
