//! A core's own exchanges on their way to the thread that sends.
//!
//! Bounded twice: in how many wait, and, of those that nobody asked for and that are kept because they went wrong or were
//! slow, in how many there are in a quarter of a second. So neither a collector that takes nothing nor a flood of refused
//! requests costs more than a counter. Must never know what they say.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::mpsc::Sender;
use tokio::sync::mpsc::error::TrySendError;

use super::Kept;

/// Exchanges that are handed over at once.
const BATCH: usize = 128;
/// Batches that may wait, over all cores.
pub(super) const WAITING: usize = 32;
/// Exchanges that nobody asked for, between two looks of the core after its affairs.
const UNASKED: usize = 256;

/// What became of exchanges, over all cores.
#[derive(Default)]
pub(crate) struct TraceCounts {
    /// A collector took them.
    pub(super) exported: AtomicU64,
    /// There was no room, because they came faster than they were taken.
    pub(super) no_room: AtomicU64,
    /// No collector took them.
    pub(super) not_taken: AtomicU64,
    /// Attempts to send some that failed.
    pub(super) failures: AtomicU64,
}

impl TraceCounts {
    /// Exchanges whose spans a collector took.
    pub(crate) fn exported(&self) -> u64 {
        self.exported.load(Ordering::Relaxed)
    }

    /// Those that are lost, by why.
    pub(crate) fn dropped(&self) -> [(&'static str, u64); 2] {
        let value = |cell: &AtomicU64| cell.load(Ordering::Relaxed);
        [("no_room", value(&self.no_room)), ("not_taken", value(&self.not_taken))]
    }

    /// How often none could be sent.
    pub(crate) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }
}

/// A core's own.
#[derive(Default)]
pub(crate) struct Outbox {
    batch: Vec<Kept>,
    unasked: usize,
    /// `None` when traces are off.
    sender: Option<Sender<Vec<Kept>>>,
    counts: Arc<TraceCounts>,
}

impl Outbox {
    /// One that hands over to `sender`.
    pub(super) fn new(sender: Sender<Vec<Kept>>, counts: Arc<TraceCounts>) -> Self {
        Self { batch: Vec::new(), unasked: 0, sender: Some(sender), counts }
    }

    /// Takes an exchange, unless there is no room: then it is not even made. `asked` is whether it was to be kept whatever
    /// became of it.
    pub(crate) fn offer(&mut self, asked: bool, make: impl FnOnce() -> Kept) {
        if self.batch.len() >= BATCH {
            self.hand_over();
        }
        let too_many = !asked && self.unasked >= UNASKED;
        if self.sender.is_none() || self.batch.len() >= BATCH || too_many {
            self.counts.no_room.fetch_add(1, Ordering::Relaxed);
            return;
        }
        self.unasked += usize::from(!asked);
        self.batch.push(make());
    }

    /// Hands over what there is, now and then.
    pub(crate) fn tend(&mut self) {
        self.unasked = 0;
        self.hand_over();
    }

    fn hand_over(&mut self) {
        let Some(sender) = &self.sender else { return };
        if self.batch.is_empty() {
            return;
        }
        match sender.try_send(std::mem::take(&mut self.batch)) {
            Ok(()) => {}
            Err(TrySendError::Full(batch)) => self.batch = batch,
            Err(TrySendError::Closed(batch)) => self.lose(batch.len()),
        }
    }

    fn lose(&self, count: usize) {
        self.counts.no_room.fetch_add(count as u64, Ordering::Relaxed);
    }
}

/// Requests that are cut when the router ends are kept after the core's last look.
impl Drop for Outbox {
    fn drop(&mut self) {
        self.hand_over();
        self.lose(self.batch.len());
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use tokio::sync::mpsc::channel;

    use super::*;
    use crate::stage::identify::RequestId;
    use crate::trace::Trace;

    fn kept() -> Kept {
        Kept {
            trace: Trace::begin(None, false, 0, || 7),
            sampled: true,
            state: None,
            began: SystemTime::UNIX_EPOCH,
            took: Duration::ZERO,
            method: None,
            path: "/".into(),
            is_http2: false,
            scheme: "http",
            host: None,
            client: None,
            request_id: RequestId::new(1),
            generation: 1,
            route: None,
            destination: None,
            status: 200,
            reason: None,
            phases: Default::default(),
            answered: None,
            bytes_in: 0,
            bytes_out: 0,
        }
    }

    #[test]
    fn what_finds_no_room_is_counted_and_never_made() {
        let (sender, mut receiver) = channel(WAITING);
        let counts = Arc::new(TraceCounts::default());
        let mut outbox = Outbox::new(sender, Arc::clone(&counts));
        let room = BATCH * (WAITING + 1);
        (0..room).for_each(|_| outbox.offer(true, kept));
        for _ in 0..1_000 {
            outbox.offer(true, || unreachable!("there is no room"));
        }
        assert_eq!(counts.dropped()[0], ("no_room", 1_000));
        assert_eq!(receiver.try_recv().unwrap().len(), BATCH);
        outbox.offer(true, kept);
        drop(outbox);
        let mut waiting = 0;
        while let Ok(batch) = receiver.try_recv() {
            waiting += batch.len();
        }
        // The batch that found no room when the core ended, and the one that did not find it before.
        assert_eq!(waiting as u64 + BATCH as u64 + counts.dropped()[0].1, room as u64 + 1_001);
    }

    #[test]
    fn a_flood_of_what_nobody_asked_for_is_bounded_and_leaves_room_for_the_others() {
        let (sender, mut receiver) = channel(WAITING);
        let counts = Arc::new(TraceCounts::default());
        let mut outbox = Outbox::new(sender, Arc::clone(&counts));
        (0..10_000).for_each(|_| outbox.offer(false, kept));
        assert_eq!(counts.dropped()[0].1, 10_000 - UNASKED as u64);
        outbox.offer(true, kept);
        outbox.tend();
        outbox.offer(false, kept);
        drop(outbox);
        let mut waiting = 0;
        while let Ok(batch) = receiver.try_recv() {
            waiting += batch.len();
        }
        assert_eq!(waiting, UNASKED + 2);
    }
}
