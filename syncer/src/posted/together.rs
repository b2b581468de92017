//! What all tasks say together of one registration: which of them serve it, which lag and why, which are gone; and
//! whether a pipeline that wrote a version may go on.
//!
//! A task counts until its heartbeat is over, so one that is down is waited for and then is not. What cannot be told is
//! never taken for served. Pure: the time is an argument.

use postern_config::condition::{Condition, ConditionType, Reason, Status};
use postern_config::value::Timestamp;
use serde::Serialize;

use super::{Beat, Entry, State};

/// How a task stands to a registration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its name.
    pub task: String,
    /// Whether it serves it.
    pub state: Standing,
    /// The generation it serves, by its own count.
    pub generation: Option<u64>,
    /// Since when its routers serve that.
    pub since: Timestamp,
    /// Why it does not serve the registration.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub why: String,
}

/// Whether a task serves a registration.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It serves a generation that holds it.
    Serving,
    /// It does not yet.
    Lagging,
    /// Its heartbeat is over.
    Gone,
}

/// What a pipeline asks after.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The id of the registration.
    pub id: String,
    /// The version that stands in the store.
    pub version: u64,
    /// Whether the pipeline wrote that version, or found it.
    pub wrote: bool,
    /// The version of the registrations as a whole before that; none when nobody counted yet. A registration that is taken
    /// back and made anew counts its own versions from the start, so they alone do not tell which of them is meant.
    pub clock: Option<u64>,
}

impl Asked {
    /// Whether an entry is about what is asked after, or something later.
    fn is_meant(&self, entry: &Entry) -> bool {
        let later = self.clock.is_none_or(|clock| entry.clock > clock);
        entry.version >= self.version && (later || !self.wrote)
    }

    /// What tasks must have seen at least. What was found there has been there for long, and entries that are older may
    /// be of an earlier life.
    fn least(&self) -> u64 {
        self.clock.filter(|_| !self.wrote).unwrap_or_default()
    }
}

/// Whether a pipeline may go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is accepted, and every live task serves it.
    Served {
        /// How many they are.
        tasks: usize,
    },
    /// It will not be served before somebody changes something: why.
    Refused(Vec<String>),
    /// Not yet: what is missing.
    Waiting(String),
}

/// How each task stands to what was posted of a registration, sorted by name.
pub fn tasks(entry: Option<&Entry>, beats: &[Beat], now: Timestamp) -> Vec<Task> {
    standing(entry.map(|entry| entry.clock), beats, now)
}

/// How each task stands to what was made from that version of the registrations; `None` when nobody knows of which.
fn standing(least: Option<u64>, beats: &[Beat], now: Timestamp) -> Vec<Task> {
    let boundary = newest_boundary(beats, now);
    let mut tasks: Vec<Task> = beats
        .iter()
        .map(|beat| {
            let why = if is_live(beat, now) { lags(least, beat, boundary) } else { Some(gone(beat)) };
            let state = match &why {
                _ if !is_live(beat, now) => Standing::Gone,
                None => Standing::Serving,
                Some(_) => Standing::Lagging,
            };
            Task {
                task: beat.task.clone(),
                state,
                generation: beat.serves,
                since: beat.since,
                why: why.unwrap_or_default(),
            }
        })
        .collect();
    tasks.sort_by(|a, b| a.task.cmp(&b.task));
    tasks
}

/// `Programmed`, as the tasks say it together.
pub fn programmed(entry: &Entry, tasks: &[Task]) -> Condition {
    let (serving, live) = count(tasks);
    let (status, reason) = match (serving, live) {
        (_, 0) => (Status::Unknown, Reason::Pending),
        (serving, live) if serving == live && entry.state == State::Route => (Status::True, Reason::Programmed),
        _ => (Status::False, Reason::AwaitingRouters),
    };
    let since = tasks.iter().filter(|task| task.state != Standing::Gone).map(|task| task.since).max();
    let since = since.unwrap_or(entry.at).max(entry.conditions.iter().map(|one| one.since).max().unwrap_or(entry.at));
    let message = match live {
        0 => "no task is alive".to_owned(),
        _ if entry.state == State::Refused => format!("0/{live} tasks: it is refused"),
        _ => counted(tasks),
    };
    Condition {
        kind: ConditionType::Programmed,
        status,
        reason,
        at: None,
        message,
        observed_generation: entry.version,
        since,
    }
}

