//! The commands: settings to stores to what is printed.

use std::process::ExitCode;
use std::sync::Arc;

use clap::Parser;
use figment::value::{Map, Value};
use postern_config::merged::Content;
use serde_json::json;

use crate::admin::{self, Admin};
use crate::cli::{AdminArgs, Cli, Command, PlanArgs, RunArgs, SettingsArgs};
use crate::issuers::Spec;
use crate::issuers::discovery;
use crate::issuers::known::{Known, Seen};
use crate::issuers::watch::{Early, Looked};
use crate::output::{Failure, Format, exit, print};
use crate::pass::{self, Situation};
use crate::plan;
use crate::posting::Posting;
use crate::publish::{self, Published, Publisher};
use crate::reconcile::{self, Outcome, Reconciler, Requests, Shared, Stores, now};
use crate::settings::{self, Settings};
use crate::source::board::Board;
use crate::source::boundary::BoundarySource;
use crate::source::registrations::RegistrationsSource;
use crate::source::{Clients, Location, Observed};
use crate::status::Status;
use crate::{ask, key, limits, logging, order, route, secrets, task, token};

/// Runs the command line of the process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
    };
    // One thread serves everything but the passes, which have a thread of their own.
    match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => exit(runtime.block_on(dispatch(cli.command))),
        Err(error) => exit(Err(Failure::found(format!("the process cannot begin: {error}")))),
    }
}

async fn dispatch(command: Command) -> Result<(), Failure> {
    match command {
        Command::Run(args) => {
            let Some(settings) = settle(&args.source.settings, args.flags())? else { return Ok(()) };
            if args.once { Box::pin(run_once(&settings, &args)).await } else { Box::pin(run(&settings)).await }
        }
        Command::Plan(args) => {
            let Some(settings) = settle(&args.source.settings, args.source.flags())? else { return Ok(()) };
            Box::pin(show_plan(&settings, &args)).await
        }
        Command::Route(command) => route::run(command).await,
        Command::Token(command) => token::run(&command),
        Command::Key(command) => Box::pin(key::run(command)).await,
        Command::Pin(args) => order::pin(&args).await,
        Command::Rollback { generation, admin } => order::rollback(generation, &admin).await,
        Command::Release(args) => order::release(&args).await,
        Command::Health(args) => health(&args).await,
    }
}

/// Loads settings; `None` when they were only to be shown.
pub(crate) fn settle(args: &SettingsArgs, flags: Map<String, Value>) -> Result<Option<Settings>, Failure> {
    let loaded = settings::load(args.settings.as_deref(), flags)?;
    if args.print_settings {
        print(&loaded.describe());
        return Ok(None);
    }
    logging::start(&loaded.settings.log)?;
    Ok(Some(loaded.settings))
}

async fn run(settings: &Settings) -> Result<(), Failure> {
    let (stores, publisher) = open(settings).await?;
    let listener = admin::bind(settings.admin).await.map_err(Failure::found)?;
    let status = Arc::new(Status::default());
    let requests = Arc::new(Requests::default());
    let early = Arc::new(Early::default());
    let reconciler = Reconciler::new(publisher, settings);
    status.update(|view| {
        view.started = Some(now());
        view.boundary.uri = settings.boundary.clone().unwrap_or_default();
        view.registrations.uri = settings.registrations.clone().unwrap_or_default();
    });
    reconciler.show(&status);
    let shown = Admin {
        status: Arc::clone(&status),
        requests: Arc::clone(&requests),
        early: Arc::clone(&early),
        interval: settings.interval.duration(),
        unhealthy_after: settings.unhealthy_after.duration(),
    };
    // The address as it was taken: port 0 asks for any.
    let admin = listener.local_addr().unwrap_or(settings.admin);
    tracing::info!(
        boundary = settings.boundary, registrations = settings.registrations,
        out = settings.out.as_ref().map(|path| path.display().to_string()), %admin,
        "listening"
    );
    let serving = tokio::spawn(admin::serve(listener, Arc::new(shown)));
    let posting = open_posting(settings).await?;
    let posts = posting.as_ref().map(|posting| tokio::spawn(Arc::clone(posting).run(Arc::clone(&status))));
    let shared = Shared { status, requests, early };
    reconcile::run(stores, reconciler, settings, shared, stop_signal()).await;
    serving.abort();
    if let (Some(posting), Some(posts)) = (posting, posts) {
        posts.abort();
        posting.end().await;
    }
    tracing::info!("ended as asked");
    Ok(())
}

