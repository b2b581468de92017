//! What stands in the registrations' store, before anybody has judged it.
//!
//! Owns one raw entry with the place where it was found. Must never know which kind of store that is.

use postern_config::{Problem, ProblemKind};
use serde_json::Value;

use crate::limits;

/// One entry of the store.
#[derive(Debug, Clone, PartialEq)]
pub struct Item {
    /// Where it stands: a file with the place in it, or the key of a table's item.
    pub origin: String,
    /// What stands there, as far as it could be read.
    pub value: Value,
    /// Why it is not a registration, found while reading.
    pub problems: Vec<Problem>,
    /// Whether it is unknown which registrations it stands for: a file that could not be read.
    pub opaque: bool,
}

impl Item {
    /// An entry that could be read.
    pub fn readable(origin: impl Into<String>, value: Value) -> Self {
        Self { origin: origin.into(), value, problems: Vec::new(), opaque: false }.bounded()
    }

    /// A file or other container that could not be read, so that nobody knows what is in it.
    pub fn opaque(origin: impl Into<String>, problem: Problem) -> Self {
        Self { origin: origin.into(), value: Value::Null, problems: vec![problem], opaque: true }
    }

    /// `ROOT#NAME` as it is written there; the place when no root can be read.
    pub fn id(&self) -> String {
        let text = |field: &str| self.value.get(field).and_then(Value::as_str);
        let id = match (text("root"), self.value.get("name")) {
            (Some(root), None) => format!("{root}#default"),
            (Some(root), Some(Value::String(name))) => format!("{root}#{name}"),
            (Some(root), Some(_)) => format!("{root}#"),
            (None, _) => self.origin.clone(),
        };
        match id.char_indices().nth(limits::ID_CHARS) {
            Some((at, _)) => format!("{}…", &id[..at]),
            None => id,
        }
    }

    /// The owner as it is written there.
    pub fn owner(&self) -> Option<&str> {
        self.value.get("owner").and_then(Value::as_str)
    }

    /// The version as it is written there; zero when it cannot be read.
    pub fn version(&self) -> u64 {
        self.value.get("version").and_then(Value::as_u64).unwrap_or(0)
    }

    /// The same entry with its value taken out when it is too large, all but what identifies it.
    #[must_use]
    pub fn bounded(mut self) -> Self {
        let size = size_of(&self.value);
        if size <= limits::ITEM_BYTES {
            return self;
        }
        let mut kept = serde_json::Map::new();
        for field in ["root", "name", "owner", "version"] {
            if let Some(value) = self.value.get(field).filter(|value| size_of(value) < 1_024) {
                kept.insert(field.to_owned(), value.clone());
            }
        }
        self.value = Value::Object(kept);
        self.problems = vec![
            Problem::new("", ProblemKind::Limit, format!("is larger than {} bytes", limits::ITEM_BYTES))
                .hint("split it into several registrations"),
        ];
        self
    }

    /// Bytes it takes, near enough for a bound.
    pub fn size(&self) -> usize {
        self.origin.len() + size_of(&self.value)
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
            assert_eq!(Item::readable("a.yaml#0", value).id(), id);
        }
        assert!(Item::readable("x", json!({"root": "ä".repeat(9_999)})).id().chars().count() < 400);
    }

    #[test]
    fn an_entry_that_is_too_large_keeps_its_name() {
        let large = Item::readable("x", json!({"root": "/a", "owner": "o", "junk": "j".repeat(limits::ITEM_BYTES)}));
        assert_eq!((large.id().as_str(), large.owner(), large.problems.len()), ("/a#default", Some("o"), 1));
        assert!(large.size() < 1_000);
    }
}
