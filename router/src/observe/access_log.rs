//! The access log: one JSON line for each exchange, written into a buffer of the core's own and handed to one
//! thread that writes it out.
//!
//! A sink that does not take its lines costs lines, which are counted, and never a request.

use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use postern_config::document::Mode;

use super::line::Line;
use super::{Exchange, LogFormat, Record};
use crate::http1::{RequestHead, Version, text};
use crate::rights::Verdict;

/// Buffers on their way to the writing thread; as many as this may wait.
const WAITING: usize = 64;
/// A buffer is handed over when it holds this many bytes: each time costs waking the thread that writes.
const FULL: usize = 64 * 1024;

/// The thread that writes.
pub(crate) struct LogWriter {
    sender: SyncSender<Vec<u8>>,
    dropped: Arc<AtomicU64>,
    format: Arc<LogFormat>,
    thread: JoinHandle<()>,
}

impl LogWriter {
    /// Starts the thread. `sink` is `stdout`, or a path that is appended to.
    ///
    /// # Errors
    /// When the file cannot be opened.
    pub(crate) fn start(sink: &str, format: LogFormat) -> std::io::Result<Self> {
        let out = match sink {
            "stdout" => File::from(std::io::stdout().as_fd().try_clone_to_owned()?),
            path => open(Path::new(path))?,
        };
        let (sender, receiver) = sync_channel(WAITING);
        let dropped = Arc::default();
        let mut sink = Sink::new(out, Arc::clone(&dropped));
        let thread = std::thread::Builder::new().name("access-log".to_owned());
        let thread = thread.spawn(move || receiver.iter().for_each(|lines: Vec<u8>| sink.write(&lines)))?;
        Ok(Self { sender, dropped, format: Arc::new(format), thread })
    }

    /// Waits until everything is written that the cores handed over; they must have ended. Not for long: a sink
    /// that takes nothing does not keep the router from ending.
    pub(crate) fn finish(self) {
        drop(self.sender);
        let end = Instant::now() + Duration::from_secs(1);
        while !self.thread.is_finished() && Instant::now() < end {
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// A buffer for one core.
    pub(crate) fn buffer(&self) -> LogBuffer {
        LogBuffer {
            bytes: Vec::with_capacity(FULL + 4_096),
            lines: 0,
            start: 0,
            format: Arc::clone(&self.format),
            sender: Some(self.sender.clone()),
            dropped: Arc::clone(&self.dropped),
        }
    }

    /// Lines that were dropped, over all cores.
    pub(crate) fn dropped(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.dropped)
    }
}

/// Opens what lines are appended to. A pipe that nobody reads yet is no reason to wait, nor one whose reader comes and
/// goes: held open for reading too, it only fills.
fn open(path: &Path) -> std::io::Result<File> {
    if std::fs::metadata(path).is_ok_and(|found| found.file_type().is_fifo()) {
        return OpenOptions::new().read(true).write(true).open(path);
    }
    OpenOptions::new().create(true).append(true).open(path)
}

/// What lines are written to, whole or not at all.
struct Sink<W> {
    out: W,
    /// What is to be written still of a line that was begun.
    torn: Vec<u8>,
    dropped: Arc<AtomicU64>,
}

impl<W: Write> Sink<W> {
    fn new(out: W, dropped: Arc<AtomicU64>) -> Self {
        Self { out, torn: Vec::new(), dropped }
    }

    /// Writes lines. A closed pipe or a full disk takes some of them or none: the next may fare better, and those are
    /// counted.
    fn write(&mut self, lines: &[u8]) {
        let torn = std::mem::take(&mut self.torn);
        let rest = &torn[self.put(&torn)..];
        let written = if rest.is_empty() { self.put(lines) } else { 0 };
        let left = &lines[written..];
        let begun = written > 0 && lines[written - 1] != b'\n';
        let end = if begun { memchr::memchr(b'\n', left).map_or(left.len(), |end| end + 1) } else { 0 };
        self.torn = [rest, &left[..end]].concat();
        self.dropped.fetch_add(memchr::memchr_iter(b'\n', &left[end..]).count() as u64, Ordering::Relaxed);
    }

