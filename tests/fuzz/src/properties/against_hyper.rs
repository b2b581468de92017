//! The codec beside hyper's server, a good parser with another temper: it repairs where the codec refuses.
//!
//! Both are given the same bytes of a connection. Where both see a request, it is the same one, with the same body.
//! Where they differ, the difference is an entry of the closed list in [`super::strictness`]. hyper is driven by hand,
//! without a runtime and without a socket: it is polled until it waits.

use std::cell::RefCell;
use std::convert::Infallible;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};

use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::rt::{Read, ReadBufCursor, Write};

use super::chunks::{End, decode};
use super::requests::Parts;
use super::strictness::{self, Difference};
use crate::http1::{FIELDS, Flaw, Framing, HeadEnd, RequestHead};

/// A request as hyper sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Seen {
    method: String,
    authority: Option<String>,
    target: String,
    old: bool,
    /// By name, since hyper does not keep the order of different names.
    fields: Vec<(String, Vec<u8>)>,
    /// The body, when all of it came.
    body: Option<Vec<u8>>,
}

/// What the codec makes of one request of a connection.
struct Reading {
    at: usize,
    head: Result<Parts, Flaw>,
    /// The body, when all of it came; else how far it was good.
    body: Result<Vec<u8>, End>,
    next: usize,
}

impl Reading {
    fn flawed(at: usize, flaw: Flaw) -> Self {
        Self { at, head: Err(flaw), body: Err(End::More), next: at }
    }
}

/// What came of a connection.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Outcome {
    /// Requests that both saw and saw alike.
    pub(crate) alike: u64,
    /// The difference that ended it, if one did.
    pub(crate) difference: Option<Difference>,
}

/// Gives the bytes to both and compares what they see.
pub(super) fn compare(data: &[u8]) -> Outcome {
    let seen = hyper_sees(data);
    let mut outcome = Outcome::default();
    let mut at = 0;
    for index in 0.. {
        let read = codec_reads(data, at);
        let (read, seen) = match (read, seen.get(index)) {
            (None, None) => return outcome,
            (None, Some(seen)) => panic!("hyper sees a request where the codec waits: {seen:?}"),
            (Some(read), seen) => (read, seen),
        };
        let difference = match (&read.head, seen) {
            (Ok(parts), Some(seen)) => {
                is_alike(parts, seen);
                match (&read.body, &seen.body) {
                    (Ok(mine), Some(theirs)) => {
                        assert_eq!(mine, theirs, "another body than hyper sees");
                        None
                    }
                    (Err(_), None) => return outcome,
                    (Err(end), Some(_)) => Some(strictness::in_body(data, read.at, *end)),
                    (Ok(body), None) => Some(strictness::of_hyper_in_body(body, &data[read.at..read.next])),
                }
            }
            (Ok(parts), None) => Some(strictness::of_hyper(parts)),
            (Err(flaw), Some(_)) => Some(strictness::in_head(&data[read.at..], *flaw)),
            (Err(_), None) => return outcome,
        };
        if difference.is_some() {
            outcome.difference = difference;
            return outcome;
        }
        outcome.alike += 1;
        let Ok(parts) = &read.head else { return outcome };
        if is_last(parts) {
            return outcome;
        }
        at = read.next;
    }
    outcome
}

/// Whether nothing on the connection behind this request is the codec's matter.
fn is_last(parts: &Parts) -> bool {
    let connection = parts.all("connection").any(|value| !value.is_empty());
    parts.old || connection || parts.method == http::Method::CONNECT || parts.all("upgrade").next().is_some()
}

