//! Goes to a destination and comes back with facts: the way there first, then one request over it, as serving sends it.
//!
//! Owns the runtime of the visit. Must never judge, nor send what it was not given.

use std::future::poll_fn;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use tokio::time::Instant;

use super::answer::Outcome;
use super::network;
use super::word::Answered;
use crate::body::{BodyFault, ClientBody, Metered};
use crate::http1::{Framing, Outbound, ResponseHead, text};
use crate::manual;
use crate::reject::Rejection;
use crate::snapshot::{Destination, Timeouts};
use crate::upstream::probe::{Sighting, look};
use crate::upstream::{Content, Phases, Resolver, Upstreams};

/// The most of a body that is looked at. What API Gateway says fits into a few hundred bytes.
const BODY: usize = 16 * 1024;

/// What was found.
pub(crate) struct Visited {
    pub(crate) sighting: Sighting,
    pub(crate) outcome: Outcome,
}

/// Visits a destination with one request, asking these name servers; the system's when there are none.
///
/// # Errors
/// When there is no runtime or no resolver, in words.
pub(crate) fn visit(
    dns_servers: &[SocketAddr],
    destination: &Arc<Destination>,
    outbound: Outbound,
    timeouts: Timeouts,
) -> Result<Visited, String> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build_local(Default::default());
    let runtime = runtime.map_err(|error| format!("cannot visit anything: {error}"))?;
    let visited = runtime.block_on(async {
        let resolver = Resolver::new(dns_servers).map_err(|error| error.to_string())?;
        let sighting = look(&resolver, destination, timeouts.connect).await;
        let outcome = match network::is_open(&sighting) {
            true => Box::pin(ask(&Upstreams::new(resolver), destination, outbound, timeouts)).await,
            false => Outcome::NotAsked,
        };
        Ok(Visited { sighting, outcome })
    });
    runtime.shutdown_timeout(Duration::from_millis(100));
    visited
}

async fn ask(upstreams: &Upstreams, destination: &Arc<Destination>, outbound: Outbound, timeouts: Timeouts) -> Outcome {
    let mut phases = Phases::default();
    let body = Metered::new(Nothing, Framing::None, 0, None);
    match upstreams.forward(destination, timeouts, outbound, body, &mut phases, Instant::now()).await {
        Err(rejection) => failed(&rejection),
        Ok(answer) => {
            let mut answered = answered(&answer.head);
            if let Content::Body(mut content) = answer.content {
                // What breaks off in the middle has said enough by then.
                while let Ok(true) = poll_fn(|context| content.poll_piece(context)).await {
                    let piece = content.piece();
                    let room = BODY - answered.body.len();
                    answered.body.push_str(&plain(&piece[..piece.len().min(room)]));
                    let read = piece.len();
                    content.consume(read);
                    if answered.body.len() >= BODY {
                        break;
                    }
                }
            }
            Outcome::Answered(answered)
        }
    }
}

fn failed(rejection: &Rejection) -> Outcome {
    let code = rejection.reason.code();
    let remedy = manual::entry(code).map_or_else(String::new, |entry| entry.remedy);
    Outcome::Failed { code, detail: rejection.detail.to_string(), remedy }
}

/// What a head says.
pub(crate) fn answered(head: &ResponseHead) -> Answered {
    let fields = head.fields();
    let word = |name: &str| {
        let value = text(fields.get(name)?)?;
        // A URI may follow it.
        Some(value.split(':').next().unwrap_or(value).trim().chars().take(64).collect::<String>())
    };
    let error_type = word("x-amzn-errortype").filter(|kind| !kind.is_empty());
    let named = ["x-amz-apigw-id", "apigw-requestid"].iter().any(|name| fields.get(name).is_some());
    Answered {
        status: head.status().as_u16(),
        gateway: named || error_type.is_some(),
        error_type,
        server: word("server"),
        date: fields.get("date").and_then(text).and_then(instant),
        body: String::new(),
    }
}

fn instant(date: &str) -> Option<i64> {
    let since = |at: SystemTime| at.duration_since(UNIX_EPOCH).ok();
    i64::try_from(since(httpdate::parse_http_date(date).ok()?)?.as_secs()).ok()
}

/// A character for each byte, so that phrases are found and lengths stay bounded.
pub(crate) fn plain(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| if byte.is_ascii() { char::from(*byte) } else { '?' }).collect()
}

/// A body that is none.
struct Nothing;

impl ClientBody for Nothing {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        Poll::Ready(Ok(false))
    }

    fn piece(&self) -> &[u8] {
        &[]
    }

    fn consume(&mut self, _: usize) {}

    /// Whoever asks is there.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}
