//! The product from outside: one binary for all scenarios, each named after the property it shows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod addresses;
mod draining;
mod files;
mod forwarding;
mod grpc;
mod http2;
mod identity;
mod limits;
mod matching;
mod operations;
mod poison;
mod readme;
mod reloading;
mod scale;
mod signatures;
mod stores;
mod tidy;
mod timeouts;
mod tls;
mod watching;
