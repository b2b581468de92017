//! Authorizers that are asked over HTTP: when a request is one for them, what they are told, and what their answers mean.
//!
//! Asking takes time and a connection, so the stage only says who is to be asked; `authorizers` asks. Here is all that is
//! decided before and after it. What is not understood of an answer lets nobody pass. Must never know sockets or clocks,
//! nor show what a caller proved itself with.

mod answer;
mod arn;
mod input;
mod policy;
mod rulings;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::header::WWW_AUTHENTICATE;
use postern_config::document::{AuthorizerFormat, ExternalAuthorizer, PayloadFormat};
use postern_config::value::Period;
use serde_json::{Map, Value};
use sha2::{Digest as _, Sha256};
use smallvec::SmallVec;

pub(crate) use self::answer::{ANSWER_MAX, Fault};
use self::arn::Api;
pub(crate) use self::input::Call;
pub(crate) use self::policy::Ruling;
pub(crate) use self::rulings::{Digest, Rulings};
use super::{Flaw, challenge};
use crate::http1::{Fields, RequestHead};
use crate::place::{Ambiguous, TokenPlace};
use crate::principal::Principal;
use crate::reject::{Reason, Rejection};
use crate::rights::Circumstances;
use crate::snapshot::{Destination, Target};

/// An authorizer, compiled.
pub(crate) struct Authorizer {
    /// `external:NAME`.
    via: Arc<str>,
    format: Format,
    /// All that a caller must bring.
    sources: Box<[TokenPlace]>,
    account: Option<Box<str>>,
    ttl: Duration,
    timeout: Duration,
    in_flight: usize,
    destination: Arc<Destination>,
    /// What is asked for there.
    path: Box<str>,
    challenge: HeaderValue,
    /// Of all that it was made from: an answer of another one is none of its own.
    identity: [u8; 32],
}

/// What an authorizer is told.
enum Format {
    Token,
    Request(PayloadFormat),
    Plain {
        /// Headers of the request that go along.
        headers: Box<[Box<str>]>,
        /// Headers of the answer that become claims.
        copy: Box<[Box<str>]>,
    },
}

/// An authorizer as a route asks it.
pub(crate) struct External {
    authorizer: Arc<Authorizer>,
    api: Api,
}

/// The request that an authorizer is asked about.
pub(crate) struct Question<'r> {
    pub(crate) head: &'r RequestHead,
    pub(crate) about: Circumstances<'r>,
    /// `https` or `http`.
    pub(crate) scheme: &'static str,
    /// The name of the exchange.
    pub(crate) id: &'r str,
}

/// How much of what an authorizer reads is there.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Present {
    Nothing,
    Some,
    All,
}

impl Authorizer {
    /// Makes one that is asked at `destination`.
    ///
    /// # Errors
    /// What makes it useless.
    pub(crate) fn compile(document: &ExternalAuthorizer, destination: Arc<Destination>) -> Result<Self, String> {
        let names = |list: &[postern_config::value::HeaderName]| list.iter().map(|name| name.as_str().into()).collect();
        let format = match document.speaks {
            AuthorizerFormat::Token => Format::Token,
            AuthorizerFormat::Request => Format::Request(document.payload.unwrap_or_default()),
            AuthorizerFormat::Plain => Format::Plain { headers: names(&document.headers), copy: names(&document.copy) },
        };
        let sources: Vec<TokenPlace> = document
            .identity_sources
            .iter()
            .map(|source| {
                // As for tokens of issuers: what stands in Authorization is the destination's, too.
                let is_standard = source.header.as_ref().is_some_and(|name| name.as_str() == AUTHORIZATION);
                let strip = source.strip.unwrap_or(!is_standard);
                TokenPlace::compile(&postern_config::document::TokenPlace { strip: Some(strip), ..source.clone() })
            })
            .collect::<Result<_, _>>()?;
        if sources.is_empty() {
            return Err("names no identity source".to_owned());
        }
        let bearer = document.identity_sources.iter().filter_map(|one| one.header.as_ref());
        let bearer = bearer.map(|name| name.as_str()).any(|name| name == AUTHORIZATION);
        let mut identity = Sha256::new();
        identity.update(serde_json::to_vec(document).map_err(|error| error.to_string())?);
        identity.update(destination.key().as_bytes());
        let or = |period: Option<Period>, usual| period.map_or(usual, Period::duration);
        Ok(Self {
            via: format!("external:{}", document.name).into(),
            format,
            sources: sources.into(),
            account: document.account.as_deref().map(Into::into),
            ttl: or(document.ttl, TTL),
            timeout: or(document.timeout, TIMEOUT),
            in_flight: document.max_in_flight.map_or(IN_FLIGHT, |most| most as usize),
            destination,
            path: document.url.path.as_str().into(),
            challenge: challenge::of_authorizer(document.name.as_str(), bearer),
            identity: identity.finalize().into(),
        })
    }
}

