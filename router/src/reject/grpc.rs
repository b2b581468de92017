//! The router's own refusals in gRPC's words: clients of it look for `grpc-status`, and read no body.
//!
//! Owns the mapping from an HTTP status to a gRPC one, which is the one that its clients would make by themselves.
//! Must never know routes or snapshots.

use http::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use http::{HeaderMap, StatusCode};

use super::{Local, Reason, Rejection};

const STATUS: HeaderName = HeaderName::from_static("grpc-status");
const MESSAGE: HeaderName = HeaderName::from_static("grpc-message");

/// Whether a content type is gRPC's. Its cousin for browsers has another one, and other rules.
pub(crate) fn is_grpc(content_type: &[u8]) -> bool {
    let rest = content_type.get(..GRPC.len()).filter(|start| start.eq_ignore_ascii_case(GRPC));
    rest.is_some() && matches!(content_type.get(GRPC.len()), None | Some(b'+' | b';' | b' '))
}

const GRPC: &[u8] = b"application/grpc";

/// The answer to a refusal: nothing but a head that holds what trailers would.
pub(crate) fn answer(rejection: &Rejection, request_id: &str) -> Local {
    let refused = super::answer(rejection, request_id);
    let described = [CONTENT_TYPE, http::header::CACHE_CONTROL];
    let mut headers = vec![(CONTENT_TYPE, HeaderValue::from_static("application/grpc"))];
    headers.extend(status(rejection.reason));
    headers.extend(refused.headers.into_iter().filter(|(name, _)| !described.contains(name)));
    Local { status: StatusCode::OK, headers, body: Vec::new() }
}

/// What ends an answer that broke off: a reset would be taken for an error of the server's own.
pub(crate) fn trailers(reason: Reason) -> HeaderMap {
    status(reason).into_iter().collect()
}

fn status(reason: Reason) -> [(HeaderName, HeaderValue); 2] {
    [(STATUS, HeaderValue::from(code(reason.status()))), (MESSAGE, HeaderValue::from_static(reason.public()))]
}

/// The status that a client makes of an HTTP status (gRPC's `http-grpc-status-mapping`).
fn code(status: StatusCode) -> u16 {
    match status.as_u16() {
        400 | 431 => 13,
        401 => 16,
        403 => 7,
        404 => 12,
        429 | 502..=504 => 14,
        _ => 2,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_grpc_is_grpc() {
        for yes in ["application/grpc", "application/grpc+proto", "Application/gRPC; charset=x"] {
            assert!(is_grpc(yes.as_bytes()), "{yes}");
        }
        for no in ["application/grpc-web", "application/grpc-web+proto", "application/json", "application/grp", ""] {
            assert!(!is_grpc(no.as_bytes()), "{no}");
        }
    }

    #[test]
    fn every_refusal_has_a_status_and_words_that_need_no_escape() {
        for reason in Reason::all() {
            let trailers = trailers(reason);
            assert!(trailers.contains_key(STATUS));
            assert!(reason.public().bytes().all(|byte| matches!(byte, b' '..=b'~') && byte != b'%'), "{reason:?}");
        }
        assert_eq!(trailers(Reason::DestinationRefused)[STATUS], "14");
        assert_eq!(trailers(Reason::CredentialsMissing)[STATUS], "16");
        assert_eq!(trailers(Reason::RouteNotFound)[STATUS], "12");
    }

    #[test]
    fn a_refusal_keeps_what_names_it_and_has_no_body() {
        let local = answer(&Rejection::new(Reason::Overloaded, "for the log"), "abc");
        let headers: HeaderMap = local.headers.into_iter().collect();
        assert!(local.status == StatusCode::OK && local.body.is_empty());
        assert_eq!(headers["x-postern-reason"], "overloaded");
        assert_eq!(headers["x-request-id"], "abc");
        assert_eq!(headers["retry-after"], "1");
        assert_eq!(
            (&headers[STATUS], &headers[CONTENT_TYPE]),
            (&HeaderValue::from(14), &HeaderValue::from_static("application/grpc"))
        );
    }
}
