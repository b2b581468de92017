//! A destination that holds every byte it gets against the oracle and writes down what arrived: whole, wrong or cut.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use crate::oracle::{self, Message, Stop};
use crate::wait::eventually;

/// What came over a connection.
#[derive(Debug, Clone)]
pub enum Arrival {
    /// A request with one reading.
    Whole(Message),
    /// Bytes that are no request, or one with several readings, and why.
    Wrong(Vec<u8>, String),
    /// The beginning of a request, when the connection ended.
    Cut(Vec<u8>),
}

impl Arrival {
    /// Whether these bytes are anywhere in it.
    pub fn holds(&self, text: &[u8]) -> bool {
        let within = |bytes: &[u8]| bytes.windows(text.len()).any(|window| window == text);
        match self {
            Self::Whole(message) => {
                let fields = message.fields.iter().any(|(_, value)| within(value.as_bytes()));
                fields || within(message.target.as_bytes()) || within(message.method.as_bytes())
            }
            Self::Wrong(bytes, _) | Self::Cut(bytes) => within(bytes),
        }
    }
}

/// A listening destination; ends with the test's process.
pub struct Recorder {
    address: SocketAddr,
    arrivals: Arc<Mutex<Vec<Arrival>>>,
    open: Arc<AtomicUsize>,
}

impl Default for Recorder {
    fn default() -> Self {
        Self::start()
    }
}

impl Recorder {
    /// Answers every whole request with 200 and `METHOD target` as the body; ends a connection on wrong bytes.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let arrivals: Arc<Mutex<Vec<Arrival>>> = Arc::default();
        let open: Arc<AtomicUsize> = Arc::default();
        let (log, count) = (Arc::clone(&arrivals), Arc::clone(&open));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (log, count) = (Arc::clone(&log), Arc::clone(&count));
                std::thread::spawn(move || {
                    record(stream, &log);
                    count.fetch_sub(1, Ordering::SeqCst);
                });
            }
        });
        Self { address, arrivals, open }
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Everything that arrived, once all connections are over: whoever connects must have gone.
    pub fn into_arrivals(self) -> Vec<Arrival> {
        // Connections are taken in turn, so this one comes behind all others.
        let mut last = TcpStream::connect(self.address).unwrap();
        last.write_all(b"GET /last HTTP/1.1\r\nhost: recorder\r\n\r\n").unwrap();
        let mut answered = [0; 8];
        last.read_exact(&mut answered).unwrap();
        drop(last);
        eventually("every connection to end", || (self.open.load(Ordering::SeqCst) == 0).then_some(()));
        let mut arrivals = std::mem::take(&mut *self.arrivals.lock().unwrap());
        arrivals.retain(|arrival| !matches!(arrival, Arrival::Whole(message) if message.target == "/last"));
        arrivals
    }
}

fn record(mut stream: TcpStream, log: &Mutex<Vec<Arrival>>) {
    let _ = stream.set_nodelay(true);
    let mut held = Vec::new();
    let mut buffer = [0; 16_384];
    loop {
        match oracle::request(&held) {
            Ok((message, taken)) => {
                held.drain(..taken);
                let body = match message.method.as_str() {
                    "HEAD" => String::new(),
                    method => format!("{method} {}", message.target),
                };
                let length = message.method.len() + 1 + message.target.len();
                log.lock().unwrap().push(Arrival::Whole(message));
                if write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}").is_err() {
                    return;
                }
                continue;
            }
            Err(Stop::Wrong(why)) => {
                log.lock().unwrap().push(Arrival::Wrong(held, why));
                return;
            }
            Err(Stop::More) => {}
        }
        match stream.read(&mut buffer) {
            Ok(read) if read > 0 => held.extend_from_slice(&buffer[..read]),
            _ => break,
        }
    }
    if !held.is_empty() {
        log.lock().unwrap().push(Arrival::Cut(held));
    }
}