    /// Writes as much as is taken; says how much.
    fn put(&mut self, bytes: &[u8]) -> usize {
        let mut written = 0;
        while written < bytes.len() {
            match self.out.write(&bytes[written..]) {
                Ok(more @ 1..) => written += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Ok(0) | Err(_) => break,
            }
        }
        written
    }
}

/// A core's own buffer.
pub(crate) struct LogBuffer {
    bytes: Vec<u8>,
    lines: u64,
    /// Where the last line begins.
    start: usize,
    format: Arc<LogFormat>,
    /// `None` when the log is off.
    sender: Option<SyncSender<Vec<u8>>>,
    dropped: Arc<AtomicU64>,
}

impl LogBuffer {
    /// A buffer that takes nothing.
    pub(crate) fn off() -> Self {
        Self { bytes: Vec::new(), lines: 0, start: 0, format: Arc::default(), sender: None, dropped: Arc::default() }
    }

    /// Adds a line, and shows it. When the log is off it stands there until the next one.
    pub(crate) fn add(&mut self, write: impl FnOnce(&mut Vec<u8>, bool)) -> &[u8] {
        if self.sender.is_none() {
            self.bytes.clear();
        }
        self.let_torn_go();
        self.start = self.bytes.len();
        write(&mut self.bytes, self.format.wants_agent());
        self.lines += 1;
        &self.bytes[self.start..]
    }

    /// Gives the line that was added last the form that is asked for.
    pub(crate) fn reshape(&mut self) {
        if *self.format == LogFormat::Whole || self.sender.is_none() {
            return;
        }
        let line = self.bytes.split_off(self.start);
        self.format.show(&line, &mut self.bytes);
    }

    /// Takes the line back that was added last: it is not for the log.
    pub(crate) fn take_back(&mut self) {
        self.bytes.truncate(self.start);
        self.lines = self.lines.saturating_sub(1);
    }

    /// Drops what stands behind the last whole line: whoever wrote it panicked.
    fn let_torn_go(&mut self) {
        if self.bytes.last().is_some_and(|last| *last != b'\n') {
            self.bytes.truncate(memchr::memrchr(b'\n', &self.bytes).map_or(0, |end| end + 1));
        }
    }

    /// Whether it should be handed over now.
    pub(crate) fn is_full(&self) -> bool {
        self.sender.is_some() && self.bytes.len() >= FULL
    }

    /// Hands what there is to the writing thread; drops and counts it when that one is behind.
    pub(crate) fn flush(&mut self) {
        self.let_torn_go();
        let Some(sender) = &self.sender else { return };
        if self.bytes.is_empty() {
            return;
        }
        let full = std::mem::replace(&mut self.bytes, Vec::with_capacity(FULL + 4_096));
        let lines = std::mem::take(&mut self.lines);
        if let Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) = sender.try_send(full) {
            self.dropped.fetch_add(lines, Ordering::Relaxed);
        }
    }
}

/// Requests that are cut when the router ends write their lines after the core's last look: they go out with it.
impl Drop for LogBuffer {
    fn drop(&mut self) {
        self.flush();
    }
}

/// Appends the line of an exchange.
pub(super) fn line(out: &mut Vec<u8>, exchange: &Exchange, took: Duration, agent: bool) {
    let record = &exchange.record;
    let mut line = Line::begin(out, SystemTime::now() - took);
    line.plain(",\"request_id\":\"", exchange.id.as_str());
    let head = exchange.head.as_deref();
    line.plain(",\"method\":\"", head.map_or("", |head| head.method().as_str()));
    if let Some(host) = &record.host {
        line.plain(",\"host\":\"", host.as_str());
    }
    // Without the query: queries carry secrets.
    line.text(",\"path\":", head.map_or("", |head| head.path()));
    if head.is_some_and(|head| head.version() == Version::Http2) {
        line.raw(",\"protocol\":", "\"2\"");
    }
    if agent && let Some(head) = head {
        who_sent(&mut line, head);
    }
    #[cfg(test)]
    head.iter().for_each(|head| crate::faults::strike("record", head.fields()));
    line.number(",\"status\":", record.status.into());
    decision(&mut line, record);
    if let Some(kind) = &record.destination_error {
        line.text(",\"destination_error\":", kind);
    }
    line.number(",\"bytes_in\":", exchange.bytes_in.as_ref().map_or(0, |bytes| bytes.get()));
    line.number(",\"bytes_out\":", exchange.bytes_out);
    line.millis(",\"duration_ms\":", Some(took));
    let phases = &record.phases;
    line.millis(",\"resolve_ms\":", phases.resolve);
    line.millis(",\"connect_ms\":", phases.connect);
    line.millis(",\"tls_ms\":", phases.tls);
    line.millis(",\"first_byte_ms\":", phases.first_byte);
    if record.destination.is_some() {
        line.raw(",\"reused\":", if phases.reused { "true" } else { "false" });
    }
    if let Some(traced) = &exchange.traced {
        // Digits are ASCII.
        line.plain(",\"trace_id\":\"", std::str::from_utf8(&traced.trace.id().digits()).unwrap_or_default());
    }
    line.end();
}

