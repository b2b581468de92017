//! The status table: where tasks post what became of registrations and what they serve, and pipelines read it. A table
//! in DynamoDB with a permission of its own, or a directory in its place.
//!
//! Keys are `id` and `task`: an entry is `ROOT#NAME` and `#`, a heartbeat is `#task` and the task's name.
//! Must never know what follows from what is posted.

mod folder;
mod table;

use std::collections::HashMap;

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use self::folder::Folder;
use self::table::Table;
use super::client::Clients;
use super::{FailureReason, Location, SourceError};
use crate::posted::{Beat, Entry};

/// Where it is.
#[derive(Debug)]
pub struct Board {
    place: Place,
    uri: String,
}

#[derive(Debug)]
enum Place {
    Table(Table),
    Folder(Folder),
}

/// What stands there of one registration, as far as its poster has to know.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// The version of the registrations as a whole at which it was seen.
    pub clock: u64,
    /// What it says, in short.
    pub says: String,
}

impl Board {
    /// Opens the table or directory at `location`.
    ///
    /// # Errors
    /// When nothing can be posted there.
    pub fn open(location: &Location, clients: &Clients) -> Result<Self, String> {
        let place = match location {
            Location::Path(path) => Place::Folder(Folder::new(path)),
            Location::DynamoDb { table } => Place::Table(Table::new(clients.dynamodb(), table)),
            Location::S3 { .. } => {
                return Err(format!("{location} is an object; status goes to dynamodb://TABLE or a directory"));
            }
        };
        Ok(Self { place, uri: location.to_string() })
    }

    /// Where it is, as it was given.
    pub fn uri(&self) -> &str {
        &self.uri
    }

    /// Whether asking costs something.
    pub fn is_remote(&self) -> bool {
        matches!(self.place, Place::Table(_))
    }

    /// Posts a heartbeat in place of the one before.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn beat(&self, beat: &Beat) -> Result<(), SourceError> {
        let fields = fields(beat)?;
        match &self.place {
            Place::Table(table) => table.put_beat(&beat.task, &fields).await,
            Place::Folder(folder) => folder.put_beat(&beat.task, &fields),
        }
    }

    /// Takes a task's heartbeat away.
    ///
    /// # Errors
    /// When it cannot be.
    pub async fn silence(&self, task: &str) -> Result<(), SourceError> {
        match &self.place {
            Place::Table(table) => table.remove_beat(task).await,
            Place::Folder(folder) => folder.remove_beat(task),
        }
    }

    /// The heartbeats of all tasks, also those that are over.
    ///
    /// # Errors
    /// When they cannot be read whole, or one of them is no heartbeat: it might be that of a task that lags.
    pub async fn beats(&self) -> Result<Vec<Beat>, SourceError> {
        let values = match &self.place {
            Place::Table(table) => table.beats().await?,
            Place::Folder(folder) => folder.beats()?,
        };
        values.into_iter().map(|value| self.read("a heartbeat", value)).collect()
    }

    /// Posts what became of a registration, unless the same stands there, or something later that is
    /// not outlived.
    ///
    /// # Errors
    /// When it cannot be written.
    pub async fn post(&self, entry: &Entry) -> Result<(), SourceError> {
        let fields = fields(entry)?;
        match &self.place {
            Place::Table(table) => table.put_entry(entry, &fields).await,
            Place::Folder(folder) => folder.put_entry(entry, &fields),
        }
    }

    /// Takes away what stands of a registration, unless it is of a later version of them all.
    ///
    /// # Errors
    /// When it cannot be.
    pub async fn remove(&self, id: &str, clock: u64) -> Result<(), SourceError> {
        match &self.place {
            Place::Table(table) => table.remove_entry(id, clock).await,
            Place::Folder(folder) => folder.remove_entry(id, clock),
        }
    }

    /// What became of a registration.
    ///
    /// # Errors
    /// When it cannot be read.
    pub async fn entry(&self, id: &str) -> Result<Option<Entry>, SourceError> {
        let value = match &self.place {
            Place::Table(table) => table.entry(id).await?,
            Place::Folder(folder) => folder.entry(id)?,
        };
        value.map(|value| self.read(id, value)).transpose()
    }

    /// What stands there of every registration.
    ///
    /// # Errors
    /// When it cannot be read whole.
    pub async fn standing(&self) -> Result<HashMap<String, Standing>, SourceError> {
        let values = match &self.place {
            Place::Table(table) => table.entries().await?,
            Place::Folder(folder) => folder.entries()?,
        };
        let text = |value: &Value, field: &str| value.get(field).and_then(Value::as_str).map(str::to_owned);
        let standing = values.iter().filter_map(|value| {
            let clock = value.get("clock").and_then(Value::as_u64).unwrap_or_default();
            // What has no words here is posted anew.
            Some((text(value, "id")?, Standing { clock, says: text(value, "says").unwrap_or_default() }))
        });
        Ok(standing.collect())
    }

    fn read<T: DeserializeOwned>(&self, what: &str, value: Value) -> Result<T, SourceError> {
        serde_json::from_value(value).map_err(|error| {
            SourceError::new(
                FailureReason::Invalid,
                format!("{what} in {} is of a form not known here: {error}", self.uri),
            )
        })
    }
}

fn fields(posted: &impl Serialize) -> Result<Map<String, Value>, SourceError> {
    match serde_json::to_value(posted) {
        Ok(Value::Object(fields)) => Ok(fields),
        other => Err(SourceError::new(FailureReason::Invalid, format!("cannot be posted: {other:?}"))),
    }
}
