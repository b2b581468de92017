//! `status`: what running routers serve, and whether all of them serve the same.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use postern_config::value::Period;
use serde_json::{Value, json};

use super::paint::{painted, reported};
use super::{FOUND_PROBLEMS, Output, ask};

#[derive(Args)]
pub(super) struct Status {
    /// A router's admin address; may be given several times, one for each task
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: Vec<SocketAddr>,
    /// From which age on a configuration counts as stale
    #[arg(long, value_name = "PERIOD", default_value = "24h")]
    stale_after: Period,
    /// How it is told
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

/// What one router says, or why it says nothing.
struct Told {
    admin: SocketAddr,
    snapshot: Result<Value, String>,
}

pub(super) fn run(status: &Status) -> ExitCode {
    let told: Vec<Told> = status.admin.iter().map(|admin| Told { admin: *admin, snapshot: snapshot(*admin) }).collect();
    let newest = told.iter().filter_map(Told::generation).max();
    let most = status.stale_after.duration().as_secs_f64();
    let problems: Vec<Vec<String>> = told.iter().map(|one| one.problems(newest, most)).collect();
    match status.output {
        Output::Json => {
            let all = told.iter().zip(&problems).map(|(one, problems)| {
                json!({"admin": one.admin.to_string(), "snapshot": one.snapshot.as_ref().ok(), "problems": problems})
            });
            println!("{}", serde_json::to_string_pretty(&all.collect::<Vec<_>>()).unwrap_or_default());
        }
        Output::Text => told
            .iter()
            .zip(&problems)
            .for_each(|(one, problems)| println!("{}", painted(&one.to_text(problems), reported))),
    }
    match problems.iter().all(Vec::is_empty) {
        true => ExitCode::SUCCESS,
        false => ExitCode::from(FOUND_PROBLEMS),
    }
}

fn snapshot(admin: SocketAddr) -> Result<Value, String> {
    match ask(admin, "/snapshot") {
        Ok((200, body)) => serde_json::from_str(&body).map_err(|error| format!("no router's answer: {error}")),
        Ok((status, _)) => Err(format!("answered {status}")),
        Err(error) => Err(format!("does not answer: {error}")),
    }
}

impl Told {
    fn generation(&self) -> Option<u64> {
        self.snapshot.as_ref().ok()?["generation"].as_u64()
    }

    /// What somebody should look at.
    fn problems(&self, newest: Option<u64>, stale_after: f64) -> Vec<String> {
        let snapshot = match &self.snapshot {
            Ok(snapshot) => snapshot,
            Err(error) => return vec![error.clone()],
        };
        let mut problems = Vec::new();
        match self.generation() {
            None => problems.push("serves nothing yet".to_owned()),
            Some(generation) if Some(generation) < newest => {
                problems.push(format!("lags behind: generation {}", newest.unwrap_or_default()));
            }
            Some(_) => {}
        }
        let age = snapshot["age_seconds"].as_f64().unwrap_or_default();
        if age > stale_after {
            problems.push(format!("stale: the stores were last seen to agree with it {} ago", in_words(age)));
        }
        if let Some(message) = snapshot["rejected"]["message"].as_str() {
            problems.push(format!("the file that lies there is not served: {message}"));
        }
        if let Some(aside) = snapshot["quarantined"].as_array().filter(|aside| !aside.is_empty()) {
            problems.push(format!("{} routes of the file are put aside", aside.len()));
        }
        problems
    }

    fn to_text(&self, problems: &[String]) -> String {
        let mut text = format!("{}", self.admin);
        if let (Ok(snapshot), Some(generation)) = (&self.snapshot, self.generation()) {
            let counts = &snapshot["counts"];
            let age = in_words(snapshot["age_seconds"].as_f64().unwrap_or_default());
            let served = snapshot["loaded_at"].as_str().unwrap_or_default();
            text.push_str(&format!(
                "  generation {generation} since {served}, {} routes ({} stale), {} refused; agreed with the stores {age} ago",
                snapshot["routes"], counts["stale"], counts["refused"]
            ));
            if let Some(pinned) = snapshot["sources"]["pinned"]["generation"].as_u64() {
                text.push_str(&format!("; pinned to the routes of {pinned}"));
            }
        }
        for problem in problems {
            text.push_str(&format!("\n  ! {problem}"));
        }
        text
    }
}

fn in_words(seconds: f64) -> String {
    match seconds {
        seconds if seconds < 120.0 => format!("{seconds:.0} s"),
        seconds if seconds < 7_200.0 => format!("{:.0} min", seconds / 60.0),
        seconds => format!("{:.1} h", seconds / 3_600.0),
    }
}
