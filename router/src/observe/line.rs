//! JSON on one line, written from left to right into a buffer that is there: what the logs of every request are made
//! with.
//!
//! Must never know which line it is.

use std::cell::RefCell;
use std::net::IpAddr;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use time::OffsetDateTime;
use time::macros::format_description;

use crate::digits;

/// One JSON object on one line, written from left to right.
pub(crate) struct Line<'b> {
    out: &'b mut Vec<u8>,
}

impl<'b> Line<'b> {
    /// An object that begins with its time.
    pub(super) fn begin(out: &'b mut Vec<u8>, at: SystemTime) -> Self {
        out.push(b'{');
        Self::members(out, at)
    }

    /// The members of an object without its braces, the time first.
    pub(crate) fn members(out: &'b mut Vec<u8>, at: SystemTime) -> Self {
        out.extend_from_slice(b"\"time\":\"");
        timestamp(out, at);
        out.push(b'"');
        Self { out }
    }

    /// What needs no quoting in JSON as it is. `key` is written to the letter: comma, name and colon.
    pub(crate) fn raw(&mut self, key: &str, value: &str) {
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(value.as_bytes());
    }

    /// A text of which it is known that nothing in it must be escaped; its first quote is in `key`.
    pub(super) fn plain(&mut self, key: &str, value: &str) {
        self.raw(key, value);
        self.out.push(b'"');
    }

    /// Any text.
    pub(super) fn text(&mut self, key: &str, value: &str) {
        self.out.extend_from_slice(key.as_bytes());
        if value.bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'"' && byte != b'\\') {
            self.out.push(b'"');
            return self.plain("", value);
        }
        // Writing into memory does not fail.
        let _ = serde_json::to_writer(&mut *self.out, value);
    }

    /// A whole number.
    pub(super) fn number(&mut self, key: &str, value: u64) {
        self.out.extend_from_slice(key.as_bytes());
        digits::decimal(self.out, value);
    }

    /// An address; the first quote is in `key`.
    pub(super) fn address(&mut self, key: &str, value: IpAddr) {
        self.out.extend_from_slice(key.as_bytes());
        digits::address(self.out, value);
        self.out.push(b'"');
    }

    /// Milliseconds with three digits behind the point, when there are any.
    pub(super) fn millis(&mut self, key: &str, value: Option<Duration>) {
        let Some(value) = value else { return };
        let micros = u64::try_from((value.as_nanos() + 500) / 1_000).unwrap_or(u64::MAX);
        self.number(key, micros / 1_000);
        self.out.push(b'.');
        three_digits(self.out, micros % 1_000);
    }

    /// Ends the object and its line.
    pub(super) fn end(self) {
        self.out.extend_from_slice(b"}\n");
    }
}

fn three_digits(out: &mut Vec<u8>, number: u64) {
    let digit = |number: u64| b"0123456789"[usize::try_from(number % 10).unwrap_or(0)];
    out.extend_from_slice(&[digit(number / 100), digit(number / 10), digit(number)]);
}

thread_local! {
    /// Everything up to the milliseconds is written once a second.
    static SECOND: RefCell<(u64, String)> = const { RefCell::new((0, String::new())) };
}

fn timestamp(out: &mut Vec<u8>, at: SystemTime) {
    let since = at.duration_since(UNIX_EPOCH).unwrap_or_default();
    SECOND.with_borrow_mut(|(second, text)| {
        if *second != since.as_secs() || text.is_empty() {
            let format = format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].");
            *text = OffsetDateTime::from(at).format(format).unwrap_or_default();
            *second = since.as_secs();
        }
        out.extend_from_slice(text.as_bytes());
    });
    three_digits(out, since.subsec_millis().into());
    out.push(b'Z');
}
