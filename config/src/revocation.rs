//! Tokens that are taken back before their time: what is kept of each, the same in both processes.
//!
//! An entry is 128 bits of a digest, so a million take 16 MB and a lookup is exact: that two values share one does not
//! happen, not even on purpose in less than 2^64 tries, and then it would only take back more. Must never know tokens.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use sha2::{Digest as _, Sha256};

/// What a token is known by.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Its id (RFC 7519 §4.1.7).
    Jti,
    /// Its subject: all tokens of a caller.
    Sub,
    /// The key that signed it: all tokens of a key.
    Kid,
}

/// What is kept of one.
pub type Entry = [u8; 16];

/// Bytes of an entry.
pub const ENTRY_BYTES: usize = size_of::<Entry>();

/// As many as make 1 024 characters: a line that editors and `diff` can bear.
pub const ENTRIES_A_TEXT: usize = 48;

impl Kind {
    /// The word in documents.
    pub fn word(self) -> &'static str {
        match self {
            Self::Jti => "jti",
            Self::Sub => "sub",
            Self::Kid => "kid",
        }
    }

    /// The first half of SHA-256 over `KIND:VALUE`.
    pub fn entry(self, value: &str) -> Entry {
        let mut hash = Sha256::new();
        hash.update(self.word().as_bytes());
        hash.update(b":");
        hash.update(value.as_bytes());
        let digest: [u8; 32] = hash.finalize().into();
        let mut entry = [0; ENTRY_BYTES];
        entry.copy_from_slice(&digest[..ENTRY_BYTES]);
        entry
    }
}

/// Entries one behind the other, as a document has them.
pub fn to_text(entries: &[Entry]) -> String {
    URL_SAFE_NO_PAD.encode(entries.as_flattened())
}

/// Reads such a text, and adds its entries to `into`.
///
/// # Errors
/// What is wrong with it.
pub fn read_text(text: &str, into: &mut Vec<Entry>) -> Result<(), &'static str> {
    let bytes = URL_SAFE_NO_PAD.decode(text.trim_end_matches('=')).map_err(|_| "is not base64url")?;
    let (entries, rest) = bytes.as_chunks::<ENTRY_BYTES>();
    if entries.is_empty() || !rest.is_empty() {
        return Err("does not hold entries of 16 bytes");
    }
    into.extend_from_slice(entries);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_entry_is_that_of_other_tools_and_reads_back() {
        // printf 'jti:a' | sha256sum | head -c 32
        let entry = Kind::Jti.entry("a");
        assert_eq!(entry.map(|byte| format!("{byte:02x}")).concat(), SHA256SUM);
        assert_ne!(entry, Kind::Sub.entry("a"));
        let entries: Vec<Entry> = (0..9).map(|index| Kind::Kid.entry(&index.to_string())).collect();
        let mut read = vec![entry];
        read_text(&to_text(&entries), &mut read).unwrap();
        assert_eq!((read[0], &read[1..]), (entry, &entries[..]));
        for bad in ["", "AAAA", "not base64url!", &to_text(&entries)[1..]] {
            assert!(read_text(bad, &mut read).is_err(), "{bad}");
        }
    }

    const SHA256SUM: &str = "bf7b66c4f6a6722026af24cb5f226128";
}