/// The request that begins there, as the router reads a connection; none when its head is not whole.
fn codec_reads(data: &[u8], at: usize) -> Option<Reading> {
    // One empty line in front of a request is let pass (RFC 9112 §2.2).
    let at = if data[at..].starts_with(b"\r\n") { at + 2 } else { at };
    let bytes = &data[at..];
    let end = match HeadEnd::default().find(bytes) {
        // A second empty line.
        Ok(Some(2)) => return Some(Reading::flawed(at, Flaw::FirstLine)),
        Ok(Some(end)) => end,
        Ok(None) => return None,
        Err(flaw) => return Some(Reading::flawed(at, flaw)),
    };
    let head = RequestHead::parse(&bytes[..end]).map(|head| Parts::of(&head));
    let rest = &bytes[end..];
    let (body, taken) = match head.as_ref().map(|parts| parts.framing) {
        Ok(Framing::Length(length)) => match usize::try_from(length).ok().and_then(|length| rest.get(..length)) {
            Some(body) => (Ok(body.to_vec()), body.len()),
            None => (Err(End::More), rest.len()),
        },
        Ok(Framing::Chunked) => {
            let body = decode(rest, &[rest.len()]);
            match body.end {
                End::Whole(length) => (Ok(body.data), length),
                End::More => (Err(End::More), rest.len()),
                // Told from the beginning of the bytes.
                End::Flawed(flaw, wrong) => (Err(End::Flawed(flaw, at + end + wrong)), rest.len()),
            }
        }
        _ => (Ok(Vec::new()), 0),
    };
    Some(Reading { at, head, body, next: at + end + taken })
}

fn is_alike(parts: &Parts, seen: &Seen) {
    assert_eq!(parts.method.as_str(), seen.method);
    assert_eq!(parts.old, seen.old, "another version");
    // CONNECT is refused by its name, whatever it asks for.
    if parts.method != http::Method::CONNECT {
        let (mine, theirs) = ((&parts.authority, &parts.target), (&seen.authority, &seen.target));
        assert_eq!(mine, theirs, "another target than hyper sees");
    }
    let text = |name: &[u8]| String::from_utf8_lossy(name).to_ascii_lowercase();
    let mut mine: Vec<_> = parts.fields.iter().map(|(name, value)| (text(name), value.clone())).collect();
    let mut theirs = seen.fields.clone();
    mine.sort_by(|a, b| a.0.cmp(&b.0));
    theirs.sort_by(|a, b| a.0.cmp(&b.0));
    assert_eq!(mine, theirs, "other fields than hyper sees");
}

/// What hyper sees in the bytes of a connection that stays open behind them.
fn hyper_sees(data: &[u8]) -> Vec<Seen> {
    let seen = Rc::new(RefCell::new(Vec::new()));
    let sink = Rc::clone(&seen);
    let service = hyper::service::service_fn(move |request: hyper::Request<Incoming>| {
        let sink = Rc::clone(&sink);
        async move {
            let (head, body) = request.into_parts();
            let index = {
                let mut sink = sink.borrow_mut();
                sink.push(of_head(&head));
                sink.len() - 1
            };
            // Trailers are read over.
            if let Ok(whole) = body.collect().await {
                sink.borrow_mut()[index].body = Some(whole.to_bytes().to_vec());
            }
            Ok::<_, Infallible>(hyper::Response::new(Empty::<Bytes>::new()))
        }
    });
    let wire = Wire { bytes: data.to_vec(), at: 0 };
    let mut connection = std::pin::pin!(
        hyper::server::conn::http1::Builder::new()
            .header_read_timeout(None)
            .max_headers(FIELDS)
            .serve_connection(wire, service)
    );
    let flag = Arc::new(Flag(AtomicBool::new(false)));
    let waker = Waker::from(Arc::clone(&flag));
    let mut context = Context::from_waker(&waker);
    while connection.as_mut().poll(&mut context).is_pending() && flag.0.swap(false, Ordering::Relaxed) {}
    seen.take()
}

fn of_head(head: &http::request::Parts) -> Seen {
    let fields = head.headers.iter().map(|(name, value)| (name.as_str().to_owned(), value.as_bytes().to_vec()));
    Seen {
        method: head.method.to_string(),
        authority: head.uri.authority().map(ToString::to_string),
        target: head.uri.path_and_query().map_or_else(String::new, ToString::to_string),
        old: head.version == http::Version::HTTP_10,
        fields: fields.collect(),
        body: None,
    }
}

/// Notes that it was woken.
struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Bytes that come at once, then nothing, not even an end. What is written goes nowhere.
struct Wire {
    bytes: Vec<u8>,
    at: usize,
}

impl Read for Wire {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<std::io::Result<()>> {
        let rest = &self.bytes[self.at..];
        let length = rest.len().min(to.remaining());
        if length == 0 {
            return Poll::Pending;
        }
        to.put_slice(&rest[..length]);
        self.at += length;
        Poll::Ready(Ok(()))
    }
}

impl Write for Wire {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
