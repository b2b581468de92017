//! The hosts that are answered.

use std::collections::HashSet;

use postern_config::value::HostPattern;

/// A set of host patterns, asked once a request.
#[derive(Debug, Default)]
pub(crate) struct HostSet {
    exact: HashSet<Box<str>, foldhash::fast::RandomState>,
    /// The names behind `*.`.
    wildcard: HashSet<Box<str>, foldhash::fast::RandomState>,
}

impl HostSet {
    /// The set of those patterns.
    pub(crate) fn new<'p>(patterns: impl Iterator<Item = &'p HostPattern>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match pattern {
                HostPattern::Exact(name) => set.exact.insert(name.as_str().into()),
                HostPattern::Wildcard(parent) => set.wildcard.insert(parent.as_str().into()),
            };
        }
        set
    }

    /// Whether `host`, in lower case and without port, is answered.
    pub(crate) fn answers(&self, host: &str) -> bool {
        self.exact.contains(host)
            || (!self.wildcard.is_empty()
                && host.split_once('.').is_some_and(|(_, parent)| self.wildcard.contains(parent)))
    }
}
