//! What has to hold of the codec, of hosts and of paths, whatever bytes come: one function a target.
//!
//! This folder is taken in by path twice: by the fuzz targets, which look for bytes that break a property, and by the
//! router's unit tests, which replay those that were kept. Both have the codec as `crate::http1`. A property that does
//! not hold panics. Must never know where the bytes come from.

mod against_hyper;
mod against_oracle;
mod answers;
mod chunks;
#[allow(unreachable_pub, reason = "public where it is a crate of its own")]
pub(crate) mod differential;
mod grammar;
mod hosts;
mod paths;
mod requests;
mod strictness;

// Written for a crate of its own.
#[allow(dead_code, unreachable_pub, reason = "the oracle is the harness's, and of it a part is asked here")]
#[path = "../../../src/oracle.rs"]
mod oracle;

/// Panics when a property does not hold for the bytes.
pub(crate) type Check = fn(&[u8]);

/// Every target and what it checks.
pub(crate) const TARGETS: [(&str, Check); 5] = [
    ("request_head", requests::check),
    ("response_head", answers::check),
    ("chunked", chunks::check),
    ("host", hosts::check),
    ("path", paths::check),
];

/// How long the pieces are that an input comes in: some ways that do not depend on it and one that does.
fn ways_to_cut(data: &[u8]) -> [Vec<usize>; 4] {
    let mixed = data.iter().map(|byte| usize::from(byte % 13) + 1).collect();
    [vec![1], vec![2], vec![3, 1, 7], if data.is_empty() { vec![1] } else { mixed }]
}

/// Where each piece ends when `length` bytes come in pieces of those lengths, again and again.
fn ends(length: usize, pieces: &[usize]) -> Vec<usize> {
    let mut ends: Vec<usize> = pieces
        .iter()
        .cycle()
        .scan(0, |at, piece| {
            *at += piece;
            (*at < length).then_some(*at)
        })
        .collect();
    ends.push(length);
    ends
}
