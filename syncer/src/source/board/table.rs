//! The status table in DynamoDB.
//!
//! An entry is put on condition that nothing later stands there, in words of its own: so the slowest task never takes
//! back what a faster one posted, and only the first that says something writes it. Instants are compared as text, which
//! RFC 3339 in UTC and whole seconds allows.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::operation::put_item::PutItemError;
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use crate::limits;
use crate::posted::{Entry, outlived};
use crate::source::dynamodb::failed;
use crate::source::{FailureReason, SourceError, attributes};

/// A table that things are posted to.
#[derive(Debug)]
pub(super) struct Table {
    client: Client,
    name: String,
}

type Key = HashMap<String, AttributeValue>;

/// Partition key of all heartbeats.
const TASKS: &str = "#task";
/// Sort key of all entries.
const ALL: &str = "#";

impl Table {
    pub(super) fn new(client: Client, name: &str) -> Self {
        Self { client, name: name.to_owned() }
    }

    pub(super) async fn put_beat(&self, task: &str, fields: &Map<String, Value>) -> Result<(), SourceError> {
        let put = self.client.put_item().table_name(&self.name).set_item(Some(keyed(fields, TASKS, task)));
        put.send().await.map(drop).map_err(|error| failed(&self.name, "PutItem", &error))
    }

    pub(super) async fn remove_beat(&self, task: &str) -> Result<(), SourceError> {
        let delete = self.client.delete_item().table_name(&self.name).set_key(Some(key(TASKS, task)));
        delete.send().await.map(drop).map_err(|error| failed(&self.name, "DeleteItem", &error))
    }

    pub(super) async fn beats(&self) -> Result<Vec<Value>, SourceError> {
        let mut found = Vec::new();
        let mut from: Option<Key> = None;
        for _ in 0..limits::SCAN_PAGES {
            let query = self
                .client
                .query()
                .table_name(&self.name)
                .consistent_read(true)
                .key_condition_expression("#id = :tasks")
                .expression_attribute_names("#id", "id")
                .expression_attribute_values(":tasks", AttributeValue::S(TASKS.to_owned()))
                .set_exclusive_start_key(from);
            let page = query.send().await.map_err(|error| failed(&self.name, "Query", &error))?;
            found.extend(page.items.unwrap_or_default().iter().map(attributes::value));
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(found);
            }
        }
        Err(self.too_large())
    }

    pub(super) async fn put_entry(&self, entry: &Entry, fields: &Map<String, Value>) -> Result<(), SourceError> {
        let put = self
            .client
            .put_item()
            .table_name(&self.name)
            .set_item(Some(keyed(fields, &entry.id, ALL)))
            .condition_expression(
                "attribute_not_exists(#id) OR (#clock <= :clock AND #says <> :says) OR (#clock > :clock AND #at < :outlived)",
            )
            .expression_attribute_names("#id", "id")
            .expression_attribute_names("#clock", "clock")
            .expression_attribute_names("#says", "says")
            .expression_attribute_names("#at", "at")
            .expression_attribute_values(":outlived", AttributeValue::S(outlived(entry.at).to_string()))
            .expression_attribute_values(":clock", AttributeValue::N(entry.clock.to_string()))
            .expression_attribute_values(":says", AttributeValue::S(entry.says.clone()));
        match put.send().await {
            Ok(_) => Ok(()),
            // Somebody was faster, and says the same or knows more.
            Err(error) if is_refused_put(&error) => Ok(()),
            Err(error) => Err(failed(&self.name, "PutItem", &error)),
        }
    }

    pub(super) async fn remove_entry(&self, id: &str, clock: u64) -> Result<(), SourceError> {
        let delete = self
            .client
            .delete_item()
            .table_name(&self.name)
            .set_key(Some(key(id, ALL)))
            .condition_expression("attribute_not_exists(#id) OR #clock <= :clock")
            .expression_attribute_names("#id", "id")
            .expression_attribute_names("#clock", "clock")
            .expression_attribute_values(":clock", AttributeValue::N(clock.to_string()));
        match delete.send().await {
            Ok(_) => Ok(()),
            Err(error) if is_refused_delete(&error) => Ok(()),
            Err(error) => Err(failed(&self.name, "DeleteItem", &error)),
        }
    }

    pub(super) async fn entry(&self, id: &str) -> Result<Option<Value>, SourceError> {
        let get = self.client.get_item().table_name(&self.name).set_key(Some(key(id, ALL))).consistent_read(true);
        let output = get.send().await.map_err(|error| failed(&self.name, "GetItem", &error))?;
        Ok(output.item.as_ref().map(attributes::value))
    }

    /// What entries say in short: the rest of them is not sent.
    pub(super) async fn entries(&self) -> Result<Vec<Value>, SourceError> {
        let mut found = Vec::new();
        let mut from: Option<Key> = None;
        for _ in 0..limits::SCAN_PAGES {
            let scan = self
                .client
                .scan()
                .table_name(&self.name)
                .projection_expression("#id, #task, #clock, #says")
                .expression_attribute_names("#id", "id")
                .expression_attribute_names("#task", "task")
                .expression_attribute_names("#clock", "clock")
                .expression_attribute_names("#says", "says")
                .set_exclusive_start_key(from);
            let page = scan.send().await.map_err(|error| failed(&self.name, "Scan", &error))?;
            let entries = page.items.unwrap_or_default();
            let entries = entries.iter().filter(|item| item.get("task") == Some(&AttributeValue::S(ALL.to_owned())));
            found.extend(entries.map(attributes::value));
            from = page.last_evaluated_key.filter(|key| !key.is_empty());
            if from.is_none() {
                return Ok(found);
            }
        }
        Err(self.too_large())
    }

    fn too_large(&self) -> SourceError {
        SourceError::new(
            FailureReason::TooLarge,
            format!("dynamodb://{} has more than {} pages", self.name, limits::SCAN_PAGES),
        )
    }
}

fn is_refused_put<R>(error: &SdkError<PutItemError, R>) -> bool {
    matches!(error.as_service_error(), Some(PutItemError::ConditionalCheckFailedException(_)))
}

fn is_refused_delete<R>(error: &SdkError<DeleteItemError, R>) -> bool {
    matches!(error.as_service_error(), Some(DeleteItemError::ConditionalCheckFailedException(_)))
}

fn keyed(fields: &Map<String, Value>, id: &str, task: &str) -> Key {
    let mut item = attributes::fields_of(fields);
    item.extend(key(id, task));
    item
}

fn key(id: &str, task: &str) -> Key {
    HashMap::from([
        ("id".to_owned(), AttributeValue::S(id.to_owned())),
        ("task".to_owned(), AttributeValue::S(task.to_owned())),
    ])
}
