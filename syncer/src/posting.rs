//! Posting to the status table: what became of each registration, and a heartbeat of this task.
//!
//! Level-triggered, in tasks of their own: what stands is compared with what was posted, and a table that is slow, full or
//! refuses us holds nothing else up. Must never know how routes are made.

use std::sync::Arc;
use std::time::Duration;

use postern_config::condition::Status as Programmed;
use postern_config::value::Timestamp;
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::limits;
use crate::posted::says::{self, Said};
use crate::posted::{Beat, Mark};
use crate::reconcile::now;
use crate::source::SourceError;
use crate::source::board::Board;
use crate::status::{Status, View};

/// What posts, where, and under which name.
#[derive(Debug)]
pub(crate) struct Posting {
    /// The status table.
    pub(crate) board: Arc<Board>,
    /// This task's name.
    pub(crate) task: String,
    /// How often both stores are looked at.
    pub(crate) interval: Duration,
}

impl Posting {
    /// Posts until it is dropped.
    pub(crate) async fn run(self: Arc<Self>, status: Arc<Status>) {
        tokio::join!(self.keep_beating(&status), self.keep_posting(&status));
    }

    /// Says that this task is gone. If it cannot, its last heartbeat says so in its time.
    pub(crate) async fn end(&self) {
        if let Ok(Err(error)) = tokio::time::timeout(limits::ROUTER_TIME, self.board.silence(&self.task)).await {
            tracing::warn!(%error, "the heartbeat on the status table was left to expire");
        }
    }

    async fn keep_beating(&self, status: &Status) {
        let mut posted: Option<(Beat, Instant)> = None;
        let mut failures = 0_u32;
        loop {
            let before = posted.as_ref().map(|(beat, _)| beat);
            let beat = beat(&status.view(), before, &self.task, self.counts_for(), now());
            let every = self.interval.max(limits::BEAT_EVERY);
            let due = posted.as_ref().is_none_or(|(before, at)| beat.is_news(before) || at.elapsed() >= every);
            if due {
                let result = self.board.beat(&beat).await;
                note("heartbeat", &result, &self.board, status);
                failures = if result.is_ok() { 0 } else { failures + 1 };
                if result.is_ok() {
                    posted = Some((beat, Instant::now()));
                }
            }
            tokio::time::sleep(self.wait(failures, limits::BEAT_EVERY * 2)).await;
        }
    }

    async fn keep_posting(&self, status: &Status) {
        let mut known: Option<(Said, Instant)> = None;
        let mut done = None;
        let mut failures = 0_u32;
        loop {
            let view = status.view();
            let stale = known.as_ref().is_none_or(|(_, at)| at.elapsed() >= limits::BOARD_EVERY);
            let stands = (view.digest, view.mark.clone());
            // While routes stay whatever is registered, there is nothing to say of registrations; nor by whoever cannot read
            // them, and would take what others see for outlived.
            let follows = view.mark.clock.is_some() && view.registrations.failing.is_none();
            if follows && (stale || failures > 0 || done.as_ref() != Some(&stands)) {
                let result = self.converge(&view, &mut known, stale).await;
                let finished = *result.as_ref().unwrap_or(&false);
                let result = result.map(drop);
                note("entries", &result, &self.board, status);
                failures = if result.is_ok() { 0 } else { failures + 1 };
                done = finished.then_some(stands);
            }
            tokio::time::sleep(self.wait(failures, limits::BACKOFF_MOST)).await;
        }
    }

    /// Makes the table say what stands, a part at a time, so that what changes meanwhile is not behind all the rest; says
    /// whether that was all. What was done before a failure stays done.
    async fn converge(
        &self,
        view: &Arc<View>,
        known: &mut Option<(Said, Instant)>,
        stale: bool,
    ) -> Result<bool, SourceError> {
        let clock = view.mark.clock.unwrap_or_default();
        if stale {
            let standing = self.board.standing().await?;
            // What is of a later version than ours is left for the table to judge.
            let ours = standing.into_iter().filter(|(_, standing)| standing.clock <= clock);
            let said = ours.map(|(id, standing)| (id, standing.says)).collect();
            *known = Some((said, Instant::now()));
        }
        let Some((posted, _)) = known else { return Ok(false) };
        let said = said(view).await;
        let since = |id: &str| view.content.as_ref().map_or(0, |content| says::since(content, id));
        let (post, remove) = says::to_do(&said, posted, since);
        for ids in post[..post.len().min(limits::POSTS_IN_A_ROW)].chunks(limits::POSTS) {
            self.post(view, ids, &said, posted).await?;
        }
        for id in remove.iter().take(limits::POSTS_IN_A_ROW) {
            self.board.remove(id, clock).await?;
            posted.remove(id);
        }
        Ok(post.len().max(remove.len()) <= limits::POSTS_IN_A_ROW)
    }

