//! Attacks on HTTP/2 from 32 connections at once: whoever asks for what is theirs meanwhile gets it, the router holds
//! little more than what was sent, and nothing is left when the attackers have gone.
//!
//! Each attack has a router of its own, since memory that was given back once is taken again unseen. The bound is
//! 25 bytes for each byte of the attackers or 1.75 MiB for each of their connections, whichever is more. Every attack
//! prints a line: connections in all, bytes sent in all, bytes of the connections that were open together, KiB that the
//! router grew, its ratio to those bytes, KiB for each connection, how the connections stood at the end (with the code
//! of the GOAWAY), streams reset, answers for others, and their p99 in ms before and during, for HTTP/1.1 and HTTP/2.

#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    reason = "what fails here fails a test, and figures are for who reads it"
)]

mod bystander;
mod floods;
mod foe;
mod heads;
mod resets;
mod scene;
mod stalls;

use self::scene::{Attack, play};

fn play_all(attacks: &[Attack]) {
    postern_tests::runs("seconds of each attack", 1, 60);
    let mut findings = Vec::new();
    let chosen = std::env::var("POSTERN_ATTACK").unwrap_or_default();
    for attack in attacks.iter().filter(|attack| attack.name.contains(&chosen)) {
        findings.extend(play(attack));
    }
    assert!(findings.is_empty(), "\n{}", findings.join("\n"));
}

#[test]
fn streams_that_end_before_their_time_are_counted_and_others_notice_nothing() {
    play_all(resets::ATTACKS);
}

#[test]
fn heads_without_end_or_beyond_their_bytes_are_bounded_and_others_notice_nothing() {
    play_all(heads::ATTACKS);
}

#[test]
fn frames_without_end_are_borne_or_end_the_connection_and_others_notice_nothing() {
    play_all(floods::ATTACKS);
}

#[test]
fn clients_that_keep_the_router_waiting_hold_little_and_others_notice_nothing() {
    play_all(stalls::ATTACKS);
}
