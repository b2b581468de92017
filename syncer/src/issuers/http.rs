//! One GET to an issuer, and its whole answer: verified TLS, no redirects, no proxies, a bound on time and bytes.
//!
//! Assumes that whoever answers may be hostile, and that names may resolve to anything: addresses that are never dialled
//! are not dialled here either. Must never know what an answer is for.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http_body_util::{BodyExt, Empty, LengthLimitError, Limited};
use hyper::body::{Body, Bytes};
use hyper::header::{ACCEPT, ACCEPT_ENCODING, CACHE_CONTROL, CONNECTION, HOST, HeaderMap, USER_AGENT};
use hyper::{Request, Uri};
use hyper_util::rt::TokioIo;
use postern_config::document::Roots;
use postern_config::value::{Forbidden, forbidden};
use rustls::pki_types::ServerName;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;

use super::trust;
use crate::limits;
use crate::source::{FailureReason, SourceError};

/// How issuers are asked.
#[derive(Debug, Clone)]
pub struct Http {
    /// Whether this machine itself may be asked, also without TLS. For demos and tests.
    pub allow_loopback: bool,
    /// How long one answer may take, from the name's resolution to its last byte.
    pub time: Duration,
}

/// An answer with status 200.
#[derive(Debug)]
pub struct Fetched {
    /// The body.
    pub body: Bytes,
    /// What `Cache-Control` says of its age.
    pub max_age: Option<Duration>,
}

/// Where a URL leads.
struct Place {
    host: String,
    port: u16,
    tls: bool,
}

impl Http {
    /// Asks for a URL.
    ///
    /// # Errors
    /// When there is no answer of status 200 within the bounds.
    pub async fn get(&self, url: &str, roots: &Roots) -> Result<Fetched, SourceError> {
        let asked = tokio::time::timeout(self.time, self.exchange(url, roots)).await;
        let (reason, why) = match asked {
            Ok(Ok(fetched)) => return Ok(fetched),
            Ok(Err(failure)) => failure,
            Err(_) => (FailureReason::Timeout, format!("gave no answer within {:?}", self.time)),
        };
        Err(SourceError::new(reason, format!("{url} {why}")))
    }

    async fn exchange(&self, url: &str, roots: &Roots) -> Result<Fetched, (FailureReason, String)> {
        let uri: Uri = url.parse().map_err(|_| (FailureReason::Invalid, "is no URL".to_owned()))?;
        let place = place(&uri).ok_or_else(|| (FailureReason::Invalid, "is no https URL".to_owned()))?;
        let stream = self.connect(&place).await?;
        if !place.tls {
            return send(stream, &uri).await;
        }
        let unavailable =
            |error: &dyn std::fmt::Display| (FailureReason::Unavailable, format!("cannot be asked: {error}"));
        let config = trust::client_config(roots).map_err(|error| (FailureReason::Invalid, error))?;
        let name = ServerName::try_from(place.host).map_err(|error| unavailable(&error))?;
        let connector = tokio_rustls::TlsConnector::from(Arc::new(config));
        send(connector.connect(name, stream).await.map_err(|error| unavailable(&error))?, &uri).await
    }

    /// A connection to the first address that may be dialled and answers.
    async fn connect(&self, place: &Place) -> Result<TcpStream, (FailureReason, String)> {
        let unavailable = |why: String| (FailureReason::Unavailable, why);
        let found = tokio::net::lookup_host((place.host.as_str(), place.port))
            .await
            .map_err(|error| unavailable(format!("has a name that does not resolve: {error}")))?;
        let mut why = "has a name without an address".to_owned();
        for address in found.take(ADDRESSES) {
            match self.permits(address, place.tls) {
                Ok(()) => match TcpStream::connect(address).await {
                    Ok(stream) => return Ok(stream),
                    Err(error) => why = format!("cannot be reached: {error}"),
                },
                Err(refusal) => why = refusal,
            }
        }
        Err(unavailable(why))
    }

    fn permits(&self, address: SocketAddr, tls: bool) -> Result<(), String> {
        match forbidden(address.ip()) {
            None if tls => Ok(()),
            None => Err("is not https, and leads to another machine".to_owned()),
            Some(Forbidden::Loopback) if self.allow_loopback => Ok(()),
            Some(Forbidden::Loopback) => {
                Err("leads to a loopback address, which --allow-loopback-destinations alone permits".to_owned())
            }
            Some(forbidden) => Err(format!("leads to {forbidden}, which is never asked")),
        }
    }
}

fn place(uri: &Uri) -> Option<Place> {
    let tls = match uri.scheme_str()? {
        "https" => true,
        "http" => false,
        _ => return None,
    };
    let host = uri.host()?.trim_start_matches('[').trim_end_matches(']').to_owned();
    Some(Place { host, port: uri.port_u16().unwrap_or(if tls { 443 } else { 80 }), tls })
}

