//! Native attributes to JSON and back: an item has the same fields as a document.
//!
//! What JSON has no word for (binary values, sets) is a problem of that item, with its place, and of no other.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use postern_config::problem::pointer_token;
use postern_config::{Problem, ProblemKind, limits};
use serde_json::{Map, Number, Value};

use crate::item::Item;

/// One item of the table.
pub(super) fn item(attributes: &HashMap<String, AttributeValue>) -> Item {
    let mut problems = Vec::new();
    let value = object(attributes, "", 0, &mut problems);
    Item::with_problems(&key_text(attributes), &value, problems)
}

/// One item of a table that only this product writes; what JSON has no word for is left to whoever reads the fields.
pub(super) fn value(attributes: &HashMap<String, AttributeValue>) -> Value {
    object(attributes, "", 0, &mut Vec::new())
}

/// The key of an item or a scan, as text.
pub(super) fn key_text(attributes: &HashMap<String, AttributeValue>) -> String {
    let text = |field: &str| match attributes.get(field) {
        Some(AttributeValue::S(text)) => text.clone(),
        Some(other) => format!("{other:?}"),
        None => String::new(),
    };
    format!("{}#{}", text("root"), text("name"))
}

fn object(attributes: &HashMap<String, AttributeValue>, at: &str, depth: usize, problems: &mut Vec<Problem>) -> Value {
    let mut map = Map::new();
    let mut keys: Vec<&String> = attributes.keys().collect();
    keys.sort();
    for key in keys {
        let place = format!("{at}/{}", pointer_token(key));
        map.insert(key.clone(), to_json(&attributes[key], &place, depth + 1, problems));
    }
    Value::Object(map)
}

fn to_json(attribute: &AttributeValue, at: &str, depth: usize, problems: &mut Vec<Problem>) -> Value {
    if depth > limits::NESTING {
        problems.push(Problem::new(
            at,
            ProblemKind::Limit,
            format!("is nested deeper than {} levels", limits::NESTING),
        ));
        return Value::String("…".to_owned());
    }
    let mut odd = |what: &str, remedy: &str| {
        problems.push(Problem::new(at, ProblemKind::WrongType, format!("is {what}")).hint(remedy));
        Value::String("…".to_owned())
    };
    match attribute {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::Bool(value) => Value::Bool(*value),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::N(digits) => match number(digits) {
            Some(number) => Value::Number(number),
            None => odd("a number that JSON cannot hold", "write a whole number"),
        },
        AttributeValue::L(items) => Value::Array(
            items
                .iter()
                .enumerate()
                .map(|(index, item)| to_json(item, &format!("{at}/{index}"), depth + 1, problems))
                .collect(),
        ),
        AttributeValue::M(fields) => object(fields, at, depth, problems),
        AttributeValue::B(_) => odd("a binary value", "write it as a string"),
        AttributeValue::Ss(_) | AttributeValue::Ns(_) | AttributeValue::Bs(_) => odd("a set", "write it as a list"),
        _ => odd("of a type not known here", "write strings, numbers, booleans, lists and maps"),
    }
}

/// DynamoDB's numbers are decimals; documents hold whole ones.
fn number(digits: &str) -> Option<Number> {
    if let Ok(whole) = digits.parse::<u64>() {
        return Some(whole.into());
    }
    if let Ok(whole) = digits.parse::<i64>() {
        return Some(whole.into());
    }
    digits.parse::<f64>().ok().and_then(Number::from_f64)
}

/// A document as an item.
pub(super) fn from_json(value: &Value) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(value) => AttributeValue::Bool(*value),
        Value::Number(number) => AttributeValue::N(number.to_string()),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Array(items) => AttributeValue::L(items.iter().map(from_json).collect()),
        Value::Object(fields) => AttributeValue::M(fields_of(fields)),
    }
}

/// The fields of a document as attributes.
pub(super) fn fields_of(fields: &Map<String, Value>) -> HashMap<String, AttributeValue> {
    fields.iter().map(|(key, value)| (key.clone(), from_json(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_document_is_the_same_behind_the_table() {
        let document = json!({"root": "/a", "version": 7, "list": [1, -2, "x", true], "map": {"a": {"b": "c"}}});
        let Value::Object(fields) = &document else { panic!() };
        let back = item(&fields_of(fields));
        assert_eq!((back.value(), back.problems), (document, Vec::new()));
    }

    #[test]
    fn what_json_cannot_say_is_a_problem_with_its_place() {
        use aws_sdk_dynamodb::primitives::Blob;
        let attributes = HashMap::from([
            ("root".to_owned(), AttributeValue::S("/a".to_owned())),
            ("bytes".to_owned(), AttributeValue::B(Blob::new(vec![0xff]))),
            ("set".to_owned(), AttributeValue::L(vec![AttributeValue::Ss(vec!["x".to_owned()])])),
            ("n".to_owned(), AttributeValue::N("1e400".to_owned())),
        ]);
        let item = item(&attributes);
        let places: Vec<&str> = item.problems.iter().map(|problem| problem.at.as_str()).collect();
        assert_eq!(places, ["/bytes", "/n", "/set/0"]);
        assert_eq!(item.id(), "/a#default");
    }

    #[test]
    fn a_deep_item_ends_at_the_bound() {
        let mut deep = AttributeValue::S("x".to_owned());
        for _ in 0..500 {
            deep = AttributeValue::L(vec![deep]);
        }
        assert_eq!(item(&HashMap::from([("a".to_owned(), deep)])).problems.len(), 1);
    }
}
