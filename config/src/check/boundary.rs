//! A boundary that holds together: names are unique, references resolve, nothing in it can never work.

use std::collections::HashMap;

use crate::document::{BoundaryDocument, Destination, PathRule, Protocol};
use crate::limits;
use crate::problem::{Problem, ProblemKind, Problems, did_you_mean};
use crate::value::{HostName, HostPattern, Name, Network, RootPath, Scheme, forbidden};

use super::identity;

/// A checked boundary. Made by [`Boundary::check`] alone, so whoever holds one need not ask again.
#[derive(Debug, Clone, PartialEq)]
pub struct Boundary {
    document: BoundaryDocument,
    destinations: HashMap<Name, usize>,
    rules: HashMap<RootPath, usize>,
}

impl Boundary {
    /// Checks what the types alone cannot say.
    ///
    /// # Errors
    /// Every problem of the document, with its place.
    pub fn check(document: BoundaryDocument) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        bounded(&mut problems, "/hosts", document.hosts.len(), limits::HOSTS);
        bounded(&mut problems, "/destinations", document.destinations.len(), limits::DESTINATIONS);
        bounded(&mut problems, "/paths", document.paths.len(), limits::PATH_RULES);
        if document.hosts.is_empty() {
            problems.push(
                Problem::new("/hosts", ProblemKind::Missing, "is empty, so nothing would be answered")
                    .hint("list the domains, e.g. [api.example.com]"),
            );
        }
        unique(&mut problems, document.hosts.iter(), |index| format!("/hosts/{index}"));
        let destinations = index_of(&mut problems, &document.destinations, "destinations", "name", |one| &one.name);
        let rules = index_of(&mut problems, &document.paths, "paths", "prefix", |one| &one.prefix);
        for (index, destination) in document.destinations.iter().enumerate() {
            check_destination(&mut problems, &format!("/destinations/{index}"), destination);
        }
        identity::check(&mut problems, &document.identity);
        for (index, rule) in document.paths.iter().enumerate() {
            for (place, name) in rule.destinations.iter().enumerate() {
                if !destinations.contains_key(name) {
                    let known = document.destinations.iter().map(|one| one.name.as_str());
                    problems.push(unknown_name(
                        format!("/paths/{index}/destinations/{place}"),
                        "destination",
                        name.as_str(),
                        known,
                    ));
                }
            }
            if let Some(required) = &rule.require.authentication {
                identity::check_any_of(
                    &mut problems,
                    &format!("/paths/{index}/require/authentication"),
                    required,
                    &document.identity,
                );
            }
        }
        for (layer, at) in [(&document.defaults, "/defaults/policies"), (&document.overrides, "/overrides/policies")] {
            super::layers::check_policies(&mut problems, at, &layer.policies, &document.identity);
        }
        if problems.is_empty() {
            Ok(Self { document, destinations, rules })
        } else {
            problems.sort();
            Err(Problems(problems))
        }
    }

    /// The document as it was checked.
    pub fn document(&self) -> &BoundaryDocument {
        &self.document
    }

    /// Whether requests to `host` are answered at all.
    pub fn answers(&self, host: &HostName) -> bool {
        self.document.hosts.iter().any(|pattern| pattern.matches(host))
    }

    /// Whether a route may ask for `pattern`.
    pub fn lists(&self, pattern: &HostPattern) -> bool {
        self.document.hosts.iter().any(|listed| listed.covers(pattern))
    }

    /// The destination of that name.
    pub fn destination(&self, name: &Name) -> Option<&Destination> {
        self.destinations.get(name).map(|&index| &self.document.destinations[index])
    }

    /// The path rule that rules `root`: the longest prefix that covers it.
    pub fn rule_for(&self, root: &RootPath) -> Option<&PathRule> {
        let mut at = root.as_str();
        loop {
            let key = if at.is_empty() { "/" } else { at };
            let found = key.parse().ok().and_then(|key: RootPath| self.rules.get(&key).copied());
            if let Some(index) = found {
                return Some(&self.document.paths[index]);
            }
            if key == "/" {
                return None;
            }
            at = at.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }
}

