//! Two and a half thousand malformed and borderline requests, each sent whole, between two others and byte by byte:
//! nothing with two readings reaches a destination, and nothing that is right is refused.
//!
//! The tables lie beside this file, one for each part of a request. What a destination gets is judged by an oracle
//! that shares no code with the router.

mod benign;
mod bodies;
mod bytes;
mod chunks;
mod connections;
mod encodings;
mod framings;
mod hosts;
mod lengths;
mod lines;
mod names;
mod request_lines;
mod sizes;
mod targets;
mod trailers;
mod upgrades;

use std::collections::BTreeSet;

use postern_tests::{Case, Expect, play};

/// The target that cases ask for.
const TARGET: &str = "/c/mk0000000";
/// What every good head has.
const FIELDS: &str = "host: api.example.com\r\nx-marker: mk0000000\r\n";
/// A request that stands where a body may, and must never be taken for one.
const HIDDEN: &str = "GET /smuggled/mk0000000 HTTP/1.1\r\nhost: api.example.com\r\nx-marker: mk0000000\r\n\r\n";

/// A `GET` with more fields, each with its line end.
fn get(fields: &str) -> String {
    format!("GET {TARGET} HTTP/1.1\r\n{FIELDS}{fields}\r\n")
}

/// A `POST` with more fields, each with its line end, and what follows the head.
fn post(fields: &str, body: &str) -> String {
    format!("POST {TARGET} HTTP/1.1\r\n{FIELDS}{fields}\r\n{body}")
}

/// The same with whatever length the body has.
fn post_sized(fields: &str, body: &str) -> String {
    post(&format!("content-length: {}\r\n{fields}", body.len()), body)
}

/// A head with that request line.
fn with_line(line: &str) -> String {
    format!("{line}\r\n{FIELDS}\r\n")
}

/// Bytes for text in which each character is one byte.
fn latin(text: &str) -> Vec<u8> {
    text.chars().map(|c| u8::try_from(u32::from(c)).unwrap()).collect()
}

type Table = (&'static str, fn() -> Vec<Case>);

const TABLES: [Table; 16] = [
    ("length beside encoding", framings::cases),
    ("transfer encodings", encodings::cases),
    ("lengths", lengths::cases),
    ("line ends", lines::cases),
    ("single bytes", bytes::cases),
    ("names of fields", names::cases),
    ("request lines", request_lines::cases),
    ("targets", targets::cases),
    ("hosts", hosts::cases),
    ("chunks", chunks::cases),
    ("trailers", trailers::cases),
    ("upgrades and expectations", upgrades::cases),
    ("connection fields", connections::cases),
    ("sizes", sizes::cases),
    ("bodies that nobody reads", bodies::cases),
    ("what is right", benign::cases),
];

fn play_table(name: &str) {
    let (_, cases) = TABLES.iter().find(|(known, _)| *known == name).unwrap();
    let cases = cases();
    let made = play(name, &cases);
    // Where nothing is refused the router says nothing by itself; elsewhere none would show nothing about reasons.
    let refuses = cases.iter().any(|case| !matches!(case.expect, Expect::Forwarded { .. } | Expect::Either));
    assert!(made > 0 || !refuses, "{name}: no answer of the router's own");
}

#[test]
fn the_tables_hold_nine_hundred_distinct_cases_and_fifty_seven_that_are_right() {
    let cases: Vec<Case> = TABLES.iter().flat_map(|(_, cases)| cases()).collect();
    let distinct: BTreeSet<&[u8]> = cases.iter().map(|case| case.bytes.as_slice()).collect();
    let right = cases.iter().filter(|case| matches!(case.expect, Expect::Forwarded { .. })).count();
    assert!(distinct.len() >= 900, "{} distinct of {}", distinct.len(), cases.len());
    assert!(right >= 57, "only {right} are right");
    for (table, cases) in TABLES {
        let cases = cases();
        let names: BTreeSet<&str> = cases.iter().map(|case| case.name.as_str()).collect();
        assert_eq!(names.len(), cases.len(), "{table}: two cases have one name");
        eprintln!("{table}: {} cases", cases.len());
    }
    eprintln!("{} cases, {} distinct, {right} of them right", cases.len(), distinct.len());
}

#[test]
fn a_length_beside_an_encoding_is_refused_in_every_spelling() {
    play_table("length beside encoding");
}

#[test]
fn an_encoding_that_is_not_chunked_alone_is_refused() {
    play_table("transfer encodings");
}

#[test]
fn a_length_that_is_not_one_number_is_refused() {
    play_table("lengths");
}

#[test]
fn a_line_that_does_not_end_in_crlf_is_refused() {
    play_table("line ends");
}

#[test]
fn a_byte_that_has_no_place_where_it_stands_is_refused() {
    play_table("single bytes");
}

#[test]
fn a_field_whose_name_is_no_plain_token_is_refused() {
    play_table("names of fields");
}

#[test]
fn a_request_line_in_any_but_its_one_form_is_refused() {
    play_table("request lines");
}

#[test]
fn a_target_with_two_readings_is_not_forwarded() {
    play_table("targets");
}

#[test]
fn a_request_for_no_host_or_several_or_another_is_not_forwarded() {
    play_table("hosts");
}

#[test]
fn a_body_with_a_chunk_that_is_none_never_arrives_whole() {
    play_table("chunks");
}

#[test]
fn trailers_never_arrive_as_anything() {
    play_table("trailers");
}

#[test]
fn no_upgrade_tunnel_or_expectation_passes() {
    play_table("upgrades and expectations");
}

#[test]
fn connection_takes_off_nothing_that_counts_and_lets_nothing_through() {
    play_table("connection fields");
}

#[test]
fn a_head_beyond_its_bounds_is_refused() {
    play_table("sizes");
}

#[test]
fn a_body_that_nobody_reads_is_never_taken_for_a_request() {
    play_table("bodies that nobody reads");
}

#[test]
fn what_is_right_is_forwarded_to_the_letter() {
    play_table("what is right");
}
