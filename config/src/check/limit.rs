//! Limits that can work: few of them, with names that tell them apart.

use crate::document::Limit;
use crate::limits;
use crate::problem::{Problem, ProblemKind};

use super::lists::{bounded, unique};

pub(super) fn check<'l>(problems: &mut Vec<Problem>, at: &str, list: impl ExactSizeIterator<Item = &'l Limit> + Clone) {
    bounded(problems, at, list.len(), limits::LIMITS);
    unique(problems, list.clone().map(|limit| &limit.name), |index| format!("{at}/{index}/name"));
    for (index, burst) in list.enumerate().filter_map(|(index, limit)| Some((index, limit.burst?))) {
        let at = format!("{at}/{index}/burst");
        if burst == 0 {
            problems.push(
                Problem::new(at, ProblemKind::Invalid, "is 0, so no request would ever pass")
                    .hint("1 lets one request through at a time"),
            );
        } else if burst > limits::BURST {
            problems.push(Problem::new(at, ProblemKind::Limit, format!("is more than {}", limits::BURST)));
        }
    }
}
