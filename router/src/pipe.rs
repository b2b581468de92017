//! Bytes that go from one socket to another inside the kernel, without being copied through the router.
//!
//! Owns the pipes that `splice` needs, which are used again and again. Assumes that both sockets are plain TCP and
//! that somebody else counts what goes through. Must never know what the bytes mean.

use std::cell::RefCell;
use std::io;
use std::os::fd::OwnedFd;
use std::task::{Context, Poll, ready};

use rustix::pipe::{PipeFlags, SpliceFlags, fcntl_setpipe_size, pipe_with, splice};
use tokio::io::Interest;
use tokio::net::TcpStream;

/// What a pipe holds when it may be that large; most systems allow a megabyte, of which this is a part that is
/// drained at once as a rule.
const CAPACITY: usize = 256 * 1024;
/// Pipes that a thread keeps for later, and has at most: each is two descriptors.
const KEPT: usize = 16;
const MOST: usize = 256;

thread_local! {
    static SPARE: RefCell<Vec<Ends>> = const { RefCell::new(Vec::new()) };
    static MADE: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// Where bytes go in and come out.
struct Ends {
    read: OwnedFd,
    write: OwnedFd,
}

/// A way from one socket to another.
pub(crate) struct Pipe {
    /// There until it is dropped.
    ends: Option<Ends>,
    held: usize,
}

impl Pipe {
    /// One that is empty. `None` when too many are in use, or descriptors are short: copying needs none.
    pub(crate) fn take() -> Option<Self> {
        let ends = SPARE.with_borrow_mut(Vec::pop).or_else(Ends::make)?;
        Some(Self { ends: Some(ends), held: 0 })
    }

    /// How many bytes are on their way.
    pub(crate) fn held(&self) -> usize {
        self.held
    }

    /// Takes in at most so many bytes: zero at the end of the stream. Only when nothing is [held](Self::held).
    pub(crate) fn poll_fill(
        &mut self,
        from: &TcpStream,
        context: &mut Context<'_>,
        most: u64,
    ) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else { return Poll::Ready(Ok(0)) };
        let most = usize::try_from(most).unwrap_or(usize::MAX).min(CAPACITY);
        loop {
            ready!(from.poll_read_ready(context))?;
            match from.try_io(Interest::READABLE, || through(from, &ends.write, most)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                filled => {
                    self.held = *filled.as_ref().unwrap_or(&0);
                    return Poll::Ready(filled);
                }
            }
        }
    }

    /// Gives out some of what is held.
    pub(crate) fn poll_drain(&mut self, to: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let Some(ends) = &self.ends else { return Poll::Ready(Ok(0)) };
        loop {
            ready!(to.poll_write_ready(context))?;
            match to.try_io(Interest::WRITABLE, || through(&ends.read, to, self.held)) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                drained => {
                    self.held -= *drained.as_ref().unwrap_or(&0);
                    return Poll::Ready(drained);
                }
            }
        }
    }
}

impl Drop for Pipe {
    fn drop(&mut self) {
        let Some(ends) = self.ends.take() else { return };
        // What is left in it is nobody's.
        let kept = self.held == 0
            && SPARE.with_borrow_mut(|spare| {
                let room = spare.len() < KEPT;
                if room {
                    spare.push(ends);
                }
                room
            });
        if !kept {
            MADE.set(MADE.get() - 1);
        }
    }
}

impl Ends {
    fn make() -> Option<Self> {
        if MADE.get() >= MOST {
            return None;
        }
        let (read, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK).ok()?;
        // One that stays smaller does as well.
        let _ = fcntl_setpipe_size(&write, CAPACITY);
        MADE.set(MADE.get() + 1);
        Some(Self { read, write })
    }
}

fn through(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd, most: usize) -> io::Result<usize> {
    Ok(splice(from, None, to, None, most, SpliceFlags::NONBLOCK | SpliceFlags::MOVE)?)
}
