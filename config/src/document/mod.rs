//! The documents as they are written: field by field, unknown fields refused, leaf values already valid.
//!
//! Owns the wire form. Must never know behaviour: what a field means is decided in `check` and beyond.

mod api_keys;
mod authorization;
mod boundary;
mod breaker;
mod external;
mod identity;
mod identity_token;
mod limit;
pub(crate) mod mapping;
mod maps;
mod mtls;
mod policies;
mod registration;
mod revoked;
mod telemetry;

pub use api_keys::{ApiKeyRealm, Consumer, KeyDigest, KeyPlace};
pub use authorization::{Authorization, Claim, ClaimType, Group, Mode, NamedPolicy, Rights};
pub use boundary::{
    BoundaryDocument, BoundaryKind, ClientCertificate, Destination, DestinationTls, PathRule, PolicyLayer, Protocol,
    Requirement, Roots,
};
pub use breaker::Breaker;
pub use external::{AuthorizerFormat, ExternalAuthorizer, PayloadFormat};
pub use identity::{
    Algorithm, BasicRealm, BasicUser, ClaimRule, Identity, Jwk, Jwks, JwtIssuer, LockoutPolicy, TokenPlace,
};
pub use identity_token::IdentityToken;
pub use limit::{Limit, LimitBy};
pub use mtls::{CertificateSource, MtlsClient, MtlsRealm};
pub use policies::{AnyOf, Authenticator, BodyPolicy, PathHandling, PolicySet, RouteTimeouts, SignedFor};
pub use registration::{ApiVersion, Registration, RegistrationKind, Rewrite, RouteId, RouteMatch, Target};
pub use revoked::{RevokedDigests, RevokedText, RevokedTokens};
pub use telemetry::Telemetry;

pub(crate) use mapping::mapping;

/// Whether a field says nothing and can be left out.
pub(crate) fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}