async fn run_once(settings: &Settings, args: &RunArgs) -> Result<(), Failure> {
    let (mut stores, publisher) = open(settings).await?;
    let mut reconciler = Reconciler::new(publisher, settings);
    let (boundary, registrations) =
        tokio::join!(stores.boundary.observe(now()), stores.registrations.observe(now(), false));
    let failures: Vec<String> = [
        reconciler.take_boundary(boundary).err().map(|error| format!("boundary: {error}")),
        reconciler.take_registrations(registrations, now()).err().map(|error| format!("registrations: {error}")),
    ]
    .into_iter()
    .flatten()
    .collect();
    if !failures.is_empty() {
        return Err(Failure::found(format!("{}\nthe file was left as it was", failures.join("\n"))));
    }
    fetch_once(&mut reconciler, settings).await;
    read_secrets_once(&mut reconciler, settings).await;
    let status = Status::default();
    let outcome = reconciler.pass(now(), false, &status).map_err(|error| Failure::found(error.to_string()))?;
    reconciler.forget_superseded(now());
    let (generation, written) = match outcome {
        Outcome::Current(Published::Written { generation, .. }) => (generation, true),
        _ => (status.view().generation, false),
    };
    let Some(content) = reconciler.content() else { return Err(Failure::found("nothing was read")) };
    print(&match args.output {
        Format::Json => format!("{}\n", once_json(content, generation, written)),
        Format::Text => once_text(content, generation, written, reconciler.hold().map(|hold| hold.message.as_str())),
    });
    match content.refused.len() {
        refused if args.strict && refused > 0 => Err(Failure::found(format!("{refused} registrations are refused"))),
        _ => Ok(()),
    }
}

/// Every issuer once. One that cannot be asked keeps the keys that stand, and costs no more than a line in the log.
async fn fetch_once(reconciler: &mut Reconciler, settings: &Settings) {
    let http = reconcile::issuer_http(settings);
    let specs = reconciler.boundary().map(Spec::all).unwrap_or_default();
    let mut fetches = tokio::task::JoinSet::new();
    for spec in specs {
        let http = http.clone();
        fetches.spawn(async move {
            let result = discovery::fetch(&http, &spec).await;
            Looked { spec, result, waiting: Vec::new() }
        });
    }
    while let Some(Ok(looked)) = fetches.join_next().await {
        if let Err(error) = reconciler.take_keys(&looked, now()) {
            tracing::warn!(issuer = %looked.spec.name, %error, "keys cannot be fetched; those that stand stay");
        }
    }
}

/// Every secret that the boundary refers to once. One that cannot be read stays as it stands.
async fn read_secrets_once(reconciler: &mut Reconciler, settings: &Settings) {
    let source = Arc::new(reconcile::secret_source(settings));
    let mut looks = tokio::task::JoinSet::new();
    for wanted in reconciler.secrets_wanted().to_vec() {
        let source = Arc::clone(&source);
        looks.spawn(async move { secrets::watch::look(&source, wanted).await });
    }
    while let Some(Ok(looked)) = looks.join_next().await {
        if let Err(error) = &looked.result {
            tracing::warn!(secret = looked.wanted.place, %error, "a secret cannot be read; what stands stays");
        }
        reconciler.take_secret(&looked.wanted, looked.result.ok());
    }
}

fn once_json(content: &Content, generation: u64, written: bool) -> serde_json::Value {
    json!({ "generation": generation, "written": written, "counts": content.counts(), "refused": content.refused })
}

fn once_text(content: &Content, generation: u64, written: bool, hold: Option<&str>) -> String {
    let mut lines = Vec::new();
    for refused in &content.refused {
        lines.push(format!("refused {}", refused.id));
        lines.extend(refused.conditions.iter().map(|one| format!("    {}", one.told())));
    }
    lines.extend(hold.map(|message| format!("held: {message}")));
    let counts = content.counts();
    let word = if written { "written" } else { "unchanged" };
    lines.push(format!(
        "generation {generation} {word}: {} routes, {} stale, {} refused",
        counts.routes, counts.stale, counts.refused
    ));
    lines.join("\n")
}

async fn show_plan(settings: &Settings, args: &PlanArgs) -> Result<(), Failure> {
    let out = required(settings.out.as_deref(), "out", "--out DIR")?;
    let mut stores = open_stores(settings).await?;
    let mut boundary = whole(stores.boundary.observe(now()).await, "boundary")?;
    let registrations = whole(stores.registrations.observe(now(), false).await, "registrations")?;
    let key = settings.file_key.as_ref().and_then(settings::Key::file_key);
    let (standing, highest) = publish::standing(out, key.as_ref());
    let previous = standing.as_ref().map(|standing| &*standing.content);
    let rules = reconcile::rules(settings);
    // Nor does it read secrets: one that stays where it is counts as unchanged.
    if let Some(content) = previous {
        boundary.keep_names_of(content.boundary.document());
    }
    // A plan fetches nothing: keys that are new come with the run.
    let standing_keys = previous.map_or(&[][..], |content| &content.keys);
    let keys = Known::of_standing(standing_keys, &Seen::new(), settings.issuers.keep.duration(), now());
    let keys = keys.for_boundary(&boundary.boundary, now());
    let made = pass::next(&Situation {
        boundary: &boundary.boundary,
        items: Some(registrations.items.as_slice()),
        observed_at: now(),
        keys: &keys,
        previous,
        generation: highest + 1,
        now: now(),
        rules: &rules,
        shrink_grace: settings.shrink_grace.duration(),
        released: false,
    });
    let Some((content, hold)) = made else { return Err(Failure::found("nothing was read")) };
    if let Some(path) = &args.write {
        publish::write_aside(path, out, highest + 1, &content, now()).map_err(Failure::usage)?;
    }
    let mut plan = plan::plan(previous, &content, hold.as_ref(), highest + 1);
    plan.pinned = standing.as_ref().and_then(|standing| standing.header.sources.pinned);
    print(&match args.output {
        Format::Text => plan.text(),
        Format::Json => serde_json::to_string_pretty(&plan).unwrap_or_default(),
    });
    if args.strict && plan.refused > 0 {
        return Err(Failure::found(format!("{} registrations would be refused", plan.refused)));
    }
    Ok(())
}

