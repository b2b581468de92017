//! What is wrong in a text of Cedar, with line and column.
//!
//! Owns the words. Cedar's own come first, since they are what its documentation explains.

use cedar_policy::{ParseErrors, ValidationResult};
use miette::Diagnostic;

use crate::problem::{Problem, ProblemKind, shown};

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
    let faults: Vec<Fault> = errors.iter().map(|error| of(text, error)).collect();
    once(faults)
}

pub(super) fn of_template(text: &str) -> Fault {
    Fault::new(
        format!("{} is a template", shown(text)),
        "write the principal or resource out instead of ?principal or ?resource",
    )
}

/// Errors, and warnings as well: a policy that can never apply is a slip, and one that looks like another a trap.
pub(super) fn of_checking(text: &str, result: &ValidationResult) -> Vec<Fault> {
    let errors = result.validation_errors().map(|error| of(text, error));
    let warnings = result.validation_warnings().map(|warning| of(text, warning));
    once(errors.chain(warnings).collect())
}

/// Every method is checked for itself, and a slip is one under all of them.
fn once(mut faults: Vec<Fault>) -> Vec<Fault> {
    faults.sort();
    faults.dedup_by(|later, first| later.offset == first.offset && later.offset.is_some() || later == first);
    faults
}

fn of(text: &str, error: &dyn Diagnostic) -> Fault {
    let span = error.labels().and_then(|mut labels| labels.next());
    let offset = span.as_ref().map(|label| label.offset());
    let found = span.and_then(|label| text.get(label.offset()..label.offset() + label.len()));
    let said = error.to_string();
    // Which statement it is, is said by the line; the name is one that Cedar gave.
    let said =
        said.strip_prefix("for policy `").and_then(|rest| rest.split_once("`, ")).map_or(&*said, |(_, rest)| rest);
    let said = shown(said);
    let message = match found.filter(|found| !found.is_empty()) {
        Some(found) => format!("{}, at {}", &said[1..said.len() - 1], shown(found)),
        None => said[1..said.len() - 1].to_owned(),
    };
    Fault { offset, message, hint: error.help().map(|help| help.to_string().replace(char::is_control, " ")) }
}

fn place(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let line = before.matches('\n').count() + 1;
    let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
    format!("line {line}, column {column}: ")
}
