//! Which facts of a request a policy looks at.
//!
//! What no policy asks for need not be worked out on a request's way, and a path variable that it asks for can be
//! given a place in the schema.

use std::collections::BTreeSet;

use serde_json::Value;

/// What a policy looks at.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Uses {
    /// Fields of the context.
    pub context: BTreeSet<String>,
    /// Whether it takes the context as a whole, and with it every field.
    pub whole_context: bool,
    /// Path variables: `context.vars.NAME`.
    pub variables: BTreeSet<String>,
    /// Whether it reads the route's attributes.
    pub resource: bool,
}

impl Uses {
    /// What a policy in Cedar's JSON form looks at. Takes a loop, not recursion: texts may nest.
    pub fn of(policy: &Value) -> Self {
        let mut uses = Self::default();
        let mut open: Vec<&Value> = policy.get("conditions").into_iter().collect();
        while let Some(value) = open.pop() {
            match value {
                Value::Array(items) => open.extend(items),
                Value::Object(fields) => {
                    if uses.access(value) {
                        continue;
                    }
                    match fields.get("Var").and_then(Value::as_str) {
                        Some("context") => uses.whole_context = true,
                        _ => open.extend(fields.values()),
                    }
                }
                _ => {}
            }
        }
        uses
    }

    /// Takes `x.NAME` and `x has NAME` of the context, of its variables and of the route.
    fn access(&mut self, value: &Value) -> bool {
        let Some((left, name)) = accessed(value) else { return false };
        if is_var(left, "context") {
            self.context.insert(name.to_owned());
            return true;
        }
        if is_var(left, "resource") {
            self.resource = true;
            return true;
        }
        if let Some((inner, "vars")) = accessed(left)
            && is_var(inner, "context")
        {
            self.context.insert("vars".to_owned());
            self.variables.insert(name.to_owned());
            return true;
        }
        false
    }

    /// Whether a field of the context is looked at.
    pub fn reads(&self, field: &str) -> bool {
        self.whole_context || self.context.contains(field)
    }

    /// Adds what another one looks at.
    pub fn add(&mut self, other: Self) {
        self.context.extend(other.context);
        self.variables.extend(other.variables);
        self.whole_context |= other.whole_context;
        self.resource |= other.resource;
    }
}

fn accessed(value: &Value) -> Option<(&Value, &str)> {
    let operation = value.get(".").or_else(|| value.get("has"))?;
    Some((operation.get("left")?, operation.get("attr")?.as_str()?))
}

fn is_var(value: &Value, name: &str) -> bool {
    value.get("Var").and_then(Value::as_str) == Some(name)
}
