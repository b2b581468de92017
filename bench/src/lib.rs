//! What `make bench` needs and the usual load tools do not give: a destination that is never the bottleneck, a load
//! that asks for random routes and counts exactly, a paced load whose latencies are honest, and idle connections by
//! the thousand. Every command prints one line of JSON; the driver in Python knows what the figures mean.

#![allow(clippy::print_stdout, reason = "its results are for the driver, which reads them from there")]

mod backend;
mod client;
mod http;
mod idle;
mod load;
mod paced;
mod tls;
mod tokens;

use std::error::Error;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};

/// What any of the commands can come to.
pub(crate) type Outcome = Result<serde_json::Value, Box<dyn Error>>;

#[derive(Parser)]
#[command(about = "Load, destination and stop-watch for `make bench`", version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Be the destination: fixed answers of 1 KB, 100 KB and 10 MB
    Backend(backend::Options),
    /// Ask as fast as the answers come, over some connections
    Load(load::Options),
    /// Ask at a fixed rate and tell the latencies
    Paced(paced::Options),
    /// Open connections, ask once over each, and hold them until standard input ends
    Idle(idle::Options),
    /// Sign tokens, and write a request with each
    Tokens(tokens::Options),
}

/// Whom a load asks, and for what.
#[derive(Args)]
pub(crate) struct Target {
    /// The address to connect to
    #[arg(long)]
    address: SocketAddr,
    /// The Host sent, and the name asked for in TLS
    #[arg(long, default_value = "api.example.com")]
    host: String,
    /// Requests to choose from at random, one a line: PATH, then more headers, each behind a tab
    #[arg(long)]
    targets: PathBuf,
    /// Speak TLS 1.3, without resumption, and trust the certificates of this PEM file
    #[arg(long)]
    tls: Option<PathBuf>,
    /// Ask with POST and a body of that many bytes
    #[arg(long)]
    post: Option<usize>,
}

/// Runs the command of the arguments.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Backend(options) => backend::run(&options),
        Command::Load(options) => load::run(&options),
        Command::Paced(options) => paced::run(&options),
        Command::Idle(options) => idle::run(&options),
        Command::Tokens(options) => tokens::run(&options),
    };
    match outcome {
        Ok(figures) => {
            println!("{figures}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            println!("{}", serde_json::json!({ "error": error.to_string() }));
            ExitCode::FAILURE
        }
    }
}

/// One thread that does all: what is measured runs on the other core, and a second thread here would only have to be
/// waited for.
pub(crate) fn on_one_thread<F: Future<Output = Outcome>>(work: F) -> Outcome {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    tokio::task::LocalSet::new().block_on(&runtime, work)
}
