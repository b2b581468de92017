//! `diff` and `history`: what changed between generations, in the words of routes.
//!
//! Must never say how two contents differ: that is `postern_config::changes`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Args;
use postern_config::changes::{Action, Changes, RouteChange};
use postern_config::merged::{self, Reading};
use postern_config::secrets::Secrets;
use postern_config::value::Timestamp;
use serde_json::{Value, json};

use super::logged::{self, Touched};
use super::paint::{changed, painted};
use super::{FOUND_PROBLEMS, Output, WRONG_USAGE, ask, read};
use crate::breaker::Breakers;
use crate::freshness::unix_now;
use crate::snapshot::compile::{Options, compile};

/// Where the syncer keeps past generations, below its directory.
const HISTORY: &str = "history";

#[derive(Args)]
pub(super) struct Diff {
    /// What was: a merged file, the number of a generation, or `live` for what the router serves
    before: String,
    /// What is: the same
    after: String,
    /// The directory of the merged file, whose history holds past generations
    #[arg(long, value_name = "DIR", default_value = "/var/lib/postern")]
    dir: PathBuf,
    /// The router's admin address, for `live`
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
    /// An access log: how many of its requests the change would touch
    #[arg(long, value_name = "FILE")]
    access_log: Option<PathBuf>,
    /// Exit 1 when anything became weaker for certain
    #[arg(long)]
    fail_on_weaker: bool,
    /// How the changes are written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Args)]
pub(super) struct History {
    /// The directory of the merged file
    #[arg(value_name = "DIR", default_value = "/var/lib/postern")]
    directory: PathBuf,
    /// Only generations in which this route or registration changed, with what changed of it
    #[arg(long, value_name = "ROOT#NAME")]
    route: Option<String>,
    /// Only the generation that was in force then, e.g. 2026-12-24T18:00:00Z
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// So many generations, the newest first
    #[arg(long, value_name = "N", default_value_t = 20)]
    limit: usize,
    /// Everything that changed, and not only how much
    #[arg(long)]
    changes: bool,
    /// How the generations are written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// A generation, and what it changed.
struct Generation {
    reading: Reading,
    /// None of the oldest that is known.
    changes: Option<Changes>,
}

pub(super) fn run_diff(diff: &Diff) -> ExitCode {
    let open = |name: &str| find(name, &diff.dir, diff.admin).and_then(|path| open(&path));
    let (before, after) = match (open(&diff.before), open(&diff.after)) {
        (Ok(before), Ok(after)) => (before, after),
        (Err(error), _) | (_, Err(error)) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let changes = Changes::between(&before.content, &after.content);
    let said = (identity(&before), identity(&after));
    let touched = match diff.access_log.as_deref().map(|log| touched(log, before, after)).transpose() {
        Ok(touched) => touched,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match diff.output {
        Output::Json => {
            let said = json!({
                "before": said.0, "after": said.1, "weaker": changes.weakens(), "changes": changes, "requests": touched,
            });
            println!("{}", serde_json::to_string_pretty(&said).unwrap_or_default());
        }
        Output::Text => {
            let (old, new) = (&said.0["generation"], &said.1["generation"]);
            let said = format!("{changes}generation {old} → {new}: {}", summary(&changes));
            println!("{}", painted(&said, changed));
            if let Some(touched) = &touched {
                print!("{touched}");
            }
        }
    }
    match diff.fail_on_weaker && changes.weakens() {
        true => ExitCode::from(FOUND_PROBLEMS),
        false => ExitCode::SUCCESS,
    }
}

/// What becomes of the requests of a log. Keys are not needed for that.
fn touched(log: &Path, before: Reading, after: Reading) -> Result<Touched, String> {
    let now = unix_now();
    let options = Options { allow_loopback: true, signs_identity: true };
    let compiled = |reading| compile(reading, &Secrets::default(), &Breakers::default(), options, now);
    logged::touched(log, &compiled(before), &compiled(after), now)
}

pub(super) fn run_history(history: &History) -> ExitCode {
    let generations = match generations(history) {
        Ok(generations) => generations,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    match history.output {
        Output::Json => {
            let all: Vec<Value> = generations.iter().map(Generation::to_json).collect();
            println!("{}", serde_json::to_string_pretty(&all).unwrap_or_default());
        }
        Output::Text => generations.iter().for_each(|one| one.print(history.changes || history.route.is_some())),
    }
    ExitCode::SUCCESS
}

/// The newest first, each with what it changed; a file that cannot be read is told of and left out.
fn generations(history: &History) -> Result<Vec<Generation>, String> {
    let mut files = files(&history.directory)?;
    // Of one more is known what it was before.
    let wanted = if history.looks_through() { files.len() } else { history.limit.saturating_add(1) };
    files.truncate(wanted);
    let mut found: Vec<Generation> = Vec::new();
    for (_, path) in files {
        let reading = match open(&path) {
            Ok(reading) => reading,
            Err(error) => {
                eprintln!("{error}");
                continue;
            }
        };
        if let Some(later) = found.last_mut() {
            later.changes = Some(Changes::between(&reading.content, &later.reading.content));
        }
        found.push(Generation { reading, changes: None });
    }
    if let Some(id) = &history.route {
        for one in &mut found {
            let changes = one.changes.get_or_insert_default();
            changes.routes.retain(|route| route.id == *id);
            changes.boundary.clear();
        }
        found.retain(|one| one.changes.as_ref().is_some_and(|changes| !changes.routes.is_empty()));
    }
    if let Some(at) = history.at {
        found.retain(|one| one.reading.header.written_at <= at);
        found.truncate(1);
    }
    found.truncate(history.limit);
    Ok(found)
}

impl History {
    /// Whether every generation must be looked at to know which ones are meant.
    fn looks_through(&self) -> bool {
        self.route.is_some() || self.at.is_some()
    }
}

/// The files of past generations, the newest first.
fn files(directory: &Path) -> Result<Vec<(u64, PathBuf)>, String> {
    let history = directory.join(HISTORY);
    let entries = std::fs::read_dir(&history)
        .map_err(|error| format!("{}: {error}; give the directory that postern-syncer writes to", history.display()))?;
    let number = |path: &Path| path.file_name()?.to_str()?.strip_suffix(".json")?.parse().ok();
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let mut files: Vec<(u64, PathBuf)> = paths.filter_map(|path| Some((number(&path)?, path))).collect();
    files.sort_unstable_by(|a, b| b.cmp(a));
    Ok(files)
}

/// The file that a word of the command line means.
fn find(name: &str, directory: &Path, admin: SocketAddr) -> Result<PathBuf, String> {
    let generation: u64 = match name.parse() {
        Ok(generation) => generation,
        Err(_) if name == "live" => live(admin)?,
        Err(_) => return Ok(name.into()),
    };
    let found = files(directory)?.into_iter().find(|(number, _)| *number == generation);
    found.map(|(_, path)| path).ok_or_else(|| {
        format!("generation {generation} is not in {}: see postern-router history", directory.join(HISTORY).display())
    })
}

/// The generation that a router serves.
fn live(admin: SocketAddr) -> Result<u64, String> {
    let (_, body) = ask(admin, "/snapshot").map_err(|error| format!("no router answers at {admin}: {error}"))?;
    let said: Value = serde_json::from_str(&body).unwrap_or_default();
    said["generation"].as_u64().ok_or_else(|| format!("the router at {admin} serves no generation yet"))
}

pub(super) fn open(path: &Path) -> Result<Reading, String> {
    let bytes = read(path)?;
    merged::read(&bytes, None).map_err(|error| format!("{}: {error}", path.display()))
}

fn identity(reading: &Reading) -> Value {
    let header = &reading.header;
    json!({"generation": header.generation, "digest": reading.digest.to_string(), "written_at": header.written_at})
}

/// How much changed, in one line.
fn summary(changes: &Changes) -> String {
    let count = |action: Action| changes.routes.iter().filter(|one| one.action == action).count();
    let boundary = if changes.boundary.is_empty() { "" } else { ", boundary changed" };
    let weaker = if changes.weakens() { ", something became weaker" } else { "" };
    let (added, removed, changed) = (count(Action::Added), count(Action::Removed), count(Action::Changed));
    let (refused, unchanged) = (count(Action::Refused), changes.unchanged);
    format!(
        "{added} added, {changed} changed, {removed} removed, {refused} refused, {unchanged} as before{boundary}{weaker}"
    )
}

impl Generation {
    fn to_json(&self) -> Value {
        let mut said = identity(&self.reading);
        said["sources"] = json!(self.reading.header.sources);
        said["routes"] = json!(self.reading.content.routes.len());
        said["refused"] = json!(self.reading.content.refused.len());
        said["changes"] = json!(self.changes);
        said
    }

    fn print(&self, all: bool) {
        let (header, content) = (&self.reading.header, &self.reading.content);
        let said = self.changes.as_ref().map_or_else(|| "the oldest that is kept".to_owned(), summary);
        let counts = format!("{} routes, {} refused", content.routes.len(), content.refused.len());
        println!("{:>6}  {}  {counts}: {said}", header.generation, header.written_at);
        let Some(changes) = self.changes.as_ref().filter(|_| all) else { return };
        for source in [&header.sources.boundary, &header.sources.registrations] {
            let version = source.version_id.clone().or_else(|| source.version.map(|number| number.to_string()));
            let version = version.map_or_else(String::new, |version| format!(" version {version}"));
            println!("        from {}{version}", source.uri);
        }
        let told = |route: &RouteChange| format!("{route}").trim_end().replace('\n', "\n        ");
        changes.boundary.iter().for_each(|aspect| println!("        ~ boundary {aspect}"));
        changes.routes.iter().for_each(|route| println!("        {}", told(route)));
    }
}
