//! The checks that both processes make: the syncer before it writes, the router after it reads.
//!
//! Pure. Must never know files, clocks, AWS or HTTP.

mod admit;
mod api_keys;
mod boundary;
mod breaker;
mod destination;
mod external;
mod hashes;
mod hosts;
mod iam;
mod identity;
mod identity_token;
mod keys;
mod layers;
mod limit;
mod lists;
mod matching;
mod mtls;
mod revoked;
mod rights;
mod rules;
mod targets;
mod tokens;

pub use admit::{Refusal, admit, recheck};
pub use boundary::Boundary;
pub use external::reached_by;
pub use identity::can_be_fetched;
pub use keys::{algorithms_of, key_problems};
pub(crate) use layers::satisfies;
pub use rights::{Demand, Layer};
