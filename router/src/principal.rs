//! Who a caller proved to be: what the stages after `authenticate` know of it.
//!
//! Lies outside of the stages because several of them read it and none may import another. Must never know
//! how anything was proved, nor hold a credential.

use std::borrow::Cow;
use std::fmt;
use std::sync::{Arc, OnceLock};

use serde_json::Value;

use crate::limiter::Quota;
use crate::reject::Reason;
use crate::rights::Known;
use crate::snapshot::ClaimPath;

/// Who a caller proved to be, and by what.
#[derive(Clone)]
pub(crate) struct Principal {
    name: Name,
    via: Via,
    scopes: Option<Arc<[Box<str>]>>,
    roles: Roles,
    claims: Option<Arc<Value>>,
    kept: Option<Arc<Kept>>,
}

/// Kept for as long as the principal is: a token's is remembered.
#[derive(Default)]
struct Kept {
    /// What policies know of it.
    known: OnceLock<Known>,
    /// How often it may ask.
    quota: Option<Arc<Quota>>,
    /// Why it would have been refused, were it not only tried out.
    spared: Option<Reason>,
}

/// What it may be called upon to do.
#[derive(Clone)]
enum Roles {
    None,
    Held(Arc<[Box<str>]>),
    /// A token says something about roles that is no list of them: nobody knows which ones it has.
    Unreadable,
}

/// A caller without proof has a name that nobody need keep.
#[derive(Clone)]
enum Name {
    Fixed(&'static str),
    Proved(Arc<str>),
}

/// The way that proved it.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Via {
    /// Nobody asked for a proof.
    None,
    /// The destination checks a signature; the router proved nothing.
    Iam,
    /// `jwt:NAME`.
    Jwt(Arc<str>),
    /// `basic:NAME`.
    Basic(Arc<str>),
    /// `api_key:NAME`.
    ApiKey(Arc<str>),
    /// `mtls:NAME`.
    Mtls(Arc<str>),
    /// `external:NAME`.
    External(Arc<str>),
}

impl Via {
    /// As it stands in policies, logs and metrics.
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::None => "none",
            Self::Iam => "iam",
            Self::Jwt(name) | Self::Basic(name) | Self::ApiKey(name) | Self::Mtls(name) | Self::External(name) => name,
        }
    }
}

impl Principal {
    /// A caller of whom no proof was asked.
    pub(crate) fn anonymous() -> Self {
        Self::unproved("anonymous", Via::None)
    }

    /// A caller whose signature the destination checks. Key ids are no names: anybody can write one.
    pub(crate) fn iam() -> Self {
        Self::unproved("iam", Via::Iam)
    }

    fn unproved(name: &'static str, via: Via) -> Self {
        Self { name: Name::Fixed(name), via, scopes: None, roles: Roles::None, claims: None, kept: None }
    }

    /// The subject of a verified token; empty when the token has none.
    pub(crate) fn of_token(name: &str, via: Arc<str>, scopes: Vec<Box<str>>, claims: Value) -> Self {
        Self {
            name: Name::Proved(name.into()),
            via: Via::Jwt(via),
            scopes: Some(scopes.into()),
            roles: Roles::None,
            claims: Some(Arc::new(claims)),
            kept: Some(Arc::default()),
        }
    }

    /// The same, with the roles that its token names at `path`: one text, or a list of texts.
    #[must_use]
    pub(crate) fn with_roles_at(mut self, path: &ClaimPath) -> Self {
        let role = |value: &Value| value.as_str().map(Box::from);
        self.roles = match self.claims.as_deref().and_then(|claims| lookup(claims, path)) {
            None | Some(Value::Null) => Roles::None,
            Some(Value::Array(items)) => {
                items.iter().map(role).collect::<Option<_>>().map_or(Roles::Unreadable, Roles::Held)
            }
            Some(value) => role(value).map_or(Roles::Unreadable, |role| Roles::Held(Arc::from([role]))),
        };
        self
    }

    /// The same, with these roles.
    #[must_use]
    pub(crate) fn with_roles(mut self, roles: &[String]) -> Self {
        self.roles = Roles::Held(roles.iter().map(|role| role.as_str().into()).collect());
        self
    }

    /// The same, that may ask so often and no more.
    #[must_use]
    pub(crate) fn with_quota(mut self, quota: Option<Arc<Quota>>) -> Self {
        self.kept = Some(Arc::new(Kept { quota, ..Kept::default() }));
        self
    }

    /// The same, that would have been refused for that reason, were it not only tried out.
    #[must_use]
    pub(crate) fn spared_for(mut self, reason: Option<Reason>) -> Self {
        if reason.is_some() {
            let quota = self.kept.as_ref().and_then(|kept| kept.quota.clone());
            self.kept = Some(Arc::new(Kept { quota, spared: reason, ..Kept::default() }));
        }
        self
    }

