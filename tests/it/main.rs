//! The product from outside: one binary for all scenarios, each named after the property it shows.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "tests")]

mod addresses;
mod api_keys;
mod audit;
mod authorization;
mod certificates;
mod crowds;
mod downgrades;
mod draining;
mod external_authorizer;
mod files;
mod forwarding;
mod grpc;
mod hostile_answers;
mod http2;
mod identity;
mod identity_headers;
mod jwks;
mod limits;
mod listeners;
mod lockout;
mod long_answers;
mod matching;
mod operations;
mod pipelining;
mod poison;
mod readme;
mod reloading;
mod revocation;
mod scale;
mod signatures;
mod stale_connections;
mod stores;
mod strictness;
mod tidy;
mod timeouts;
mod tls;
mod token_rules;
mod tokens;
mod watching;
mod websocket;
