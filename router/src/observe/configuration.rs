//! What the metrics say of the configuration: what is served, since when, and what did not go live.

use super::exposition::Exposition;
use super::registry;
use crate::snapshot::Snapshot;
use crate::snapshot::store::Store;

/// The exposition; `age_seconds` is how long ago the stores were seen to agree, `too_old` whether that is too long.
pub(super) fn configuration(out: &mut Exposition, store: &Store, age_seconds: f64, too_old: bool) {
    let live = store.live();
    let status = store.status().clone();
    out.single(&registry::GENERATION, live.as_ref().map_or(0, |live| live.header.generation));
    out.single(&registry::CONFIG_AGE, age_seconds);
    out.single(&registry::TOO_OLD, too_old);
    let mut samples = out.family(&registry::READ_TO_SERVING);
    // What lay there at the start says how old it was, not how long its way is.
    if let Some(seconds) = live.as_deref().filter(|_| status.loads > 1).and_then(since_read) {
        samples.value([], seconds);
    }
    out.single(&registry::LOADS, status.loads);
    let mut samples = out.family(&registry::LOAD_FAILURES);
    for (reason, count) in &status.failures {
        samples.value([reason], *count);
    }
    out.single(&registry::CONFIG_REJECTED, status.rejected.is_some());
    out.single(&registry::CONFIG_READ, status.read_seconds);
    out.single(&registry::CONFIG_COMPILE, status.compile_seconds);
    let pinned = live.as_ref().and_then(|live| live.header.sources.pinned.as_ref());
    out.single(&registry::PINNED, pinned.map_or(0, |pinned| pinned.generation));
    routes(out, live.as_deref());
}

/// From when the syncer last read one of the stores to when the generation was served.
fn since_read(live: &Snapshot) -> Option<i64> {
    let sources = &live.header.sources;
    let read = [sources.boundary.read_at, sources.registrations.read_at].into_iter().flatten().max()?;
    Some((live.loaded_at - read.unix()).max(0))
}

/// By state. There are none before there is a configuration.
fn routes(out: &mut Exposition, live: Option<&Snapshot>) {
    let count = |of: &dyn Fn(&Snapshot) -> u64| live.map(of).into_iter();
    let mut samples = out.family(&registry::ROUTES);
    count(&|live| live.table.routes().len() as u64).for_each(|routes| samples.value([], routes));
    let mut samples = out.family(&registry::ROUTES_STALE);
    count(&|live| live.counts.stale).for_each(|routes| samples.value([], routes));
    let mut samples = out.family(&registry::ROUTES_HELD);
    count(&|live| live.held).for_each(|routes| samples.value([], routes));
    let mut samples = out.family(&registry::ROUTES_QUARANTINED);
    count(&|live| live.quarantined.len() as u64).for_each(|routes| samples.value([], routes));
    let mut samples = out.family(&registry::ROUTES_REFUSED);
    count(&|live| live.counts.refused).for_each(|routes| samples.value([], routes));
    let mut samples = out.family(&registry::ROUTES_REFUSED_BY_REASON);
    for (reason, routes) in live.iter().flat_map(|live| &live.refused) {
        samples.value([reason], *routes);
    }
}
