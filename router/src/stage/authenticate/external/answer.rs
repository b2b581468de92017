//! What an authorizer's answer means. Whatever is not exactly a yes or a no is neither.
//!
//! The forms are those of Lambda authorizers
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-output.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html>).

use std::borrow::Cow;

use http::StatusCode;
use serde_json::{Map, Value};

use super::policy::{Policy, only};
use super::{External, Format, Ruling};
use crate::http1::{Fields, text};
use crate::stage::authenticate::json;

/// Why there is no ruling. Fixed words, but for the names of our own reasons: nothing of an answer is ever in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It could not be asked, or said that it could not answer.
    Unavailable(Cow<'static, str>),
    /// What it said is no answer.
    Invalid(Cow<'static, str>),
}

impl Fault {
    fn invalid(words: &'static str) -> Self {
        Self::Invalid(Cow::Borrowed(words))
    }
}

impl External {
    /// The ruling that an answer is. `body` is whole, and no longer than [`ANSWER_MAX`].
    ///
    /// # Errors
    /// Why it is none.
    pub(crate) fn judge(&self, status: StatusCode, fields: &Fields, body: &[u8]) -> Result<Ruling, Fault> {
        match (&self.authorizer.format, status.as_u16()) {
            (Format::Plain { .. }, 401) => Ok(Ruling::Unauthorized),
            (Format::Plain { .. }, 403) => Ok(Ruling::No),
            (Format::Plain { copy, .. }, 200) => self.copied(copy, fields),
            (Format::Token | Format::Request(_), 200) => self.read(body),
            (_, 429 | 500..) => Err(Fault::Unavailable(format!("status {}", status.as_u16()).into())),
            // Redirects, too: where it is asked is decided by the boundary.
            _ => Err(Fault::Invalid(format!("status {}", status.as_u16()).into())),
        }
    }

    fn copied(&self, names: &[Box<str>], fields: &Fields) -> Result<Ruling, Fault> {
        let mut context = Map::new();
        for name in names {
            let mut values = fields.all(name);
            let value = values.next();
            if values.next().is_some() {
                return Err(Fault::invalid("a header that becomes a claim is there twice"));
            }
            // What is no plain text becomes no claim, as everywhere.
            if let Some(value) = value.and_then(text) {
                context.insert(name.to_string(), value.into());
            }
        }
        Ok(Ruling::Yes(self.caller("", bounded(context)?)))
    }

    fn read(&self, body: &[u8]) -> Result<Ruling, Fault> {
        // A function that ends with the error "Unauthorized" means 401, in whatever way its words come here.
        if body.trim_ascii() == br#""Unauthorized""# {
            return Ok(Ruling::Unauthorized);
        }
        let answer = json::object(body).ok_or(Fault::invalid("not a JSON object without repeated members"))?;
        if let Some(message) = answer.get("errorMessage") {
            return match message.as_str() {
                Some("Unauthorized") => Ok(Ruling::Unauthorized),
                _ => Err(Fault::Unavailable(Cow::Borrowed("it answered with an error"))),
            };
        }
        only(&answer, &["principalId", "policyDocument", "isAuthorized", "context", "usageIdentifierKey"])
            .ok_or(Fault::invalid("a member that is not understood"))?;
        let context = read_context(answer.get("context"))?;
        let name = match answer.get("principalId") {
            None => None,
            Some(Value::String(name)) if is_name(name) => Some(name.as_str()),
            Some(_) => return Err(Fault::invalid("principalId is no plain text")),
        };
        match (answer.get("isAuthorized"), answer.get("policyDocument")) {
            (Some(Value::Bool(true)), None) => Ok(Ruling::Yes(self.caller(name.unwrap_or_default(), context))),
            (Some(Value::Bool(false)), None) => Ok(Ruling::No),
            (None, Some(document)) => {
                let name = name.ok_or(Fault::invalid("principalId is missing"))?;
                let policy = Policy::compile(document).map_err(Fault::invalid)?;
                Ok(Ruling::Policy(self.caller(name, context), policy))
            }
            (Some(_), None) => Err(Fault::invalid("isAuthorized is neither true nor false")),
            (None, None) => Err(Fault::invalid("neither policyDocument nor isAuthorized")),
            (Some(_), Some(_)) => Err(Fault::invalid("both policyDocument and isAuthorized")),
        }
    }
}

/// Texts, numbers and flags; lists and objects become no claims.
fn read_context(context: Option<&Value>) -> Result<Map<String, Value>, Fault> {
    let plain = |value: &Value| matches!(value, Value::String(_) | Value::Number(_) | Value::Bool(_));
    match context {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(members)) => {
            bounded(members.clone())?;
            Ok(members
                .iter()
                .filter(|(_, value)| plain(value))
                .map(|(name, one)| (name.clone(), one.clone()))
                .collect())
        }
        Some(_) => Err(Fault::invalid("context is no object")),
    }
}

fn bounded(context: Map<String, Value>) -> Result<Map<String, Value>, Fault> {
    let size = |value: &Value| value.as_str().map_or_else(|| value.to_string().len(), str::len);
    let bytes: usize = context.iter().map(|(name, value)| name.len() + size(value)).sum();
    match context.len() <= CONTEXT_KEYS && bytes <= CONTEXT_BYTES {
        true => Ok(context),
        false => Err(Fault::invalid("context is too large")),
    }
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.len() <= 1_024 && !text.chars().any(char::is_control)
}

/// The longest answer, in bytes: policies of API Gateway end at 8 KB.
pub(crate) const ANSWER_MAX: usize = 64 * 1024;

/// The most members of a context, and the most bytes of them: they are kept with every answer, and may go into headers.
const CONTEXT_KEYS: usize = 64;
const CONTEXT_BYTES: usize = 8 * 1024;
