//! What is fixed at start: defaults < `--settings FILE` (TOML) < environment `POSTERN_ROUTER_…` < flags.
//!
//! Must never hold anything that can change while the router runs: that is in the merged file.

mod access_log;
mod audit;
mod collector;
mod identity_token;
mod listeners;
mod otlp_metrics;
mod tracing;

use std::net::SocketAddr;
use std::path::PathBuf;

use figment::Figment;
use figment::providers::{Env, Format, Serialized, Toml};
use postern_config::problem::did_you_mean;
use postern_config::value::{Network, Period};
use serde::{Deserialize, Serialize};

pub use self::tracing::{AmznTraceId, TraceTrust, Tracing};
pub use access_log::AccessLogFormat;
pub use audit::AuditLog;
pub use collector::OtlpProtocol;
pub(crate) use collector::ToCollector;
pub use identity_token::IdentityTokens;
pub(crate) use listeners::odd_names;
pub use listeners::{
    CertificateFiles, ClientAuthentication, ClientMode, Listener, ListenerTls, OddNames, Overdue, TlsVersion,
};
pub use otlp_metrics::OtlpMetrics;

/// The prefix of environment variables; `__` stands between levels.
pub const ENVIRONMENT: &str = "POSTERN_ROUTER_";

/// What is fixed at start.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The merged file.
    pub config: PathBuf,
    /// Addresses that clients connect to, all in one way. Nothing by default where there are `listeners`.
    pub listen: Vec<SocketAddr>,
    /// With `tls_key`: every address of `listen` speaks TLS and shows this certificate.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_certificate: Option<PathBuf>,
    /// The file of its key.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tls_key: Option<PathBuf>,
    /// More addresses, each with a way of its own.
    pub listeners: Vec<Listener>,
    /// The address of health, metrics and status; loopback unless asked otherwise.
    pub admin: SocketAddr,
    /// Names by which people may ask the admin address with a browser, besides addresses and names that nobody outside
    /// can have.
    pub admin_hosts: Vec<String>,
    /// Serving threads; 0 for the cores that the process may use.
    pub workers: usize,
    /// Whether each serving thread stays on a core of its own. For machines where nothing else runs.
    pub pin: bool,
    /// Answered on the data listener for any Host, without authentication.
    pub health_path: String,
    /// Networks of the proxies in front, whose forwarding headers are believed.
    pub trusted_proxies: Vec<Network>,
    /// How many of those proxies a request passes.
    pub trusted_hops: usize,
    /// Whether destinations that name loopback networks may be dialled there. For demos and tests.
    pub allow_loopback_destinations: bool,
    /// How often the file is looked at without an event.
    pub poll: Period,
    /// Whether file system events are listened for.
    pub watch_events: bool,
    /// DNS servers to ask; those of the system when empty.
    pub dns_servers: Vec<SocketAddr>,
    /// When the configuration is older than this it is no longer served: 503. Never, when left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_stale: Option<Period>,
    /// A key that the syncer knows too; then no other writer can make a file that is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file_key: Option<FileKeyText>,
    /// The syncer's admin address, which is asked to fetch an issuer's keys when a token names a key that nobody knows;
    /// `off` to ask nobody, and to call such a token invalid at once.
    pub syncer: String,
    /// Where the access log goes: `stdout`, `off`, or a path.
    pub access_log: String,
    /// How its lines look: `json`, `key_value`, or `combined` as Apache and nginx have it.
    #[serde(default)]
    pub access_log_format: AccessLogFormat,
    /// The fields of its lines, in this order; all when left out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub access_log_fields: Vec<String>,
    /// What was configured and decided, for whoever must prove it.
    #[serde(default)]
    pub audit: AuditLog,
    /// What tokens for destinations are signed with.
    #[serde(default)]
    pub identity_token: IdentityTokens,
    /// Where traces go, and how many.
    #[serde(default)]
    pub tracing: Tracing,
    /// Where metrics are pushed, and how often.
    #[serde(default)]
    pub otlp_metrics: OtlpMetrics,
    /// Bounds of connections and time.
    pub limits: Limits,
    /// How the router ends.
    pub shutdown: Shutdown,
}

/// The text of a key. Never shown.
#[derive(Clone, Deserialize)]
pub struct FileKeyText(String);

