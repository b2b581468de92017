//! The table of registrations, read whole or not at all.
//!
//! A Scan has no snapshot isolation, not even a consistent one. Every writer therefore raises the `version` of the
//! item `#registry` in the transaction that writes; a scan is taken when that moved, and counts only when it is
//! the same before and behind the scan. Must never know what a registration means.

pub(super) mod writes;

use std::collections::{HashMap, HashSet};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::AttributeValue;
use postern_config::limits as documents;

use super::attributes;
use super::client::describe;
use super::{FailureReason, Observed, SourceError};
use crate::item::Item;
use crate::limits;

/// Partition key of the item that counts the writes.
pub(super) const REGISTRY_ROOT: &str = "#registry";
/// Sort key of that item.
pub(super) const REGISTRY_NAME: &str = "#";

/// A table, and when it was scanned last.
#[derive(Debug)]
pub(super) struct Table {
    client: Client,
    name: String,
    full_scan_every: Duration,
    scanned: Option<Scanned>,
}

#[derive(Debug, Clone, Copy)]
struct Scanned {
    version: Option<u64>,
    at: Instant,
}

type Key = HashMap<String, AttributeValue>;

impl Table {
    pub(super) fn new(client: Client, name: &str, full_scan_every: Duration) -> Self {
        Self { client, name: name.to_owned(), full_scan_every, scanned: None }
    }

    /// Every entry of the table with the version it was read at, when there is reason to read it.
    pub(super) async fn read(&mut self, doubted: bool) -> Observed<(Vec<Item>, Option<u64>)> {
        let version = match version(&self.client, &self.name).await {
            Ok(version) => version,
            Err(error) => return Observed::Failed(error),
        };
        if self.scanned.is_some_and(|scanned| !self.is_due(scanned, version, doubted)) {
            return Observed::Unchanged;
        }
        match tokio::time::timeout(limits::SCAN_TIME, self.stable_scan(version)).await {
            Ok(Ok((items, version))) => {
                self.scanned = Some(Scanned { version, at: Instant::now() });
                Observed::Changed((items, version))
            }
            Ok(Err(error)) => Observed::Failed(error),
            Err(_) => Observed::Failed(SourceError::new(
                FailureReason::Timeout,
                format!("dynamodb://{} was not read within {:?}", self.name, limits::SCAN_TIME),
            )),
        }
    }

    fn is_due(&self, scanned: Scanned, version: Option<u64>, doubted: bool) -> bool {
        let age = scanned.at.elapsed();
        // Without a version nothing tells whether the table moved; scanning each tick would cost too much.
        let blind = version.is_none() || doubted;
        scanned.version != version || age >= self.full_scan_every || (blind && age >= limits::SCAN_WITHOUT_VERSION)
    }

    /// Scans until the version is the same before and behind the scan.
    async fn stable_scan(&self, mut before: Option<u64>) -> Result<(Vec<Item>, Option<u64>), SourceError> {
        for _ in 0..limits::SCAN_ATTEMPTS {
            let items = scan(&self.client, &self.name).await?;
            let after = version(&self.client, &self.name).await?;
            if before == after {
                return Ok((items, after));
            }
            tracing::info!(table = self.name, ?before, ?after, "the table moved during the scan; scanning again");
            before = after;
        }
        Err(SourceError::new(
            FailureReason::Unstable,
            format!("dynamodb://{} moved during each of {} scans", self.name, limits::SCAN_ATTEMPTS),
        ))
    }
}

