//! What the audit log says of a request: whether it was allowed, who asked, and what decided.
//!
//! Must never write a credential, a query or a body.

use std::time::SystemTime;

use super::access_log::policies;
use super::{Exchange, Line};
use crate::audit::Audit;
use crate::reject::Reason;

/// Notes the decision on a request: every denial, and of those that were allowed the share that is asked for.
pub(super) fn note(audit: &Audit, exchange: &Exchange) {
    let record = &exchange.record;
    let denied = record.reason.is_some_and(Reason::is_denial);
    #[allow(clippy::cast_possible_truncation, reason = "any 32 of the bits are as random as the others")]
    let wanted = || record.destination.is_some() && audit.takes_allowed(exchange.core.random() as u32);
    if !denied && !wanted() {
        return;
    }
    let mut members = Vec::with_capacity(512);
    let mut line = Line::members(&mut members, SystemTime::now());
    line.raw(",\"kind\":", "\"decision\"");
    line.raw(",\"decision\":", if denied { "\"denied\"" } else { "\"allowed\"" });
    if let Some(reason) = record.reason {
        line.plain(",\"reason\":\"", reason.code());
    }
    if !record.detail.is_empty() {
        line.text(",\"detail\":", &record.detail);
    }
    line.plain(",\"request_id\":\"", exchange.id.as_str());
    if let Some(head) = exchange.head.as_deref() {
        line.plain(",\"method\":\"", head.method().as_str());
        // Without the query: queries carry secrets.
        line.text(",\"path\":", head.path());
    }
    if let Some(host) = &record.host {
        line.plain(",\"host\":\"", host.as_str());
    }
    if let Some(route) = &record.route {
        line.text(",\"route\":", &route.id);
        line.text(",\"owner\":", &route.owner);
    }
    line.number(",\"generation\":", record.generation);
    if let Some(client) = record.client {
        line.address(",\"client\":\"", client);
    }
    if let Some(principal) = &record.principal {
        line.text(",\"principal\":", principal.name());
        line.text(",\"authenticated_by\":", principal.via());
    }
    policies(&mut line, &record.verdicts);
    audit.offer(members);
}
