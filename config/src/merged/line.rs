//! One line of the file at a time, so that a bad one costs no other.
//!
//! Owns what becomes of fields that a newer syncer wrote: they are taken out and named, except where ignoring
//! one could open something; then the line is put aside.

use serde::de::DeserializeOwned;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Quarantined, Refused};
use crate::condition::Condition;
use crate::parse::json_value;
use crate::problem::{ProblemKind, Problems};
use crate::schema::Checker;

/// What is not served, and what is served without being understood in full.
#[derive(Default)]
pub(super) struct Aside {
    pub(super) quarantined: Vec<Quarantined>,
    pub(super) ignored: Vec<String>,
}

impl Aside {
    pub(super) fn put(&mut self, id: impl Into<String>, why: impl Into<String>) {
        self.quarantined.push(Quarantined { id: id.into(), why: why.into() });
    }
}

/// Where a field that nobody knows may be ignored.
#[derive(Clone, Copy)]
pub(super) enum Unknown {
    /// Nowhere: the line as a whole says what is allowed.
    Refused,
    /// Wherever it could not have narrowed anything.
    IgnoredWhereSafe,
}

/// Reads one line.
pub(super) fn entry<T: DeserializeOwned>(
    raw: &RawValue,
    at: &str,
    checker: &Checker,
    unknown: Unknown,
    aside: &mut Aside,
) -> Option<T> {
    if let Ok(entry) = serde_json::from_str(raw.get()) {
        return Some(entry);
    }
    let mut value = match json_value(raw.get()) {
        Ok(value) => value,
        Err(error) => {
            aside.put(at, format!("is not readable: {error}"));
            return None;
        }
    };
    let id = ["id", "name"].iter().find_map(|field| value.get(field)?.as_str()).unwrap_or(at).to_owned();
    match understand(&mut value, at, checker, unknown, &mut aside.ignored)
        .and_then(|()| serde_json::from_value(value).map_err(|error| error.to_string()))
    {
        Ok(entry) => Some(entry),
        Err(why) => {
            aside.put(id, why);
            None
        }
    }
}

/// Takes out what may be ignored, and names it.
///
/// # Errors
/// Why the rest may not be taken without it.
pub(super) fn understand(
    value: &mut Value,
    at: &str,
    checker: &Checker,
    unknown: Unknown,
    ignored: &mut Vec<String>,
) -> Result<(), String> {
    forget_unknown_conditions(value, at, ignored);
    let (unknown_fields, wrong): (Vec<_>, Vec<_>) = checker.problems(value).into_iter().partition(|problem| {
        // A policy that is planned is as unknown as any other field.
        matches!(problem.kind, ProblemKind::UnknownField | ProblemKind::Unsupported)
    });
    if !wrong.is_empty() {
        return Err(Problems(wrong).to_string());
    }
    for problem in unknown_fields {
        if matches!(unknown, Unknown::Refused) || could_open(&problem.at) {
            return Err(format!("{} is not known to this router, and ignoring it could open something", problem.at));
        }
        if let Some((parent, field)) = problem.at.rsplit_once('/')
            && let Some(Value::Object(fields)) = value.pointer_mut(parent)
        {
            fields.remove(&field.replace("~1", "/").replace("~0", "~"));
        }
        ignored.push(format!("{at}{}", problem.at));
    }
    Ok(())
}

/// Reads a refused registration. Nothing depends on one, so what is not understood is left out and named.
pub(super) fn refused(raw: &RawValue, at: &str, ignored: &mut Vec<String>) -> Option<Refused> {
    if let Ok(refused) = serde_json::from_str(raw.get()) {
        return Some(refused);
    }
    let refused = json_value(raw.get()).ok().and_then(|mut value| {
        forget_unknown_conditions(&mut value, at, ignored);
        serde_json::from_value(value).ok()
    });
    if refused.is_none() {
        ignored.push(at.to_owned());
    }
    refused
}

/// Conditions are told, never obeyed: a reason of a newer syncer must not cost a route.
fn forget_unknown_conditions(value: &mut Value, at: &str, ignored: &mut Vec<String>) {
    let Some(Value::Array(conditions)) = value.get_mut("conditions") else { return };
    let mut index = 0;
    conditions.retain(|condition| {
        let known = serde_json::from_value::<Condition>(condition.clone()).is_ok();
        if !known {
            ignored.push(format!("{at}/conditions/{index}"));
        }
        index += 1;
        known
    });
}

/// Whether an unknown field stands where it may narrow something: then leaving it out would widen it.
fn could_open(at: &str) -> bool {
    at.split('/').any(|token| {
        matches!(token, "authentication" | "authorization" | "destinations" | "require" | "match" | "rewrite")
    })
}
