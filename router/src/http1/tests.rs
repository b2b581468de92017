//! What is one message, and what is none.

use http::{Method, StatusCode};
use proptest::prelude::*;

use super::*;

fn request(text: &str) -> Result<RequestHead, Flaw> {
    RequestHead::parse(text.as_bytes())
}

fn answer(text: &str) -> Result<ResponseHead, Flaw> {
    ResponseHead::parse(text.as_bytes(), &Method::GET)
}

/// The flaw of a request with those fields behind a Host.
fn fields(lines: &str) -> Result<Framing, Flaw> {
    request(&format!("POST / HTTP/1.1\r\nhost: a\r\n{lines}\r\n")).map(|head| head.framing())
}

#[test]
fn a_head_is_told_apart_into_its_parts() {
    let head = request("GET /a/b?c=d&e HTTP/1.1\r\nHost: x\r\nx-a:  1 \r\nX-A: 2\r\n\r\n").unwrap();
    assert_eq!((head.method(), head.version()), (&Method::GET, Version::Http11));
    assert_eq!((head.target(), head.path(), head.query()), ("/a/b?c=d&e", "/a/b", Some("c=d&e")));
    assert_eq!(head.fields().all("x-a").collect::<Vec<_>>(), [b"1", b"2"]);
    assert_eq!((head.fields().get("host"), head.fields().len()), (Some(&b"x"[..]), 3));
    let absolute = request("GET http://x:1/a HTTP/1.0\r\nHost: x:1\r\n\r\n").unwrap();
    assert_eq!((absolute.authority(), absolute.target(), absolute.query()), (Some("x:1"), "/a", None));
    let carried =
        RequestHead::from_parts(Method::PUT, "/p?q", [("host", &b"h"[..])].into_iter(), (1, 5), Framing::Chunked);
    let carried = carried.unwrap();
    assert_eq!((carried.path(), carried.query(), carried.fields().get("host")), ("/p", Some("q"), Some(&b"h"[..])));
}

