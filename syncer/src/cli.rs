//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use figment::value::{Map, Value};

use crate::output::Format;

/// Merges what operations allow and what pipelines ask for into one file.
#[derive(Debug, Parser)]
#[command(name = "postern-syncer", version, arg_required_else_help = true)]
#[command(after_help = "Exit codes: 0 fine, 1 found problems, 2 wrong usage.\n\n\
Example:\n  postern-syncer run --boundary boundary.yaml --registrations registrations/ --out out/ --once")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Watch both stores and keep the merged file current.
    #[command(
        after_help = "Examples:\n  postern-syncer run --boundary s3://postern-config/boundary.yaml --registrations dynamodb://postern-registrations --out /var/lib/postern\n  \
postern-syncer run --boundary boundary.yaml --registrations registrations/ --out out/ --once --strict"
    )]
    Run(RunArgs),
    /// Show what the next generation would change, and why; nothing goes live.
    #[command(
        after_help = "Example:\n  postern-syncer plan --boundary boundary.yaml --registrations registrations/ --out out/ --output json\n  \
postern-syncer plan --boundary new.yaml --registrations registrations/ --out out/ --write /tmp/next.json && \
postern-router diff live /tmp/next.json --access-log access.log"
    )]
    Plan(PlanArgs),
    /// Register, show, list or delete routes in the registrations' store.
    #[command(subcommand)]
    Route(RouteCommand),
    /// Make keys for consumers, and take them back.
    #[command(subcommand)]
    Key(KeyCommand),
    /// What a boundary keeps of revoked tokens.
    #[command(subcommand)]
    Token(TokenCommand),
    /// Make the routes that stand stay, whatever pipelines register, until they are released.
    #[command(after_help = "Example:\n  postern-syncer pin --admin 127.0.0.1:9902")]
    Pin(AdminArgs),
    /// Serve the routes of an earlier generation again, as a new one, until they are released.
    #[command(after_help = "The boundary stays the present one: what it no longer allows does not come back.\n\n\
Example:\n  postern-router diff live 41 && postern-syncer rollback 41 --admin 127.0.0.1:9902")]
    Rollback {
        /// Its number; postern-router history shows them
        generation: u64,
        #[command(flatten)]
        admin: AdminArgs,
    },
    /// Let go what the shrink guard holds, and what is pinned.
    #[command(after_help = "Example:\n  postern-syncer release --admin 127.0.0.1:9902")]
    Release(AdminArgs),
    /// Ask the running syncer whether it is well: for container health checks.
    #[command(after_help = "Example:\n  postern-syncer health --admin 127.0.0.1:9902")]
    Health(AdminArgs),
}

/// The stores.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SourceArgs {
    /// The boundary: s3://BUCKET/KEY, or a file
    #[arg(long, value_name = "URI")]
    pub(crate) boundary: Option<String>,
    /// The registrations: dynamodb://TABLE, or a directory of *.yaml, *.yml, *.json
    #[arg(long, value_name = "URI")]
    pub(crate) registrations: Option<String>,
    /// The directory for merged.json and its history
    #[arg(long, value_name = "DIR")]
    pub(crate) out: Option<PathBuf>,
    /// Allow destinations on loopback addresses, for demos and tests; the router needs the flag too
    #[arg(long)]
    pub(crate) allow_loopback_destinations: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Where settings come from.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct SettingsArgs {
    /// A TOML file of settings; POSTERN_SYNCER_… in the environment and flags go before it
    #[arg(long, value_name = "FILE")]
    pub(crate) settings: Option<PathBuf>,
    /// Show every setting with where it came from, and end
    #[arg(long)]
    pub(crate) print_settings: bool,
}

