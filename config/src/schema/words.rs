//! What a validator's error means to the person who wrote the document.
//!
//! Owns the wording. Must never show a value that stands where a secret belongs.

use jsonschema::ValidationError;
use jsonschema::error::{TypeKind, ValidationErrorKind};
use serde_json::Value;

use crate::problem::{Problem, ProblemKind, did_you_mean, pointer_token, shown, without_credentials};
use crate::value::check_format;

/// The problems that one error stands for.
pub(super) fn of(schema: &Value, error: &ValidationError<'_>) -> Vec<Problem> {
    let at = error.instance_path().as_str().to_owned();
    let instance = error.instance();
    let keyword = error.schema_path().as_str();
    let problem = match error.kind() {
        ValidationErrorKind::AdditionalProperties { unexpected } => {
            let known = properties_beside(schema, keyword);
            return unexpected.iter().map(|field| unknown_field(&at, field, &known)).collect();
        }
        ValidationErrorKind::Required { property } => {
            missing(schema, at, keyword, property.as_str().unwrap_or_default(), instance)
        }
        ValidationErrorKind::Type { kind } => wrong_type(schema, at, keyword, instance, kind),
        ValidationErrorKind::Format { format } => wrong_format(at, format, instance, error),
        ValidationErrorKind::PropertyNames { error: inner } => {
            let name = inner.instance().as_str().unwrap_or_default().to_owned();
            let at = format!("{at}/{}", pointer_token(&name));
            match inner.kind() {
                ValidationErrorKind::Format { format } => wrong_format(at, format, inner.instance(), inner),
                _ => Problem::new(at, ProblemKind::Invalid, inner.to_string()),
            }
        }
        ValidationErrorKind::Enum { options } => {
            not_among(at, instance, options.as_array().map_or(&[][..], Vec::as_slice))
        }
        ValidationErrorKind::Constant { expected_value } => {
            not_among(at, instance, std::slice::from_ref(&**expected_value))
        }
        ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
            one_of(schema, at, keyword, instance)
        }
        ValidationErrorKind::Minimum { limit } => {
            Problem::new(at, ProblemKind::Invalid, format!("{} is less than {limit}", found(instance)))
        }
        ValidationErrorKind::Maximum { limit } => {
            Problem::new(at, ProblemKind::Invalid, format!("{} is more than {limit}", found(instance)))
        }
        ValidationErrorKind::Custom { keyword, message } if keyword == super::DISTINCT => {
            Problem::new(at, ProblemKind::Duplicate, message.clone())
                .hint("the case of a name does not matter: keep one")
        }
        ValidationErrorKind::Custom { message, .. } => {
            Problem::new(at, ProblemKind::WrongType, format!("{} {message}", found(instance)))
        }
        _ => Problem::new(at, ProblemKind::Invalid, error.to_string()),
    };
    vec![problem]
}

fn unknown_field(at: &str, field: &str, known: &[String]) -> Problem {
    if at.ends_with("/policies") && PLANNED.contains(&field) {
        let message = "is a policy that is not available in this release";
        return Problem::new(format!("{at}/{field}"), ProblemKind::Unsupported, message)
            .hint(format!("take it out; known here: {}", known.join(", ")));
    }
    let hint = did_you_mean(field, known.iter().map(String::as_str))
        .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
    Problem::new(format!("{at}/{}", pointer_token(field)), ProblemKind::UnknownField, "unknown field").hint(hint)
}

/// Policies that the design names. Once one is a field, this list no longer matters for it.
const PLANNED: [&str; 13] = [
    "concurrency", "retry", "balance", "cache", "mirror", "cors", "compression", "request_headers", "response_headers",
    "transcode", "graphql", "websocket", "telemetry",
];

fn missing(schema: &Value, at: String, keyword: &str, field: &str, instance: &Value) -> Problem {
    let problem = Problem::new(at, ProblemKind::Missing, format!("the field \"{field}\" is missing"));
    // A slip in its name is told by itself as well; the two together are one finding.
    if let Some(near) = instance.as_object().and_then(|fields| near_miss(schema, keyword, field, fields)) {
        return problem.hint(format!("is {} meant for it?", shown(near)));
    }
    match example_beside(schema, keyword, field) {
        Some(example) => problem.hint(format!("e.g. {field}: {example}")),
        None => problem,
    }
}

