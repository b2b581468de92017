//! The compiled form of one generation: immutable, swapped whole.
//!
//! Owns the tables that requests are decided with. Must never know I/O, clocks, or how it came here.

pub(crate) mod compile;
mod destination;
mod hosts;
mod plan;
pub(crate) mod store;
pub(crate) mod table;
pub(crate) mod transition;
pub(crate) mod watch;

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use http::HeaderName;
use postern_config::merged::{Counts, Digest, Header, Quarantined};

pub(crate) use destination::{AddressRefused, Destination, Speaks, TlsPlan};
pub(crate) use hosts::HostSet;
pub(crate) use plan::{Chance, ClaimPath, PathPart, PathPlan, RoutePlan, Target, Timeouts, TokenPlan};

/// Everything that one generation says, ready to answer requests.
pub(crate) struct Snapshot {
    /// The generation, its sources and its time.
    pub(crate) header: Header,
    /// The digest of the file.
    pub(crate) digest: Digest,
    /// When it was compiled, in seconds after 1970.
    pub(crate) loaded_at: i64,
    /// How much the file says there is.
    pub(crate) counts: Counts,
    /// Hosts that are answered.
    pub(crate) hosts: HostSet,
    /// Routes whose registrations are gone and that the syncer keeps all the same.
    pub(crate) held: u64,
    /// How many registrations the syncer refused, by reason.
    pub(crate) refused: BTreeMap<String, u64>,
    /// Which route answers.
    pub(crate) table: table::RouteTable,
    /// Headers that some policy may set: stripped from every request on every route.
    pub(crate) settable: Box<[HeaderName]>,
    /// Keys of the destinations that are served, so that connections to others can be let go.
    pub(crate) served: HashSet<Arc<str>>,
    /// Routes and destinations that were put aside, and why.
    pub(crate) quarantined: Vec<Quarantined>,
    /// Fields that this router does not know, and other remarks.
    pub(crate) notes: Vec<String>,
}
