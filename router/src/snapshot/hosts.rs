//! The hosts that are answered.

use std::collections::{HashMap, HashSet};

use postern_config::value::{HostName, HostPattern};

/// A set of host patterns, asked once a request.
#[derive(Debug, Default)]
pub(crate) struct HostSet {
    exact: HashMap<HostName, (), foldhash::fast::RandomState>,
    /// The names behind `*.`.
    wildcard: HashSet<Box<str>, foldhash::fast::RandomState>,
}

impl HostSet {
    /// The set of those patterns.
    pub(crate) fn new<'p>(patterns: impl Iterator<Item = &'p HostPattern>) -> Self {
        let mut set = Self::default();
        for pattern in patterns {
            match pattern {
                HostPattern::Exact(name) => drop(set.exact.insert(name.clone(), ())),
                HostPattern::Wildcard(parent) => drop(set.wildcard.insert(parent.as_str().into())),
            };
        }
        set
    }

    /// Whether `host`, in lower case and without port, is answered.
    pub(crate) fn answers(&self, host: &str) -> bool {
        self.exact.contains_key(host)
            || (!self.wildcard.is_empty()
                && host.split_once('.').is_some_and(|(_, parent)| self.wildcard.contains(parent)))
    }

    /// The name that is written like this to the letter, if it is one of those that are answered: what has been
    /// read once need not be read again.
    pub(crate) fn known(&self, text: &str) -> Option<HostName> {
        self.exact.get_key_value(text).map(|(name, ())| name.clone())
    }
}
