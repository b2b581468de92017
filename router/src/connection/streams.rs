//! What the requests of one HTTP/2 connection hold together, and whether their client takes its answers.
//!
//! A client with a hundred streams shall not make the router hold a hundred times what one request may. Small
//! requests and small pieces of answers always pass; what is larger shares a room, and waits while that is full.
//! Nothing is refused for it. Must never know what a request asks for.

use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

use crate::buffer;

/// Text of the heads under way, in bytes. A client's table of fields lets four bytes stand for four thousand
/// (RFC 7541 §2.3.2), so what counts is what they stand for.
const HEADS: usize = 256 * 1024;
/// Pieces of answers that were handed down and not yet written.
const PIECES: usize = 128 * 1024;

/// What is going on on a connection.
pub(super) struct Streams {
    open: RefCell<Vec<Weak<Stream>>>,
    opened: Cell<u64>,
    last: Cell<Instant>,
    heads: Arc<Semaphore>,
    held: Rc<Cell<usize>>,
}

/// One exchange, as far as the connection looks after it.
pub(super) struct Stream {
    /// Since when a piece of the answer waits for the client to take it.
    offered: Cell<Option<Instant>>,
    /// How much of the answer does.
    held: Cell<usize>,
    /// The same of all streams.
    all_held: Rc<Cell<usize>>,
    heads: Arc<Semaphore>,
    head: Cell<Option<OwnedSemaphorePermit>>,
    /// Who waits for the client to take something.
    waiting: Cell<Option<Waker>>,
}

/// How a connection stands.
pub(super) enum State {
    /// Something is going on.
    Busy,
    /// Nothing for so long that it may end.
    Idle,
    /// It has served enough.
    Old,
    /// A client takes nothing of its answer.
    Stalled,
}

impl Streams {
    pub(super) fn new() -> Self {
        Self {
            open: RefCell::default(),
            opened: Cell::new(0),
            last: Cell::new(Instant::now()),
            heads: Arc::new(Semaphore::new(HEADS)),
            held: Rc::default(),
        }
    }

    /// Notes a new request.
    pub(super) fn open(&self) -> Rc<Stream> {
        let stream = Rc::new(Stream {
            offered: Cell::default(),
            held: Cell::default(),
            all_held: Rc::clone(&self.held),
            heads: Arc::clone(&self.heads),
            head: Cell::default(),
            waiting: Cell::default(),
        });
        self.opened.set(self.opened.get() + 1);
        let mut open = self.open.borrow_mut();
        if open.len() == open.capacity() {
            open.retain(|stream| stream.strong_count() > 0);
        }
        open.push(Rc::downgrade(&stream));
        stream
    }

    /// How it stands, for a client that is waited for so long and served so many requests.
    pub(super) fn state(&self, patience: Duration, requests: u64) -> State {
        let now = Instant::now();
        let mut open = self.open.borrow_mut();
        open.retain(|stream| stream.strong_count() > 0);
        if !open.is_empty() {
            self.last.set(now);
        }
        let offered = open.iter().filter_map(|stream| stream.upgrade()?.offered.get());
        if offered.min().is_some_and(|since| now.duration_since(since) > patience) {
            State::Stalled
        } else if open.is_empty() && now.duration_since(self.last.get()) > patience {
            State::Idle
        } else if self.opened.get() >= requests {
            State::Old
        } else {
            State::Busy
        }
    }
}

impl Stream {
    /// Waits until there is room for the head of this request, which is so long.
    pub(super) async fn admit(&self, bytes: usize) {
        let bytes = u32::try_from(bytes.min(HEADS)).unwrap_or(0);
        // Nobody closes it.
        self.head.set(Arc::clone(&self.heads).acquire_many_owned(bytes).await.ok());
    }

    /// How much may be read of the answer now. There is always room for a little, once what was handed down before
    /// has been written.
    pub(super) fn poll_room(&self, context: &mut Context<'_>) -> Poll<usize> {
        if self.all_held.get() + buffer::MEDIUM <= PIECES {
            return Poll::Ready(buffer::MEDIUM);
        }
        if self.held.get() == 0 {
            return Poll::Ready(buffer::SMALL);
        }
        self.waiting.set(Some(context.waker().clone()));
        Poll::Pending
    }

    /// Hands a piece of the answer down.
    pub(super) fn piece(self: &Rc<Self>, bytes: Bytes) -> Piece {
        self.moved(0, bytes.len());
        Piece { length: bytes.len(), bytes, stream: Rc::clone(self) }
    }

    fn moved(&self, gone: usize, come: usize) {
        self.all_held.set(self.all_held.get() + come - gone);
        self.held.set(self.held.get() + come - gone);
        if gone > 0 || self.offered.get().is_none() {
            self.offered.set((self.held.get() > 0).then(Instant::now));
        }
    }
}

/// A piece of an answer, until it is written: whenever it is dropped, it holds no room any more.
pub(super) struct Piece {
    bytes: Bytes,
    length: usize,
    stream: Rc<Stream>,
}

impl Buf for Piece {
    fn remaining(&self) -> usize {
        self.bytes.remaining()
    }

    fn chunk(&self) -> &[u8] {
        self.bytes.chunk()
    }

    fn advance(&mut self, count: usize) {
        self.bytes.advance(count);
    }
}

impl Drop for Piece {
    fn drop(&mut self) {
        self.stream.moved(self.length, 0);
        if let Some(waiting) = self.stream.waiting.take() {
            waiting.wake();
        }
    }
}
