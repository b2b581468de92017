//! `route`: how a pipeline registers its route, sees it, and takes it back.
//!
//! Nothing is written before every registration in the file has been checked; each is then written in a
//! transaction of its own. When a write is refused it says who holds the root.

use std::io::Read;
use std::path::Path;

use postern_config::document::Registration;
use postern_config::value::Period;
use postern_config::{limits as documents, parse, schema};
use serde_json::{Map, Value, json};

use crate::cli::{RouteCommand, StoreArgs, ToldArgs};
use crate::commands::{location, required, settle};
use crate::item::Item;
use crate::limits;
use crate::output::{Failure, Format, complain, print};
use crate::posted::together::{Asked, Standing, Verdict};
use crate::redact;
use crate::settings::Settings;
use crate::source::store::{Entry, Store, WriteError};
use crate::source::{Clients, Location};
use crate::wait::{self, Shown, Teller};

/// Runs one of the commands.
pub(crate) async fn run(command: RouteCommand) -> Result<(), Failure> {
    match command {
        RouteCommand::Apply { file, wait, told, store: args } => match open(&args).await? {
            Some((store, settings)) => {
                // Before anything is written: a pipeline that cannot wait should not find out afterwards.
                let waiting = match wait {
                    None => None,
                    Some(text) => Some((teller(&told, &settings).await?, wait::patience(&text)?)),
                };
                apply(&store, &file, waiting, args.output).await
            }
            None => Ok(()),
        },
        RouteCommand::Get { id, told, store: args } => match open(&args).await? {
            Some((store, settings)) => {
                let teller = Teller::open(&told, &settings).await?;
                get(&store, &Entry::parse(&id), teller.as_ref(), args.output).await
            }
            None => Ok(()),
        },
        RouteCommand::List { owner, store: args } => match open(&args).await? {
            Some((store, _)) => list(&store, owner.as_deref(), args.output).await,
            None => Ok(()),
        },
        RouteCommand::Delete { id, owner, store: args } => match open(&args).await? {
            Some((store, _)) => delete(&store, &Entry::parse(&id), &owner, args.output).await,
            None => Ok(()),
        },
    }
}

/// Who tells a pipeline that waits what became of what it wrote.
async fn teller(told: &ToldArgs, settings: &Settings) -> Result<Teller, Failure> {
    Teller::open(told, settings).await?.ok_or_else(|| {
        Failure::usage("--wait has nobody to ask; give --status dynamodb://TABLE, or --conditions-from ADDRESS")
    })
}

async fn open(args: &StoreArgs) -> Result<Option<(Store, Settings)>, Failure> {
    let Some(settings) = settle(&args.settings, args.flags())? else { return Ok(None) };
    let text = required(settings.registrations.as_deref(), "registrations", "--registrations URI")?;
    let place = location(text, "registrations")?;
    let clients = Clients::load(!matches!(place, Location::Path(_)), settings.operation_timeout.duration())
        .await
        .map_err(Failure::usage)?;
    let store = Store::open(&place, &clients).map_err(Failure::usage)?;
    Ok(Some((store, settings)))
}

async fn apply(store: &Store, file: &Path, waiting: Option<(Teller, Period)>, format: Format) -> Result<(), Failure> {
    let registrations = read_registrations(file)?;
    let mut results = Vec::new();
    let mut written: Vec<Asked> = Vec::new();
    let clock = match &waiting {
        Some(_) => store.clock().await.map_err(|error| Failure::found(format!("nothing was written: {error}")))?,
        None => None,
    };
    let mut failed = 0;
    for (registration, mut fields) in registrations {
        let entry = Entry { root: registration.root.to_string(), name: registration.name.to_string() };
        // As it is found again: with its name written out.
        fields.insert("name".to_owned(), json!(entry.name));
        let result = apply_one(store, &entry, fields).await;
        let (word, text) = match &result {
            Ok((word, version)) => (*word, format!("{word} {} version {version}", entry.id())),
            Err(message) => {
                failed += 1;
                ("refused", format!("refused {}: {message}", entry.id()))
            }
        };
        match format {
            Format::Text if result.is_ok() => print(&text),
            Format::Text => complain(&text),
            Format::Json => {}
        }
        written.extend(result.iter().map(|(word, version)| Asked {
            id: entry.id(),
            version: *version,
            wrote: *word == "applied",
            clock,
        }));
        results.push(match result {
            Ok((_, version)) => json!({"id": entry.id(), "result": word, "version": version}),
            Err(message) => json!({"id": entry.id(), "result": word, "message": message}),
        });
    }
    let waited = match waiting {
        Some((teller, patience)) if failed == 0 => wait_for(&teller, &written, patience, &mut results, format).await,
        _ => Ok(()),
    };
    if format == Format::Json {
        print(&serde_json::to_string_pretty(&results).unwrap_or_default());
    }
    if failed > 0 { Err(Failure::found(format!("{failed} of {} were not applied", results.len()))) } else { waited }
}

