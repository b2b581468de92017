//! Who tells a pipeline what became of its registration, and waiting for it to be served everywhere.
//!
//! The status table tells of all tasks; one syncer's admin address only of its own. Must never decide whether something
//! is served: `posted::together` does.

use std::collections::BTreeMap;
use std::time::Duration;

use postern_config::condition::{Condition, ConditionType, Status};
use postern_config::value::{Period, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use crate::cli::ToldArgs;
use crate::commands::location;
use crate::output::{Failure, complain};
use crate::posted::together::{self, Asked, Task, Verdict};
use crate::posted::{Beat, Entry, Mark, State};
use crate::reconcile::now;
use crate::settings::Settings;
use crate::source::board::Board;
use crate::source::{Clients, FailureReason, Location, SourceError};
use crate::{ask, limits};

/// Who tells.
#[derive(Debug)]
pub(crate) enum Teller {
    /// All tasks, on the status table.
    Board(Box<Board>),
    /// One syncer.
    Syncer(String),
}

impl Teller {
    /// As the flags say, else as the settings do; `None` when neither names anybody.
    pub(crate) async fn open(told: &ToldArgs, settings: &Settings) -> Result<Option<Self>, Failure> {
        if let (None, Some(admin)) = (&told.status, &told.conditions_from) {
            return Ok(Some(Self::Syncer(admin.clone())));
        }
        let Some(text) = told.status.as_deref().or(settings.status.as_deref()) else { return Ok(None) };
        let place = location(text, "status")?;
        let remote = !matches!(place, Location::Path(_));
        let clients = Clients::load(remote, settings.operation_timeout.duration()).await.map_err(Failure::usage)?;
        let board = Board::open(&place, &clients).map_err(Failure::usage)?;
        Ok(Some(Self::Board(Box::new(board))))
    }

    /// What became of a registration, with what all tasks say of it: its conditions, and the tasks where they are told.
    pub(crate) async fn conditions(&self, id: &str) -> Result<Shown, Failure> {
        let (entry, beats) = self.look(id).await.map_err(|error| Failure::found(error.to_string()))?;
        let now = now();
        let beats = recent(beats, now);
        let tasks = together::tasks(entry.as_ref(), &beats, now);
        let Some(entry) = entry else { return Ok(Shown { conditions: Vec::new(), tasks }) };
        let mut conditions = entry.conditions.clone();
        conditions.push(together::programmed(&entry, &tasks));
        Ok(Shown { conditions, tasks })
    }

    async fn look(&self, id: &str) -> Result<(Option<Entry>, Vec<Beat>), SourceError> {
        match self {
            Self::Board(board) => Ok((board.entry(id).await?, board.beats().await?)),
            Self::Syncer(admin) => told_by(admin, id).await,
        }
    }

    /// What can be said of each registration now.
    async fn judge(&self, written: &[Asked]) -> Result<Vec<Verdict>, SourceError> {
        let shared = match self {
            Self::Board(board) => board.beats().await?,
            Self::Syncer(_) => Vec::new(),
        };
        let mut verdicts = Vec::new();
        for asked in written {
            let id = &asked.id;
            let (entry, beats) = match self {
                Self::Board(board) => (board.entry(id).await?, None),
                Self::Syncer(admin) => told_by(admin, id).await.map(|(entry, beats)| (entry, Some(beats)))?,
            };
            let beats = beats.as_deref().unwrap_or(&shared);
            verdicts.push(together::judge(asked, entry.as_ref(), beats, now()));
        }
        Ok(verdicts)
    }
}

/// What is shown of one registration.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Its conditions; none when nobody has told anything yet.
    pub(crate) conditions: Vec<Condition>,
    /// How each task stands to it.
    pub(crate) tasks: Vec<Task>,
}

/// What became of everything that was waited for.
#[derive(Debug, Default)]
pub(crate) struct Ended {
    /// By id, as far as anything is known.
    pub(crate) verdicts: BTreeMap<String, Verdict>,
    /// Why it did not end well.
    pub(crate) failure: Option<String>,
}

/// How long is waited, as it was written.
pub(crate) fn patience(text: &str) -> Result<Period, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("--wait={text}: {error}")))
}

/// Waits until every registration is served by every live task, one is refused, or the time is over. What it waits for
/// goes to standard error.
pub(crate) async fn until_served(teller: &Teller, written: &[Asked], patience: Period) -> Ended {
    let deadline = Instant::now() + patience.duration();
    let mut ended = Ended::default();
    let mut open = written.to_vec();
    let mut said = String::new();
    loop {
        let missing = match teller.judge(&open).await {
            Ok(verdicts) => {
                ended.verdicts.extend(open.iter().map(|asked| asked.id.clone()).zip(verdicts));
                open.retain(|asked| !matches!(ended.verdicts.get(&asked.id), Some(Verdict::Served { .. })));
                if let Some(reasons) = refused(&ended.verdicts) {
                    ended.failure = Some(reasons);
                    return ended;
                }
                if open.is_empty() {
                    return ended;
                }
                missing(&ended.verdicts, written.len())
            }
            // Nothing that time mends.
            Err(error) if matches!(error.reason, FailureReason::Forbidden | FailureReason::NotFound) => {
                ended.failure = Some(format!("it was written, but what became of it cannot be read: {error}"));
                return ended;
            }
            Err(error) => format!("what became of it cannot be read: {error}"),
        };
        if Instant::now() >= deadline {
            ended.failure = Some(format!("not served after {patience}: {missing}"));
            return ended;
        }
        if missing != said {
            complain(&format!("waiting: {missing}"));
            said = missing;
        }
        tokio::time::sleep_until(deadline.min(Instant::now() + limits::ASK_EVERY)).await;
    }
}