/// What a client says of itself; of the page that it comes from without the query, which may carry secrets.
fn who_sent(line: &mut Line<'_>, head: &RequestHead) {
    if let Some(agent) = head.fields().get("user-agent").and_then(text) {
        line.text(",\"user_agent\":", agent);
    }
    if let Some(page) = head.fields().get("referer").and_then(text) {
        line.text(",\"referer\":", page.split(['?', '#']).next().unwrap_or_default());
    }
}

/// Every field that a line may have.
pub(crate) const FIELDS: [&str; 31] = [
    "time", "request_id", "method", "host", "path", "user_agent", "referer", "status", "reason", "detail", "route",
    "owner", "destination", "generation", "client", "principal", "authenticated_by", "policy", "shadow_denied",
    "shadow_set", "destination_error", "bytes_in", "bytes_out", "duration_ms", "resolve_ms", "connect_ms", "tls_ms",
    "first_byte_ms", "reused", "protocol", "trace_id",
];

/// What was decided of a request and why, as every log tells it: for which route, where it went, who asked, and which
/// policies decided.
pub(super) fn decision(line: &mut Line<'_>, record: &Record) {
    if let Some(reason) = record.reason {
        line.plain(",\"reason\":\"", reason.code());
    }
    if !record.detail.is_empty() {
        line.text(",\"detail\":", &record.detail);
    }
    if let Some(route) = &record.route {
        line.text(",\"route\":", &route.id);
        line.text(",\"owner\":", &route.owner);
    }
    if let Some(destination) = &record.destination {
        line.text(",\"destination\":", destination);
    }
    line.number(",\"generation\":", record.generation);
    if let Some(client) = record.client {
        line.address(",\"client\":\"", client);
    }
    if let Some(principal) = &record.principal {
        line.text(",\"principal\":", principal.name());
        line.text(",\"authenticated_by\":", principal.via());
    }
    policies(line, &record.verdicts);
}

/// Which policies decided, who would have been refused had it been insisted on, and what the destination would have been told.
fn policies(line: &mut Line<'_>, verdicts: &[Verdict]) {
    let told = |of: &dyn Fn(&&Verdict) -> bool| {
        verdicts.iter().filter(of).map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    if verdicts.iter().any(|verdict| verdict.mode == Mode::Enforce) {
        line.text(",\"policy\":", &told(&|verdict| verdict.mode == Mode::Enforce));
    }
    if verdicts.iter().any(Verdict::is_shadow_denial) {
        line.text(",\"shadow_denied\":", &told(&|verdict| verdict.is_shadow_denial()));
    }
    if verdicts.iter().any(|verdict| verdict.would_set().is_some()) {
        line.text(",\"shadow_set\":", &verdicts.iter().filter_map(Verdict::would_set).collect::<Vec<_>>().join(", "));
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    /// Takes so many bytes at a time; at zero it takes nothing.
    struct Moody(Vec<u8>, std::vec::IntoIter<usize>);

    impl Write for Moody {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let most = self.1.next().unwrap_or(usize::MAX).min(bytes.len());
            self.0.extend_from_slice(&bytes[..most]);
            if most == 0 { Err(ErrorKind::StorageFull.into()) } else { Ok(most) }
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn what_is_written_is_whole_lines_and_the_others_are_counted() {
        for takes in
            [vec![], vec![0], vec![3, 0], vec![4, 0, 0], vec![5, 0, 2, 0, 1, 0], vec![11, 0, 0, 1], vec![1; 40]]
        {
            let dropped: Arc<AtomicU64> = Arc::default();
            let mut sink = Sink::new(Moody(Vec::new(), takes.clone().into_iter()), Arc::clone(&dropped));
            for lines in ["one\ntwo\nthree\n", "four\nfive\n", "six\n", "seven\n"] {
                sink.write(lines.as_bytes());
            }
            let text = String::from_utf8(sink.out.0).unwrap();
            let known = ["one", "two", "three", "four", "five", "six", "seven"];
            assert!(text.ends_with("seven\n") && text.lines().all(|line| known.contains(&line)), "{takes:?}: {text}");
            assert_eq!(text.lines().count() as u64 + dropped.load(Ordering::Relaxed), 7, "{takes:?}: {text}");
        }
    }
}