    /// Posts some at once.
    async fn post(&self, view: &View, ids: &[String], said: &Said, posted: &mut Said) -> Result<(), SourceError> {
        let Some(content) = &view.content else { return Ok(()) };
        let mut posts = JoinSet::new();
        for entry in ids.iter().filter_map(|id| says::entry(content, id, &view.mark, &self.task, now())) {
            let board = Arc::clone(&self.board);
            posts.spawn(async move { board.post(&entry).await.map(|()| entry.id) });
        }
        let mut failed = None;
        while let Some(Ok(result)) = posts.join_next().await {
            match result {
                Ok(id) => posted.extend(said.get(&id).cloned().map(|says| (id, says))),
                Err(error) => failed = Some(error),
            }
        }
        failed.map_or(Ok(()), Err)
    }

    /// For how long a heartbeat counts.
    fn counts_for(&self) -> Duration {
        (self.interval * 3).max(limits::BEAT_LEAST)
    }

    /// Until the next look; after failures longer, and at random, so that many tasks do not return at once.
    fn wait(&self, failures: u32, most: Duration) -> Duration {
        let least = self.interval.clamp(Duration::from_millis(50), Duration::from_millis(250));
        if failures == 0 {
            return least;
        }
        let longest = Duration::from_secs(1 << failures.min(6)).min(most);
        longest.mul_f64(0.5 + 0.5 * fastrand::f64()).max(least)
    }
}

/// What is said of every registration, off the thread that answers on the admin address: with many it takes a while.
async fn said(view: &Arc<View>) -> Said {
    let view = Arc::clone(view);
    let made = tokio::task::spawn_blocking(move || {
        view.content.as_ref().map(|content| says::all(content, &view.mark)).unwrap_or_default()
    });
    made.await.unwrap_or_default()
}

/// What this task says of itself. What its routers served before counts until they serve something else, or nothing.
fn beat(view: &View, before: Option<&Beat>, task: &str, counts_for: Duration, now: Timestamp) -> Beat {
    let programmed = &view.programmed;
    let asked = view.digest.is_some() && programmed.of == view.digest;
    let kept = before.map(|before| (before.serves, before.mark.clone()));
    let (serves, mark) = match programmed.status {
        Programmed::True if asked => (Some(view.generation), view.mark.clone()),
        Programmed::Unknown if asked => (None, Mark::default()),
        _ => kept.clone().unwrap_or_default(),
    };
    let since = before.filter(|_| kept == Some((serves, mark.clone()))).map_or(now, |before| before.since);
    let lasts = i64::try_from(counts_for.as_secs()).unwrap_or(i64::MAX);
    let quiet = !asked || programmed.status == Programmed::True;
    Beat {
        task: task.to_owned(),
        at: now,
        expires: now.unix().saturating_add(lasts),
        generation: view.generation,
        serves,
        mark,
        since,
        why: if quiet { String::new() } else { cut(&programmed.message) },
        boundary_read_at: view.boundary.last_success,
        pinned: view.pinned,
        held: view.hold.as_ref().map_or(0, |hold| hold.ids.len()),
        failing: cut(&failing(view)),
    }
}

/// What keeps this task from following.
fn failing(view: &View) -> String {
    let sources = [("boundary", &view.boundary), ("registrations", &view.registrations)];
    let failing = sources.into_iter().find_map(|(name, source)| Some((name, source.failing.as_ref()?)));
    match (&view.pass_error, failing) {
        (Some(error), _) => format!("the file cannot be written: {error}"),
        (None, Some((name, (_, error)))) => format!("{name} cannot be read: {}", error.message),
        (None, None) => String::new(),
    }
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(limits::MESSAGE_CHARS) {
        Some((at, _)) => format!("{}…", &text[..at]),
        None => text.to_owned(),
    }
}

/// Shows how posting is doing. A failure is logged when it begins or changes, not at every try.
fn note(what: &'static str, result: &Result<(), SourceError>, board: &Board, status: &Status) {
    let mut news = None;
    status.update(|view| {
        let source = view.board.entry(what).or_default();
        source.uri.clear();
        source.uri.push_str(board.uri());
        news = source.renew(result, now());
    });
    if let Err(error) = result {
        status.metrics.failure("status", error.reason);
    }
    match news {
        Some(Some(error)) => {
            tracing::error!(what, reason = %error.reason, %error, "status cannot be posted; routes are not touched by that");
        }
        Some(None) => tracing::info!(what, "status can be posted again"),
        None => {}
    }
}

#[cfg(test)]
mod tests;
