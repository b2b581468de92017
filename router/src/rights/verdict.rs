//! What was decided about a caller, and by whom: for the log, for metrics and for `explain`.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;

use postern_config::document::Mode;

/// What one demand says of a caller.
#[derive(Debug, Clone)]
pub(crate) struct Verdict {
    /// Who demands it.
    pub(crate) layer: Layer,
    /// What was decided by.
    pub(crate) kind: Kind,
    /// Whether it is insisted on.
    pub(crate) mode: Mode,
    /// Whether the caller may pass.
    pub(crate) allowed: bool,
    /// The policy that decided.
    pub(crate) policy: Option<Arc<str>>,
    /// Why not, for the log.
    pub(crate) why: Cow<'static, str>,
}

/// Who demands something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layer {
    /// The boundary's overrides.
    Override,
    /// The path rule with that prefix.
    Rule(Arc<str>),
    /// The boundary's defaults.
    Default,
    /// The registration.
    Registration,
}

/// What a decision was made by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Kind {
    /// Who calls, which is no demand of `authorization` but may be tried out as one.
    Authentication,
    /// Scopes.
    Scopes,
    /// Roles.
    Roles,
    /// The client's address.
    Addresses,
    /// Policies in Cedar.
    Policies,
    /// How often requests come, which is no demand of `authorization` but may be tried out as one.
    Rate,
    /// What was taken back, which is no demand of `authorization` but may be tried out as one.
    Revocation,
    /// Too many wrong passwords, which is no demand of `authorization` but may be tried out as one.
    Lockout,
    /// Headers that tell the destination who calls, which refuse nobody and may be tried out.
    IdentityHeaders,
    /// The token that does, without which nobody passes, and which may be tried out.
    IdentityToken,
    /// How often the destination fails, as the one before.
    Breaker,
}

/// The layers as they stand in metrics.
pub(crate) const LAYERS: [&str; 4] = ["override", "rule", "default", "registration"];

impl Verdict {
    /// A caller who proved nothing where a proof is only tried out.
    pub(crate) fn unproved(why: &'static str) -> Self {
        let (layer, kind, mode) = (Layer::Registration, Kind::Authentication, Mode::Shadow);
        Self { layer, kind, mode, allowed: false, policy: None, why: Cow::Borrowed(why) }
    }

    /// A caller who would have been refused for that reason, had a rule of `identity` been insisted on.
    pub(crate) fn spared(kind: Kind, reason: &'static str) -> Self {
        let (layer, mode) = (Layer::Registration, Mode::Shadow);
        Self { layer, kind, mode, allowed: false, policy: None, why: Cow::Borrowed(reason) }
    }

    /// Headers that would have told the destination who calls, by their names, and are only tried out.
    pub(crate) fn kept_back(kind: Kind, names: String) -> Self {
        let (layer, mode) = (Layer::Registration, Mode::Shadow);
        Self { layer, kind, mode, allowed: true, policy: None, why: Cow::Owned(names) }
    }

    /// A request that came too often for a limit.
    pub(crate) fn too_often(limit: Arc<str>, mode: Mode, why: String) -> Self {
        let (layer, kind) = (Layer::Registration, Kind::Rate);
        Self { layer, kind, mode, allowed: false, policy: Some(limit), why: Cow::Owned(why) }
    }

    /// The names of the headers that would have been set, if that is what it is about.
    pub(crate) fn would_set(&self) -> Option<&str> {
        let about_headers = matches!(self.kind, Kind::IdentityHeaders | Kind::IdentityToken);
        (about_headers && self.allowed).then_some(&*self.why)
    }

    /// A request to a destination that is left alone.
    pub(crate) fn left_alone(destination: Arc<str>, mode: Mode, why: &'static str) -> Self {
        let (layer, kind) = (Layer::Registration, Kind::Breaker);
        Self { layer, kind, mode, allowed: false, policy: Some(destination), why: Cow::Borrowed(why) }
    }

    /// Whether it would have been a refusal, had it been insisted on.
    pub(crate) fn is_shadow_denial(&self) -> bool {
        !self.allowed && self.mode == Mode::Shadow
    }
}

impl Layer {
    /// Its place in [`LAYERS`].
    pub(crate) fn index(&self) -> usize {
        match self {
            Self::Override => 0,
            Self::Rule(_) => 1,
            Self::Default => 2,
            Self::Registration => 3,
        }
    }
}

impl Kind {
    /// All of them, in order.
    pub(crate) const ALL: [Self; 11] = [
        Self::Authentication,
        Self::Scopes,
        Self::Roles,
        Self::Addresses,
        Self::Policies,
        Self::Rate,
        Self::Revocation,
        Self::Lockout,
        Self::IdentityHeaders,
        Self::IdentityToken,
        Self::Breaker,
    ];

    /// As it stands in logs and metrics.
    pub(crate) fn word(self) -> &'static str {
        match self {
            Self::Authentication => "authentication",
            Self::Scopes => "scopes",
            Self::Roles => "roles",
            Self::Addresses => "addresses",
            Self::Policies => "policies",
            Self::Rate => "rate",
            Self::Revocation => "revocation",
            Self::Lockout => "lockout",
            Self::IdentityHeaders => "identity_headers",
            Self::IdentityToken => "identity_token",
            Self::Breaker => "breaker",
        }
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Rule(prefix) => write!(f, "rule {prefix}"),
            other => f.write_str(LAYERS[other.index()]),
        }
    }
}

/// Layer and policy, or what else decided: `override:office-hours`, `registration:scopes`, `limit:NAME`, `revocation:REASON`,
/// `lockout:REASON`, `identity_token:REASON`, `breaker:DESTINATION`.
/// Of an authentication and of a limit it is not known which layer demands it: they replace each other. What `identity` says
/// is of no layer.
impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.would_set().is_some() {
            return f.write_str(self.kind.word());
        }
        if matches!(self.kind, Kind::Authentication | Kind::Revocation | Kind::Lockout | Kind::IdentityToken) {
            return write!(f, "{}:{}", self.kind.word(), self.why);
        }
        if self.kind == Kind::Breaker {
            return write!(f, "breaker:{}", self.policy.as_deref().unwrap_or_default());
        }
        if self.kind == Kind::Rate {
            return write!(f, "limit:{}", self.policy.as_deref().unwrap_or_default());
        }
        write!(f, "{}:{}", self.layer, self.policy.as_deref().unwrap_or(self.kind.word()))
    }
}
