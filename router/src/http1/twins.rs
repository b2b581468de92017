//! Names of fields with twins: `_` and `.` are the same as `-` to whoever hands fields to programs as variables
//! (RFC 3875 §4.1.18), so one field could stand in place of another.
//!
//! Must never know which fields matter, or what becomes of one.

use smallvec::SmallVec;

/// A name in its plain spelling. One that is longer than any that matters may take memory of its own.
pub(crate) type Plain = SmallVec<[u8; 64]>;

/// Whether other software may read a name as another one.
pub(crate) fn is_odd(name: &[u8]) -> bool {
    memchr::memchr2(b'_', b'.', name).is_some()
}

/// The name as it is read where all spellings are one: in lower case, with dashes.
pub(crate) fn plain(name: &[u8]) -> Plain {
    name.iter().map(|byte| folded(*byte)).collect()
}

/// Whether a name is read as one in its plain spelling.
pub(super) fn reads_as(name: &[u8], plain: &str) -> bool {
    name.len() == plain.len() && name.iter().zip(plain.bytes()).all(|(byte, other)| folded(*byte) == other)
}

fn folded(byte: u8) -> u8 {
    if matches!(byte, b'_' | b'.') { b'-' } else { byte.to_ascii_lowercase() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn twins_are_one_name_and_others_are_not() {
        for name in ["x-user-id", "X_User.ID", "x.user-id"] {
            assert!(reads_as(name.as_bytes(), "x-user-id"), "{name}");
            assert_eq!(plain(name.as_bytes()).as_slice(), b"x-user-id");
            assert_eq!(is_odd(name.as_bytes()), name != "x-user-id", "{name}");
        }
        for name in ["x-user-i", "x-user-idd", "x+user-id", "xuser--id"] {
            assert!(!reads_as(name.as_bytes(), "x-user-id"), "{name}");
        }
    }
}
