//! A name server that a test scripts: real packets over UDP on the loopback address, every question noted.

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::sync::{Arc, Mutex};

/// A running name server; ends with the test's process.
pub struct Dns {
    address: SocketAddr,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Dns {
    /// Answers as `answer` says for a name in lower case and how often its addresses of that family were asked for
    /// before; no address of either family means that there is no such name. Nothing may be remembered (TTL 0).
    pub fn start(answer: impl Fn(&str, usize) -> Vec<IpAddr> + Send + 'static) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = socket.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let noted = Arc::clone(&asked);
        std::thread::spawn(move || {
            let mut times: HashMap<(String, u16), usize> = HashMap::new();
            let mut packet = [0; 1_500];
            while let Ok((length, peer)) = socket.recv_from(&mut packet) {
                let Some(question) = Question::read(&packet[..length]) else { continue };
                noted.lock().unwrap().push(question.name.clone());
                let times = times.entry((question.name.clone(), question.kind)).or_default();
                let addresses = answer(&question.name, *times);
                *times += 1;
                let _ = socket.send_to(&question.answer(&addresses), peer);
            }
        });
        Self { address, asked }
    }

    /// The environment that leads a router to it.
    pub fn setting(&self) -> (&'static str, String) {
        ("POSTERN_ROUTER_DNS_SERVERS", format!("[\"{}\"]", self.address))
    }

    /// How many questions came, of both families.
    pub fn questions(&self) -> usize {
        self.asked.lock().unwrap().len()
    }

    /// Every name that was asked for, each once.
    pub fn asked(&self) -> Vec<String> {
        let mut names = self.asked.lock().unwrap().clone();
        names.sort();
        names.dedup();
        names
    }
}

/// One question (RFC 1035 §4.1.2).
struct Question {
    name: String,
    kind: u16,
    /// Id, and the question as it came.
    id: [u8; 2],
    bytes: Vec<u8>,
}

const HEADER: usize = 12;
const A: u16 = 1;
const AAAA: u16 = 28;

impl Question {
    fn read(packet: &[u8]) -> Option<Self> {
        let mut at = HEADER;
        let mut labels = Vec::new();
        loop {
            let length = usize::from(*packet.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(packet.get(at..at + length)?).to_ascii_lowercase());
            at += length;
        }
        let kind = u16::from_be_bytes([*packet.get(at)?, *packet.get(at + 1)?]);
        let bytes = packet.get(HEADER..at + 4)?.to_vec();
        Some(Self { name: labels.join("."), kind, id: [packet[0], packet[1]], bytes })
    }

    fn answer(&self, addresses: &[IpAddr]) -> Vec<u8> {
        let fitting: Vec<Vec<u8>> = addresses
            .iter()
            .filter_map(|address| match (address, self.kind) {
                (IpAddr::V4(v4), A) => Some(v4.octets().to_vec()),
                (IpAddr::V6(v6), AAAA) => Some(v6.octets().to_vec()),
                _ => None,
            })
            .collect();
        let code = if addresses.is_empty() { 3 } else { 0 };
        let mut packet = self.id.to_vec();
        // An authoritative answer, recursion available.
        packet.extend_from_slice(&[0x85, 0x80 | code, 0, 1, 0, u8::try_from(fitting.len()).unwrap(), 0, 0, 0, 0]);
        packet.extend_from_slice(&self.bytes);
        for data in fitting {
            // The question's name, the kind, class IN, TTL 0.
            packet.extend_from_slice(&[0xc0, 12]);
            packet.extend_from_slice(&self.kind.to_be_bytes());
            packet.extend_from_slice(&[0, 1, 0, 0, 0, 0, 0, u8::try_from(data.len()).unwrap()]);
            packet.extend_from_slice(&data);
        }
        packet
    }
}