impl FileKeyText {
    /// The key itself.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for FileKeyText {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

impl Serialize for FileKeyText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

/// Bounds of connections and time on the client's side.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Most connections at once, over all listeners. One more waits in the kernel.
    pub connections: usize,
    /// Most connections at once from one address, but for trusted proxies; 0 for no bound. Each core has its share.
    pub connections_per_address: usize,
    /// After how many requests a client of HTTP/2 is asked to come anew, so that connections spread again.
    pub http2_requests: u64,
    /// For a TLS handshake, from the connection on.
    pub handshake: Period,
    /// For the whole head of a request.
    pub head: Period,
    /// Between two requests: longer than an ALB keeps its connections (60 s), so that it closes first.
    pub idle: Period,
    /// Without a byte of a request's body.
    pub body_idle: Period,
    /// How far the clocks of callers who sign with AWS keys may differ; AWS itself takes five minutes. Zero leaves
    /// that to the destination.
    pub signature_skew: Period,
    /// How long a WebSocket stays open whose route is gone or leads elsewhere; then the client is asked to come again.
    pub tunnel_grace: Period,
    /// How long any WebSocket may stay open.
    pub tunnel_lifetime: Period,
}

/// How the router ends.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Shutdown {
    /// How long new connections are still taken after SIGTERM, while load balancers notice.
    pub lame_duck: Period,
    /// When everything ends that is still open, counted from SIGTERM. Below the 30 s of ECS.
    pub deadline: Period,
}

impl Settings {
    /// The syncer's admin address; `None` when it is not to be asked.
    pub fn syncer_address(&self) -> Option<&str> {
        Some(self.syncer.as_str()).filter(|address| *address != "off")
    }
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            config: PathBuf::from("/var/lib/postern/merged.json"),
            listen: vec![SocketAddr::from(([0, 0, 0, 0], 8080))],
            tls_certificate: None,
            tls_key: None,
            listeners: Vec::new(),
            admin: SocketAddr::from(([127, 0, 0, 1], 9901)),
            admin_hosts: Vec::new(),
            workers: 0,
            pin: false,
            health_path: "/healthz".to_owned(),
            trusted_proxies: Vec::new(),
            trusted_hops: 1,
            allow_loopback_destinations: false,
            poll: Period::from_millis(1_000),
            watch_events: true,
            dns_servers: Vec::new(),
            max_stale: None,
            file_key: None,
            syncer: "127.0.0.1:9902".to_owned(),
            access_log: "stdout".to_owned(),
            access_log_format: AccessLogFormat::default(),
            access_log_fields: Vec::new(),
            audit: AuditLog::default(),
            identity_token: IdentityTokens::default(),
            tracing: Tracing::default(),
            otlp_metrics: OtlpMetrics::default(),
            limits: Limits::default(),
            shutdown: Shutdown::default(),
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 10_000,
            connections_per_address: 1_000,
            http2_requests: 100_000,
            handshake: Period::from_millis(5_000),
            head: Period::from_millis(10_000),
            idle: Period::from_millis(75_000),
            body_idle: Period::from_millis(30_000),
            signature_skew: Period::from_millis(300_000),
            tunnel_grace: Period::from_millis(30_000),
            tunnel_lifetime: Period::from_millis(24 * 3_600_000),
        }
    }
}

impl Default for Shutdown {
    fn default() -> Self {
        Self { lame_duck: Period::from_millis(10_000), deadline: Period::from_millis(28_000) }
    }
}

/// Why settings cannot be used, in words that say what, where and what to do.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct SettingsError(String);

/// Settings and where each came from.
pub struct Loaded {
    /// What is used.
    pub settings: Settings,
    /// A line for each value: name, value, origin.
    pub origins: Vec<(String, String, String)>,
}

