//! A request's way, from its head to its answer: the order of the stages, and nothing else.
//!
//! `accept → identify → match → authenticate → authorize → limit → upgrade → choose → transform → forward → observe`
//!
//! Must never know how a stage decides.

use std::net::IpAddr;
use std::panic::AssertUnwindSafe;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::FutureExt;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderValue};
use http::{Method, StatusCode};
use postern_config::document::Mode;

use crate::body::{ClientBody, Metered};
use crate::breaker::Pass;
use crate::http1::{Framing, Outbound, RequestHead};
use crate::observe::{self, Exchange};
use crate::principal::Principal;
use crate::reject::{self, Local, Reason, Rejection};
use crate::rights::{Circumstances, Kind, Verdict};
use crate::services::Core;
use crate::snapshot::{RoutePlan, Snapshot, Target, TokenPlan};
use crate::stage::authenticate::external::{External, Question};
use crate::stage::authenticate::{AskedFor, Certificates, Outcome, Relayed, Signed, Way, authenticate};
use crate::stage::authorize::{Decided, Permit, authorize};
use crate::stage::choose::{choose, outcome};
use crate::stage::find::find;
use crate::stage::identify::{self, Arrival, identify};
use crate::stage::limit::{limit_body, limit_rate};
use crate::stage::transform;
use crate::stage::upgrade::upgrade;
use crate::trace::Onward;
use crate::upstream::{self, Content};

/// What a client gets.
#[allow(clippy::large_enum_variant, reason = "the large one is the common one, and a box would cost an allocation")]
pub(crate) enum Answer<B> {
    /// An answer of the router's own.
    Local(Local),
    /// A destination's.
    Upstream(upstream::Answer<Metered<B>>),
}

/// Answers one request. Never fails: what goes wrong is an answer too.
pub(crate) async fn handle<B: ClientBody>(
    core: &Rc<Core>,
    arrival: &Arrival,
    head: RequestHead,
    body: B,
) -> (Box<Exchange>, Answer<B>) {
    let head = Rc::new(identify::without_odd_names(head, arrival));
    let id = identify::request_id(head.fields(), arrival, &core.shared.trust, core.random());
    let mut exchange = Exchange::open(core, Some(Rc::clone(&head)), arrival.peer, id);
    if head.path() == &*core.shared.health_path {
        let answer = health(core);
        exchange.record.status = answer.status.as_u16();
        return (exchange, Answer::Local(answer));
    }
    if let Some(answer) = public_keys(core, &head) {
        exchange.record.status = answer.status.as_u16();
        return (exchange, Answer::Local(answer));
    }
    // What panics is dropped whole, and the record says no more than what was true when it was written.
    let ran = AssertUnwindSafe(run(core, arrival, head, body, &mut exchange)).catch_unwind().await;
    match ran.unwrap_or_else(|_| Err(Rejection::new(Reason::Internal, "the router panicked over this request"))) {
        Ok(answer) => {
            exchange.answered(&answer.head);
            (exchange, Answer::Upstream(answer))
        }
        Err(rejection) => {
            // Whoever was refused here has tried nothing, however long it takes to tell it.
            exchange.pass = None;
            let answer = refused(&mut exchange, &rejection);
            (exchange, Answer::Local(answer))
        }
    }
}

/// The answer to what came in place of a request.
pub(crate) fn refuse(core: &Rc<Core>, arrival: &Arrival, rejection: &Rejection) -> (Box<Exchange>, Local) {
    let id = identify::RequestId::new(core.random());
    let mut exchange = Exchange::open(core, None, arrival.peer, id);
    let answer = refused(&mut exchange, rejection);
    (exchange, answer)
}

fn refused(exchange: &mut Exchange, rejection: &Rejection) -> Local {
    exchange.rejected(rejection);
    if exchange.is_grpc() {
        return reject::grpc::answer(rejection, exchange.id.as_str());
    }
    reject::answer(rejection, exchange.id.as_str())
}

