//! Asks authorizers, over the same dialer as all destinations are reached with.
//!
//! Owns one core's calls: how many are under way, and who waits for which. What is told and what an answer means is decided
//! in `stage::authenticate`. Callers who ask the same at the same time share one call; when the one that makes it goes away,
//! the next one makes it. Must never let anybody pass without a ruling, nor write down what a caller proved itself with.

use std::borrow::Cow;
use std::cell::RefCell;
use std::collections::HashMap;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::StatusCode;
use tokio::sync::oneshot;
use tokio::time::Instant;

use crate::body::{BodyFault, ClientBody, Metered};
use crate::http1::{Framing, ResponseHead};
use crate::principal::Principal;
use crate::reject::{Reason, Rejection};
use crate::snapshot::Timeouts;
use crate::stage::authenticate::external::{ANSWER_MAX, Call, Digest, External, Fault, Question, Ruling, Rulings};
use crate::upstream::{Content, Phases, Upstreams};

/// The calls of one core.
#[derive(Default)]
pub(crate) struct Authorizers {
    /// Who waits for each call that is under way and may be shared.
    waiting: RefCell<HashMap<Digest, Vec<oneshot::Sender<Told>>>>,
    /// How many calls each authorizer has.
    in_flight: RefCell<HashMap<[u8; 32], usize>>,
}

/// What came of a call.
type Told = Result<Arc<Ruling>, Fault>;

impl Authorizers {
    /// Who calls, as the authorizer says; `arrives` says of a header whether it may go on to anybody.
    ///
    /// # Errors
    /// 401 or 403 when it says no, 503 when it says nothing to go by.
    pub(crate) async fn ask(
        &self,
        external: &External,
        question: &Question<'_>,
        arrives: impl Fn(&str) -> bool,
        rulings: &RefCell<Rulings>,
        upstreams: &Upstreams,
    ) -> Result<Principal, Rejection> {
        let arn = external.arn(question)?;
        let keys = rulings.borrow().keys(external, question, &arn);
        let told = loop {
            let known = keys.and_then(|keys| rulings.borrow().find(&keys, Instant::now().into_std()));
            if let Some(known) = known {
                break Ok(known);
            }
            match self.join(external, keys.map(|keys| keys.request)) {
                Joined::Caller(lead) => {
                    let began = Instant::now();
                    let call = || external.call(question, &arn, &arrives);
                    let told = make(external, call, upstreams).await.map(Arc::new);
                    if let (Ok(ruling), Some(keys)) = (&told, keys) {
                        // From when it was asked: an answer is no younger than its question.
                        rulings.borrow_mut().keep(&keys, ruling, (began + external.ttl()).into_std());
                    }
                    lead.settle(&told);
                    break told;
                }
                Joined::Waiter(told) => {
                    // Nothing comes when whoever called went away: then somebody else calls.
                    if let Ok(told) = told.await {
                        break told;
                    }
                }
                Joined::Nobody => break Err(Fault::Unavailable(Cow::Borrowed("too many calls are under way"))),
            }
        };
        match told {
            Ok(ruling) => external.apply(&ruling, &arn),
            Err(fault) => Err(external.failed(&fault)),
        }
    }

    /// Joins those who wait for the same, or begins a call if there is room for one.
    fn join(&self, external: &External, share: Option<Digest>) -> Joined<'_> {
        let mut waiting = self.waiting.borrow_mut();
        if let Some(others) = share.and_then(|digest| waiting.get_mut(&digest)) {
            if others.len() >= WAITING {
                others.retain(|other| !other.is_closed());
            }
            if others.len() >= WAITING {
                return Joined::Nobody;
            }
            let (sender, receiver) = oneshot::channel();
            others.push(sender);
            return Joined::Waiter(receiver);
        }
        let mut in_flight = self.in_flight.borrow_mut();
        let count = in_flight.entry(external.identity()).or_default();
        if *count >= external.in_flight() {
            return Joined::Nobody;
        }
        *count += 1;
        if let Some(digest) = share {
            waiting.insert(digest, Vec::new());
        }
        Joined::Caller(Lead { authorizers: self, share, identity: external.identity() })
    }
}

/// What somebody who asks has to do.
enum Joined<'a> {
    /// Call.
    Caller(Lead<'a>),
    /// Wait for somebody else's call.
    Waiter(oneshot::Receiver<Told>),
    /// Nothing: there are too many already.
    Nobody,
}

