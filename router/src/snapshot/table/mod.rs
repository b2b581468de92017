//! The route table: which route answers a request, in a total order that does not depend on how the table
//! was filled.
//!
//! Order: exact host, wildcard host, any host; then exact path, then more segments, literals before variables
//! from the left, closed before open; then a route with methods before one without; most headers; most query
//! parameters; the one that holds its requests longest; the lower id.
//!
//! The cost of a look-up is a matter of the path's length and not of the table's: see `places`. The text of a path
//! is not compared on the way down but once, against the route that is about to win.
//!
//! Must never know credentials, client addresses, or what a route leads to.

mod build;
mod conditions;
mod pattern;
mod places;

#[cfg(test)]
mod measure;
#[cfg(test)]
mod spellings;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use http::Method;
use smallvec::SmallVec;

pub(crate) use build::{Entry, build};
pub(crate) use conditions::parameters;
use conditions::{Conditions, MethodSet};
use pattern::{Pattern, Patterns};
use places::{PathHash, Place, Places, SegmentHash};

use super::RoutePlan;

/// Which route answers which request.
pub(crate) struct RouteTable {
    exact_hosts: HashMap<Box<str>, Scope, foldhash::fast::RandomState>,
    /// By the name behind `*.`.
    wildcard_hosts: HashMap<Box<str>, Scope, foldhash::fast::RandomState>,
    /// The routes that name no host.
    any_host: Option<Scope>,
    places: Places,
    candidates: Box<[Candidate]>,
    patterns: Patterns,
    routes: Box<[Arc<RoutePlan>]>,
    /// Prefixes of path rules that lie below some route's root: see [`RouteTable::fence_depth`].
    fences: Option<Fences>,
}

/// The routes of one host pattern: where their paths begin.
#[derive(Clone, Copy)]
struct Scope {
    root: PathHash,
    place: Place,
}

/// A run of `candidates`.
#[derive(Clone, Copy, Default)]
struct Span {
    start: u32,
    count: u32,
}

/// A route at one place of the tree; fills a cache line of its own.
#[repr(align(64))]
struct Candidate {
    route: u32,
    /// Its pattern: compared before it may win.
    pattern: Pattern,
    root_depth: u8,
    raw_path: bool,
    methods: MethodSet,
    conditions: Option<Box<Conditions>>,
    /// When it ends by itself, in seconds after 1970.
    lease_until: i64,
}

/// The prefixes of path rules; one ends at a place with something `closed`.
struct Fences {
    places: Places,
    root: PathHash,
}

/// What the table asks of a request.
pub(crate) struct Query<'r> {
    /// The host in lower case, without port.
    pub(crate) host: &'r str,
    /// The segments of the canonical path; of an ambiguous one those in front of the first ambiguity.
    pub(crate) segments: &'r [&'r str],
    /// Whether the path has two readings: then only routes that take it raw are meant.
    pub(crate) ambiguous: bool,
    pub(crate) method: &'r Method,
    pub(crate) headers: &'r crate::http1::Fields,
    /// The raw query, without `?`.
    pub(crate) query: Option<&'r str>,
    /// Seconds after 1970.
    pub(crate) now: i64,
}

/// Why a candidate was passed over; told to whoever explains a decision.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Passed {
    Method,
    Header(String),
    QueryParameter(String),
    /// A path rule lies between the route's root and the request.
    Fence,
    /// The path has two readings, and the route does not take it raw.
    Ambiguous,
    LeaseExpired,
}

/// Why a route that fits comes after the one that answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outranked {
    /// The other one names the host more exactly.
    Host,
    /// The other one's path is more specific.
    Path,
    /// The other one asks for more conditions, or was there first.
    Order,
}

/// Where a candidate stands in the order.
#[derive(Clone, Copy)]
struct Placed {
    /// Of the trees that were looked in, the most specific first.
    scope: usize,
    rank: Rank,
}

impl Placed {
    fn behind(self, first: Self) -> Outranked {
        match self {
            _ if self.scope != first.scope => Outranked::Host,
            _ if self.rank != first.rank => Outranked::Path,
            _ => Outranked::Order,
        }
    }
}

/// What the table says.
pub(crate) enum Found<'t> {
    Route(&'t Arc<RoutePlan>),
    /// The path has routes, all for other methods; these are the methods.
    OtherMethods(Vec<&'t str>),
    Nothing,
}

/// A path that is looked for.
struct Walk<'a> {
    hashes: &'a [SegmentHash],
    /// Whether the path ends where the segments end.
    whole: bool,
}

/// How a place was reached: after so many segments, of which these were texts.
#[derive(Clone, Copy, Default)]
struct Way {
    depth: usize,
    literals: u64,
}

/// A place where the path of a request ended, with its rank.
struct Terminal {
    rank: Rank,
    span: Span,
}

/// The order of patterns; greater is more specific.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// Closed and without variables.
    exact: bool,
    segments: u8,
    /// A bit for each segment from the left, set for a literal.
    literals: u64,
    closed: bool,
}

impl RouteTable {
    /// Every route, in the order of the file.
    pub(crate) fn routes(&self) -> &[Arc<RoutePlan>] {
        &self.routes
    }