#[derive(Debug, Args)]
pub(crate) struct RunArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// How often the stores are looked at [default: 5s]
    #[arg(long, value_name = "PERIOD")]
    pub(crate) interval: Option<String>,
    /// Make the file current once, print what was refused, and end
    #[arg(long)]
    pub(crate) once: bool,
    /// With --once: exit 1 when any registration is refused
    #[arg(long, requires = "once")]
    pub(crate) strict: bool,
    /// Where health, metrics and conditions are shown [default: 127.0.0.1:9902]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
    /// Admin address of a router that is asked what it serves; may be repeated [default: 127.0.0.1:9901]
    #[arg(long = "router", value_name = "ADDRESS")]
    pub(crate) routers: Vec<String>,
    /// Where this task posts what became of registrations and what its routers serve: dynamodb://TABLE, or a directory
    #[arg(long, value_name = "URI")]
    pub(crate) status: Option<String>,
    /// The name of this task there [default: as ECS calls it, else the machine's name and a number]
    #[arg(long, value_name = "NAME")]
    pub(crate) task: Option<String>,
    /// How --once prints what it did
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Format,
}

#[derive(Debug, Args)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    pub(crate) source: SourceArgs,
    /// Also write what would stand to a file of its own, for postern-router diff and explain
    #[arg(long, value_name = "FILE")]
    pub(crate) write: Option<PathBuf>,
    /// Exit 1 when any registration would be refused
    #[arg(long)]
    pub(crate) strict: bool,
    /// How the plan is printed
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Format,
}

/// Where registrations are, for the commands of pipelines.
#[derive(Debug, Clone, Args)]
pub(crate) struct StoreArgs {
    /// The registrations: dynamodb://TABLE, or a directory
    #[arg(long, value_name = "URI")]
    pub(crate) registrations: Option<String>,
    /// How data is printed
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// Who tells what became of a registration.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct ToldArgs {
    /// What became of it, as all tasks post it: dynamodb://TABLE, or a directory
    #[arg(long, value_name = "URI")]
    pub(crate) status: Option<String>,
    /// What became of it, as the syncer at this admin address alone tells
    #[arg(long, value_name = "ADDRESS", num_args = 0..=1, default_missing_value = "127.0.0.1:9902")]
    pub(crate) conditions_from: Option<String>,
}

#[derive(Debug, Subcommand)]
pub(crate) enum RouteCommand {
    /// Register what a file holds; - reads standard input.
    #[command(
        after_help = "Examples:\n  postern-syncer route apply orders.yaml --registrations dynamodb://postern-registrations\n  \
postern-syncer route apply orders.yaml --wait=2m --registrations dynamodb://postern-registrations --status dynamodb://postern-status"
    )]
    Apply {
        /// YAML or JSON with one or more registrations
        file: PathBuf,
        /// End when all tasks serve it, or it is refused, or that time is over [default: 60s]
        #[arg(long, value_name = "PERIOD", num_args = 0..=1, require_equals = true, default_missing_value = "60s")]
        wait: Option<String>,
        #[command(flatten)]
        told: ToldArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Show what is registered.
    #[command(
        after_help = "Examples:\n  postern-syncer route get /orders#default --registrations dynamodb://postern-registrations --status dynamodb://postern-status\n  \
postern-syncer route get /orders#default --registrations dynamodb://postern-registrations --conditions-from 127.0.0.1:9902"
    )]
    Get {
        /// ROOT or ROOT#NAME
        id: String,
        #[command(flatten)]
        told: ToldArgs,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// List what is registered.
    #[command(
        after_help = "Example:\n  postern-syncer route list --owner team-orders --registrations dynamodb://postern-registrations"
    )]
    List {
        /// Only what this owner registered
        #[arg(long)]
        owner: Option<String>,
        #[command(flatten)]
        store: StoreArgs,
    },
    /// Take a registration back.
    #[command(
        after_help = "Example:\n  postern-syncer route delete /orders#default --owner team-orders --registrations dynamodb://postern-registrations"
    )]
    Delete {
        /// ROOT or ROOT#NAME
        id: String,
        /// Who takes it back: must be who registered it
        #[arg(long)]
        owner: String,
        #[command(flatten)]
        store: StoreArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum KeyCommand {
    /// Make a key: prints it once, and the entry for the boundary.
    #[command(
        after_help = "Example:\n  postern-syncer key new --realm partners --consumer acme --expires 90d --boundary s3://postern-config/boundary.yaml"
    )]
    New {
        /// The realm of identity.api_key
        #[arg(long)]
        realm: String,
        /// Whose key it is
        #[arg(long)]
        consumer: String,
        /// After how long it ends [default: never]
        #[arg(long, value_name = "PERIOD")]
        expires: Option<String>,
        #[command(flatten)]
        boundary: BoundaryArgs,
    },
    /// Take a key back: prints whose it is, and the entry for the boundary.
    #[command(after_help = "Example:\n  postern-syncer key revoke 0041061050r3gg28 --boundary boundary.yaml")]
    Revoke {
        /// The id of the key: of pk_ID_SECRET the ID
        id: String,
        #[command(flatten)]
        boundary: BoundaryArgs,
    },
}

