//! Who may not ask: a browser on behalf of another site.
//!
//! The listener has no login, since it is for whoever reaches its address. A browser on that machine reaches it too,
//! whatever site it shows, and two ways lead from there to here: a request across sites, which the browser marks, and a
//! name of that site that suddenly means this machine's address (DNS rebinding), which only `Host` gives away.

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{HOST, HeaderName, HeaderValue};

/// Why a request is not answered, for whoever sent it; none when it is.
pub(super) fn refuses(headers: &HeaderMap, named: &[String]) -> Option<String> {
    let fetch = |name: &'static str| headers.get(HeaderName::from_static(name)).map(HeaderValue::as_bytes);
    // A link from a runbook is fine: whoever follows it sees the page, and the site behind it sees nothing.
    let is_foreign = fetch("sec-fetch-site").is_some_and(|site| site == b"cross-site" || site == b"same-site");
    if is_foreign && fetch("sec-fetch-mode") != Some(b"navigate") {
        return Some("another site asks: this listener answers its own page only\n".to_owned());
    }
    let host = headers.get(HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    (!is_ours(host, named)).then(|| {
        format!("the name {host:?} may belong to anybody: ask by address, or list it in admin_hosts of the router's settings\n")
    })
}

/// Whether nobody outside could have a site of that name: an address, a name of one label, one that DNS gives to nobody
/// (RFC 6761, RFC 6762, RFC 8375 and ICANN's `internal`), or one of the settings.
fn is_ours(host: &str, named: &[String]) -> bool {
    let without_port = match host.rsplit_once(':') {
        Some((name, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => name,
        _ => host,
    };
    let bare = without_port.trim_start_matches('[').trim_end_matches(']');
    if bare.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = without_port.trim_end_matches('.').to_ascii_lowercase();
    let reserved = [".localhost", ".local", ".internal", ".home.arpa", ".test"];
    !name.contains('.')
        || reserved.iter().any(|end| name.ends_with(end))
        || named.iter().any(|known| known.eq_ignore_ascii_case(&name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_somebody_may_own_are_refused_unless_they_are_listed() {
        let named = ["router.example.com".to_owned()];
        for ours in [
            "127.0.0.1:9901", "127.0.0.1", "[::1]:9901", "::1", "localhost:9901", "LOCALHOST", "admin", "router:9901",
            "ip-10-0-0-1.eu-west-1.compute.internal", "a.local", "Router.Example.com:80", "router.example.com.", "",
        ] {
            assert!(is_ours(ours, &named), "{ours}");
        }
        for theirs in [
            "evil.example:9901", "127.0.0.1.evil.example", "localhost.evil.example", "xlocalhost.com", "example.com",
            "127.0.0.1:9901.evil.example", "local.evil.example:80", "a.router.example.com",
        ] {
            assert!(!is_ours(theirs, &named), "{theirs}");
        }
    }
}
