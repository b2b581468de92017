//! What the fuzz targets run: the router's own source of the codec and of host and path, and properties of it.
//!
//! The source is taken in by path, so that nothing becomes public for a test's sake; the same properties are
//! replayed by the router's unit tests over the kept corpus. Knows no libFuzzer: that is the programs' matter.

#![allow(dead_code, unused_imports, reason = "a part of the router is here, and of it a part is asked")]

#[path = "../../../router/src/buffer.rs"]
mod buffer;
mod client_certificate {
    /// No target looks at what a connection proved.
    #[derive(Debug)]
    pub(crate) struct ClientCertificate;
}
#[path = "../../../router/src/digits.rs"]
mod digits;
#[path = "../../../router/src/http1/mod.rs"]
mod http1;
mod properties;
#[path = "../../../router/src/reject.rs"]
mod reject;

#[path = "../../../router/src/snapshot"]
mod snapshot {
    mod hosts;

    pub(crate) use hosts::HostSet;
}

#[path = "../../../router/src/stage"]
mod stage {
    pub(crate) mod identify;
}

pub use properties::differential::{Tally, run as differential};

/// Checks every property of a target on one input. Panics with what does not hold.
///
/// # Panics
/// When a property does not hold, or there is no such target.
pub fn check(target: &str, data: &[u8]) {
    let (_, check) = properties::TARGETS.iter().find(|(name, _)| *name == target).expect("a target");
    check(data);
}
