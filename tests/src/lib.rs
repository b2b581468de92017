//! The harness: real processes, real sockets on free ports, both sides of the router in one place.
//!
//! Nothing here knows the inside of the product: it sees commands, files and HTTP. Panics are its way of
//! failing a test.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::missing_panics_doc,
    clippy::print_stderr,
    reason = "a harness of tests: a panic with its line is the report"
)]

mod browser;
mod client;
mod collector;
mod corpus;
mod desk;
mod dns;
mod documents;
mod echo;
mod emulator;
mod exposition;
pub mod frames;
mod front;
mod grpc;
mod holders;
pub mod hpack;
mod http2;
mod issuer;
mod load;
mod manual;
pub mod oracle;
mod origin;
mod process;
mod pushed;
mod raw;
mod recorder;
mod secure;
mod strict;
mod tls;
mod tokens;
mod wait;
pub mod websocket;

pub use browser::{Browser, Seen, keep_screenshot};
pub use client::{Answer, Client, Request};
pub use collector::{Collector, KeptSpan, slips_are_told_at_start};
pub use corpus::{Case, Expect, MARK, Way, play, shown};
pub use desk::Desk;
pub use dns::Dns;
pub use documents::{BOUNDARY, HOST, Site, boundary_with, merged_file, registration};
pub use echo::{EchoClient, EchoServer, asking};
pub use emulator::{Emulator, Stores, python_program};
pub use exposition::{Exposition, Form, MetricFamily, Sample};
pub use front::{Front, aws_error, is_call};
pub use grpc::GrpcServer;
pub use holders::{Says, Serial};
pub use http2::{Http2Origin, Message, over_http2, over_secure_http2, talk_http2};
pub use issuer::PublishingIssuer;
pub use load::{Load, Tally};
pub use manual::is_documented;
pub use origin::{Origin, Received, Reply};
pub use process::{Output, Router, Syncer, command, resident, run, run_in};
pub use pushed::Push;
pub use raw::{RawOrigin, Wire};
pub use recorder::{Arrival, Recorder};
pub use secure::{Secured, TlsClient};
pub use strict::{Heard, StrictClient};
pub use tls::{Authority, Certificate, TlsOrigin, Validity};
pub use tokens::{Signer, base64url, basic, seconds_from_now};
pub use wait::{Gate, eventually, eventually_within};

/// Whether the long runs were asked for (`make proofs`).
pub fn at_full_length() -> bool {
    std::env::var_os("POSTERN_SLOW").is_some()
}

/// `full` when the long runs were asked for, else `short`; says so, so that a shortened proof is never taken for
/// a full one.
pub fn runs(what: &str, short: usize, full: usize) -> usize {
    if at_full_length() {
        return full;
    }
    eprintln!("{what}: {short} of {full} (make proofs runs them all)");
    short
}

/// The checkout.
pub fn checkout() -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}
