//! What holds for every list of a document: how long it may be, that nothing is in it twice, and that names stand for
//! something. Must never know which list it is.

use crate::problem::{Problem, ProblemKind, did_you_mean};

/// A name that is defined nowhere, with the nearest one that is.
pub(super) fn unknown_name<'a>(
    at: String,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Problem {
    let problem = Problem::new(at, ProblemKind::NotFound, format!("there is no {what} \"{name}\" in this boundary"));
    let mut few = known.clone().take(8).peekable();
    // A hundred thousand refusals have to be worded, too.
    match did_you_mean(name, known.take(64)) {
        Some(hint) => problem.hint(hint),
        None if few.peek().is_none() => problem.hint(format!("there is no {what} at all")),
        None => problem.hint(format!("known: {}", few.collect::<Vec<_>>().join(", "))),
    }
}

/// A list has at most so many entries.
pub(super) fn bounded(problems: &mut Vec<Problem>, at: &str, count: usize, most: usize) {
    if count > most {
        problems.push(Problem::new(at, ProblemKind::Limit, format!("has {count} entries, more than {most}")));
    }
}

/// No entry of a list is there twice.
pub(super) fn unique<'a, T: Ord + std::fmt::Display + 'a>(
    problems: &mut Vec<Problem>,
    items: impl Iterator<Item = &'a T>,
    at: impl Fn(usize) -> String,
) {
    let mut seen = std::collections::BTreeSet::new();
    for (index, item) in items.enumerate() {
        if !seen.insert(item) {
            problems.push(Problem::new(at(index), ProblemKind::Duplicate, format!("\"{item}\" is listed twice")));
        }
    }
}
