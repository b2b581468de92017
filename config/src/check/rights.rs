//! What callers must be allowed: the words of the boundary, the demands of its layers and of a registration.
//!
//! Owns the rule that layers add up: every layer that says something makes a demand of its own, with a mode of its
//! own, and none can take another's away.

use crate::cedar::{Vocabulary, is_caller};
use crate::document::{Authorization, Mode, Registration, Rights};
use crate::limits;
use crate::problem::{Problem, ProblemKind, shown};
use crate::value::RootPath;

use super::Boundary;
use super::lists::{bounded, unique, unknown_name};

/// Who makes a demand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Layer<'b> {
    /// The boundary, of every route.
    Override,
    /// A path rule of the boundary, of the routes under it.
    Rule(&'b RootPath),
    /// The boundary, of every route.
    Default,
    /// The registration itself.
    Registration,
}

impl std::fmt::Display for Layer<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Override => f.write_str("override"),
            Self::Rule(prefix) => write!(f, "rule {prefix}"),
            Self::Default => f.write_str("default"),
            Self::Registration => f.write_str("registration"),
        }
    }
}

/// What one layer demands of the callers of a route.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Demand<'b> {
    /// Who demands it.
    pub layer: Layer<'b>,
    /// What is demanded.
    pub authorization: &'b Authorization,
}

impl Boundary {
    /// What callers of a route must be allowed, layer by layer. A request must meet every demand that is enforced.
    pub fn demands<'b>(&'b self, registration: &'b Registration) -> Vec<Demand<'b>> {
        let document = self.document();
        let governing = self.governing(registration);
        let rules = governing.claimed.iter();
        let rules = rules.map(|rule| (Layer::Rule(&rule.prefix), &rule.require.authorization));
        let layers = std::iter::once((Layer::Override, &document.overrides.policies.authorization));
        let own = [
            (Layer::Default, &document.defaults.policies.authorization),
            (Layer::Registration, &registration.policies.authorization),
        ];
        layers
            .chain(rules)
            .chain(own)
            .filter_map(|(layer, demanded)| Some(Demand { layer, authorization: demanded.as_ref()? }))
            .filter(|demand| demand.authorization.mode != Mode::Off)
            .collect()
    }
}

/// Checks what policies may name, and the policies that have names.
pub(super) fn check(problems: &mut Vec<Problem>, rights: &Rights) -> Vocabulary {
    let at = "/authorization";
    bounded(problems, &format!("{at}/policies"), rights.policies.len(), limits::POLICIES);
    bounded(problems, &format!("{at}/groups"), rights.groups.len(), limits::POLICIES);
    bounded(problems, &format!("{at}/claims"), rights.claims.len(), limits::CLAIMS);
    let names = |list, index| format!("{at}/{list}/{index}/name");
    unique(problems, rights.policies.iter().map(|one| &one.name), |index| names("policies", index));
    unique(problems, rights.groups.iter().map(|one| &one.name), |index| names("groups", index));
    unique(problems, rights.claims.iter().map(|one| &one.name), |index| names("claims", index));
    for (index, group) in rights.groups.iter().enumerate() {
        bounded(problems, &format!("{at}/groups/{index}/members"), group.members.len(), limits::USERS);
        for (place, member) in group.members.iter().enumerate().filter(|(_, member)| !is_caller(member)) {
            problems.push(
                Problem::new(
                    format!("{at}/groups/{index}/members/{place}"),
                    ProblemKind::Invalid,
                    format!("{} is no caller", shown(member)),
                )
                .hint("write jwt:NAME#SUBJECT, basic:NAME#USER, api_key:NAME#CONSUMER or mtls:NAME#CLIENT"),
            );
        }
    }
    let mut usable = rights.clone();
    for (index, claim) in rights.claims.iter().enumerate() {
        let at = format!("{at}/claims/{index}");
        let word = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if claim.name.is_empty() || claim.name.len() > 64 || !claim.name.bytes().all(word) {
            usable.claims.retain(|one| one.name != claim.name);
            problems.push(
                Problem::new(format!("{at}/name"), ProblemKind::Invalid, format!("{} is no word", shown(&claim.name)))
                    .hint("letters, digits and _; say where it stands with path"),
            );
        }
        if claim.path.as_deref().is_some_and(|path| !is_claim_path(path)) {
            problems.push(
                Problem::new(format!("{at}/path"), ProblemKind::Invalid, "names no claim")
                    .hint("e.g. sub, or realm_access.roles"),
            );
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    usable.claims.retain(|claim| seen.insert(claim.name.clone()));
    Vocabulary::of(problems, &usable)
}

/// Whether a text leads to a claim.
pub(super) fn is_claim_path(text: &str) -> bool {
    text.len() <= 256 && !text.split('.').any(str::is_empty) && !text.chars().any(char::is_control)
}

/// Words as RFC 6749 §3.3 has them (scope-token): they go into challenges as they are.
pub(super) fn check_scopes(problems: &mut Vec<Problem>, at: &str, scopes: &[String]) {
    let fits = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
    check_words(problems, &format!("{at}/scopes"), scopes, "scope", fits);
}

/// What can be said of one layer's demand. `variables` are those of the route's template, where it is known.
pub(super) fn check_demand(
    problems: &mut Vec<Problem>,
    at: &str,
    demand: &Authorization,
    words: &Vocabulary,
    variables: Option<&[&str]>,
) {
    // Destructured without `..`, so that nothing that is demanded can be forgotten here.
    let Authorization { scopes, roles, allow, deny, policies, cedar, mode: _ } = demand;
    check_scopes(problems, at, scopes);
    check_words(problems, &format!("{at}/roles"), roles, "role", |byte| !byte.is_ascii_control());
    for (field, networks) in [("allow", allow), ("deny", deny)] {
        bounded(problems, &format!("{at}/{field}"), networks.len(), limits::DEMANDED);
        unique(problems, networks.iter(), |index| format!("{at}/{field}/{index}"));
    }
    bounded(problems, &format!("{at}/policies"), policies.len(), limits::DEMANDED);
    unique(problems, policies.iter(), |index| format!("{at}/policies/{index}"));
    let mut permits = policies.is_empty() && cedar.is_none();
    for (index, name) in policies.iter().enumerate() {
        match words.permits(name) {
            Some(one) => permits |= one,
            None => {
                permits = true;
                let at = format!("{at}/policies/{index}");
                problems.push(unknown_name(at, "policy", name.as_str(), words.names()));
            }
        }
    }
    if let Some(text) = cedar {
        permits |= words.check(problems, &format!("{at}/cedar"), text, variables).unwrap_or(true);
    }
    if !permits {
        problems.push(Problem::new(at, ProblemKind::Invalid, "permits nothing, so nobody could pass").hint(
            "Cedar refuses what no permit names; for all but the forbidden add: permit(principal, action, resource);",
        ));
    }
}

fn check_words(problems: &mut Vec<Problem>, at: &str, words: &[String], what: &str, fits: impl Fn(u8) -> bool) {
    bounded(problems, at, words.len(), limits::DEMANDED);
    for (index, word) in words.iter().enumerate() {
        if word.is_empty() || word.len() > 256 || !word.bytes().all(&fits) {
            problems.push(
                Problem::new(format!("{at}/{index}"), ProblemKind::Invalid, format!("{} is no {what}", shown(word)))
                    .hint("one word without spaces, quotes and backslashes, as in orders.read"),
            );
        }
    }
}
