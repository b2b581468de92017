//! The patterns of all candidates in one run of bytes: comparing one touches one place in memory.

/// One segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PatternSegment {
    Literal(Box<str>),
    Variable,
}

/// Where a pattern stands.
#[derive(Clone, Copy)]
pub(super) struct Pattern {
    start: u32,
    segments: u8,
}

/// Each segment is its length and its text; a variable has a length that no text has.
#[derive(Default)]
pub(super) struct Patterns(Vec<u8>);

const VARIABLE: u16 = u16::MAX;

impl Patterns {
    /// Adds a pattern.
    pub(super) fn add(&mut self, pattern: &[PatternSegment]) -> Pattern {
        let start = u32::try_from(self.0.len()).unwrap_or(u32::MAX);
        for segment in pattern {
            let text = match segment {
                PatternSegment::Literal(text) => &**text,
                PatternSegment::Variable => "",
            };
            // Segments are parts of paths of at most 8192 bytes.
            let length = match segment {
                PatternSegment::Literal(_) => u16::try_from(text.len()).unwrap_or(0),
                PatternSegment::Variable => VARIABLE,
            };
            self.0.extend_from_slice(&length.to_le_bytes());
            self.0.extend_from_slice(text.as_bytes());
        }
        Pattern { start, segments: u8::try_from(pattern.len()).unwrap_or(u8::MAX) }
    }

    /// Whether the segments of a path begin with that pattern.
    pub(super) fn fits(&self, pattern: Pattern, segments: &[&str]) -> bool {
        let count = usize::from(pattern.segments);
        if segments.len() < count {
            return false;
        }
        let mut rest = &self.0[pattern.start as usize..];
        segments[..count].iter().all(|segment| {
            let [low, high, behind @ ..] = rest else { return false };
            rest = behind;
            match u16::from_le_bytes([*low, *high]) {
                VARIABLE => !segment.is_empty(),
                length => match rest.split_at_checked(usize::from(length)) {
                    Some((text, behind)) => {
                        rest = behind;
                        text == segment.as_bytes()
                    }
                    None => false,
                },
            }
        })
    }
}
