//! The `Date` of answers: written once a second.

use std::cell::Cell;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// As `Date` writes it: 29 bytes (RFC 9110 §5.6.7).
#[derive(Clone, Copy)]
pub(super) struct Date([u8; 29]);

impl Date {
    pub(super) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

thread_local! {
    static WRITTEN: Cell<(u64, Date)> = const { Cell::new((0, Date([b' '; 29]))) };
}

/// The date now.
pub(super) fn now() -> Date {
    let seconds = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (written, date) = WRITTEN.get();
    if written == seconds {
        return date;
    }
    let text = httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(seconds));
    let date = text.as_bytes().try_into().map_or(date, Date);
    WRITTEN.set((seconds, date));
    date
}
