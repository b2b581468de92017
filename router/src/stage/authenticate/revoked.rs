//! Tokens of an issuer that were taken back: a sorted list of digests, sixteen bytes each, searched by halves.
//!
//! Never changed, and shared with the document it came from. Must never know keys or times, but for when a token says it was made.

use postern_config::document::{Mode, RevokedDigests, RevokedTokens};
use postern_config::revocation::Kind;
use serde_json::{Map, Value};

use super::Flaw;

/// What was taken back of one issuer.
pub(super) struct Revoked {
    /// What was written out.
    few: RevokedDigests,
    /// What came as digests.
    many: RevokedDigests,
    /// Tokens made before it are not taken, in Unix seconds.
    issued_before: Option<f64>,
    mode: Mode,
}

impl Revoked {
    pub(super) fn compile(document: &RevokedTokens) -> Self {
        let RevokedTokens { jti, sub, kid, issued_before, digests, mode } = document;
        let written = [(Kind::Jti, jti), (Kind::Sub, sub), (Kind::Kid, kid)];
        let few = written.into_iter().flat_map(|(kind, values)| values.iter().map(move |value| kind.entry(value)));
        // Exact: the seconds of our time are far below 2^53.
        let issued_before = issued_before.map(|instant| instant.unix() as f64);
        Self { few: few.collect(), many: digests.clone(), issued_before, mode: *mode }
    }

    /// The flaw of a token with these claims, signed by the key `kid`, if it was taken back, and none where that is only
    /// tried out.
    ///
    /// # Errors
    /// The same flaw, where it is insisted on.
    pub(super) fn check(&self, claims: &Map<String, Value>, kid: Option<&str>) -> Result<Option<Flaw>, Flaw> {
        match self.mode {
            Mode::Off => Ok(None),
            Mode::Shadow => Ok(self.holds(claims, kid).then_some(Flaw::Revoked)),
            Mode::Enforce if self.holds(claims, kid) => Err(Flaw::Revoked),
            Mode::Enforce => Ok(None),
        }
    }

    /// Whether a token with these claims, signed by the key `kid`, was taken back.
    fn holds(&self, claims: &Map<String, Value>, kid: Option<&str>) -> bool {
        if let Some(issued_before) = self.issued_before {
            // A token that does not say when it was made may have been made at any time.
            let made = claims.get("iat").and_then(Value::as_f64);
            if made.is_none_or(|made| made < issued_before) {
                return true;
            }
        }
        if self.few.count() + self.many.count() == 0 {
            return false;
        }
        let has = |kind: Kind, value: &str| {
            let entry = kind.entry(value);
            self.few.holds(&entry) || self.many.holds(&entry)
        };
        let claimed = |kind: Kind| match claims.get(kind.word()) {
            None => false,
            Some(Value::String(text)) => has(kind, text),
            // Ids are texts (RFC 7519 §4.1.7); who writes numbers takes them back as they are written.
            Some(other) => has(kind, &other.to_string()),
        };
        kid.is_some_and(|kid| has(Kind::Kid, kid)) || claimed(Kind::Jti) || claimed(Kind::Sub)
    }
}

#[cfg(test)]
mod tests {
    use postern_config::revocation::{self, Entry};
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn revoked(document: &Value) -> Revoked {
        Revoked::compile(&serde_json::from_value(document.clone()).unwrap())
    }

    fn holds(revoked: &Revoked, claims: &Value, kid: Option<&str>) -> bool {
        revoked.holds(claims.as_object().unwrap(), kid)
    }

    #[test]
    fn a_token_is_known_by_each_of_its_names_and_by_no_other() {
        let list = revoked(&json!({"jti": ["a", "7"], "sub": ["carol"], "kid": ["k1"]}));
        for (claims, kid) in [
            (json!({"jti": "a"}), None),
            (json!({"jti": 7}), None),
            (json!({"sub": "carol", "jti": "fine"}), None),
            (json!({}), Some("k1")),
        ] {
            assert!(holds(&list, &claims, kid), "{claims} {kid:?}");
        }
        for (claims, kid) in [
            (json!({}), None),
            (json!({"jti": "A"}), None),
            (json!({"jti": "carol", "sub": "a"}), Some("a")),
            (json!({"sub": "k1"}), Some("carol")),
            (json!({"jti": ["a"], "kid": "k1"}), None),
        ] {
            assert!(!holds(&list, &claims, kid), "{claims} {kid:?}");
        }
    }

    #[test]
    fn what_was_made_before_an_instant_or_at_no_known_one_is_taken_back() {
        let list = revoked(&json!({"issued_before": "2026-06-01T00:00:00Z"}));
        let at = 1_780_272_000;
        for (claims, expected) in [
            (json!({"iat": at}), false),
            (json!({"iat": at + 1}), false),
            (json!({"iat": at - 1}), true),
            (json!({"iat": f64::from(at) - 0.5}), true),
            (json!({}), true),
            (json!({"iat": "2026"}), true),
        ] {
            assert_eq!(holds(&list, &claims, None), expected, "{claims}");
        }
    }

    #[test]
    fn what_is_tried_out_refuses_nobody_and_says_whom_it_would() {
        let (taken_back, fine) = (json!({"sub": "carol"}), json!({"sub": "dave"}));
        for (mode, expected) in
            [("enforce", Err(Flaw::Revoked)), ("shadow", Ok(Some(Flaw::Revoked))), ("off", Ok(None))]
        {
            let list = revoked(&json!({"sub": ["carol"], "mode": mode}));
            assert_eq!(list.check(taken_back.as_object().unwrap(), None), expected, "{mode}");
            assert_eq!(list.check(fine.as_object().unwrap(), None), Ok(None), "{mode}");
        }
    }

    #[test]
    fn a_million_take_sixteen_bytes_each() {
        let entries: Vec<Entry> = (0..1_000_000_u32).map(|index| Kind::Jti.entry(&index.to_string())).collect();
        let texts: Vec<String> = entries.chunks(60_000).map(revocation::to_text).collect();
        let list = revoked(&json!({"digests": texts}));
        assert_eq!((list.many.count(), size_of::<Entry>()), (1_000_000, 16));
        let taken_back = |index: u32| holds(&list, &json!({"jti": index.to_string()}), None);
        assert!((0..1_000_000).step_by(997).all(taken_back));
        assert!(!(1_000_000..1_010_000).any(taken_back));
    }

    proptest! {
        #[test]
        fn exactly_what_is_listed_is_taken_back(
            listed in prop::collection::hash_set("[a-e]{0,4}", 0..40),
            packed in prop::collection::hash_set("[a-e]{0,4}", 1..40),
            asked in "[a-e]{0,4}",
        ) {
            let entries: Vec<Entry> = packed.iter().map(|value| Kind::Jti.entry(value)).collect();
            let list = revoked(&json!({"jti": listed, "digests": [revocation::to_text(&entries)]}));
            let expected = listed.contains(&asked) || packed.contains(&asked);
            prop_assert_eq!(holds(&list, &json!({"jti": asked}), Some("a")), expected);
            let of_another_kind = holds(&list, &json!({"sub": asked}), Some(&asked));
            prop_assert!(!of_another_kind);
        }
    }
}
