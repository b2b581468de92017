//! The admin listener: health, metrics, status and explanations, on an address of its own.
//!
//! Read-only. `page` has the files of the page for people, `library` reads what it shows of files, `stranger` turns away
//! what other sites make a browser ask. Must never know the way of traffic.

mod library;
mod page;
mod stranger;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use bytes::Bytes;
use http::header::{ACCEPT, CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue, VARY};
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use postern_config::value::Timestamp;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::mpsc;

use crate::drain::Phase;
use crate::explain::{self, Asked};
use crate::freshness;
use crate::inquiry::{self, Inquiry, Question};
use crate::manual;
use crate::observe::{Figures, Format, Metrics, figures, render};
use crate::reject::Reason;
use crate::services::Shared;
use crate::settings::{self, Settings};

pub(crate) use library::Library;

/// How many requests are told of at once.
const NOTABLE: usize = 200;

/// What there is to tell.
pub(crate) struct Admin {
    pub(crate) shared: Arc<Shared>,
    pub(crate) metrics: Arc<Metrics>,
    pub(crate) settings: Settings,
    /// The way to each core.
    pub(crate) cores: Vec<mpsc::Sender<Inquiry>>,
    /// The files of generations.
    pub(crate) library: Library,
}

/// Answers until the router is over.
pub(crate) async fn run(admin: Arc<Admin>, listener: TcpListener) {
    loop {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            () = admin.shared.drain.reached(Phase::Over) => return,
        };
        let Ok((stream, _)) = accepted else {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
            continue;
        };
        let admin = Arc::clone(&admin);
        tokio::task::spawn_local(async move {
            let service = service_fn(move |request| {
                let admin = Arc::clone(&admin);
                async move { Ok::<_, Infallible>(page::guarded(admin.answer(&request).await)) }
            });
            let _ = hyper::server::conn::http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(std::time::Duration::from_secs(10))
                .serve_connection(TokioIo::new(stream), service)
                .await;
        });
    }
}

impl Admin {
    async fn answer(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        if !matches!(*request.method(), Method::GET | Method::HEAD) {
            return text(StatusCode::METHOD_NOT_ALLOWED, "this listener only tells; use GET\n".to_owned());
        }
        let query = request.uri().query().unwrap_or_default();
        match request.uri().path() {
            "/livez" => text(StatusCode::OK, "ok\n".to_owned()),
            "/readyz" => self.readiness(),
            "/metrics" => self.metrics(request),
            "/snapshot" => json_answer(StatusCode::OK, &self.snapshot()),
            "/jwks" => self.public_keys(),
            path => match stranger::refuses(request.headers(), &self.settings.admin_hosts) {
                Some(why) => text(StatusCode::MISDIRECTED_REQUEST, why),
                None => self.answer_people(path, query, request.headers()).await,
            },
        }
    }

    /// What people look at, with a browser or the commands; what is above is for machines, which may know the router by
    /// any name.
    async fn answer_people(&self, path: &str, query: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        match path {
            "/" => front(headers),
            "/routes" => json_answer(StatusCode::OK, &self.routes()),
            "/explain" => self.explain(query),
            "/requests" => self.requests(query).await,
            "/api/overview" => json_answer(StatusCode::OK, &self.overview()),
            "/api/reasons" => json_answer(StatusCode::OK, &reasons()),
            "/api/routes" | "/api/refused" | "/api/destinations" => self.told(path, headers).await,
            "/api/generations" => read(self.library.generations().await),
            "/api/diff" => self.difference(query).await,
            path => path.strip_prefix(page::FOLDER).and_then(|name| page::file(name, headers)).unwrap_or_else(|| {
                text(
                    StatusCode::NOT_FOUND,
                    "there is /livez /readyz /metrics /snapshot /routes /jwks /explain /requests\n".to_owned(),
                )
            }),
        }
    }

    /// What is served, whether it is well, and what there is to know besides.
    fn overview(&self) -> serde_json::Value {
        let missing = self.missing();
        json!({
            "version": env!("CARGO_PKG_VERSION"),
            "now": Timestamp::from_unix(freshness::unix_now()),
            "ready": missing.is_empty(),
            "missing": missing,
            "cores": self.cores.len(),
            "max_stale_seconds": self.settings.max_stale.map(|period| period.duration().as_secs_f64()),
            "snapshot": self.snapshot(),
        })
    }

