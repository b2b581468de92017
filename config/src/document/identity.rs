//! Who may prove what: issuers of tokens, realms of users, and (in `api_keys`) of consumers and (in `mtls`) of clients
//! with certificates. Public keys and hashes
//! only, but for the shared keys of `HS*` issuers, which the syncer moves out before anything is written.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApiKeyRealm, ExternalAuthorizer, Mode, MtlsRealm, RevokedTokens, Roots, is_default, mapping};
use crate::value::{HeaderName, Name, Period};

/// The ways in which a caller can prove who it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Identity {
    /// Issuers of JSON Web Tokens, named `jwt:NAME` in policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub jwt: Vec<JwtIssuer>,
    /// Lists of users with passwords, named `basic:NAME` in policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub basic: Vec<BasicRealm>,
    /// Lists of consumers with keys, named `api_key:NAME` in policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub api_key: Vec<ApiKeyRealm>,
    /// Lists of clients with certificates, named `mtls:NAME` in policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mtls: Vec<MtlsRealm>,
    /// Authorizers that are asked over HTTP, named `external:NAME` in policies.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub external: Vec<ExternalAuthorizer>,
}

/// An issuer of JSON Web Tokens.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct JwtIssuer {
    /// How it is called in policies.
    pub name: Name,
    /// What `iss` must be, to the letter.
    pub issuer: String,
    /// Values of which `aud` must hold one.
    pub audiences: Vec<String>,
    /// The keys, written out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks: Option<Jwks>,
    /// Where the keys are published; fetched by the syncer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jwks_url: Option<String>,
    /// Where the address of the keys is published (OpenID Connect Discovery); fetched by the syncer. What that document
    /// says of `issuer` must be what stands here, to the letter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub discovery_url: Option<String>,
    /// Whose signature on the certificates of those addresses the syncer trusts; `webpki` when left out. A PEM file
    /// is on the syncer's disk.
    #[serde(default, skip_serializing_if = "is_default")]
    pub roots: Roots,
    /// How far clocks may differ; 60 seconds when left out.
    #[serde(default = "default_leeway", skip_serializing_if = "is_default_leeway")]
    pub leeway: Period,
    /// Algorithms that are accepted; those that the keys are for when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub algorithms: Vec<Algorithm>,
    /// What `typ` of the header must be, in any case, with or without `application/`; `JWT`, `at+jwt` or nothing at all
    /// when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub types: Vec<String>,
    /// Values of which `azp` must be one (OpenID Connect Core §2); not looked at when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub authorized_parties: Vec<String>,
    /// Claims that a token must make.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub claims: Vec<ClaimRule>,
    /// Scopes that a token must carry, whatever the route asks for besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Where roles stand in a token, with dots between the steps: a text or a list of texts; `roles` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub roles_claim: Option<String>,
    /// Where its tokens stand in a request; `Authorization: Bearer` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub token: Option<TokenPlace>,
    /// Tokens that are not taken although they are sound.
    #[serde(default, skip_serializing_if = "is_default")]
    pub revoked: RevokedTokens,
}

/// A claim that a token must make.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct ClaimRule {
    /// The path to it, with a dot between levels.
    pub claim: String,
    /// Values of which it must be one, or hold one when it is a list. Numbers and flags are written as JSON writes them.
    pub any_of: Vec<String>,
}

/// Where tokens stand in a request: one of the three.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct TokenPlace {
    /// A header that holds the token alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub header: Option<HeaderName>,
    /// A cookie.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cookie: Option<String>,
    /// A parameter of the query. What stands in a URL gets into logs and histories: the last resort.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub query: Option<String>,
    /// Whether the destination does not get it; `true` when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub strip: Option<bool>,
}

const DEFAULT_LEEWAY: Period = Period::from_millis(60_000);

