//! An open loop: requests leave at a fixed rate whether or not answers came. When every connection waits for an answer,
//! a request's latency counts from the moment at which it should have left, so a proxy that stalls is charged for all
//! who would have come meanwhile (coordinated omission). That the machine woke this program late is not charged.
//!
//! Threads that block, not an event loop: timers of the latter are good to a millisecond, and what is measured here is
//! tens of microseconds.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

use crate::load::percentiles;
use crate::{Outcome, Target, http, tls};

/// What a paced load is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Requests a second
    #[arg(long, default_value_t = 2000)]
    rate: u32,
    /// Connections
    #[arg(long, default_value_t = 32)]
    connections: u32,
    /// How long, in seconds
    #[arg(long, default_value_t = 3)]
    seconds: u32,
}

trait Stream: Read + Write + Send {}

impl<T: Read + Write + Send> Stream for T {}

/// What the threads share.
struct Plan {
    requests: Vec<Vec<u8>>,
    began: Instant,
    interval: Duration,
    /// The first request that nobody has taken.
    next: AtomicU32,
    count: u32,
}

/// Loads at the rate, and tells the latencies in microseconds.
pub(crate) fn run(options: &Options) -> Outcome {
    let tls = options.target.tls.as_deref().map(tls::client).transpose()?;
    let requests = http::requests(&options.target)?;
    let mut streams = Vec::new();
    for _ in 0..options.connections {
        let mut stream = connect(&options.target, tls.clone())?;
        // The handshake and the proxy's own first steps are not what is asked about.
        exchange(&mut *stream, &requests[0], &mut vec![0; 64 * 1024])?;
        streams.push(stream);
    }
    let plan = Arc::new(Plan {
        requests,
        began: Instant::now() + Duration::from_millis(20),
        interval: Duration::from_secs(1) / options.rate,
        next: AtomicU32::new(0),
        count: options.rate * options.seconds,
    });
    let threads: Vec<_> = streams
        .into_iter()
        .map(|stream| {
            let plan = Arc::clone(&plan);
            std::thread::spawn(move || take_part(stream, &plan))
        })
        .collect();
    let mut latencies = Vec::new();
    for thread in threads {
        latencies.extend(thread.join().map_err(|_| "a thread of the load panicked")??);
    }
    latencies.sort_unstable();
    Ok(serde_json::json!({ "requests": latencies.len(), "latency_us": percentiles(&latencies) }))
}

fn take_part(mut stream: Box<dyn Stream>, plan: &Plan) -> io::Result<Vec<u32>> {
    let mut buffer = vec![0; 64 * 1024];
    let mut latencies = Vec::new();
    loop {
        let turn = plan.next.fetch_add(1, Ordering::Relaxed);
        if turn >= plan.count {
            return Ok(latencies);
        }
        let due = plan.began + plan.interval * turn;
        let begin = match due.checked_duration_since(Instant::now()) {
            Some(early) => {
                std::thread::sleep(early);
                Instant::now()
            }
            None => due,
        };
        let request = &plan.requests[fastrand::usize(..plan.requests.len())];
        exchange(&mut *stream, request, &mut buffer)?;
        latencies.push(u32::try_from(begin.elapsed().as_micros()).unwrap_or(u32::MAX));
    }
}

fn connect(target: &Target, tls: Option<Arc<ClientConfig>>) -> Result<Box<dyn Stream>, Box<dyn std::error::Error>> {
    let stream = TcpStream::connect(target.address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(Duration::from_secs(10)))?;
    Ok(match tls {
        Some(config) => {
            let name = ServerName::try_from(target.host.clone())?;
            Box::new(StreamOwned::new(ClientConnection::new(config, name)?, stream))
        }
        None => Box::new(stream),
    })
}

fn exchange(stream: &mut dyn Stream, request: &[u8], buffer: &mut [u8]) -> io::Result<()> {
    stream.write_all(request)?;
    stream.flush()?;
    let (mut filled, mut looked) = (0, 0);
    let end = loop {
        filled += read(stream, &mut buffer[filled..])?;
        if let Some(end) = http::head_end(&buffer[..filled], looked)? {
            break end;
        }
        looked = filled;
    };
    let status = http::status(&buffer[..end])?;
    if status != 200 {
        return Err(io::Error::other(format!("status {status}")));
    }
    let bytes = http::length(&buffer[..end])?.unwrap_or(0);
    let mut got = (filled - end) as u64;
    while got < bytes {
        got += read(stream, buffer)? as u64;
    }
    Ok(())
}

fn read(stream: &mut dyn Stream, buffer: &mut [u8]) -> io::Result<usize> {
    match stream.read(buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        read => Ok(read),
    }
}
