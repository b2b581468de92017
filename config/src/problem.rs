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
        write!(f, "{}: {}", place(&self.at), self.message)?;
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

/// A JSON pointer in words. Names of fields are other people's text: nothing in them may begin a line of a log.
pub(crate) fn place(at: &str) -> std::borrow::Cow<'_, str> {
    if at.is_empty() {
        "the document".into()
    } else if at.chars().any(char::is_control) {
        at.escape_debug().to_string().into()
    } else {
        at.into()
    }
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

/// A URL without the user and password in it: what is shown may be kept for long, and by others.
pub fn without_credentials(text: &str) -> std::borrow::Cow<'_, str> {
    let from = text.find("://").map_or(0, |at| at + 3);
    let authority = &text[from..];
    let to = authority.find(['/', '?', '#']).unwrap_or(authority.len());
    match authority[..to].rfind('@') {
        Some(at) if from > 0 => format!("{}…{}", &text[..from], &authority[at..]).into(),
        _ => text.into(),
    }
}

/// The nearest of `known` to `word`, as a remedy. Case does not count against it.
pub fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    let word = word.to_lowercase();
    let length = word.chars().count();
    let most = 1 + length / 3;
    let near = known
        .into_iter()
        // The distance is at least the difference in length, and costs the product of the lengths.
        .filter(|candidate| candidate.chars().count().abs_diff(length) <= most)
        .map(|candidate| (strsim::damerau_levenshtein(&word, &candidate.to_lowercase()), candidate))
        .min()?;
    (near.0 <= most).then(|| format!("did you mean \"{}\"?", near.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_has_a_remedy_and_another_word_has_none() {
        for (word, expected) in
            [("HTTPS", Some("https")), ("htps", Some("https")), ("ftp", Some("http")), ("quic", None)]
        {
            let expected = expected.map(|near| format!("did you mean \"{near}\"?"));
            assert_eq!(did_you_mean(word, ["http", "https"]), expected, "{word}");
        }
    }

    #[test]
    fn a_shown_url_holds_no_password() {
        for (text, shown) in [
            ("https://user:secret@a.example.com/x@y", "https://…@a.example.com/x@y"),
            ("https://a@b:c@d", "https://…@d"),
            ("https://a.example.com/@x", "https://a.example.com/@x"),
            ("team@example.com", "team@example.com"),
        ] {
            assert_eq!(without_credentials(text), shown);
        }
    }

    #[test]
    fn what_is_shown_fits_one_line() {
        let problem = Problem::new("/a\nERROR forged", ProblemKind::UnknownField, "unknown field");
        assert_eq!(problem.to_string(), "/a\\nERROR forged: unknown field");
        assert_eq!(shown("a\nb\u{1b}[31m"), "\"a\\nb\\u{1b}[31m\"");
        assert!(shown(&"x".repeat(1_000)).len() < 200);
    }
}
