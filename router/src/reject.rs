//! The closed list of reasons why the router answers by itself, and the one maker of such answers.
//!
//! Owns the mapping from a reason to status, public words and headers. Must never know routes or snapshots:
//! nothing about the topology can leak from here.

#[path = "reject/grpc.rs"]
pub(crate) mod grpc;

use std::borrow::Cow;
use std::fmt;

use http::StatusCode;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER};

use crate::http1::Flaw;

/// Why the router answers by itself. `docs/reasons.md` documents them one by one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub(crate) enum Reason {
    // The request itself.
    BadRequest,
    HostMissing,
    HostInvalid,
    HostNotListed,
    PathAmbiguous,
    PathTooLong,
    HeaderInvalid,
    HeadersTooLarge,
    MethodNotSupported,
    UpgradeNotSupported,
    BodyTooLarge,
    BodyTooSlow,
    BodyMalformed,
    FramingAmbiguous,
    EncodingNotSupported,
    VersionNotSupported,
    HeadTooSlow,
    // Matching.
    RouteNotFound,
    MethodNotAllowed,
    // Identity.
    CredentialsMissing,
    CredentialsInvalid,
    TokenInvalid,
    TokenExpired,
    TokenRevoked,
    KeyExpired,
    CertificateMissing,
    CertificateNotKnown,
    CertificateNotValid,
    ScopeMissing,
    Sigv4ScopeMismatch,
    Sigv4HostMismatch,
    Sigv4PathMismatch,
    Sigv4HeaderMismatch,
    Sigv4DateSkew,
    RoleMissing,
    AddressDenied,
    PolicyDenied,
    AuthorizerDenied,
    KeysMissing,
    IdentityTokenUnavailable,
    AuthorizerUnavailable,
    AuthorizerAnswerInvalid,
    PasswordChecksBusy,
    TooManyFailures,
    RateLimited,
    // The router's own state.
    NotReady,
    Overloaded,
    ConfigTooOld,
    Internal,
    // The destination.
    BreakerOpen,
    DestinationUnresolved,
    DestinationAddressForbidden,
    DestinationRefused,
    DestinationConnectTimeout,
    TlsNameMismatch,
    TlsExpired,
    TlsUnknownIssuer,
    TlsFailed,
    DestinationTimeout,
    DestinationIdle,
    DestinationReset,
    DestinationProtocol,
    TotalTimeout,
    // The client went away.
    ClientClosed,
}

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Fault {
    Client,
    Router,
    Destination,
    Configuration,
}

impl Fault {
    /// As it stands in metrics and in `docs/reasons.md`.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Router => "router",
            Self::Destination => "destination",
            Self::Configuration => "configuration",
        }
    }
}

/// One row of the list.
struct Row {
    reason: Reason,
    code: &'static str,
    status: u16,
    fault: Fault,
    /// For the client: no name, address or path of anything behind the router.
    public: &'static str,
}

macro_rules! rows {
    ($($reason:ident $code:literal $status:literal $fault:ident $public:literal;)*) => {
        /// In the order of the enum, so that a reason is an index.
        const ROWS: &[Row] = &[$(Row {
            reason: Reason::$reason, code: $code, status: $status, fault: Fault::$fault, public: $public,
        }),*];
    };
}

