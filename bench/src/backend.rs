//! The destination behind every proxy: it must cost so little that a proxy is never waited for. One read, one look for
//! the end of the head, one write of bytes that were made at the start; a body is counted and forgotten.

use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::rc::Rc;

use clap::Args;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::{Outcome, http, tls};

/// What a destination is told.
#[derive(Args)]
pub(crate) struct Options {
    /// The address for plain connections
    #[arg(long)]
    listen: SocketAddr,
    /// The address for TLS
    #[arg(long, requires_all = ["certificate", "key"])]
    listen_tls: Option<SocketAddr>,
    /// PEM chain for TLS
    #[arg(long)]
    certificate: Option<PathBuf>,
    /// PEM key for TLS
    #[arg(long)]
    key: Option<PathBuf>,
}

/// The answers, chosen by how the path ends.
struct Answers {
    small: Vec<u8>,
    medium: Vec<u8>,
    large: Vec<u8>,
    /// To a batch of traces, as a collector answers.
    traces: Vec<u8>,
}

impl Answers {
    fn new() -> Self {
        Self { small: answer(1 << 10), medium: answer(100 << 10), large: answer(10 << 20), traces: answer(0) }
    }

    fn of(&self, path: &[u8]) -> &[u8] {
        if path.ends_with(b"/100k") {
            &self.medium
        } else if path.ends_with(b"/10m") {
            &self.large
        } else if path.ends_with(b"/v1/traces") {
            &self.traces
        } else {
            &self.small
        }
    }
}

/// An answer as a plain API gives it: six headers and a body of that many bytes.
fn answer(bytes: usize) -> Vec<u8> {
    let head = format!(
        "HTTP/1.1 200 OK\r\nServer: destination\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nContent-Type: application/json\r\n\
         Cache-Control: no-store\r\nETag: \"5f3759df\"\r\nContent-Length: {bytes}\r\n\r\n"
    );
    let mut answer = head.into_bytes();
    answer.resize(answer.len() + bytes, b'a');
    answer
}

/// Serves until it is killed, after telling its addresses.
pub(crate) fn run(options: &Options) -> Outcome {
    let acceptor = match (&options.certificate, &options.key) {
        (Some(certificate), Some(key)) => Some(tls::acceptor(certificate, key)?),
        _ => None,
    };
    crate::on_one_thread(async {
        let answers = Rc::new(Answers::new());
        let plain = TcpListener::bind(options.listen).await?;
        let mut told = serde_json::json!({ "plain": plain.local_addr()?.to_string() });
        if let (Some(address), Some(acceptor)) = (options.listen_tls, acceptor) {
            let listener = TcpListener::bind(address).await?;
            told["tls"] = listener.local_addr()?.to_string().into();
            let answers = Rc::clone(&answers);
            tokio::task::spawn_local(async move {
                // A connection that cannot be accepted or shaken hands with shows as a failure of the load.
                while let Ok((stream, _)) = listener.accept().await {
                    let (acceptor, answers) = (acceptor.clone(), Rc::clone(&answers));
                    let _ = stream.set_nodelay(true);
                    tokio::task::spawn_local(async move {
                        if let Ok(stream) = acceptor.accept(stream).await {
                            let _ = serve(stream, &answers).await;
                        }
                    });
                }
            });
        }
        println!("{told}");
        loop {
            let (stream, _) = plain.accept().await?;
            stream.set_nodelay(true)?;
            let answers = Rc::clone(&answers);
            tokio::task::spawn_local(async move {
                let _ = serve(stream, &answers).await;
            });
        }
    })
}

/// Answers on one connection until the other side ends it.
async fn serve(mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: &Answers) -> io::Result<()> {
    let mut buffer = vec![0; 64 * 1024];
    let mut filled = 0;
    let mut looked = 0;
    loop {
        let Some(end) = http::head_end(&buffer[..filled], looked)? else {
            looked = filled;
            filled += match stream.read(&mut buffer[filled..]).await? {
                0 => return Ok(()),
                read => read,
            };
            continue;
        };
        let head = &buffer[..end];
        let (answer, closes) = (answers.of(http::path(head)), http::closes(head));
        let body = usize::try_from(http::length(head)?.unwrap_or(0)).map_err(io::Error::other)?;
        let here = body.min(filled - end);
        buffer.copy_within(end + here..filled, 0);
        filled -= end + here;
        looked = 0;
        let mut left = body - here;
        while left > 0 {
            let most = left.min(buffer.len());
            left -= match stream.read(&mut buffer[..most]).await? {
                0 => return Ok(()),
                read => read,
            };
        }
        stream.write_all(answer).await?;
        stream.flush().await?;
        if closes {
            return stream.shutdown().await;
        }
    }
}
