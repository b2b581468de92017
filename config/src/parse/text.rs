//! Text to values: JSON or YAML, read without repair and within bounds.
//!
//! Strict where YAML is generous: `yes` and `on` are words and no booleans, a key given twice, a merge key
//! or a tag nobody knows is an error, references are bounded so that no small file becomes a large one.
//! Must never know what the values are for.

use std::fmt;

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};
use serde_saphyr::{Error as YamlError, MergeKeyPolicy};

use crate::limits;
use crate::problem::{Problem, ProblemKind, shown};

/// Reads every document in `text`: JSON, or YAML with one or more documents. A YAML document that is
/// empty is left out.
///
/// # Errors
/// When the text is neither, gives a key twice, or nests deeper than [`limits::NESTING`].
pub fn values(text: &str) -> Result<Vec<Value>, Problem> {
    // Editors of some systems put a byte order mark in front; RFC 8259 §8.1 lets a reader ignore it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if !text.trim_start().starts_with(['{', '[']) {
        return yaml_values(text);
    }
    // JSON first: YAML readers accept it too, but name its mistakes in YAML's words.
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Unambiguous::default().deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    match value {
        Ok(value) => Ok(vec![value]),
        // A flow mapping such as {root: /a} is YAML and no JSON.
        Err(error) if error.is_syntax() && !is_meant_as_json(text) => yaml_values(text),
        Err(error) => Err(json_fault(&error)),
    }
}

/// Reads one document of JSON, with the same care as [`values`].
pub(crate) fn json_value(text: &str) -> Result<Value, serde_json::Error> {
    let mut reader = serde_json::Deserializer::from_str(text);
    let value = Unambiguous::default().deserialize(&mut reader)?;
    reader.end().map(|()| value)
}

/// Whether the first key is quoted, as in JSON: then its mistakes are told in JSON's words, and a comment
/// does not become part of a key as it would in YAML.
fn is_meant_as_json(text: &str) -> bool {
    text.trim_start_matches(|c: char| c.is_whitespace() || matches!(c, '{' | '[')).starts_with('"')
}

fn yaml_values(text: &str) -> Result<Vec<Value>, Problem> {
    let documents: Vec<Wrapped> =
        serde_saphyr::from_multiple_with_options(text, yaml_options()).map_err(|error| yaml_fault(&error))?;
    Ok(documents.into_iter().map(|Wrapped(value)| value).filter(|value| !value.is_null()).collect())
}

pub(super) fn yaml_options() -> serde_saphyr::Options {
    serde_saphyr::options! {
        budget: serde_saphyr::budget! {
            max_depth: limits::NESTING + 1,
            max_documents: limits::REGISTRATIONS,
            max_nodes: limits::YAML_NODES,
            max_events: 2 * limits::YAML_NODES,
            max_anchors: limits::YAML_REFERENCES,
            max_aliases: limits::YAML_REFERENCES,
            max_recorded_anchor_events: limits::YAML_REPEATED,
        },
        alias_limits: serde_saphyr::alias_limits! {
            max_total_replayed_events: limits::YAML_REPEATED,
        },
        // A merged mapping hides which of two values holds.
        merge_keys: MergeKeyPolicy::Error,
        strict_booleans: true,
        reject_unsupported_tags: true,
        // A tag must not turn what is written into another text.
        ignore_binary_tag_for_string: true,
        with_snippet: false,
        emit_comments: false,
    }
}

fn json_fault(error: &serde_json::Error) -> Problem {
    let text = error.to_string();
    let message = text.rsplit_once(" at line ").map_or(text.as_str(), |(message, _)| message);
    let hint = match message {
        "trailing comma" => "take the last comma out",
        "trailing characters" => "a JSON file holds one value; take out what stands behind it",
        _ if error.is_eof() => "the file ends too early; is it whole?",
        _ if message.ends_with("is given twice") => "keep one of the two",
        "expected value" | "key must be a string" => "JSON has no comments, and its texts stand in double quotes",
        _ => "write JSON or YAML",
    };
    located(error.line() as u64, error.column() as u64, message).hint(hint)
}