rows! {
    BadRequest "bad_request" 400 Client "the request is malformed";
    HostMissing "host_missing" 400 Client "the request names no host, or more than one";
    HostInvalid "host_invalid" 400 Client "the host is not a DNS name";
    HostNotListed "host_not_listed" 421 Client "this host is not answered here";
    PathAmbiguous "path_ambiguous" 400 Client "the path has more than one reading";
    PathTooLong "path_too_long" 414 Client "the path is too long";
    HeaderInvalid "header_invalid" 400 Client "a header is malformed or has a name that is not accepted";
    HeadersTooLarge "headers_too_large" 431 Client "the headers are too large";
    MethodNotSupported "method_not_supported" 501 Client "this method is never routed";
    UpgradeNotSupported "upgrade_not_supported" 400 Client "this route does not change protocols";
    BodyTooLarge "body_too_large" 413 Client "the body is larger than this route takes";
    BodyTooSlow "body_too_slow" 408 Client "the body came too slowly";
    BodyMalformed "body_malformed" 400 Client "the body is malformed";
    FramingAmbiguous "framing_ambiguous" 400 Client "the length of the body has more than one reading";
    EncodingNotSupported "encoding_not_supported" 501 Client "the only transfer coding taken is chunked";
    VersionNotSupported "version_not_supported" 505 Client "this version of HTTP is not spoken here";
    HeadTooSlow "head_too_slow" 408 Client "the request's head came too slowly";
    RouteNotFound "route_not_found" 404 Client "no route matches this request";
    MethodNotAllowed "method_not_allowed" 405 Client "the route does not take this method";
    CredentialsMissing "credentials_missing" 401 Client "credentials are required";
    CredentialsInvalid "credentials_invalid" 401 Client "the credentials are not valid";
    TokenInvalid "token_invalid" 401 Client "the token is not valid";
    TokenExpired "token_expired" 401 Client "the token has expired";
    TokenRevoked "token_revoked" 401 Client "the token was revoked";
    KeyExpired "key_expired" 401 Client "the key has expired";
    CertificateMissing "certificate_missing" 401 Client "a client certificate is required";
    CertificateNotKnown "certificate_not_known" 401 Client "the client certificate is not one that is known here";
    CertificateNotValid "certificate_not_valid" 401 Client "the client certificate is not valid any more, or not yet";
    ScopeMissing "scope_missing" 403 Client "the caller lacks a required scope";
    Sigv4ScopeMismatch "sigv4_scope_mismatch" 403 Client "the signature is made for another region or service";
    Sigv4HostMismatch "sigv4_host_mismatch" 403 Client "the signature was made for another host than the destination is sent";
    Sigv4PathMismatch "sigv4_path_mismatch" 403 Client "the signature was made for another path than the destination is sent";
    Sigv4HeaderMismatch "sigv4_header_mismatch" 403 Client "a signed header does not reach the destination as it was sent";
    Sigv4DateSkew "sigv4_date_skew" 403 Client "the signature was made too long ago, or is yet to come";
    RoleMissing "role_missing" 403 Client "the caller lacks a required role";
    AddressDenied "address_denied" 403 Client "this route is not open to the client's address";
    PolicyDenied "policy_denied" 403 Client "a policy does not let the caller do this";
    AuthorizerDenied "authorizer_denied" 403 Client "an authorizer does not let the caller do this";
    KeysMissing "keys_missing" 503 Configuration "tokens cannot be verified at the moment";
    IdentityTokenUnavailable "identity_token_unavailable" 503 Configuration "the caller cannot be vouched for at the moment";
    AuthorizerUnavailable "authorizer_unavailable" 503 Destination "callers cannot be verified at the moment";
    AuthorizerAnswerInvalid "authorizer_answer_invalid" 503 Destination "callers cannot be verified at the moment";
    PasswordChecksBusy "password_checks_busy" 503 Router "too many passwords are being verified";
    TooManyFailures "too_many_failures" 429 Client "there were too many failed attempts";
    RateLimited "rate_limited" 429 Client "too many requests in too short a time";
    NotReady "not_ready" 503 Router "the router has no configuration yet";
    Overloaded "overloaded" 503 Router "the router has too much to do";
    ConfigTooOld "config_too_old" 503 Configuration "the configuration is too old to be trusted";
    Internal "internal" 500 Router "the router failed";
    BreakerOpen "breaker_open" 503 Destination "the destination fails too often to be asked at the moment";
    DestinationUnresolved "destination_unresolved" 502 Destination "the destination cannot be reached";
    DestinationAddressForbidden "destination_address_forbidden" 502 Configuration "the destination cannot be reached";
    DestinationRefused "destination_refused" 502 Destination "the destination cannot be reached";
    DestinationConnectTimeout "destination_connect_timeout" 504 Destination "the destination did not answer in time";
    TlsNameMismatch "tls_name_mismatch" 502 Destination "the destination could not be verified";
    TlsExpired "tls_expired" 502 Destination "the destination could not be verified";
    TlsUnknownIssuer "tls_unknown_issuer" 502 Destination "the destination could not be verified";
    TlsFailed "tls_failed" 502 Destination "the destination could not be verified";
    DestinationTimeout "destination_timeout" 504 Destination "the destination did not answer in time";
    DestinationIdle "destination_idle" 504 Destination "the destination stopped in the middle of its answer";
    DestinationReset "destination_reset" 502 Destination "the destination closed the connection";
    DestinationProtocol "destination_protocol" 502 Destination "the destination's answer is malformed";
    TotalTimeout "total_timeout" 504 Destination "the request took too long";
    ClientClosed "client_closed" 499 Client "the client closed the connection";
}

