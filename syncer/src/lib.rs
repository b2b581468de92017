//! The syncer: merges the boundary and the registrations into one file, and tells what became of each.
//!
//! ```text
//! source::boundary ─┐
//!                   ├─► translate ─► guard ─► publish ─► merged.json
//! source::registrations ┘        (pure)    (pure)     ▲
//! issuers (public keys) ─────────────────────────────┤
//! secrets (by reference) ────────────────────────────┘
//! ```
//! `reconcile` drives it over and over, `plan` shows what it would do, `admin` shows what it did. It is
//! level-triggered: every pass starts from what both stores say and what stands, never from events.
//!
//! Layers, each may use those before it: `limits`, `item`, `redact` ← `translate` ← `guard` ← `pass`, `posted` ← `source`,
//! `issuers`, `secrets`, `publish` ← `reconcile` ← `status`, `posting`, `admin` ← the commands.

pub mod admin;
mod ask;
mod cli;
mod commands;
pub mod guard;
pub mod issuers;
pub mod item;
mod key;
pub mod limits;
mod logging;
pub mod metrics;
mod order;
mod output;
pub mod pass;
pub mod plan;
pub mod posted;
mod posting;
pub mod programmed;
pub mod publish;
pub mod reconcile;
mod redact;
mod route;
pub mod secrets;
pub mod settings;
pub mod source;
pub mod status;
mod task;
mod token;
pub mod translate;
mod wait;

pub use commands::main;
