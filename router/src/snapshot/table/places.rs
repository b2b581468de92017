//! The places where routes lie, as one open-addressed table over hashes of whole paths from the root.
//!
//! The hash of a path is that of its front and of one segment more, and never depends on what was found on the
//! way: so the processor can be told to look at every depth at once, and a large table, where every look is a
//! cache miss, costs one miss in time where a tree of nodes costs one a level.
//!
//! Only hashes are kept. They are keyed per table, so nobody outside can choose paths that collide; two inside
//! are found while building; and whoever is about to win compares its text.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::Span;

/// The hash of one segment under the table's key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct SegmentHash(u64);

impl SegmentHash {
    /// Whether it is that of the empty segment, which no variable takes.
    pub(super) fn is_empty_segment(self) -> bool {
        self.0 == EMPTY_SEGMENT
    }
}

const EMPTY_SEGMENT: u64 = 0;
/// Stands for any one segment; no text has it, because theirs are odd or zero.
const VARIABLE: u64 = 2;

/// The hash of a path from the root of a scope.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct PathHash(u64);

/// What lies at a place.
#[derive(Clone, Copy, Default)]
pub(super) struct Place {
    /// Candidates that end here.
    pub(super) closed: Span,
    /// Candidates that take everything from here on.
    pub(super) open: Span,
    /// Whether any path goes on by a text, or by a variable.
    pub(super) goes_on: GoesOn,
}

/// How paths go on from a place.
#[derive(Clone, Copy, Default)]
pub(super) struct GoesOn {
    pub(super) by_text: bool,
    pub(super) by_variable: bool,
}

/// Path → place.
pub(super) struct Places {
    key: (u64, u64),
    slots: Box<[Slot]>,
    mask: usize,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// The hash of the path; 0 for a free slot.
    hash: u64,
    place: Place,
}

/// Two paths of one table with the same hash: it must be built again, under another key.
#[derive(Debug)]
pub(super) struct Collision;

impl Places {
    /// A table for that many places, at most half full.
    pub(super) fn with_capacity(places: usize) -> Self {
        let slots = (places * 2).next_power_of_two().max(8);
        // The standard library's random keys: unpredictable, and different for every table.
        let random = || RandomState::new().build_hasher().finish();
        Self { key: (random() | 1, random()), slots: vec![Slot::default(); slots].into_boxed_slice(), mask: slots - 1 }
    }

    /// The hash of a segment. Odd but for the empty one.
    pub(super) fn segment(&self, text: &str) -> SegmentHash {
        if text.is_empty() {
            return SegmentHash(EMPTY_SEGMENT);
        }
        let mut state = self.key.1 ^ text.len() as u64;
        let mut chunks = text.as_bytes().chunks_exact(8);
        for chunk in &mut chunks {
            state = fold(state ^ word(chunk), self.key.0);
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            state = fold(state ^ word(rest), self.key.0);
        }
        SegmentHash(fold(state, self.key.1 | 1) | 1)
    }

    /// The root of a scope: of the routes of one host.
    pub(super) fn root(&self, scope: u32) -> PathHash {
        PathHash(fold(self.key.1 ^ u64::from(scope).wrapping_mul(0x9e37_79b9_7f4a_7c15), self.key.0) | 1)
    }

    /// One segment further.
    pub(super) fn further(&self, path: PathHash, segment: SegmentHash) -> PathHash {
        self.step(path, segment.0)
    }

    /// One segment further, whatever it is.
    pub(super) fn further_by_variable(&self, path: PathHash) -> PathHash {
        self.step(path, VARIABLE)
    }

    fn step(&self, path: PathHash, with: u64) -> PathHash {
        PathHash(fold(path.0.rotate_left(23) ^ with, self.key.0) | 1)
    }

    /// Puts a place where a path ends.
    ///
    /// # Errors
    /// When another path has the same hash.
    pub(super) fn insert(&mut self, path: PathHash, place: Place) -> Result<(), Collision> {
        let mut at = self.start(path);
        while self.slots[at].hash != 0 {
            if self.slots[at].hash == path.0 {
                return Err(Collision);
            }
            at = (at + 1) & self.mask;
        }
        self.slots[at] = Slot { hash: path.0, place };
        Ok(())
    }

    /// The place where a path ends.
    pub(super) fn at(&self, path: PathHash) -> Option<&Place> {
        let mut at = self.start(path);
        loop {
            let slot = &self.slots[at];
            if slot.hash == path.0 {
                return Some(&slot.place);
            }
            if slot.hash == 0 {
                return None;
            }
            at = (at + 1) & self.mask;
        }
    }

    fn start(&self, path: PathHash) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
        let low = (path.0 >> 1) as usize;
        low & self.mask
    }
}

/// Multiplies to 128 bits and folds the halves together.
fn fold(value: u64, key: u64) -> u64 {
    let wide = u128::from(value) * u128::from(key);
    #[allow(clippy::cast_possible_truncation, reason = "the two halves are wanted")]
    let folded = (wide as u64) ^ ((wide >> 64) as u64);
    folded
}

/// Up to eight bytes as a number.
fn word(bytes: &[u8]) -> u64 {
    let mut padded = [0; 8];
    padded[..bytes.len()].copy_from_slice(bytes);
    u64::from_le_bytes(padded)
}
