//! JSON Schemas, made from the document types, and the checker that finds every defect with them.

use std::sync::OnceLock;

use jsonschema::error::{TypeKind, ValidationErrorKind};
use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::document::{BoundaryDocument, Destination, Registration};
use crate::problem::{Problem, ProblemKind, did_you_mean, pointer_token, shown};
use crate::route::Route;
use crate::value::check_format;

/// Finds every structural defect of a value.
pub struct Checker {
    validator: jsonschema::Validator,
    schema: Value,
}

/// The checker of boundary documents.
pub fn boundary() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<BoundaryDocument>)
}

/// The checker of registrations.
pub fn registration() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<Registration>)
}

/// The checker of the merged file's routes.
pub(crate) fn route() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<Route>)
}

/// The checker of the merged file's destinations.
pub(crate) fn destination() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<Destination>)
}

/// The schema of a document type, as it is kept in `config/schema/`.
pub fn schema_of<T: JsonSchema>() -> Value {
    let mut generator = SchemaSettings::draft2020_12()
        .with_transform(RecursiveTransform(without_null as fn(&mut Schema)))
        .into_generator();
    let mut schema = generator.root_schema_for::<T>();
    without_null(&mut schema);
    schema.into()
}

/// A field that may be left out may not be `null`: see `parse`.
fn without_null(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else { return };
    if let Some(Value::Array(kinds)) = object.get_mut("type") {
        kinds.retain(|kind| kind != "null");
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            object.insert("type".into(), only);
        }
    }
    if object.get("default") == Some(&Value::Null) {
        object.remove("default");
    }
    let Some(Value::Array(options)) = object.get_mut("anyOf") else { return };
    options.retain(|option| option.get("type") != Some(&Value::from("null")));
    if options.len() == 1 {
        let only = options.remove(0);
        object.remove("anyOf");
        if let Value::Object(fields) = only {
            object.extend(fields);
        }
    }
}

impl Checker {
    fn of<T: JsonSchema>() -> Self {
        let schema = schema_of::<T>();
        let mut options = jsonschema::options().should_validate_formats(true);
        for format in formats(&schema) {
            let name = format.clone();
            options = options.with_format(format, move |text: &str| !matches!(check_format(&name, text), Some(Err(_))));
        }
        #[allow(clippy::expect_used, reason = "made from our own types; a test builds every one")]
        let validator = options.build(&schema).expect("schemas made from document types are valid");
        Self { validator, schema }
    }

    /// Every structural defect of `value`, in the order of their places.
    pub fn problems(&self, value: &Value) -> Vec<Problem> {
        let mut found: Vec<Problem> =
            self.validator.iter_errors(value).flat_map(|error| self.translate(&error)).collect();
        found.sort();
        found.dedup();
        found
    }

    fn translate(&self, error: &jsonschema::ValidationError<'_>) -> Vec<Problem> {
        let at = error.instance_path().as_str().to_owned();
        let instance = error.instance();
        match error.kind() {
            ValidationErrorKind::AdditionalProperties { unexpected } => {
                let known = self.properties_beside(error.schema_path().as_str());
                unexpected
                    .iter()
                    .map(|field| {
                        let hint = did_you_mean(field, known.iter().map(String::as_str))
                            .unwrap_or_else(|| format!("known here: {}", known.join(", ")));
                        Problem::new(
                            format!("{at}/{}", pointer_token(field)),
                            ProblemKind::UnknownField,
                            "unknown field",
                        )
                        .hint(hint)
                    })
                    .collect()
            }
            ValidationErrorKind::Required { property } => {
                let field = property.as_str().unwrap_or_default();
                let problem = Problem::new(at, ProblemKind::Missing, format!("the field \"{field}\" is missing"));
                vec![match self.example_beside(error.schema_path().as_str(), field) {
                    Some(example) => problem.hint(format!("e.g. {field}: {example}")),
                    None => problem,
                }]
            }
            ValidationErrorKind::Type { kind } => {
                let wanted = match kind {
                    TypeKind::Single(kind) => kind.to_string(),
                    TypeKind::Multiple(kinds) => {
                        kinds.iter().map(|kind| kind.to_string()).collect::<Vec<_>>().join(" or ")
                    }
                };
                vec![Problem::new(at, ProblemKind::WrongType, format!("{} is not of type {wanted}", found(instance)))]
            }
            ValidationErrorKind::Format { format } => {
                let text = instance.as_str().unwrap_or_default();
                vec![match check_format(format, text) {
                    Some(Err(fault)) => {
                        let problem = Problem::new(at, ProblemKind::Invalid, format!("{} {fault}", shown(text)));
                        match fault.hint {
                            Some(hint) => problem.hint(hint),
                            None => problem,
                        }
                    }
                    _ => Problem::new(at, ProblemKind::Invalid, error.to_string()),
                }]
            }
            ValidationErrorKind::Enum { options } => {
                vec![self.not_among(at, instance, options.as_array().map_or(&[][..], Vec::as_slice))]
            }
            ValidationErrorKind::Constant { expected_value } => {
                vec![self.not_among(at, instance, std::slice::from_ref(expected_value))]
            }
            ValidationErrorKind::OneOfNotValid { .. } | ValidationErrorKind::AnyOf { .. } => {
                let options = self.constants_at(error.schema_path().as_str());
                vec![self.not_among(at, instance, &options)]
            }
            _ => vec![Problem::new(at, ProblemKind::Invalid, error.to_string())],
        }
    }

