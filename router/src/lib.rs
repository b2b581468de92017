//! The router: merged file → answers.
mod passwords;
mod principal;
mod reject;
mod snapshot;
mod stage;
