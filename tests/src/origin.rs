//! A destination that a test scripts and listens in on: strict HTTP/1.1, a thread for each connection, every
//! request recorded byte for byte.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Received {
    /// The method.
    pub method: String,
    /// The target, raw.
    pub target: String,
    /// Names as they came, in their order.
    pub headers: Vec<(String, String)>,
    /// The body, without its framing.
    pub body: Vec<u8>,
}

impl Received {
    /// The first header of that name.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.all(name).into_iter().next()
    }

    /// Every header of that name.
    pub fn all(&self, name: &str) -> Vec<&str> {
        let matching = self.headers.iter().filter(|(known, _)| known.eq_ignore_ascii_case(name));
        matching.map(|(_, value)| value.as_str()).collect()
    }
}

/// What a test answers with.
#[derive(Debug, Clone)]
pub enum Reply {
    /// A status with a body of known length.
    Body(u16, Vec<u8>),
    /// These bytes, to the letter; then the connection goes on.
    Raw(Vec<u8>),
    /// The same after a pause.
    After(Duration, Box<Reply>),
    /// These bytes, then the end of the connection.
    RawThenClose(Vec<u8>),
}

impl Reply {
    /// 200 with a text.
    pub fn ok(text: impl Into<String>) -> Self {
        Self::Body(200, text.into().into_bytes())
    }
}

type Log = Mutex<Option<Vec<Received>>>;
type Script = dyn Fn(&Received) -> Reply + Send + Sync;

/// A listening destination; ends with the test's process.
pub struct Origin {
    address: SocketAddr,
    /// None while it forgets.
    received: Arc<Log>,
    connections: Arc<AtomicUsize>,
}

/// Turns an accepted socket into what is read and written: TLS, for example.
pub(crate) type Wrap = dyn Fn(TcpStream) -> io::Result<Box<dyn ReadWrite>> + Send + Sync;

/// Both directions of a connection.
pub trait ReadWrite: Read + Write + Send {}
impl<T: Read + Write + Send> ReadWrite for T {}

impl Origin {
    /// A destination that tells who it is and what it was asked.
    pub fn named(name: &'static str) -> Self {
        Self::start(move |request| Reply::ok(format!("{name} {} {}", request.method, request.target)))
    }

    /// A destination that answers as `script` says.
    pub fn start(script: impl Fn(&Received) -> Reply + Send + Sync + 'static) -> Self {
        Self::wrapped(script, |stream| Ok(Box::new(stream)))
    }

    /// A destination whose connections are wrapped first.
    pub fn wrapped(
        script: impl Fn(&Received) -> Reply + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> io::Result<Box<dyn ReadWrite>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let received = Arc::new(Mutex::new(Some(Vec::new())));
        let connections = Arc::new(AtomicUsize::new(0));
        let (script, wrap): (Arc<Script>, Arc<Wrap>) = (Arc::new(script), Arc::new(wrap));
        let (log, count) = (Arc::clone(&received), Arc::clone(&connections));
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                count.fetch_add(1, Ordering::SeqCst);
                let (script, wrap, log) = (Arc::clone(&script), Arc::clone(&wrap), Arc::clone(&log));
                std::thread::spawn(move || {
                    let _ = stream.set_nodelay(true);
                    // A connection that ends badly is part of many a test.
                    let _ = wrap(stream).and_then(|stream| serve(stream, &*script, &log));
                });
            }
        });
        Self { address, received, connections }
    }

    /// The same, but what is asked is not kept: for millions of requests there is no room.
    pub fn forgetful(self) -> Self {
        *self.received.lock().unwrap() = None;
        self
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// Every request so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone().unwrap_or_default()
    }

    /// The last request.
    pub fn last(&self) -> Received {
        self.received().pop().expect("a request has come")
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

fn serve(stream: Box<dyn ReadWrite>, script: &Script, log: &Log) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read_request(&mut stream)? {
        let reply = script(&request);
        if let Some(log) = log.lock().unwrap().as_mut() {
            log.push(request);
        }
        if !write_reply(stream.get_mut(), &reply)? {
            return Ok(());
        }
    }
    Ok(())
}

/// Says whether the connection goes on.
fn write_reply(out: &mut Box<dyn ReadWrite>, reply: &Reply) -> io::Result<bool> {
    match reply {
        Reply::Body(status, body) => {
            let mut bytes = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n\r\n", body.len()).into_bytes();
            bytes.extend_from_slice(body);
            out.write_all(&bytes)?;
        }
        Reply::Raw(bytes) => out.write_all(bytes)?,
        Reply::After(pause, reply) => {
            std::thread::sleep(*pause);
            return write_reply(out, reply);
        }
        Reply::RawThenClose(bytes) => {
            out.write_all(bytes)?;
            out.flush()?;
            return Ok(false);
        }
    }
    out.flush()?;
    Ok(true)
}

fn read_request(stream: &mut BufReader<Box<dyn ReadWrite>>) -> io::Result<Option<Received>> {
    let line = read_line(stream)?;
    if line.is_empty() {
        return Ok(None);
    }
    let mut words = line.split(' ');
    let (method, target) = (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let mut headers = Vec::new();
    loop {
        let line = read_line(stream)?;
        let Some((name, value)) = line.split_once(": ") else { break };
        headers.push((name.to_owned(), value.to_owned()));
    }
    let mut request = Received { method, target, headers, body: Vec::new() };
    if request.header("transfer-encoding").is_some() {
        loop {
            let size = usize::from_str_radix(&read_line(stream)?, 16).map_err(io::Error::other)?;
            let start = request.body.len();
            request.body.resize(start + size, 0);
            stream.read_exact(&mut request.body[start..])?;
            read_line(stream)?;
            if size == 0 {
                break;
            }
        }
    } else if let Some(length) = request.header("content-length") {
        let length = length.parse().map_err(io::Error::other)?;
        request.body.resize(length, 0);
        stream.read_exact(&mut request.body)?;
    }
    Ok(Some(request))
}

fn read_line(stream: &mut BufReader<Box<dyn ReadWrite>>) -> io::Result<String> {
    let mut line = String::new();
    stream.read_line(&mut line)?;
    Ok(line.trim_end_matches(['\r', '\n']).to_owned())
}
