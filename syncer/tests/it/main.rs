//! The syncer from outside its modules: translations as golden pairs, hostile registrations, poison, stores that
//! fail, the running process.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails with the line that did")]

mod commands;
mod golden;
mod hostile;
mod poison;
mod reconciling;
mod scene;
mod stores;
mod stub;
