//! Bodies in chunks: the same data, the same end and the same flaw however they come, and what is written is read.

use super::{against_hyper, against_oracle, ends, ways_to_cut};
use crate::http1::{ChunkDecoder, Flaw, LAST_CHUNK, write_chunk};

/// What a chunked body came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Body {
    pub(super) data: Vec<u8>,
    /// The framing around each run of data, without the runs.
    pub(super) framing: Vec<Vec<u8>>,
    pub(super) end: End,
}

/// How it ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Whole after so many bytes.
    Whole(usize),
    /// All bytes read, and more to come.
    More,
    /// Wrong at that byte.
    Flawed(Flaw, usize),
}

/// Reads a body that comes up to those places, as the router does: framing is dropped, data taken.
pub(super) fn decode(text: &[u8], ends: &[usize]) -> Body {
    let mut decoder = ChunkDecoder::default();
    let (mut data, mut framing, mut at) = (Vec::new(), vec![Vec::new()], 0);
    for end in ends {
        loop {
            let before = decoder;
            let decoded = match decoder.decode(&text[at..*end]) {
                Ok(decoded) => decoded,
                Err(flaw) => {
                    let flawed = at + flawed_at(before, &text[at..*end]);
                    let last = framing.len() - 1;
                    framing[last].extend_from_slice(&text[at..flawed]);
                    return Body { data, framing, end: End::Flawed(flaw, flawed) };
                }
            };
            assert!(at + decoded.framing + decoded.data <= *end, "more than there is");
            assert!(!decoder.is_done() || decoded.data == 0, "data behind the end");
            let last = framing.len() - 1;
            framing[last].extend_from_slice(&text[at..at + decoded.framing]);
            at += decoded.framing;
            data.extend_from_slice(&text[at..at + decoded.data]);
            decoder.take(decoded.data);
            at += decoded.data;
            if decoder.is_done() {
                return Body { data, framing, end: End::Whole(at) };
            }
            if decoded.data > 0 && !matches!(framing.last(), Some(last) if last.is_empty()) {
                framing.push(Vec::new());
            }
            if decoded.framing + decoded.data == 0 {
                assert_eq!(at, *end, "bytes that are neither framing nor data");
                break;
            }
        }
    }
    Body { data, framing, end: End::More }
}

/// At which byte the flaw is: the first with which there is one.
fn flawed_at(mut decoder: ChunkDecoder, bytes: &[u8]) -> usize {
    bytes.iter().position(|byte| decoder.decode(&[*byte]).is_err()).expect("it failed as a whole")
}

/// Every property of bytes that may be a chunked body.
pub(super) fn check(data: &[u8]) {
    let whole = decode(data, &[data.len()]);
    for pieces in ways_to_cut(data) {
        assert_eq!(decode(data, &ends(data.len(), &pieces)), whole, "another body in pieces of {pieces:?}");
    }
    match whole.end {
        End::Whole(end) => {
            // Nothing behind the end is looked at, and nothing before it is enough.
            assert_eq!(decode(&data[..end], &[end]), whole);
            for cut in 1..end.min(6) {
                assert_eq!(decode(&data[..end - cut], &[end - cut]).end, End::More, "whole without {cut} bytes");
            }
        }
        End::Flawed(flaw, at) => {
            let wrong = decode(&data[..=at], &[at + 1]);
            assert_eq!(wrong.end, End::Flawed(flaw, at), "a flaw that needs what is behind it");
            assert_eq!(decode(&data[..at], &[at]).end, End::More, "a flaw before it is there");
        }
        End::More => {}
    }
    survives_writing(data, &whole);
    against_oracle::chunks(data, &whole);
    let request = [HEAD, data].concat();
    against_hyper::compare(&request);
}

/// What stands in front of a chunked body when it is a request's.
pub(super) const HEAD: &[u8] = b"POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";

/// A body that the router writes, in chunks of those lengths.
pub(super) fn encode(data: &[u8], lengths: &[usize]) -> Vec<u8> {
    let mut text = Vec::new();
    let mut start = 0;
    for end in ends(data.len(), lengths) {
        if end > start {
            write_chunk(&mut text, &data[start..end]);
        }
        start = end;
    }
    text.extend_from_slice(LAST_CHUNK);
    text
}

/// What was read is read again from what the router writes of it, and any bytes are read back.
fn survives_writing(bytes: &[u8], body: &Body) {
    for data in [&body.data[..], bytes] {
        for lengths in [vec![data.len().max(1)], vec![1 + bytes.len() % 19, 16, 1]] {
            let text = encode(data, &lengths);
            let again = decode(&text, &[text.len()]);
            assert_eq!((&again.data[..], again.end), (data, End::Whole(text.len())), "written in {lengths:?}");
        }
    }
}
