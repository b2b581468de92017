//! Settings: what is fixed at start. Defaults, below a file, below the environment, below flags; each value knows
//! where it came from.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use figment::providers::{Env, Format, Serialized, Toml};
use figment::value::{Dict, Map, Value};
use figment::{Figment, Metadata, Profile, Provider};
use postern_config::problem::did_you_mean;
use postern_config::value::Period;
use serde::{Deserialize, Serialize};

use crate::output::Failure;

/// What is fixed at start.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Settings {
    /// `s3://BUCKET/KEY`, or a file.
    pub boundary: Option<String>,
    /// `dynamodb://TABLE`, or a directory of files.
    pub registrations: Option<String>,
    /// `dynamodb://TABLE`, or a directory: where tasks post what became of registrations.
    pub status: Option<String>,
    /// The name of this task on the status table.
    pub task: Option<String>,
    /// The directory that the merged file goes into.
    pub out: Option<PathBuf>,
    /// How often both stores are looked at.
    pub interval: Period,
    /// Where health, metrics and conditions are shown.
    pub admin: SocketAddr,
    /// Admin addresses of the routers that are asked what they serve.
    pub routers: Vec<String>,
    /// How often the table is read whole although nothing says that it changed.
    pub full_scan_every: Period,
    /// How long one operation on a store may take.
    pub operation_timeout: Period,
    /// How long the shrink guard waits for a second observation.
    pub shrink_grace: Period,
    /// How long an older form of a registration that turned bad is served.
    pub max_stale_route: Period,
    /// For how long a store may fail before the health check says so.
    pub unhealthy_after: Period,
    /// How the keys of issuers are fetched.
    pub issuers: Issuers,
    /// How secrets are read that the boundary refers to.
    pub secrets: Secrets,
    /// Whether destinations may be on loopback addresses.
    pub allow_loopback_destinations: bool,
    /// A key that routers know too, for the merged file's authentication code.
    pub file_key: Option<Key>,
    /// How logs are written.
    pub log: Log,
}

/// How the keys of issuers are fetched.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Issuers {
    /// The least time between two fetches, whatever an issuer says of the age of its keys.
    pub refresh_least: Period,
    /// The most.
    pub refresh_most: Period,
    /// The least time between two early fetches of one issuer, which routers ask for that see an unknown key id.
    pub early_every: Period,
    /// How long keys are used that were not seen again, because the issuer is down.
    pub keep: Period,
    /// How long one answer may take.
    pub timeout: Period,
}

/// How secrets are read that the boundary refers to.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Secrets {
    /// How often those in AWS are read again; those on this machine with `interval`, when that is shorter.
    pub refresh: Period,
}

/// How logs are written.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Log {
    /// `json`, `text`, or `auto`: text on a terminal.
    pub format: LogFormat,
    /// A filter such as `info` or `postern_syncer=debug`.
    pub level: String,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// Text on a terminal, else JSON.
    Auto,
    /// One JSON object a line.
    Json,
    /// For people.
    Text,
}

/// A key. Never shown.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
pub struct Key(String);

impl Key {
    /// The key as the merged file takes it; none when it is too short.
    pub fn file_key(&self) -> Option<postern_config::merged::FileKey> {
        postern_config::merged::FileKey::new(self.0.as_bytes())
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl Serialize for Key {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("…")
    }
}

impl Default for Settings {
    fn default() -> Self {
        let seconds = |seconds: u64| Period::from_millis(seconds * 1_000);
        Self {
            boundary: None,
            registrations: None,
            status: None,
            task: None,
            out: None,
            interval: seconds(5),
            admin: SocketAddr::from(([127, 0, 0, 1], 9902)),
            routers: vec!["127.0.0.1:9901".to_owned()],
            full_scan_every: seconds(600),
            operation_timeout: seconds(10),
            shrink_grace: seconds(60),
            max_stale_route: seconds(24 * 3_600),
            unhealthy_after: seconds(15 * 60),
            issuers: Issuers {
                refresh_least: seconds(60),
                refresh_most: seconds(15 * 60),
                early_every: seconds(30),
                keep: seconds(24 * 3_600),
                timeout: seconds(10),
            },
            secrets: Secrets { refresh: seconds(60) },
            allow_loopback_destinations: false,
            file_key: None,
            log: Log { format: LogFormat::Auto, level: "info".to_owned() },
        }
    }
}

/// Settings, and where each came from.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    figment: Figment,
}

const PREFIX: &str = "POSTERN_SYNCER_";

