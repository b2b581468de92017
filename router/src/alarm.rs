//! One timer for many deadlines.
//!
//! A deadline that is met is the rule: most never fire. So a timer that exists is moved only when it would fire too
//! late, and looks again when it fires too early. Must never know what is waited for.

use std::future::Future as _;
use std::pin::Pin;
use std::task::{Context, Poll, Waker};

use tokio::time::{Instant, Sleep, sleep_until};

/// A timer that is made when something is first waited for.
#[derive(Default)]
pub(crate) struct Alarm {
    sleep: Option<Pin<Box<Sleep>>>,
    /// Who is woken by it. Asked anew only when that changes or it fired: the runtime's own way costs several times as much,
    /// and so does a look at the clock.
    wakes: Option<Waker>,
}

impl Alarm {
    /// Ready once `due` has passed.
    pub(crate) fn poll(&mut self, due: Instant, context: &mut Context<'_>) -> Poll<()> {
        let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(due)));
        if sleep.deadline() > due {
            sleep.as_mut().reset(due);
        } else if self.wakes.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) && !sleep.is_elapsed() {
            return Poll::Pending;
        }
        self.wakes = None;
        loop {
            if sleep.as_mut().poll(context).is_pending() {
                self.wakes = Some(context.waker().clone());
                return Poll::Pending;
            }
            if Instant::now() >= due {
                return Poll::Ready(());
            }
            sleep.as_mut().reset(due);
        }
    }
}