    /// What the file of the generation that is served says.
    async fn told(&self, path: &str, headers: &HeaderMap) -> Response<Full<Bytes>> {
        let Some(live) = self.shared.store.live() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "there is no configuration yet\n".to_owned());
        };
        let (generation, digest) = (live.header.generation, live.digest);
        drop(live);
        match self.library.live(generation, digest).await {
            Err(why) => text(StatusCode::NOT_FOUND, format!("{why}\n")),
            Ok(told) => page::unless_known(&digest.to_string(), headers, || {
                let body = match path {
                    "/api/routes" => &told.routes,
                    "/api/refused" => &told.refused,
                    _ => &told.destinations,
                };
                answer(StatusCode::OK, "application/json", body.clone())
            }),
        }
    }

    /// `?from=41&to=42`.
    async fn difference(&self, query: &str) -> Response<Full<Bytes>> {
        let (mut from, mut to) = (None, None);
        for (name, value) in explain::parameters(query) {
            match &*name {
                "from" => from = value.parse().ok(),
                "to" => to = value.parse().ok(),
                _ => (from, to) = (None, None),
            }
        }
        match (from, to) {
            (Some(from), Some(to)) => read(self.library.difference(from, to).await),
            _ => text(StatusCode::BAD_REQUEST, "write from=GENERATION&to=GENERATION\n".to_owned()),
        }
    }

    /// What identity tokens are verified with; no key where none is made.
    fn public_keys(&self) -> Response<Full<Bytes>> {
        let set = self.shared.identity_keys.as_ref().map(|keys| keys.set());
        let set = set.and_then(|set| String::from_utf8(set).ok());
        answer(StatusCode::OK, "application/jwk-set+json", set.unwrap_or_else(|| "{\"keys\":[]}\n".to_owned()))
    }

    /// 200 when the router should get traffic; otherwise every thing that is missing.
    fn readiness(&self) -> Response<Full<Bytes>> {
        match self.missing().as_slice() {
            [] => text(StatusCode::OK, "ok\n".to_owned()),
            missing => text(StatusCode::SERVICE_UNAVAILABLE, format!("missing: {}\n", missing.join("; "))),
        }
    }

    /// Why the router should not get traffic.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        if self.shared.store.live().is_none() {
            let why = self
                .shared
                .store
                .status()
                .rejected
                .clone()
                .map_or_else(String::new, |one| format!(": {}", one.message));
            missing.push(format!("a configuration{why}"));
        }
        if self.shared.too_old.load(Ordering::Relaxed) {
            missing.push("a configuration that is young enough".to_owned());
        }
        if self.shared.drain.is_ending() {
            missing.push("a future: the router is ending".to_owned());
        }
        missing
    }

    fn metrics(&self, request: &Request<Incoming>) -> Response<Full<Bytes>> {
        let accept = request.headers().get_all(ACCEPT).iter().filter_map(|value| value.to_str().ok());
        let format = Format::wanted(&accept.collect::<Vec<_>>().join(","));
        let body = render(&self.metrics, &self.shared, self.age_seconds(), format);
        answer(StatusCode::OK, format.media_type(), body)
    }

    /// What `/metrics` tells, as figures.
    pub(crate) fn figures(&self) -> Vec<Figures> {
        figures(&self.metrics, &self.shared, self.age_seconds())
    }

    fn age_seconds(&self) -> f64 {
        freshness::age(&self.settings.config, self.shared.store.live().as_deref()).as_secs_f64()
    }

    fn snapshot(&self) -> serde_json::Value {
        let status = self.shared.store.status().clone();
        let rejected = status.rejected.as_ref();
        let failures = &status.failures;
        match self.shared.store.live() {
            None => json!({"generation": null, "routes": 0, "rejected": rejected, "load_failures": failures}),
            Some(live) => json!({
                "generation": live.header.generation,
                "digest": live.digest.to_string(),
                "written_at": live.header.written_at,
                "loaded_at": Timestamp::from_unix(live.loaded_at),
                "age_seconds": self.age_seconds(),
                "routes": live.table.routes().len(),
                "counts": live.counts,
                "sources": live.header.sources,
                "quarantined": live.quarantined,
                "notes": live.notes,
                "rejected": rejected,
                "load_failures": failures,
            }),
        }
    }

    fn routes(&self) -> serde_json::Value {
        let live = self.shared.store.live();
        let routes = live.iter().flat_map(|live| live.table.routes()).map(|route| {
            let targets: Vec<_> = route
                .targets
                .iter()
                .map(|target| json!({"destination": &**target.destination.name(), "weight": target.weight}))
                .collect();
            json!({"id": &*route.id, "owner": &*route.owner, "targets": targets})
        });
        json!({"generation": live.as_ref().map(|live| live.header.generation), "routes": routes.collect::<Vec<_>>()})
    }

    /// The lines of the request that is called `?id=…`; without it those of the last that were refused, failed or slow.
    async fn requests(&self, query: &str) -> Response<Full<Bytes>> {
        let mut question = Question::Notable(NOTABLE);
        for (name, value) in explain::parameters(query) {
            match &*name {
                "id" => question = Question::Request(value),
                _ => return text(StatusCode::BAD_REQUEST, format!("unknown parameter {name}: write id=REQUEST_ID\n")),
            }
        }
        let mut lines = inquiry::ask(&self.cores, &question).await;
        // Each begins with its time.
        lines.sort_unstable();
        let from = lines.len().saturating_sub(NOTABLE);
        let body = format!("{{\"requests\": [\n{}\n]}}\n", lines[from..].join(",\n"));
        answer(StatusCode::OK, "application/json", body)
    }

    /// `?request=GET https://host/path&header=name: value…&client=…&at=…&as={claims}&odd_names=…`, percent-encoded.
    fn explain(&self, query: &str) -> Response<Full<Bytes>> {
        let Some(live) = self.shared.store.live() else {
            return text(StatusCode::SERVICE_UNAVAILABLE, "there is no configuration yet\n".to_owned());
        };
        match Asked::from_query(query) {
            Err(error) => text(StatusCode::BAD_REQUEST, format!("{error}\n")),
            Ok(asked) => {
                let asked = asked.heard_where(settings::odd_names(&self.settings).map(Into::into));
                let explanation = explain::explain(&live, asked, freshness::unix_now(), Some(Instant::now()));
                json_answer(StatusCode::OK, &serde_json::to_value(explanation).unwrap_or_default())
            }
        }
    }
}