/// Loads settings: `flags` over the environment over `file` over the defaults.
///
/// # Errors
/// When the file cannot be read, a name is not known, or a value is not of its kind.
pub fn load(file: Option<&Path>, flags: Map<String, Value>) -> Result<Loaded, Failure> {
    let mut figment = Figment::from(Serialized::defaults(Settings::default()));
    if let Some(path) = file {
        if !path.is_file() {
            return Err(Failure::usage(format!("there is no settings file {}", path.display())));
        }
        figment = figment.merge(Named { name: format!("file {}", path.display()), inner: Toml::file_exact(path) });
    }
    let environment = Env::prefixed(PREFIX).split("__").ignore(&["file_key"]);
    let figment = figment.merge(environment).merge(RawKey).merge(Flags(flags));
    check_names(&figment)?;
    let settings: Settings = figment.extract().map_err(|error| Failure::usage(explain(&error)))?;
    if settings.file_key.as_ref().is_some_and(|key| key.file_key().is_none()) {
        return Err(Failure::usage("file_key is shorter than 16 bytes, so it could be guessed"));
    }
    if settings.interval.duration().is_zero() {
        return Err(Failure::usage("interval is zero; write e.g. 5s"));
    }
    if settings.issuers.refresh_least.duration().is_zero() || settings.issuers.timeout.duration().is_zero() {
        return Err(Failure::usage("issuers.refresh_least or issuers.timeout is zero; write e.g. 60s and 10s"));
    }
    if settings.secrets.refresh.duration().is_zero() {
        return Err(Failure::usage("secrets.refresh is zero; write e.g. 60s"));
    }
    Ok(Loaded { settings, figment })
}

impl Loaded {
    /// Each value with where it came from, a line each.
    pub fn describe(&self) -> String {
        let mut lines = Vec::new();
        for name in names() {
            let value = self.figment.find_value(&name).ok();
            let from = self.figment.find_metadata(&name).map_or_else(|| "default".to_owned(), origin);
            let shown = match &value {
                Some(_) if name == "file_key" && self.settings.file_key.is_some() => "\"…\"".to_owned(),
                Some(value) => serde_json::to_string(value).unwrap_or_default(),
                None => "null".to_owned(),
            };
            lines.push(format!("{name} = {shown}  # {from}"));
        }
        lines.join("\n")
    }
}

fn origin(metadata: &Metadata) -> String {
    if metadata.name.contains("environment") {
        "environment".to_owned()
    } else if metadata.name.contains("Settings") {
        "default".to_owned()
    } else {
        metadata.name.to_string()
    }
}

/// Every name that is known.
fn names() -> Vec<String> {
    fn walk(at: &str, value: &serde_json::Value, found: &mut Vec<String>) {
        match value {
            serde_json::Value::Object(fields) => {
                for (key, field) in fields {
                    walk(&if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, field, found);
                }
            }
            _ => found.push(at.to_owned()),
        }
    }
    let mut found = Vec::new();
    walk("", &serde_json::to_value(Settings::default()).unwrap_or_default(), &mut found);
    found
}

/// A setting that nobody knows is a slip that would otherwise do nothing.
fn check_names(figment: &Figment) -> Result<(), Failure> {
    fn walk(at: &str, value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Dict(_, fields) => {
                for (key, field) in fields {
                    walk(&if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, field, found);
                }
            }
            _ => found.push(at.to_owned()),
        }
    }
    let mut given = Vec::new();
    let data = figment.data().map_err(|error| Failure::usage(explain(&error)))?;
    for dict in data.values() {
        dict.iter().for_each(|(key, value)| walk(key, value, &mut given));
    }
    let known = names();
    for name in given {
        if !known.contains(&name) {
            let from =
                figment.find_metadata(&name).map_or_else(String::new, |metadata| format!(" ({})", origin(metadata)));
            let hint = did_you_mean(&name, known.iter().map(String::as_str))
                .unwrap_or_else(|| format!("known: {}", known.join(", ")));
            return Err(Failure::usage(format!("the setting {name} is not known{from}; {hint}")));
        }
    }
    Ok(())
}

fn explain(error: &figment::Error) -> String {
    let mut lines = Vec::new();
    for one in error.clone() {
        let at = one.path.join(".");
        let from = one.metadata.as_ref().map_or_else(String::new, |metadata| format!(" ({})", origin(metadata)));
        lines.push(format!("the setting {at}: {}{from}", one.kind));
    }
    lines.join("\n")
}

/// A provider under another name.
struct Named<P> {
    name: String,
    inner: P,
}

impl<P: Provider> Provider for Named<P> {
    fn metadata(&self) -> Metadata {
        Metadata::named(self.name.clone())
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        self.inner.data()
    }
}

/// The key from the environment as it is: read as TOML a key of digits would lose its zeros.
struct RawKey;

impl Provider for RawKey {
    fn metadata(&self) -> Metadata {
        Metadata::named("environment")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        let mut dict = Dict::new();
        if let Ok(key) = std::env::var(format!("{PREFIX}FILE_KEY")) {
            dict.insert("file_key".to_owned(), Value::from(key));
        }
        Ok(Profile::Default.collect(dict))
    }
}

struct Flags(Map<String, Value>);

impl Provider for Flags {
    fn metadata(&self) -> Metadata {
        Metadata::named("flag")
    }

    fn data(&self) -> Result<Map<Profile, Dict>, figment::Error> {
        Ok(Profile::Default.collect(self.0.clone()))
    }
}