/// Waits until all of it is served everywhere, and adds what became of it to the results.
async fn wait_for(
    teller: &Teller,
    written: &[Asked],
    patience: Period,
    results: &mut [Value],
    format: Format,
) -> Result<(), Failure> {
    let ended = wait::until_served(teller, written, patience).await;
    for (result, Asked { id, version, .. }) in results.iter_mut().zip(written) {
        let verdict = ended.verdicts.get(id);
        result["outcome"] = wait::verdict_json(verdict);
        if let (Format::Text, Some(Verdict::Served { tasks })) = (format, verdict) {
            print(&format!("served {id} version {version}: {tasks} tasks"));
        }
    }
    ended.failure.map_or(Ok(()), |why| Err(Failure::found(why)))
}

async fn apply_one(
    store: &Store,
    entry: &Entry,
    mut fields: Map<String, Value>,
) -> Result<(&'static str, u64), String> {
    let read = store.read(entry).await.map_err(|error| error.to_string())?;
    let owner = fields.get("owner").and_then(Value::as_str).unwrap_or_default().to_owned();
    if let Some(item) = &read {
        fields.insert("version".to_owned(), item.value().get("version").cloned().unwrap_or(json!(0)));
        if same_but_version(&item.value(), &fields) {
            return Ok(("unchanged", item.version()));
        }
    }
    let version = read.as_ref().map_or(0, Item::version) + 1;
    fields.insert("version".to_owned(), json!(version));
    match store.put(entry, &fields, read.as_ref()).await {
        Ok(()) => Ok(("applied", version)),
        Err(WriteError::Stands(item)) => Err(who_holds(&item, &owner)),
        Err(WriteError::Absent) => Err("it was taken away meanwhile; run this again".to_owned()),
        Err(error) => Err(error.to_string()),
    }
}

fn same_but_version(stored: &Value, fields: &Map<String, Value>) -> bool {
    let Value::Object(stored) = stored else { return false };
    let plain = |map: &Map<String, Value>| {
        let mut map = map.clone();
        map.remove("version");
        map.entry("name").or_insert_with(|| json!("default"));
        map
    };
    plain(stored) == plain(fields)
}

fn who_holds(item: &Item, owner: &str) -> String {
    match item.owner().as_deref() {
        Some(other) if other != owner => format!(
            "it is held by {other} (version {}), not by {owner}; ask them to take it back, or choose another root or name",
            item.version()
        ),
        None => format!("something without an owner stands there (version {}); ask operations", item.version()),
        Some(_) => format!("somebody else wrote version {} meanwhile; run this again", item.version()),
    }
}

/// A registration, and its fields as they were written.
type Document = (Registration, Map<String, Value>);

/// Every registration in the file, or every problem of them.
fn read_registrations(file: &Path) -> Result<Vec<Document>, Failure> {
    let name = if file == Path::new("-") { "standard input".to_owned() } else { file.display().to_string() };
    let text = read_text(file).map_err(|error| Failure::usage(format!("{name} cannot be read: {error}")))?;
    let values = parse::values(&text).map_err(|problem| Failure::found(format!("{name}: {problem}")))?;
    let values: Vec<(usize, String, Value)> = values
        .into_iter()
        .enumerate()
        .flat_map(|(document, value)| match value {
            Value::Array(list) => {
                list.into_iter().enumerate().map(|(at, item)| (document, format!("/{at}"), item)).collect()
            }
            other => vec![(document, String::new(), other)],
        })
        .collect();
    if values.is_empty() {
        return Err(Failure::found(format!("{name} holds no registration")));
    }
    let several = values.len() > 1;
    let mut problems: Vec<String> = Vec::new();
    let mut found: Vec<Document> = Vec::new();
    for (index, (document, inside, value)) in values.into_iter().enumerate() {
        let place = if several { format!("{name}, registration {}", index + 1) } else { name.clone() };
        match (parse::document::<Registration>(&value, schema::registration()), value) {
            (Ok(registration), Value::Object(fields)) => {
                if found.iter().any(|(other, _)| other.id() == registration.id()) {
                    problems.push(format!("{place}: {} is there twice", registration.id()));
                }
                found.push((registration, fields));
            }
            (Ok(_), _) => problems.push(format!("{place}: is not a mapping")),
            (Err(all), _) => {
                let places = parse::Places::of(&text);
                let told = all.0.iter().map(|problem| redact::text(&places.tell(document, &inside, problem)));
                problems.extend(told.map(|problem| format!("{place}: {problem}")));
            }
        }
    }
    if problems.is_empty() { Ok(found) } else { Err(Failure::found(problems.join("\n"))) }
}

