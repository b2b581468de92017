//! A pin: the routes of one generation stay, whatever the registrations say, until they are let go.
//!
//! The boundary stays in force: what it no longer allows ends also for pinned routes. Must never know how a pin is kept.

use std::sync::{Arc, Mutex, PoisonError};

use postern_config::merged::{Content, Pinned};
use postern_config::value::Timestamp;
use tokio::sync::oneshot;

use super::Reconciler;
use crate::publish::Publisher;

/// What stays.
#[derive(Debug)]
pub(super) struct Pin {
    /// Which generation, and since when.
    pub(super) told: Pinned,
    /// What it says.
    pub(super) content: Arc<Content>,
}

/// What somebody wants to stay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Order {
    /// What stands.
    Pin,
    /// The routes of that generation again.
    Rollback(u64),
}

/// What becomes of an order: the generation that carries it out, or why not.
pub type Outcome = Result<u64, String>;

/// Orders on their way to the loop.
#[derive(Debug, Default)]
pub struct Orders(Mutex<Vec<(Order, oneshot::Sender<Outcome>)>>);

impl Orders {
    /// Asks for it.
    pub(super) fn give(&self, order: Order) -> oneshot::Receiver<Outcome> {
        let (sender, receiver) = oneshot::channel();
        self.0.lock().unwrap_or_else(PoisonError::into_inner).push((order, sender));
        receiver
    }

    pub(super) fn take(&self) -> Vec<(Order, oneshot::Sender<Outcome>)> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Pin {
    /// The pin that was kept across a restart. When the generation cannot be read any more, what stands is pinned.
    pub(super) fn kept(publisher: &Publisher) -> Option<Self> {
        let told = publisher.pinned()?;
        let content = publisher.past(told.generation).or_else(|error| {
            tracing::error!(
                generation = told.generation,
                error,
                "the pinned generation cannot be read; what stands stays"
            );
            publisher.standing().map(|standing| Arc::clone(&standing.content)).ok_or(error)
        });
        content.ok().map(|content| Self { told, content })
    }
}

impl Reconciler {
    /// Pins what is ordered; the next pass carries it out.
    ///
    /// # Errors
    /// When there is no such generation, or it cannot be written down that it is pinned.
    pub(super) fn obey(&mut self, order: Order, now: Timestamp) -> Result<(), String> {
        let generation = match order {
            Order::Pin => {
                self.publisher.standing().map(|standing| standing.header.generation).ok_or("nothing stands yet")?
            }
            Order::Rollback(generation) => generation,
        };
        let content = self.publisher.past(generation)?;
        let told = Pinned { generation, since: now };
        self.publisher.remember_pinned(Some(told)).map_err(|error| error.to_string())?;
        tracing::warn!(generation, "pinned: registrations are not followed until they are released");
        self.pin = Some(Pin { told, content });
        self.changed = true;
        Ok(())
    }

    /// Lets go what is pinned.
    pub(super) fn unpin(&mut self) {
        if let Some(pin) = self.pin.take() {
            tracing::warn!(generation = pin.told.generation, "released: registrations are followed again");
            if let Err(error) = self.publisher.remember_pinned(None) {
                tracing::error!(%error, "it is pinned again at the next start");
            }
            self.changed = true;
        }
    }
}