/// The version of the table: `None` when nobody counts.
async fn version(client: &Client, table: &str) -> Result<Option<u64>, SourceError> {
    let key = HashMap::from([
        ("root".to_owned(), AttributeValue::S(REGISTRY_ROOT.to_owned())),
        ("name".to_owned(), AttributeValue::S(REGISTRY_NAME.to_owned())),
    ]);
    let sent = client.get_item().table_name(table).set_key(Some(key)).consistent_read(true).send().await;
    let item = sent.map_err(|error| failed(table, "GetItem", &error))?.item;
    match item.as_ref().and_then(|item| item.get("version")) {
        None => Ok(None),
        Some(AttributeValue::N(number)) if number.parse::<u64>().is_ok() => Ok(number.parse().ok()),
        Some(_) => Err(SourceError::new(
            FailureReason::Invalid,
            format!("the item {REGISTRY_ROOT} of dynamodb://{table} has a version that is no whole number"),
        )),
    }
}

/// Every entry; one failed page is a failed scan.
pub(super) async fn scan(client: &Client, table: &str) -> Result<Vec<Item>, SourceError> {
    let mut items = Vec::new();
    let mut bytes = 0_usize;
    let mut seen: HashSet<String> = HashSet::new();
    let mut from: Option<Key> = None;
    for _ in 0..limits::SCAN_PAGES {
        let sent = client.scan().table_name(table).consistent_read(true).set_exclusive_start_key(from).send().await;
        let page = sent.map_err(|error| failed(table, "Scan", &error))?;
        for item in page.items.unwrap_or_default().into_iter().filter(|item| !is_registry(item)) {
            let item = attributes::item(&item);
            bytes = bytes.saturating_add(item.size());
            items.push(item);
        }
        if items.len() > documents::REGISTRATIONS || bytes > limits::OBSERVED_BYTES {
            return Err(SourceError::new(
                FailureReason::TooLarge,
                format!(
                    "dynamodb://{table} holds more than {} registrations or {} bytes",
                    documents::REGISTRATIONS,
                    limits::OBSERVED_BYTES
                ),
            ));
        }
        // Only an absent key ends a scan; a page without items does not.
        let Some(next) = page.last_evaluated_key.filter(|key| !key.is_empty()) else { return complete(items, table) };
        if !seen.insert(attributes::key_text(&next)) {
            return Err(SourceError::new(
                FailureReason::Invalid,
                format!("the scan of dynamodb://{table} goes round in circles; it is thrown away"),
            ));
        }
        from = Some(next);
    }
    Err(SourceError::new(
        FailureReason::TooLarge,
        format!("the scan of dynamodb://{table} has more than {} pages", limits::SCAN_PAGES),
    ))
}

/// A page that came twice shows in keys that stand twice, which a table cannot have.
fn complete(items: Vec<Item>, table: &str) -> Result<Vec<Item>, SourceError> {
    let mut origins = HashSet::with_capacity(items.len());
    match items.iter().find(|item| !origins.insert(&*item.origin)) {
        None => Ok(items),
        Some(twice) => Err(SourceError::new(
            FailureReason::Invalid,
            format!("the scan of dynamodb://{table} gave {} twice; it is thrown away", twice.origin),
        )),
    }
}

fn is_registry(item: &Key) -> bool {
    matches!(item.get("root"), Some(AttributeValue::S(root)) if root == REGISTRY_ROOT)
}

/// An SDK error in our words.
pub(super) fn failed<E, R>(table: &str, operation: &str, error: &SdkError<E, R>) -> SourceError
where
    SdkError<E, R>: std::error::Error + ProvideErrorMetadata,
{
    let reason = match error.code() {
        Some("ResourceNotFoundException") => FailureReason::NotFound,
        Some(
            "AccessDeniedException"
            | "UnrecognizedClientException"
            | "ExpiredTokenException"
            | "InvalidSignatureException"
            | "MissingAuthenticationTokenException",
        ) => FailureReason::Forbidden,
        Some("ProvisionedThroughputExceededException" | "ThrottlingException" | "RequestLimitExceeded") => {
            FailureReason::Throttled
        }
        _ if matches!(error, SdkError::TimeoutError(_)) => FailureReason::Timeout,
        _ => FailureReason::Unavailable,
    };
    SourceError::new(reason, format!("{operation} on dynamodb://{table}: {}", describe(error)))
}