    /// The route that answers, telling `passed` of every better-placed one that does not.
    pub(crate) fn find(&self, query: &Query<'_>, mut passed: impl FnMut(&Arc<RoutePlan>, Passed)) -> Found<'_> {
        let mut allowed = Vec::new();
        let found = self.visit(query, |candidate, _, objection| {
            let route = &self.routes[candidate.route as usize];
            match objection {
                None => return ControlFlow::Break(route),
                Some(objection) => {
                    if objection == Passed::Method {
                        candidate.methods.names(&mut allowed);
                    }
                    passed(route, objection);
                }
            }
            ControlFlow::Continue(())
        });
        if let Some(route) = found {
            return Found::Route(route);
        }
        if allowed.is_empty() {
            return Found::Nothing;
        }
        allowed.sort_unstable();
        allowed.dedup();
        Found::OtherMethods(allowed)
    }

    /// The routes that would answer if the one that does were not there, the next one first, and why each comes after it.
    pub(crate) fn outranked(&self, query: &Query<'_>) -> Vec<(&Arc<RoutePlan>, Outranked)> {
        let mut winner = None;
        let mut others = Vec::new();
        self.visit(query, |candidate, place, objection| {
            if objection.is_none() {
                match winner {
                    None => winner = Some(place),
                    Some(first) => others.push((&self.routes[candidate.route as usize], place.behind(first))),
                }
            }
            ControlFlow::<()>::Continue(())
        });
        others
    }

    /// Every route whose host and path fit, the best-placed first, with what it has against the request.
    fn visit<'t, B>(
        &'t self,
        query: &Query<'_>,
        mut look: impl FnMut(&'t Candidate, Placed, Option<Passed>) -> ControlFlow<B>,
    ) -> Option<B> {
        let hashes: SmallVec<[SegmentHash; 16]> = query.segments.iter().map(|text| self.places.segment(text)).collect();
        let fence = self.fences.as_ref().map_or(0, |fences| fences.depth(query.segments));
        for (scope_index, scope) in self.scopes(query.host).iter().enumerate() {
            let mut terminals = SmallVec::<[Terminal; 8]>::new();
            let walk = Walk { hashes: &hashes, whole: !query.ambiguous };
            self.collect(&walk, scope.root, &scope.place, Way::default(), &mut terminals);
            terminals.sort_unstable_by_key(|terminal| std::cmp::Reverse(terminal.rank));
            for terminal in &terminals {
                let placed = Placed { scope: scope_index, rank: terminal.rank };
                for candidate in self.span(terminal.span) {
                    // Two texts may share a hash.
                    if !self.patterns.fits(candidate.pattern, query.segments) {
                        continue;
                    }
                    if let ControlFlow::Break(found) = look(candidate, placed, candidate.objection(query, fence)) {
                        return Some(found);
                    }
                }
            }
        }
        None
    }

    /// The trees to look in, the most specific first.
    fn scopes(&self, host: &str) -> SmallVec<[Scope; 3]> {
        let exact = self.exact_hosts.get(host).copied();
        let wildcard = match self.wildcard_hosts.is_empty() {
            true => None,
            false => host.split_once('.').and_then(|(_, parent)| self.wildcard_hosts.get(parent).copied()),
        };
        [exact, wildcard, self.any_host].into_iter().flatten().collect()
    }

    /// Walks down every branch that fits, noting where routes end.
    fn collect(
        &self,
        walk: &Walk<'_>,
        path: PathHash,
        here: &Place,
        way: Way,
        terminals: &mut SmallVec<[Terminal; 8]>,
    ) {
        let Way { depth, literals } = way;
        #[allow(clippy::cast_possible_truncation, reason = "a pattern has at most 64 segments")]
        let segments = depth as u8;
        if here.open.count > 0 {
            let rank = Rank { exact: false, segments, literals, closed: false };
            terminals.push(Terminal { rank, span: here.open });
        }
        let Some(&hash) = walk.hashes.get(depth) else {
            if walk.whole && here.closed.count > 0 {
                let rank = Rank { exact: literals == all_literals(depth), segments, literals, closed: true };
                terminals.push(Terminal { rank, span: here.closed });
            }
            return;
        };
        if here.goes_on.by_text {
            let further = self.places.further(path, hash);
            if let Some(place) = self.places.at(further) {
                let way = Way { depth: depth + 1, literals: literals | bit(depth) };
                self.collect(walk, further, place, way, terminals);
            }
        }
        if here.goes_on.by_variable && !hash.is_empty_segment() {
            let further = self.places.further_by_variable(path);
            if let Some(place) = self.places.at(further) {
                self.collect(walk, further, place, Way { depth: depth + 1, literals }, terminals);
            }
        }
    }

    fn span(&self, span: Span) -> &[Candidate] {
        &self.candidates[span.start as usize..(span.start + span.count) as usize]
    }
}

/// The bit of the segment at `depth`, the leftmost the highest, so that a greater number is literal earlier.
fn bit(depth: usize) -> u64 {
    1 << (63 - depth)
}

fn all_literals(depth: usize) -> u64 {
    match depth {
        0 => 0,
        depth => u64::MAX << (64 - depth),
    }
}

impl Candidate {
    fn objection(&self, query: &Query<'_>, fence: usize) -> Option<Passed> {
        if usize::from(self.root_depth) < fence {
            return Some(Passed::Fence);
        }
        if query.now >= self.lease_until {
            return Some(Passed::LeaseExpired);
        }
        if query.ambiguous && !self.raw_path {
            return Some(Passed::Ambiguous);
        }
        if !self.methods.holds(query.method) {
            return Some(Passed::Method);
        }
        self.conditions.as_ref().and_then(|conditions| conditions.objection(query.headers, query.query))
    }
}

impl Fences {
    /// How deep the path rule lies that rules these segments: a route whose root lies above it does not reach
    /// in. Otherwise a route for `/` would answer below a rule that demands more than its own.
    fn depth(&self, segments: &[&str]) -> usize {
        let (mut path, mut deepest) = (self.root, 0);
        for (depth, segment) in segments.iter().enumerate() {
            path = self.places.further(path, self.places.segment(segment));
            match self.places.at(path) {
                Some(place) if place.closed.count > 0 => deepest = depth + 1,
                Some(_) => {}
                None => break,
            }
        }
        deepest
    }
}
