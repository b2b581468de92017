//! A request's way, whole. The order of the stages is this page and nothing else.
//!
//! `accept → identify → match → authenticate → authorize → limit → transform → forward → observe`
//!
//! Must never know how a stage decides.

use std::net::IpAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use http::header::{CONNECTION, HeaderValue};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use http_body::Body as _;
use hyper::body::Incoming;

use crate::body::{AnswerBody, ClientBody};
use crate::observe::Exchange;
use crate::reject::{self, Reason, Rejection};
use crate::services::Core;
use crate::snapshot::{Snapshot, Target};
use crate::stage::authenticate::{Outcome, authenticate};
use crate::stage::authorize::{Permit, authorize};
use crate::stage::find::find;
use crate::stage::identify::{self, Arrival, identify};
use crate::stage::transform;
use crate::upstream::UpstreamBody;

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn handle(core: Rc<Core>, arrival: Arrival, request: Request<Incoming>) -> Response<AnswerBody> {
    let (head, body) = request.into_parts();
    let id = identify::request_id(&head, arrival, &core.shared.trust, core.random());
    let mut exchange = Exchange::open(&core, &head, arrival.peer, id);
    let outcome = if head.uri.path() == &*core.shared.health_path {
        Ok(health(&core, &mut exchange))
    } else {
        run(&core, arrival, head, body, &mut exchange).await.map(Answer::Upstream)
    };
    let mut response = match outcome {
        Ok(Answer::Upstream(response)) => {
            exchange.record.status = response.status().as_u16();
            response.map(|body| AnswerBody::upstream(body, exchange))
        }
        Ok(Answer::Local(response)) => response.map(|bytes| AnswerBody::local(bytes, exchange)),
        Err(rejection) => {
            exchange.rejected(&rejection);
            let answer = reject::answer(&rejection, exchange.id.as_str());
            answer.map(|bytes| AnswerBody::local(bytes, exchange))
        }
    };
    if core.shared.drain.is_ending() {
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[allow(clippy::large_enum_variant, reason = "the large one is the common one, and a box would cost an allocation")]
enum Answer {
    Local(Response<Bytes>),
    Upstream(Response<UpstreamBody>),
}

async fn run(
    core: &Rc<Core>,
    arrival: Arrival,
    head: Parts,
    body: Incoming,
    exchange: &mut Exchange,
) -> Result<Response<UpstreamBody>, Rejection> {
    let snapshot = core.snapshot().ok_or(Reason::NotReady)?;
    exchange.record.generation = snapshot.header.generation;
    if core.is_too_old() {
        return Err(Reason::ConfigTooOld.into());
    }
    let now = crate::freshness::unix_now();
    let request = identify(head, arrival, &core.shared.trust, exchange.id.clone())?;
    exchange.record.host = Some(request.host.clone());
    exchange.record.client = Some(request.client);
    let route = find(&snapshot, &request, now, |_, _| {})?;
    exchange.record.route = Some(Arc::clone(&route));
    let principal = match authenticate(&route.ways, &request.head.headers, request.head.uri.query(), now)? {
        Outcome::Proved(principal) => principal,
        Outcome::Ask(question) => core.shared.passwords.verify(question, Instant::now()).await?,
    };
    exchange.record.principal = Some((principal.name().into(), principal.via().into()));
    let permit = authorize(route, principal)?;
    limit(&permit, &body)?;
    let target = choose(&permit.route().targets, |bound| core.random_below(bound));
    exchange.record.destination = Some(Arc::clone(target.destination.name()));
    let outbound = outbound(request, arrival.peer, &snapshot, &permit, target)?;
    let body = ClientBody::new(body, permit.route().body_max, core.shared.body_idle, exchange.bytes_in());
    let phases = &mut exchange.record.phases;
    let response = core.upstreams.forward(&target.destination, permit.route().timeouts, outbound, body, phases).await?;
    let (mut head, body) = response.into_parts();
    transform::response(&mut head, &exchange.id);
    Ok(Response::from_parts(head, body))
}

/// What a route takes of a body; what is announced as too long is refused before a byte goes up.
fn limit(permit: &Permit, body: &Incoming) -> Result<(), Rejection> {
    let announced = body.size_hint().lower();
    match announced > permit.route().body_max {
        true => Err(Rejection::new(Reason::BodyTooLarge, format!("{announced} bytes"))),
        false => Ok(()),
    }
}

/// The head as the destination gets it; framing is written by whoever sends the body.
pub(crate) fn outbound(
    request: identify::Request,
    peer: IpAddr,
    snapshot: &Snapshot,
    permit: &Permit,
    target: &Target,
) -> Result<Parts, Rejection> {
    let principal = permit.principal();
    transform::request(request, peer, permit.route(), target, &snapshot.settable, |path| principal.claim(path))
}

/// One of the places where a route leads, by weight. `below` gives a random number below its argument.
pub(crate) fn choose(targets: &[Target], below: impl FnOnce(u32) -> u32) -> &Target {
    let [only] = targets else {
        let total: u32 = targets.iter().map(|target| target.weight).sum();
        let mut left = below(total.max(1));
        for target in targets {
            match left.checked_sub(target.weight) {
                None => return target,
                Some(rest) => left = rest,
            }
        }
        // Weights are checked to have a sum, and a route to have a target.
        return &targets[targets.len() - 1];
    };
    only
}

/// The router's own answer for load balancers: ready or not, for any Host.
fn health(core: &Core, exchange: &mut Exchange) -> Answer {
    let ready = core.snapshot().is_some() && !core.is_too_old() && !core.shared.drain.is_ending();
    let (status, text) = match ready {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    exchange.record.status = status.as_u16();
    let mut response = Response::new(Bytes::from_static(text.as_bytes()));
    *response.status_mut() = status;
    response.headers_mut().insert(http::header::CONTENT_TYPE, HeaderValue::from_static("text/plain"));
    Answer::Local(response)
}
