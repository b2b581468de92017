//! The router: merged file → answers.
mod reject;
mod snapshot;
mod stage;
mod upstream;