#[test]
fn the_framing_of_a_request_has_one_reading_or_none() {
    for (lines, expected) in [
        ("", Ok(Framing::None)),
        ("content-length: 0\r\n", Ok(Framing::None)),
        ("content-length: 12\r\n", Ok(Framing::Length(12))),
        ("Transfer-Encoding: Chunked\r\n", Ok(Framing::Chunked)),
        ("content-length: 1\r\ntransfer-encoding: chunked\r\n", Err(Flaw::TwoFramings)),
        ("content-length: 1\r\ncontent-length: 1\r\n", Err(Flaw::ContentLength)),
        ("content-length: 1, 1\r\n", Err(Flaw::ContentLength)),
        ("content-length: +1\r\n", Err(Flaw::ContentLength)),
        ("content-length: 01\r\n", Err(Flaw::ContentLength)),
        ("content-length:\r\n", Err(Flaw::ContentLength)),
        ("content-length: 99999999999999999999\r\n", Err(Flaw::ContentLength)),
        ("transfer-encoding: gzip, chunked\r\n", Err(Flaw::TransferCoding)),
        ("transfer-encoding: identity\r\n", Err(Flaw::TransferCoding)),
        ("transfer-encoding: chunked, chunked\r\n", Err(Flaw::TransferEncoding)),
        ("transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n", Err(Flaw::TransferEncoding)),
        ("transfer-encoding:\r\n", Err(Flaw::TransferEncoding)),
    ] {
        assert_eq!(fields(lines), expected, "{lines:?}");
    }
    let old = request("POST / HTTP/1.0\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(old.err(), Some(Flaw::TransferEncoding));
}

#[test]
fn an_answer_without_a_body_by_its_nature_has_none() {
    let of = |text: &str, method| ResponseHead::parse(text.as_bytes(), &method).map(|head| head.framing());
    assert_eq!(of("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n", Method::HEAD), Ok(Framing::None));
    assert_eq!(of("HTTP/1.1 204 No\r\ncontent-length: 5\r\n\r\n", Method::GET), Ok(Framing::None));
    assert_eq!(of("HTTP/1.1 304 \r\ntransfer-encoding: chunked\r\n\r\n", Method::GET), Ok(Framing::None));
    assert_eq!(of("HTTP/1.1 200\r\n\r\n", Method::GET), Ok(Framing::UntilClose));
    assert_eq!(answer("HTTP/1.1 600 OK\r\n\r\n").err(), Some(Flaw::FirstLine));
    assert_eq!(answer("HTTP/2.0 200 OK\r\n\r\n").err(), Some(Flaw::FirstLine));
    assert_eq!(answer("HTTP/1.1 200 OK\r\n\r\n").unwrap().status(), StatusCode::OK);
}

/// What a chunked body holds, fed in pieces of that many bytes; how many bytes were left behind it.
fn unchunked(text: &[u8], piece: usize) -> Result<(Vec<u8>, usize), Flaw> {
    let mut decoder = ChunkDecoder::default();
    let (mut data, mut kept, mut fed) = (Vec::new(), Vec::new(), 0);
    while !decoder.is_done() {
        let decoded = decoder.decode(&kept)?;
        kept.drain(..decoded.framing);
        data.extend(kept.drain(..decoded.data));
        decoder.take(decoded.data);
        if decoder.is_done() || decoded.framing + decoded.data > 0 {
            continue;
        }
        if fed == text.len() {
            return Ok((data, usize::MAX));
        }
        let end = (fed + piece).min(text.len());
        kept.extend_from_slice(&text[fed..end]);
        fed = end;
    }
    Ok((data, kept.len() + text.len() - fed))
}

#[test]
fn chunks_are_read_the_same_however_they_come() {
    for (text, expected) in [
        ("5\r\nhello\r\n0\r\n\r\n", Ok((b"hello".to_vec(), 0))),
        ("A;x=\"y\"\r\n0123456789\r\n1\r\na\r\n0\r\nx-t: 1\r\n\r\nGET", Ok((b"0123456789a".to_vec(), 3))),
        ("5\nhello\r\n0\r\n\r\n", Err(Flaw::Chunk)),
        ("5 \r\nhello\r\n0\r\n\r\n", Err(Flaw::Chunk)),
        ("\r\n", Err(Flaw::Chunk)),
        ("0x5\r\nhello\r\n", Err(Flaw::Chunk)),
        ("00000000000000005\r\nhello\r\n", Err(Flaw::Chunk)),
        ("5\r\nhelloo\r\n", Err(Flaw::Chunk)),
        ("0\r\n x: 1\r\n\r\n", Err(Flaw::Chunk)),
        ("0\r\nx\r\n\r\n", Err(Flaw::Chunk)),
    ] {
        for piece in [1, 2, 3, 7, 1_000] {
            assert_eq!(unchunked(text.as_bytes(), piece), expected, "{text:?} in pieces of {piece}");
        }
    }
    let long = format!("5;{}\r\nhello\r\n0\r\n\r\n", "x".repeat(300));
    assert_eq!(unchunked(long.as_bytes(), 10), Err(Flaw::ChunkTooLong));
    let trailers = format!("0\r\n{}\r\n", "x: 1\r\n".repeat(65));
    assert_eq!(unchunked(trailers.as_bytes(), 10), Err(Flaw::ChunkTooLong));
}

#[test]
fn the_line_of_a_chunk_is_its_size() {
    for size in [1, 9, 10, 15, 16, 255, 256, 65_535, 65_536, usize::MAX] {
        let (text, length) = chunk_head(size);
        assert_eq!(text[..length], *format!("{size:x}\r\n").as_bytes());
    }
}

proptest! {
    /// A head is found at the same place however it comes.
    #[test]
    fn the_end_of_a_head_does_not_depend_on_how_it_comes(text in "([a-c: ]{0,6}(\r\n|\r|\n)?){0,8}", piece in 1_usize..9) {
        let bytes = text.as_bytes();
        let whole = HeadEnd::default().find(bytes);
        let mut scan = HeadEnd::default();
        let mut found = Ok(None);
        let mut end = 0;
        while end < bytes.len() && found == Ok(None) {
            end = (end + piece).min(bytes.len());
            found = scan.find(&bytes[..end]);
        }
        prop_assert_eq!(found, whole);
    }

    /// What is written as chunks is read back.
    #[test]
    fn chunks_that_were_written_are_read_back(
        parts in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..50), 0..6),
        piece in 1_usize..20,
    ) {
        let mut text = Vec::new();
        for part in &parts {
            let (line, length) = chunk_head(part.len());
            text.extend_from_slice(&line[..length]);
            text.extend_from_slice(part);
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(LAST_CHUNK);
        prop_assert_eq!(unchunked(&text, piece), Ok((parts.concat(), 0)));
    }

    /// Nothing that comes makes the codec fail otherwise than by saying so.
    #[test]
    fn no_bytes_make_a_head_that_cannot_be_asked(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(head) = RequestHead::parse(&bytes) {
            let _ = (head.target().len(), head.path().len(), head.query(), head.authority());
        }
        let _ = ResponseHead::parse(&bytes, &Method::GET);
        let _ = unchunked(&bytes, 3);
    }
}
