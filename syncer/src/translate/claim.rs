//! What a route claims: a shape of paths with conditions on headers and query, and pairs of host and method.
//!
//! Two routes claim the same requests when they have a whole claim in common. Claims that only overlap (a wildcard
//! and an exact host, a template and a literal) are no conflict: the order of matching tells them apart.

use std::fmt;

use postern_config::route::Route;
use postern_config::value::Segment;

use crate::limits;

/// What one route claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Claim {
    /// Paths, headers and query, variable names erased: equal texts are equal claims.
    pub(super) shape: String,
    hosts: Vec<String>,
    methods: Vec<String>,
}

/// One pair of host and method under a shape; an empty text means any.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Slot<'a> {
    host: &'a str,
    method: &'a str,
}

impl fmt::Display for Slot<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = if self.method.is_empty() { "any method" } else { self.method };
        let host = if self.host.is_empty() { "any host" } else { self.host };
        write!(f, "{method} on {host}")
    }
}

impl Claim {
    pub(super) fn of(route: &Route) -> Self {
        let matching = &route.matching;
        Self {
            shape: shape(route),
            hosts: any_of(matching.hosts.iter().map(ToString::to_string)),
            methods: any_of(matching.methods.iter().map(ToString::to_string)),
        }
    }

    /// How many pairs there are, when that is more than anybody needs.
    pub(super) fn too_many(&self) -> Option<usize> {
        let count = self.hosts.len().saturating_mul(self.methods.len());
        (count > limits::CLAIMS_PER_REGISTRATION).then_some(count)
    }

    /// Every pair of host and method.
    pub(super) fn slots(&self) -> impl Iterator<Item = Slot<'_>> {
        self.hosts.iter().flat_map(|host| self.methods.iter().map(move |method| Slot { host, method }))
    }

    /// Whether `slot` of the same shape is claimed.
    pub(super) fn has(&self, slot: &Slot<'_>) -> bool {
        let among = |list: &[String], one: &str| list.binary_search_by(|known| known.as_str().cmp(one)).is_ok();
        among(&self.hosts, slot.host) && among(&self.methods, slot.method)
    }
}

fn any_of(items: impl Iterator<Item = String>) -> Vec<String> {
    let mut list: Vec<String> = items.collect();
    if list.is_empty() {
        list.push(String::new());
    }
    list.sort();
    list.dedup();
    list
}

/// The root alone claims what `{rest*}` below it claims: itself and everything under it.
fn shape(route: &Route) -> String {
    let mut shape = String::with_capacity(64);
    match &route.matching.path {
        None => {
            for segment in route.root.segments() {
                shape.push('/');
                shape.push_str(segment);
            }
            shape.push_str("/{*}");
        }
        Some(template) => {
            for segment in template.segments() {
                shape.push('/');
                shape.push_str(match segment {
                    Segment::Literal(text) => text,
                    Segment::Variable(_) => "{}",
                    Segment::Rest(_) => "{*}",
                });
            }
        }
    }
    // Neither a canonical path nor a header name holds a control character; values are escaped.
    let mut conditions = |mark: char, mut pairs: Vec<(&str, &str)>| {
        pairs.sort_unstable();
        for (name, value) in pairs {
            shape.push(mark);
            shape.push_str(&format!("{name:?}={value:?}"));
        }
    };
    conditions('\u{1}', route.matching.headers.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect());
    conditions('\u{2}', route.matching.query.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect());
    shape
}
