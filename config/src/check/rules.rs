//! Which path rules a registration is under.
//!
//! Owns the question "whose is this?"; what follows from the answer is decided in `admit`.

use std::collections::BTreeMap;
use std::ops::Bound;

use crate::document::{AnyOf, PathRule, Registration};
use crate::value::{RootPath, Segment, Template};

/// Path rules by prefix. Ordered, so that those below a prefix stand together.
#[derive(Debug, Clone, Default)]
pub(super) struct RuleIndex(BTreeMap<RootPath, usize>);

/// The rules that a registration is under.
pub(super) struct Governing<'b> {
    /// The one that covers the root, when another one rules what is claimed: only its owners may ask.
    pub(super) root: Option<&'b PathRule>,
    /// The one that covers all that is claimed, then those that cover a part of it.
    pub(super) claimed: Vec<&'b PathRule>,
}

impl<'b> Governing<'b> {
    /// What they demand as proof, each for itself.
    pub(super) fn proofs(&self) -> impl Iterator<Item = (&'b PathRule, &'b AnyOf)> {
        self.claimed.iter().filter_map(|rule| Some((*rule, rule.require.authentication.as_ref()?)))
    }
}

impl RuleIndex {
    /// An index over prefixes, each with its place in the document.
    pub(super) fn of(places: impl Iterator<Item = (RootPath, usize)>) -> Self {
        Self(places.collect())
    }

    /// The place of the rule with the longest prefix that covers `path`, which is written like a root.
    pub(super) fn covering(&self, path: &str) -> Option<usize> {
        let mut at = path;
        loop {
            if let Some(&place) = self.0.get(if at.is_empty() { "/" } else { at }) {
                return Some(place);
            }
            if at.is_empty() || at == "/" {
                return None;
            }
            at = at.rsplit_once('/').map_or("", |(parent, _)| parent);
        }
    }

    /// The rules over `registration`. A template may claim paths that belong to a deeper prefix than its root
    /// does: by its plain segments (`/` with `/payments/{id}`), or by a variable that may hold them (`/` with
    /// `/{any}/{id}`, which is longer than the prefix `/payments` and would win over the routes there).
    pub(super) fn governing<'b>(&self, rules: &'b [PathRule], registration: &Registration) -> Governing<'b> {
        let root = self.covering(registration.root.as_str());
        let Some(template) = &registration.matching.path else {
            return Governing { root: None, claimed: root.into_iter().map(|place| &rules[place]).collect() };
        };
        let plain = plain_prefix(template);
        let claim = self.covering(&plain);
        let mut claimed: Vec<usize> = claim.into_iter().collect();
        let after = template.segments().get(plain.split('/').filter(|segment| !segment.is_empty()).count());
        // A prefix claims as much, and gives way to every longer one: only single variables reach past it.
        if matches!(after, Some(Segment::Variable(_))) {
            // In the order of bytes "0" follows "/": everything between the two lies below the prefix.
            let parent = plain.trim_end_matches('/');
            let (from, to) = (format!("{parent}/"), format!("{parent}0"));
            let below = self.0.range::<str, _>((Bound::Excluded(from.as_str()), Bound::Excluded(to.as_str())));
            claimed.extend(below.filter(|(prefix, _)| reaches(template, prefix)).map(|(_, &place)| place));
        }
        Governing {
            root: root.filter(|place| !claimed.contains(place)).map(|place| &rules[place]),
            claimed: claimed.into_iter().map(|place| &rules[place]).collect(),
        }
    }
}

/// The segments of a template before its first variable, as a path.
fn plain_prefix(template: &Template) -> String {
    let mut path = String::new();
    for segment in template.segments() {
        let Segment::Literal(text) = segment else { break };
        path.push('/');
        path.push_str(text);
    }
    if path.is_empty() { "/".to_owned() } else { path }
}

/// Whether a template stands for some path at or below `prefix`.
fn reaches(template: &Template, prefix: &RootPath) -> bool {
    let mut own = template.segments().iter();
    for expected in prefix.segments() {
        match own.next() {
            Some(Segment::Literal(text)) if text == expected => {}
            Some(Segment::Variable(_)) => {}
            Some(Segment::Rest(_)) => return true,
            Some(Segment::Literal(_)) | None => return false,
        }
    }
    true
}
