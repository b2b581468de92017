//! Bytes that were read from a stream and not yet used.
//!
//! Both sides read like this: heads and bodies are looked at where they were read to. Assumes that whoever looks skips
//! what is used. While nothing is kept, no memory is held. Must never know what the bytes mean.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::AsyncRead;
use tokio_util::io::poll_read_buf;

use crate::buffer::Buffer;

/// What came and is not used.
#[derive(Default)]
pub(crate) struct Inbox {
    buffer: Buffer,
    /// Where the unused bytes begin.
    start: usize,
}

impl Inbox {
    /// The unused bytes.
    pub(crate) fn unused(&self) -> &[u8] {
        &self.buffer[self.start..]
    }

    /// Whether there are none.
    pub(crate) fn is_empty(&self) -> bool {
        self.start == self.buffer.len()
    }

    /// Lets go of so many bytes.
    pub(crate) fn skip(&mut self, bytes: usize) {
        self.start += bytes;
        if self.is_empty() {
            *self = Self::default();
        }
    }

    /// Reads once, behind what is there: zero at the end. `most` is what is worth reading at once when nothing is there.
    pub(crate) fn poll_more(
        &mut self,
        stream: &mut (impl AsyncRead + Unpin),
        context: &mut Context<'_>,
        most: usize,
    ) -> Poll<io::Result<usize>> {
        if self.buffer.is_empty() {
            self.buffer = Buffer::for_reading(most);
        } else if self.start > 0 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        let read = poll_read_buf(Pin::new(stream), context, &mut *self.buffer);
        if self.buffer.is_empty() {
            self.buffer = Buffer::default();
        }
        read
    }

    /// The unused bytes themselves, for another protocol.
    pub(crate) fn into_unused(mut self) -> Buffer {
        self.buffer.drain(..self.start);
        self.buffer
    }
}
