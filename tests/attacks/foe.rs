//! A client that means no good: it sends whatever an attack says and listens beside, so that neither side waits for
//! the other.

use std::io::{BufReader, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use postern_tests::frames::{self, Frame, PREFACE, flag, kind};
use postern_tests::hpack::Block;

/// How a connection stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Standing {
    /// It goes on.
    Open,
    /// It goes on, and a PING was not answered for half a minute.
    Silent,
    /// The router ended it, with that code of a GOAWAY, or so roughly that none was heard.
    Ended(Option<u32>),
}

#[derive(Default)]
struct Heard {
    away: Option<u32>,
    ended: bool,
    pongs: usize,
    resets: usize,
}

/// One connection of an attacker.
pub(super) struct Foe {
    stream: TcpStream,
    heard: Arc<(Mutex<Heard>, Condvar)>,
    listener: Option<JoinHandle<()>>,
    next: u32,
    /// Bytes that were sent.
    pub(super) sent: u64,
    /// What was sent so far is no whole frame or head: nothing else can follow.
    pub(super) amid: bool,
}

impl Foe {
    /// Connects and says nothing yet.
    pub(super) fn silent(address: SocketAddr) -> Self {
        let stream = TcpStream::connect_timeout(&address, Duration::from_secs(10)).unwrap();
        stream.set_nodelay(true).unwrap();
        // Whoever is not read from for so long goes on with something else.
        stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
        Self { stream, heard: Arc::default(), listener: None, next: 1, sent: 0, amid: false }
    }

    /// Sends the preface and these settings, and listens to what comes.
    pub(super) fn greet(&mut self, settings: &[(u16, u32)]) {
        self.send(&[PREFACE, &frames::settings(settings)].concat());
        self.listen();
    }

    /// Listens from now on.
    pub(super) fn listen(&mut self) {
        let (stream, heard) = (self.stream.try_clone().unwrap(), Arc::clone(&self.heard));
        let small = std::thread::Builder::new().stack_size(128 * 1024);
        self.listener = Some(small.spawn(move || listen(stream, &heard)).unwrap());
    }

    /// Sends bytes; says whether somebody still takes them.
    pub(super) fn send(&mut self, bytes: &[u8]) -> bool {
        let taken = self.stream.write_all(bytes).is_ok();
        self.sent += if taken { bytes.len() as u64 } else { 0 };
        taken
    }

    /// The number of a new stream.
    pub(super) fn open(&mut self) -> u32 {
        self.next += 2;
        self.next - 2
    }

    /// The number of the stream that was opened last.
    pub(super) fn last(&self) -> u32 {
        self.next - 2
    }

    /// A request without a body, ready to be sent.
    pub(super) fn request(&mut self, block: &Block) -> Vec<u8> {
        frames::headers(self.open(), block, true)
    }

    /// Sends so many pieces, several at once, until nobody takes them.
    pub(super) fn flood(&mut self, pieces: usize, mut piece: impl FnMut(&mut Self, usize) -> Vec<u8>) {
        const AT_ONCE: usize = 64;
        for begin in (0..pieces).step_by(AT_ONCE) {
            let end = pieces.min(begin + AT_ONCE);
            let bytes: Vec<u8> = (begin..end).flat_map(|at| piece(self, at)).collect();
            if !self.send(&bytes) {
                return;
            }
        }
    }

    /// Waits until everything that was sent has been dealt with, as a PING tells, or the connection has ended.
    pub(super) fn settle(&mut self) -> Standing {
        if self.listener.is_none() || self.amid {
            return self.standing();
        }
        let pongs = self.heard.0.lock().unwrap().pongs;
        // Behind its back: it is no part of the attack.
        let _ = self.stream.write_all(&frames::ping(u64::MAX));
        let patience = Duration::from_secs(30);
        let state = self.heard.0.lock().unwrap();
        let waiting = |heard: &mut Heard| !heard.ended && heard.pongs == pongs;
        let (state, late) = self.heard.1.wait_timeout_while(state, patience, waiting).unwrap();
        drop(state);
        if late.timed_out() { Standing::Silent } else { self.standing() }
    }

    /// Waits for the end of the connection.
    pub(super) fn until_ended(&mut self) -> Standing {
        let state = self.heard.0.lock().unwrap();
        let patience = Duration::from_secs(30);
        drop(self.heard.1.wait_timeout_while(state, patience, |heard| !heard.ended).unwrap());
        self.standing()
    }

    /// How it stands.
    pub(super) fn standing(&self) -> Standing {
        let heard = self.heard.0.lock().unwrap();
        if heard.ended { Standing::Ended(heard.away) } else { Standing::Open }
    }

    /// Streams that the router reset.
    pub(super) fn resets(&self) -> usize {
        self.heard.0.lock().unwrap().resets
    }
}

impl Drop for Foe {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(Shutdown::Both);
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

fn listen(stream: TcpStream, heard: &(Mutex<Heard>, Condvar)) {
    let mut reader = BufReader::with_capacity(64 * 1024, stream);
    loop {
        let frame = Frame::read(&mut reader);
        let mut state = heard.0.lock().unwrap();
        match frame {
            Ok(frame) => match frame.kind {
                kind::GOAWAY => state.away = Some(frame.code()),
                kind::RST_STREAM => state.resets += 1,
                kind::PING if frame.flags & flag::ACK != 0 && frame.payload == [0xff; 8] => state.pongs += 1,
                _ => continue,
            },
            Err(_) => state.ended = true,
        }
        let ended = state.ended;
        drop(state);
        heard.1.notify_all();
        if ended {
            return;
        }
    }
}
