//! The last requests of a core, as the lines that the access log has of them: what `why` looks in.
//!
//! Bounded in bytes, with room of their own for those that were refused, failed or slow, which ordinary ones never push
//! out. Must never hold what the access log would not.

use std::time::Duration;

use super::Record;
use crate::inquiry::Question;

/// For lines of ordinary requests: some hundred.
const ORDINARY: usize = 64 * 1024;
/// For lines of those that somebody may ask about.
const NOTABLE: usize = 256 * 1024;
/// From here on a request is slow.
const SLOW: Duration = Duration::from_secs(1);

/// What a core remembers.
#[derive(Default)]
pub(crate) struct Recent {
    ordinary: Ring,
    notable: Ring,
}

impl Recent {
    /// Keeps a line, which ends with a newline.
    pub(crate) fn keep(&mut self, line: &[u8], is_notable: bool) {
        match is_notable {
            true => self.notable.push(line, NOTABLE),
            false => self.ordinary.push(line, ORDINARY),
        }
    }

    /// What is known of it.
    pub(crate) fn answer(&self, question: &Question) -> Vec<String> {
        match question {
            Question::Request(id) => self.of(id),
            Question::Notable(most) => self.notable(*most),
        }
    }

    /// The lines of a request; more than one when a trusted proxy calls several requests alike.
    fn of(&self, id: &str) -> Vec<String> {
        let member = format!("\"request_id\":\"{id}\"");
        let lines = self.notable.lines().chain(self.ordinary.lines());
        lines.filter(|line| line.contains(&member)).map(str::to_owned).collect()
    }

    /// The last of those that were refused, failed or slow, the newest last.
    fn notable(&self, most: usize) -> Vec<String> {
        let lines: Vec<&str> = self.notable.lines().collect();
        lines[lines.len().saturating_sub(most)..].iter().map(ToString::to_string).collect()
    }
}

/// Whether somebody may ask about it.
pub(super) fn is_notable(record: &Record, took: Duration) -> bool {
    record.reason.is_some() || record.status >= 400 || took >= SLOW
}

/// Lines one after the other in memory of a fixed size, the newest over the oldest.
#[derive(Default)]
struct Ring {
    bytes: Vec<u8>,
    /// Where the next line goes; the oldest one that is still there begins behind it.
    at: usize,
}

impl Ring {
    fn push(&mut self, line: &[u8], most: usize) {
        if line.len() > most {
            return;
        }
        if self.at + line.len() > most {
            self.bytes.truncate(self.at);
            self.at = 0;
        }
        let end = self.at + line.len();
        if self.bytes.len() < end {
            self.bytes.resize(end, 0);
        }
        self.bytes[self.at..end].copy_from_slice(line);
        self.at = end;
    }

    /// Whole lines, the oldest first.
    fn lines(&self) -> impl Iterator<Item = &str> {
        let (newer, older) = self.bytes.split_at(self.at);
        // The oldest one may have lost its beginning.
        let broken = older.iter().position(|byte| *byte == b'\n').map_or(older.len(), |end| end + 1);
        let whole = [&older[broken..], newer];
        whole
            .into_iter()
            .flat_map(|part| part.split(|byte| *byte == b'\n'))
            .filter_map(|line| std::str::from_utf8(line).ok())
            .filter(|line| line.starts_with('{'))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ring_holds_the_newest_lines_whole() {
        let mut ring = Ring::default();
        for number in 0..1_000 {
            let line = format!("{{\"n\":{number},\"x\":\"{}\"}}\n", "y".repeat(number % 37));
            ring.push(line.as_bytes(), 1_000);
            let lines: Vec<&str> = ring.lines().collect();
            assert!(lines.iter().all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok()), "{lines:?}");
            assert!(lines.last().is_some_and(|last| last.starts_with(&format!("{{\"n\":{number},"))));
            let numbers: Vec<u64> = lines
                .iter()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["n"].as_u64().unwrap())
                .collect();
            assert!(numbers.windows(2).all(|pair| pair[0] + 1 == pair[1]), "{numbers:?}");
            assert!(number < 40 || numbers.len() >= 20, "{}", numbers.len());
        }
        ring.push(&[b'{'; 2_000], 1_000);
        assert!(ring.bytes.len() <= 1_000);
    }

    #[test]
    fn ordinary_requests_never_push_out_the_others() {
        let mut recent = Recent::default();
        recent.keep(b"{\"request_id\":\"a\"}\n", true);
        for _ in 0..100_000 {
            recent.keep(b"{\"request_id\":\"b\"}\n", false);
        }
        assert_eq!(recent.of("a"), ["{\"request_id\":\"a\"}"]);
        assert_eq!(recent.notable(9).len(), 1);
        assert_eq!(recent.of("\"a"), Vec::<String>::new());
    }
}
