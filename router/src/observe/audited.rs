//! What the audit log says of a request: whether it was allowed, who asked, and what decided.
//!
//! Must never write a credential, a query or a body.

use std::time::SystemTime;

use super::access_log::decision;
use super::{Exchange, Line};
use crate::audit::Audit;
use crate::reject::Reason;

/// Notes the decision on a request: every denial, and of those that were allowed the share that is asked for.
pub(super) fn note(audit: &Audit, exchange: &Exchange) {
    let record = &exchange.record;
    let denied = record.reason.is_some_and(Reason::is_denial);
    let random = || exchange.random();
    let of_route = record.route.as_ref().and_then(|route| route.telemetry.audit);
    let wanted = || {
        record.destination.is_some()
            && of_route.map_or_else(|| audit.takes_allowed(random()), |chance| chance.hits(random))
    };
    if !denied && !wanted() {
        return;
    }
    let mut members = Vec::with_capacity(512);
    let mut line = Line::members(&mut members, SystemTime::now());
    line.raw(",\"kind\":", "\"decision\"");
    line.raw(",\"decision\":", if denied { "\"denied\"" } else { "\"allowed\"" });
    line.plain(",\"request_id\":\"", exchange.id.as_str());
    if let Some(head) = exchange.head.as_deref() {
        line.plain(",\"method\":\"", head.method().as_str());
        // Without the query: queries carry secrets.
        line.text(",\"path\":", head.path());
    }
    if let Some(host) = &record.host {
        line.plain(",\"host\":\"", host.as_str());
    }
    decision(&mut line, record);
    audit.offer(members);
}
