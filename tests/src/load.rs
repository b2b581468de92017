//! Steady load on kept connections, counted.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;

use crate::client::{Client, Request};

/// What became of the load.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Answers with status 200.
    pub good: u64,
    /// Other answers.
    pub bad: u64,
    /// Connections that broke.
    pub broken: u64,
}

/// Threads that each send one request after the other on one connection.
pub struct Load {
    stop: Arc<AtomicBool>,
    counts: Arc<[AtomicU64; 3]>,
    threads: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts `connections` threads that send what `request` gives for a running number.
    pub fn start(
        address: SocketAddr,
        connections: usize,
        request: impl Fn(u64) -> Request + Send + Sync + 'static,
    ) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let counts: Arc<[AtomicU64; 3]> = Arc::default();
        let request = Arc::new(request);
        let threads = (0..connections)
            .map(|index| {
                let (stop, counts, request) = (Arc::clone(&stop), Arc::clone(&counts), Arc::clone(&request));
                std::thread::spawn(move || {
                    let mut client = Client::connect(address);
                    let mut number = index as u64 * 1_000_003;
                    while !stop.load(Ordering::Relaxed) {
                        let outcome = match client.try_send(&request(number)) {
                            Ok(answer) if answer.status == 200 => 0,
                            Ok(_) => 1,
                            Err(_) => {
                                client = Client::connect(address);
                                2
                            }
                        };
                        counts[outcome].fetch_add(1, Ordering::Relaxed);
                        number += 1;
                    }
                })
            })
            .collect();
        Self { stop, counts, threads }
    }

    /// What became of it so far.
    pub fn tally(&self) -> Tally {
        let count = |index: usize| self.counts[index].load(Ordering::Relaxed);
        Tally { good: count(0), bad: count(1), broken: count(2) }
    }

    /// Ends it.
    pub fn stop(self) -> Tally {
        self.stop.store(true, Ordering::Relaxed);
        let tally = self.tally();
        for thread in self.threads {
            thread.join().unwrap();
        }
        tally
    }
}