fn whole<T>(observed: Observed<T>, name: &str) -> Result<T, Failure> {
    match observed {
        Observed::Changed(reading) => Ok(reading),
        Observed::Failed(error) => Err(Failure::found(format!("{name}: {error}"))),
        Observed::Unchanged => Err(Failure::found(format!("{name}: nothing was read"))),
    }
}

async fn health(args: &AdminArgs) -> Result<(), Failure> {
    let Some(settings) = settle(&args.settings, args.flags())? else { return Ok(()) };
    let answer =
        ask::get(&settings.admin.to_string(), "/healthz", limits::ROUTER_TIME).await.map_err(Failure::found)?;
    let text = String::from_utf8_lossy(&answer.body).trim().to_owned();
    if answer.status != 200 {
        return Err(Failure::found(format!("not well: {text}")));
    }
    print("ok");
    Ok(())
}

async fn open(settings: &Settings) -> Result<(Stores, Publisher), Failure> {
    let out = required(settings.out.as_deref(), "out", "--out DIR")?;
    let stores = open_stores(settings).await?;
    let key = settings.file_key.as_ref().and_then(settings::Key::file_key);
    let publisher = Publisher::open(out, key).map_err(|error| Failure::found(error.to_string()))?;
    Ok((stores, publisher))
}

/// What posts to the status table, when there is one.
async fn open_posting(settings: &Settings) -> Result<Option<Arc<Posting>>, Failure> {
    let Some(text) = &settings.status else { return Ok(None) };
    let place = location(text, "status")?;
    let clients = Clients::load(!matches!(place, Location::Path(_)), settings.operation_timeout.duration());
    let board = Board::open(&place, &clients.await.map_err(Failure::usage)?).map_err(Failure::usage)?;
    let task = task::name(settings.task.as_deref()).await?;
    tracing::info!(status = text, task, "status is posted");
    let interval = settings.interval.duration();
    Ok(Some(Arc::new(Posting { board: Arc::new(board), task, interval })))
}

async fn open_stores(settings: &Settings) -> Result<Stores, Failure> {
    let boundary = location(required(settings.boundary.as_deref(), "boundary", "--boundary URI")?, "boundary")?;
    let registrations = location(
        required(settings.registrations.as_deref(), "registrations", "--registrations URI")?,
        "registrations",
    )?;
    let aws = [&boundary, &registrations].iter().any(|one| !matches!(one, Location::Path(_)));
    let time = settings.operation_timeout.duration();
    let clients = Clients::load(aws, time).await.map_err(Failure::usage)?;
    Ok(Stores {
        boundary: BoundarySource::open(&boundary, &clients, time).map_err(Failure::usage)?,
        registrations: RegistrationsSource::open(&registrations, &clients, settings.full_scan_every.duration())
            .map_err(Failure::usage)?,
    })
}

/// A location as it was given.
pub(crate) fn location(text: &str, name: &str) -> Result<Location, Failure> {
    text.parse().map_err(|error| Failure::usage(format!("{name}: {error}")))
}

/// A setting that this command cannot do without.
pub(crate) fn required<'a, T: ?Sized>(value: Option<&'a T>, name: &str, flag: &str) -> Result<&'a T, Failure> {
    value.ok_or_else(|| {
        let variable = format!("POSTERN_SYNCER_{}", name.to_uppercase());
        Failure::usage(format!("{name} is not set; give {flag}, or set {variable}"))
    })
}

/// SIGTERM or SIGINT.
async fn stop_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let both = signal(SignalKind::terminate()).and_then(|term| Ok((term, signal(SignalKind::interrupt())?)));
    match both {
        Ok((mut term, mut interrupt)) => {
            tokio::select! {
                _ = term.recv() => {}
                _ = interrupt.recv() => {}
            }
        }
        Err(error) => {
            tracing::error!(%error, "signals cannot be heard; end the process by force");
            std::future::pending::<()>().await;
        }
    }
}
