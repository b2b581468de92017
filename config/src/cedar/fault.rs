//! What is wrong in a text of Cedar, with line and column.
//!
//! Owns the words. Cedar's own come first, since they are what its documentation explains.

use cedar_policy::{ParseErrors, ValidationResult};
use miette::Diagnostic;

use crate::problem::{Problem, ProblemKind, did_you_mean, shown};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Fault {
    /// Where it begins, in bytes.
    offset: Option<usize>,
    message: String,
    hint: Option<String>,
}

impl Fault {
    pub(super) fn new(message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { offset: None, message: message.into(), hint: Some(hint.into()) }
    }

    /// The same, at an offset in bytes.
    pub(super) fn at(offset: usize, message: impl Into<String>, hint: impl Into<String>) -> Self {
        Self { offset: Some(offset), ..Self::new(message, hint) }
    }

    /// The problem of the field that holds `text`.
    pub(super) fn problem(self, at: &str, text: &str) -> Problem {
        let place = self.offset.map(|offset| place(text, offset)).unwrap_or_default();
        let problem = Problem::new(at, ProblemKind::Invalid, format!("{place}{}", self.message));
        match self.hint {
            Some(hint) => problem.hint(hint),
            None => problem,
        }
    }
}

pub(super) fn of_parsing(text: &str, errors: &ParseErrors) -> Vec<Fault> {
    let faults: Vec<Fault> = errors.iter().map(|error| of(text, error, &[])).collect();
    once(faults)
}

pub(super) fn of_template(text: &str) -> Fault {
    Fault::new(
        format!("{} is a template", shown(text)),
        "write the principal or resource out instead of ?principal or ?resource",
    )
}

/// Errors, and warnings as well: a policy that can never apply is a slip, and one that looks like another a trap.
/// `words` are those that could have been meant.
pub(super) fn of_checking(text: &str, result: &ValidationResult, words: &[&str]) -> Vec<Fault> {
    let wrong: Vec<_> = result.validation_errors().map(|error| error.policy_id()).collect();
    let errors = result.validation_errors().map(|error| of(text, error, words));
    // What cannot apply because of an error is told by the error.
    let warnings = result.validation_warnings().filter(|warning| !wrong.contains(&warning.policy_id()));
    once(errors.chain(warnings.map(|warning| of(text, warning, words))).collect())
}

/// Every method is checked for itself, and a slip is one under all of them.
fn once(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort();
    faults.dedup_by(|later, first| later.offset == first.offset && later.offset.is_some() || later == first);
    faults
}

fn of(text: &str, error: &dyn Diagnostic, words: &[&str]) -> Fault {
    let span = error.labels().and_then(|mut labels| labels.next());
    let offset = span.as_ref().map(|label| label.offset());
    let found = span.and_then(|label| text.get(label.offset()..label.offset() + label.len()));
    let said = in_one_line(&error.to_string());
    let message = match found.filter(|found| !found.is_empty()) {
        Some(found) => format!("{said}, at {}", shown(found)),
        None => said,
    };
    let hint = error.help().map(|help| in_one_line(&help.to_string()));
    let hint = match hint {
        // Of several that are as near, Cedar names now this one and now that one: a condition would never stay the same.
        Some(hint) if hint.starts_with("did you mean") => {
            let word = last_word(found);
            did_you_mean(word, words.iter().copied().filter(|known| *known != word))
        }
        hint => hint,
    };
    Fault { offset, message, hint }
}

/// The last name in what was found: `b` of `a.b` and of `Action::"b"`.
fn last_word(found: Option<&str>) -> &str {
    let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let found = found.unwrap_or_default().trim_end_matches(|c| !is_word(c));
    found.rsplit(|c| !is_word(c)).next().unwrap_or_default()
}

/// Cedar's words without the name that it gave to the statement: which one it is, the line says.
fn in_one_line(said: &str) -> String {
    const LONGEST: usize = 400;
    let said = said.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")).map_or(said, |(_, rest)| rest);
    said.chars().take(LONGEST).map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: ")
}
