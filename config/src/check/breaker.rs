//! Breakers that can open, and close again.

use std::ops::RangeInclusive;

use crate::document::{Breaker, PolicySet};
use crate::limits;
use crate::problem::{Problem, ProblemKind};
use crate::value::Period;

/// How long back may be counted, and how long may be waited, in milliseconds.
const WITHIN: RangeInclusive<u128> = limits::BREAKER_WITHIN_MILLIS..=limits::BREAKER_MILLIS;
const OPENS_FOR: RangeInclusive<u128> = 1..=limits::BREAKER_MILLIS;

pub(super) fn check(problems: &mut Vec<Problem>, at: &str, policies: &PolicySet) {
    // Without `..`, so that a new field cannot be forgotten here.
    let Some(Breaker { failures, ratio: _, within, opens_for, mode: _ }) = &policies.breaker else { return };
    let at = format!("{at}/breaker");
    match failures {
        Some(0) => problems.push(
            Problem::new(
                format!("{at}/failures"),
                ProblemKind::Invalid,
                "is 0, so it would open before anything failed",
            )
            .hint("leave it out for 10"),
        ),
        Some(failures) if *failures > limits::BREAKER_FAILURES => problems.push(
            Problem::new(
                format!("{at}/failures"),
                ProblemKind::Limit,
                format!("is more than {}", limits::BREAKER_FAILURES),
            )
            .hint("leave it out for 10: a breaker is to notice before everybody does"),
        ),
        _ => {}
    }
    lies_within(problems, &format!("{at}/within"), *within, WITHIN, ("between 100ms and 1h", "10s"));
    lies_within(problems, &format!("{at}/opens_for"), *opens_for, OPENS_FOR, ("between 1ms and 1h", "5s"));
}

fn lies_within(
    problems: &mut Vec<Problem>,
    at: &str,
    period: Option<Period>,
    bounds: RangeInclusive<u128>,
    (words, default): (&str, &str),
) {
    let Some(period) = period.filter(|period| !bounds.contains(&period.duration().as_millis())) else { return };
    problems.push(
        Problem::new(at.to_owned(), ProblemKind::Limit, format!("\"{period}\" is not {words}"))
            .hint(format!("leave it out for {default}")),
    );
}