/// A page for who shows pages, a list for everybody else.
fn front(headers: &HeaderMap) -> Response<Full<Bytes>> {
    let mut response = match page::is_wanted(headers) {
        true => page::page(headers),
        false => text(
            StatusCode::OK,
            "postern-router\n\n/livez\n/readyz\n/metrics\n/snapshot\n/routes\n/jwks\n/explain?request=GET%20https://HOST/PATH\n/requests?id=REQUEST_ID\n/ for browsers\n".to_owned(),
        ),
    };
    response.headers_mut().insert(VARY, HeaderValue::from_static("accept"));
    response
}

/// Every reason of the router's own answers: whose move it is, why, and what to do.
fn reasons() -> serde_json::Value {
    let entries = Reason::all().map(|reason| (reason.code().to_owned(), json!(manual::entry(reason.code()))));
    serde_json::Value::Object(entries.collect())
}

/// What was read of files, or why it could not be.
fn read(told: Result<impl AsRef<str>, String>) -> Response<Full<Bytes>> {
    match told {
        Ok(body) => answer(StatusCode::OK, "application/json", body.as_ref().to_owned()),
        Err(why) => text(StatusCode::NOT_FOUND, format!("{why}\n")),
    }
}

fn text(status: StatusCode, body: String) -> Response<Full<Bytes>> {
    answer(status, "text/plain; charset=utf-8", body)
}

fn json_answer(status: StatusCode, body: &serde_json::Value) -> Response<Full<Bytes>> {
    answer(status, "application/json", format!("{body}\n"))
}

fn answer(status: StatusCode, kind: &'static str, body: String) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(Bytes::from(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