/// The words of the YAML reader, without its advice to programmers.
fn yaml_fault(error: &YamlError) -> Problem {
    let (line, column) = error.location().map_or((0, 0), |place| (place.line(), place.column()));
    let told = |message: &str, hint: &str| located(line, column, message).hint(hint);
    let error = match error.without_snippet() {
        // Seen through a reference.
        YamlError::AliasError { error, .. } => error.without_snippet(),
        other => other,
    };
    match error {
        YamlError::DuplicateMappingKey { key, .. } => {
            let key = key.as_deref().map_or_else(|| "a key".to_owned(), |key| format!("the key {}", shown(key)));
            told(&format!("{key} is given twice"), "keep one of the two")
        }
        YamlError::MergeKeyNotAllowed { .. } => {
            told("a merge key (<<) hides which value holds", "write the fields out")
        }
        YamlError::NullIntoString { .. } => told("a key is empty", "put a name in front of the colon"),
        YamlError::Unexpected { expected: "string scalar", .. } => {
            told("a key is a list or a mapping", "put text with { } [ ] or , in quotes")
        }
        YamlError::UnknownAnchor { .. } => {
            told("a text that begins with * stands for a reference, and there is none of that name", QUOTES)
        }
        YamlError::UnsupportedTag { tag, .. } => told(&format!("the tag {} is not known", shown(tag)), QUOTES),
        YamlError::NonFiniteFloat { value, .. } => told(&format!("{} is no finite number", shown(value)), QUOTES),
        YamlError::Budget { .. }
        | YamlError::AliasReplayLimitExceeded { .. }
        | YamlError::AliasExpansionLimitExceeded { .. }
        | YamlError::AliasReplayStackDepthExceeded { .. }
        | YamlError::AliasReplayCounterOverflow { .. } => Problem {
            kind: ProblemKind::Limit,
            ..told("the document is too large, too deep, or has too many references", "split the file")
        },
        _ => {
            let text = error.render();
            let first = text.lines().next().unwrap_or_default();
            // The reader says where by itself; we say it for all in one way.
            let message = first.trim_start_matches("error: ").trim_end_matches('.');
            let message = message.rsplit_once(" at line ").map_or(message, |(message, _)| message);
            told(message, hint_for(message))
        }
    }
}

fn hint_for(message: &str) -> &'static str {
    match message {
        _ if message.contains("tabs disallowed") => "indent with spaces",
        _ if message.contains("unexpected character") => QUOTES,
        _ if message.contains("mapping values are not allowed") => {
            "line the fields up, and put texts with a colon and a space in quotes"
        }
        _ => "write YAML or JSON",
    }
}

const QUOTES: &str = "put the text in quotes";

fn located(line: u64, column: u64, message: &str) -> Problem {
    let message = if line == 0 {
        format!("cannot be read: {message}")
    } else {
        format!("cannot be read: line {line}, column {column}: {message}")
    };
    Problem::new("", ProblemKind::Syntax, message)
}

/// A value read without repair: a key given twice is an error, not a choice.
#[derive(Default, Clone, Copy)]
struct Unambiguous {
    depth: usize,
}

struct Wrapped(Value);

impl<'de> serde::Deserialize<'de> for Wrapped {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Unambiguous::default().deserialize(deserializer).map(Self)
    }
}

impl<'de> DeserializeSeed<'de> for Unambiguous {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        if self.depth > limits::NESTING {
            return Err(de::Error::custom(format_args!("nested deeper than {} levels", limits::NESTING)));
        }
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Unambiguous {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: serde::Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::from(value))
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        Number::from_f64(value).map(Value::Number).ok_or_else(|| E::custom("a number that is none"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(Self { depth: self.depth + 1 })? {
            list.push(item);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(key) = fields.next_key::<String>()? {
            if map.contains_key(&key) {
                return Err(de::Error::custom(format_args!("the key {} is given twice", shown(&key))));
            }
            let value = fields.next_value_seed(Self { depth: self.depth + 1 })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}
