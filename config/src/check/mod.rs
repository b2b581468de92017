//! The checks that both processes make: the syncer before it writes, the router after it reads.
//!
//! Pure. Must never know files, clocks, AWS or HTTP.

mod admit;
mod boundary;
mod identity;
mod layers;

pub use admit::{Refusal, admit, recheck};
pub use boundary::Boundary;
pub use identity::algorithms_of;
