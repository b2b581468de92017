//! A name server that answers by script, over UDP and TCP.

use std::cell::RefCell;
use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, UdpSocket};

/// What is answered to one question.
#[derive(Clone)]
pub(super) enum Reply {
    Addresses(Vec<IpAddr>, u32),
    Alias(&'static str),
    Code(ResponseCode),
    Silence,
}

impl Reply {
    pub(super) fn address(address: &str) -> Self {
        Self::Addresses(vec![address.parse().unwrap()], 60)
    }
}

/// What is asked.
pub(super) struct Question<'a> {
    pub(super) name: &'a str,
    pub(super) v6: bool,
    /// How often this was asked before.
    pub(super) before: usize,
}

type Script = Box<dyn Fn(&Question<'_>) -> Reply>;

pub(super) struct NameServer {
    address: SocketAddr,
    asked: Rc<RefCell<HashMap<(String, RecordType), usize>>>,
}

impl NameServer {
    pub(super) async fn start(script: impl Fn(&Question<'_>) -> Reply + 'static) -> Self {
        let (tcp, udp) = loop {
            let tcp = TcpListener::bind("127.0.0.1:0").await.unwrap();
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr().unwrap()).await {
                break (tcp, udp);
            }
        };
        let address = udp.local_addr().unwrap();
        let asked: Rc<RefCell<HashMap<_, _>>> = Rc::default();
        let script: Rc<Script> = Rc::new(Box::new(script));
        tokio::task::spawn_local(serve_udp(udp, Rc::clone(&script), Rc::clone(&asked)));
        tokio::task::spawn_local(serve_tcp(tcp, script, Rc::clone(&asked)));
        Self { address, asked }
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// How many questions came, of both families.
    pub(super) fn asked(&self) -> usize {
        self.asked.borrow().values().sum()
    }
}

type Asked = Rc<RefCell<HashMap<(String, RecordType), usize>>>;

async fn serve_udp(socket: UdpSocket, script: Rc<Script>, asked: Asked) {
    let mut buffer = [0; 4096];
    while let Ok((length, peer)) = socket.recv_from(&mut buffer).await {
        let Some(mut answer) = reply(&buffer[..length], &script, &asked) else { continue };
        if answer.to_vec().unwrap().len() > 1200 {
            answer = answer.truncate();
            answer.metadata.truncation = true;
        }
        socket.send_to(&answer.to_vec().unwrap(), peer).await.unwrap();
    }
}

async fn serve_tcp(listener: TcpListener, script: Rc<Script>, asked: Asked) {
    while let Ok((mut stream, _)) = listener.accept().await {
        let (script, asked) = (Rc::clone(&script), Rc::clone(&asked));
        tokio::task::spawn_local(async move {
            while let Ok(length) = stream.read_u16().await {
                let mut question = vec![0; length.into()];
                stream.read_exact(&mut question).await.unwrap();
                if let Some(answer) = reply(&question, &script, &asked) {
                    let answer = answer.to_vec().unwrap();
                    stream.write_u16(u16::try_from(answer.len()).unwrap()).await.unwrap();
                    stream.write_all(&answer).await.unwrap();
                }
            }
        });
    }
}

fn reply(question: &[u8], script: &Script, asked: &Asked) -> Option<Message> {
    let question = Message::from_vec(question).unwrap();
    let query = question.queries[0].clone();
    let name = query.name().to_ascii().trim_end_matches('.').to_owned();
    let kind = query.query_type();
    let before = {
        let mut asked = asked.borrow_mut();
        let count = asked.entry((name.clone(), kind)).or_default();
        *count += 1;
        *count - 1
    };
    let mut answer = Message::new(question.metadata.id, MessageType::Response, question.metadata.op_code);
    answer.metadata.recursion_desired = true;
    answer.metadata.recursion_available = true;
    answer.add_query(query.clone());
    match script(&Question { name: &name, v6: kind == RecordType::AAAA, before }) {
        Reply::Silence => return None,
        Reply::Code(code) => answer.metadata.response_code = code,
        Reply::Alias(target) => {
            let target = CNAME(Name::from_ascii(target).unwrap());
            answer.add_answer(Record::from_rdata(query.name().clone(), 60, RData::CNAME(target)));
        }
        Reply::Addresses(addresses, ttl) => {
            for address in addresses {
                let data = match (address, kind) {
                    (IpAddr::V4(v4), RecordType::A) => RData::A(A(v4)),
                    (IpAddr::V6(v6), RecordType::AAAA) => RData::AAAA(AAAA(v6)),
                    _ => continue,
                };
                answer.add_answer(Record::from_rdata(query.name().clone(), ttl, data));
            }
        }
    }
    Some(answer)
}
