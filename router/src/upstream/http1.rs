//! One HTTP/1 connection to a destination: an answer's head and body, out of what the stream brings.
//!
//! Owns the stream and the bytes that were read and not yet used. Assumes one exchange at a time. Must never know
//! pools, deadlines or destinations.

use std::mem::MaybeUninit;
use std::net::IpAddr;
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use http::{Method, StatusCode};
use socket2::SockRef;
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::Instant;

use super::connect::Stream;
use super::limits;
use super::tls;
use crate::alarm::Alarm;
use crate::buffer::{self, Buffer};
use crate::http1::{ChunkDecoder, Flaw, Framing, HeadEnd, RESPONSE_HEAD, ResponseHead};
use crate::inbox::Inbox;
use crate::pipe::Pipe;
use crate::reject::{Reason, Rejection};

/// One connection to a destination. Dropping it closes the socket, whatever is under way.
pub(super) struct Connection {
    pub(super) stream: Stream,
    inbox: Inbox,
    scan: HeadEnd,
    interim: u32,
    /// Whether the answer before went on without being looked at: then so will the next, and only its head is read.
    passed_through: bool,
    peer: IpAddr,
    too_old_at: Instant,
    /// For whatever is waited for on it.
    pub(super) alarm: Alarm,
}

/// Why no answer, or no more of it, came.
pub(super) enum ReadFault {
    /// The connection is over.
    Ended,
    /// The connection failed.
    Broken(std::io::Error),
    /// What came is no answer.
    Flawed(Flaw),
    /// An answer that may not be there.
    Unasked(&'static str),
}

impl Connection {
    /// Takes a stream into use.
    pub(super) fn new(stream: Stream) -> Self {
        // Give or take a tenth, so that connections made together do not go together.
        let age = limits::AGE.mul_f64(0.9 + 0.2 * fastrand::f64());
        Self {
            peer: stream.peer(),
            stream,
            inbox: Inbox::default(),
            scan: HeadEnd::default(),
            interim: 0,
            passed_through: false,
            too_old_at: Instant::now() + age,
            alarm: Alarm::default(),
        }
    }

    /// The address at the other end.
    pub(super) fn peer(&self) -> IpAddr {
        self.peer
    }

    /// Until when it may be used again.
    pub(super) fn too_old_at(&self) -> Instant {
        self.too_old_at
    }

    /// Whether it lives, as far as the runtime has heard. With `surely` the system is asked: worth it for what
    /// cannot be sent twice.
    pub(super) fn is_fit(&mut self, surely: bool) -> bool {
        if surely {
            let mut byte = [MaybeUninit::uninit()];
            let silent = SockRef::from(self.stream.tcp()).peek(&mut byte);
            if !matches!(silent, Err(error) if error.kind() == std::io::ErrorKind::WouldBlock) {
                return false;
            }
        }
        let mut byte = [MaybeUninit::uninit()];
        let mut byte = ReadBuf::uninit(&mut byte);
        // Whatever came between two exchanges belongs to neither.
        Pin::new(&mut self.stream).poll_read(&mut Context::from_waker(Waker::noop()), &mut byte).is_pending()
    }

    /// Nothing of the exchange before may be left.
    pub(super) fn is_clean(&self) -> bool {
        self.inbox.is_empty()
    }

    /// Whether a byte of an answer is there, be it an interim one.
    pub(super) fn has_answered(&self) -> bool {
        self.interim > 0 || !self.is_clean()
    }

    /// Makes ready for the next exchange, and keeps no memory until then.
    pub(super) fn rest(&mut self) {
        self.inbox = Inbox::default();
        self.interim = 0;
    }

    /// The head of the answer to a request with `method`, and behind it as much of the body as is worth it: `little`
    /// when many share the client's connection. Interim answers are let pass, up to a bound: the client was invited
    /// by the router, if at all.
    pub(super) fn poll_head(
        &mut self,
        context: &mut Context<'_>,
        method: &Method,
        little: bool,
    ) -> Poll<Result<ResponseHead, ReadFault>> {
        let most = if little || self.passed_through { buffer::SMALL } else { buffer::MEDIUM };
        loop {
            let bytes = self.inbox.unused();
            match self.scan.find(bytes).map_err(ReadFault::Flawed)? {
                Some(length) if length <= RESPONSE_HEAD => {
                    let head = ResponseHead::parse(&bytes[..length], method).map_err(ReadFault::Flawed)?;
                    (self.scan, self.passed_through) = (HeadEnd::default(), false);
                    self.skip(length);
                    if !head.status().is_informational() || head.status() == StatusCode::SWITCHING_PROTOCOLS {
                        return Poll::Ready(Ok(head));
                    }
                    self.interim += 1;
                    if self.interim > limits::INTERIM {
                        return Poll::Ready(Err(ReadFault::Unasked("more interim answers than are let pass")));
                    }
                    continue;
                }
                None if bytes.len() <= RESPONSE_HEAD => {}
                _ => return Poll::Ready(Err(ReadFault::Flawed(Flaw::HeadTooLarge))),
            }
            match ready!(self.poll_more(context, most)) {
                Ok(0) => return Poll::Ready(Err(ReadFault::Ended)),
                Ok(_) => {}
                Err(error) => return Poll::Ready(Err(ReadFault::Broken(error))),
            }
        }
    }