impl External {
    /// The authorizer as a route asks it that leads to `targets`.
    pub(crate) fn on(authorizer: Arc<Authorizer>, targets: &[Target]) -> Self {
        let api = Api::of(targets, authorizer.account.as_deref());
        Self { authorizer, api }
    }

    /// Where callers have what they prove themselves with.
    pub(crate) fn places(&self) -> &[TokenPlace] {
        &self.authorizer.sources
    }

    /// The `WWW-Authenticate` that goes with its refusals.
    pub(super) fn challenge(&self) -> &HeaderValue {
        &self.authorizer.challenge
    }

    /// Where it is asked.
    pub(crate) fn destination(&self) -> &Arc<Destination> {
        &self.authorizer.destination
    }

    /// How long it may take.
    pub(crate) fn timeout(&self) -> Duration {
        self.authorizer.timeout
    }

    /// For how long its answers hold.
    pub(crate) fn ttl(&self) -> Duration {
        self.authorizer.ttl
    }

    /// How many calls one core may have under way.
    pub(crate) fn in_flight(&self) -> usize {
        self.authorizer.in_flight
    }

    /// What tells it from every other authorizer, and from itself as it was before.
    pub(crate) fn identity(&self) -> [u8; 32] {
        self.authorizer.identity
    }

    /// How much of what it reads is there.
    pub(super) fn presented(&self, headers: &Fields, query: Option<&str>) -> Result<Present, Flaw> {
        let mut there = 0;
        for place in self.places() {
            let value = place.find(headers, query).map_err(|ambiguous| match ambiguous {
                Ambiguous::Twice => Flaw::Several,
                Ambiguous::Spelling => Flaw::Malformed,
            })?;
            // An empty one proves nothing, and API Gateway takes it for none.
            there += usize::from(value.is_some_and(|value| !value.is_empty()));
        }
        Ok(match there {
            0 => Present::Nothing,
            all if all == self.places().len() => Present::All,
            _ => Present::Some,
        })
    }

    /// What the request brings, in the order of the sources. They were there when the stage looked.
    fn values<'r>(&self, question: &Question<'r>) -> SmallVec<[&'r str; 2]> {
        let (fields, query) = (question.head.fields(), question.head.query());
        self.places().iter().map(|place| place.find(fields, query).ok().flatten().unwrap_or_default()).collect()
    }

    /// What is asked for, in the words of policies.
    ///
    /// # Errors
    /// When the path has more than one reading: a policy that forbids the one would not see the other.
    pub(crate) fn arn(&self, question: &Question<'_>) -> Result<String, Rejection> {
        let path = question.about.path.ok_or(Reason::PathAmbiguous)?;
        Ok(self.api.arn(question.about.method, path))
    }

    /// What a ruling means for the request of that ARN.
    ///
    /// # Errors
    /// 401 or 403.
    pub(crate) fn apply(&self, ruling: &Ruling, arn: &str) -> Result<Principal, Rejection> {
        let denied = |why: &'static str| Rejection::new(Reason::AuthorizerDenied, format!("{}: {why}", self.via()));
        match ruling {
            Ruling::Yes(caller) => Ok(caller.clone()),
            Ruling::Policy(caller, policy) => policy.check(arn).map(|()| caller.clone()).map_err(denied),
            Ruling::No => Err(denied("not authorized")),
            Ruling::Unauthorized => {
                let words = format!("{}: unauthorized", self.via());
                let rejection = Rejection::new(Reason::CredentialsInvalid, words);
                Err(rejection.header(WWW_AUTHENTICATE, self.challenge().clone()))
            }
        }
    }

    /// The refusal when there is no answer to go by.
    pub(crate) fn failed(&self, fault: &Fault) -> Rejection {
        let (reason, words) = match fault {
            Fault::Unavailable(words) => (Reason::AuthorizerUnavailable, words),
            Fault::Invalid(words) => (Reason::AuthorizerAnswerInvalid, words),
        };
        Rejection::new(reason, format!("{}: {words}", self.via()))
    }

    /// A caller of whom nothing was asked, for those who only explain.
    pub(crate) fn unasked(&self) -> Principal {
        self.caller("", Map::new())
    }

    /// `external:NAME`.
    pub(crate) fn via(&self) -> &str {
        &self.authorizer.via
    }

    fn caller(&self, name: &str, context: Map<String, Value>) -> Principal {
        let claims = [("sub", Value::from(name)), ("context", Value::Object(context))];
        let claims = claims.into_iter().map(|(claim, value)| (claim.to_owned(), value)).collect();
        Principal::of_external(name, Arc::clone(&self.authorizer.via), claims)
    }
}

const AUTHORIZATION: &str = "authorization";

/// As API Gateway has it.
const TTL: Duration = Duration::from_secs(300);

/// Callers wait for it in front of everything else.
const TIMEOUT: Duration = Duration::from_secs(2);

/// With 50 ms for each, 1 280 calls a second and core.
const IN_FLIGHT: usize = 64;
