//! What is told of the breakers of a route's destinations: what opens them, and how they stand where that is known.

use std::time::Instant;

use postern_config::document::Mode;

use super::Explanation;
use crate::breaker::State;
use crate::snapshot::Target;

/// A step for each breaker. Without the running router's time nobody knows how one stands.
pub(super) fn tell(targets: &[Target], live: Option<Instant>, explanation: &mut Explanation) {
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
