//! The digest over every byte before its line, and the optional authentication code beside it.

use std::fmt;
use std::str::FromStr;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq;

/// A SHA-256 digest, written `sha256:` and 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("sha256:")?;
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Digest {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        text.strip_prefix("sha256:").and_then(from_hex).map(Self).ok_or(())
    }
}

/// A key that both processes know, so that no other writer on the volume can make a file that passes.
/// Never shown.
#[derive(Clone)]
pub struct FileKey(Vec<u8>);

impl FileKey {
    /// A key of at least 16 bytes; shorter ones can be guessed.
    pub fn new(bytes: impl Into<Vec<u8>>) -> Option<Self> {
        let bytes = bytes.into();
        (bytes.len() >= 16).then_some(Self(bytes))
    }

    /// The code over `bytes`, written `hmac-sha256:` and 64 hexadecimal digits.
    pub(super) fn code(&self, bytes: &[u8]) -> String {
        let mut text = String::from("hmac-sha256:");
        for byte in self.mac(bytes) {
            use fmt::Write;
            let _ = write!(text, "{byte:02x}");
        }
        text
    }

    /// Whether `code` is the one over `bytes`; takes the same time for every wrong one.
    pub(super) fn verifies(&self, bytes: &[u8], code: &str) -> bool {
        code.strip_prefix("hmac-sha256:").and_then(from_hex).is_some_and(|given| self.mac(bytes).ct_eq(&given).into())
    }

    /// Whether `code` could be one.
    pub(super) fn has_form(code: &str) -> bool {
        code.strip_prefix("hmac-sha256:").and_then(from_hex).is_some()
    }

    fn mac(&self, bytes: &[u8]) -> [u8; 32] {
        #[allow(clippy::expect_used, reason = "HMAC takes keys of every length")]
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("a key of any length");
        mac.update(bytes);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for FileKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("FileKey(…)")
    }
}

/// Lower-case digits only: one value, one spelling.
fn from_hex(text: &str) -> Option<[u8; 32]> {
    let digits = text.as_bytes();
    if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
        return None;
    }
    let mut bytes = [0; 32];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
        *byte = value(pair[0])? << 4 | value(pair[1])?;
    }
    Some(bytes)
}
