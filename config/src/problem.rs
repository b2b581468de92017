//! A defect in a document: where it is, what was found there and what to do about it.
//!
//! Must never know: HTTP statuses, or what the reader will do with the problem.

use std::fmt;

use serde::Serialize;

/// What kind of defect it is; closed, so that programs can switch on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The bytes are neither JSON nor YAML, or have two readings (a key given twice).
    Syntax,
    /// A field nobody knows.
    UnknownField,
    /// A field that must be there is not.
    Missing,
    /// A value of another type, or no value.
    WrongType,
    /// A value of the right type that means nothing.
    Invalid,
    /// The same thing said twice.
    Duplicate,
    /// A name that is defined nowhere.
    NotFound,
    /// Two settings that cannot both be.
    Contradiction,
    /// Understood, and not available in this release.
    Unsupported,
    /// More than a documented bound.
    Limit,
}

/// One defect of one document.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Problem {
    /// JSON pointer (RFC 6901) to the place; empty for the whole document.
    pub at: String,
    /// The kind of defect.
    pub kind: ProblemKind,
    /// What is wrong, with what was found. Lower case, no full stop.
    pub message: String,
    /// What to do about it, when that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl Problem {
    /// A problem without a remedy; add one with [`Problem::hint`].
    pub fn new(at: impl Into<String>, kind: ProblemKind, message: impl Into<String>) -> Self {
        Self { at: at.into(), kind, message: message.into(), hint: None }
    }

    /// The same problem with a remedy.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The same problem, seen from `parent`: its pointer is put in front.
    #[must_use]
    pub fn under(mut self, parent: &str) -> Self {
        self.at.insert_str(0, parent);
        self
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let at = if self.at.is_empty() { "the document" } else { &self.at };
        write!(f, "{at}: {}", self.message)?;
        match &self.hint {
            Some(hint) => write!(f, " ({hint})"),
            None => Ok(()),
        }
    }
}

/// All problems of one document. Never empty when it is an error.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Problems(pub Vec<Problem>);

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, problem) in self.0.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{problem}")?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self(vec![problem])
    }
}

/// One token of a JSON pointer, escaped (RFC 6901 §3).
pub fn pointer_token(token: &str) -> String {
    token.replace('~', "~0").replace('/', "~1")
}

/// A found value, cut and escaped so that it is safe in one line of a log.
pub fn shown(found: &str) -> String {
    const LONGEST: usize = 120;
    let mut text: String = found.chars().take(LONGEST).flat_map(char::escape_debug).collect();
    if found.chars().nth(LONGEST).is_some() {
        text.push('…');
    }
    format!("\"{text}\"")
}

/// The nearest of `known` to `word`, as a remedy.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let near = known.into_iter().map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate)).min()?;
    let close = near.0 <= 1 + word.chars().count() / 3;
    close.then(|| format!("did you mean \"{}\"?", near.1))
}
