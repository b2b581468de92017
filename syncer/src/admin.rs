//! The admin listener: health, metrics, conditions, and what people order: to let go what is held, to make routes stay.
//!
//! On loopback unless told otherwise: whoever reaches it can read every registration. Must never decide anything.

use std::convert::Infallible;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, HeaderValue, ORIGIN};
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_config::condition::Condition;
use postern_config::value::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

use crate::issuers::watch::{Answer, Early, NotAsked};
use crate::limits;
use crate::reconcile::pin::Order;
use crate::reconcile::{Requests, now};
use crate::status::{Status, View};

/// What the listener shows.
#[derive(Debug)]
pub struct Admin {
    /// What is known.
    pub status: Arc<Status>,
    /// What can be asked for.
    pub requests: Arc<Requests>,
    /// Early fetches of keys.
    pub early: Arc<Early>,
    /// How often a pass is expected.
    pub interval: Duration,
    /// For how long a store may fail.
    pub unhealthy_after: Duration,
}

/// Takes the address.
///
/// # Errors
/// When it is taken, or not ours, in words with a remedy.
pub async fn bind(address: SocketAddr) -> Result<TcpListener, String> {
    TcpListener::bind(address)
        .await
        .map_err(|error| format!("the admin address {address} cannot be used: {error}; choose another with --admin"))
}

/// Answers until it is dropped.
pub async fn serve(listener: TcpListener, admin: Arc<Admin>) {
    let room = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::warn!(%error, "a connection to the admin address was lost");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let admin = Arc::clone(&admin);
        tokio::spawn(async move {
            let service = service_fn(move |request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(respond_to(&admin, &request).await) }
            });
            let connection = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(limits::ADMIN_TIME)
                .keep_alive(false)
                .serve_connection(TokioIo::new(stream), service);
            // Whoever asks and does not read is not waited for.
            let _ = tokio::time::timeout(limits::ADMIN_TIME * 6, connection).await;
            drop(permit);
        });
    }
}

async fn respond_to(admin: &Admin, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    match request.uri().path() {
        "/refresh" if *request.method() != Method::POST => not_allowed("POST"),
        "/refresh" if request.headers().contains_key(ORIGIN) => cross_origin(),
        "/refresh" => refresh(admin, request.uri().query()).await,
        "/pin" | "/rollback" if *request.method() != Method::POST => not_allowed("POST"),
        "/pin" | "/rollback" if request.headers().contains_key(ORIGIN) => cross_origin(),
        "/pin" => stay(admin, Order::Pin).await,
        "/rollback" => {
            let generation = request.uri().query().and_then(|query| parameter(query, "generation"));
            match generation.and_then(|text| text.parse().ok()) {
                Some(generation) => stay(admin, Order::Rollback(generation)).await,
                None => problem(StatusCode::BAD_REQUEST, "generation_missing", "write /rollback?generation=NUMBER"),
            }
        }
        _ => answer(admin, request),
    }
}

/// Makes the routes of a generation stay, and answers when that is live.
async fn stay(admin: &Admin, order: Order) -> Response<Full<Bytes>> {
    match admin.requests.order(order).await {
        Ok(Ok(generation)) => {
            respond(StatusCode::OK, "application/json", format!("{}\n", json!({ "generation": generation })))
        }
        Ok(Err(why)) => problem(StatusCode::CONFLICT, "not_pinned", &why),
        Err(_) => problem(StatusCode::SERVICE_UNAVAILABLE, "ending", "the syncer is ending"),
    }
}

/// Fetches the keys of an issuer before their time, and answers when they are live. How often that may be is the
/// issuer's own matter: whoever asks too often waits.
async fn refresh(admin: &Admin, query: Option<&str>) -> Response<Full<Bytes>> {
    let name = query.and_then(|query| parameter(query, "issuer")).unwrap_or_default();
    let waiting = match admin.early.ask(&name) {
        Ok(waiting) => waiting,
        Err(NotAsked::Unknown) => {
            return problem(StatusCode::NOT_FOUND, "issuer_unknown", "there is no such issuer whose keys are fetched");
        }
        Err(NotAsked::Busy) => return problem(StatusCode::TOO_MANY_REQUESTS, "busy", "enough wait for that already"),
    };
    match waiting.await {
        Ok(Answer { fetched, generation }) => {
            let status = if fetched { StatusCode::OK } else { StatusCode::BAD_GATEWAY };
            respond(
                status,
                "application/json",
                format!("{}\n", json!({ "fetched": fetched, "generation": generation })),
            )
        }
        Err(_) => problem(StatusCode::NOT_FOUND, "issuer_unknown", "the issuer is gone from the boundary"),
    }
}