#[derive(Debug, Subcommand)]
pub(crate) enum TokenCommand {
    /// Make digests for identity.jwt[].revoked.digests; - reads standard input.
    #[command(after_help = "Example:\n  postern-syncer token digests --kind jti ids.txt")]
    Digests {
        /// What the lines are
        #[arg(long, value_enum)]
        kind: RevokedKind,
        /// One a line
        file: PathBuf,
    },
}

/// What a token is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum RevokedKind {
    /// Its id.
    Jti,
    /// Its subject.
    Sub,
    /// The key that signed it.
    Kid,
}

/// Where the boundary is, for the commands of operations.
#[derive(Debug, Clone, Args)]
pub(crate) struct BoundaryArgs {
    /// The boundary: s3://BUCKET/KEY, or a file
    #[arg(long, value_name = "URI")]
    pub(crate) boundary: Option<String>,
    /// How data is printed
    #[arg(long, value_enum, default_value = "text", value_name = "FORMAT")]
    pub(crate) output: Format,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

#[derive(Debug, Args)]
pub(crate) struct AdminArgs {
    /// The syncer's admin address [default: 127.0.0.1:9902]
    #[arg(long, value_name = "ADDRESS")]
    pub(crate) admin: Option<String>,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

impl SourceArgs {
    /// The flags that are settings.
    pub(crate) fn flags(&self) -> Map<String, Value> {
        let mut flags = Map::new();
        set(&mut flags, "boundary", self.boundary.clone());
        set(&mut flags, "registrations", self.registrations.clone());
        set(&mut flags, "out", self.out.as_ref().map(|path| path.to_string_lossy().into_owned()));
        if self.allow_loopback_destinations {
            flags.insert("allow_loopback_destinations".to_owned(), Value::from(true));
        }
        flags
    }
}

impl RunArgs {
    /// The flags that are settings.
    pub(crate) fn flags(&self) -> Map<String, Value> {
        let mut flags = self.source.flags();
        set(&mut flags, "interval", self.interval.clone());
        set(&mut flags, "admin", self.admin.clone());
        set(&mut flags, "status", self.status.clone());
        set(&mut flags, "task", self.task.clone());
        if !self.routers.is_empty() {
            flags.insert("routers".to_owned(), Value::from(self.routers.clone()));
        }
        flags
    }
}

impl StoreArgs {
    /// The flags that are settings.
    pub(crate) fn flags(&self) -> Map<String, Value> {
        let mut flags = Map::new();
        set(&mut flags, "registrations", self.registrations.clone());
        flags
    }
}

impl BoundaryArgs {
    /// The flags that are settings.
    pub(crate) fn flags(&self) -> Map<String, Value> {
        let mut flags = Map::new();
        set(&mut flags, "boundary", self.boundary.clone());
        flags
    }
}

impl AdminArgs {
    /// The flags that are settings.
    pub(crate) fn flags(&self) -> Map<String, Value> {
        let mut flags = Map::new();
        set(&mut flags, "admin", self.admin.clone());
        flags
    }
}

fn set(flags: &mut Map<String, Value>, name: &str, value: Option<String>) {
    if let Some(value) = value {
        flags.insert(name.to_owned(), Value::from(value));
    }
}
