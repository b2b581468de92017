//! The key of what a core remembers of credentials by their digests: in no other core and no other process, so nothing lies
//! in memory that could be sent again, or be compared with what lies elsewhere.

use hmac::{Hmac, KeyInit as _};
use sha2::Sha256;
use zeroize::Zeroizing;

/// A new key; `None` without randomness: then nothing is remembered.
pub(super) fn key() -> Option<Hmac<Sha256>> {
    let mut key = Zeroizing::new([0; 32]);
    rustls::crypto::aws_lc_rs::default_provider().secure_random.fill(&mut *key).ok()?;
    Hmac::new_from_slice(&*key).ok()
}
