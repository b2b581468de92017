//! A closed loop: so many connections, each asking again as soon as it has its answer. What is in flight when the time
//! is up is waited for and counted, so that CPU time divided by requests is exact.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::{Duration, Instant};

use clap::Args;

use crate::client::{self, Answer, Connection, Door};
use crate::{Outcome, Target, http};

/// More failures than these end a connection's part: what is measured is broken.
const MOST_FAILURES: u64 = 100;

/// What a load is told.
#[derive(Args)]
pub(crate) struct Options {
    #[command(flatten)]
    target: Target,
    /// Connections
    #[arg(long, default_value_t = 32)]
    connections: usize,
    /// How long, in seconds
    #[arg(long, default_value_t = 3.0)]
    seconds: f64,
    /// Open a connection for every request
    #[arg(long)]
    close: bool,
}

#[derive(Default)]
struct Tally {
    requests: u64,
    bytes: u64,
    failures: BTreeMap<String, u64>,
    /// In microseconds.
    latencies: Vec<u32>,
}

impl Tally {
    fn answered(&mut self, answer: &Answer) {
        self.requests += 1;
        self.bytes += answer.bytes;
        if answer.status != 200 {
            self.failed(&format!("status {}", answer.status));
        }
    }

    fn failed(&mut self, why: &impl ToString) {
        *self.failures.entry(why.to_string()).or_default() += 1;
    }
}

/// Loads, and tells what came back.
pub(crate) fn run(options: &Options) -> Outcome {
    let door = Door::new(&options.target)?;
    let requests: Rc<[Vec<u8>]> = http::requests(&options.target)?.into();
    let tally = Rc::new(RefCell::new(Tally::default()));
    crate::on_one_thread(async {
        let began = Instant::now();
        let end = began + Duration::try_from_secs_f64(options.seconds)?;
        let tasks: Vec<_> = (0..options.connections)
            .map(|_| {
                let part = Part { door: door.clone(), requests: Rc::clone(&requests), tally: Rc::clone(&tally), end };
                tokio::task::spawn_local(part.ask(options.close))
            })
            .collect();
        for task in tasks {
            task.await?;
        }
        let seconds = began.elapsed().as_secs_f64();
        let mut tally = tally.borrow_mut();
        let mut latencies = std::mem::take(&mut tally.latencies);
        latencies.sort_unstable();
        Ok(serde_json::json!({
            "requests": tally.requests,
            "bytes": tally.bytes,
            "seconds": seconds,
            "failures": tally.failures,
            "latency_us": percentiles(&latencies),
        }))
    })
}

/// What a connection asks.
struct Part {
    door: Door,
    requests: Rc<[Vec<u8>]>,
    tally: Rc<RefCell<Tally>>,
    end: Instant,
}

impl Part {
    async fn ask(self, close: bool) {
        let mut buffer = client::buffer();
        let mut kept: Option<Connection> = None;
        let mut failures = 0;
        while Instant::now() < self.end && failures < MOST_FAILURES {
            let began = Instant::now();
            if let Err(error) = self.once(close, &mut kept, &mut buffer).await {
                failures += 1;
                kept = None;
                self.tally.borrow_mut().failed(&error);
                continue;
            }
            let taken = u32::try_from(began.elapsed().as_micros()).unwrap_or(u32::MAX);
            self.tally.borrow_mut().latencies.push(taken);
        }
    }

    async fn once(&self, close: bool, kept: &mut Option<Connection>, buffer: &mut [u8]) -> std::io::Result<()> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => self.door.connect().await?,
        };
        let request = &self.requests[fastrand::usize(..self.requests.len())];
        let answer = connection.exchange(request, buffer).await?;
        self.tally.borrow_mut().answered(&answer);
        if close || answer.closes {
            connection.end().await;
        } else {
            *kept = Some(connection);
        }
        Ok(())
    }
}

/// The usual percentiles of sorted values.
pub(crate) fn percentiles(sorted: &[u32]) -> serde_json::Value {
    let at = |per_mille: usize| sorted.get((sorted.len() * per_mille / 1000).min(sorted.len().saturating_sub(1)));
    serde_json::json!({ "p50": at(500), "p90": at(900), "p99": at(990), "p999": at(999), "max": sorted.last() })
}

#[cfg(test)]
mod tests {
    use super::percentiles;

    #[test]
    fn percentiles_are_values_that_were_measured() {
        let values: Vec<u32> = (1..=1000).collect();
        let told = percentiles(&values);
        assert_eq!(
            (told["p50"].as_u64(), told["p99"].as_u64(), told["max"].as_u64()),
            (Some(501), Some(991), Some(1000))
        );
        assert!(percentiles(&[])["p50"].is_null());
    }
}