impl Reason {
    fn row(self) -> &'static Row {
        let row = &ROWS[self as usize];
        debug_assert!(row.reason == self, "the rows are in the order of the enum");
        row
    }

    /// The word in the problem body, the header, the log and the metrics.
    pub(crate) fn code(self) -> &'static str {
        self.row().code
    }

    /// The status that a client gets.
    pub(crate) fn status(self) -> StatusCode {
        StatusCode::from_u16(self.row().status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
    }

    /// Whose move it is.
    pub(crate) fn fault(self) -> Fault {
        self.row().fault
    }

    /// Whether it says that the request may not pass, rather than that something failed on its way.
    pub(crate) fn is_denial(self) -> bool {
        self < Self::NotReady
    }

    /// What a client may read.
    pub(crate) fn public(self) -> &'static str {
        self.row().public
    }

    /// Every reason, for metrics and documentation.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        ROWS.iter().map(|row| row.reason)
    }
}

/// The router's own refusal: a reason, and for the log what exactly was found.
pub(crate) struct Rejection {
    /// Why.
    pub(crate) reason: Reason,
    /// For the log alone. Never a secret, never a body.
    pub(crate) detail: Cow<'static, str>,
    /// `WWW-Authenticate`, `Allow` or `Retry-After`, as the status asks for.
    pub(crate) headers: Vec<(http::HeaderName, http::HeaderValue)>,
}

impl Rejection {
    /// A refusal with words for the log.
    pub(crate) fn new(reason: Reason, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { reason, detail: detail.into(), headers: Vec::new() }
    }

    /// The same refusal with one more header.
    #[must_use]
    pub(crate) fn header(mut self, name: http::HeaderName, value: http::HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

/// An answer of the router's own.
pub(crate) struct Local {
    /// Its status.
    pub(crate) status: StatusCode,
    /// Its fields, but for those of framing.
    pub(crate) headers: Vec<(HeaderName, HeaderValue)>,
    /// Its body, whole.
    pub(crate) body: Vec<u8>,
}

/// The answer to a refusal (RFC 9457): what went wrong, and under which name to ask about it.
pub(crate) fn answer(rejection: &Rejection, request_id: &str) -> Local {
    let reason = rejection.reason;
    let status = reason.status();
    let problem = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or("Client Closed Request"),
        "status": status.as_u16(),
        "reason": reason.code(),
        "detail": reason.public(),
        "request_id": request_id,
    });
    let mut headers = vec![
        (CONTENT_TYPE, HeaderValue::from_static("application/problem+json")),
        (CACHE_CONTROL, HeaderValue::from_static("no-store")),
        (HeaderName::from_static("x-postern-reason"), HeaderValue::from_static(reason.code())),
    ];
    if let Ok(id) = HeaderValue::from_str(request_id) {
        headers.push((HeaderName::from_static("x-request-id"), id));
    }
    if matches!(status.as_u16(), 429 | 503) && !rejection.headers.iter().any(|(name, _)| name == RETRY_AFTER) {
        headers.push((RETRY_AFTER, HeaderValue::from_static("1")));
    }
    headers.extend(rejection.headers.iter().cloned());
    Local { status, headers, body: problem.to_string().into_bytes() }
}

impl From<Flaw> for Rejection {
    fn from(flaw: Flaw) -> Self {
        let reason = match flaw {
            Flaw::BareLf | Flaw::FirstLine | Flaw::Target => Reason::BadRequest,
            Flaw::Version => Reason::VersionNotSupported,
            Flaw::Field => Reason::HeaderInvalid,
            Flaw::TooManyFields | Flaw::HeadTooLarge => Reason::HeadersTooLarge,
            Flaw::FirstLineTooLong => Reason::PathTooLong,
            Flaw::TwoFramings | Flaw::ContentLength | Flaw::TransferEncoding => Reason::FramingAmbiguous,
            Flaw::TransferCoding => Reason::EncodingNotSupported,
            Flaw::Chunk | Flaw::ChunkTooLong => Reason::BodyMalformed,
        };
        Self::new(reason, flaw.to_string())
    }
}

impl From<Reason> for Rejection {
    fn from(reason: Reason) -> Self {
        Self::new(reason, "")
    }
}

impl fmt::Debug for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.reason.code(), self.detail)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_is_its_own_row() {
        for (index, row) in ROWS.iter().enumerate() {
            assert_eq!(row.reason as usize, index, "{}", row.code);
            assert_eq!(row.reason.code(), row.code);
        }
        let mut codes: Vec<_> = Reason::all().map(Reason::code).collect();
        codes.sort_unstable();
        codes.dedup();
        assert_eq!(codes.len(), ROWS.len());
        assert!(ROWS.len() <= 90);
    }
}