    /// Why it would have been refused, were it not only tried out.
    pub(crate) fn spared(&self) -> Option<Reason> {
        self.kept.as_ref()?.spared
    }

    /// How often it may ask, wherever it asks.
    pub(crate) fn quota(&self) -> Option<&Quota> {
        self.kept.as_ref()?.quota.as_deref()
    }

    /// A user whose password was verified.
    pub(crate) fn of_user(name: Arc<str>, via: Arc<str>, scopes: Arc<[Box<str>]>) -> Self {
        Self {
            name: Name::Proved(name),
            via: Via::Basic(via),
            scopes: Some(scopes),
            roles: Roles::None,
            claims: None,
            kept: Some(Arc::default()),
        }
    }

    /// A consumer whose key was verified.
    pub(crate) fn of_key(name: Arc<str>, via: Arc<str>, scopes: Arc<[Box<str>]>, claims: Arc<Value>) -> Self {
        Self {
            name: Name::Proved(name),
            via: Via::ApiKey(via),
            scopes: Some(scopes),
            roles: Roles::None,
            claims: Some(claims),
            kept: Some(Arc::default()),
        }
    }

    /// A client whose certificate was verified.
    pub(crate) fn of_certificate(name: Arc<str>, via: Arc<str>, scopes: Arc<[Box<str>]>, claims: Arc<Value>) -> Self {
        Self { via: Via::Mtls(Arc::clone(&via)), ..Self::of_key(name, via, scopes, claims) }
    }

    /// A caller to whom an authorizer said yes; the name is empty when it gave none.
    pub(crate) fn of_external(name: &str, via: Arc<str>, claims: Value) -> Self {
        Self {
            name: Name::Proved(name.into()),
            via: Via::External(via),
            scopes: None,
            roles: Roles::None,
            claims: Some(Arc::new(claims)),
            kept: Some(Arc::default()),
        }
    }

    /// How many bytes its name and claims take, roughly.
    pub(crate) fn size(&self) -> usize {
        self.name().len() + self.claims.as_ref().map_or(0, |claims| 2 * claims.to_string().len())
    }

    /// The subject, the user, the consumer, the client, `anonymous` or `iam`. Unique only together with [`via`](Self::via).
    pub(crate) fn name(&self) -> &str {
        match &self.name {
            Name::Fixed(name) => name,
            Name::Proved(name) => name,
        }
    }

    /// `jwt:NAME`, `basic:NAME`, `api_key:NAME`, `mtls:NAME`, `external:NAME`, `iam` or `none`.
    pub(crate) fn via(&self) -> &str {
        self.via.as_str()
    }

    /// Whether the destination checks a signature.
    pub(crate) fn has_signed(&self) -> bool {
        self.via == Via::Iam
    }

    /// Whether a token, a key or what an authorizer was shown proved it.
    pub(crate) fn has_token(&self) -> bool {
        matches!(self.via, Via::Jwt(_) | Via::ApiKey(_) | Via::External(_))
    }

    /// Whether it may do what `scope` names.
    pub(crate) fn holds(&self, scope: &str) -> bool {
        self.scopes.iter().flat_map(|scopes| scopes.iter()).any(|held| **held == *scope)
    }

    /// Its scopes.
    pub(crate) fn scopes(&self) -> &[Box<str>] {
        self.scopes.as_deref().unwrap_or_default()
    }

    /// Its roles; none when its token says something about them that cannot be read.
    pub(crate) fn roles(&self) -> Option<&[Box<str>]> {
        match &self.roles {
            Roles::None => Some(&[]),
            Roles::Held(roles) => Some(roles),
            Roles::Unreadable => None,
        }
    }

    /// What its token says at a path.
    pub(crate) fn said(&self, path: &[&str]) -> Option<&Value> {
        path.iter().try_fold(self.claims.as_deref()?, |value, step| value.as_object()?.get(*step))
    }

    /// Whether anybody proved it: who is anonymous, and who signed for the destination alone, is not.
    pub(crate) fn is_proved(&self) -> bool {
        matches!(self.name, Name::Proved(_))
    }

    /// Where what was proved lies in memory: the same for as long as it is remembered, and another one's never while this
    /// one is kept.
    pub(crate) fn address(&self) -> usize {
        match (&self.claims, &self.name) {
            (Some(claims), _) => Arc::as_ptr(claims).addr(),
            (None, Name::Proved(name)) => name.as_ptr().addr(),
            (None, Name::Fixed(name)) => name.as_ptr().addr(),
        }
    }

    /// What is said at `path`, as JSON; `None` for nothing and for `null`.
    pub(crate) fn value(&self, path: &ClaimPath) -> Option<Value> {
        match &self.claims {
            Some(claims) => lookup(claims, path).filter(|value| !value.is_null()).cloned(),
            None => self.claim(path).map(Value::String),
        }
    }

    /// What policies know of it: kept from the first time, or none where nothing is kept.
    pub(crate) fn known(&self, make: impl FnOnce() -> Known) -> Option<&Known> {
        self.kept.as_ref().map(|kept| kept.known.get_or_init(make))
    }

