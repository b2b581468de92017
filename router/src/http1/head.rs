//! Where a head ends, found as its bytes come.

use super::Flaw;

/// Remembers how far it has looked, so that a head which comes byte by byte is looked at once.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct HeadEnd {
    seen: usize,
    /// Where the line under way began.
    line: usize,
}

impl HeadEnd {
    /// The length of the head with its empty line, once it is there. `bytes` begins where it began before.
    ///
    /// # Errors
    /// When a line ends without CR: other software takes that for a line's end, or not (RFC 9112 §2.2).
    pub(crate) fn find(&mut self, bytes: &[u8]) -> Result<Option<usize>, Flaw> {
        for at in memchr::memchr_iter(b'\n', &bytes[self.seen..]) {
            let at = self.seen + at;
            if at == 0 || bytes[at - 1] != b'\r' {
                return Err(Flaw::BareLf);
            }
            if at - 1 == self.line {
                return Ok(Some(at + 1));
            }
            self.line = at + 1;
        }
        self.seen = bytes.len();
        Ok(None)
    }

    /// Whether the first line has come whole.
    pub(crate) fn has_first_line(&self) -> bool {
        self.line > 0
    }
}
