//! What changed in documents that hold lists of named things, told by their names.

use std::collections::BTreeMap;

use serde_json::Value;

use super::Aspect;

/// Members that name an entry of a list.
const NAMES: [&str; 2] = ["name", "prefix"];

/// What differs between two objects: member by member, and entry by entry where a member is a list of named things.
/// Secrets are not in a merged file, but hashes and keys are, and are told by no more than that they changed.
pub(super) fn aspects(prefix: &str, before: &Value, after: &Value) -> Vec<Aspect> {
    let (old, new) = (members(before), members(after));
    let names: std::collections::BTreeSet<&str> = old.keys().chain(new.keys()).copied().collect();
    let mut aspects = Vec::new();
    for name in names {
        let (from, to) =
            (old.get(name).copied().unwrap_or(&Value::Null), new.get(name).copied().unwrap_or(&Value::Null));
        if from == to {
            continue;
        }
        let at = if prefix.is_empty() { name.to_owned() } else { format!("{prefix}.{name}") };
        match (entries(from), entries(to)) {
            (Some(from), Some(to)) => aspects.extend(of_entries(&at, &from, &to)),
            _ if from.is_object() && to.is_object() => aspects.extend(self::aspects(&at, from, to)),
            _ => aspects.push(Aspect::new(at, shown(name, from), shown(name, to))),
        }
    }
    aspects
}

fn members(value: &Value) -> BTreeMap<&str, &Value> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value)).collect()
}

/// The entries of a list by their names; none when it is no list of named things. What is not there is an empty list.
fn entries(value: &Value) -> Option<BTreeMap<&str, &Value>> {
    let list = match value {
        Value::Null => return Some(BTreeMap::new()),
        Value::Array(list) => list,
        _ => return None,
    };
    let named = |entry: &'_ Value| NAMES.iter().find_map(|name| entry.get(name)?.as_str().map(str::to_owned)).is_some();
    if list.is_empty() || !list.iter().all(named) {
        return None;
    }
    Some(
        list.iter()
            .filter_map(|entry| Some((NAMES.iter().find_map(|name| entry.get(*name)?.as_str())?, entry)))
            .collect(),
    )
}

fn of_entries(at: &str, from: &BTreeMap<&str, &Value>, to: &BTreeMap<&str, &Value>) -> Vec<Aspect> {
    let names: std::collections::BTreeSet<&str> = from.keys().chain(to.keys()).copied().collect();
    let mut aspects = Vec::new();
    for name in names {
        let at = format!("{at}.{name}");
        match (from.get(name), to.get(name)) {
            (Some(old), Some(new)) => aspects.extend(self::aspects(&at, old, new)),
            (None, Some(_)) => aspects.push(Aspect::new(at, Value::Null, "added".into())),
            (Some(_), None) => aspects.push(Aspect::new(at, "there".into(), "removed".into())),
            (None, None) => {}
        }
    }
    aspects
}

/// What is a credential's is not shown, though it is a hash or a public key.
fn shown(name: &str, value: &Value) -> Value {
    match (name, value) {
        (_, Value::Null) => Value::Null,
        ("hash" | "keys" | "digests" | "digest" | "pepper", _) => "…".into(),
        _ => value.clone(),
    }
}
