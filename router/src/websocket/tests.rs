//! Handshakes as the RFC shows them, and frames cut anywhere.

use proptest::prelude::*;

use super::*;

#[test]
fn a_key_is_answered_as_in_the_rfc() {
    // RFC 6455 §1.3.
    assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    assert!(is_key(b"dGhlIHNhbXBsZSBub25jZQ=="));
    assert!(is_key(key(7).as_bytes()));
    for odd in [
        "", "==", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZQ", "dGhlIHNhbXBsZSBub25jZQAA",
        "dGhlIHNhbXBsZSBub25jZ!==",
    ] {
        assert!(!is_key(odd.as_bytes()), "{odd}");
    }
}

#[test]
fn goodbyes_are_frames() {
    assert_eq!(Goodbye::Restart.to_client(), [0x88, 2, 0x03, 0xf4]);
    assert_eq!(Goodbye::GoingAway.to_server([1, 2, 3, 4]), [0x88, 0x82, 1, 2, 3, 4, 0x03 ^ 1, 0xe9 ^ 2]);
    for frame in [&Goodbye::Lost.to_client()[..], &Goodbye::Lost.to_server([9; 4])[..]] {
        let mut frames = Frames::default();
        assert_eq!(frames.pass_frame(frame), Ok(frame.len()));
        assert!(frames.is_between() && frames.has_said_goodbye());
    }
}

#[test]
fn what_is_no_frame_is_never_a_boundary() {
    for first in [0x83, 0x87, 0x8b, 0x8f, 0x03, 0x0f] {
        let mut frames = Frames::default();
        frames.pass(&[first, 0]);
        assert!(frames.is_lost() && !frames.is_between(), "{first:#x}");
        frames.pass(&[0x81, 0]);
        assert!(frames.is_lost());
    }
    let mut frames = Frames::default();
    frames.pass(&[0x82, 127, 0x80, 0, 0, 0, 0, 0, 0, 0]);
    assert!(frames.is_lost());
}

/// A frame: opcode with flags, whether it is masked, how its length is written, and how much payload it has.
#[derive(Debug, Clone)]
struct Frame {
    first: u8,
    masked: bool,
    wide: u8,
    payload: usize,
}

impl Frame {
    fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.first];
        let mask = if self.masked { 0x80 } else { 0 };
        match (self.wide, self.payload) {
            (0, length @ 0..=125) => bytes.push(mask | u8::try_from(length).unwrap()),
            (0 | 1, length) => {
                bytes.push(mask | 126);
                bytes.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
            (_, length) => {
                bytes.push(mask | 127);
                bytes.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        bytes.extend(std::iter::repeat_n(0x88, self.payload + if self.masked { 4 } else { 0 }));
        bytes
    }
}

fn frames() -> impl Strategy<Value = Vec<Frame>> {
    let first = prop::sample::select(&[0x00_u8, 0x01, 0x02, 0x80, 0x81, 0xc1, 0x82, 0x89, 0x8a][..]);
    let payload = prop_oneof![0..4_usize, 120..130_usize, 65_530..65_536_usize];
    let frame = (first, any::<bool>(), 0..3_u8, payload);
    let frame = frame.prop_map(|(first, masked, wide, payload)| Frame { first, masked, wide, payload });
    prop::collection::vec(frame, 1..6)
}

proptest! {
    #[test]
    fn frames_end_where_they_end_however_they_are_cut(list in frames(), cuts in prop::collection::vec(1..70_000_usize, 1..20)) {
        let bytes: Vec<u8> = list.iter().flat_map(Frame::bytes).collect();
        let mut ends = std::collections::BTreeSet::from([0]);
        list.iter().fold(0, |at, frame| {
            let end = at + frame.bytes().len();
            ends.insert(end);
            end
        });
        // In pieces: between two frames exactly where one ends.
        let (mut tracker, mut at) = (Frames::default(), 0);
        for cut in cuts.iter().cycle() {
            let end = (at + cut).min(bytes.len());
            tracker.pass(&bytes[at..end]);
            at = end;
            prop_assert_eq!(tracker.is_between(), ends.contains(&at));
            if at == bytes.len() {
                break;
            }
        }
        // Frame by frame: each call takes one.
        let (mut tracker, mut at) = (Frames::default(), 0);
        for frame in &list {
            let passed = tracker.pass_frame(&bytes[at..]).unwrap();
            prop_assert_eq!(passed, frame.bytes().len());
            at += passed;
        }
        prop_assert!(tracker.is_between() && !tracker.is_lost() && !tracker.has_said_goodbye());
    }

    #[test]
    fn any_bytes_are_gone_by(pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20)) {
        let (mut cut, mut whole) = (Frames::default(), Frames::default());
        pieces.iter().for_each(|piece| cut.pass(piece));
        whole.pass(&pieces.concat());
        prop_assert_eq!(cut, whole);
    }
}