    /// What is said at `path`, as the value of a header: strings as they are, numbers and booleans as in
    /// JSON, lists of strings with commas between. A user of a realm has `sub` and `scope`.
    ///
    /// `None` for all that a destination could read in two ways: objects, control characters, blanks at an
    /// end (they vanish on the wire, so `" admin"` would arrive as `admin`), a comma inside of a list's
    /// item, and nothing at all.
    pub(crate) fn claim(&self, path: &ClaimPath) -> Option<String> {
        let text = match (&self.claims, &self.via) {
            (Some(claims), _) => header_text(lookup(claims, path)?)?,
            (None, Via::Basic(_)) => match path.0.as_slice() {
                [only] if **only == *"sub" => Cow::Borrowed(self.name()),
                [only] if **only == *"scope" => {
                    Cow::Owned(self.scopes.as_ref().map_or_else(String::new, |scopes| scopes.join(" ")))
                }
                _ => return None,
            },
            (None, Via::None | Via::Iam | Via::Jwt(_) | Via::ApiKey(_) | Via::Mtls(_) | Via::External(_)) => {
                return None;
            }
        };
        has_one_reading(&text).then(|| text.into_owned())
    }
}

impl fmt::Debug for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Claims are personal data: only what logs show anyway.
        write!(f, "{} via {}", self.name(), self.via())
    }
}

fn lookup<'c>(claims: &'c Value, path: &ClaimPath) -> Option<&'c Value> {
    path.0.iter().try_fold(claims, |value, step| value.as_object()?.get(&**step))
}

fn header_text(value: &Value) -> Option<Cow<'_, str>> {
    match value {
        Value::String(text) => Some(Cow::Borrowed(text)),
        Value::Number(number) => Some(Cow::Owned(number.to_string())),
        Value::Bool(flag) => Some(Cow::Borrowed(if *flag { "true" } else { "false" })),
        Value::Array(items) => {
            let texts: Option<Vec<&str>> = items.iter().map(list_item).collect();
            Some(Cow::Owned(texts?.join(",")))
        }
        Value::Null | Value::Object(_) => None,
    }
}

fn list_item(value: &Value) -> Option<&str> {
    value.as_str().filter(|text| has_one_reading(text) && !text.contains(','))
}

fn has_one_reading(text: &str) -> bool {
    !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn path(text: &str) -> ClaimPath {
        ClaimPath(text.split('.').map(Box::from).collect())
    }

    #[test]
    fn a_claim_becomes_a_header_or_nothing() {
        let claims = json!({
            "sub": "u-1", "n": 7, "f": 1.5, "yes": true, "none": null, "empty": "", "no_items": [],
            "realm_access": {"roles": ["a", "b"]}, "comma": ["a,b"], "mixed": ["a", 1], "nested": [["a"]],
            "line": "a\r\nx-admin: 1", "nul": "a\u{0}", "c1": "a\u{85}b", "blank": " admin", "tail": "admin ",
            "inner": "a b", "list_line": ["a", "b\n"], "list_blank": ["a", " b"], "umlaut": "jürgen",
        });
        let principal = Principal::of_token("u-1", "jwt:corp".into(), Vec::new(), claims);
        let cases = [
            ("sub", Some("u-1")),
            ("n", Some("7")),
            ("f", Some("1.5")),
            ("yes", Some("true")),
            ("realm_access.roles", Some("a,b")),
            ("inner", Some("a b")),
            ("umlaut", Some("jürgen")),
            ("none", None),
            ("empty", None),
            ("no_items", None),
            ("realm_access", None),
            ("realm_access.roles.0", None),
            ("sub.x", None),
            ("absent", None),
            ("comma", None),
            ("mixed", None),
            ("nested", None),
            ("line", None),
            ("nul", None),
            ("c1", None),
            ("blank", None),
            ("tail", None),
            ("list_line", None),
            ("list_blank", None),
        ];
        for (at, expected) in cases {
            assert_eq!(principal.claim(&path(at)).as_deref(), expected, "{at}");
        }
    }

    #[test]
    fn a_user_has_a_subject_and_scopes_and_others_have_nothing() {
        let scopes: Arc<[Box<str>]> = Arc::from(["read".into(), "write".into()]);
        let user = Principal::of_user("alice".into(), "basic:ops".into(), scopes);
        assert_eq!(user.claim(&path("sub")).as_deref(), Some("alice"));
        assert_eq!(user.claim(&path("scope")).as_deref(), Some("read write"));
        assert_eq!(user.claim(&path("email")), None);
        assert!(user.holds("read") && !user.holds("rea"));
        for nobody in [Principal::anonymous(), Principal::iam()] {
            assert_eq!(nobody.claim(&path("sub")), None, "{nobody:?}");
            assert!(!nobody.holds("") && !nobody.holds("read"));
        }
    }
}
