//! What `docs/reasons.md` promises of every answer that the router makes by itself.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use crate::oracle::Message;

/// Status by reason, as the page has them.
static DOCUMENTED: LazyLock<BTreeMap<String, u16>> = LazyLock::new(|| {
    let page = std::fs::read_to_string(crate::checkout().join("docs/reasons.md")).unwrap();
    let sections = page.split("\n### `").skip(1).map(|section| {
        let (code, rest) = section.split_once("`\n").unwrap();
        (code.to_owned(), rest.trim_start().split(' ').next().unwrap().parse().unwrap())
    });
    let documented: BTreeMap<String, u16> = sections.collect();
    assert!(documented.len() > 30, "only {} reasons: this shows nothing", documented.len());
    documented
});

/// What is missing of the reason of an answer that the router made: the header with a documented code, its status, and a
/// problem that says the same reason and the id of the request. An answer to `HEAD` has no body to look at.
///
/// # Errors
/// The first of it.
pub fn is_documented(answer: &Message, by_head: bool) -> Result<(), String> {
    let reasons = answer.all("x-postern-reason");
    let [reason] = reasons.as_slice() else { return Err(format!("{} with the reasons {reasons:?}", answer.status)) };
    match DOCUMENTED.get(*reason) {
        None => return Err(format!("{reason} is in no documentation")),
        Some(status) if *status != answer.status => {
            return Err(format!("{reason} is documented with {status} and came with {}", answer.status));
        }
        Some(_) => {}
    }
    let id = answer.field("x-request-id").unwrap_or_default();
    if id.is_empty() || answer.field("content-type") != Some("application/problem+json") {
        return Err(format!("{reason} with {:?}", answer.fields));
    }
    if by_head {
        return Ok(());
    }
    let problem: serde_json::Value =
        serde_json::from_slice(&answer.body).map_err(|error| format!("{reason}: the body is no problem: {error}"))?;
    let said = (problem["reason"].as_str(), problem["request_id"].as_str(), problem["status"].as_u64());
    match said == (Some(reason), Some(id), Some(answer.status.into())) {
        true => Ok(()),
        false => Err(format!("{reason} of request {id}: the problem says {said:?}")),
    }
}
