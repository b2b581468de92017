//! The commands.
//!
//! Exit codes: 0 fine, 1 problems found, 2 wrong usage.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "this module is the one that speaks to a terminal")]

mod changes;
mod check;
mod doctor;
mod logged;
mod paint;
mod routes;
mod status;
mod why;

use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::{Args, ColorChoice, Parser, Subcommand, ValueEnum};
use postern_config::merged;
use postern_config::secrets::Secrets;
use postern_config::value::Timestamp;
use postern_config::{file, limits};
use serde_json::json;

use crate::Router;
use crate::breaker::Breakers;
use crate::client_certificate::ClientCertificate;
use crate::explain::{self, Asked, Assumed};
use crate::freshness::unix_now;
use crate::scrub;
use crate::settings::{self, Loaded};
use crate::snapshot::compile::{Options, compile};

/// One endpoint in front of many private APIs: serves the merged file that postern-syncer writes.
#[derive(Parser)]
#[command(name = "postern-router", version, arg_required_else_help = true)]
struct Cli {
    /// When what is told is coloured; NO_COLOR in the environment means never
    #[arg(long, global = true, value_name = "WHEN", default_value_t = ColorChoice::Auto)]
    color: ColorChoice,
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serve the merged file, and every newer one as it comes.
    #[command(
        after_help = "Example:\n  postern-router serve --config /var/lib/postern/merged.json --listen 0.0.0.0:8080"
    )]
    Serve(Serve),
    /// Tell every problem of a merged file, a boundary or registrations; exit 1 on any.
    #[command(
        after_help = "Example:\n  postern-router check boundary.yaml\n  postern-router check /var/lib/postern/merged.json"
    )]
    Check(check::Check),
    /// Tell what would happen to a request, and why; exit 1 when it is refused.
    #[command(
        after_help = "Example:\n  postern-router explain merged.json 'GET https://api.example.com/orders/1' -H 'authorization: Bearer …'"
    )]
    Explain(Explain),
    /// Tell what running routers serve, and whether all serve the same; exit 1 when somebody should look.
    #[command(after_help = "Example:\n  postern-router status --admin 10.0.1.5:9901 --admin 10.0.2.7:9901")]
    Status(status::Status),
    /// List the routes of a merged file: whose they are, what they demand, where they lead.
    #[command(
        after_help = "Examples:\n  postern-router routes merged.json --open\n  postern-router routes merged.json --owner team-orders --refused"
    )]
    Routes(routes::Routes),
    /// Tell what a running router remembers of a request, and what to do about it.
    #[command(
        after_help = "Examples:\n  postern-router why 0f1e2d3c4b5a69788796a5b4c3d2e1f0 --admin 127.0.0.1:9901\n  postern-router why --admin 127.0.0.1:9901"
    )]
    Why(why::Why),
    /// Visit a route's destination as a request would, and tell the usual causes of 403 and 502 apart; exit 1 when it finds one.
    #[command(
        after_help = "Examples:\n  postern-router doctor '/orders#default' --path /orders/7\n  postern-router doctor 'GET https://api.example.com/orders/7' -H 'authorization: Bearer …'"
    )]
    Doctor(doctor::Doctor),
    /// Tell what changed between two generations, in the words of routes.
    #[command(
        after_help = "Examples:\n  postern-router diff 41 42\n  postern-router diff live /tmp/merged.json --output json\n  postern-router diff --dir out 1 2 --fail-on-weaker"
    )]
    Diff(changes::Diff),
    /// Tell which generations there were, and what each of them changed.
    #[command(
        after_help = "Examples:\n  postern-router history /var/lib/postern\n  postern-router history out --route '/orders#default'"
    )]
    History(changes::History),
    /// Work with the audit log.
    #[command(subcommand)]
    Audit(Audit),
    /// Ask a running router whether it is ready, for container health checks; exit 1 when it is not.
    #[command(after_help = "Example:\n  postern-router health --admin 127.0.0.1:9901")]
    Health(Health),
}

