//! No AWS power: whatever of it the environment holds is gone before anything else runs.
//!
//! A task's role belongs to every container of it, and `/proc/PID/environ` shows what a process was started
//! with whatever it later does to its variables. So the process is started anew, without them, in its place. And without
//! those of OpenTelemetry, which the library that sends traces would believe beside the settings.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Starts the process anew without `AWS_*`, `ECS_*` and `OTEL_*`, when there are any.
///
/// # Errors
/// What the system said: then the router must not run.
pub(crate) fn environment() -> std::io::Result<()> {
    let found: Vec<OsString> = std::env::vars_os().map(|(name, _)| name).filter(|name| goes(name)).collect();
    if found.is_empty() {
        return Ok(());
    }
    let mut arguments = std::env::args_os();
    let mut command = Command::new(std::env::current_exe()?);
    if let Some(name) = arguments.next() {
        command.arg0(name);
    }
    command.args(arguments);
    for name in &found {
        command.env_remove(name);
    }
    // Comes back only when it failed.
    Err(command.exec())
}

fn goes(name: &std::ffi::OsStr) -> bool {
    let name = name.to_string_lossy();
    ["AWS_", "ECS_", "OTEL_"].iter().any(|start| name.starts_with(start))
}
