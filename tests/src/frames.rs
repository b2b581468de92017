//! HTTP/2 frame by frame (RFC 9113 §4): whatever a client may send, and whatever none should.

use std::collections::BTreeMap;
use std::io::{self, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::client::Answer;
use crate::hpack::{self, Block};

/// What every connection begins with.
pub const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Types of frames.
#[allow(missing_docs, reason = "named as the RFC names them")]
pub mod kind {
    pub const DATA: u8 = 0;
    pub const HEADERS: u8 = 1;
    pub const PRIORITY: u8 = 2;
    pub const RST_STREAM: u8 = 3;
    pub const SETTINGS: u8 = 4;
    pub const PUSH_PROMISE: u8 = 5;
    pub const PING: u8 = 6;
    pub const GOAWAY: u8 = 7;
    pub const WINDOW_UPDATE: u8 = 8;
    pub const CONTINUATION: u8 = 9;
}

/// Flags of frames.
#[allow(missing_docs, reason = "named as the RFC names them")]
pub mod flag {
    pub const ACK: u8 = 1;
    pub const END_STREAM: u8 = 1;
    pub const END_HEADERS: u8 = 4;
    pub const PADDED: u8 = 8;
    pub const PRIORITY: u8 = 0x20;
}

/// Settings that tests send.
#[allow(missing_docs, reason = "named as the RFC names them")]
pub mod setting {
    pub const HEADER_TABLE_SIZE: u16 = 1;
    pub const INITIAL_WINDOW_SIZE: u16 = 4;
}

/// A frame as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Its type.
    pub kind: u8,
    /// Its flags.
    pub flags: u8,
    /// Its stream, or 0.
    pub stream: u32,
    /// What is in it.
    pub payload: Vec<u8>,
}

impl Frame {
    /// Reads one.
    pub fn read(from: &mut impl Read) -> io::Result<Self> {
        let mut head = [0; 9];
        from.read_exact(&mut head)?;
        let [a, b, c, kind, flags, stream @ ..] = head;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        from.read_exact(&mut payload)?;
        Ok(Self { kind, flags, stream: u32::from_be_bytes(stream) & 0x7fff_ffff, payload })
    }

    /// Whether it has that type and all of those flags.
    pub fn is(&self, kind: u8, flags: u8) -> bool {
        self.kind == kind && self.flags & flags == flags
    }

    /// The error code of a GOAWAY or RST_STREAM.
    pub fn code(&self) -> u32 {
        let at = if self.kind == kind::GOAWAY { 4 } else { 0 };
        self.payload.get(at..at + 4).map_or(u32::MAX, |code| u32::from_be_bytes(code.try_into().unwrap()))
    }
}

/// A frame to be sent.
pub fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    announced(payload.len(), kind, flags, stream, payload)
}

