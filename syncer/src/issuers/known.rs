//! What is known of each issuer's keys, and for how long that holds without news.
//!
//! Pure: times are arguments. Begins from what stands in the merged file, so that a restart while an issuer is down
//! costs nobody a key. Must never know how keys are fetched.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_config::Boundary;
use postern_config::document::Jwk;
use postern_config::merged::IssuerKeys;
use postern_config::value::{Name, Timestamp};

use super::Spec;

/// When the keys of each issuer were last seen where it publishes them.
pub type Seen = BTreeMap<Name, Timestamp>;

/// The keys that are known.
#[derive(Debug, Clone)]
pub struct Known {
    keys: BTreeMap<Name, (IssuerKeys, Timestamp)>,
    keep: Duration,
}

impl Known {
    /// Begins from what stands. Keys of which nobody knows when they were last seen count from `now`.
    pub fn of_standing(standing: &[IssuerKeys], seen: &Seen, keep: Duration, now: Timestamp) -> Self {
        let with_time = |keys: &IssuerKeys| {
            let last = seen.get(&keys.name).copied().unwrap_or(now).min(now);
            (keys.name.clone(), (keys.clone(), last))
        };
        Self { keys: standing.iter().map(with_time).collect(), keep }
    }

    /// Takes in keys that were fetched; says whether others hold than before.
    pub fn take(&mut self, spec: &Spec, keys: Vec<Jwk>, now: Timestamp) -> bool {
        let fetched =
            IssuerKeys { name: spec.name.clone(), issuer: spec.issuer.clone(), from: spec.url().to_owned(), keys };
        let before = self.keys.insert(spec.name.clone(), (fetched, now));
        let held = before.as_ref().filter(|(_, seen)| now < self.end(*seen)).map(|(keys, _)| keys);
        held != self.keys.get(&spec.name).map(|(keys, _)| keys)
    }

    /// The keys that hold for the issuers of a boundary at `now`: fetched for them as they are configured, and seen
    /// recently enough.
    pub fn for_boundary(&self, boundary: &Boundary, now: Timestamp) -> Vec<IssuerKeys> {
        let issuers = boundary.document().identity.jwt.iter();
        let mut found: Vec<IssuerKeys> = issuers
            .filter_map(|issuer| self.keys.get(&issuer.name).filter(|(keys, _)| keys.are_of(issuer)))
            .filter(|(_, seen)| now < self.end(*seen))
            .map(|(keys, _)| keys.clone())
            .collect();
        found.sort_by(|a, b| a.name.cmp(&b.name));
        found
    }

    /// When keys next end because nobody saw them again.
    pub fn due(&self, now: Timestamp) -> Option<Timestamp> {
        self.keys.values().map(|(_, seen)| self.end(*seen)).filter(|end| *end > now).min()
    }

    /// Until when the keys of an issuer hold, and how many they are.
    pub fn holds(&self, name: &Name) -> Option<(usize, Timestamp)> {
        self.keys.get(name).map(|(keys, seen)| (keys.keys.len(), self.end(*seen)))
    }

    /// When the keys of each issuer were last seen.
    pub fn seen(&self) -> Seen {
        self.keys.iter().map(|(name, (_, seen))| (name.clone(), *seen)).collect()
    }

    fn end(&self, seen: Timestamp) -> Timestamp {
        let keep = i64::try_from(self.keep.as_secs()).unwrap_or(i64::MAX);
        Timestamp::from_unix(seen.unix().saturating_add(keep))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use postern_config::document::BoundaryDocument;

    fn boundary(issuer: &str, url: &str) -> Boundary {
        let document: BoundaryDocument = serde_json::from_value(serde_json::json!({
            "apiVersion": "postern/v1", "kind": "Boundary", "hosts": ["a.example.com"], "destinations": [],
            "identity": {"jwt": [{"name": "corp", "issuer": issuer, "audiences": ["a"], "jwks_url": url}]},
        }))
        .unwrap();
        Boundary::check(document).unwrap()
    }

    fn key(kid: &str) -> Jwk {
        Jwk { kty: "OKP".to_owned(), kid: Some(kid.to_owned()), ..Jwk::default() }
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_unix(1_000_000 + seconds)
    }

    const DAY: Duration = Duration::from_secs(86_400);

    #[test]
    fn keys_hold_for_a_day_without_news_also_across_a_restart() {
        let corp = boundary("a", "https://a.example/");
        let spec = &Spec::all(&corp)[0];
        let mut known = Known::of_standing(&[], &Seen::new(), DAY, at(0));
        assert!(known.for_boundary(&corp, at(0)).is_empty());
        assert!(known.take(spec, vec![key("1")], at(10)));
        assert!(!known.take(spec, vec![key("1")], at(20)), "the same keys are no news");
        let mut ended = known.clone();
        assert!(ended.take(spec, vec![key("1")], at(20 + 86_400)), "the same keys are news when they had ended");
        let standing = known.for_boundary(&corp, at(30));
        assert_eq!(standing.len(), 1);

        let again = Known::of_standing(&standing, &known.seen(), DAY, at(40));
        for known in [&known, &again] {
            assert_eq!(known.due(at(40)), Some(at(20 + 86_400)));
            assert_eq!(known.for_boundary(&corp, at(20 + 86_399)).len(), 1);
            assert!(known.for_boundary(&corp, at(20 + 86_400)).is_empty());
        }
        let forgotten = Known::of_standing(&standing, &Seen::new(), DAY, at(40));
        assert_eq!(forgotten.due(at(40)), Some(at(40 + 86_400)));
    }

    #[test]
    fn keys_of_another_url_or_issuer_are_nobodys() {
        let corp = boundary("a", "https://a.example/");
        let mut known = Known::of_standing(&[], &Seen::new(), DAY, at(0));
        known.take(&Spec::all(&corp)[0], vec![key("1")], at(0));
        assert_eq!(known.for_boundary(&corp, at(1)).len(), 1);
        assert!(known.for_boundary(&boundary("b", "https://a.example/"), at(1)).is_empty());
        assert!(known.for_boundary(&boundary("a", "https://b.example/"), at(1)).is_empty());
    }
}
