//! The audit log: a chain of lines that tells what was configured and what was decided.
//!
//! Owns the thread that writes, and the bound of what waits for it. A disk that takes nothing costs lines, which are
//! counted and told in the log itself as soon as it takes some again, and never a request. Must never know what the
//! lines say.

mod chain;
mod files;

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use self::files::Book;
use crate::observe::Line;

/// Lines that may wait for the disk.
const WAITING: usize = 16 * 1024;
/// How long a line may be only in the system's memory.
const SYNC: Duration = Duration::from_secs(1);

/// Where lines are handed in.
pub(crate) struct Audit {
    sender: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    /// Of how many requests that were allowed one is noted, as a share of 2^32.
    allowed: u64,
}

enum Message {
    /// Members of a JSON object, without its braces.
    Line(String),
    /// Everything was handed in.
    End,
}

/// What it takes to keep a log.
pub(crate) struct Setup {
    /// Where its files lie.
    pub(crate) directory: PathBuf,
    /// How large a file may become, in bytes.
    pub(crate) most: u64,
    /// The share of allowed requests that is noted, from 0 to 1.
    pub(crate) allowed: f64,
    /// Makes the digests ones that only its holders can make.
    pub(crate) key: Option<Vec<u8>>,
}

/// The thread that writes.
pub(crate) struct AuditWriter {
    audit: Arc<Audit>,
    thread: JoinHandle<()>,
}

impl AuditWriter {
    /// Opens the log and starts the thread.
    ///
    /// # Errors
    /// When the directory cannot be made, read or written to.
    pub(crate) fn start(setup: Setup) -> std::io::Result<Self> {
        let (book, cut) = Book::open(&setup.directory, setup.key, setup.most)?;
        let (sender, receiver) = sync_channel(WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 2^32")]
        let allowed = (setup.allowed.clamp(0.0, 1.0) * 4_294_967_296.0) as u64;
        let audit = Arc::new(Audit { sender, lost: Arc::clone(&lost), allowed });
        let mut began = String::from("\"kind\":\"began\"");
        if cut > 0 {
            // Whoever reads shall know that something was there.
            began.push_str(&format!(",\"bytes_cut\":{cut}"));
        }
        audit.note(&began);
        let mut writing = Writing { book, lost, told: 0, unsynced: None, failing: false };
        let thread = std::thread::Builder::new().name("audit".to_owned()).spawn(move || writing.run(&receiver))?;
        Ok(Self { audit, thread })
    }

    /// Where lines are handed in.
    pub(crate) fn audit(&self) -> Arc<Audit> {
        Arc::clone(&self.audit)
    }

    /// Waits until everything is written that was handed in, but not for long.
    pub(crate) fn finish(self) {
        let end = Instant::now() + Duration::from_secs(2);
        self.audit.note("\"kind\":\"ended\"");
        let _ = self.audit.sender.try_send(Message::End);
        while !self.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Audit {
    /// Hands in a line: the members of a JSON object, without its braces. Its time is added.
    pub(crate) fn note(&self, members: &str) {
        let mut text = Vec::with_capacity(members.len() + 48);
        Line::members(&mut text, SystemTime::now()).raw(",", members);
        self.offer(text);
    }

    /// Hands in members that begin with their time.
    pub(crate) fn offer(&self, members: Vec<u8>) {
        // Whoever wrote them wrote JSON; anything else is no line.
        let handed = String::from_utf8(members).is_ok_and(|text| self.sender.try_send(Message::Line(text)).is_ok());
        if !handed {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Whether a request that was allowed is to be noted, given 32 random bits.
    pub(crate) fn takes_allowed(&self, random: u32) -> bool {
        u64::from(random) < self.allowed
    }

    /// Lines that were lost so far.
    pub(crate) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

struct Writing {
    book: Book,
    lost: Arc<AtomicU64>,
    /// Lost lines that the log itself tells of.
    told: u64,
    /// Since when there are lines that may not outlive the machine's end.
    unsynced: Option<Instant>,
    failing: bool,
}

impl Writing {
    fn run(&mut self, receiver: &Receiver<Message>) {
        loop {
            let patience =
                self.unsynced.map_or(Duration::from_secs(3_600), |since| SYNC.saturating_sub(since.elapsed()));
            match receiver.recv_timeout(patience) {
                Ok(Message::Line(members)) => self.write(&members),
                Err(RecvTimeoutError::Timeout) => self.sync(),
                Ok(Message::End) | Err(RecvTimeoutError::Disconnected) => return self.sync(),
            }
        }
    }

    fn write(&mut self, members: &str) {
        let lost = self.lost.load(Ordering::Relaxed);
        if lost > self.told && self.append(&format!("\"kind\":\"lost\",\"lines\":{}", lost - self.told)) {
            self.told = lost;
        }
        if !self.append(members) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    fn append(&mut self, members: &str) -> bool {
        match self.book.append(members) {
            Ok(()) => {
                if std::mem::take(&mut self.failing) {
                    tracing::warn!(line = self.book.link().number, "the audit log is written again");
                }
                self.unsynced.get_or_insert_with(Instant::now);
                true
            }
            Err(error) => {
                if !std::mem::replace(&mut self.failing, true) {
                    tracing::error!(%error, "the audit log cannot be written: lines are lost and counted");
                }
                false
            }
        }
    }

    fn sync(&mut self) {
        self.unsynced = None;
        if let Err(error) = self.book.sync() {
            tracing::error!(%error, "the audit log may not outlive the machine's end");
        }
    }
}

/// Holds every line in `directory` against the one before. Says in one line what was found.
///
/// # Errors
/// The first line that does not hold, and why.
pub(crate) fn verify(directory: &Path, key: Option<&[u8]>) -> Result<String, String> {
    let verified = files::verify(directory, key).map_err(|broken| broken.to_string())?;
    let from = if verified.first == 1 {
        "from the first line on".to_owned()
    } else {
        format!("from line {} on (older files are not here)", verified.first)
    };
    let (last, files) = (verified.last, verified.files);
    Ok(format!(
        "whole {from}: {} lines in {files} files; line {} has the digest {}",
        last.number - verified.first + 1,
        last.number,
        last.hash
    ))
}
