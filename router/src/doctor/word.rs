//! What an answer means, read from its status, its headers and the phrases that API Gateway is known to use.
//!
//! A body may repeat what the request brought, a token too ("Troubleshoot 403 errors"), so nothing of it is told but what
//! stands here, and the name of the resource that was refused.

/// An answer, as much of it as is looked at.
#[derive(Debug, Clone, Default)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    /// `x-amzn-errortype`, without what may follow a colon.
    pub(crate) error_type: Option<String>,
    /// Whether API Gateway put its name on it.
    pub(crate) gateway: bool,
    pub(crate) server: Option<String>,
    /// `Date`, in seconds after 1970.
    pub(crate) date: Option<i64>,
    /// The front of the body.
    pub(crate) body: String,
}

/// Which policy refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum By {
    /// The API's resource policy.
    Resource,
    /// The VPC endpoint's policy.
    Endpoint,
    /// Those of the caller, or of its organization.
    Identity,
    /// It is not said.
    Unsaid,
}

/// What API Gateway, or the service, says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Word {
    /// Below 400.
    Fine,
    /// `MissingAuthenticationTokenException`: mostly no such method and path.
    UnknownMethod,
    /// `ForbiddenException`, which says nothing more.
    Forbidden,
    /// A policy does not let the caller in.
    Denied { by: By, explicit: bool, anonymous: bool },
    /// An authorizer does not.
    AuthorizerDenied,
    /// The signature is no good, and why.
    Signature(Flaw),
    /// Credentials are asked for, or not taken.
    Unauthorized,
    /// 429.
    Throttled,
    /// API Gateway's own integration did not answer in time.
    IntegrationTimeout,
    /// The authorizer of the API failed.
    AuthorizerBroken,
    /// Another failure that API Gateway tells of.
    GatewayFailed,
    /// HTTP in clear text on a port that speaks TLS.
    WantsTls,
    /// Whatever else the service says by itself.
    Own,
}

/// What is wrong with a signature.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flaw {
    Expired,
    Early,
    Mismatch,
    Scope,
    Incomplete,
    TokenExpired,
    UnknownKey,
}

impl Answered {
    /// What it means.
    pub(crate) fn word(&self) -> Word {
        if self.status < 400 {
            return Word::Fine;
        }
        let body = self.body.to_lowercase();
        let says = |phrase: &str| body.contains(phrase);
        if says("not authorized to perform: execute-api:invoke") || says("not authorized to perform: execute-api:*") {
            return denied(&body);
        }
        if says("user is not authorized to access this resource") {
            return Word::AuthorizerDenied;
        }
        // Before the type: that of a bad Authorization header is several, and the phrases tell them apart.
        if let Some(flaw) = self.flaw(&body) {
            return Word::Signature(flaw);
        }
        match (self.kind(), self.status) {
            ("MissingAuthenticationToken", _) => Word::UnknownMethod,
            ("AccessDenied", _) => Word::Denied { by: By::Unsaid, explicit: false, anonymous: false },
            ("AuthorizerConfiguration" | "AuthorizerFailure", _) => Word::AuthorizerBroken,
            (_, 403) if says("missing authentication token") => Word::UnknownMethod,
            ("Forbidden", _) => Word::Forbidden,
            (_, 403) if self.gateway && says("\"forbidden\"") => Word::Forbidden,
            (_, 401) => Word::Unauthorized,
            (_, 429) => Word::Throttled,
            // What HTTP APIs say for either.
            (_, 404) if self.gateway && says("\"not found\"") => Word::UnknownMethod,
            (_, 504) if self.gateway => Word::IntegrationTimeout,
            (_, 500..) if self.gateway && self.error_type.is_some() => Word::GatewayFailed,
            (_, 400) if says("plain http request was sent to https port") => Word::WantsTls,
            _ => Word::Own,
        }
    }

    /// The type without the end that all have.
    fn kind(&self) -> &str {
        let kind = self.error_type.as_deref().unwrap_or_default();
        kind.strip_suffix("Exception").unwrap_or(kind)
    }

    fn flaw(&self, body: &str) -> Option<Flaw> {
        const PHRASES: [(&str, Flaw); 9] = [
            ("signature expired", Flaw::Expired),
            ("signature not yet current", Flaw::Early),
            ("request signature we calculated does not match", Flaw::Mismatch),
            ("credential should be scoped", Flaw::Scope),
            ("security token included in the request is expired", Flaw::TokenExpired),
            ("security token included in the request is invalid", Flaw::UnknownKey),
            ("authorization header requires", Flaw::Incomplete),
            ("not a valid key=value pair", Flaw::Incomplete),
            ("invalid key=value pair", Flaw::Incomplete),
        ];
        let said = PHRASES.iter().find(|(phrase, _)| body.contains(phrase)).map(|(_, flaw)| *flaw);
        said.or(match self.kind() {
            "InvalidSignature" => Some(Flaw::Mismatch),
            "IncompleteSignature" => Some(Flaw::Incomplete),
            "ExpiredToken" => Some(Flaw::TokenExpired),
            "UnrecognizedClient" | "InvalidClientTokenId" => Some(Flaw::UnknownKey),
            _ => None,
        })
    }

    /// The resource that a policy refused, as API Gateway names it; nothing with a character that no such name has.
    pub(crate) fn resource(&self) -> Option<&str> {
        let fits = |c: char| c.is_ascii_alphanumeric() || ":/_-.*".contains(c);
        let mut names = self.body.match_indices("arn:aws").map(|(start, _)| {
            let rest = &self.body[start..];
            &rest[..rest.find(|c| !fits(c)).unwrap_or(rest.len())]
        });
        // The caller's own name may stand in front of it.
        names.find(|name| name.contains(":execute-api:") && name.len() <= RESOURCE)
    }

    /// Status and type, in words.
    pub(crate) fn to_text(&self) -> String {
        match (&self.error_type, &self.server) {
            (Some(kind), _) => format!("{} {kind}", self.status),
            (None, Some(server)) => format!("{} from {server}", self.status),
            (None, None) => self.status.to_string(),
        }
    }
}

/// The longest name of a resource that is told.
const RESOURCE: usize = 256;

fn denied(body: &str) -> Word {
    let says = |phrase: &str| body.contains(phrase);
    let anonymous = says("user: anonymous");
    let by = if says("resource-based policy") {
        By::Resource
    } else if says("vpc endpoint policy") {
        By::Endpoint
    } else if ["identity-based policy", "permissions boundary", "service control policy", "session policy"]
        .iter()
        .any(|phrase| says(phrase))
    {
        By::Identity
    } else if anonymous {
        // Nobody without a name has policies of its own.
        By::Resource
    } else {
        By::Unsaid
    };
    Word::Denied { by, explicit: says("explicit deny"), anonymous }
}