fn check_destination(problems: &mut Vec<Problem>, at: &str, destination: &Destination) {
    bounded(problems, &format!("{at}/hosts"), destination.hosts.len(), limits::HOSTS);
    if destination.hosts.is_empty() {
        problems.push(Problem::new(
            format!("{at}/hosts"),
            ProblemKind::Missing,
            "is empty, so nothing could be reached",
        ));
    }
    if destination.schemes.is_empty() {
        problems.push(
            Problem::new(format!("{at}/schemes"), ProblemKind::Missing, "is empty").hint("leave it out for https"),
        );
    }
    unique(problems, destination.hosts.iter(), |index| format!("{at}/hosts/{index}"));
    for (index, pattern) in destination.hosts.iter().enumerate() {
        if is_shared_by_all_customers(pattern) {
            problems.push(
                Problem::new(
                    format!("{at}/hosts/{index}"),
                    ProblemKind::Invalid,
                    format!("\"{pattern}\" stands for the APIs of every AWS customer of that region"),
                )
                .hint("list the API ids, e.g. a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com"),
            );
        }
    }
    for (index, network) in destination.addresses.iter().enumerate() {
        if !network.is_loopback() && is_never_dialled(network) {
            problems.push(
                Problem::new(
                    format!("{at}/addresses/{index}"),
                    ProblemKind::Invalid,
                    format!("\"{network}\" lies in address space that is never dialled"),
                )
                .hint("link-local, metadata, multicast and IPv6 forms of IPv4 addresses cannot be allowed"),
            );
        }
    }
    if matches!(destination.protocol, Protocol::H2 | Protocol::H2c) {
        problems.push(
            Problem::new(
                format!("{at}/protocol"),
                ProblemKind::Unsupported,
                "HTTP/2 to destinations is not available in this release",
            )
            .hint("leave it out, or write http1"),
        );
    }
    let has_tls = destination.tls != Default::default();
    if has_tls && !destination.schemes.contains(&Scheme::Https) {
        problems.push(
            Problem::new(
                format!("{at}/tls"),
                ProblemKind::Contradiction,
                "is given for a destination that is never reached over https",
            )
            .hint("add https to schemes, or take tls out"),
        );
    }
}

/// `*.execute-api.REGION.amazonaws.com` and its like: one wildcard over strangers' APIs.
fn is_shared_by_all_customers(pattern: &HostPattern) -> bool {
    let HostPattern::Wildcard(parent) = pattern else { return false };
    let name = parent.as_str();
    name.starts_with("execute-api.") && (name.ends_with(".amazonaws.com") || name.ends_with(".amazonaws.com.cn"))
}

pub(super) fn unknown_name<'a>(
    at: String,
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str> + Clone,
) -> Problem {
    let problem = Problem::new(at, ProblemKind::NotFound, format!("there is no {what} \"{name}\" in this boundary"));
    match did_you_mean(name, known.clone()) {
        Some(hint) => problem.hint(hint),
        None => problem.hint(format!("known: {}", known.take(8).collect::<Vec<_>>().join(", "))),
    }
}

fn bounded(problems: &mut Vec<Problem>, at: &str, count: usize, most: usize) {
    if count > most {
        problems.push(Problem::new(at, ProblemKind::Limit, format!("has {count} entries, more than {most}")));
    }
}

pub(super) fn unique<'a, T: Ord + std::fmt::Display + 'a>(
    problems: &mut Vec<Problem>,
    items: impl Iterator<Item = &'a T>,
    at: impl Fn(usize) -> String,
) {
    let mut seen = std::collections::BTreeSet::new();
    for (index, item) in items.enumerate() {
        if !seen.insert(item) {
            problems.push(Problem::new(at(index), ProblemKind::Duplicate, format!("\"{item}\" is listed twice")));
        }
    }
}

fn index_of<T, K: Clone + std::hash::Hash + Eq + std::fmt::Display>(
    problems: &mut Vec<Problem>,
    items: &[T],
    list: &str,
    field: &str,
    key: impl Fn(&T) -> &K,
) -> HashMap<K, usize> {
    let mut index = HashMap::with_capacity(items.len());
    for (place, item) in items.iter().enumerate() {
        if let Some(first) = index.insert(key(item).clone(), place) {
            problems.push(
                Problem::new(
                    format!("/{list}/{place}/{field}"),
                    ProblemKind::Duplicate,
                    format!("\"{}\" is already /{list}/{first}", key(item)),
                )
                .hint("merge the two entries"),
            );
        }
    }
    index
}

/// Whether every address of `network` is refused whatever a boundary says.
fn is_never_dialled(network: &Network) -> bool {
    let (first, last) = network.ends();
    // The forbidden ranges are aligned, so a network with both ends in one kind lies inside it.
    matches!((forbidden(first), forbidden(last)), (Some(a), Some(b)) if a == b)
}