fn default_leeway() -> Period {
    DEFAULT_LEEWAY
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde asks for")]
fn is_default_leeway(leeway: &Period) -> bool {
    *leeway == DEFAULT_LEEWAY
}

/// A signature algorithm of RFC 7518 or RFC 8037. `none` is not one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
pub enum Algorithm {
    /// RSASSA-PKCS1-v1_5 with SHA-256.
    RS256,
    /// RSASSA-PKCS1-v1_5 with SHA-384.
    RS384,
    /// RSASSA-PKCS1-v1_5 with SHA-512.
    RS512,
    /// RSASSA-PSS with SHA-256.
    PS256,
    /// RSASSA-PSS with SHA-384.
    PS384,
    /// RSASSA-PSS with SHA-512.
    PS512,
    /// ECDSA on P-256 with SHA-256.
    ES256,
    /// ECDSA on P-384 with SHA-384.
    ES384,
    /// Edwards-curve signatures on Ed25519.
    EdDSA,
    /// HMAC with SHA-256.
    HS256,
    /// HMAC with SHA-384.
    HS384,
    /// HMAC with SHA-512.
    HS512,
}

impl fmt::Display for Algorithm {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The variants are spelled as RFC 7518 spells them.
        fmt::Debug::fmt(self, f)
    }
}

/// A set of keys (RFC 7517 §5).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct Jwks {
    /// The keys.
    pub keys: Vec<Jwk>,
}

/// One key (RFC 7517 §4, RFC 7518 §6). Members that do not matter here are taken and ignored; private
/// ones (`d` and its like) are a problem of the document.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self")]
pub struct Jwk {
    /// Key type: `RSA`, `EC`, `OKP` or `oct`.
    pub kty: String,
    /// The name under which tokens ask for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kid: Option<String>,
    /// The one algorithm it is for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alg: Option<Algorithm>,
    /// `sig` when given.
    #[serde(default, rename = "use", skip_serializing_if = "Option::is_none")]
    pub usage: Option<String>,
    /// RSA modulus, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub n: Option<String>,
    /// RSA exponent, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub e: Option<String>,
    /// Curve of an EC or OKP key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub crv: Option<String>,
    /// First coordinate, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub x: Option<String>,
    /// Second coordinate, base64url.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub y: Option<String>,
    /// A shared key, base64url, or a reference to one: `env:NAME`, `file:/PATH`, `secretsmanager:ID`, `ssm:/NAME`. In the
    /// merged file: the name of a secret in the file beside it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub k: Option<String>,
    /// A private exponent. Never accepted; known so that it can be refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub d: Option<String>,
}

impl fmt::Debug for Jwk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Shared keys pass through here: only what names a key is shown.
        f.debug_struct("Jwk")
            .field("kty", &self.kty)
            .field("kid", &self.kid)
            .field("alg", &self.alg)
            .finish_non_exhaustive()
    }
}

/// A list of users with passwords.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BasicRealm {
    /// How it is called in policies, and the realm in `WWW-Authenticate`.
    pub name: Name,
    /// Its users.
    pub users: Vec<BasicUser>,
    /// When a client that guesses is told to wait; after ten wrong passwords in five minutes, for five minutes, when left
    /// out.
    #[serde(default, skip_serializing_if = "is_default")]
    pub lockout: LockoutPolicy,
}

/// When a client that guesses is told to wait. What is counted is a user's name together with the client's network (one
/// IPv4 address, or 64 bits of an IPv6 one), by each router for itself.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct LockoutPolicy {
    /// How many wrong passwords are too many; 10 when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failures: Option<u32>,
    /// In what time; 5 minutes when left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub within: Option<Period>,
    /// How long to wait; 5 minutes when left out.
    #[serde(default, rename = "for", skip_serializing_if = "Option::is_none")]
    pub lasts: Option<Period>,
    /// Whether who guesses is told to wait. In `shadow` it is counted as ever, and told who would have been.
    #[serde(default, skip_serializing_if = "is_default")]
    pub mode: Mode,
}

/// One user.
#[derive(Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
pub struct BasicUser {
    /// The name, without a colon (RFC 7617 §2).
    pub name: String,
    /// An argon2id hash in PHC form, a bcrypt hash, or one of sha-crypt (`$5$`, `$6$`).
    pub hash: String,
    /// Scopes that this user has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scopes: Vec<String>,
    /// Roles that this user has.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub roles: Vec<String>,
}

impl fmt::Debug for BasicUser {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BasicUser").field("name", &self.name).field("scopes", &self.scopes).finish_non_exhaustive()
    }
}

mapping!(Identity, JwtIssuer, ClaimRule, TokenPlace, Jwks, Jwk, BasicRealm, BasicUser, LockoutPolicy);
