//! The stages: each decides one thing, synchronously, from its arguments alone.
//!
//! Must never do I/O, spawn, sleep, or read a clock or the environment; no stage imports another.

pub(crate) mod authenticate;
pub(crate) mod authorize;
pub(crate) mod choose;
pub(crate) mod find;
pub(crate) mod identify;
pub(crate) mod limit;
pub(crate) mod transform;
pub(crate) mod upgrade;
