//! A client that holds every byte of an answer against the oracle, and tells how an answer ended that did not end well.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use crate::oracle::{self, Asked, Message, Stop};

/// One connection.
pub struct StrictClient {
    stream: TcpStream,
    held: Vec<u8>,
    ended: bool,
}

/// What came in place of, or as, an answer.
#[derive(Debug, Clone)]
pub enum Heard {
    /// One final answer, with one reading, and the statuses of the interim ones in front of it.
    Answer(Box<Message>, Vec<u16>),
    /// The beginning of one, perhaps nothing at all, and the end of the connection.
    Cut(Vec<u8>),
    /// Bytes that are no answer, or one with several readings, and why.
    Wrong(Vec<u8>, String),
    /// Nothing more for five seconds.
    Silent(Vec<u8>),
}

impl StrictClient {
    /// Connects.
    pub fn connect(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
        stream.set_write_timeout(Some(Duration::from_secs(5))).unwrap();
        Self { stream, held: Vec::new(), ended: false }
    }

    /// Sends bytes; whoever does not take them is heard of by the next answer.
    pub fn write(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// The next final answer.
    pub fn hear(&mut self, by_head: bool, old: bool) -> Heard {
        let mut interim = Vec::new();
        let mut buffer = [0; 16_384];
        loop {
            match oracle::answer(&self.held, Asked { by_head, old, ended: self.ended }) {
                Ok((answer, taken)) => {
                    self.held.drain(..taken);
                    if answer.status >= 200 {
                        return Heard::Answer(Box::new(answer), interim);
                    }
                    interim.push(answer.status);
                    continue;
                }
                Err(Stop::Wrong(why)) => return Heard::Wrong(std::mem::take(&mut self.held), why),
                Err(Stop::More) if self.ended => return Heard::Cut(std::mem::take(&mut self.held)),
                Err(Stop::More) => {}
            }
            match self.stream.read(&mut buffer) {
                Ok(read) if read > 0 => self.held.extend_from_slice(&buffer[..read]),
                Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                    return Heard::Silent(self.held.clone());
                }
                // A reset in the middle of an answer that ends with the connection is not its end.
                Err(_) if !self.held.is_empty() => return Heard::Cut(std::mem::take(&mut self.held)),
                _ => self.ended = true,
            }
        }
    }

    /// Whether the next thing heard is 100, without anything behind it.
    pub fn is_asked_to_continue(&mut self) -> bool {
        let mut buffer = [0; 1_024];
        loop {
            match oracle::answer(&self.held, Asked::default()) {
                Ok((answer, taken)) => {
                    self.held.drain(..taken);
                    return answer.status == 100 && self.held.is_empty();
                }
                Err(Stop::Wrong(_)) => return false,
                Err(Stop::More) => {}
            }
            match self.stream.read(&mut buffer) {
                Ok(read) if read > 0 => self.held.extend_from_slice(&buffer[..read]),
                _ => return false,
            }
        }
    }

    /// Whether the connection ends without another byte.
    pub fn ends(&mut self) -> bool {
        matches!(self.hear(false, false), Heard::Cut(bytes) if bytes.is_empty())
    }
}
