//! Bytes on their way, in memory that a core uses again and again.
//!
//! Owns one stack of spare buffers a thread, so that a waiting connection holds none and a busy one asks the
//! allocator for none. Must never know what the bytes mean.

use std::cell::RefCell;
use std::ops::{Deref, DerefMut};

/// What most heads and small bodies fit into.
pub(crate) const SMALL: usize = 4 * 1024;
/// What a socket is read into.
pub(crate) const MEDIUM: usize = 32 * 1024;
/// What long bodies are read into: fewer system calls for each byte.
pub(crate) const LARGE: usize = 256 * 1024;

/// How many spare buffers of each size a thread keeps.
const SPARE: [(usize, usize); 3] = [(SMALL, 1_024), (MEDIUM, 512), (LARGE, 32)];

thread_local! {
    static STACKS: RefCell<[Vec<Vec<u8>>; 3]> = const { RefCell::new([Vec::new(), Vec::new(), Vec::new()]) };
}

/// A growable run of bytes whose memory goes back to its thread's stack. The default has no memory yet.
#[derive(Default)]
pub(crate) struct Buffer(Vec<u8>);

impl Buffer {
    /// For a head.
    pub(crate) fn small() -> Self {
        Self::of(0)
    }

    /// For reading from a socket.
    pub(crate) fn medium() -> Self {
        Self::of(1)
    }

    /// For a long body.
    pub(crate) fn large() -> Self {
        Self::of(2)
    }

    /// For what is of known length and is kept for long: none of the spare ones, which are larger.
    pub(crate) fn exact(bytes: usize) -> Self {
        Self(Vec::with_capacity(bytes))
    }

    /// For reading at most so much, as far as there are buffers for it.
    pub(crate) fn for_reading(bytes: usize) -> Self {
        match bytes {
            small if small <= SMALL => Self::small(),
            medium if medium < LARGE => Self::medium(),
            _ => Self::large(),
        }
    }

    /// Makes room for so many bytes more. One that would have to grow goes back to its stack, and a larger spare one
    /// takes its place.
    pub(crate) fn make_room(&mut self, more: usize) {
        let bytes = self.len() + more;
        if bytes > self.capacity() {
            let mut larger = match SPARE.iter().position(|(size, _)| *size >= bytes) {
                Some(class) => Self::of(class),
                None => Self::exact(bytes),
            };
            larger.extend_from_slice(self);
            *self = larger;
        }
    }

    fn of(class: usize) -> Self {
        let spare = STACKS.with_borrow_mut(|stacks| stacks[class].pop());
        Self(spare.unwrap_or_else(|| Vec::with_capacity(SPARE[class].0)))
    }
}

impl Deref for Buffer {
    type Target = Vec<u8>;

    fn deref(&self) -> &Vec<u8> {
        &self.0
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut Vec<u8> {
        &mut self.0
    }
}

impl Drop for Buffer {
    fn drop(&mut self) {
        let capacity = self.0.capacity();
        let Some(class) = SPARE.iter().position(|(size, _)| *size == capacity) else { return };
        let mut spare = std::mem::take(&mut self.0);
        spare.clear();
        // At a thread's end the stacks may be gone already.
        let _ = STACKS.try_with(|stacks| {
            if let Ok(mut stacks) = stacks.try_borrow_mut()
                && stacks[class].len() < SPARE[class].1
            {
                stacks[class].push(spare);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_made_of_spare_memory_and_what_was_there_stays() {
        let mut buffer = Buffer::small();
        for (bytes, capacity) in [(SMALL - 1, SMALL), (1, SMALL), (1, MEDIUM), (MEDIUM, LARGE), (LARGE, 2 * LARGE)] {
            let before = buffer.to_vec();
            buffer.make_room(bytes);
            assert!(buffer.capacity() >= before.len() + bytes && buffer.capacity() <= capacity, "{bytes}");
            buffer.extend_from_slice(&vec![b'x'; bytes]);
            assert!(buffer.starts_with(&before));
        }
        drop(buffer);
        let spare = |class: usize| STACKS.with_borrow(|stacks| stacks[class].len());
        assert_eq!([spare(0), spare(1), spare(2)], [1, 1, 1]);
    }
}
