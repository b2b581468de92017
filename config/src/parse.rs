//! Bytes to documents: YAML or JSON in, every problem of the document at once out.
//!
//! The quick way is the one through serde. Only when it fails is the same value held against the
//! schema made from the same types, which names every defect and not just the first.

use std::fmt;

use serde::de::{self, DeserializeOwned, DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::limits;
use crate::problem::{Problem, ProblemKind, Problems, pointer_token};
use crate::schema::Checker;

/// Reads every document in `text`: JSON, or YAML with one or more documents. A YAML document that is
/// empty is left out.
///
/// # Errors
/// When the text is neither, gives a key twice, or nests deeper than [`limits::NESTING`].
pub fn values(text: &str) -> Result<Vec<Value>, Problem> {
    // JSON first: YAML readers accept it too, but name its mistakes in YAML's words.
    if text.trim_start().starts_with(['{', '[']) {
        let mut reader = serde_json::Deserializer::from_str(text);
        let value = Unambiguous::default().deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
        match value {
            Ok(value) => return Ok(vec![value]),
            // A flow mapping such as {root: /a} is YAML and no JSON.
            Err(error) if serde_json::from_str::<de::IgnoredAny>(text).is_ok() => return Err(syntax(&error)),
            Err(json_error) => return yaml_values(text).map_err(|_| syntax(&json_error)),
        }
    }
    yaml_values(text)
}

fn yaml_values(text: &str) -> Result<Vec<Value>, Problem> {
    let documents: Vec<Wrapped> = serde_saphyr::from_multiple(text).map_err(|error| syntax(&error))?;
    Ok(documents.into_iter().map(|Wrapped(value)| value).filter(|value| !value.is_null()).collect())
}

fn syntax(error: &dyn fmt::Display) -> Problem {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default().trim_end_matches('.').to_owned();
    Problem::new("", ProblemKind::Syntax, format!("cannot be read: {first}")).hint("write YAML or JSON")
}

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
                return Err(de::Error::custom(format_args!("the key {} is given twice", crate::problem::shown(&key))));
            }
            let value = fields.next_value_seed(Self { depth: self.depth + 1 })?;
            map.insert(key, value);
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::document::{BoundaryDocument, Registration};
    use crate::schema;

    fn problems(text: &str) -> Vec<String> {
        let value = values(text).unwrap().remove(0);
        match document::<Registration>(&value, schema::registration()) {
            Ok(_) => Vec::new(),
            Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
        }
    }

    #[test]
    fn every_problem_is_told_at_once_with_its_place_and_remedy() {
        let found = problems(
            "root: /orders/\nowner: 7\nmatch: {hosts: ['a b', ok.example.com], method: [GET]}\n\
             destination: {url: 'ftp://x', weigth: 3}\npolicies: {timeouts: {connect: 5}, authentication: {any_of: [jwt]}}\n",
        );
        let all = found.join("\n");
        for expected in [
            "/root: \"/orders/\" ends with a slash (write /orders)",
            "/owner: ",
            "/match/hosts/0: \"a b\" has a character that no host name has",
            "/match/method: unknown field (did you mean \"methods\"?)",
            "/destination/url: \"ftp://x\" does not begin with https:// or http://",
            "/destination/weigth: unknown field (did you mean \"weight\"?)",
            "/policies/timeouts/connect: ",
            "/policies/authentication/any_of/0: \"jwt\" is no way to authenticate",
        ] {
            assert!(all.contains(expected), "{expected}\nin\n{all}");
        }
        assert_eq!(found.len(), 8, "{all}");
    }

    #[test]
    fn a_field_without_a_value_is_not_a_field_left_out() {
        let found = problems(
            "root: /orders\nowner: team\ndestination: {url: https://a.example.com}\npolicies:\n  authentication:\n",
        );
        assert_eq!(found, ["/policies/authentication: has no value (give it a value, or take the line out)"]);
    }

    #[test]
    fn a_missing_field_is_named() {
        let found = problems("root: /orders\n");
        assert_eq!(found, ["the document: the field \"owner\" is missing (e.g. owner: team-orders)"]);
    }

    #[test]
    fn a_key_given_twice_is_refused_in_both_formats() {
        for text in ["{\"a\": 1, \"a\": 2}", "a: 1\na: 2\n", "{a: 1, a: 2}", "{\"x\": {\"a\": 1, \"a\": 2}}"] {
            assert_eq!(values(text).unwrap_err().kind, ProblemKind::Syntax, "{text}");
        }
    }

    #[test]
    fn odd_texts_are_problems_and_no_panics() {
        let deep = "[".repeat(100_000);
        let wide = format!("{}{}", "[".repeat(40), "]".repeat(40));
        for text in
            ["{", "{\"a\":", "a: [", "\u{0}", "a: &x [*x]", "a: *nope", &deep, &wide, "{\"a\":1}}", "%", "- - -\n-: :"]
        {
            let _ = values(text).map(|values| assert!(values.len() < 3));
        }
        assert!(values(&deep).is_err() && values(&wide).is_err());
        assert_eq!(values("").unwrap(), Vec::<Value>::new());
        assert_eq!(values("---\na: 1\n---\nb: 2\n").unwrap().len(), 2);
    }

    #[test]
    fn a_boundary_is_read_from_both_formats() {
        let yaml = "apiVersion: postern/v1\nkind: Boundary\nhosts: [api.example.com]\ndestinations:\n  - name: a\n    hosts: [a.internal.example.com]\n";
        let from_yaml = values(yaml).unwrap().remove(0);
        let json = serde_json::to_string(&from_yaml).unwrap();
        let from_json = values(&json).unwrap().remove(0);
        assert_eq!(from_yaml, from_json);
        document::<BoundaryDocument>(&from_json, schema::boundary()).unwrap();
    }
}
