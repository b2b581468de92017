//! An answer that comes while its request is still on its way.
//!
//! Whoever passes the answer on asks for more of it only when the client takes it. The request must go up all the
//! same: a client may send all it has before it reads. So while something is left of the request, a task of its own
//! moves it. Must never know policies or destinations.

use std::cell::{Cell, RefCell};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::{Rc, Weak};
use std::task::{Context, Poll, Waker};

use crate::body::ClientBody;
use crate::reject::{Reason, Rejection};
use crate::upstream::{UpstreamBody, UpstreamFault};

/// An answer's body, and what is left of its request.
pub(super) struct BothWays<B>(Rc<Shared<B>>);

struct Shared<B> {
    body: RefCell<UpstreamBody<B>>,
    /// Who moves the request, as long as somebody has to.
    pump: Cell<Option<Waker>>,
    /// Who waits for the answer.
    reader: Cell<Option<Waker>>,
    /// Moving the request panicked, and nobody moves it any more.
    broken: Cell<bool>,
}

impl<B: ClientBody + 'static> BothWays<B> {
    pub(super) fn new(body: UpstreamBody<B>) -> Self {
        let uploads = body.is_uploading();
        let shared = Rc::new(Shared {
            body: RefCell::new(body),
            pump: Cell::default(),
            reader: Cell::default(),
            broken: Cell::default(),
        });
        if uploads {
            let weak = Rc::downgrade(&shared);
            tokio::task::spawn_local(poll_fn(move |context| {
                let polled = catch_unwind(AssertUnwindSafe(|| poll_pump(&weak, context)));
                polled.unwrap_or_else(|_| {
                    weak.upgrade().inspect(|shared| shared.give_up());
                    Poll::Ready(())
                })
            }));
        }
        Self(shared)
    }

    /// As [`UpstreamBody::poll_piece`]. A piece is handed to `take`, which says how much of it is gone.
    pub(super) fn poll_piece<T>(
        &self,
        context: &mut Context<'_>,
        take: impl FnOnce(&mut UpstreamBody<B>, bool) -> T,
    ) -> Poll<Result<T, UpstreamFault>> {
        if self.0.broken.get() {
            let why = "the router panicked over the rest of this request";
            return Poll::Ready(Err(Rejection::new(Reason::Internal, why).into()));
        }
        let mut body = self.0.body.borrow_mut();
        let polled = body.poll_piece(context);
        if body.is_uploading() {
            // Both wait for the client and the destination, but only who asked last is told.
            self.0.reader.set(Some(context.waker().clone()));
            wake(&self.0.pump);
        }
        polled.map_ok(|more| take(&mut body, more))
    }

    /// How much may be read at once from now on.
    pub(super) fn read_at_most(&self, bytes: usize) {
        self.0.body.borrow_mut().read_at_most(bytes);
    }

    /// Whether everything was had.
    pub(super) fn is_over(&self) -> bool {
        self.0.body.borrow().is_over()
    }
}

impl<B> Shared<B> {
    /// Whoever waits for the answer is told that there will be none.
    fn give_up(&self) {
        self.broken.set(true);
        wake(&self.reader);
    }
}

impl<B> Drop for BothWays<B> {
    /// The task ends when it is asked and nothing is there any more.
    fn drop(&mut self) {
        wake(&self.0.pump);
    }
}

fn poll_pump<B: ClientBody>(shared: &Weak<Shared<B>>, context: &mut Context<'_>) -> Poll<()> {
    let Some(shared) = shared.upgrade() else { return Poll::Ready(()) };
    let mut body = shared.body.borrow_mut();
    body.poll_upload(context);
    if body.is_uploading() {
        shared.pump.set(Some(context.waker().clone()));
        return Poll::Pending;
    }
    // The end of a request, good or bad, may be what the answer waits for.
    wake(&shared.reader);
    Poll::Ready(())
}

fn wake(waker: &Cell<Option<Waker>>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}
