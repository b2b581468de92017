//! Writing one registration in one transaction with the raise of the table's version.

use std::collections::HashMap;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{
    AttributeValue, CancellationReason, Delete, Put, ReturnValuesOnConditionCheckFailure, TransactWriteItem, Update,
};
use serde_json::{Map, Value};

use super::{Key, REGISTRY_NAME, REGISTRY_ROOT, failed, scan, version};
use crate::item::Item;
use crate::source::store::{Entry, WriteError};
use crate::source::{FailureReason, SourceError, attributes};

/// A table that can be written to.
#[derive(Debug)]
pub struct Writes {
    client: Client,
    table: String,
}

/// What must hold for a write.
struct Condition {
    expression: String,
    names: HashMap<String, String>,
    values: HashMap<String, AttributeValue>,
}

/// How often a write is tried that met another one: all writers raise the same version.
const ATTEMPTS: u32 = 6;

impl Writes {
    pub(in crate::source) fn new(client: Client, table: &str) -> Self {
        Self { client, table: table.to_owned() }
    }

    pub(in crate::source) async fn read(&self, entry: &Entry) -> Result<Option<Item>, SourceError> {
        let sent = self.client.get_item().table_name(&self.table).set_key(Some(key(&entry.root, &entry.name)));
        let output = sent.consistent_read(true).send().await.map_err(|error| failed(&self.table, "GetItem", &error))?;
        Ok(output.item.map(|item| attributes::item(&item)))
    }

    pub(in crate::source) async fn version(&self) -> Result<Option<u64>, SourceError> {
        version(&self.client, &self.table).await
    }

    pub(in crate::source) async fn list(&self) -> Result<Vec<Item>, SourceError> {
        let mut items = scan(&self.client, &self.table).await?;
        items.sort_by(|a, b| a.origin.cmp(&b.origin));
        Ok(items)
    }

    pub(in crate::source) async fn put(
        &self,
        fields: &Map<String, Value>,
        read: Option<&Item>,
    ) -> Result<(), WriteError> {
        let owner = fields.get("owner").and_then(Value::as_str).unwrap_or_default();
        let condition = Condition::free_or_mine(owner, read);
        let put = Put::builder()
            .table_name(&self.table)
            .set_item(Some(attributes::fields_of(fields)))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(Some(condition.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build();
        let put = put.map_err(|error| SourceError::new(FailureReason::Invalid, error.to_string()))?;
        self.transact(&TransactWriteItem::builder().put(put).build()).await
    }

    pub(in crate::source) async fn delete(&self, entry: &Entry, owner: &str) -> Result<(), WriteError> {
        let condition = Condition::mine(owner);
        let delete = Delete::builder()
            .table_name(&self.table)
            .set_key(Some(key(&entry.root, &entry.name)))
            .condition_expression(condition.expression)
            .set_expression_attribute_names(Some(condition.names))
            .set_expression_attribute_values(Some(condition.values))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .build();
        let delete = delete.map_err(|error| SourceError::new(FailureReason::Invalid, error.to_string()))?;
        self.transact(&TransactWriteItem::builder().delete(delete).build()).await
    }

    async fn transact(&self, write: &TransactWriteItem) -> Result<(), WriteError> {
        let raise = Update::builder()
            .table_name(&self.table)
            .set_key(Some(key(REGISTRY_ROOT, REGISTRY_NAME)))
            .update_expression("ADD #version :one")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .build()
            .map_err(|error| SourceError::new(FailureReason::Invalid, error.to_string()))?;
        let raise = TransactWriteItem::builder().update(raise).build();
        let mut attempt = 0_u32;
        loop {
            attempt += 1;
            let sent = self.client.transact_write_items().transact_items(write.clone()).transact_items(raise.clone());
            let Err(error) = sent.send().await else { return Ok(()) };
            let reasons = reasons(&error);
            if let Some(reason) = reasons.iter().find(|reason| reason.code() == Some("ConditionalCheckFailed")) {
                return Err(match &reason.item {
                    Some(item) if !item.is_empty() => WriteError::Stands(Box::new(attributes::item(item))),
                    _ => WriteError::Absent,
                });
            }
            let met_another = reasons.iter().any(|reason| reason.code() == Some("TransactionConflict"));
            if !met_another || attempt >= ATTEMPTS {
                return Err(failed(&self.table, "TransactWriteItems", &error).into());
            }
            tokio::time::sleep(Duration::from_millis(50 << attempt).mul_f64(fastrand::f64())).await;
        }
    }
}

fn reasons<R>(error: &SdkError<TransactWriteItemsError, R>) -> &[CancellationReason] {
    match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => cancelled.cancellation_reasons(),
        _ => &[],
    }
}

fn key(root: &str, name: &str) -> Key {
    HashMap::from([
        ("root".to_owned(), AttributeValue::S(root.to_owned())),
        ("name".to_owned(), AttributeValue::S(name.to_owned())),
    ])
}

impl Condition {
    /// Nothing stands there, or what was read still does and is the owner's.
    fn free_or_mine(owner: &str, read: Option<&Item>) -> Self {
        let mut condition = Self::mine(owner);
        condition.names.insert("#root".to_owned(), "root".to_owned());
        condition.names.insert("#version".to_owned(), "version".to_owned());
        // An entry that somebody put without a version is taken as it is.
        let value = read.map(Item::value).unwrap_or_default();
        let version = value.get("version");
        let same_version = match version {
            None if read.is_some() => "attribute_not_exists(#version)",
            None => {
                condition.values.insert(":read".to_owned(), AttributeValue::N("0".to_owned()));
                "#version = :read"
            }
            Some(version) => {
                condition.values.insert(":read".to_owned(), attributes::from_json(version));
                "#version = :read"
            }
        };
        condition.expression = format!("attribute_not_exists(#root) OR (#owner = :me AND {same_version})");
        condition
    }

    /// What stands there is the owner's.
    fn mine(owner: &str) -> Self {
        Self {
            expression: "#owner = :me".to_owned(),
            names: HashMap::from([("#owner".to_owned(), "owner".to_owned())]),
            values: HashMap::from([(":me".to_owned(), AttributeValue::S(owner.to_owned()))]),
        }
    }
}
