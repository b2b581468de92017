//! A boundary that holds together: names are unique, references resolve, nothing in it can never work.

use std::collections::HashMap;

use crate::cedar::Vocabulary;
use crate::document::{Authenticator, BoundaryDocument, Destination, Mode, PathRule, Registration};
use crate::limits;
use crate::problem::{Problem, ProblemKind, Problems};
use crate::secrets;
use crate::value::{HostName, HostPattern, Name, RootPath};

use super::hosts::HostIndex;
use super::lists::{bounded, unique, unknown_name};
use super::rules::{Governing, RuleIndex};
use super::{destination, external, identity, layers, rights};

/// A checked boundary. Made by [`Boundary::check`] alone, so whoever holds one need not ask again.
#[derive(Debug, Clone)]
pub struct Boundary {
    document: BoundaryDocument,
    destinations: HashMap<Name, usize>,
    rules: RuleIndex,
    /// What policies may name.
    words: Vocabulary,
    /// Of what is answered.
    answered: HostIndex,
    /// Of what may be reached.
    reached: HostIndex,
}

/// The indexes follow from the document.
impl PartialEq for Boundary {
    fn eq(&self, other: &Self) -> bool {
        self.document == other.document
    }
}

impl Boundary {
    /// Checks what the types alone cannot say.
    ///
    /// # Errors
    /// Every problem of the document, with its place.
    pub fn check(document: BoundaryDocument) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        check_sizes(&mut problems, &document);
        unique(&mut problems, document.hosts.iter(), |index| format!("/hosts/{index}"));
        let destinations = index_of(&mut problems, &document.destinations, "destinations", "name", |one| &one.name);
        index_of(&mut problems, &document.paths, "paths", "prefix", |one| &one.prefix);
        for (index, entry) in document.destinations.iter().enumerate() {
            destination::check(&mut problems, &format!("/destinations/{index}"), entry);
        }
        identity::check(&mut problems, &document.identity);
        external::check(&mut problems, &document);
        let words = rights::check(&mut problems, &document.authorization);
        for (index, rule) in document.paths.iter().enumerate() {
            check_rule(&mut problems, &format!("/paths/{index}"), rule, &document, &destinations, &words);
        }
        for (layer, at) in [(&document.defaults, "/defaults/policies"), (&document.overrides, "/overrides/policies")] {
            layers::check_policies(&mut problems, at, &layer.policies, &document.identity, &words, None);
        }
        if !problems.is_empty() {
            problems.sort();
            return Err(Problems(problems));
        }
        Ok(Self {
            destinations,
            words,
            rules: RuleIndex::of(document.paths.iter().enumerate().map(|(at, rule)| (rule.prefix.clone(), at))),
            answered: HostIndex::of(std::iter::once(document.hosts.as_slice())),
            reached: HostIndex::of(document.destinations.iter().map(|one| one.hosts.as_slice())),
            document,
        })
    }

    /// The document as it was checked.
    pub fn document(&self) -> &BoundaryDocument {
        &self.document
    }

    /// Says what the secrets of each place are called; `None` for a place whose secret nobody knows. No check depends on it.
    pub fn name_secrets(&mut self, name_of: impl Fn(&str) -> Option<String>) {
        secrets::rename(&mut self.document, name_of);
    }

    /// Whether requests to `host` are answered at all.
    pub fn answers(&self, host: &HostName) -> bool {
        self.answered.lists(host)
    }

    /// Whether a route may ask for `pattern`.
    pub fn lists(&self, pattern: &HostPattern) -> bool {
        self.answered.covers(pattern)
    }

    /// The destination of that name.
    pub fn destination(&self, name: &Name) -> Option<&Destination> {
        self.destinations.get(name).map(|&index| &self.document.destinations[index])
    }

    /// The destinations that list `host`, in the order of the document.
    pub(super) fn destinations_listing(&self, host: &HostName) -> impl Iterator<Item = &Destination> {
        self.reached.listing(host).into_iter().map(|index| &self.document.destinations[index])
    }

    /// The path rule that rules `root`: the longest prefix that covers it.
    pub fn rule_for(&self, root: &RootPath) -> Option<&PathRule> {
        self.rules.covering(root.as_str()).map(|index| &self.document.paths[index])
    }

    /// What policies may name.
    pub(super) fn words(&self) -> &Vocabulary {
        &self.words
    }

    /// The path rules that a registration is under.
    pub(super) fn governing(&self, registration: &Registration) -> Governing<'_> {
        self.rules.governing(&self.document.paths, registration)
    }
}

fn check_sizes(problems: &mut Vec<Problem>, document: &BoundaryDocument) {
    bounded(problems, "/hosts", document.hosts.len(), limits::HOSTS);
    bounded(problems, "/destinations", document.destinations.len(), limits::DESTINATIONS);
    bounded(problems, "/paths", document.paths.len(), limits::PATH_RULES);
    if document.hosts.is_empty() {
        problems.push(
            Problem::new("/hosts", ProblemKind::Missing, "is empty, so nothing would be answered")
                .hint("list the domains, e.g. [api.example.com]"),
        );
    }
    // No destinations at all is a removal like any other, and takes effect at once: whoever writes the empty list
    // wants nothing reached. A document that is cut or empty never comes this far.
}

fn check_rule(
    problems: &mut Vec<Problem>,
    at: &str,
    rule: &PathRule,
    document: &BoundaryDocument,
    destinations: &HashMap<Name, usize>,
    words: &Vocabulary,
) {
    unique(problems, rule.owners.iter(), |place| format!("{at}/owners/{place}"));
    unique(problems, rule.audiences.iter(), |place| format!("{at}/audiences/{place}"));
    unique(problems, rule.destinations.iter(), |place| format!("{at}/destinations/{place}"));
    for (place, name) in rule.destinations.iter().enumerate().filter(|(_, name)| !destinations.contains_key(*name)) {
        let known = document.destinations.iter().map(|one| one.name.as_str());
        problems.push(unknown_name(format!("{at}/destinations/{place}"), "destination", name.as_str(), known));
    }
    if let Some(authorization) = &rule.require.authorization {
        rights::check_demand(problems, &format!("{at}/require/authorization"), authorization, words, None);
    }
    let Some(required) = &rule.require.authentication else { return };
    let at = format!("{at}/require/authentication");
    identity::check_any_of(problems, &at, required, &document.identity);
    if required.any_of.contains(&Authenticator::None) {
        problems.push(
            Problem::new(format!("{at}/any_of"), ProblemKind::Contradiction, "demands none, which demands nothing")
                .hint("take require.authentication out, or name ways without none"),
        );
    }
    if required.mode != Mode::Enforce {
        problems.push(
            Problem::new(format!("{at}/mode"), ProblemKind::Contradiction, "demands a proof and does not insist on it")
                .hint("try a proof out in defaults or overrides, and require it when nobody would be refused"),
        );
    }
    // No registration could meet both.
    if let Some(forced) = &document.overrides.policies.authentication
        && !layers::satisfies(forced, required)
    {
        problems.push(
            Problem::new(at, ProblemKind::Contradiction, "is not met by overrides.policies.authentication")
                .hint("nobody can change an override, so every registration below this prefix would be refused"),
        );
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