/// A field that nobody knows and whose name is near to the one that is missing.
fn near_miss<'a>(
    schema: &Value,
    keyword: &str,
    field: &str,
    fields: &'a serde_json::Map<String, Value>,
) -> Option<&'a str> {
    let known = properties_beside(schema, keyword);
    let mut unknown = fields.keys().map(String::as_str).filter(|name| !known.iter().any(|one| one == name));
    unknown.find(|name| did_you_mean(name, [field]).is_some())
}

fn wrong_type(schema: &Value, at: String, keyword: &str, instance: &Value, kind: &TypeKind) -> Problem {
    let wanted: Vec<String> = match kind {
        TypeKind::Single(kind) => vec![kind.to_string()],
        TypeKind::Multiple(kinds) => kinds.iter().map(|kind| kind.to_string()).collect(),
    };
    let named: Vec<&str> = wanted.iter().map(|kind| in_words(kind)).collect();
    let value = if may_be_secret(&at) { "the value".to_owned() } else { found(instance) };
    let problem = Problem::new(at, ProblemKind::WrongType, format!("{value} is not {}", named.join(" or ")));
    let wants = |kind: &str| wanted.iter().any(|one| one == kind);
    match instance {
        Value::Number(_) | Value::Bool(_) if wants("string") => {
            match parent(schema, keyword).and_then(|parent| parent.get("examples")?.get(0)?.as_str()) {
                Some(example) if instance.is_number() => problem.hint(format!("write a text, e.g. {example}")),
                _ => problem.hint("put it in quotes"),
            }
        }
        Value::String(text) if wants("integer") && text.parse::<u64>().is_ok() => problem.hint("take the quotes away"),
        Value::String(text) if wants("boolean") => match text.to_ascii_lowercase().as_str() {
            "yes" | "on" | "y" => problem.hint("write true"),
            "no" | "off" | "n" => problem.hint("write false"),
            _ => problem.hint("write true or false"),
        },
        Value::String(_) | Value::Number(_) | Value::Object(_) if wants("array") => {
            problem.hint("write a list, even of one: [ … ]")
        }
        Value::Array(items) if items.len() == 1 && (items[0].is_object() == wants("object")) => {
            problem.hint("take the brackets, or the dash, away")
        }
        Value::String(_) | Value::Array(_) if wants("object") => {
            let names = parent(schema, keyword).and_then(|parent| parent.get("properties")?.as_object());
            let names: Vec<&str> = names.into_iter().flat_map(|fields| fields.keys().map(String::as_str)).collect();
            let slip = instance.as_str().and_then(|text| text.split_once(':')).map(|(field, _)| field);
            match slip {
                Some(field) if names.contains(&field) => {
                    problem.hint(format!("put a space behind the colon, as in {field}: …"))
                }
                _ if names.is_empty() => problem.hint("write fields with their values, as in name: value"),
                _ => problem.hint(format!("known here: {}", names.join(", "))),
            }
        }
        _ => problem,
    }
}

fn in_words(kind: &str) -> &str {
    match kind {
        "string" => "a text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a mapping",
        other => other,
    }
}

fn wrong_format(at: String, format: &str, instance: &Value, error: &ValidationError<'_>) -> Problem {
    let text = instance.as_str().unwrap_or_default();
    match check_format(format, text) {
        Some(Err(fault)) => {
            let message = format!("{} {fault}", shown(&without_credentials(text)));
            let problem = Problem::new(at, ProblemKind::Invalid, message);
            match fault.hint {
                Some(hint) => problem.hint(hint),
                None => problem,
            }
        }
        _ => Problem::new(at, ProblemKind::Invalid, error.to_string()),
    }
}

fn not_among(at: String, instance: &Value, options: &[Value]) -> Problem {
    let names: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
    let hint = instance
        .as_str()
        .and_then(|text| did_you_mean(text, names.iter().copied()))
        .unwrap_or_else(|| format!("write {}", names.join(" or ")));
    Problem::new(at, ProblemKind::Invalid, format!("{} is not known here", found(instance))).hint(hint)
}

