//! `routes`: what a merged file serves, whose it is, and what it demands.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;
use postern_config::document::{Authenticator, Mode};
use postern_config::merged::is_stale;
use postern_config::route::Route;
use serde_json::{Value, json};

use super::changes::open;
use super::{Output, WRONG_USAGE};

#[derive(Args)]
pub(super) struct Routes {
    /// A merged file
    file: PathBuf,
    /// Only routes that anybody may use without proof
    #[arg(long)]
    open: bool,
    /// Only this owner's
    #[arg(long, value_name = "OWNER")]
    owner: Option<String>,
    /// Only those that lead to this destination of the boundary
    #[arg(long, value_name = "NAME")]
    destination: Option<String>,
    /// Also registrations that were refused
    #[arg(long)]
    refused: bool,
    /// How they are written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn run(asked: &Routes) -> ExitCode {
    let reading = match open(&asked.file) {
        Ok(reading) => reading,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    let content = &reading.content;
    let mut lines: Vec<Value> = content.routes.iter().filter(|route| asked.wants(route)).map(line).collect();
    let refused = content.refused.iter().filter(|one| {
        asked.refused
            && !asked.open
            && asked.destination.is_none()
            && asked.owner.as_ref().is_none_or(|owner| one.owner.as_ref() == Some(owner))
    });
    lines.extend(refused.map(|one| {
        let why: Vec<String> = one.conditions.iter().map(postern_config::condition::Condition::told).collect();
        json!({"id": one.id, "owner": one.owner, "state": "refused", "why": why.join("; ")})
    }));
    match asked.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&lines).unwrap_or_default()),
        Output::Text => print(&lines),
    }
    ExitCode::SUCCESS
}

impl Routes {
    fn wants(&self, route: &Route) -> bool {
        let is_owners = self.owner.as_ref().is_none_or(|owner| route.owner.as_str() == owner);
        let leads = |name: &String| route.destinations.iter().any(|target| target.via.as_str() == name);
        is_owners && self.destination.as_ref().is_none_or(leads) && (!self.open || is_open(route))
    }
}

/// Whether somebody who proves nothing passes.
fn is_open(route: &Route) -> bool {
    match &route.policies.authentication {
        None => true,
        Some(any_of) => any_of.mode != Mode::Enforce || any_of.any_of.contains(&Authenticator::None),
    }
}

fn line(route: &Route) -> Value {
    let proof = route.policies.authentication.as_ref().map_or_else(
        || "none".to_owned(),
        |any_of| {
            let ways: Vec<String> = any_of.any_of.iter().map(ToString::to_string).collect();
            let tried = if any_of.mode == Mode::Enforce { "" } else { " (not enforced)" };
            format!("{}{tried}", ways.join(" or "))
        },
    );
    let places: Vec<String> =
        route.destinations.iter().map(|target| format!("{} ({})", target.url, target.via)).collect();
    json!({
        "id": route.id, "owner": route.owner, "state": if is_stale(route) { "stale" } else { "served" },
        "authentication": proof, "open": is_open(route), "destinations": places, "version": route.origin.version,
    })
}

/// In columns, as wide as what stands in them.
fn print(lines: &[Value]) {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let rows: Vec<[String; 4]> = lines
        .iter()
        .map(|line| {
            let last = match &line["destinations"] {
                Value::Array(places) => places.iter().map(text).collect::<Vec<_>>().join(", "),
                _ => text(&line["why"]),
            };
            let state = text(&line["state"]);
            let proof = if state == "served" {
                text(&line["authentication"])
            } else {
                format!("{state} {}", text(&line["authentication"]))
            };
            [text(&line["id"]), text(&line["owner"]), proof.trim_end().to_owned(), last]
        })
        .collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let (ids, owners, proofs) = (width(0), width(1), width(2));
    for [id, owner, proof, last] in &rows {
        println!("{id:<ids$}  {owner:<owners$}  {proof:<proofs$}  {last}");
    }
}
