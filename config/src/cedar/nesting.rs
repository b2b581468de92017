//! How deep a text nests, told before anything that descends into it reads it.
//!
//! The parser of Cedar and its checks descend without looking how much of the stack is left: 256 brackets in each
//! other end the process, whoever wrote them.

use super::fault::Fault;

/// Deepest nesting of brackets.
const BRACKETS: usize = 32;

/// Most words and signs between two semicolons: `a.b`, `a + b` and `if a then b else c` are each a level deeper than what
/// is in them, and some two thousand such levels end the process as well.
const TOKENS: usize = 1_024;

/// Whether a text is flat enough to be read. Knows strings and comments, and nothing else of the language.
///
/// # Errors
/// Where it is not.
pub(super) fn check(text: &str) -> Result<(), Fault> {
    let bytes = text.as_bytes();
    let (mut at, mut depth, mut tokens, mut in_word) = (0, 0_usize, 0_usize, false);
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => at = end_of_string(bytes, at),
            b'/' if bytes.get(at + 1) == Some(&b'/') => {
                at += bytes[at..].iter().position(|byte| *byte == b'\n' || *byte == b'\r').unwrap_or(bytes.len() - at);
            }
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' => tokens = 0,
            // Neither strings nor what stands between the items of a list takes a level.
            byte if byte.is_ascii_whitespace() || *byte == b',' => {}
            byte => tokens += usize::from(!(in_word && is_word(*byte))),
        }
        in_word = is_word(*byte);
        if depth > BRACKETS {
            return Err(Fault::at(
                at,
                format!("nests more than {BRACKETS} brackets"),
                "split it into several policies",
            ));
        }
        if tokens > TOKENS {
            let message = format!("has more than {TOKENS} words and signs in one policy");
            return Err(Fault::at(at, message, "split it into several policies"));
        }
        at += 1;
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The place of the quote that ends the string that begins at `from`, or of the last byte.
fn end_of_string(bytes: &[u8], from: usize) -> usize {
    let mut at = from + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}
