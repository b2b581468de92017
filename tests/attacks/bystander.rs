//! Two clients that ask for what is theirs while others attack: one speaks HTTP/1.1, one HTTP/2.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use postern_tests::frames::Http2;
use postern_tests::hpack::Block;
use postern_tests::{Client, Request, eventually_within};

/// What a client saw.
#[derive(Default)]
struct Seen {
    took: Vec<Duration>,
    wrong: Vec<String>,
}

/// Both clients, at it until they are stopped.
pub(super) struct Bystanders {
    stop: Arc<AtomicBool>,
    seen: [Arc<Mutex<Seen>>; 2],
    threads: Vec<JoinHandle<()>>,
}

/// The times of a stretch, of both protocols.
pub(super) struct Stretch {
    took: [Vec<Duration>; 2],
}

impl Stretch {
    /// How many answers came.
    pub(super) fn answers(&self) -> usize {
        self.took.iter().map(Vec::len).sum()
    }

    /// The 99th of a hundred, in milliseconds, for HTTP/1.1 and HTTP/2.
    pub(super) fn p99(&self) -> [f64; 2] {
        self.took.each_ref().map(|took| {
            let mut took = took.clone();
            took.sort();
            took.get(took.len() * 99 / 100).map_or(0.0, |time| time.as_secs_f64() * 1_000.0)
        })
    }
}

impl Bystanders {
    pub(super) fn start(address: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let seen: [Arc<Mutex<Seen>>; 2] = Default::default();
        let mut first = Client::connect(address);
        let one = ask(&stop, &seen[0], move |path| {
            let answer = first.try_send(&Request::new("GET", path)).map_err(|error| error.to_string())?;
            Ok((answer.status, answer.text()))
        });
        let mut second = Http2::connect(address);
        let two = ask(&stop, &seen[1], move |path| {
            if !second.away().is_empty() {
                second = Http2::connect(address);
            }
            match second.send(&Block::request("GET", path), None) {
                postern_tests::frames::Outcome::Answer(answer) => Ok((answer.status, answer.text())),
                other => Err(format!("{other:?}")),
            }
        });
        Self { stop, seen, threads: vec![one, two] }
    }

    /// Waits until each has so many more answers, and gives what they took.
    pub(super) fn more(&self, answers: usize) -> Stretch {
        let begin = self.mark();
        self.since(begin, answers)
    }

    /// How many answers there are.
    pub(super) fn mark(&self) -> [usize; 2] {
        self.seen.each_ref().map(|seen| seen.lock().unwrap().took.len())
    }

    /// What the answers took that came since a mark, once there are so many of each.
    pub(super) fn since(&self, mark: [usize; 2], answers: usize) -> Stretch {
        eventually_within(Duration::from_secs(60), "answers for the others", || {
            let mut marks = self.mark().into_iter().zip(mark);
            (self.is_wrong() || marks.all(|(now, then)| now >= then + answers)).then_some(())
        });
        let part = |at: usize| self.seen[at].lock().unwrap().took[mark[at]..].to_vec();
        Stretch { took: [part(0), part(1)] }
    }

    fn is_wrong(&self) -> bool {
        self.seen.iter().any(|seen| !seen.lock().unwrap().wrong.is_empty())
    }

    /// Stops both; says what was not answered as it must be.
    pub(super) fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.into_iter().for_each(|thread| thread.join().unwrap());
        self.seen.iter().flat_map(|seen| std::mem::take(&mut seen.lock().unwrap().wrong)).collect()
    }
}

/// Asks for one path after the other; the first answer that is not right is the last.
fn ask(
    stop: &Arc<AtomicBool>,
    seen: &Arc<Mutex<Seen>>,
    mut send: impl FnMut(&str) -> Result<(u16, String), String> + Send + 'static,
) -> JoinHandle<()> {
    let (stop, seen) = (Arc::clone(stop), Arc::clone(seen));
    std::thread::spawn(move || {
        for number in 0.. {
            if stop.load(Ordering::Relaxed) {
                return;
            }
            let path = format!("/quick/{number}");
            let began = Instant::now();
            let outcome = send(&path);
            let took = began.elapsed();
            let mut seen = seen.lock().unwrap();
            if outcome == Ok((200, format!("quick GET {path}"))) {
                seen.took.push(took);
            } else {
                seen.wrong.push(format!("{path}: {outcome:?} after {took:?}"));
                return;
            }
        }
    })
}
