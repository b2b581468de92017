//! Tokens of the router's own that tell destinations who calls: short-lived, signed, and made for one audience.
//!
//! Owns the key, the set that destinations verify with, and what each core made a moment ago. Which caller gets one, and in
//! which header, is for others to say.

mod key;
mod keys;
mod mint;

pub(crate) use keys::{KeyKeeper, Keys};
pub(crate) use mint::Minted;
