//! One request to an admin address, and its whole answer: no redirects, no proxies, a bound on time and bytes.

use std::time::Duration;

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::{Method, Request};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

use crate::limits;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status code.
    pub(crate) status: u16,
    /// The body.
    pub(crate) body: Bytes,
}

/// GET.
pub(crate) async fn get(address: &str, target: &str, time: Duration) -> Result<Answer, String> {
    send(Method::GET, address, target, time).await
}

/// POST without a body.
pub(crate) async fn post(address: &str, target: &str, time: Duration) -> Result<Answer, String> {
    send(Method::POST, address, target, time).await
}

async fn send(method: Method, address: &str, target: &str, time: Duration) -> Result<Answer, String> {
    let address = address.strip_prefix("http://").unwrap_or(address).trim_end_matches('/');
    match tokio::time::timeout(time, exchange(method, address, target)).await {
        Ok(result) => result,
        Err(_) => Err(format!("{address} did not answer within {time:?}")),
    }
}

async fn exchange(method: Method, address: &str, target: &str) -> Result<Answer, String> {
    let failed = |error: &dyn std::fmt::Display| format!("{address} cannot be asked: {error}");
    let stream = TcpStream::connect(address).await.map_err(|error| failed(&error))?;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(|error| failed(&error))?;
    let driver = tokio::spawn(connection);
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header(hyper::header::HOST, address)
        .header(hyper::header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|error| failed(&error))?;
    let response = sender.send_request(request).await.map_err(|error| failed(&error))?;
    let status = response.status().as_u16();
    let body =
        Limited::new(response.into_body(), limits::ANSWER_BYTES).collect().await.map_err(|error| failed(&error))?;
    driver.abort();
    Ok(Answer { status, body: body.to_bytes() })
}