    #[allow(clippy::unused_self, reason = "reads as one of the translations")]
    fn not_among(&self, at: String, instance: &Value, options: &[Value]) -> Problem {
        let names: Vec<&str> = options.iter().filter_map(Value::as_str).collect();
        let hint = instance
            .as_str()
            .and_then(|text| did_you_mean(text, names.iter().copied()))
            .unwrap_or_else(|| format!("write one of: {}", names.join(", ")));
        Problem::new(at, ProblemKind::Invalid, format!("{} is not known here", found(instance))).hint(hint)
    }

    /// The names of the fields that are known where `additionalProperties` refused one.
    fn properties_beside(&self, keyword: &str) -> Vec<String> {
        self.beside(keyword, "properties")
            .and_then(Value::as_object)
            .map(|fields| fields.keys().cloned().collect())
            .unwrap_or_default()
    }

    fn example_beside(&self, keyword: &str, field: &str) -> Option<String> {
        let schema = self.beside(keyword, "properties")?.get(field)?;
        let target = match schema.get("$ref").and_then(Value::as_str) {
            Some(reference) => self.schema.pointer(reference.strip_prefix('#')?)?,
            None => schema,
        };
        let example = target.get("examples")?.get(0)?;
        example.as_str().map(str::to_owned)
    }

    fn constants_at(&self, keyword: &str) -> Vec<Value> {
        let options = self.resolve(keyword).and_then(Value::as_array);
        options
            .into_iter()
            .flatten()
            .flat_map(|option| {
                let constant = option.get("const").cloned();
                let listed = option.get("enum").and_then(Value::as_array).cloned().unwrap_or_default();
                let fields = option.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
                constant.into_iter().chain(listed).chain(fields)
            })
            .collect()
    }

    fn beside(&self, keyword: &str, other: &str) -> Option<&Value> {
        let (parent, _) = keyword.rsplit_once('/')?;
        self.resolve(&format!("{parent}/{other}"))
    }

    /// Follows a path of keywords through the schema, over references.
    fn resolve(&self, path: &str) -> Option<&Value> {
        let mut at = &self.schema;
        for token in path.split('/').skip(1) {
            if token == "$ref" {
                let reference = at.get("$ref")?.as_str()?;
                at = self.schema.pointer(reference.strip_prefix('#')?)?;
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
}

fn found(instance: &Value) -> String {
    match instance {
        Value::String(text) => shown(text),
        Value::Array(_) => "a list".to_owned(),
        Value::Object(_) => "a mapping".to_owned(),
        other => other.to_string(),
    }
}

/// Every `format` that a schema names.
fn formats(schema: &Value) -> Vec<String> {
    fn walk(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| walk(item, found)),
            Value::Object(fields) => {
                if let Some(Value::String(format)) = fields.get("format") {
                    found.push(format.clone());
                }
                fields.values().for_each(|field| walk(field, found));
            }
            _ => {}
        }
    }
    let mut found = Vec::new();
    walk(schema, &mut found);
    found.sort();
    found.dedup();
    found
}
