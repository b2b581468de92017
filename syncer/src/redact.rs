//! What is shown of a refused registration: enough to find the mistake, nothing that looks like a secret.
//!
//! A secret in a registration is always a mistake (there is no field for one), and mistakes are what refused
//! registrations are made of: a pipeline that pastes a token, a URL with a password. Must never know why the
//! registration was refused.

use serde_json::{Map, Value, json};

use crate::limits;

/// A registration as it may be shown: secrets masked, cut when it is long.
pub(crate) fn shown(value: &Value) -> Value {
    let masked = masked(value, "");
    let text = masked.to_string();
    if text.len() <= limits::REFUSED_BYTES {
        return masked;
    }
    let cut: String = text.chars().take(limits::REFUSED_BYTES - 96).collect();
    let end = cut.floor_char_boundary(limits::REFUSED_BYTES - 96);
    json!({ "cut": cut[..end] })
}

/// A text with the passwords of its URLs masked.
pub(crate) fn text(found: &str) -> String {
    let mut shown = String::with_capacity(found.len());
    let mut rest = found;
    while let Some(at) = rest.find("://") {
        let (before, after) = rest.split_at(at + 3);
        shown.push_str(before);
        let end = after.find(['/', '?', '#', ' ', '"']).unwrap_or(after.len());
        match after[..end].rfind('@') {
            Some(at) => {
                shown.push('…');
                rest = &after[at..];
            }
            None => rest = after,
        }
    }
    shown.push_str(rest);
    shown
}

fn masked(value: &Value, at: &str) -> Value {
    match value {
        Value::String(found) => Value::String(text(found)),
        // A number that JSON readers do not agree on to the last digit would not read back as it was written.
        Value::Number(number) if number.is_f64() => Value::String(number.to_string()),
        Value::Array(items) => Value::Array(items.iter().map(|item| masked(item, at)).collect()),
        Value::Object(fields) => {
            // Sorted, so that the same registration is the same line whatever order its store keeps.
            let mut keys: Vec<&String> = fields.keys().collect();
            keys.sort();
            let mut shown = Map::new();
            for key in keys {
                let place = format!("{at}/{key}");
                let field = if looks_secret(key, &place) { json!("…") } else { masked(&fields[key], &place) };
                shown.insert(key.clone(), field);
            }
            Value::Object(shown)
        }
        other => other.clone(),
    }
}

fn looks_secret(key: &str, place: &str) -> bool {
    const WORDS: [&str; 8] =
        ["password", "passwd", "secret", "token", "authorization", "apikey", "credential", "privatekey"];
    let plain: String = key.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_ascii_lowercase();
    let known = matches!(place, "/policies/authorization" | "/policies/authentication");
    !known && WORDS.iter().any(|word| plain.contains(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_looks_secret_is_not_shown() {
        let found = shown(&json!({
            "root": "/a", "db_password": "hunter2", "API-Key": "hunter2", "nested": [{"accessToken": {"x": "hunter2"}}],
            "match": {"headers": {"Authorization": "hunter2"}}, "destination": {"url": "https://u:hunter2@a.example.com/x"},
            "policies": {"authorization": {"scopes": ["orders:read"]}},
        }));
        assert!(!found.to_string().contains("hunter2"), "{found}");
        assert_eq!(found["destination"]["url"], "https://…@a.example.com/x");
        assert_eq!(found["policies"]["authorization"]["scopes"][0], "orders:read");
    }

    #[test]
    fn a_long_registration_is_cut() {
        for letter in ["x", "ä", "\"", "😀"] {
            let found = shown(&json!({"root": "/a", "junk": letter.repeat(20_000)}));
            assert!(found["cut"].as_str().is_some_and(|cut| cut.len() > 900), "{letter}");
        }
    }

    #[test]
    fn a_wild_number_reads_back_as_it_was_written() {
        let value: Value = serde_json::from_str("{\"a\": 1.2345678901234567e-300, \"b\": 7}").unwrap();
        let first = shown(&value);
        assert_eq!(serde_json::from_str::<Value>(&first.to_string()).unwrap(), first);
        assert_eq!(first["b"], 7);
    }
}
