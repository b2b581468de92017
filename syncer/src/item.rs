//! What stands in the registrations' store, before anybody has judged it.
//!
//! Owns one raw entry with the place where it was found. Must never know which kind of store that is.

use std::sync::Arc;

use postern_config::{Problem, ProblemKind};
use serde_json::Value;

use crate::limits;

/// One entry of the store. Kept as compact text, shared between copies: a hundred thousand of them as trees of values
/// would take ten times the memory.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it stands: a file with the place in it, or the key of a table's item.
    pub origin: Arc<str>,
    /// Why it is not a registration, found while reading.
    pub problems: Vec<Problem>,
    /// Whether it is unknown which registrations it stands for: a file that could not be read.
    pub opaque: bool,
    text: Arc<str>,
}

impl Item {
    /// An entry that could be read.
    pub fn readable(origin: &str, value: &Value) -> Self {
        Self::with_problems(origin, value, Vec::new())
    }

    /// An entry that could be read in part.
    pub fn with_problems(origin: &str, value: &Value, mut problems: Vec<Problem>) -> Self {
        if size_of(value) <= limits::ITEM_BYTES {
            problems.sort();
            return Self { origin: origin.into(), problems, opaque: false, text: value.to_string().into() };
        }
        let mut kept = serde_json::Map::new();
        for field in ["root", "name", "owner", "version"] {
            if let Some(value) = value.get(field).filter(|value| size_of(value) < 1_024) {
                kept.insert(field.to_owned(), value.clone());
            }
        }
        let problem = Problem::new("", ProblemKind::Limit, format!("is larger than {} bytes", limits::ITEM_BYTES))
            .hint("split it into several registrations");
        let text = Value::Object(kept).to_string().into();
        Self { origin: origin.into(), problems: vec![problem], opaque: false, text }
    }

    /// A file or other container that could not be read, so that nobody knows what is in it.
    pub fn opaque(origin: &str, problem: Problem) -> Self {
        Self { origin: origin.into(), problems: vec![problem], opaque: true, text: "null".into() }
    }

    /// What stands there, as far as it could be read.
    pub fn value(&self) -> Value {
        // It was written from a value; nothing else can have come in between.
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// `ROOT#NAME` as it is written there; the place when no root can be read.
    pub fn id(&self) -> String {
        let value = self.value();
        let id = match (value.get("root").and_then(Value::as_str), value.get("name")) {
            (Some(root), None) => format!("{root}#default"),
            (Some(root), Some(Value::String(name))) => format!("{root}#{name}"),
            (Some(root), Some(_)) => format!("{root}#"),
            (None, _) => self.origin.to_string(),
        };
        match id.char_indices().nth(limits::ID_CHARS) {
            Some((at, _)) => format!("{}…", &id[..at]),
            None => id,
        }
    }

    /// The owner as it is written there.
    pub fn owner(&self) -> Option<String> {
        self.value().get("owner").and_then(Value::as_str).map(str::to_owned)
    }

    /// The version as it is written there; zero when it cannot be read.
    pub fn version(&self) -> u64 {
        self.value().get("version").and_then(Value::as_u64).unwrap_or(0)
    }

    /// Bytes it takes, near enough for a bound.
    pub fn size(&self) -> usize {
        self.origin.len() + self.text.len()
    }
}

/// Bytes that a value takes as JSON, near enough for a bound.
fn size_of(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len() + 2,
        Value::Array(items) => 2 + items.iter().map(|item| size_of(item) + 1).sum::<usize>(),
        Value::Object(fields) => 2 + fields.iter().map(|(key, field)| key.len() + 4 + size_of(field)).sum::<usize>(),
        Value::Number(_) => 8,
        Value::Null | Value::Bool(_) => 5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn an_entry_is_named_by_what_can_be_read_of_it() {
        for (value, id) in [
            (json!({"root": "/a"}), "/a#default"),
            (json!({"root": "/a", "name": "x"}), "/a#x"),
            (json!({"root": "/a", "name": 7}), "/a#"),
            (json!({"root": 7, "name": "x"}), "a.yaml#0"),
            (json!("text"), "a.yaml#0"),
        ] {
            assert_eq!(Item::readable("a.yaml#0", &value).id(), id);
        }
        assert!(Item::readable("x", &json!({"root": "ä".repeat(9_999)})).id().chars().count() < 400);
    }

    #[test]
    fn an_entry_that_is_too_large_keeps_its_name() {
        let large = Item::readable("x", &json!({"root": "/a", "owner": "o", "junk": "j".repeat(limits::ITEM_BYTES)}));
        assert_eq!((large.id().as_str(), large.owner().as_deref(), large.problems.len()), ("/a#default", Some("o"), 1));
        assert!(large.size() < 1_000);
    }
}
