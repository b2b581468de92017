//! The registrations' store: a table in DynamoDB, or a directory of files.
//!
//! Must never know the boundary, or whether an entry makes sense.

use std::sync::Arc;
use std::time::Duration;

use postern_config::merged::Source;
use postern_config::value::Timestamp;

use super::client::Clients;
use super::directory::Directory;
use super::dynamodb::Table;
use super::{Location, Observed};
use crate::item::Item;

/// Registrations as they were read, all of them.
#[derive(Debug, Clone)]
pub struct RegistrationsReading {
    /// What stood there.
    pub items: Arc<Vec<Item>>,
    /// Where.
    pub source: Source,
    /// What rises with every write and means the same to every task: the version of the table, or when something in the
    /// directory was last written.
    pub clock: Option<u64>,
}

/// Where registrations are, and what was read there last.
#[derive(Debug)]
pub struct RegistrationsSource {
    place: Place,
    uri: String,
}

#[derive(Debug)]
enum Place {
    Directory(Directory),
    Table(Box<Table>),
}

impl RegistrationsSource {
    /// Opens the store at `location`.
    ///
    /// # Errors
    /// When no registrations can be there.
    pub fn open(location: &Location, clients: &Clients, full_scan_every: Duration) -> Result<Self, String> {
        let place = match location {
            Location::Path(path) => Place::Directory(Directory::new(path)),
            Location::DynamoDb { table } => {
                Place::Table(Box::new(Table::new(clients.dynamodb(), table, full_scan_every)))
            }
            Location::S3 { .. } => {
                return Err(format!("{location} is an object; registrations are dynamodb://TABLE or a directory"));
            }
        };
        Ok(Self { place, uri: location.to_string() })
    }

    /// Whether looking again at once costs something.
    pub fn is_remote(&self) -> bool {
        matches!(self.place, Place::Table(_))
    }

    /// Looks at the store. `doubted` asks for a whole look soon, because what the last one said was hard to believe.
    pub async fn observe(&mut self, now: Timestamp, doubted: bool) -> Observed<RegistrationsReading> {
        let observed = match &mut self.place {
            Place::Directory(directory) => match directory.read() {
                Ok(None) => Observed::Unchanged,
                Ok(Some(items)) => Observed::Changed((items, None, directory.clock())),
                Err(error) => {
                    directory.forget();
                    Observed::Failed(error)
                }
            },
            Place::Table(table) => match table.read(doubted).await {
                Observed::Unchanged => Observed::Unchanged,
                Observed::Failed(error) => Observed::Failed(error),
                Observed::Changed((items, version)) => Observed::Changed((items, version, version)),
            },
        };
        match observed {
            Observed::Unchanged => Observed::Unchanged,
            Observed::Failed(error) => Observed::Failed(error),
            Observed::Changed((items, version, clock)) => {
                let source = Source {
                    uri: self.uri.clone(),
                    version,
                    items: Some(items.len() as u64),
                    read_at: Some(now),
                    ..Source::default()
                };
                Observed::Changed(RegistrationsReading { items: Arc::new(items), source, clock })
            }
        }
    }
}
