//! What goes to stdout and how a command ends.

use std::fmt;
use std::io::Write;
use std::process::ExitCode;

/// How a command ends when it does not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// 1: found problems. 2: wrong usage.
    pub code: u8,
    /// What, where, what to do. Empty when it has been said already.
    pub message: String,
}

impl Failure {
    /// Something is wrong with what was looked at.
    pub fn found(message: impl Into<String>) -> Self {
        Self { code: 1, message: message.into() }
    }

    /// The command was used wrongly.
    pub fn usage(message: impl Into<String>) -> Self {
        Self { code: 2, message: message.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

/// How data is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    /// For people.
    Text,
    /// For programs.
    Json,
}

/// Prints to stdout. That nobody reads any more (`| head`) is no failure.
pub(crate) fn print(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ =
        out.write_all(text.as_bytes()).and_then(|()| if text.ends_with('\n') { Ok(()) } else { out.write_all(b"\n") });
    let _ = out.flush();
}

/// Prints to stderr.
pub(crate) fn complain(text: &str) {
    let _ = writeln!(std::io::stderr().lock(), "{}", harmless(text));
}

/// What strangers wrote must not steer the reader's terminal: control characters and marks of direction are shown
/// as JSON would write them, so JSON stays what it was.
fn harmless(text: &str) -> String {
    let steers = |c: char| {
        (c.is_control() && !matches!(c, '\n' | '\t')) || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if steers(c) { shown.push_str(&format!("\\u{:04x}", u32::from(c))) } else { shown.push(c) }
    }
    shown
}

/// The exit code of a command.
pub(crate) fn exit(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            if !failure.message.is_empty() {
                complain(&format!("postern-syncer: {failure}"));
            }
            ExitCode::from(failure.code)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_printed_steers_a_terminal() {
        assert_eq!(harmless("a\u{1b}[2J\r\u{9b}\u{202e}b\n\tc"), "a\\u001b[2J\\u000d\\u009b\\u202eb\n\tc");
        let json = serde_json::to_string("\u{9b}\u{2066}é").unwrap_or_default();
        assert_eq!(serde_json::from_str::<String>(&harmless(&json)).ok().as_deref(), Some("\u{9b}\u{2066}é"));
    }
}
