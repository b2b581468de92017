//! Streams that end before their time, by the client or by what it makes the router do (CVE-2023-44487,
//! CVE-2025-8671).

use postern_tests::frames::{self, flag, frame, headers, kind, reset, window_update};
use postern_tests::hpack::Block;

use super::foe::Foe;
use super::scene::Attack;

/// Requests of one connection.
const REQUESTS: usize = 400;
const CANCEL: u32 = 8;

pub(super) const ATTACKS: &[Attack] = &[
    Attack::ended("requests that are reset at once", rapid_reset),
    Attack::ended("windows that grow by nothing", window_by_nothing),
    Attack::ended("windows that grow beyond measure", window_beyond_measure),
    Attack::ended("bodies behind the end of a request", data_behind_the_end),
    Attack::ended("streams that depend on themselves", own_dependency),
    Attack::ended("heads on streams that are closed", head_on_closed_stream),
    Attack::ended("heads that are malformed", malformed_heads),
    Attack::ended("more streams than are allowed", too_many_streams),
    Attack::borne("requests that are reset when they are under way", slow_reset),
];

fn rapid_reset(foe: &mut Foe) {
    foe.flood(REQUESTS, |foe, _| {
        let request = foe.request(&Block::short("/held"));
        [request, reset(foe.last(), CANCEL)].concat()
    });
}

/// Each wave is let through to the destination before it is reset.
fn slow_reset(foe: &mut Foe) {
    for _ in 0..10 {
        let streams: Vec<u32> = (0..20)
            .map(|_| {
                let request = foe.request(&Block::short("/held"));
                foe.send(&request);
                foe.last()
            })
            .collect();
        foe.settle();
        let resets: Vec<u8> = streams.into_iter().flat_map(|stream| reset(stream, CANCEL)).collect();
        foe.send(&resets);
        foe.settle();
    }
}

fn window_by_nothing(foe: &mut Foe) {
    foe.flood(REQUESTS, |foe, _| {
        let request = foe.request(&Block::short("/held"));
        [request, window_update(foe.last(), 0)].concat()
    });
}

fn window_beyond_measure(foe: &mut Foe) {
    foe.flood(REQUESTS, |foe, _| {
        let request = foe.request(&Block::short("/held"));
        [request, window_update(foe.last(), 0x7fff_ffff)].concat()
    });
}

fn data_behind_the_end(foe: &mut Foe) {
    foe.flood(REQUESTS, |foe, _| {
        let request = foe.request(&Block::short("/held"));
        [request, frames::data(foe.last(), b"x", false)].concat()
    });
}

fn own_dependency(foe: &mut Foe) {
    foe.flood(REQUESTS, |foe, _| {
        let request = foe.request(&Block::short("/held"));
        let dependency = [&foe.last().to_be_bytes()[..], &[16]].concat();
        [request, frame(kind::PRIORITY, 0, foe.last(), &dependency)].concat()
    });
}

fn head_on_closed_stream(foe: &mut Foe) {
    foe.flood(REQUESTS, |foe, _| {
        let request = foe.request(&Block::short("/held"));
        [request, reset(foe.last(), CANCEL), headers(foe.last(), &Block::short("/held"), true)].concat()
    });
}

fn malformed_heads(foe: &mut Foe) {
    foe.flood(REQUESTS, |foe, _| foe.request(&Block::short("/held").field("connection", "close")));
}

fn too_many_streams(foe: &mut Foe) {
    foe.flood(1_000, |foe, _| {
        let block = Block::short("/held");
        frame(kind::HEADERS, flag::END_HEADERS, foe.open(), block.bytes())
    });
}
