//! `check`: every problem of a document or a merged file, each where it stands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use postern_config::document::{BoundaryDocument, Registration};
use postern_config::merged::{self, MergedError};
use postern_config::parse::{self, Place, Places};
use postern_config::{Boundary, Problem, schema};
use serde_json::{Value, json};

use super::{FOUND_PROBLEMS, Output, WRONG_USAGE, read};

#[derive(Args)]
pub(super) struct Check {
    /// A merged file, a boundary, or registrations; - for standard input
    file: PathBuf,
    /// How problems are written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// One thing that is wrong, as it is printed.
#[derive(serde::Serialize)]
struct Finding {
    document: String,
    at: String,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    hint: Option<String>,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    place: Option<Place>,
    /// The line that is meant.
    #[serde(skip)]
    excerpt: Option<String>,
}

pub(super) fn run(check: &Check) -> ExitCode {
    let bytes = match read(&check.file) {
        Ok(bytes) => bytes,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let (kind, findings) = findings(&bytes);
    match check.output {
        Output::Json => println!("{}", json!({"kind": kind, "problems": findings})),
        Output::Text if findings.is_empty() => println!("{}: a {kind} without problems", check.file.display()),
        Output::Text => findings.iter().for_each(|finding| println!("{}", finding.to_text(&check.file))),
    }
    if findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_PROBLEMS) }
}

impl Finding {
    /// About the whole of it.
    fn whole(document: &str, message: String) -> Self {
        Self { document: document.to_owned(), at: String::new(), message, hint: None, place: None, excerpt: None }
    }

    /// A problem of the document at this place of a text; `inside` is where the document stands in it.
    fn of(document: &str, problem: &Problem, places: &Places<'_>, index: usize, inside: &str) -> Self {
        let place = places.find(index, &problem.clone().under(inside));
        Self {
            document: document.to_owned(),
            at: problem.at.clone(),
            message: problem.message.clone(),
            hint: problem.hint.clone(),
            place,
            excerpt: place.and_then(|place| places.excerpt(place)),
        }
    }

    fn to_text(&self, file: &std::path::Path) -> String {
        let at = if self.at.is_empty() { "the document" } else { &self.at };
        let hint = self.hint.as_ref().map_or_else(String::new, |hint| format!(" ({hint})"));
        let mut text = format!("{}: {at}: {}{hint}", self.document, self.message);
        if let Some(Place { line, column }) = self.place {
            text.push_str(&format!("\n  --> {}:{line}:{column}", file.display()));
        }
        for line in self.excerpt.iter().flat_map(|excerpt| excerpt.lines()) {
            text.push_str(&format!("\n   {line}"));
        }
        text
    }
}

/// What kind of document the bytes are, and all that is wrong with it.
fn findings(bytes: &[u8]) -> (&'static str, Vec<Finding>) {
    let whole = |kind: &'static str, message: String| (kind, vec![Finding::whole(kind, message)]);
    match merged::read(bytes, None) {
        Ok(reading) => {
            let aside = |one: &merged::Quarantined| Finding::whole(&one.id, one.why.clone());
            return ("merged file", reading.quarantined.iter().map(aside).collect());
        }
        Err(MergedError::NoDigest) if !looks_merged(bytes) => {}
        Err(error) => return whole("merged file", error.to_string()),
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return whole("document", "is not UTF-8 text".to_owned()) };
    let values = match parse::values(text) {
        Ok(values) => values,
        // It says line and column by itself.
        Err(problem) => return whole("document", with_hint(&problem)),
    };
    let is_boundary = values.iter().any(|value| {
        value.get("kind").and_then(|kind| kind.as_str()) == Some("Boundary")
            || (value.get("destinations").is_some() && value.get("hosts").is_some() && value.get("root").is_none())
    });
    match is_boundary {
        true => ("boundary", check_boundaries(&values, text)),
        false => ("registration", check_registrations(&values, text)),
    }
}

fn with_hint(problem: &Problem) -> String {
    problem.hint.as_ref().map_or_else(|| problem.message.clone(), |hint| format!("{} ({hint})", problem.message))
}

fn looks_merged(bytes: &[u8]) -> bool {
    let head = &bytes[..bytes.len().min(200)];
    head.windows(merged::KIND.len()).any(|window| window == merged::KIND.as_bytes())
}

fn check_boundaries(values: &[Value], text: &str) -> Vec<Finding> {
    let problems = values.iter().enumerate().flat_map(|(index, value)| {
        let checked = parse::document::<BoundaryDocument>(value, schema::boundary()).and_then(Boundary::check);
        let problems = checked.err().map(|problems| problems.0).unwrap_or_default();
        problems.into_iter().map(move |problem| (index, problem))
    });
    let problems: Vec<_> = problems.collect();
    let places = places(text, problems.is_empty());
    problems.iter().map(|(index, problem)| Finding::of("boundary", problem, &places, *index, "")).collect()
}

fn check_registrations(values: &[Value], text: &str) -> Vec<Finding> {
    let mut problems = Vec::new();
    let mut number = 0;
    for (index, value) in values.iter().enumerate() {
        let list: Vec<(String, &Value)> = match value {
            Value::Array(items) => items.iter().enumerate().map(|(at, item)| (format!("/{at}"), item)).collect(),
            one => vec![(String::new(), one)],
        };
        for (inside, value) in list {
            let root = value.get("root").and_then(|root| root.as_str());
            let name = root.map_or_else(|| format!("registration {number}"), str::to_owned);
            number += 1;
            if let Err(found) = parse::document::<Registration>(value, schema::registration()) {
                problems.extend(found.0.into_iter().map(|problem| (name.clone(), index, inside.clone(), problem)));
            }
        }
    }
    let places = places(text, problems.is_empty());
    let finding = |(name, index, inside, problem): &(String, usize, String, Problem)| {
        Finding::of(name, problem, &places, *index, inside)
    };
    problems.iter().map(finding).collect()
}

/// Only read when there is something to point at.
fn places(text: &str, nothing: bool) -> Places<'_> {
    Places::of(if nothing { "" } else { text })
}
