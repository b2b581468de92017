//! What an issuer's tokens must say besides who made them and for whom: type, authorized party, claims, scopes.
//!
//! Must never know keys or times.

use http::HeaderValue;
use postern_config::document::JwtIssuer;
use serde_json::{Map, Value};

use super::Flaw;
use super::token::without_application;

/// The rules of one issuer, compiled.
pub(super) struct Rules {
    /// In lower case, without `application/`; empty for what tokens of callers are usually called.
    types: Box<[Box<str>]>,
    parties: Box<[Box<str>]>,
    claims: Box<[Claim]>,
    scopes: Box<[Box<str>]>,
    /// Said to the bearer of a token without those scopes.
    insufficient: Option<HeaderValue>,
}

struct Claim {
    path: Box<[Box<str>]>,
    any_of: Box<[Box<str>]>,
}

impl Rules {
    pub(super) fn compile(document: &JwtIssuer) -> Self {
        let plain = |typ: &String| without_application(typ).to_ascii_lowercase().into();
        let claims = document
            .claims
            .iter()
            .map(|rule| Claim { path: rule.claim.split('.').map(Into::into).collect(), any_of: boxed(&rule.any_of) });
        Self {
            types: document.types.iter().map(plain).collect(),
            parties: boxed(&document.authorized_parties),
            claims: claims.collect(),
            scopes: boxed(&document.scopes),
            insufficient: insufficient(&document.scopes),
        }
    }

    /// RFC 8725 §3.11: a token made for something else (`logout+jwt`, `secevent+jwt`, an ID token where `types` says
    /// `at+jwt`) is no proof of a caller.
    pub(super) fn check_type(&self, typ: Option<&str>) -> Result<(), Flaw> {
        let is = |typ: &str, known: &str| without_application(typ).eq_ignore_ascii_case(known);
        let fits = match typ {
            None => self.types.is_empty(),
            Some(typ) if self.types.is_empty() => is(typ, "JWT") || is(typ, "at+jwt"),
            Some(typ) => self.types.iter().any(|known| is(typ, known)),
        };
        fits.then_some(()).ok_or(Flaw::TokenType)
    }

    /// The authorized party and the claims that are asked for.
    pub(super) fn check_claims(&self, claims: &Map<String, Value>) -> Result<(), Flaw> {
        let is_party = |azp: &str| self.parties.iter().any(|party| **party == *azp);
        if !self.parties.is_empty() && !claims.get("azp").and_then(Value::as_str).is_some_and(is_party) {
            return Err(Flaw::AuthorizedParty);
        }
        self.claims.iter().all(|claim| claim.is_made_in(claims)).then_some(()).ok_or(Flaw::Claim)
    }

    /// The scopes that are asked for.
    pub(super) fn check_scopes(&self, held: &[Box<str>]) -> Result<(), Flaw> {
        self.scopes.iter().all(|scope| held.contains(scope)).then_some(()).ok_or(Flaw::IssuerScopes)
    }

    /// What the bearer of a token without those scopes is told (RFC 6750 §3.1); `None` when there are none.
    pub(super) fn insufficient(&self) -> Option<&HeaderValue> {
        self.insufficient.as_ref()
    }
}

impl Claim {
    fn is_made_in(&self, claims: &Map<String, Value>) -> bool {
        let (first, rest) = match self.path.split_first() {
            Some((first, rest)) => (claims.get(&**first), rest),
            None => return false,
        };
        let found = rest.iter().fold(first, |value, name| value?.as_object()?.get(&**name));
        match found {
            Some(Value::Array(items)) => items.iter().any(|item| self.takes(item)),
            Some(value) => self.takes(value),
            None => false,
        }
    }

    fn takes(&self, value: &Value) -> bool {
        let is = |text: &str| self.any_of.iter().any(|one| **one == *text);
        match value {
            Value::String(text) => is(text),
            Value::Bool(_) | Value::Number(_) => is(&value.to_string()),
            Value::Null | Value::Array(_) | Value::Object(_) => false,
        }
    }
}

fn boxed(texts: &[String]) -> Box<[Box<str>]> {
    texts.iter().map(|text| text.as_str().into()).collect()
}

/// The boundary's check lets only words through that RFC 6749 §3.3 has room for; another would end the value here.
fn insufficient(scopes: &[String]) -> Option<HeaderValue> {
    let word = |scope: &String| scope.bytes().all(|byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e));
    if scopes.is_empty() || !scopes.iter().all(word) {
        return None;
    }
    let scopes = scopes.join(" ");
    HeaderValue::try_from(format!(r#"Bearer realm="postern", error="insufficient_scope", scope="{scopes}""#)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn rules(members: &Value) -> Rules {
        let mut document = json!({"name": "corp", "issuer": "a", "audiences": ["a"]});
        document.as_object_mut().unwrap().extend(members.as_object().unwrap().clone());
        Rules::compile(&serde_json::from_value(document).unwrap())
    }

    #[test]
    fn a_type_is_one_that_is_taken() {
        let (usual, strict) = (rules(&json!({})), rules(&json!({"types": ["at+jwt"]})));
        for (typ, in_usual, in_strict) in [
            (None, true, false),
            (Some("JWT"), true, false),
            (Some("jwt"), true, false),
            (Some("application/JWT"), true, false),
            (Some("at+jwt"), true, true),
            (Some("Application/AT+JWT"), true, true),
            (Some("logout+jwt"), false, false),
            (Some("application/application/jwt"), false, false),
            (Some(""), false, false),
        ] {
            assert_eq!(usual.check_type(typ).is_ok(), in_usual, "{typ:?}");
            assert_eq!(strict.check_type(typ).is_ok(), in_strict, "{typ:?}");
        }
    }

    #[test]
    fn claims_are_found_by_their_path_and_compared_as_they_are() {
        let rules = rules(&json!({"claims": [
            {"claim": "tenant", "any_of": ["a", "b"]}, {"claim": "realm.roles", "any_of": ["admin"]},
            {"claim": "verified", "any_of": ["true"]}, {"claim": "level", "any_of": ["3"]},
        ]}));
        let good = json!({"tenant": "b", "realm": {"roles": ["x", "admin"]}, "verified": true, "level": 3});
        let check = |claims: &Value| rules.check_claims(claims.as_object().unwrap());
        assert_eq!(check(&good), Ok(()));
        for (member, value) in [
            ("tenant", json!("c")),
            ("tenant", json!("B")),
            ("tenant", json!(null)),
            ("tenant", json!({"a": "a"})),
            ("tenant", json!([["a"]])),
            ("realm", json!({"roles": "administrator"})),
            ("realm", json!("admin")),
            ("realm", json!([{"roles": "admin"}])),
            ("realm.roles", json!("admin")),
            ("verified", json!(false)),
            ("verified", json!(1)),
            ("level", json!(3.0)),
            ("level", json!(30)),
        ] {
            let mut claims = good.clone();
            if member == "realm.roles" {
                claims.as_object_mut().unwrap().remove("realm");
            }
            claims[member] = value;
            assert_eq!(check(&claims), Err(Flaw::Claim), "{claims}");
        }
    }

    #[test]
    fn the_authorized_party_is_one_that_is_listed() {
        let rules = rules(&json!({"authorized_parties": ["app"]}));
        let check = |claims: &Value| rules.check_claims(claims.as_object().unwrap());
        assert_eq!(check(&json!({"azp": "app"})), Ok(()));
        for bad in [json!({}), json!({"azp": "App"}), json!({"azp": ["app"]}), json!({"azp": null})] {
            assert_eq!(check(&bad), Err(Flaw::AuthorizedParty), "{bad}");
        }
    }
}
