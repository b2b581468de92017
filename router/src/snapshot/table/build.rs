//! Building the table: a tree of ordinary maps first, then laid out as places.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use postern_config::document::RouteMatch;
use postern_config::value::{HostPattern, RootPath, Segment, Timestamp};

use super::conditions::{Conditions, MethodSet};
use super::pattern::{Pattern, PatternSegment, Patterns};
use super::places::{Collision, GoesOn, PathHash, Place, Places};
use super::{Candidate, Fences, RouteTable, Scope, Span};
use crate::snapshot::RoutePlan;

/// One route to be placed.
pub(crate) struct Entry<'d> {
    pub(crate) plan: Arc<RoutePlan>,
    pub(crate) root: &'d RootPath,
    pub(crate) matching: &'d RouteMatch,
    pub(crate) held_since: u64,
    pub(crate) lease_until: Option<Timestamp>,
}

/// An index into the tree.
type NodeId = u32;

/// A node while the tree grows.
#[derive(Default)]
struct Growing {
    literals: HashMap<Box<str>, NodeId>,
    variable: Option<NodeId>,
    closed: Vec<Ranked>,
    open: Vec<Ranked>,
}

/// A candidate with its place among those of the same node; a smaller key comes first.
struct Ranked {
    key: (bool, std::cmp::Reverse<usize>, std::cmp::Reverse<usize>, u64, Arc<str>),
    candidate: Candidate,
}

/// Builds the table. `rules` are the prefixes of the boundary's path rules.
pub(crate) fn build<'d>(entries: Vec<Entry<'d>>, rules: impl Iterator<Item = &'d RootPath>) -> RouteTable {
    let rules: Vec<&RootPath> = rules.collect();
    let roots: HashSet<&str> = entries.iter().map(|entry| entry.root.as_str()).collect();
    let crossed: Vec<&RootPath> = rules.iter().copied().filter(|rule| has_ancestor(rule, &roots)).collect();
    let inner = inner_roots(&entries, &rules);

    let mut tree = vec![Growing::default()];
    let mut exact_hosts = HashMap::new();
    let mut wildcard_hosts = HashMap::new();
    let mut any_host = None;
    let mut plans = Vec::with_capacity(entries.len());
    let mut patterns = Patterns::default();
    for (index, entry) in entries.into_iter().enumerate() {
        let mut scopes = Vec::with_capacity(entry.matching.hosts.len().max(1));
        if entry.matching.hosts.is_empty() {
            scopes.push(*any_host.get_or_insert_with(|| grow(&mut tree)));
        }
        for host in &entry.matching.hosts {
            scopes.push(match host {
                HostPattern::Exact(name) => *exact_hosts.entry(name.as_str().into()).or_insert_with(|| grow(&mut tree)),
                HostPattern::Wildcard(parent) => {
                    *wildcard_hosts.entry(parent.as_str().into()).or_insert_with(|| grow(&mut tree))
                }
            });
        }
        let (pattern, open) = pattern_of(entry.root, entry.matching);
        let placed = patterns.add(&pattern);
        for scope in scopes {
            let node = descend(&mut tree, scope, &pattern);
            let ranked = rank(&entry, index, placed, !inner.contains(entry.root.as_str()));
            let node = &mut tree[node as usize];
            if open { node.open.push(ranked) } else { node.closed.push(ranked) }
        }
        plans.push(entry.plan);
    }
    let (tree, candidates) = settle(tree);
    let roots: Vec<NodeId> = exact_hosts.values().chain(wildcard_hosts.values()).copied().chain(any_host).collect();
    let places = lay_out(&tree, &roots);
    let scope = |root: NodeId| Scope { root: places.root(root), place: tree[root as usize].place };
    RouteTable {
        exact_hosts: exact_hosts.into_iter().map(|(host, root)| (host, scope(root))).collect(),
        wildcard_hosts: wildcard_hosts.into_iter().map(|(host, root)| (host, scope(root))).collect(),
        any_host: any_host.map(scope),
        places,
        candidates: candidates.into_boxed_slice(),
        patterns,
        routes: plans.into_boxed_slice(),
        fences: (!crossed.is_empty()).then(|| build_fences(&crossed)),
    }
}

fn grow(tree: &mut Vec<Growing>) -> NodeId {
    tree.push(Growing::default());
    NodeId::try_from(tree.len() - 1).unwrap_or(NodeId::MAX)
}

/// The node of a pattern below a root, grown where it is not there yet.
fn descend(tree: &mut Vec<Growing>, scope: NodeId, pattern: &[PatternSegment]) -> NodeId {
    let mut at = scope;
    for segment in pattern {
        let known = match segment {
            PatternSegment::Literal(text) => tree[at as usize].literals.get(text).copied(),
            PatternSegment::Variable => tree[at as usize].variable,
        };
        at = known.unwrap_or_else(|| {
            let child = grow(tree);
            let parent = &mut tree[at as usize];
            match segment {
                PatternSegment::Literal(text) => drop(parent.literals.insert(text.clone(), child)),
                PatternSegment::Variable => parent.variable = Some(child),
            }
            child
        });
    }
    at
}

/// The segments of a route's pattern, and whether it takes everything behind them.
fn pattern_of(root: &RootPath, matching: &RouteMatch) -> (Vec<PatternSegment>, bool) {
    let literal = |text: &str| PatternSegment::Literal(text.into());
    let Some(template) = &matching.path else {
        return (root.segments().map(literal).collect(), true);
    };
    let open = matches!(template.segments().last(), Some(Segment::Rest(_)));
    let segments = template.segments().iter().filter_map(|segment| match segment {
        Segment::Literal(text) => Some(literal(text)),
        Segment::Variable(_) => Some(PatternSegment::Variable),
        Segment::Rest(_) => None,
    });
    (segments.collect(), open)
}