/// A frame that says another length than it has.
pub fn announced(length: usize, kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, length @ ..] = u32::try_from(length).unwrap().to_be_bytes();
    [&length[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// A whole head in one frame.
pub fn headers(stream: u32, block: &Block, end: bool) -> Vec<u8> {
    let flags = flag::END_HEADERS | if end { flag::END_STREAM } else { 0 };
    frame(kind::HEADERS, flags, stream, block.bytes())
}

/// A whole head in as many frames as it takes.
pub fn split_headers(stream: u32, block: &Block, end: bool) -> Vec<u8> {
    let pieces: Vec<&[u8]> = block.bytes().chunks(16_384).collect();
    let mut bytes = Vec::new();
    for (at, piece) in pieces.iter().enumerate() {
        let last = if at + 1 == pieces.len() { flag::END_HEADERS } else { 0 };
        let ends = if end && at == 0 { flag::END_STREAM } else { 0 };
        let kind = if at == 0 { kind::HEADERS } else { kind::CONTINUATION };
        bytes.extend_from_slice(&frame(kind, last | ends, stream, piece));
    }
    bytes
}

/// A piece of a body.
pub fn data(stream: u32, bytes: &[u8], end: bool) -> Vec<u8> {
    frame(kind::DATA, if end { flag::END_STREAM } else { 0 }, stream, bytes)
}

/// The end of a stream before its time.
pub fn reset(stream: u32, code: u32) -> Vec<u8> {
    frame(kind::RST_STREAM, 0, stream, &code.to_be_bytes())
}

/// More room for a stream, or (0) for the connection.
pub fn window_update(stream: u32, bytes: u32) -> Vec<u8> {
    frame(kind::WINDOW_UPDATE, 0, stream, &bytes.to_be_bytes())
}

/// Settings.
pub fn settings(pairs: &[(u16, u32)]) -> Vec<u8> {
    let payload: Vec<u8> =
        pairs.iter().flat_map(|(name, value)| [&name.to_be_bytes()[..], &value.to_be_bytes()].concat()).collect();
    frame(kind::SETTINGS, 0, 0, &payload)
}

/// A PING.
pub fn ping(mark: u64) -> Vec<u8> {
    frame(kind::PING, 0, 0, &mark.to_be_bytes())
}

/// What became of a stream.
#[derive(Debug, Clone)]
pub enum Outcome {
    /// It was answered.
    Answer(Answer),
    /// It was reset, with this code.
    Reset(u32),
    /// The connection ended first: with the code of its last GOAWAY, if there was one.
    Ended(Option<u32>),
}

impl Outcome {
    /// The answer.
    pub fn answer(self) -> Answer {
        match self {
            Self::Answer(answer) => answer,
            other => panic!("no answer but {other:?}"),
        }
    }

    /// The status, or 0.
    pub fn status(&self) -> u16 {
        if let Self::Answer(answer) = self { answer.status } else { 0 }
    }
}

/// A client with prior knowledge that acknowledges what is to be acknowledged, and sends what it is told.
pub struct Http2 {
    stream: BufReader<TcpStream>,
    next: u32,
    /// Answers that have begun.
    begun: BTreeMap<u32, Answer>,
    /// What became of streams and was not asked for yet.
    over: BTreeMap<u32, Outcome>,
    /// Every GOAWAY: the last stream and the code.
    away: Vec<(u32, u32)>,
    ended: bool,
    /// Whether it makes room for what came.
    pub takes: bool,
}

impl Http2 {
    /// Connects; reads give up after twenty seconds.
    pub fn connect(address: SocketAddr) -> Self {
        Self::with_settings(address, &[]).unwrap_or_else(|error| panic!("cannot connect to {address}: {error}"))
    }

    /// The same with more settings.
    pub fn with_settings(address: SocketAddr, more: &[(u16, u32)]) -> io::Result<Self> {
        let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(5))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(20)))?;
        let settings = settings(&[&[(setting::HEADER_TABLE_SIZE, 0)], more].concat());
        stream.write_all(&[PREFACE, &settings].concat())?;
        let (begun, over, away) = (BTreeMap::new(), BTreeMap::new(), Vec::new());
        Ok(Self { stream: BufReader::new(stream), next: 1, begun, over, away, ended: false, takes: true })
    }

    /// The number of a new stream.
    pub fn open(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// Sends bytes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Sends a request without a body, or with this one in one frame for each 16 KiB. It is not heard of when nobody
    /// takes it; the outcome tells.
    pub fn ask(&mut self, block: &Block, body: Option<&[u8]>) -> u32 {
        let stream = self.open();
        let mut bytes = split_headers(stream, block, body.is_none());
        let pieces: Vec<&[u8]> = body.map(|body| body.chunks(16_384).collect()).unwrap_or_default();
        for (at, piece) in pieces.iter().enumerate() {
            bytes.extend_from_slice(&data(stream, piece, at + 1 == pieces.len()));
        }
        if body == Some(b"") {
            bytes.extend_from_slice(&data(stream, b"", true));
        }
        let _ = self.write(&bytes);
        stream
    }

    /// Sends a request and waits for what becomes of it.
    pub fn send(&mut self, block: &Block, body: Option<&[u8]>) -> Outcome {
        let stream = self.ask(block, body);
        self.outcome(stream)
    }

    /// `GET` of the host that test sites answer.
    pub fn get(&mut self, path: &str) -> Answer {
        self.send(&Block::request("GET", path), None).answer()
    }

    /// Waits for what becomes of a stream.
    pub fn outcome(&mut self, stream: u32) -> Outcome {
        loop {
            if let Some(outcome) = self.over.remove(&stream) {
                return outcome;
            }
            if self.read().is_err() {
                return Outcome::Ended(self.away.last().map(|(_, code)| *code));
            }
        }
    }

    /// Every GOAWAY so far: the last stream that is served, and the code.
    pub fn away(&self) -> &[(u32, u32)] {
        &self.away
    }

    /// Waits for the next GOAWAY.
    pub fn until_away(&mut self) -> (u32, u32) {
        let known = self.away.len();
        while self.away.len() == known {
            self.read().unwrap();
        }
        self.away[known]
    }

    /// Waits for the end of the connection; says with which code.
    pub fn until_closed(&mut self) -> Option<u32> {
        while !self.ended {
            let _ = self.read();
        }
        self.away.last().map(|(_, code)| *code)
    }

    /// Whether a request that was sent now would still be served: the other side has answered a PING, and has not
    /// said that it goes.
    pub fn is_open(&mut self) -> bool {
        if self.write(&ping(0x7465_7374)).is_err() {
            return false;
        }
        loop {
            match self.read() {
                Ok(frame) if frame.is(kind::PING, flag::ACK) => return self.away.is_empty(),
                Ok(_) => {}
                Err(_) => return false,
            }
        }
    }

    /// Reads a frame, and does what a client has to do about it.
    pub fn read(&mut self) -> io::Result<Frame> {
        let frame = Frame::read(&mut self.stream).inspect_err(|_| self.ended = true)?;
        match frame.kind {
            kind::SETTINGS if frame.flags & flag::ACK == 0 => {
                let _ = self.write(&self::frame(kind::SETTINGS, flag::ACK, 0, b""));
            }
            kind::PING if frame.flags & flag::ACK == 0 => {
                let _ = self.write(&self::frame(kind::PING, flag::ACK, 0, &frame.payload));
            }
            kind::GOAWAY => {
                let last = u32::from_be_bytes(frame.payload[..4].try_into().unwrap());
                self.away.push((last & 0x7fff_ffff, frame.code()));
            }
            kind::RST_STREAM => {
                // An answer may be whole before the rest of a body is declined (RFC 9113 §8.1).
                self.over.entry(frame.stream).or_insert(Outcome::Reset(frame.code()));
            }
            kind::HEADERS | kind::DATA => self.take(&frame),
            _ => {}
        }
        Ok(frame)
    }

    fn take(&mut self, frame: &Frame) {
        if frame.kind == kind::HEADERS {
            assert!(frame.is(kind::HEADERS, flag::END_HEADERS), "an answer's head in several frames");
            let fields = hpack::fields(&frame.payload).unwrap();
            let status = fields.iter().find(|(name, _)| name == ":status").map(|(_, value)| value.parse().unwrap());
            let answer = self.begun.entry(frame.stream).or_default();
            answer.status = status.unwrap_or(answer.status);
            answer.headers.extend(fields.into_iter().filter(|(name, _)| !name.starts_with(':')));
        } else {
            self.begun.entry(frame.stream).or_default().body.extend_from_slice(&frame.payload);
            let came = u32::try_from(frame.payload.len()).unwrap();
            if self.takes && came > 0 {
                let _ = self.write(&[window_update(0, came), window_update(frame.stream, came)].concat());
            }
        }
        if frame.flags & flag::END_STREAM != 0 {
            let answer = self.begun.remove(&frame.stream).unwrap();
            self.over.insert(frame.stream, Outcome::Answer(answer));
        }
    }
}
