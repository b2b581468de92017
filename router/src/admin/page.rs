//! The page for people: its files, which are part of the binary, and what a browser is told about them.
//!
//! Nothing is fetched from elsewhere, and the browser is told to see to that. Must never know what the page shows.

use bytes::Bytes;
use http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderName, HeaderValue, IF_NONE_MATCH,
    REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, Response, StatusCode};
use http_body_util::Full;
use postern_config::merged::Digest;

/// Where the page's files are, but for the page itself.
pub(super) const FOLDER: &str = "/page/";

/// What the page may do: load its own files, ask this listener. Nothing inline, nothing foreign, no frame around it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      base-uri 'none'; frame-ancestors 'none'; form-action 'none'";
const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";

/// Name, kind and bytes of a file.
type Asset = (&'static str, &'static str, &'static str);

macro_rules! assets {
    ($($kind:ident $name:literal)*) => {
        [$(($name, $kind, include_str!(concat!("../../assets/admin/", $name)))),*]
    };
}

const PAGE: Asset = ("page.html", HTML, include_str!("../../assets/admin/page.html"));
const ASSETS: &[Asset] = &assets! {
    STYLE "page.css"
    SCRIPT "page.js"
    SCRIPT "ask.js"
    SCRIPT "changes.js"
    SCRIPT "charts.js"
    SCRIPT "destinations.js"
    SCRIPT "elements.js"
    SCRIPT "explain.js"
    SCRIPT "latency.js"
    SCRIPT "metrics.js"
    SCRIPT "overview.js"
    SCRIPT "recent.js"
    SCRIPT "refused.js"
    SCRIPT "routes.js"
    SCRIPT "table.js"
    SCRIPT "vendor/uPlot.iife.min.js"
    STYLE "vendor/uPlot.min.css"
};

/// Whether a browser asks, which wants to show something.
pub(super) fn is_wanted(headers: &HeaderMap) -> bool {
    let accept = headers.get(http::header::ACCEPT).and_then(|value| value.to_str().ok());
    accept.is_some_and(|accept| accept.contains("text/html"))
}

/// The page itself.
pub(super) fn page(headers: &HeaderMap) -> Response<Full<Bytes>> {
    asset(&PAGE, headers)
}

/// One of its files, by the name behind [`FOLDER`].
pub(super) fn file(name: &str, headers: &HeaderMap) -> Option<Response<Full<Bytes>>> {
    ASSETS.iter().find(|(known, ..)| *known == name).map(|one| asset(one, headers))
}

fn asset((_, kind, text): &Asset, headers: &HeaderMap) -> Response<Full<Bytes>> {
    let tag = Digest::of(text.as_bytes()).to_string();
    unless_known(&tag, headers, || {
        let mut response = Response::new(Full::new(Bytes::from_static(text.as_bytes())));
        response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(kind));
        response
    })
}

/// The answer with an entity tag, or 304 for whoever has it already (RFC 9110 §13.1.2).
pub(super) fn unless_known(
    tag: &str,
    headers: &HeaderMap,
    answer: impl FnOnce() -> Response<Full<Bytes>>,
) -> Response<Full<Bytes>> {
    let tag = format!("\"{tag}\"");
    let known = headers.get_all(IF_NONE_MATCH).iter().any(|value| value.as_bytes() == tag.as_bytes());
    let mut response = match known {
        true => {
            let mut response = Response::new(Full::default());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        }
        false => answer(),
    };
    if let Ok(tag) = HeaderValue::from_str(&tag) {
        response.headers_mut().insert(ETAG, tag);
    }
    // A newer router has other files: they are asked for every time, and mostly there already.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// What every answer of the listener tells a browser: which sort of thing it is and that no other site may have it.
pub(super) fn guarded(mut response: Response<Full<Bytes>>) -> Response<Full<Bytes>> {
    const RULES: [(HeaderName, &str); 5] = [
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
    ];
    for (name, value) in RULES {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}
