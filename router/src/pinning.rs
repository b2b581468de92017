//! A serving thread that stays on its core.
//!
//! Worth it where nothing else runs on the machine: caches stay warm and no thread is moved. Elsewhere the kernel
//! knows better, so nothing is pinned unless it is asked for. Must never know what a thread serves.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Keeps the calling thread on the `index`th core of those that it may use, in turn when there are fewer.
///
/// # Errors
/// What the system says against it; the thread then goes on unpinned.
pub(crate) fn pin(index: usize) -> std::io::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let cores: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|core| allowed.is_set(*core)).collect();
    let Some(core) = cores.get(index % cores.len().max(1)) else { return Ok(()) };
    let mut only = CpuSet::new();
    only.set(*core);
    Ok(sched_setaffinity(None, &only)?)
}