fn cross_origin() -> Response<Full<Bytes>> {
    problem(StatusCode::FORBIDDEN, "cross_origin", "requests from web pages are refused")
}

fn answer(admin: &Admin, request: &Request<Incoming>) -> Response<Full<Bytes>> {
    let path = request.uri().path();
    let reading = matches!(*request.method(), Method::GET | Method::HEAD);
    match path {
        "/healthz" | "/metrics" | "/conditions" if !reading => not_allowed("GET, HEAD"),
        "/release" if *request.method() != Method::POST => not_allowed("POST"),
        "/healthz" => health(admin),
        "/metrics" => respond(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            admin.status.metrics.render(&admin.status.view()),
        ),
        "/conditions" => {
            let wanted = request.uri().query().and_then(|query| parameter(query, "id"));
            respond(StatusCode::OK, "application/json", conditions(&admin.status.view(), wanted.as_deref()))
        }
        // A page in somebody's browser must not be able to.
        "/release" if request.headers().contains_key(ORIGIN) => cross_origin(),
        "/release" => release(admin),
        _ => problem(
            StatusCode::NOT_FOUND,
            "not_found",
            "there are /healthz, /metrics, /conditions, POST /release, POST /pin, POST /rollback and POST /refresh",
        ),
    }
}

fn release(admin: &Admin) -> Response<Full<Bytes>> {
    let view = admin.status.view();
    let held = view.hold.as_ref().map_or(0, |hold| hold.ids.len());
    admin.requests.release();
    respond(
        StatusCode::ACCEPTED,
        "application/json",
        format!("{}\n", json!({ "released": held, "unpinned": view.pinned.map(|pinned| pinned.generation) })),
    )
}

fn health(admin: &Admin) -> Response<Full<Bytes>> {
    match unhealthy(admin, &admin.status.view(), now()) {
        None => respond(StatusCode::OK, "application/json", "{\"status\": \"ok\"}\n".to_owned()),
        Some((reason, detail)) => problem(StatusCode::SERVICE_UNAVAILABLE, reason, &detail),
    }
}

/// Why the syncer is not well, if it is not.
fn unhealthy(admin: &Admin, view: &View, now: Timestamp) -> Option<(&'static str, String)> {
    let seconds = |since: Timestamp| now.unix().saturating_sub(since.unix());
    let patience = i64::try_from((admin.interval * 5).as_secs().max(5)).unwrap_or(i64::MAX);
    let since = view.last_pass.or(view.started).unwrap_or(now);
    if seconds(since) > patience {
        let why = view.pass_error.clone().or_else(|| failing(view)).unwrap_or_else(|| "no pass has ended".to_owned());
        return Some(("not_reconciling", format!("no pass succeeded for {} s: {why}", seconds(since))));
    }
    let limit = i64::try_from(admin.unhealthy_after.as_secs()).unwrap_or(i64::MAX);
    for (name, source) in [("boundary", &view.boundary), ("registrations", &view.registrations)] {
        if let Some((since, error)) = source.failing.as_ref().filter(|(since, _)| seconds(*since) > limit) {
            return Some(("source_failing", format!("{name} cannot be read for {} s: {error}", seconds(*since))));
        }
    }
    None
}

fn failing(view: &View) -> Option<String> {
    let both = [&view.boundary, &view.registrations];
    both.into_iter().find_map(|source| source.failing.as_ref().map(|(_, error)| error.to_string()))
}

