//! How old the configuration is: not since it was written (it is written only when something changed) but since
//! the syncer last saw both stores agree with it, which it says by touching a file beside the merged one.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::snapshot::Snapshot;

/// The age of what is served; zero while nothing is.
pub(crate) fn age(config: &Path, live: Option<&Snapshot>) -> Duration {
    let Some(live) = live else { return Duration::ZERO };
    let written = u64::try_from(live.header.written_at.unix()).unwrap_or(0);
    let written = UNIX_EPOCH + Duration::from_secs(written);
    let touched = config
        .with_file_name(postern_config::merged::HEARTBEAT)
        .metadata()
        .and_then(|facts| facts.modified())
        .unwrap_or(written);
    SystemTime::now().duration_since(touched.max(written)).unwrap_or_default()
}

/// Seconds after 1970.
pub(crate) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}