async fn run<B: ClientBody>(
    core: &Rc<Core>,
    arrival: &Arrival,
    head: Rc<RequestHead>,
    body: B,
    exchange: &mut Exchange,
) -> Result<upstream::Answer<Metered<B>>, Rejection> {
    let snapshot = core.snapshot().ok_or(Reason::NotReady)?;
    exchange.record.generation = snapshot.header.generation;
    if core.is_too_old() {
        return Err(Reason::ConfigTooOld.into());
    }
    let now = crate::freshness::unix_now();
    let request = identify(head, arrival, &core.shared.trust, &snapshot.hosts, exchange.id.clone())?;
    exchange.record.client = Some(request.client);
    exchange.record.scheme = request.scheme;
    let found = find(&snapshot, &request, now, |_, _| {});
    exchange.record.host = Some(request.host.clone());
    let route = found?;
    exchange.record.route = Some(Arc::clone(&route));
    let principal = prove(core, &snapshot, &route, &request, arrival, now, exchange).await?;
    exchange.record.principal = Some(principal.clone());
    let Decided { permit, verdicts } = authorize(route, principal, &circumstances(&request, now), false);
    exchange.record.verdicts.extend(verdicts);
    let permit = permit?;
    let framing = request.head.framing();
    limit_body(permit.route(), framing)?;
    let (counted, exceeded) = limit_rate(
        permit.route(),
        permit.principal(),
        request.client,
        &core.shared.limiter,
        exchange.began().into_std(),
    );
    exchange.record.verdicts.extend(exceeded);
    counted?;
    let handshake = upgrade(&request.head, permit.route().websocket.is_some())?;
    let (chosen, left_alone) = choose(&permit.route().targets, Instant::now, |bound| core.random_below(bound));
    exchange.record.verdicts.extend(left_alone);
    let (target, pass) = chosen?;
    exchange.pass = pass;
    let skew = core.shared.signature_skew;
    exchange.record.verdicts.extend(check_signature(&request, &snapshot, &permit, target, now, skew)?);
    exchange.record.destination = Some(Arc::clone(target.destination.name()));
    let vouched = vouch(core, &permit, now, &mut exchange.record.verdicts)?;
    let outbound = {
        let traced = exchange.onward(target, request.head.fields(), |name| has_signed(&request.head, name));
        let (upgrade, peer) = (handshake.is_some(), arrival.peer);
        outbound(&request, peer, &snapshot, &permit, target, upgrade, vouched.as_deref(), traced.as_ref())
    };
    let counted = (framing != Framing::None).then(|| exchange.bytes_in());
    let body = Metered::new(body, framing, permit.route().body_max, counted);
    let began = exchange.began();
    let phases = &mut exchange.record.phases;
    let answer =
        core.upstreams.forward(&target.destination, permit.route().timeouts, outbound, body, phases, began).await;
    let answer = answer.and_then(|answer| match (&answer.content, handshake) {
        (Content::Tunnel(_), Some(handshake)) => match handshake.check(&answer.head) {
            Ok(()) => Ok(answer),
            Err(why) => Err(Rejection::new(Reason::DestinationProtocol, why)),
        },
        _ => Ok(answer),
    });
    settle(core, exchange.pass.take(), &answer);
    let answer = answer?;
    if matches!(answer.content, Content::Tunnel(_)) {
        exchange.record.tunnel = Some(Arc::clone(target.destination.key()));
    }
    Ok(answer)
}