fn rank(entry: &Entry<'_>, index: usize, pattern: Pattern, raw_may_be: bool) -> Ranked {
    let methods = MethodSet::new(entry.matching.methods.iter().map(|method| method.as_str()));
    let conditions = Conditions {
        headers: entry
            .matching
            .headers
            .iter()
            .filter_map(|(name, value)| Some((name.as_str().parse().ok()?, value.as_str().into())))
            .collect(),
        query: entry.matching.query.iter().map(|(name, value)| (name.as_str().into(), value.as_str().into())).collect(),
    };
    let key = (
        methods.is_any(),
        std::cmp::Reverse(conditions.headers.len()),
        std::cmp::Reverse(conditions.query.len()),
        entry.held_since,
        entry.plan.id.clone(),
    );
    let candidate = Candidate {
        route: u32::try_from(index).unwrap_or(u32::MAX),
        pattern,
        methods,
        conditions: (conditions != Conditions::default()).then(|| Box::new(conditions)),
        root_depth: u8::try_from(entry.root.segments().count()).unwrap_or(u8::MAX),
        raw_path: entry.plan.raw_path && raw_may_be,
        lease_until: entry.lease_until.map_or(i64::MAX, Timestamp::unix),
    };
    Ranked { key, candidate }
}

/// A node whose candidates have their place.
struct Settled {
    literals: HashMap<Box<str>, NodeId>,
    variable: Option<NodeId>,
    place: Place,
}

fn settle(tree: Vec<Growing>) -> (Vec<Settled>, Vec<Candidate>) {
    let mut candidates = Vec::new();
    let settled = tree.into_iter().map(|growing| Settled {
        place: Place {
            closed: append(&mut candidates, growing.closed),
            open: append(&mut candidates, growing.open),
            goes_on: GoesOn { by_text: !growing.literals.is_empty(), by_variable: growing.variable.is_some() },
        },
        literals: growing.literals,
        variable: growing.variable,
    });
    (settled.collect(), candidates)
}

/// Lays the tree out under a random key; under another one in the unheard-of case that two paths collide.
fn lay_out(tree: &[Settled], roots: &[NodeId]) -> Places {
    loop {
        let mut places = Places::with_capacity(tree.len());
        if fill(&mut places, tree, roots).is_ok() {
            return places;
        }
    }
}

fn fill(places: &mut Places, tree: &[Settled], roots: &[NodeId]) -> Result<(), Collision> {
    let mut left: Vec<(NodeId, PathHash)> = roots.iter().map(|root| (*root, places.root(*root))).collect();
    while let Some((node, path)) = left.pop() {
        let node = &tree[node as usize];
        let texts = node.literals.iter().map(|(text, child)| (*child, places.further(path, places.segment(text))));
        let variable = node.variable.map(|child| (child, places.further_by_variable(path)));
        let children: Vec<_> = texts.chain(variable).collect();
        for (child, path) in children {
            places.insert(path, tree[child as usize].place)?;
            left.push((child, path));
        }
    }
    Ok(())
}

fn append(candidates: &mut Vec<Candidate>, mut ranked: Vec<Ranked>) -> Span {
    ranked.sort_by(|a, b| a.key.cmp(&b.key));
    let start = u32::try_from(candidates.len()).unwrap_or(u32::MAX);
    let count = u32::try_from(ranked.len()).unwrap_or(0);
    candidates.extend(ranked.into_iter().map(|one| one.candidate));
    Span { start, count }
}

/// Whether some root lies strictly above `path`.
fn has_ancestor(path: &RootPath, roots: &HashSet<&str>) -> bool {
    ancestors(path.as_str()).any(|ancestor| roots.contains(ancestor))
}

/// The paths strictly above, the nearest first.
fn ancestors(path: &str) -> impl Iterator<Item = &str> {
    let mut at = path;
    std::iter::from_fn(move || {
        if at == "/" {
            return None;
        }
        at = match at.rsplit_once('/') {
            Some(("", _)) | None => "/",
            Some((parent, _)) => parent,
        };
        Some(at)
    })
}

/// Roots below which another route or a path rule lies. A raw route there could be talked into what the
/// other one protects, so its raw paths are refused.
fn inner_roots(entries: &[Entry<'_>], rules: &[&RootPath]) -> HashSet<String> {
    let mut inner = HashSet::new();
    if entries.iter().all(|entry| !entry.plan.raw_path) {
        return inner;
    }
    let rules = rules.iter().map(|rule| rule.as_str());
    for path in entries.iter().map(|entry| entry.root.as_str()).chain(rules) {
        inner.extend(ancestors(path).map(str::to_owned));
    }
    for entry in entries.iter().filter(|entry| entry.matching.path.is_some()) {
        inner.insert(entry.root.as_str().to_owned());
    }
    inner
}

fn build_fences(rules: &[&RootPath]) -> Fences {
    let ends = Place { closed: Span { start: 0, count: 1 }, ..Place::default() };
    let prefixes: HashSet<Vec<&str>> = rules
        .iter()
        .flat_map(|rule| (1..=rule.segments().count()).map(|count| rule.segments().take(count).collect()))
        .collect();
    let rules: HashSet<Vec<&str>> = rules.iter().map(|rule| rule.segments().collect()).collect();
    loop {
        let mut places = Places::with_capacity(prefixes.len());
        let root = places.root(0);
        let filled = prefixes.iter().try_for_each(|prefix| {
            let path = prefix.iter().fold(root, |path, text| places.further(path, places.segment(text)));
            places.insert(path, if rules.contains(prefix) { ends } else { Place::default() })
        });
        if filled.is_ok() {
            return Fences { places, root };
        }
    }
}