    /// The bytes that are there.
    pub(super) fn unused(&self) -> &[u8] {
        self.inbox.unused()
    }

    /// Lets go of bytes.
    pub(super) fn skip(&mut self, bytes: usize) {
        self.inbox.skip(bytes);
    }

    /// Takes at most so many bytes into a pipe: zero at the end, or when the bytes are not on the socket as they are.
    pub(super) fn poll_fill(
        &mut self,
        context: &mut Context<'_>,
        pipe: &mut Pipe,
        most: u64,
    ) -> Poll<std::io::Result<usize>> {
        self.passed_through = true;
        self.stream.plain().map_or(Poll::Ready(Ok(0)), |socket| pipe.poll_fill(socket, context, most))
    }

    /// Reads once, at most so much: zero at the end. While nothing comes and nothing is kept, no memory is held.
    pub(super) fn poll_more(&mut self, context: &mut Context<'_>, most: usize) -> Poll<std::io::Result<usize>> {
        self.inbox.poll_more(&mut self.stream, context, most)
    }

    /// The stream, and what came over it beyond the head, when it goes over to another protocol.
    pub(super) fn into_parts(self) -> (Stream, Buffer) {
        let Self { stream, inbox, .. } = self;
        (stream, inbox.into_unused())
    }
}

/// What is left of an answer's body on a connection.
#[derive(Clone, Copy)]
pub(super) enum Rest {
    /// Nothing.
    Over,
    /// So many bytes.
    Length(u64),
    /// Chunks.
    Chunked(ChunkDecoder),
    /// Whatever comes.
    UntilClose,
}

/// Longer bodies are read in large pieces.
const LONG: u64 = 64 * 1024;

impl Rest {
    pub(super) fn of(framing: Framing) -> Self {
        match framing {
            Framing::None => Self::Over,
            Framing::Length(length) => Self::Length(length),
            Framing::Chunked => Self::Chunked(ChunkDecoder::default()),
            Framing::UntilClose => Self::UntilClose,
        }
    }

    pub(super) fn is_over(&self) -> bool {
        matches!(self, Self::Over)
    }

    /// How many bytes of data are at the front of what is there; drops framing in front of them.
    pub(super) fn look(&mut self, connection: &mut Connection) -> Result<usize, Flaw> {
        match self {
            Self::Over => Ok(0),
            Self::Length(left) => Ok(usize::try_from(*left).unwrap_or(usize::MAX).min(connection.unused().len())),
            Self::UntilClose => Ok(connection.unused().len()),
            Self::Chunked(decoder) => {
                let decoded = decoder.decode(connection.unused())?;
                connection.skip(decoded.framing);
                if decoder.is_done() {
                    *self = Self::Over;
                }
                Ok(decoded.data)
            }
        }
    }

    /// Notes that so many bytes of data are gone.
    pub(super) fn take(&mut self, bytes: usize) {
        match self {
            Self::Over | Self::UntilClose => {}
            Self::Length(left) => {
                *left = left.saturating_sub(bytes as u64);
                if *left == 0 {
                    *self = Self::Over;
                }
            }
            Self::Chunked(decoder) => decoder.take(bytes),
        }
    }

    /// What the end of the connection means.
    pub(super) fn at_end(&mut self) -> Result<(), ReadFault> {
        match self {
            Self::Over | Self::UntilClose => {
                *self = Self::Over;
                Ok(())
            }
            Self::Length(_) | Self::Chunked(_) => Err(ReadFault::Ended),
        }
    }

    /// How much it is worth to read at once.
    pub(super) fn worth(&self) -> usize {
        if matches!(self, Self::Length(left) if *left > LONG) { buffer::LARGE } else { buffer::MEDIUM }
    }
}

impl ReadFault {
    /// Whether it is the connection that is over, rather than what came that is wrong.
    pub(super) fn is_end(&self) -> bool {
        matches!(self, Self::Ended | Self::Broken(_))
    }
}

impl From<ReadFault> for Rejection {
    fn from(fault: ReadFault) -> Self {
        match fault {
            ReadFault::Ended => Self::new(Reason::DestinationReset, "the connection ended before the answer did"),
            // TLS 1.3 refuses a client certificate only after the handshake.
            ReadFault::Broken(error) if tls::tls_error(&error).is_some() => {
                Self::new(Reason::TlsFailed, error.to_string())
            }
            ReadFault::Broken(error) => Self::new(Reason::DestinationReset, error.to_string()),
            ReadFault::Flawed(flaw) => Self::new(Reason::DestinationProtocol, flaw.to_string()),
            ReadFault::Unasked(what) => Self::new(Reason::DestinationProtocol, what),
        }
    }
}
