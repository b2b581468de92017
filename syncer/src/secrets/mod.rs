//! Secrets that the boundary refers to: which there are and what they are called ([`known`]), and the tasks that look at
//! them over and over ([`watch`]).
//!
//! Must never show a secret, or know who uses it.

pub mod known;
pub mod watch;
