//! What the metrics say of the process, under the names that every Prometheus client library has for it.

use std::sync::LazyLock;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustix::time::{ClockId, clock_gettime};

use super::exposition::Exposition;
use super::registry;

static STARTED: LazyLock<Duration> = LazyLock::new(|| SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default());

/// Notes when the process began; to be called early.
pub(super) fn begin() {
    LazyLock::force(&STARTED);
}

/// When that was, after 1970.
pub(crate) fn started() -> Duration {
    *STARTED
}

/// The exposition. What the system does not tell is left out: memory and files are read where Linux has them.
pub(super) fn process(out: &mut Exposition) {
    out.family(&registry::BUILD).value([env!("CARGO_PKG_VERSION")], 1_u64);
    let used = clock_gettime(ClockId::ProcessCPUTime);
    #[allow(clippy::cast_precision_loss, reason = "seconds of a process's life fit")]
    out.single(&registry::CPU, used.tv_sec as f64 + used.tv_nsec as f64 / 1e9);
    let mut samples = out.family(&registry::RESIDENT);
    if let Some(bytes) = std::fs::read_to_string("/proc/self/status").ok().as_deref().and_then(resident) {
        samples.value([], bytes);
    }
    let mut samples = out.family(&registry::OPEN_FILES);
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        // One of them is for counting.
        samples.value([], files.count().saturating_sub(1) as u64);
    }
    out.single(&registry::START_TIME, STARTED.as_secs_f64());
}

/// In bytes.
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kilobytes| kilobytes * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_writes_it() {
        assert_eq!(resident("VmPeak:\t  9 kB\nVmRSS:\t  123456 kB\nRssAnon:\t 1 kB\n"), Some(126_418_944));
        assert_eq!(resident("VmRSS:\t 1 MB\n"), None);
        assert_eq!(resident(""), None);
    }
}