#[derive(Args)]
struct Serve {
    /// The merged file [default: /var/lib/postern/merged.json]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// An address for clients; may be given several times [default: 0.0.0.0:8080]
    #[arg(long, value_name = "ADDRESS")]
    listen: Vec<SocketAddr>,
    /// Speak TLS on every --listen, with this certificate (PEM, the chain behind it)
    #[arg(long, value_name = "FILE")]
    tls_certificate: Option<PathBuf>,
    /// The key of --tls-certificate (PEM, not encrypted)
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The address of health, metrics and status [default: 127.0.0.1:9901]
    #[arg(long, value_name = "ADDRESS")]
    admin: Option<SocketAddr>,
    /// Serving threads [default: the cores it may use]
    #[arg(long, value_name = "N")]
    workers: Option<usize>,
    /// Let destinations that name loopback networks be dialled there; for demos and tests
    #[arg(long)]
    allow_loopback_destinations: bool,
    /// Where the access log goes: stdout, off, or a path [default: stdout]
    #[arg(long, value_name = "SINK")]
    access_log: Option<String>,
    /// The syncer's admin address, asked for keys that nobody knows; off for nobody [default: 127.0.0.1:9902]
    #[arg(long, value_name = "ADDRESS")]
    syncer: Option<String>,
    /// A TOML file with settings; see --print-settings for all of them
    #[arg(long, value_name = "FILE")]
    settings: Option<PathBuf>,
    /// Show every setting with its value and where it came from, and end
    #[arg(long)]
    print_settings: bool,
}

#[derive(Args)]
struct Explain {
    /// A merged file
    file: PathBuf,
    /// The request, as 'METHOD URL'
    request: String,
    /// A header of the request, as 'name: value'; may be given several times
    #[arg(short = 'H', long = "header", value_name = "HEADER")]
    headers: Vec<String>,
    /// The address it comes from [default: this machine]
    #[arg(long, value_name = "ADDRESS")]
    client: Option<IpAddr>,
    /// When it comes, e.g. 2026-12-24T18:00:00Z [default: now]
    #[arg(long, value_name = "TIME")]
    at: Option<Timestamp>,
    /// Who it comes from: a JSON file with the claims of a token, taken for a good one of the route's issuer
    #[arg(long = "as", value_name = "FILE")]
    claims: Option<PathBuf>,
    /// The certificate that the client shows (PEM); taken to be verified
    #[arg(long, value_name = "FILE")]
    certificate: Option<PathBuf>,
    /// What its listener does with headers whose names have _ or . in them: refuse, drop or pass [default: refuse]
    #[arg(long, value_name = "WORD")]
    odd_names: Option<String>,
    /// How the explanation is written
    #[arg(long, value_enum, default_value_t = Output::Text)]
    output: Output,
}

#[derive(Subcommand)]
enum Audit {
    /// Prove that no line of an audit log was changed, left out or put in, or name the first; exit 1 then.
    #[command(
        after_help = "Example:\n  postern-router audit verify /var/log/postern/audit\n\nWith POSTERN_ROUTER_AUDIT__KEY in the environment for a log that is kept with a key."
    )]
    Verify {
        /// The directory of the log
        directory: PathBuf,
    },
}