fn read_text(file: &Path) -> Result<String, String> {
    if file == Path::new("-") {
        let mut text = String::new();
        let limit = documents::REGISTRATION_FILE_BYTES;
        std::io::stdin().take(limit).read_to_string(&mut text).map_err(|error| error.to_string())?;
        return Ok(text);
    }
    let bytes = postern_config::file::read_bounded(file, documents::REGISTRATION_FILE_BYTES)
        .map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

async fn get(store: &Store, entry: &Entry, teller: Option<&Teller>, format: Format) -> Result<(), Failure> {
    let item = store.read(entry).await.map_err(|error| Failure::found(error.to_string()))?;
    let Some(item) = item else { return Err(Failure::found(format!("{} is not registered", entry.id()))) };
    let told = match teller {
        Some(teller) => Some(teller.conditions(&entry.id()).await?),
        None => None,
    };
    match format {
        Format::Json => {
            let mut shown = json!({ "id": entry.id(), "registration": item.value() });
            if let Some(told) = told {
                shown["conditions"] = json!(told.conditions);
                shown["tasks"] = json!(told.tasks);
            }
            print(&serde_json::to_string_pretty(&shown).unwrap_or_default());
        }
        Format::Text => {
            print(&serde_json::to_string_pretty(&item.value()).unwrap_or_default());
            for problem in &item.problems {
                print(&format!("problem: {problem}"));
            }
            if let Some(told) = told {
                print(&told_text(&told, item.version()));
            }
        }
    }
    Ok(())
}

/// What became of it, for people: a line for each condition, then one for each task that does not serve it.
fn told_text(told: &Shown, version: u64) -> String {
    let mut lines = Vec::new();
    for one in &told.conditions {
        let line = format!("{:?}={:?} {:?}: {}", one.kind, one.status, one.reason, one.message);
        lines.push(format!("{} (since {})", line.trim_end_matches([':', ' ']), one.since));
    }
    let known = told.conditions.iter().map(|one| one.observed_generation).max();
    match known {
        None => lines.push("nothing has been told of it yet".to_owned()),
        Some(known) if known < version => {
            lines.push(format!("this is about version {known}; version {version} has not been taken yet"))
        }
        Some(_) => {}
    }
    for task in told.tasks.iter().filter(|task| task.state != Standing::Serving) {
        let state = if task.state == Standing::Gone { "gone" } else { "lags" };
        lines.push(format!("    {} {state}: {} (since {})", task.task, task.why, task.since));
    }
    lines.join("\n")
}

async fn list(store: &Store, owner: Option<&str>, format: Format) -> Result<(), Failure> {
    let items = store.list().await.map_err(|error| Failure::found(error.to_string()))?;
    let wanted: Vec<&Item> = items.iter().filter(|item| owner.is_none() || item.owner().as_deref() == owner).collect();
    match format {
        Format::Json => {
            let lines: Vec<Value> = wanted
                .iter()
                .map(|item| json!({ "id": item.id(), "owner": item.owner(), "version": item.version(), "registration": item.value() }))
                .collect();
            print(&serde_json::to_string_pretty(&lines).unwrap_or_default());
        }
        Format::Text => {
            let widest = wanted.iter().map(|item| item.id().chars().count()).max().unwrap_or(0).min(limits::ID_CHARS);
            for item in wanted {
                print(&format!(
                    "{:widest$}  {}  version {}",
                    item.id(),
                    item.owner().as_deref().unwrap_or("-"),
                    item.version()
                ));
            }
        }
    }
    Ok(())
}

async fn delete(store: &Store, entry: &Entry, owner: &str, format: Format) -> Result<(), Failure> {
    match store.delete(entry, owner).await {
        Ok(()) => {
            match format {
                Format::Text => print(&format!("deleted {}", entry.id())),
                Format::Json => print(&json!({ "id": entry.id(), "result": "deleted" }).to_string()),
            }
            Ok(())
        }
        Err(WriteError::Absent) => Err(Failure::found(format!("{} is not registered", entry.id()))),
        Err(WriteError::Stands(item)) => Err(Failure::found(format!("{}: {}", entry.id(), who_holds(&item, owner)))),
        Err(error) => Err(Failure::found(format!("{}: {error}", entry.id()))),
    }
}
