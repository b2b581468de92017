//! A destination that a test plays by hand, byte by byte: for what no decent server does.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::frames::{Frame, PREFACE};

/// A listening socket; ends with the test's process.
pub struct RawOrigin {
    address: SocketAddr,
    accepted: Arc<AtomicUsize>,
    ended: Arc<AtomicUsize>,
}

/// One accepted connection.
pub struct Wire {
    stream: BufReader<TcpStream>,
}

impl RawOrigin {
    /// Plays `part` on every connection, each on a thread of its own.
    pub fn start(part: impl Fn(&mut Wire) + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (accepted, ended) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let (count, over, part) = (Arc::clone(&accepted), Arc::clone(&ended), Arc::new(part));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (part, over) = (Arc::clone(&part), Arc::clone(&over));
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    part(&mut Wire { stream: BufReader::new(stream) });
                    over.fetch_add(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, accepted, ended }
    }

    /// The same frame by frame, on connections of HTTP/2: says `greeting` where settings belong, then plays `part` for
    /// each frame that comes, until that says not to go on.
    pub fn of_http2(greeting: Vec<u8>, part: impl Fn(&mut Wire, &Frame) -> bool + Send + Sync + 'static) -> Self {
        Self::start(move |wire| {
            // Who takes nothing more keeps no thread for long.
            let _ = wire.stream.get_ref().set_write_timeout(Some(Duration::from_secs(5)));
            let mut goes_on = wire.read(PREFACE.len() as u64) == PREFACE && wire.write(&greeting);
            while goes_on {
                goes_on = Frame::read(&mut wire.stream).is_ok_and(|came| part(wire, &came));
            }
        })
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Connections that were accepted.
    pub fn accepted(&self) -> usize {
        self.accepted.load(Ordering::SeqCst)
    }

    /// Connections whose part is played to its end.
    pub fn ended(&self) -> usize {
        self.ended.load(Ordering::SeqCst)
    }
}

impl Wire {
    /// Reads a head to its empty line; empty when the connection ended.
    pub fn head(&mut self) -> String {
        let mut head = String::new();
        while self.stream.read_line(&mut head).is_ok_and(|read| read > 2) {}
        head
    }

    /// Reads so many bytes, as many as come.
    pub fn read(&mut self, bytes: u64) -> Vec<u8> {
        let mut read = Vec::new();
        let _ = (&mut self.stream).take(bytes).read_to_end(&mut read);
        read
    }

    /// Writes bytes; says whether there was still somebody to take them.
    pub fn write(&mut self, bytes: &[u8]) -> bool {
        self.stream.get_mut().write_all(bytes).is_ok()
    }

    /// Reads a head as far as it comes within that time; empty when none began.
    pub fn head_within(&mut self, patience: Duration) -> String {
        // No time at all would mean without end.
        let patience = patience.max(Duration::from_micros(1));
        let _ = self.stream.get_ref().set_read_timeout(Some(patience));
        let begun = self.stream.fill_buf().is_ok_and(|bytes| !bytes.is_empty());
        let _ = self.stream.get_ref().set_read_timeout(None);
        if begun { self.head() } else { String::new() }
    }

    /// Waits until the other side speaks, and reads nothing of it.
    pub fn until_spoken_to(&mut self) {
        let _ = self.stream.get_ref().peek(&mut [0]);
    }

    /// Ends the connection with a reset instead of in peace.
    pub fn reset(&mut self) {
        let _ = socket2::SockRef::from(self.stream.get_ref()).set_linger(Some(Duration::ZERO));
    }

    /// Waits until the other side has closed, however it does so.
    pub fn until_closed(&mut self) {
        let mut rest = [0; 4_096];
        while self.stream.read(&mut rest).is_ok_and(|read| read > 0) {}
    }
}
