//! What both processes agree on: the documents people write, the checks they must pass, and the
//! merged file that is all that travels between the syncer and the router.
//!
//! Owns: the wire form of [`document::BoundaryDocument`] and [`document::Registration`], the leaf values
//! that cannot hold anything bad ([`value`]), what a consumer's key looks like ([`api_key`]) and what is kept of tokens that
//! were taken back ([`revocation`]), the checks ([`check`]), the merged file ([`merged`])
//! and the bounded, atomic way of reading and replacing it ([`mod@file`]).
//!
//! Must never know: sockets, runtimes, AWS, HTTP statuses. Everything here is a function of its
//! arguments except [`mod@file`], which is the only module that touches the disk.
//!
//! Layers, each may use those before it:
//! `limits`, `problem` ← `value` ← `document` ← `parse`, `schema` ← `cedar` ← `check` ← `merged` ← `changes`.

pub mod api_key;
pub mod cedar;
pub mod changes;
pub mod check;
pub mod condition;
pub mod document;
pub mod file;
pub mod limits;
pub mod merged;
pub mod parse;
pub mod problem;
pub mod revocation;
pub mod route;
pub mod schema;
pub mod secrets;
pub mod value;

pub use check::Boundary;
pub use problem::{Problem, ProblemKind, Problems};
