//! Who else may be asked who calls: authorizers that answer over HTTP, in the words of API Gateway's Lambda authorizers or
//! with a plain yes or no.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{TokenPlace, is_default, mapping};
use crate::value::{DestinationUrl, HeaderName, HostName, Name, Period};

/// An authorizer that is asked over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ExternalAuthorizer {
    /// How it is called in policies.
    pub name: Name,
    /// Where it is asked. A destination of the boundary must allow it, and says how it is dialled.
    pub url: DestinationUrl,
    /// The Host sent, and the name in its certificate; the URL's host when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<HostName>,
    /// What it is told, and how it answers.
    pub speaks: AuthorizerFormat,
    /// Which form `speaks: request` has; `1.0` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<PayloadFormat>,
    /// What callers prove themselves with. All of them must be there, else the request is refused without a call; answers
    /// are remembered by their values. `strip` is `false` for `authorization` when left out.
    pub identity_sources: Vec<TokenPlace>,
    /// For `speaks: plain`: headers of the request that go along.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub headers: Vec<HeaderName>,
    /// For `speaks: plain`: headers of a good answer that become claims, each as `context.NAME`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copy: Vec<HeaderName>,
    /// The account in the ARNs that policies are held against, 12 digits; the word `postern` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// How long an answer is remembered, an hour at most; 5 minutes when left out, and `0s` for not at all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<Period>,
    /// How long it may take to answer, 30 seconds at most; 2 seconds when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Period>,
    /// How many calls each core has under way at most; 64 when left out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub max_in_flight: Option<u32>,
}

/// What an authorizer is told, and how it answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AuthorizerFormat {
    /// The input of a Lambda authorizer of type `TOKEN`: the one identity source, and what is called. It answers with an IAM
    /// policy, or with `isAuthorized`.
    Token,
    /// The input of a Lambda authorizer of type `REQUEST`: headers, query and what is called. It answers as for `token`.
    Request,
    /// A `GET` with the identity sources and the headers that are named. 200 is a yes, 401 and 403 are a no.
    Plain,
}

/// The form of the input of `speaks: request`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum PayloadFormat {
    /// As REST APIs have it.
    #[default]
    #[serde(rename = "1.0")]
    V1,
    /// As HTTP APIs have it.
    #[serde(rename = "2.0")]
    V2,
}

impl ExternalAuthorizer {
    /// The Host that is sent.
    pub fn host(&self) -> &HostName {
        self.host.as_ref().unwrap_or(&self.url.host)
    }
}

mapping!(ExternalAuthorizer);
