//! WebSockets: both ends by a library, for what decent ones do, and both ends by hand, byte by byte.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tungstenite::handshake::derive_accept_key;
use tungstenite::handshake::server::{ErrorResponse, Request as Handshake, Response};
use tungstenite::http::HeaderValue;
use tungstenite::protocol::WebSocketConfig;
use tungstenite::{Message, WebSocket};

use crate::client::{Answer, Client, Request};

const PATIENCE: Duration = Duration::from_secs(20);

/// A key, for handshakes by hand.
pub const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// A right handshake.
pub fn handshake(path: &str) -> Request {
    let request = Request::new("GET", path).header("connection", "Upgrade").header("upgrade", "websocket");
    request.header("sec-websocket-version", "13").header("sec-websocket-key", KEY)
}

/// The 101 that agrees to a handshake.
pub fn agreed(head: &str) -> String {
    let mut fields = head.lines().filter_map(|line| line.split_once(": "));
    let key = fields.find(|(name, _)| name.eq_ignore_ascii_case("sec-websocket-key"));
    let accept = derive_accept_key(key.unwrap_or_else(|| panic!("no key in {head}")).1.as_bytes());
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

/// A WebSocket of the library's, to a path of the host that test sites answer.
pub fn open(address: SocketAddr, path: &str, headers: &[(&'static str, &str)]) -> (WebSocket<TcpStream>, Response) {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut request = Handshake::builder()
        .uri(format!("ws://{}{path}", crate::documents::HOST))
        .header("host", crate::documents::HOST)
        .header("connection", "Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", tungstenite::handshake::client::generate_key());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    tungstenite::client::client_with_config(request.body(()).unwrap(), stream, Some(large()))
        .map(|(socket, response)| (socket, response.map(|_| ())))
        .unwrap_or_else(|error| panic!("no WebSocket: {error}"))
}

fn large() -> WebSocketConfig {
    WebSocketConfig::default().max_message_size(Some(64 << 20)).max_frame_size(Some(64 << 20))
}

/// A destination that sends back what it is sent, and takes the first subprotocol that is offered.
pub struct Echo {
    address: SocketAddr,
    closed: Arc<Mutex<Vec<Option<u16>>>>,
}

impl Echo {
    /// Listens; a thread for each connection.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let closed: Arc<Mutex<Vec<Option<u16>>>> = Arc::default();
        let log = Arc::clone(&closed);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let log = Arc::clone(&log);
                std::thread::spawn(move || {
                    let code = echo(stream);
                    log.lock().unwrap().push(code);
                });
            }
        });
        Self { address, closed }
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The codes that connections were closed with; none for those that just ended.
    pub fn closed(&self) -> Vec<Option<u16>> {
        self.closed.lock().unwrap().clone()
    }
}

fn echo(stream: TcpStream) -> Option<u16> {
    stream.set_nodelay(true).ok()?;
    #[allow(clippy::result_large_err, reason = "the library's own signature")]
    let choose = |request: &Handshake, mut response: Response| -> Result<Response, ErrorResponse> {
        let offered = request.headers().get("sec-websocket-protocol").and_then(|value| value.to_str().ok());
        if let Some(first) = offered.and_then(|offered| offered.split(',').next()) {
            let value = HeaderValue::from_str(first.trim()).expect("a token");
            response.headers_mut().insert("sec-websocket-protocol", value);
        }
        Ok(response)
    };
    let mut socket = tungstenite::accept_hdr_with_config(stream, choose, Some(large())).ok()?;
    let mut code = None;
    loop {
        match socket.read() {
            Ok(message @ (Message::Text(_) | Message::Binary(_))) => socket.send(message).ok()?,
            Ok(Message::Close(frame)) => code = frame.map(|frame| frame.code.into()),
            Ok(_) => {}
            Err(_) => return code,
        }
    }
}

/// Tunnels of which a test holds both ends by hand.
pub struct Pairs {
    address: SocketAddr,
    agreed: Receiver<(String, TcpStream)>,
}

/// Both ends of one tunnel.
pub struct Pair {
    /// The client's.
    pub client: TcpStream,
    /// The destination's.
    pub destination: TcpStream,
    /// The request id that the client was told.
    pub id: String,
}

impl Default for Pairs {
    fn default() -> Self {
        Self::start()
    }
}

impl Pairs {
    /// A destination that agrees to every handshake, one after the other.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (sender, agreed) = channel();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let _ = stream.set_nodelay(true);
                let head = read_head(&mut stream);
                if !head.is_empty() {
                    let _ = stream.write_all(self::agreed(&head).as_bytes());
                    let _ = sender.send((head, stream));
                }
            }
        });
        Self { address, agreed }
    }

    /// Its port on the loopback address.
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// The head of the next handshake that was agreed to, and the destination's end.
    pub fn accepted(&self) -> (String, TcpStream) {
        let (head, destination) = self.agreed.recv_timeout(PATIENCE).unwrap();
        destination.set_read_timeout(Some(PATIENCE)).unwrap();
        (head, destination)
    }

    /// Opens a tunnel through a router.
    pub fn open(&self, router: SocketAddr, path: &str) -> Pair {
        let mut client = TcpStream::connect(router).unwrap();
        client.set_nodelay(true).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client.write_all(&handshake(path).bytes()).unwrap();
        let head = read_head(&mut client);
        assert!(head.starts_with("HTTP/1.1 101 "), "no tunnel: {head}");
        let id = head.lines().find_map(|line| line.strip_prefix("x-request-id: ")).unwrap().to_owned();
        let (_, destination) = self.accepted();
        Pair { client, destination, id }
    }
}

/// A head, byte by byte, so that nothing behind it is taken.
fn read_head(stream: &mut TcpStream) -> String {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).is_ok_and(|read| read > 0) {
        head.push(byte[0]);
    }
    String::from_utf8_lossy(&head).into_owned()
}

impl Pair {
    /// A small frame each way comes through.
    pub fn is_alive(&mut self) -> bool {
        passes(&mut self.client, &mut self.destination, &[0x81, 0x82, 0, 0, 0, 0, b'h', b'i'])
            && passes(&mut self.destination, &mut self.client, &[0x81, 2, b'h', b'o'])
    }
}

/// Whether bytes that are written here come out there.
pub fn passes(from: &mut TcpStream, to: &mut TcpStream, bytes: &[u8]) -> bool {
    let mut read = vec![0; bytes.len()];
    from.write_all(bytes).and_then(|()| to.read_exact(&mut read)).is_ok() && read == bytes
}

/// Everything that comes until the other side ends.
pub fn rest(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    bytes
}

/// The code of a frame that says goodbye, from whoever does so.
pub fn goodbye(frame: &[u8]) -> Option<u16> {
    match *frame {
        [0x88, 2, high, low] => Some(u16::from_be_bytes([high, low])),
        [0x88, 0x82, a, b, _, _, high, low] => Some(u16::from_be_bytes([high ^ a, low ^ b])),
        _ => None,
    }
}

/// Sends a handshake by hand and reads what it is answered with, to its head.
pub fn asked(address: SocketAddr, request: &Request) -> io::Result<Answer> {
    let mut client = Client::connect(address);
    client.write(&request.bytes())?;
    client.read_head()
}