/// Whether whoever asks may go on.
pub fn judge(asked: &Asked, entry: Option<&Entry>, beats: &[Beat], now: Timestamp) -> Verdict {
    let Asked { id, version, .. } = asked;
    let live: Vec<&Beat> = beats.iter().filter(|beat| is_live(beat, now)).collect();
    if live.is_empty() {
        return Verdict::Waiting(format!("no task is alive that could serve {id}"));
    }
    let Some(entry) = entry.filter(|entry| asked.is_meant(entry)) else {
        return Verdict::Waiting(format!("no task has told what became of {id} version {version}{}", hindered(&live)));
    };
    let denied: Vec<String> = entry.conditions.iter().filter(|one| denies(one)).map(Condition::told).collect();
    if !denied.is_empty() || entry.state == State::Refused {
        let newest = newest_boundary(beats, now);
        if newest.is_some() && entry.boundary.as_deref() != newest {
            return Verdict::Waiting(format!(
                "{id} is refused by {}, which has another boundary than the others",
                entry.by
            ));
        }
        let what = format!(
            "{id} version {} is {}",
            entry.version,
            if entry.state == State::Refused { "refused" } else { "not served as it was written" }
        );
        return Verdict::Refused(std::iter::once(what).chain(denied).collect());
    }
    let tasks = standing(Some(entry.clock.max(asked.least())), beats, now);
    let (serving, live_count) = count(&tasks);
    if serving == live_count {
        return Verdict::Served { tasks: live_count };
    }
    Verdict::Waiting(counted(&tasks))
}

/// A condition that a pipeline has to do something about.
fn denies(condition: &Condition) -> bool {
    match condition.kind {
        ConditionType::Accepted | ConditionType::ResolvedRefs => condition.status == Status::False,
        ConditionType::Conflicted | ConditionType::Stale => condition.status == Status::True,
        ConditionType::Programmed | ConditionType::Held => false,
    }
}

/// By its own clock: see `limits::BEAT_LEAST` for how far clocks may be apart.
fn is_live(beat: &Beat, now: Timestamp) -> bool {
    beat.expires > now.unix()
}

/// The boundary of whoever read it last. Tasks that have another one are about to take this one.
fn newest_boundary(beats: &[Beat], now: Timestamp) -> Option<&str> {
    let known = beats.iter().filter(|beat| is_live(beat, now) && beat.mark.boundary.is_some());
    known.max_by_key(|beat| beat.boundary_read_at)?.mark.boundary.as_deref()
}

/// Why a live task does not serve it, if it does not.
fn lags(least: Option<u64>, beat: &Beat, boundary: Option<&str>) -> Option<String> {
    let Some(serves) = beat.serves else {
        return Some(said("serves nothing that is known", &beat.why));
    };
    let seen = least.is_some_and(|least| beat.mark.clock.is_some_and(|clock| clock >= least));
    if let Some(pinned) = beat.pinned.filter(|_| !seen) {
        return Some(format!(
            "generation {} is pinned there since {}; postern-syncer release lets it go",
            pinned.generation, pinned.since
        ));
    }
    if !seen {
        return Some(said(&format!("serves {serves}"), if beat.why.is_empty() { &beat.failing } else { &beat.why }));
    }
    if beat.mark.boundary.as_deref() != boundary {
        return Some(said(
            &format!("serves {serves} with another boundary"),
            if beat.why.is_empty() { &beat.failing } else { &beat.why },
        ));
    }
    None
}

fn said(what: &str, why: &str) -> String {
    if why.is_empty() { what.to_owned() } else { format!("{what} ({why})") }
}

fn gone(beat: &Beat) -> String {
    format!("has said nothing since {}", beat.at)
}

/// What keeps tasks from taking anything new.
fn hindered(live: &[&Beat]) -> String {
    let mut all = Vec::new();
    if let Some(pinned) = live.iter().find_map(|beat| beat.pinned) {
        all.push(format!("generation {} is pinned; postern-syncer release lets it go", pinned.generation));
    }
    if let Some(held) = live.iter().map(|beat| beat.held).find(|held| *held > 0) {
        all.push(format!("the shrink guard holds {held} routes"));
    }
    let failing = live.iter().filter(|beat| !beat.failing.is_empty());
    all.extend(failing.map(|beat| format!("{}: {}", beat.task, beat.failing)));
    if all.is_empty() { String::new() } else { format!(": {}", all.join("; ")) }
}

/// How many serve it, of how many that are alive.
pub fn count(tasks: &[Task]) -> (usize, usize) {
    let serving = tasks.iter().filter(|task| task.state == Standing::Serving).count();
    (serving, tasks.iter().filter(|task| task.state != Standing::Gone).count())
}

/// `2/3 tasks, ip-10-0-1-7 serves 41`.
pub fn counted(tasks: &[Task]) -> String {
    let (serving, live) = count(tasks);
    let lagging: Vec<&Task> = tasks.iter().filter(|task| task.state == Standing::Lagging).collect();
    let mut text = format!("{serving}/{live} tasks");
    for task in lagging.iter().take(SHOWN) {
        text.push_str(&format!(", {} {}", task.task, task.why));
    }
    if lagging.len() > SHOWN {
        text.push_str(&format!(", and {} more", lagging.len() - SHOWN));
    }
    text
}

/// Most tasks named in one line.
const SHOWN: usize = 8;

#[cfg(test)]
mod tests;