/// Every registration with its conditions, one a line, so that `grep` finds it.
fn conditions(view: &View, wanted: Option<&str>) -> String {
    let wants = |id: &str| match wanted {
        None => true,
        Some(wanted) if wanted.contains('#') => id == wanted,
        Some(wanted) => id == wanted || id.strip_prefix(wanted).is_some_and(|rest| rest.starts_with('#')),
    };
    let mut lines = Vec::new();
    let programmed = view.programmed();
    let started = view.written_at.unwrap_or_else(|| Timestamp::from_unix(0));
    if let Some(content) = &view.content {
        for route in content.routes.iter().filter(|route| wants(&route.id)) {
            let mut all: Vec<Condition> = route.conditions.clone();
            all.push(programmed.condition(route.origin.version, started));
            lines.push(entry(&route.id, Some(route.owner.as_str()), "route", route.origin.version, &all));
        }
        for refused in content.refused.iter().filter(|refused| wants(&refused.id)) {
            let version = refused.conditions.first().map_or(0, |one| one.observed_generation);
            lines.push(entry(&refused.id, refused.owner.as_deref(), "refused", version, &refused.conditions));
        }
    }
    let mut out = String::from("{\n");
    let digest = view.digest.map(|digest| digest.to_string());
    let _ = writeln!(
        out,
        "\"generation\": {}, \"digest\": {}, \"clock\": {},",
        view.generation,
        json!(digest),
        json!(view.mark.clock)
    );
    let _ = writeln!(
        out,
        "\"sources\": {},",
        json!({ "boundary": source(&view.boundary), "registrations": source(&view.registrations) })
    );
    let issuers: Vec<String> = view.issuers.iter().map(|(name, one)| issuer(name.as_str(), one)).collect();
    let _ = writeln!(out, "\"issuers\": [{}],", issuers.join(", "));
    let secrets: Vec<String> = view.secrets.iter().map(|(place, one)| secret(place, one)).collect();
    let _ = writeln!(out, "\"secrets\": [{}],", secrets.join(", "));
    let board: serde_json::Map<_, _> = view.board.iter().map(|(what, one)| ((*what).to_owned(), source(one))).collect();
    let _ = writeln!(out, "\"status\": {},", json!(board));
    let held = view
        .hold
        .as_ref()
        .map(|hold| json!({ "routes": hold.ids.len(), "message": hold.message, "since": hold.since }));
    let _ = writeln!(out, "\"held\": {},", json!(held));
    let _ = writeln!(out, "\"pinned\": {},", json!(view.pinned));
    let _ = writeln!(out, "\"registrations\": [\n{}\n]\n}}", lines.join(",\n"));
    out
}

fn source(source: &crate::status::SourceStatus) -> serde_json::Value {
    let failing = source
        .failing
        .as_ref()
        .map(|(since, error)| json!({ "since": since, "reason": error.reason.as_str(), "message": error.message }));
    json!({ "uri": source.uri, "last_success": source.last_success, "failing": failing })
}

fn issuer(name: &str, issuer: &crate::status::IssuerStatus) -> String {
    let mut value = source(&issuer.source);
    value["name"] = name.into();
    value["keys"] = issuer.keys.into();
    value["until"] = json!(issuer.until);
    value["notes"] = json!(issuer.notes);
    value.to_string()
}

/// How a secret is doing: where it is, and nothing of what is there.
fn secret(place: &str, secret: &crate::status::SecretStatus) -> String {
    let mut value = source(&secret.source);
    value["place"] = place.into();
    value["known"] = secret.known.into();
    value.to_string()
}

fn entry(id: &str, owner: Option<&str>, state: &str, version: u64, conditions: &[Condition]) -> String {
    format!(
        "{{\"id\": {}, \"owner\": {}, \"state\": \"{state}\", \"version\": {version}, \"conditions\": {}}}",
        json!(id),
        json!(owner),
        serde_json::to_string(conditions).unwrap_or_default()
    )
}

/// One query parameter, its escapes decoded.
fn parameter(query: &str, name: &str) -> Option<String> {
    let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
    let mut bytes = Vec::with_capacity(value.len());
    let mut rest = value.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [rest.next()?, rest.next()?];
                u8::from_str_radix(std::str::from_utf8(&digits).ok()?, 16).ok()?
            }
            b'+' => b' ',
            other => other,
        });
    }
    String::from_utf8(bytes).ok()
}

fn not_allowed(allowed: &'static str) -> Response<Full<Bytes>> {
    let mut response =
        problem(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", "this is asked with another method");
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allowed));
    response
}

fn problem(status: StatusCode, reason: &str, detail: &str) -> Response<Full<Bytes>> {
    let body = json!({ "status": status.as_u16(), "reason": reason, "detail": detail });
    respond(status, "application/problem+json", format!("{body}\n"))
}

fn respond(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_parameter_is_decoded() {
        for (query, expected) in [
            ("id=/orders%23default", Some("/orders#default")),
            ("a=b&id=%2Forders", Some("/orders")),
            ("idx=1", None),
            ("id=%zz", None),
            ("id=%", None),
            ("id=%ff", None),
        ] {
            assert_eq!(parameter(query, "id").as_deref(), expected, "{query}");
        }
    }
}