async fn send<S>(stream: S, uri: &Uri) -> Result<Fetched, (FailureReason, String)>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let failed = |error: &dyn std::fmt::Display| (FailureReason::Unavailable, format!("cannot be asked: {error}"));
    let builder = hyper::client::conn::http1::Builder::new();
    let (mut sender, connection) =
        builder.handshake::<_, Empty<Bytes>>(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let driver = Driver(tokio::spawn(connection));
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let request = Request::get(uri.path_and_query().map_or("/", |target| target.as_str()))
        .header(HOST, authority)
        .header(USER_AGENT, "postern-syncer")
        .header(ACCEPT, "application/jwk-set+json, application/json")
        // What is packed can be a thousand times larger than it looks.
        .header(ACCEPT_ENCODING, "identity")
        .header(CONNECTION, "close")
        .body(Empty::new())
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = response.status();
    if status != 200 {
        return Err(refused(status.as_u16()));
    }
    let max_age = max_age(response.headers());
    let too_large = || (FailureReason::TooLarge, format!("has more than {} bytes", limits::ISSUER_BYTES));
    if response.body().size_hint().lower() > limits::ISSUER_BYTES as u64 {
        return Err(too_large());
    }
    let body = Limited::new(response.into_body(), limits::ISSUER_BYTES).collect().await;
    drop(driver);
    match body {
        Ok(body) => Ok(Fetched { body: body.to_bytes(), max_age }),
        Err(error) if error.is::<LengthLimitError>() => Err(too_large()),
        Err(error) => Err(failed(&error)),
    }
}

/// Ends the connection with the exchange, also when that is given up.
struct Driver(tokio::task::JoinHandle<hyper::Result<()>>);

impl Drop for Driver {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn refused(status: u16) -> (FailureReason, String) {
    let reason = match status {
        300..=399 => return (FailureReason::Invalid, format!("answers {status}, and redirects are not followed")),
        401 | 403 => FailureReason::Forbidden,
        404 | 410 => FailureReason::NotFound,
        429 => FailureReason::Throttled,
        _ => FailureReason::Unavailable,
    };
    (reason, format!("answers {status}"))
}

/// RFC 9111 §5.2.2; what must not be kept is fetched as often as may be.
fn max_age(headers: &HeaderMap) -> Option<Duration> {
    let mut found = None;
    for value in headers.get_all(CACHE_CONTROL) {
        for directive in value.to_str().unwrap_or_default().split(',').map(str::trim) {
            let (name, argument) = directive.split_once('=').unwrap_or((directive, ""));
            if name.eq_ignore_ascii_case("no-store") || name.eq_ignore_ascii_case("no-cache") {
                return Some(Duration::ZERO);
            }
            if name.eq_ignore_ascii_case("max-age") {
                found = argument.trim_matches('"').parse().ok().map(Duration::from_secs);
            }
        }
    }
    found
}

/// Addresses of one name that are tried.
const ADDRESSES: usize = 4;

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::header::HeaderValue;

    #[test]
    fn an_age_is_read_from_whatever_stands_around_it() {
        let read = |text: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CACHE_CONTROL, HeaderValue::from_str(text).unwrap());
            max_age(&headers).map(|age| age.as_secs())
        };
        assert_eq!(read("public, max-age=19763, must-revalidate"), Some(19_763));
        assert_eq!(read("Max-Age=\"60\""), Some(60));
        assert_eq!(read("no-store, max-age=60"), Some(0));
        assert_eq!(read("max-age=99999999999999999999999"), None);
        assert_eq!(read("max-age=-1"), None);
        assert_eq!(read("private"), None);
    }

    #[test]
    fn only_https_leaves_this_machine_and_some_addresses_are_never_asked() {
        let http = |allow_loopback| Http { allow_loopback, time: Duration::from_secs(1) };
        let permits = |allow, address: &str, tls| http(allow).permits(address.parse().unwrap(), tls).is_ok();
        assert!(permits(false, "8.8.8.8:443", true) && permits(false, "10.0.0.1:443", true));
        assert!(!permits(false, "8.8.8.8:80", false) && !permits(true, "8.8.8.8:80", false));
        for metadata in ["169.254.169.254:443", "169.254.170.2:443", "[fd00:ec2::254]:443", "0.0.0.0:443"] {
            assert!(!permits(true, metadata, true), "{metadata}");
        }
        for loopback in ["127.0.0.1:443", "[::1]:443"] {
            assert!(!permits(false, loopback, true) && permits(true, loopback, true) && permits(true, loopback, false));
        }
    }
}
