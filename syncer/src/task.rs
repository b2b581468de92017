//! The name of this task, under which it posts its heartbeat: as it was set, else as ECS calls it, else the machine's name
//! and a number drawn at start.

use serde_json::Value;

use crate::output::Failure;
use crate::{ask, limits};

/// The name that was set, or one that no other task has.
///
/// # Errors
/// When the name that was set is none.
pub(crate) async fn name(set: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = set {
        return match is_name(name) {
            true => Ok(name.to_owned()),
            false => Err(Failure::usage(format!(
                "task is {name:?}; write 1 to {} letters, digits, dots, dashes and underscores",
                limits::TASK_CHARS
            ))),
        };
    }
    if let Some(name) = ecs_task().await {
        return Ok(name);
    }
    let machine = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let machine: String = machine.trim().chars().filter(|c| fits(*c)).take(limits::TASK_CHARS - 10).collect();
    let machine = if machine.is_empty() { "task".to_owned() } else { machine };
    Ok(format!("{machine}-{:08x}", fastrand::u32(..)))
}

fn is_name(name: &str) -> bool {
    (1..=limits::TASK_CHARS).contains(&name.len()) && name.chars().all(fits) && !name.starts_with('.')
}

fn fits(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')
}

/// The task's id, as the agent on the machine tells it ("Amazon ECS task metadata endpoint version 4"). It stays the same
/// when the container is started again, so a restart is no new task.
async fn ecs_task() -> Option<String> {
    let uri = std::env::var("ECS_CONTAINER_METADATA_URI_V4").ok()?;
    let (address, path) = uri.strip_prefix("http://")?.split_once('/')?;
    let address = if address.contains(':') { address.to_owned() } else { format!("{address}:80") };
    let answer = ask::get(&address, &format!("/{path}/task"), limits::ROUTER_TIME).await.ok()?;
    let told: Value = serde_json::from_slice(&answer.body).ok()?;
    id_in(told.get("TaskARN")?.as_str()?)
}

/// `arn:aws:ecs:REGION:ACCOUNT:task/CLUSTER/ID` to `ID`.
fn id_in(arn: &str) -> Option<String> {
    let id = arn.rsplit('/').next()?;
    is_name(id).then(|| id.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_name_is_one_that_a_file_may_have() {
        assert_eq!(name(Some("blue-1.a_b")).await.unwrap(), "blue-1.a_b");
        for bad in ["", "a/b", ".", "..", "ä", "a b", &"x".repeat(limits::TASK_CHARS + 1)] {
            assert!(name(Some(bad)).await.is_err(), "{bad:?}");
        }
        assert!(name(Some(&"x".repeat(limits::TASK_CHARS))).await.is_ok());
        assert_ne!(name(None).await.unwrap(), name(None).await.unwrap());
    }

    #[test]
    fn a_task_of_ecs_is_called_by_its_id() {
        let arn = "arn:aws:ecs:eu-west-1:111122223333:task/postern/158d1c8083dd49d6b527399fd6414f5c";
        assert_eq!(id_in(arn).as_deref(), Some("158d1c8083dd49d6b527399fd6414f5c"));
        assert_eq!(id_in("arn:aws:ecs:x:y:task/"), None);
    }
}
