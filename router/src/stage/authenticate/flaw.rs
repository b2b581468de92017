//! What can be wrong with credentials, each with the reason a client gets and the words for the log.

use crate::reject::Reason;

/// What is wrong with the credentials of a request. The log says which; a client learns no more than
/// "missing", "invalid" or "expired", so that a forger is not told how far it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Flaw {
    // Of the request.
    Missing,
    Several,
    Malformed,
    NotAccepted,
    BasicTooLong,
    BasicEncoding,
    BasicControl,
    SignatureForm,
    // Of a password, found by the pool.
    UnknownUser,
    WrongPassword,
    // Of a consumer's key.
    ApiKeyForm,
    UnknownApiKey,
    WrongApiKey,
    RevokedApiKey,
    ExpiredApiKey,
    // Of a client's certificate.
    MissingCertificate,
    UnknownCertificate,
    InvalidCertificate,
    // Of a token's form.
    TokenTooLong,
    TokenParts,
    TokenEncoding,
    TokenJson,
    // Of its header.
    Algorithm,
    Critical,
    TokenType,
    NestedToken,
    KeyIdType,
    UnknownKey,
    // Of its signature.
    Signature,
    // Of its claims.
    UnknownIssuer,
    Audience,
    Times,
    NotYetValid,
    Expired,
    Subject,
    Scopes,
    Revoked,
    AuthorizedParty,
    Claim,
    IssuerScopes,
    // Of the configuration.
    NoKeys,
    NoPepper,
    KeyAwaited,
}

impl Flaw {
    /// The reason that a client gets.
    pub(crate) fn reason(self) -> Reason {
        match self {
            Self::Missing => Reason::CredentialsMissing,
            Self::Several
            | Self::Malformed
            | Self::NotAccepted
            | Self::BasicTooLong
            | Self::BasicEncoding
            | Self::BasicControl
            | Self::SignatureForm
            | Self::UnknownUser
            | Self::WrongPassword
            | Self::ApiKeyForm
            | Self::UnknownApiKey
            | Self::WrongApiKey
            | Self::RevokedApiKey => Reason::CredentialsInvalid,
            Self::ExpiredApiKey => Reason::KeyExpired,
            Self::MissingCertificate => Reason::CertificateMissing,
            Self::UnknownCertificate => Reason::CertificateNotKnown,
            Self::InvalidCertificate => Reason::CertificateNotValid,
            Self::TokenTooLong
            | Self::TokenParts
            | Self::TokenEncoding
            | Self::TokenJson
            | Self::Algorithm
            | Self::Critical
            | Self::TokenType
            | Self::NestedToken
            | Self::KeyIdType
            | Self::UnknownKey
            | Self::Signature
            | Self::UnknownIssuer
            | Self::Audience
            | Self::Times
            | Self::NotYetValid
            | Self::Subject
            | Self::Scopes
            | Self::AuthorizedParty
            | Self::Claim => Reason::TokenInvalid,
            Self::IssuerScopes => Reason::ScopeMissing,
            Self::Expired => Reason::TokenExpired,
            Self::Revoked => Reason::TokenRevoked,
            Self::NoKeys | Self::NoPepper | Self::KeyAwaited => Reason::KeysMissing,
        }
    }

    /// For the log. Fixed words: nothing of what the client sent is ever in them.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Self::Missing => "no credentials",
            Self::Several => "more than one credential",
            Self::Malformed => "authorization header: malformed",
            Self::NotAccepted => "a scheme that this route does not take",
            Self::BasicTooLong => "basic: too long",
            Self::BasicEncoding => "basic: not base64 of user:password in UTF-8",
            Self::BasicControl => "basic: control characters",
            Self::SignatureForm => "iam: malformed signature",
            Self::UnknownUser => "basic: unknown user",
            Self::WrongPassword => "basic: wrong password",
            Self::ApiKeyForm => "key: not of the form pk_ID_SECRET",
            Self::UnknownApiKey => "key: unknown id",
            Self::WrongApiKey => "key: wrong secret",
            Self::RevokedApiKey => "key: revoked",
            Self::ExpiredApiKey => "key: expired",
            Self::MissingCertificate => "certificate: none was shown",
            Self::UnknownCertificate => "certificate: it is nobody's in the realms of this route",
            Self::InvalidCertificate => "certificate: it is not valid now",
            Self::TokenTooLong => "token: too long",
            Self::TokenParts => "token: not three parts",
            Self::TokenEncoding => "token: not base64url",
            Self::TokenJson => "token: not a JSON object without repeated members",
            Self::Algorithm => "token: algorithm not accepted for its key",
            Self::Critical => "token: an extension that must be understood",
            Self::TokenType => "token: not of type JWT",
            Self::NestedToken => "token: nested or encrypted",
            Self::KeyIdType => "token: kid is not a string",
            Self::UnknownKey => "token: unknown key id",
            Self::Signature => "token: signature does not verify",
            Self::UnknownIssuer => "token: iss is none that this route takes",
            Self::Audience => "token: aud names nobody here",
            Self::Times => "token: exp is missing, or exp, nbf or iat is not a number",
            Self::NotYetValid => "token: not valid yet",
            Self::Expired => "token: expired",
            Self::Revoked => "token: revoked",
            Self::Subject => "token: sub is not a plain string",
            Self::Scopes => "token: scope or scp is not a list of strings",
            Self::AuthorizedParty => "token: azp is none that the issuer's rules take",
            Self::Claim => "token: a claim that the issuer's rules ask for",
            Self::IssuerScopes => "token: a scope that the issuer's rules ask for",
            Self::KeyAwaited => "token: unknown key id, and the keys are being fetched",
            Self::NoKeys => "token: the issuer has no keys",
            Self::NoPepper => "key: the realm has no pepper",
        }
    }
}
