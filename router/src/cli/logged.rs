//! Requests of an access log, put to two snapshots: which of them a change would touch.
//!
//! The log has neither queries nor headers, so both sides are asked without them. Must never decide what a route is.

use std::collections::BTreeMap;
use std::fmt;
use std::io::{BufRead, BufReader};
use std::net::{IpAddr, Ipv4Addr};
use std::path::Path;
use std::rc::Rc;

use serde::{Deserialize, Serialize};

use crate::explain::Asked;
use crate::snapshot::{RoutePlan, Snapshot};
use crate::stage::find::find;
use crate::stage::identify::{Arrival, OddNames, RequestId, Trust, identify};

/// Kinds of change that are named; of the others it is said how many there are.
const NAMED: usize = 20;

/// What a line has of a request.
#[derive(Deserialize)]
struct Logged {
    method: String,
    host: String,
    path: String,
}

/// What would become of the requests of a log.
#[derive(Debug, Default, Serialize)]
pub(super) struct Touched {
    /// How many requests were looked at.
    pub(super) requests: u64,
    /// Lines that are no requests.
    pub(super) unreadable: u64,
    /// Requests that would be refused and were not.
    pub(super) refused: u64,
    /// Requests that would lead elsewhere.
    pub(super) elsewhere: u64,
    /// Requests that would be answered and were not.
    pub(super) answered: u64,
    /// What happens to how many, the most frequent first.
    pub(super) changes: Vec<Change>,
}

/// The same change of several requests.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub(super) struct Change {
    /// How many requests.
    pub(super) count: u64,
    /// What became of them: a route and where it leads, or a reason.
    pub(super) before: String,
    /// What would become of them.
    pub(super) after: String,
    /// One of them.
    pub(super) example: String,
}

/// Puts every request of the log to both.
///
/// # Errors
/// When the log cannot be read.
pub(super) fn touched(log: &Path, before: &Snapshot, after: &Snapshot, now: i64) -> Result<Touched, String> {
    let file = std::fs::File::open(log).map_err(|error| format!("{}: {error}", log.display()))?;
    let mut touched = Touched::default();
    let mut changes: BTreeMap<(String, String), (u64, String)> = BTreeMap::new();
    for line in BufReader::new(file).lines() {
        let line = line.map_err(|error| format!("{}: {error}", log.display()))?;
        let Ok(Logged { method, host, path }) = serde_json::from_str(&line) else {
            touched.unreadable += 1;
            continue;
        };
        touched.requests += 1;
        let request = format!("{method} https://{host}{path}");
        let (old, new) = (answer(before, &request, now), answer(after, &request, now));
        if old == new {
            continue;
        }
        match (&old, &new) {
            (Ok(_), Err(_)) => touched.refused += 1,
            (Err(_), Ok(_)) => touched.answered += 1,
            _ => touched.elsewhere += 1,
        }
        let words = |answer: Result<String, &'static str>| answer.unwrap_or_else(|reason| format!("refused: {reason}"));
        changes.entry((words(old), words(new))).or_insert((0, request)).0 += 1;
    }
    let all = changes.into_iter().map(|((before, after), (count, example))| Change { count, before, after, example });
    touched.changes = all.collect();
    touched.changes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| a.before.cmp(&b.before)));
    Ok(touched)
}

/// The route that answers and where it leads, or why none does.
fn answer(snapshot: &Snapshot, request: &str, now: i64) -> Result<String, &'static str> {
    let Ok(asked) = Asked::parse(request, &[]) else { return Err("bad_request") };
    let arrival =
        Arrival { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), tls: true, certificate: None, odd_names: OddNames::default() };
    let trust = Trust::default();
    let request = identify(Rc::new(asked.head()), &arrival, &trust, &snapshot.hosts, RequestId::new(0));
    let found = request.and_then(|request| find(snapshot, &request, now, |_, _| {}));
    found.map(|route| told(&route)).map_err(|rejection| rejection.reason.code())
}

fn told(route: &RoutePlan) -> String {
    let places: Vec<String> = route
        .targets
        .iter()
        .map(|target| format!("{}{}", target.destination.host().to_str().unwrap_or_default(), target.prefix))
        .collect();
    format!("{} to {}", route.id, places.join(", "))
}

impl fmt::Display for Touched {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { requests, unreadable, refused, elsewhere, answered, changes } = self;
        writeln!(
            f,
            "of {requests} requests {refused} would be refused that are not, {elsewhere} would lead elsewhere, \
             {answered} would be answered that are not"
        )?;
        for change in changes.iter().take(NAMED) {
            writeln!(f, "{:>8} × {} → {}, e.g. {}", change.count, change.before, change.after, change.example)?;
        }
        if changes.len() > NAMED {
            writeln!(f, "         and {} other kinds of change", changes.len() - NAMED)?;
        }
        if *unreadable > 0 {
            writeln!(f, "{unreadable} lines are no requests of an access log")?;
        }
        Ok(())
    }
}