#[derive(Args)]
struct Health {
    /// The router's admin address
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9901")]
    admin: SocketAddr,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Output {
    Text,
    Json,
}

const FOUND_PROBLEMS: u8 = 1;
const WRONG_USAGE: u8 = 2;

/// Runs the command that the arguments name.
pub fn main() -> ExitCode {
    if let Err(error) = scrub::environment() {
        eprintln!("cannot take AWS_* and ECS_* out of the environment: {error}");
        return ExitCode::from(FOUND_PROBLEMS);
    }
    let Cli { color, command } = Cli::parse();
    paint::choose(color);
    match command {
        Command::Serve(serve) => run_serve(&serve),
        Command::Check(asked) => check::run(&asked),
        Command::Explain(explain) => run_explain(&explain),
        Command::Status(status) => status::run(&status),
        Command::Routes(asked) => routes::run(&asked),
        Command::Why(why) => why::run(&why),
        Command::Doctor(asked) => doctor::run(&asked),
        Command::Diff(diff) => changes::run_diff(&diff),
        Command::History(history) => changes::run_history(&history),
        Command::Audit(Audit::Verify { directory }) => run_verify(&directory),
        Command::Health(health) => run_health(&health),
    }
}

fn run_verify(directory: &Path) -> ExitCode {
    let key = std::env::var("POSTERN_ROUTER_AUDIT__KEY").ok();
    match crate::audit::verify(directory, key.as_deref().map(str::as_bytes)) {
        Ok(found) => {
            println!("{found}");
            ExitCode::SUCCESS
        }
        Err(broken) => {
            eprintln!("{broken}");
            ExitCode::from(FOUND_PROBLEMS)
        }
    }
}

fn run_serve(serve: &Serve) -> ExitCode {
    let loaded = match settings::load(serve.settings.as_deref(), &serve.flags()) {
        Ok(loaded) => loaded,
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::from(WRONG_USAGE);
        }
    };
    if serve.print_settings {
        print_settings(&loaded);
        return ExitCode::SUCCESS;
    }
    start_logging();
    crate::panics::tell();
    // Signals must be caught before the first thread: a thread inherits what is blocked.
    let signals = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let router = Router::start(loaded.settings);
    match (signals, router) {
        (Ok(signals), Ok(router)) => {
            tracing::info!(addresses = ?router.addresses(), admin = %router.admin(), "listening");
            signals.block_on(wait_for_signal());
            tracing::info!("ending: finishing what is in flight");
            router.stop();
            ExitCode::SUCCESS
        }
        (Err(error), _) => {
            eprintln!("cannot start: {error}");
            ExitCode::from(FOUND_PROBLEMS)
        }
        (_, Err(error)) => {
            eprintln!("{error}");
            ExitCode::from(FOUND_PROBLEMS)
        }
    }
}

impl Serve {
    /// What was given on the command line, and nothing else.
    fn flags(&self) -> serde_json::Value {
        let mut flags = serde_json::Map::new();
        let mut set = |name: &str, value: Option<serde_json::Value>| {
            if let Some(value) = value {
                flags.insert(name.to_owned(), value);
            }
        };
        set("config", self.config.as_ref().map(|path| json!(path)));
        set("listen", (!self.listen.is_empty()).then(|| json!(self.listen)));
        set("tls_certificate", self.tls_certificate.as_ref().map(|path| json!(path)));
        set("tls_key", self.tls_key.as_ref().map(|path| json!(path)));
        set("admin", self.admin.map(|address| json!(address)));
        set("workers", self.workers.map(|workers| json!(workers)));
        set("allow_loopback_destinations", self.allow_loopback_destinations.then_some(json!(true)));
        set("access_log", self.access_log.as_ref().map(|sink| json!(sink)));
        set("syncer", self.syncer.as_ref().map(|address| json!(address)));
        serde_json::Value::Object(flags)
    }
}

fn print_settings(loaded: &Loaded) {
    let width = loaded.origins.iter().map(|(name, ..)| name.len()).max().unwrap_or(0);
    for (name, value, origin) in &loaded.origins {
        println!("{name:<width$} = {value}  # {origin}");
    }
}

/// Diagnostics go to standard error: standard output is the access log's.
fn start_logging() {
    let filter = tracing_subscriber::EnvFilter::try_from_env("POSTERN_LOG").unwrap_or_else(|_| {
        tracing_subscriber::EnvFilter::new("info,hickory_resolver=error,hickory_net=error,hickory_proto=error")
    });
    // A line that cannot be written is lost: the subscriber would tell of it at the same place, and panic there.
    let told = tracing_subscriber::fmt().json().log_internal_errors(false);
    told.with_env_filter(filter).with_writer(std::io::stderr).init();
}

