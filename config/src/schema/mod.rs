//! JSON Schemas, made from the document types, and the checker that finds every defect with them.
//!
//! Owns the schemas and the validator; `words` says what it finds. What a schema of a type accepts is what
//! serde accepts for it: a property test holds the two together.

#[cfg(test)]
mod tests;
mod words;

use std::sync::OnceLock;

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::Value;

use crate::document::{
    ApiKeyRealm, BasicRealm, BoundaryDocument, Destination, ExternalAuthorizer, JwtIssuer, MtlsRealm, PolicyLayer,
    Registration,
};
use crate::problem::Problem;
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

/// The checker of the merged file's issuers.
pub(crate) fn issuer() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<JwtIssuer>)
}

/// The checker of the merged file's realms.
pub(crate) fn realm() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<BasicRealm>)
}

/// The checker of the merged file's realms of keys.
pub(crate) fn api_key_realm() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<ApiKeyRealm>)
}

/// The checker of the merged file's realms of certificates.
pub(crate) fn mtls_realm() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<MtlsRealm>)
}

/// The checker of the merged file's authorizers.
pub(crate) fn authorizer() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<ExternalAuthorizer>)
}

/// The checker of the merged file's layers of policies.
pub(crate) fn layer() -> &'static Checker {
    static CHECKER: OnceLock<Checker> = OnceLock::new();
    CHECKER.get_or_init(Checker::of::<PolicyLayer>)
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
        let mut schema = schema_of::<T>();
        demand_whole_numbers(&mut schema);
        let mut options = jsonschema::options()
            .should_validate_formats(true)
            .with_keyword(WHOLE, |_, _, _| Ok(Box::new(WholeNumber)))
            .with_keyword(DISTINCT, |_, _, _| Ok(Box::new(DistinctNames)));
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
            self.validator.iter_errors(value).flat_map(|error| words::of(&self.schema, &error)).collect();
        found.sort();
        found.dedup();
        found
    }
}

/// Our keyword beside `type: integer`. JSON Schema takes `1.0` for an integer, serde does not; and who writes
/// it means something else than a count.
const WHOLE: &str = "postern-whole";

struct WholeNumber;

impl<'i> jsonschema::Keyword<'i> for WholeNumber {
    fn validate(&self, instance: &'i Value) -> Result<(), jsonschema::ValidationError<'i>> {
        if looks_whole(instance) {
            return Err(jsonschema::ValidationError::custom("is written as a fraction, or too large"));
        }
        Ok(())
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        !looks_whole(instance)
    }
}

/// A fraction that JSON Schema takes for an integer. What lies beyond 64 bits is read as one too.
fn looks_whole(instance: &Value) -> bool {
    instance.is_f64() && instance.as_f64().is_some_and(|number| number.fract() == 0.0)
}

fn demand_whole_numbers(schema: &mut Value) {
    match schema {
        Value::Array(items) => items.iter_mut().for_each(demand_whole_numbers),
        Value::Object(fields) => {
            fields.values_mut().for_each(demand_whole_numbers);
            let is_integer = match fields.get("type") {
                Some(Value::String(kind)) => kind == "integer",
                Some(Value::Array(kinds)) => kinds.iter().any(|kind| kind == "integer"),
                _ => false,
            };
            if is_integer {
                fields.insert(WHOLE.to_owned(), Value::Bool(true));
            }
        }
        _ => {}
    }
}

/// Our keyword for mappings whose keys are header names: two that differ only in case are one header with
/// two values.
pub(crate) const DISTINCT: &str = "postern-distinct-names";

struct DistinctNames;

impl<'i> jsonschema::Keyword<'i> for DistinctNames {
    fn validate(&self, instance: &'i Value) -> Result<(), jsonschema::ValidationError<'i>> {
        match twin(instance) {
            Some(name) => Err(jsonschema::ValidationError::custom(format!("has \"{name}\" twice, in two spellings"))),
            None => Ok(()),
        }
    }

    fn is_valid(&self, instance: &'i Value) -> bool {
        twin(instance).is_none()
    }
}

fn twin(instance: &Value) -> Option<String> {
    let mut seen = std::collections::BTreeSet::new();
    instance.as_object()?.keys().map(|key| key.to_ascii_lowercase()).find(|key| !seen.insert(key.clone()))
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