/// Merges the layers. `flags` holds what was given on the command line, and nothing else.
///
/// # Errors
/// When a layer cannot be read, or a value means nothing.
pub fn load(file: Option<&std::path::Path>, flags: &serde_json::Value) -> Result<Loaded, SettingsError> {
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    if let Some(path) = file {
        if !path.is_file() {
            return Err(SettingsError(format!("--settings {}: there is no such file", path.display())));
        }
        figment = figment.merge(Toml::file_exact(path));
    }
    figment = figment.merge(Env::prefixed(ENVIRONMENT).split("__"));
    figment = figment.merge(Serialized::from(flags, figment::Profile::Default));
    let mut settings: Settings = figment.extract().map_err(|error| SettingsError(explain(&error)))?;
    // A plain port that nobody asked for would stand open beside the listeners that somebody did.
    if !settings.listeners.is_empty() && figment.find_metadata("listen").is_some_and(is_default) {
        settings.listen.clear();
    }
    check(&settings)?;
    let origins = origins(&figment, &settings);
    Ok(Loaded { settings, origins })
}

/// Tells everything that is wrong at once, a line each.
fn check(settings: &Settings) -> Result<(), SettingsError> {
    let mut wrong = listeners::problems(settings);
    wrong.extend(audit::problems(&settings.audit));
    wrong.extend(access_log::problems(settings));
    wrong.extend(identity_token::problems(&settings.identity_token, &settings.health_path));
    wrong.extend(tracing::problems(&settings.tracing));
    wrong.extend(otlp_metrics::problems(&settings.otlp_metrics));
    let mut demand = |holds: bool, text: &str| {
        if !holds {
            wrong.push(text.to_owned());
        }
    };
    demand(settings.health_path.starts_with('/'), "health_path: does not begin with /; write a path such as /healthz");
    demand(
        settings.shutdown.deadline >= settings.shutdown.lame_duck,
        "shutdown.deadline: is shorter than shutdown.lame_duck, so nothing could end in peace",
    );
    demand(
        settings.syncer_address().is_none_or(is_address),
        "syncer: is no HOST:PORT; write e.g. 127.0.0.1:9902, or off",
    );
    demand(
        !settings.limits.handshake.duration().is_zero(),
        "limits.handshake: is zero, so no handshake could end; write a time such as 5s",
    );
    demand(
        settings.file_key.as_ref().is_none_or(|key| key.expose().len() >= 16),
        "file_key: is shorter than 16 bytes and could be guessed",
    );
    if wrong.is_empty() { Ok(()) } else { Err(SettingsError(wrong.join("\n"))) }
}

/// A host and a port, and nothing that could end a line.
fn is_address(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b".-:[]".contains(&byte);
    text.bytes().all(fits)
        && text.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
}

/// One line for each thing that is wrong, with the layer it came from.
fn explain(error: &figment::Error) -> String {
    let lines: Vec<String> = error
        .clone()
        .into_iter()
        .map(|one| {
            let origin = one.metadata.as_ref().map_or_else(|| "the settings".to_owned(), origin_of);
            let hint = match &one.kind {
                figment::error::Kind::UnknownField(name, known) => {
                    did_you_mean(name, known.iter().copied()).map_or_else(String::new, |hint| format!(" ({hint})"))
                }
                _ => String::new(),
            };
            let path = one.path.join(".");
            let at = if path.is_empty() { String::new() } else { format!("{path}: ") };
            format!("{at}{}{hint}, in {origin}", one.kind)
        })
        .collect();
    lines.join("\n")
}

fn is_default(metadata: &figment::Metadata) -> bool {
    metadata.name.contains("Settings")
}

fn origin_of(metadata: &figment::Metadata) -> String {
    match &metadata.source {
        Some(figment::Source::File(path)) => path.display().to_string(),
        _ if metadata.name.contains("environment") => format!("the environment ({ENVIRONMENT}…)"),
        _ if is_default(metadata) => "the defaults".to_owned(),
        _ => "the flags".to_owned(),
    }
}

fn origins(figment: &Figment, settings: &Settings) -> Vec<(String, String, String)> {
    fn walk(value: &serde_json::Value, path: &str, figment: &Figment, rows: &mut Vec<(String, String, String)>) {
        if let serde_json::Value::Object(fields) = value {
            for (key, field) in fields {
                let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
                walk(field, &path, figment, rows);
            }
            return;
        }
        let origin = figment.find_metadata(path).map_or_else(|| "the defaults".to_owned(), origin_of);
        rows.push((path.to_owned(), value.to_string(), origin));
    }
    let mut rows = Vec::new();
    walk(&serde_json::to_value(settings).unwrap_or_default(), "", figment, &mut rows);
    rows
}
