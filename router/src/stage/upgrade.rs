//! Whether a request may change the protocol: a WebSocket where the route lets one be opened, and nothing else
//! anywhere.
//!
//! Owns what a handshake must look like on both sides (RFC 6455 §4.2.1, §4.2.2). What asks for another protocol is
//! not refused: the offer is taken off and the rest forwarded (RFC 9110 §7.8). Must never know what is sent once
//! the protocol has changed.

use http::header::{HeaderName, HeaderValue};
use http::{Method, StatusCode};

use crate::http1::{Framing, RequestHead, ResponseHead, Version};
use crate::reject::{Reason, Rejection};
use crate::websocket;

/// A WebSocket that is asked for in the right way, and may be opened.
pub(crate) struct Handshake {
    /// What a destination that agrees must say.
    accept: String,
}

/// The handshake that a request is; none when it does not ask for a WebSocket.
///
/// # Errors
/// 400 where none may be opened, and for what is no handshake though it asks for one.
pub(crate) fn upgrade(head: &RequestHead, permitted: bool) -> Result<Option<Handshake>, Rejection> {
    if !head.lists("connection", "upgrade") || !head.lists("upgrade", "websocket") {
        return Ok(None);
    }
    if !permitted {
        return Err(Rejection::new(Reason::UpgradeNotSupported, "the route is not websocket: true"));
    }
    match handshake(head) {
        Ok(handshake) => Ok(Some(handshake)),
        // RFC 6455 §4.4: who knows another version is told this one.
        Err(why) => Err(Rejection::new(Reason::UpgradeNotSupported, why)
            .header(VERSION, HeaderValue::from_static(websocket::VERSION))),
    }
}

const VERSION: HeaderName = HeaderName::from_static("sec-websocket-version");

fn handshake(head: &RequestHead) -> Result<Handshake, &'static str> {
    if *head.method() != Method::GET || head.version() == Version::Http10 {
        return Err("a handshake is GET and HTTP/1.1");
    }
    if head.framing() != Framing::None {
        return Err("a handshake has no body");
    }
    // A list of protocols would leave open which one the destination takes.
    if !head.fields().only("upgrade").is_some_and(|value| value.eq_ignore_ascii_case(b"websocket")) {
        return Err("more than a WebSocket is offered");
    }
    if head.fields().only("sec-websocket-version") != Some(websocket::VERSION.as_bytes()) {
        return Err("the only version of the protocol is 13");
    }
    match head.fields().only("sec-websocket-key") {
        Some(key) if websocket::is_key(key) => Ok(Handshake { accept: websocket::accept(key) }),
        _ => Err("the key is not one of 16 bytes"),
    }
}

impl Handshake {
    /// Whether a 101 agrees to this handshake.
    ///
    /// # Errors
    /// In what it does not. Then nobody knows what the destination speaks.
    pub(crate) fn check(&self, answer: &ResponseHead) -> Result<(), &'static str> {
        let fields = answer.fields();
        let is_only = |name: &str, wanted: &dyn Fn(&[u8]) -> bool| {
            let mut values = fields.all(name);
            values.next().is_some_and(wanted) && values.next().is_none()
        };
        if answer.status() != StatusCode::SWITCHING_PROTOCOLS || !answer.lists("connection", "upgrade") {
            return Err("the 101 does not list upgrade in Connection");
        }
        if !is_only("upgrade", &|value| value.eq_ignore_ascii_case(b"websocket")) {
            return Err("the 101 changes to something that is no WebSocket");
        }
        if !is_only("sec-websocket-accept", &|value| value == self.accept.as_bytes()) {
            return Err("the 101 answers another key");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "sec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";
    const ACCEPT: &str = "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n";

    fn judged(text: &str, permitted: bool) -> Result<bool, Reason> {
        let head = RequestHead::parse(text.as_bytes()).unwrap();
        upgrade(&head, permitted).map(|one| one.is_some()).map_err(|rejection| rejection.reason)
    }

    fn get(fields: &str) -> String {
        format!("GET /a HTTP/1.1\r\nhost: a\r\n{fields}\r\n")
    }

    #[test]
    fn only_a_whole_handshake_is_one_and_only_where_it_may_be() {
        let asks = "connection: keep-alive, Upgrade\r\nupgrade: WebSocket\r\n";
        let version = "sec-websocket-version: 13\r\n";
        let right = get(&format!("{asks}{KEY}{version}"));
        assert_eq!(judged(&right, true), Ok(true));
        assert_eq!(judged(&right, false), Err(Reason::UpgradeNotSupported));
        for text in [
            right.replacen("GET", "POST", 1),
            right.replacen("HTTP/1.1", "HTTP/1.0", 1),
            right.replacen("host: a\r\n", "host: a\r\ncontent-length: 5\r\n", 1),
            get(&format!("{asks}{KEY}")),
            get(&format!("{asks}{KEY}sec-websocket-version: 8\r\n")),
            get(&format!("{asks}{KEY}{version}{version}")),
            get(&format!("{asks}{version}")),
            get(&format!("{asks}{KEY}{KEY}{version}")),
            get(&format!("{asks}sec-websocket-key: aGVsbG8=\r\n{version}")),
            get(&format!("{asks}upgrade: h2c\r\n{KEY}{version}")),
            get(&format!("connection: upgrade\r\nupgrade: h2c, websocket\r\n{KEY}{version}")),
        ] {
            assert_eq!(judged(&text, true), Err(Reason::UpgradeNotSupported), "{text}");
        }
        for fields in [
            "upgrade: websocket\r\n",
            "connection: upgrade\r\n",
            "connection: upgrade, http2-settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABk\r\n",
            "connection: upgrade\r\nupgrade: websockets\r\n",
        ] {
            for permitted in [true, false] {
                assert_eq!(judged(&get(&format!("{fields}{KEY}{version}")), permitted), Ok(false), "{fields}");
            }
        }
    }

    #[test]
    fn a_destination_agrees_to_this_handshake_or_to_none() {
        let asks = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\n";
        let head = RequestHead::parse(get(&format!("{asks}{KEY}")).as_bytes()).unwrap();
        let handshake = upgrade(&head, true).ok().flatten().unwrap();
        let agrees = |fields: &str| {
            let text = format!("HTTP/1.1 101 x\r\n{fields}\r\n");
            handshake.check(&ResponseHead::parse(text.as_bytes(), &Method::GET).unwrap()).is_ok()
        };
        let changes = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        assert!(agrees(&format!("{changes}{ACCEPT}")));
        for fields in [
            changes.to_owned(),
            format!("upgrade: websocket\r\n{ACCEPT}"),
            format!("connection: upgrade\r\n{ACCEPT}"),
            format!("connection: upgrade\r\nupgrade: h2c\r\n{ACCEPT}"),
            format!("{changes}upgrade: h2c\r\n{ACCEPT}"),
            format!("{changes}{ACCEPT}{ACCEPT}"),
            format!("{changes}{}", ACCEPT.replace("s3p", "S3p")),
        ] {
            assert!(!agrees(&fields), "{fields}");
        }
    }
}
