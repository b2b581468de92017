//! Clients that keep the router waiting: for a preface, for the rest of a frame, for room to answer in.

use postern_tests::frames::{PREFACE, announced, kind, setting, settings};
use postern_tests::hpack::Block;

use super::foe::Foe;
use super::scene::Attack;

const STREAMS: usize = 100;

pub(super) const ATTACKS: &[Attack] = &[
    Attack { settings: None, ..Attack::borne("half a preface", half_a_preface) },
    Attack { settings: None, ..Attack::borne("a preface and nothing", preface_alone) },
    Attack::borne("half a frame", half_a_frame),
    Attack {
        settings: Some(&[(setting::INITIAL_WINDOW_SIZE, 0)]),
        under_way: STREAMS,
        ..Attack::borne("long answers without any room", long_answers)
    },
    Attack {
        settings: Some(&[(setting::INITIAL_WINDOW_SIZE, 1)]),
        under_way: STREAMS,
        ..Attack::borne("long answers with room for a byte", long_answers)
    },
    Attack {
        settings: Some(&[(setting::INITIAL_WINDOW_SIZE, 1 << 20)]),
        under_way: STREAMS - 20,
        ..Attack::borne("long answers without room on the connection", long_answers)
    },
    Attack { settings: None, ..Attack::borne("answers that nobody reads", unread_pongs) },
];

fn half_a_preface(foe: &mut Foe) {
    foe.amid = true;
    foe.send(&PREFACE[..20]);
}

fn preface_alone(foe: &mut Foe) {
    foe.amid = true;
    foe.send(PREFACE);
}

fn half_a_frame(foe: &mut Foe) {
    foe.amid = true;
    foe.send(&announced(16_384, kind::DATA, 0, 1, &[0; 8_000]));
}

fn long_answers(foe: &mut Foe) {
    foe.flood(STREAMS, |foe, _| foe.request(&Block::short("/big")));
}

/// Nobody takes what is answered, so that it stays with the router.
fn unread_pongs(foe: &mut Foe) {
    foe.send(&[PREFACE, &settings(&[])].concat());
    foe.flood(50_000, |_, at| postern_tests::frames::ping(at as u64));
    foe.amid = true;
}