async fn wait_for_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let (Ok(mut terminate), Ok(mut interrupt)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be caught: the router ends without draining when it is told to");
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    if path == Path::new("-") {
        let mut bytes = Vec::new();
        return match std::io::stdin().take(limits::MERGED_FILE_BYTES).read_to_end(&mut bytes) {
            Ok(_) => Ok(bytes),
            Err(error) => Err(format!("standard input cannot be read: {error}")),
        };
    }
    file::read_bounded(path, limits::MERGED_FILE_BYTES).map_err(|error| error.to_string())
}

fn run_explain(asked: &Explain) -> ExitCode {
    let usage = |error: &dyn std::fmt::Display| {
        eprintln!("{error}");
        ExitCode::from(WRONG_USAGE)
    };
    let question = match Asked::parse(&asked.request, &asked.headers) {
        Ok(question) => question,
        Err(error) => return usage(&error),
    };
    let assumed = match asked.assumed() {
        Ok(assumed) => assumed,
        Err(error) => return usage(&error),
    };
    let bytes = match read(&asked.file) {
        Ok(bytes) => bytes,
        Err(error) => return usage(&error),
    };
    let reading = match merged::read(&bytes, None) {
        Ok(reading) => reading,
        Err(error) => return usage(&format!("{}: {error}", asked.file.display())),
    };
    let secrets_path = asked.file.with_file_name(postern_config::secrets::FILE_NAME);
    let secrets = file::read_bounded(&secrets_path, limits::BOUNDARY_BYTES)
        .ok()
        .and_then(|bytes| Secrets::from_bytes(&bytes).ok())
        .unwrap_or_default();
    let snapshot = compile(
        reading,
        &secrets,
        &Breakers::default(),
        Options { allow_loopback: true, signs_identity: true },
        unix_now(),
    );
    let explanation = explain::explain(&snapshot, question.assuming(assumed), unix_now(), None);
    match asked.output {
        Output::Json => println!("{}", serde_json::to_string_pretty(&explanation).unwrap_or_default()),
        Output::Text => println!("{}", paint::painted(&explanation.to_text(), paint::explained)),
    }
    if explanation.reason.is_none() { ExitCode::SUCCESS } else { ExitCode::from(FOUND_PROBLEMS) }
}

impl Explain {
    /// What is taken for granted of the request.
    fn assumed(&self) -> Result<Assumed, String> {
        let claims = self.claims.as_deref().map(|path| {
            let wrong = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let bytes = file::read_bounded(path, limits::BOUNDARY_BYTES).map_err(|error| error.to_string())?;
            explain::claims(&bytes).map_err(|error| wrong(&error))
        });
        let certificate = self.certificate.as_deref().map(|path| {
            let pem = read(path)?;
            let none = || format!("{} holds no certificate; write it as PEM", path.display());
            ClientCertificate::first_of(&pem).ok_or_else(none)
        });
        let (claims, certificate) = (claims.transpose()?, certificate.transpose()?);
        let odd_names = self.odd_names.as_deref().map(explain::odd_names).transpose();
        let odd_names = odd_names.map_err(|error| error.to_string())?;
        Ok(Assumed { client: self.client, at: self.at.map(|at| at.unix()), claims, certificate, odd_names })
    }
}

/// Speaks plain HTTP over a blocking socket: the image has no curl.
fn run_health(health: &Health) -> ExitCode {
    match ask(health.admin, "/readyz") {
        Ok((200, _)) => ExitCode::SUCCESS,
        Ok((_, body)) => {
            eprintln!("not ready: {}", body.trim());
            ExitCode::from(FOUND_PROBLEMS)
        }
        Err(error) => {
            eprintln!("no router answers at {}: {error}", health.admin);
            ExitCode::from(FOUND_PROBLEMS)
        }
    }
}

fn ask(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    use std::io::Write;
    let patience = std::time::Duration::from_secs(2);
    let mut stream = std::net::TcpStream::connect_timeout(&address, patience)?;
    stream.set_read_timeout(Some(patience))?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n")?;
    let mut answer = String::new();
    stream.take(4 * 1024 * 1024).read_to_string(&mut answer)?;
    let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body).to_owned();
    Ok((status, body))
}
