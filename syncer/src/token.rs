//! `token digests`: turns ids of tokens into what a boundary keeps of many.

use std::io::Read as _;
use std::path::Path;

use postern_config::revocation::{self, Entry, Kind};
use postern_config::{file, limits};

use crate::cli::{RevokedKind, TokenCommand};
use crate::output::{Failure, print};

/// Runs the command.
pub(crate) fn run(command: &TokenCommand) -> Result<(), Failure> {
    let TokenCommand::Digests { kind, file } = command;
    let kind = match kind {
        RevokedKind::Jti => Kind::Jti,
        RevokedKind::Sub => Kind::Sub,
        RevokedKind::Kid => Kind::Kid,
    };
    let text = read(file)?;
    let entries: Vec<Entry> = text.lines().filter(|line| !line.is_empty()).map(|line| kind.entry(line)).collect();
    if entries.is_empty() {
        return Err(Failure::found(format!("{} names nothing: one {} a line is read", file.display(), kind.word())));
    }
    if entries.len() > limits::REVOKED_DIGESTS {
        return Err(Failure::found(format!("{} are more than {}", entries.len(), limits::REVOKED_DIGESTS)));
    }
    // Items of a list, each short enough for an editor.
    let lines: Vec<String> =
        entries.chunks(revocation::ENTRIES_A_TEXT).map(|some| format!("- \"{}\"", revocation::to_text(some))).collect();
    print(&lines.join("\n"));
    Ok(())
}

fn read(path: &Path) -> Result<String, Failure> {
    let bytes = match path.as_os_str() == "-" {
        true => {
            let mut bytes = Vec::new();
            let read = std::io::stdin().take(limits::REGISTRATION_FILE_BYTES).read_to_end(&mut bytes);
            read.map(|_| bytes).map_err(|error| Failure::found(format!("standard input: {error}")))?
        }
        false => file::read_bounded(path, limits::REGISTRATION_FILE_BYTES)
            .map_err(|error| Failure::found(error.to_string()))?,
    };
    String::from_utf8(bytes).map_err(|_| Failure::found(format!("{} is not UTF-8 text", path.display())))
}
