//! Which entries list a host, without asking each of them: with ten thousand destinations and a hundred
//! thousand routes, asking each is minutes.
//!
//! Must never know what an entry is.

use std::collections::HashMap;

use crate::value::{HostName, HostPattern};

/// Entries by the hosts that they list.
#[derive(Debug, Clone, Default)]
pub(super) struct HostIndex {
    exact: HashMap<HostName, Vec<usize>>,
    /// By what stands behind `*.`.
    wildcard: HashMap<HostName, Vec<usize>>,
}

impl HostIndex {
    /// An index of entries, each with its patterns.
    pub(super) fn of<'a>(entries: impl Iterator<Item = &'a [HostPattern]>) -> Self {
        let mut index = Self::default();
        for (entry, patterns) in entries.enumerate() {
            for pattern in patterns {
                let (table, name) = match pattern {
                    HostPattern::Exact(name) => (&mut index.exact, name),
                    HostPattern::Wildcard(parent) => (&mut index.wildcard, parent),
                };
                let listing = table.entry(name.clone()).or_default();
                if listing.last() != Some(&entry) {
                    listing.push(entry);
                }
            }
        }
        index
    }

    /// The entries that list `host`, in the order of the document.
    pub(super) fn listing(&self, host: &HostName) -> Vec<usize> {
        let mut found = [self.exactly(host), self.below(host)].concat();
        found.sort_unstable();
        found.dedup();
        found
    }

    /// Whether some entry lists `host`.
    pub(super) fn lists(&self, host: &HostName) -> bool {
        !self.exactly(host).is_empty() || !self.below(host).is_empty()
    }

    /// Whether some entry stands for every name that `pattern` stands for.
    pub(super) fn covers(&self, pattern: &HostPattern) -> bool {
        match pattern {
            HostPattern::Exact(name) => self.lists(name),
            HostPattern::Wildcard(parent) => self.wildcard.contains_key(parent),
        }
    }

    fn exactly(&self, host: &HostName) -> &[usize] {
        self.exact.get(host).map_or(&[], Vec::as_slice)
    }

    fn below(&self, host: &HostName) -> &[usize] {
        host.parent().and_then(|parent| self.wildcard.get(parent)).map_or(&[], Vec::as_slice)
    }
}
