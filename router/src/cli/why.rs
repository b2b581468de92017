//! `why`: what a running router remembers of a request, and what its reason means; without a request, which ones somebody
//! may want to ask about.

use std::net::SocketAddr;
use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::paint::{painted, remembered};
use super::{FOUND_PROBLEMS, Output, WRONG_USAGE, ask};
use crate::manual::{self, Entry};

#[derive(Args)]
pub(super) struct Why {
    /// The request's id: x-request-id of its answer; without it the last requests that were refused, failed or slow
    id: Option<String>,
    /// The admin address of the router that answered; may be given several times, one for each task
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: Vec<SocketAddr>,
    /// How it is told
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

pub(super) fn run(why: &Why) -> ExitCode {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.:=+/".contains(&byte);
    if let Some(id) = why.id.as_deref().filter(|id| id.is_empty() || !id.bytes().all(fits)) {
        eprintln!("\"{id}\" is no request id: take x-request-id of the answer");
        return ExitCode::from(WRONG_USAGE);
    }
    // Nothing in an id need be escaped but these.
    let query = why.id.as_ref().map_or_else(String::new, |id| format!("?id={}", id.replace('+', "%2B")));
    let mut found: Vec<Value> = Vec::new();
    let mut asked = 0;
    for admin in &why.admin {
        match ask(*admin, &format!("/requests{query}")) {
            Ok((200, body)) => {
                asked += 1;
                let said: Value = serde_json::from_str(&body).unwrap_or_default();
                found.extend(said["requests"].as_array().cloned().unwrap_or_default());
            }
            Ok((status, _)) => eprintln!("{admin} answered {status}: is it a router's admin address?"),
            Err(error) => eprintln!("no router answers at {admin}: {error}"),
        }
    }
    if found.is_empty() && (why.id.is_some() || asked == 0) {
        let told = match asked {
            0 => return ExitCode::from(FOUND_PROBLEMS),
            _ => {
                "no router that was asked remembers it: it was another task's, or too many came since; its access log may have it"
            }
        };
        eprintln!("{told}");
        return ExitCode::from(FOUND_PROBLEMS);
    }
    match why.output {
        Output::Json => {
            let all: Vec<Value> = found.iter().map(|one| json!({"request": one, "reason": entry_of(one)})).collect();
            println!("{}", serde_json::to_string_pretty(&all).unwrap_or_default());
        }
        Output::Text if why.id.is_none() => {
            found.iter().for_each(|one| println!("{}", painted(&in_one_line(one), remembered)))
        }
        Output::Text => found.iter().for_each(|one| println!("{}", painted(&to_text(one), remembered))),
    }
    ExitCode::SUCCESS
}

fn entry_of(record: &Value) -> Option<Entry> {
    manual::entry(record["reason"].as_str()?)
}

/// A record among others.
fn in_one_line(record: &Value) -> String {
    let text = |name: &str| record[name].as_str().unwrap_or_default().to_owned();
    format!(
        "{}  {}  {} {:<24} {:>9} ms  {} {}{}  {}",
        text("time"),
        text("request_id"),
        record["status"],
        text("reason"),
        record["duration_ms"],
        text("method"),
        text("host"),
        text("path"),
        text("route")
    )
}

/// A record as a person reads it.
fn to_text(record: &Value) -> String {
    let text = |name: &str| match &record[name] {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    };
    let mut lines =
        vec![format!("{} {}{} → {} {}", text("method"), text("host"), text("path"), text("status"), text("reason"))];
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            lines.push(format!("  {name:<12} {value}"));
        }
    };
    line("at", format!("{}, generation {}, {} ms", text("time"), text("generation"), text("duration_ms")));
    let caller = [text("principal"), text("authenticated_by")].join(" by ");
    line(
        "client",
        format!("{}{}", text("client"), if caller == " by " { String::new() } else { format!(", {caller}") }),
    );
    let owner = text("owner");
    line("route", if owner.is_empty() { text("route") } else { format!("{} of {owner}", text("route")) });
    line("destination", destination(&text));
    line("its word", text("destination_error"));
    line("policy", text("policy"));
    line("shadow", text("shadow_denied"));
    line("would set", text("shadow_set"));
    line("found", text("detail"));
    if let Some(Entry { fault, cause, remedy }) = entry_of(record) {
        line("whose move", fault.to_owned());
        line("cause", cause);
        line("do", remedy);
    }
    lines.join("\n")
}

/// Where it went, and how long each phase took.
fn destination(text: &dyn Fn(&str) -> String) -> String {
    let mut said = text("destination");
    for (name, word) in
        [("resolve_ms", "resolved"), ("connect_ms", "connected"), ("tls_ms", "TLS"), ("first_byte_ms", "first byte")]
    {
        let took = text(name);
        if !took.is_empty() {
            said.push_str(&format!(", {word} {took} ms"));
        }
    }
    if text("reused") == "true" {
        said.push_str(", over a kept connection");
    }
    said
}