/// A choice between words, of which some may be fields that hold more.
fn one_of(schema: &Value, at: String, keyword: &str, instance: &Value) -> Problem {
    let options = resolve(schema, keyword).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let mut words = Vec::new();
    let mut fields = Vec::new();
    for option in options {
        words.extend(option.get("const").and_then(Value::as_str));
        words.extend(option.get("enum").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str));
        fields.extend(option.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str));
    }
    let all = || {
        let written = words.iter().map(|word| (*word).to_owned());
        written.chain(fields.iter().map(|field| format!("{{{field}: …}}"))).collect::<Vec<_>>().join(", or ")
    };
    match instance {
        Value::String(text) => {
            let hint = match fields.iter().find(|field| *field == text) {
                Some(field) => format!("write {{{field}: …}}"),
                None => did_you_mean(text, words.iter().copied()).unwrap_or_else(|| format!("write {}", all())),
            };
            Problem::new(at, ProblemKind::Invalid, format!("{} is not known here", shown(text))).hint(hint)
        }
        Value::Object(given) if !fields.is_empty() => match given.keys().find(|key| !fields.contains(&key.as_str())) {
            Some(key) => {
                let hint = did_you_mean(key, fields.iter().copied()).unwrap_or_else(|| format!("write {}", all()));
                Problem::new(format!("{at}/{}", pointer_token(key)), ProblemKind::UnknownField, "unknown field")
                    .hint(hint)
            }
            None => {
                let message =
                    if given.len() == 1 { "does not hold a text" } else { "holds more or less than one choice" };
                Problem::new(at, ProblemKind::Invalid, message).hint(format!("write {}", all()))
            }
        },
        other => Problem::new(at, ProblemKind::WrongType, format!("{} is not known here", found(other)))
            .hint(format!("write {}", all())),
    }
}

/// The names of the fields that are known where `additionalProperties` refused one.
fn properties_beside(schema: &Value, keyword: &str) -> Vec<String> {
    parent(schema, keyword)
        .and_then(|parent| parent.get("properties")?.as_object())
        .map(|fields| fields.keys().cloned().collect())
        .unwrap_or_default()
}

fn example_beside(schema: &Value, keyword: &str, field: &str) -> Option<String> {
    let own = parent(schema, keyword)?.get("properties")?.get(field)?;
    let target = match own.get("$ref").and_then(Value::as_str) {
        Some(reference) => schema.pointer(reference.strip_prefix('#')?)?,
        None => own,
    };
    match target.get("examples").and_then(|examples| examples.get(0)).or_else(|| only_choice(target)) {
        Some(example) => example.as_str().map(str::to_owned),
        None if target.get("type")? == "array" => Some("[ … ]".to_owned()),
        None => None,
    }
}

fn only_choice(target: &Value) -> Option<&Value> {
    match target.get("oneOf")?.as_array()?.as_slice() {
        [only] => only.get("const"),
        _ => None,
    }
}

/// The schema that a keyword belongs to.
fn parent<'a>(schema: &'a Value, keyword: &str) -> Option<&'a Value> {
    resolve(schema, keyword.rsplit_once('/')?.0)
}

/// Follows a path of keywords through the schema, over references.
fn resolve<'a>(schema: &'a Value, path: &str) -> Option<&'a Value> {
    let mut at = schema;
    for token in path.split('/').skip(1) {
        if token == "$ref" {
            let reference = at.get("$ref")?.as_str()?;
            at = schema.pointer(reference.strip_prefix('#')?)?;
            continue;
        }
        let token = token.replace("~1", "/").replace("~0", "~");
        at = match at {
            Value::Array(items) => items.get(token.parse::<usize>().ok()?)?,
            _ => at.get(&token)?,
        };
    }
    Some(at)
}

/// Whether people write secrets, or halves of them, into this field.
fn may_be_secret(at: &str) -> bool {
    matches!(at.rsplit('/').next(), Some("hash" | "k" | "d" | "pepper" | "digest"))
}

fn found(instance: &Value) -> String {
    match instance {
        Value::String(text) => shown(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        other => other.to_string(),
    }
}