/// Whoever makes a call. However that ends, nobody waits for it afterwards, and its place is free.
struct Lead<'a> {
    authorizers: &'a Authorizers,
    share: Option<Digest>,
    identity: [u8; 32],
}

impl Lead<'_> {
    fn settle(self, told: &Told) {
        let waiters = self.share.and_then(|digest| self.authorizers.waiting.borrow_mut().remove(&digest));
        for waiter in waiters.into_iter().flatten() {
            // Whoever has gone needs no answer.
            let _ = waiter.send(told.clone());
        }
    }
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        if let Some(digest) = self.share {
            self.authorizers.waiting.borrow_mut().remove(&digest);
        }
        let mut in_flight = self.authorizers.in_flight.borrow_mut();
        if let Some(count) = in_flight.get_mut(&self.identity) {
            *count -= 1;
            if *count == 0 {
                in_flight.remove(&self.identity);
            }
        }
    }
}

/// One call, within its time. A kept connection that was closed a moment ago costs a second attempt: asking twice changes
/// nothing.
async fn make(external: &External, call: impl Fn() -> Call, upstreams: &Upstreams) -> Result<Ruling, Fault> {
    let began = Instant::now();
    let attempts = async {
        let mut phases = Phases::default();
        match attempt(external, call(), upstreams, &mut phases, began).await {
            Err(Missed::Rejected(Reason::DestinationReset)) if phases.reused => {
                attempt(external, call(), upstreams, &mut Phases::default(), began).await
            }
            made => made,
        }
    };
    let late = || Fault::Unavailable(Cow::Borrowed("no answer in time"));
    let (head, body) = tokio::time::timeout(external.timeout(), attempts).await.map_err(|_| late())??;
    external.judge(head.status(), head.fields(), &body)
}

/// Why an attempt brought no whole answer.
enum Missed {
    Rejected(Reason),
    TooLarge,
    Switched,
}

impl From<Missed> for Fault {
    fn from(missed: Missed) -> Self {
        match missed {
            // What came is no answer in HTTP.
            Missed::Rejected(reason @ Reason::DestinationProtocol) => Self::Invalid(Cow::Borrowed(reason.code())),
            Missed::Rejected(reason) => Self::Unavailable(Cow::Borrowed(reason.code())),
            Missed::TooLarge => Self::Invalid(Cow::Borrowed("its answer is too large")),
            Missed::Switched => Self::Invalid(Cow::Borrowed("it changed protocols")),
        }
    }
}

async fn attempt(
    external: &External,
    call: Call,
    upstreams: &Upstreams,
    phases: &mut Phases,
    began: Instant,
) -> Result<(ResponseHead, Vec<u8>), Missed> {
    let most = external.timeout();
    let timeouts = Timeouts { connect: most, first_byte: most, idle: most, total: Some(most) };
    let length = call.body.len() as u64;
    let framing = if length == 0 { Framing::None } else { Framing::Length(length) };
    let body = Metered::new(Whole { bytes: call.body, sent: 0 }, framing, length, None);
    let rejected = |rejection: Rejection| Missed::Rejected(rejection.reason);
    let forwarded = upstreams.forward(external.destination(), timeouts, call.head, body, phases, began);
    let answer = Box::pin(forwarded).await.map_err(rejected)?;
    let Content::Body(mut content) = answer.content else { return Err(Missed::Switched) };
    let mut body = Vec::new();
    // What is not to be read is not read: the length of an answer is bounded before it is in memory.
    if answer.head.status() == StatusCode::OK {
        while poll_fn(|context| content.poll_piece(context)).await.map_err(|fault| Missed::Rejected(fault.reason))? {
            let piece = content.piece();
            if body.len() + piece.len() > ANSWER_MAX {
                return Err(Missed::TooLarge);
            }
            body.extend_from_slice(piece);
            let read = piece.len();
            content.consume(read);
        }
    }
    Ok((answer.head, body))
}

/// A body that is there, whole.
struct Whole {
    bytes: Vec<u8>,
    sent: usize,
}

impl ClientBody for Whole {
    fn poll_piece(&mut self, _: &mut Context<'_>) -> Poll<Result<bool, BodyFault>> {
        Poll::Ready(Ok(self.sent < self.bytes.len()))
    }

    fn piece(&self) -> &[u8] {
        &self.bytes[self.sent..]
    }

    fn consume(&mut self, bytes: usize) {
        self.sent += bytes;
    }

    /// Whoever asks is there: it drops the call when it goes.
    fn poll_gone(&mut self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Pending
    }
}

/// Most callers that wait for one call.
const WAITING: usize = 1_024;
