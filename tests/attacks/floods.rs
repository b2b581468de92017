//! Frames that cost a client nothing and ask the router for something, or for nothing at all, without end.

use postern_tests::frames::{announced, data, flag, frame, headers, kind, ping, settings, window_update};
use postern_tests::hpack::Block;

use super::foe::Foe;
use super::scene::Attack;

const FRAMES: usize = 10_000;

pub(super) const ATTACKS: &[Attack] = &[
    Attack::borne("settings", settings_flood),
    Attack::borne("pings", ping_flood),
    Attack::borne("priorities", priority_flood),
    Attack::borne("more room for the connection", window_flood),
    Attack::borne("frames of types that nobody knows", unknown_flood),
    Attack::ended("data without anything in it", empty_data_flood),
    Attack::ended("frames longer than allowed", oversized),
    Attack::ended("streams with even numbers", even_streams),
    Attack::ended("streams that go back", streams_back),
    Attack::ended("frames of streams that nobody opened", idle_streams),
    Attack::ended("frames on stream nought that have none", stream_nought),
    Attack::ended("pushes", pushes),
    Attack::ended("settings that no peer may have", wrong_settings),
    // Right either way: they are read about as fast as they come, and the library ends it where too many of them wait.
    Attack::either("bodies that come in single bytes", single_bytes),
];

fn settings_flood(foe: &mut Foe) {
    foe.flood(FRAMES, |_, at| settings(&[(4, 65_535 + u32::try_from(at % 2).unwrap())]));
}

fn ping_flood(foe: &mut Foe) {
    foe.flood(FRAMES, |_, at| ping(at as u64));
}

fn priority_flood(foe: &mut Foe) {
    foe.flood(FRAMES, |_, at| {
        let stream = u32::try_from(at * 2 + 1).unwrap();
        frame(kind::PRIORITY, 0, stream, &[&(stream + 2).to_be_bytes()[..], &[7]].concat())
    });
}

fn window_flood(foe: &mut Foe) {
    foe.flood(FRAMES, |_, _| window_update(0, 1));
}

fn unknown_flood(foe: &mut Foe) {
    foe.flood(FRAMES, |_, at| frame(0x40 + u8::try_from(at % 64).unwrap(), 0xff, 0, &[0; 64]));
}

fn empty_data_flood(foe: &mut Foe) {
    let stream = foe.open();
    foe.send(&headers(stream, &Block::request("POST", "/held"), false));
    foe.flood(FRAMES, |_, _| data(stream, b"", false));
}

fn oversized(foe: &mut Foe) {
    foe.send(&announced(16_385, kind::DATA, 0, 1, &[0; 1_024]));
    foe.amid = true;
}

fn even_streams(foe: &mut Foe) {
    foe.flood(100, |_, at| headers(u32::try_from(at * 2 + 2).unwrap(), &Block::short("/held"), true));
}

fn streams_back(foe: &mut Foe) {
    foe.flood(100, |_, at| headers(u32::try_from(1_001 - at * 2).unwrap(), &Block::short("/held"), true));
}

fn idle_streams(foe: &mut Foe) {
    foe.flood(100, |_, at| window_update(u32::try_from(at * 2 + 1).unwrap(), 1));
}

fn stream_nought(foe: &mut Foe) {
    foe.flood(100, |_, _| headers(0, &Block::short("/held"), true));
}

fn pushes(foe: &mut Foe) {
    foe.flood(100, |foe, _| {
        let promised = [&2_u32.to_be_bytes()[..], Block::short("/held").bytes()].concat();
        frame(kind::PUSH_PROMISE, flag::END_HEADERS, foe.open(), &promised)
    });
}

fn wrong_settings(foe: &mut Foe) {
    foe.flood(100, |_, _| settings(&[(5, 1)]));
}

fn single_bytes(foe: &mut Foe) {
    let stream = foe.open();
    foe.send(&headers(stream, &Block::request("POST", "/held"), false));
    foe.flood(FRAMES, |_, _| data(stream, b"x", false));
}
