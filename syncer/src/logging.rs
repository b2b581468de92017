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
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let _ = if json { builder.json().flatten_event(true).try_init() } else { builder.with_target(false).try_init() };
    Ok(())
}
