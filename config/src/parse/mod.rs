//! Bytes to documents: YAML or JSON in, every problem of the document at once out.
//!
//! The quick way is the one through serde. Only when it fails is the same value held against the
//! schema made from the same types, which names every defect and not just the first.

mod places;
#[cfg(test)]
mod tests;
mod text;

pub use places::{Place, Places};
pub(crate) use text::json_value;
pub use text::values;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::problem::{Problem, ProblemKind, Problems, pointer_token};
use crate::schema::Checker;

/// Turns one value into a document.
///
/// # Errors
/// Every defect, each with its place.
pub fn document<T: DeserializeOwned>(value: &Value, checker: &Checker) -> Result<T, Problems> {
    let empty = empty_fields(value);
    if empty.is_empty() {
        match serde_path_to_error::deserialize::<_, T>(value) {
            Ok(document) => return Ok(document),
            Err(error) => {
                let found = checker.problems(value);
                return Err(if found.is_empty() { Problems::from(by_serde(&error)) } else { Problems(found) });
            }
        }
    }
    let mut found = checker.problems(value);
    // The schema has its own words for a field without a value; ours come with the remedy.
    found.retain(|problem| !empty.iter().any(|one| one.at == problem.at));
    found.extend(empty);
    found.sort();
    Err(Problems(found))
}

/// A field with nothing behind it is a slip that reads as "no demand": it is refused everywhere.
fn empty_fields(value: &Value) -> Vec<Problem> {
    fn walk(value: &Value, at: &str, found: &mut Vec<Problem>) {
        match value {
            Value::Null => found.push(
                Problem::new(at, ProblemKind::WrongType, "has no value").hint("give it a value, or take the line out"),
            ),
            Value::Array(items) => {
                items.iter().enumerate().for_each(|(index, item)| walk(item, &format!("{at}/{index}"), found));
            }
            Value::Object(fields) => {
                fields.iter().for_each(|(key, field)| walk(field, &format!("{at}/{}", pointer_token(key)), found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(value, "", &mut found);
    found
}

fn by_serde(error: &serde_path_to_error::Error<serde_json::Error>) -> Problem {
    let at: String = error
        .path()
        .iter()
        .filter_map(|segment| match segment {
            serde_path_to_error::Segment::Seq { index } => Some(format!("/{index}")),
            serde_path_to_error::Segment::Map { key } => Some(format!("/{}", pointer_token(key))),
            _ => None,
        })
        .collect();
    Problem::new(at, ProblemKind::Invalid, error.inner().to_string())
}
