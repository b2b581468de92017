//! A compiled route: what every stage needs of it, and nothing that must be looked up again.

use std::sync::Arc;
use std::time::Duration;

use http::HeaderName;
use postern_config::document::Mode;
use postern_config::value::Share;
use smallvec::SmallVec;

use super::Destination;
use crate::breaker::Breaker;
use crate::limiter::Quota;
use crate::rights::Rights;
use crate::stage::authenticate::Way;

/// What a request on this route meets.
pub(crate) struct RoutePlan {
    /// `ROOT#NAME`.
    pub(crate) id: Arc<str>,
    /// Who answers for it, for logs and metrics.
    pub(crate) owner: Arc<str>,
    /// Which layer each of its policies comes from, in words.
    pub(crate) origins: Arc<str>,
    /// Where it leads, by weight.
    pub(crate) targets: Box<[Target]>,
    /// Ways to prove who calls; empty means open.
    pub(crate) ways: Box<[Way]>,
    /// Whether who proves nothing is refused.
    pub(crate) insists: bool,
    /// Whether callers sign Host and path as they ask for them, which must then be what the destination is sent.
    pub(crate) signed_as_asked: bool,
    /// What the caller must be allowed.
    pub(crate) rights: Rights,
    /// How often requests may come.
    pub(crate) limits: Box<[Quota]>,
    /// Headers made from claims.
    pub(crate) identity_headers: Box<[(HeaderName, ClaimPath)]>,
    /// Those that are only tried out: none of them is sent.
    pub(crate) identity_headers_tried: Box<[(HeaderName, ClaimPath)]>,
    /// The token that tells the destination who calls.
    pub(crate) identity_token: Option<Box<TokenPlan>>,
    /// How long each phase may take.
    pub(crate) timeouts: Timeouts,
    /// How much is told of requests that went well.
    pub(crate) telemetry: Telemetry,
    /// Most bytes of a request's body.
    pub(crate) body_max: u64,
    /// How the path is changed.
    pub(crate) path: PathPlan,
    /// Whether paths with two readings are forwarded below the root.
    pub(crate) raw_path: bool,
    /// How long a WebSocket may be silent; none where no WebSocket may be opened.
    pub(crate) websocket: Option<Duration>,
}

/// What an identity token says, and where.
pub(crate) struct TokenPlan {
    /// The header.
    pub(crate) header: HeaderName,
    /// Whom it is for.
    pub(crate) audience: Box<str>,
    /// How long it is good, in seconds.
    pub(crate) ttl: i64,
    /// Claims by name, made from the caller's.
    pub(crate) claims: Box<[(Box<str>, ClaimPath)]>,
    /// Whether it is sent.
    pub(crate) mode: Mode,
}

/// One place where a route leads.
pub(crate) struct Target {
    /// Where connections go.
    pub(crate) destination: Arc<Destination>,
    /// Put in front of the path; empty or `/…` without a slash at its end.
    pub(crate) prefix: Box<str>,
    /// Its share.
    pub(crate) weight: u32,
    /// What keeps requests from it while it fails.
    pub(crate) breaker: Option<Arc<Breaker>>,
}

/// How much is told of requests that went well.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Telemetry {
    /// The share of them in the access log.
    pub(crate) access_log: Chance,
    /// The share of them in the audit log; the setting when none.
    pub(crate) audit: Option<Chance>,
    /// The share of them that traces are kept of; the setting when none.
    pub(crate) traces: Option<Chance>,
}

impl Default for Telemetry {
    fn default() -> Self {
        Self { access_log: Chance::of(Share::ALL), audit: None, traces: None }
    }
}

/// How likely something is that is left to chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chance(u64);

impl Chance {
    pub(crate) fn of(share: Share) -> Self {
        Self((u64::from(share.millionths()) << 32) / u64::from(Share::ALL.millionths()))
    }

    /// A share from 0 to 1.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32")]
    pub(crate) fn from_fraction(share: f64) -> Self {
        Self((share.clamp(0.0, 1.0) * 4_294_967_296.0) as u64)
    }

    /// Whether it is so this time, by 32 random bits; none are drawn where there is no choice.
    pub(crate) fn hits(self, random: impl FnOnce() -> u32) -> bool {
        match self.0 {
            0 => false,
            whole if whole >> 32 > 0 => true,
            chance => u64::from(random()) < chance,
        }
    }
}

/// How the forwarded path is made from the raw one.
pub(crate) enum PathPlan {
    /// Kept byte for byte.
    Keep,
    /// The root's segments are replaced by this (empty or `/…`).
    ReplaceRoot {
        /// How many segments the root has.
        segments: usize,
        /// What stands there instead.
        with: Box<str>,
    },
    /// Written anew from parts of the raw path.
    Template(Box<[PathPart]>),
}

/// A part of a rewritten path.
pub(crate) enum PathPart {
    /// Text, beginning with `/`.
    Literal(Box<str>),
    /// The raw segment at this place of the request's path.
    Segment(usize),
    /// The raw rest from this place on.
    Rest(usize),
}

/// How long each phase may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timeouts {
    /// To resolve, connect and finish the TLS handshake.
    pub(crate) connect: Duration,
    /// From the request's last byte to the answer's first.
    pub(crate) first_byte: Duration,
    /// Without a byte in either direction.
    pub(crate) idle: Duration,
    /// From the request's head to the answer's last byte.
    pub(crate) total: Option<Duration>,
}

impl Default for Timeouts {
    /// 29 s is what a private API may take (`aws.md` §1), 35 s leave room for its own answer; 60 s is what
    /// an ALB in front waits for a byte.
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            first_byte: Duration::from_secs(35),
            idle: Duration::from_secs(60),
            total: None,
        }
    }
}

/// A path into claims: `sub`, `realm_access.roles`.
pub(crate) struct ClaimPath(pub(crate) SmallVec<[Box<str>; 2]>);

/// How long a WebSocket may be silent when nobody says anything: long enough for whoever lets its peer know every few
/// minutes that it is there, short enough that those who went without a word do not gather.
pub(crate) const WEBSOCKET_IDLE: Duration = Duration::from_secs(600);

/// The most bytes of a request's body when nobody says anything: what a private API takes.
pub(crate) const BODY_MAX: u64 = postern_config::limits::BODY_BYTES;
