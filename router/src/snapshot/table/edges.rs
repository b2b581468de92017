//! The edges of a tree of segments as one open-addressed table: a look-up touches one cache line as a rule.
//!
//! Only hashes are kept. They are keyed per table, so nobody outside can choose segments that collide; and
//! whoever descends here compares the text in the end.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::NodeRef;

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

/// (node, segment) → node.
pub(super) struct Edges {
    key: (u64, u64),
    slots: Box<[Slot]>,
    mask: usize,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    /// Hash of parent and segment; 0 for a free slot.
    hash: u64,
    child: NodeRef,
}

impl Edges {
    /// A table for that many edges, at most half full.
    pub(super) fn with_capacity(edges: usize) -> Self {
        let slots = (edges * 2).next_power_of_two().max(8);
        // The standard library's random keys: unpredictable, and different for every table.
        let random = || RandomState::new().build_hasher().finish();
        Self { key: (random() | 1, random()), slots: vec![Slot::default(); slots].into_boxed_slice(), mask: slots - 1 }
    }

    /// The hash of a segment. Not zero but for the empty one.
    pub(super) fn hash(&self, segment: &str) -> SegmentHash {
        if segment.is_empty() {
            return SegmentHash(EMPTY_SEGMENT);
        }
        let mut state = self.key.1 ^ segment.len() as u64;
        let mut chunks = segment.as_bytes().chunks_exact(8);
        for chunk in &mut chunks {
            state = fold(state ^ word(chunk), self.key.0);
        }
        let rest = chunks.remainder();
        if !rest.is_empty() {
            state = fold(state ^ word(rest), self.key.0);
        }
        SegmentHash(fold(state, self.key.1 | 1) | 1)
    }

    /// Adds an edge; the caller sees to it that it is not there yet.
    pub(super) fn insert(&mut self, parent: u32, segment: SegmentHash, child: NodeRef) {
        let hash = self.slot_hash(parent, segment);
        let mut at = self.start(hash);
        while self.slots[at].hash != 0 {
            at = (at + 1) & self.mask;
        }
        self.slots[at] = Slot { hash, child };
    }

    /// The child of `parent` for that segment.
    pub(super) fn child(&self, parent: u32, segment: SegmentHash) -> Option<NodeRef> {
        let hash = self.slot_hash(parent, segment);
        let mut at = self.start(hash);
        loop {
            let slot = &self.slots[at];
            if slot.hash == 0 {
                return None;
            }
            if slot.hash == hash {
                return Some(slot.child);
            }
            at = (at + 1) & self.mask;
        }
    }

    fn slot_hash(&self, parent: u32, segment: SegmentHash) -> u64 {
        fold(segment.0 ^ u64::from(parent).wrapping_mul(0x9e37_79b9_7f4a_7c15), self.key.0) | 1
    }

    fn start(&self, hash: u64) -> usize {
        #[allow(clippy::cast_possible_truncation, reason = "only the low bits are wanted")]
        let low = (hash >> 1) as usize;
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
