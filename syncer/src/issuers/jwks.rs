//! A set of keys as an issuer publishes it, sifted: what can verify a token goes on, the rest is left out with a note.
//!
//! Pure. One bad key costs no other; something that is no set, or has nothing usable in it, changes nothing at all.
//! Must never show what is in a key.

use postern_config::check::{algorithms_of, key_problems};
use postern_config::document::Jwk;
use postern_config::limits;
use postern_config::problem::shown;
use serde_json::Value;

/// What was made of an answer.
#[derive(Debug, Clone, PartialEq)]
pub struct Sifted {
    /// Keys that can verify, in an order of their own: an issuer that shuffles its set says nothing new.
    pub keys: Vec<Jwk>,
    /// What was left out, and why.
    pub notes: Vec<String>,
}

/// Reads and sifts a set.
///
/// # Errors
/// Why it is none, or of no use.
pub fn sift(bytes: &[u8]) -> Result<Sifted, String> {
    let set: Value = serde_json::from_slice(bytes).map_err(|_| "is not JSON".to_owned())?;
    let found = set.get("keys").and_then(Value::as_array).ok_or("is no set of keys: it has no list \"keys\"")?;
    if found.len() > limits::ISSUER_KEYS {
        return Err(format!("has {} keys, more than {}", found.len(), limits::ISSUER_KEYS));
    }
    let (mut keys, mut notes) = (Vec::new(), Vec::new());
    for (index, value) in found.iter().enumerate() {
        match usable(value) {
            Ok(key) => keys.push(key),
            Err(why) => notes.push(format!("key {index}{} is left out: {why}", called(value))),
        }
    }
    if keys.is_empty() {
        return Err(format!(
            "has no key that can be used{}",
            notes.first().map_or(String::new(), |one| format!(": {one}"))
        ));
    }
    let order = |key: &Jwk| (key.kid.clone(), serde_json::to_string(key).unwrap_or_default());
    keys.sort_by_cached_key(order);
    keys.dedup();
    Ok(Sifted { keys, notes })
}

fn usable(value: &Value) -> Result<Jwk, String> {
    // Whoever publishes one half of the other kind has given it away: nothing signed with it proves anything.
    if let Some(member) = ["d", "p", "q", "dp", "dq", "qi", "oth"].iter().find(|member| value.get(**member).is_some()) {
        return Err(format!("it has the private member \"{member}\"; replace it, it is no longer secret"));
    }
    if value.get("kty").and_then(Value::as_str) == Some("oct") || value.get("k").is_some() {
        return Err("it is a shared key, and everybody can read it there".to_owned());
    }
    // RFC 7517 §4.3.
    if let Some(operations) = value.get("key_ops")
        && !operations.as_array().is_some_and(|all| all.iter().any(|one| one == "verify"))
    {
        return Err("it is not for verifying".to_owned());
    }
    let key: Jwk =
        serde_json::from_value(value.clone()).map_err(|_| match value.get("alg").and_then(Value::as_str) {
            Some(algorithm) => format!("it is of another form, or for {}", shown(algorithm)),
            None => "it is of another form".to_owned(),
        })?;
    if let Some(problem) = key_problems(&key).first() {
        return Err(format!("{} {}", problem.at, problem.message).trim_start().to_owned());
    }
    if key.kid.as_ref().is_some_and(|kid| kid.len() > KID_BYTES) {
        return Err("its kid is too long".to_owned());
    }
    if algorithms_of(&key).is_empty() { Err("it is for no algorithm that is known".to_owned()) } else { Ok(key) }
}

fn called(value: &Value) -> String {
    value.get("kid").and_then(Value::as_str).map_or(String::new(), |kid| format!(" ({})", shown(kid)))
}

/// Longest name of a key: names are digests or dates, and tokens carry them.
const KID_BYTES: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn ed(kid: &str) -> Value {
        json!({"kty": "OKP", "crv": "Ed25519", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", "kid": kid})
    }

    fn with(mut key: Value, member: &str, value: Value) -> Value {
        key[member] = value;
        key
    }

    #[test]
    fn what_cannot_verify_is_left_out_and_costs_no_other_key() {
        let modulus = |bytes: usize| format!("{}w", "_".repeat(bytes * 4 / 3 - 1));
        let bad = [
            with(ed("private"), "d", json!("AA")),
            json!({"kty": "oct", "k": "AAAA", "kid": "shared"}),
            with(ed("shared member"), "k", json!("AAAA")),
            json!({"kty": "RSA", "n": modulus(128), "e": "AQAB", "kid": "weak"}),
            json!({"kty": "RSA", "n": modulus(256), "e": "AQ", "kid": "exponent of one"}),
            json!({"kty": "new", "kid": "unknown type"}),
            with(ed("unknown algorithm"), "alg", json!("RSA-OAEP")),
            with(ed("none"), "alg", json!("none")),
            with(ed("another algorithm"), "alg", json!("RS256")),
            with(ed("encryption"), "use", json!("enc")),
            with(ed("signing"), "key_ops", json!(["sign"])),
            with(ed("unknown curve"), "crv", json!("Ed448")),
            with(ed("a kid that is no text"), "kid", json!(7)),
            with(ed("a short point"), "x", json!("AA")),
            json!("text"),
            json!(null),
        ];
        let mut keys = bad.to_vec();
        keys.insert(3, ed("good"));
        keys.push(with(ed("good, with more"), "x5c", json!(["AA"])));
        let sifted = sift(json!({"keys": keys}).to_string().as_bytes()).unwrap();
        let kids: Vec<_> = sifted.keys.iter().filter_map(|key| key.kid.as_deref()).collect();
        assert_eq!(kids, ["good", "good, with more"]);
        assert_eq!(sifted.notes.len(), bad.len(), "{:#?}", sifted.notes);
        assert!(sifted.notes.iter().all(|note| !note.contains("AAAA")), "{:#?}", sifted.notes);
    }

    #[test]
    fn what_is_no_set_changes_nothing() {
        let many: Vec<Value> = (0..=limits::ISSUER_KEYS).map(|number| ed(&number.to_string())).collect();
        for text in [
            String::new(),
            "<html></html>".to_owned(),
            "null".to_owned(),
            "[]".to_owned(),
            "{}".to_owned(),
            r#"{"keys": {}}"#.to_owned(),
            r#"{"keys": []}"#.to_owned(),
            r#"{"keys": [{}]}"#.to_owned(),
            format!("{} x", json!({"keys": [ed("a")]})),
            json!({"keys": many}).to_string(),
        ] {
            assert!(sift(text.as_bytes()).is_err(), "{text:.80}");
        }
        let most = json!({"keys": many[1..]}).to_string();
        assert_eq!(sift(most.as_bytes()).unwrap().keys.len(), limits::ISSUER_KEYS);
    }

    #[test]
    fn the_order_of_a_set_says_nothing() {
        let one = json!({"keys": [ed("a"), ed("b"), ed("a")]}).to_string();
        let other = json!({"keys": [ed("b"), ed("a")]}).to_string();
        assert_eq!(sift(one.as_bytes()), sift(other.as_bytes()));
    }
}