/// Who calls. Where that is only tried out, whoever proves nothing goes on as one of whom nothing is known.
async fn prove(
    core: &Rc<Core>,
    snapshot: &Snapshot,
    route: &RoutePlan,
    request: &identify::Request,
    arrival: &Arrival,
    now: i64,
    exchange: &mut Exchange,
) -> Result<Principal, Rejection> {
    let (fields, query) = (request.head.fields(), request.head.query());
    #[cfg(test)]
    crate::faults::strike("stage", fields);
    let asked = route.ways.iter().any(Way::asks_relayed);
    let relayed = asked.then(|| identify::relayed_certificate(request, arrival, &core.shared.trust)).flatten();
    let connection = arrival.certificate.as_deref();
    let stands = connection.is_some_and(|certificate| certificate.stands_at(now));
    let shown = Certificates { connection, stands, relayed: relayed.map(Relayed::Written) };
    let proved = match authenticate(&route.ways, fields, query, shown, now, &core.tokens) {
        Ok(Outcome::Proved(principal)) => Ok(principal),
        // Boxed, so that no other request has the size of one that waits for this.
        Ok(Outcome::Ask(question)) => {
            let answered = Box::pin(core.shared.passwords.verify(question, request.client, Instant::now())).await;
            if answered.spared {
                exchange.record.verdicts.push(Verdict::spared(Kind::Lockout, Reason::TooManyFailures.code()));
            }
            answered.proved
        }
        Ok(Outcome::Consult(external)) => Box::pin(consult(core, snapshot, &external, request, now)).await,
        Err(rejection) => Err(rejection),
    };
    if let Ok(principal) = &proved {
        exchange.record.verdicts.extend(spared(principal));
    }
    match proved {
        Err(rejection) if !route.insists => {
            exchange.record.verdicts.push(Verdict::unproved(rejection.reason.code()));
            Ok(Principal::anonymous())
        }
        proved => proved,
    }
}

/// That a proved caller would have been refused, were it not only tried out.
pub(crate) fn spared(principal: &Principal) -> Option<Verdict> {
    principal.spared().map(|reason| Verdict::spared(Kind::Revocation, reason.code()))
}

/// Who calls, as an authorizer says.
async fn consult(
    core: &Rc<Core>,
    snapshot: &Snapshot,
    external: &External,
    request: &identify::Request,
    now: i64,
) -> Result<Principal, Rejection> {
    let (head, id) = (&*request.head, request.id.as_str());
    let question = Question { head, about: circumstances(request, now), scheme: request.scheme, id };
    let arrives = |name: &str| transform::arrives(head, &snapshot.settable, name);
    core.authorizers.ask(external, &question, arrives, &core.tokens.rulings, &core.upstreams).await
}

/// What rights may depend on.
pub(crate) fn circumstances(request: &identify::Request, now: i64) -> Circumstances<'_> {
    Circumstances {
        method: request.head.method().as_str(),
        host: request.host.as_str(),
        path: (!matches!(request.path, identify::RequestPath::Ambiguous(..))).then(|| request.path()),
        client: request.client,
        now,
    }
}

/// Refuses an IAM caller whose signature cannot be right for where it goes; where proof is only tried out, says so.
pub(crate) fn check_signature(
    request: &identify::Request,
    snapshot: &Snapshot,
    permit: &Permit,
    target: &Target,
    now: i64,
    skew: Duration,
) -> Result<Option<Verdict>, Rejection> {
    if !permit.principal().has_signed() {
        return Ok(None);
    }
    let (head, route) = (&request.head, permit.route());
    let Some(signed) = Signed::read(head.fields(), head.query()) else { return Ok(None) };
    let sent = || transform::target(request, route, target);
    let asked =
        route.signed_as_asked.then(|| AskedFor { host: request.asked_host(), target: head.target(), sent: sent() });
    let host = target.destination.host().to_str().unwrap_or_default();
    match signed.fits(host, asked, now, skew, |name| transform::arrives(head, &snapshot.settable, name)) {
        Err(rejection) if !route.insists => Ok(Some(Verdict::unproved(rejection.reason.code()))),
        fits => fits.map(|()| None),
    }
}

/// Whether the client signed a header, for whoever checks signatures: also where the router asks for none.
fn has_signed(head: &RequestHead, name: &str) -> bool {
    Signed::read(head.fields(), head.query()).is_some_and(|signed| signed.covers(name))
}

