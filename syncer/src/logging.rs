//! Logs: one JSON object a line on stderr, or text on a terminal.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::output::Failure;
use crate::settings::{Log, LogFormat};

/// Starts logging for the whole process. A second start, in tests, changes nothing.
pub(crate) fn start(log: &Log) -> Result<(), Failure> {
    let filter = EnvFilter::try_new(&log.level)
        .map_err(|error| Failure::usage(format!("log.level {:?} is no filter: {error}", log.level)))?;
    let json = match log.format {
        LogFormat::Json => true,
        LogFormat::Text => false,
        LogFormat::Auto => !std::io::stderr().is_terminal(),
    };
    // A line that cannot be written is lost: the subscriber would tell of it at the same place, and panic there.
    let builder = tracing_subscriber::fmt().log_internal_errors(false).with_env_filter(filter);
    let builder = builder.with_writer(std::io::stderr);
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.with_target(false).try_init() };
    Ok(())
}