fn refused(verdicts: &BTreeMap<String, Verdict>) -> Option<String> {
    let lines: Vec<String> = verdicts
        .values()
        .filter_map(|verdict| match verdict {
            Verdict::Refused(reasons) => Some(reasons.join("\n    ")),
            _ => None,
        })
        .collect();
    (!lines.is_empty()).then(|| lines.join("\n"))
}

fn missing(verdicts: &BTreeMap<String, Verdict>, all: usize) -> String {
    let waiting: Vec<(&String, &String)> = verdicts
        .iter()
        .filter_map(|(id, verdict)| match verdict {
            Verdict::Waiting(what) => Some((id, what)),
            _ => None,
        })
        .collect();
    match waiting.first() {
        None => "nothing has been told yet".to_owned(),
        Some((_, what)) if all == 1 => (*what).clone(),
        Some((id, what)) => format!("{} of {all} are served; {id}: {what}", all - waiting.len()),
    }
}

/// As a program reads it.
pub(crate) fn verdict_json(verdict: Option<&Verdict>) -> Value {
    match verdict {
        Some(Verdict::Served { tasks }) => json!({ "served": true, "tasks": tasks }),
        Some(Verdict::Refused(reasons)) => json!({ "served": false, "refused": reasons }),
        Some(Verdict::Waiting(what)) => json!({ "served": false, "waiting": what }),
        None => json!({ "served": false }),
    }
}

/// Leaves out tasks that have long been gone.
fn recent(beats: Vec<Beat>, now: Timestamp) -> Vec<Beat> {
    beats.into_iter().filter(|beat| beat.expires > now.unix() - limits::GONE_FOR).collect()
}

/// What one syncer says, as if its task were the only one.
async fn told_by(admin: &str, id: &str) -> Result<(Option<Entry>, Vec<Beat>), SourceError> {
    let unavailable = |message: String| SourceError { reason: FailureReason::Unavailable, message };
    let target = format!("/conditions?id={}", escaped(id));
    let answer = ask::get(admin, &target, Duration::from_secs(10)).await.map_err(unavailable)?;
    let told: Value = serde_json::from_slice(&answer.body)
        .map_err(|_| unavailable(format!("{admin} did not answer in a form known here")))?;
    let Some(one) = told["registrations"].as_array().and_then(|all| all.first()) else {
        return Ok((None, vec![its_beat(admin, &told, None)]));
    };
    let conditions: Vec<Condition> = serde_json::from_value(one["conditions"].clone())
        .map_err(|_| unavailable(format!("{admin} tells conditions that are not known here")))?;
    let (programmed, conditions): (Vec<_>, Vec<_>) =
        conditions.into_iter().partition(|one| one.kind == ConditionType::Programmed);
    let versions = conditions.iter().map(|one| one.observed_generation);
    let entry = Entry {
        id: id.to_owned(),
        version: versions.max().unwrap_or_default(),
        owner: one["owner"].as_str().map(str::to_owned),
        state: if one["state"] == "route" { State::Route } else { State::Refused },
        conditions,
        clock: told["clock"].as_u64().unwrap_or_default(),
        boundary: None,
        says: String::new(),
        by: admin.to_owned(),
        at: now(),
    };
    Ok((Some(entry), vec![its_beat(admin, &told, programmed.first())]))
}

fn its_beat(admin: &str, told: &Value, programmed: Option<&Condition>) -> Beat {
    let status = programmed.map(|one| one.status);
    let served = status == Some(Status::True);
    Beat {
        task: admin.to_owned(),
        at: now(),
        expires: i64::MAX,
        generation: told["generation"].as_u64().unwrap_or_default(),
        serves: told["generation"].as_u64().filter(|_| status != Some(Status::Unknown)),
        mark: Mark { clock: served.then(|| told["clock"].as_u64().unwrap_or_default()), boundary: None },
        since: programmed.map_or_else(now, |one| one.since),
        why: programmed.map(|one| one.message.clone()).filter(|_| !served).unwrap_or_default(),
        boundary_read_at: None,
        pinned: serde_json::from_value(told["pinned"].clone()).ok().flatten(),
        held: told["held"]["routes"].as_u64().and_then(|held| usize::try_from(held).ok()).unwrap_or_default(),
        failing: String::new(),
    }
}

fn escaped(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/-._~".contains(&byte);
    text.bytes().map(|byte| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") }).collect()
}