/// The head as the destination gets it; framing is written by whoever sends the body.
#[allow(clippy::too_many_arguments, reason = "each is another stage's result")]
pub(crate) fn outbound(
    request: &identify::Request,
    peer: IpAddr,
    snapshot: &Snapshot,
    permit: &Permit,
    target: &Target,
    upgrade: bool,
    identity_token: Option<&str>,
    traced: Option<&Onward<'_>>,
) -> Outbound {
    let principal = permit.principal();
    // Where something else than a token or a key proved the caller nothing is taken off: what is signed stays as it is.
    // Where proof is only tried out, a key may stand there that proved nothing, and is one all the same.
    let tried = !permit.route().insists && !principal.has_signed();
    let off = if principal.has_token() || tried { &*permit.route().ways } else { &[] };
    let off = off.iter().flat_map(Way::places);
    let claim = |path: &_| principal.claim(path);
    transform::request(
        request,
        peer,
        permit.route(),
        target,
        &snapshot.settable,
        upgrade,
        &off,
        identity_token,
        traced,
        claim,
    )
}

/// The token that tells the destination who calls. A route that asks for one gets no request through without: a
/// destination may take whoever comes without one for somebody else. What is only tried out is told and not sent.
fn vouch(core: &Core, permit: &Permit, now: i64, verdicts: &mut Vec<Verdict>) -> Result<Option<Rc<str>>, Rejection> {
    verdicts.extend(transform::kept_back(permit.route(), |path| permit.principal().claim(path)));
    let Some(plan) = &permit.route().identity_token else { return Ok(None) };
    let minted = mint(core, permit, plan, now);
    if plan.mode == Mode::Enforce {
        return minted;
    }
    verdicts.extend(match minted {
        Ok(token) => token.map(|_| Verdict::kept_back(Kind::IdentityToken, plan.header.as_str().to_owned())),
        Err(rejection) => Some(Verdict::spared(Kind::IdentityToken, rejection.reason.code())),
    });
    Ok(None)
}

fn mint(core: &Core, permit: &Permit, plan: &TokenPlan, now: i64) -> Result<Option<Rc<str>>, Rejection> {
    let unavailable = |why: &'static str| Rejection::new(Reason::IdentityTokenUnavailable, why);
    let keys = core.shared.identity_keys.as_ref().ok_or_else(|| unavailable("the router has no key"))?;
    let principal = permit.principal();
    if !principal.is_proved() {
        return Ok(None);
    }
    let mut minted = core.minted.borrow_mut();
    minted.token(keys, permit.route(), plan, principal, now, || core.random()).map(Some).map_err(unavailable)
}

/// Tells the breaker, where there is one, what became of its request.
fn settle<B>(core: &Core, pass: Option<Pass>, answer: &Result<upstream::Answer<B>, Rejection>) {
    let Some(mut pass) = pass else { return };
    let said = answer.as_ref().map(|answer| answer.head.status()).map_err(|rejection| rejection.reason);
    if let Some(turn) = pass.ended(outcome(said), core.index, Instant::now()) {
        observe::turned(pass.breaker(), turn);
    }
}

/// The router's own answer for destinations that verify its tokens, where it has a path.
fn public_keys(core: &Core, head: &RequestHead) -> Option<Local> {
    let keys = core.shared.identity_keys.as_ref()?;
    let asks = keys.path.as_deref() == Some(head.path()) && matches!(*head.method(), Method::GET | Method::HEAD);
    asks.then(|| {
        let headers = vec![
            (CONTENT_TYPE, HeaderValue::from_static("application/jwk-set+json")),
            (CACHE_CONTROL, HeaderValue::from_static("public, max-age=60")),
        ];
        Local { status: StatusCode::OK, headers, body: keys.set() }
    })
}

/// The router's own answer for load balancers: ready or not, for any Host.
fn health(core: &Core) -> Local {
    let ready = core.snapshot().is_some() && !core.is_too_old() && !core.shared.drain.is_ending();
    let (status, text) = match ready {
        true => (StatusCode::OK, "ok\n"),
        false => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
    };
    let headers = vec![(CONTENT_TYPE, HeaderValue::from_static("text/plain"))];
    Local { status, headers, body: text.as_bytes().to_vec() }
}
