//! Hosts: a name that is accepted is one that no resolver and no other reader takes for something else.

use std::net::{IpAddr, Ipv4Addr};
use std::rc::Rc;

use postern_config::value::{DestinationUrl, HostName, HostPattern};

use crate::http1::{HeadEnd, RequestHead};
use crate::snapshot::HostSet;
use crate::stage::identify::{Arrival, RequestId, Trust, identify};

/// Every property of bytes that may be a host.
pub(super) fn check(data: &[u8]) {
    let named = std::str::from_utf8(data).ok().and_then(|text| {
        names(text);
        patterns(text);
        urls(text);
        text.parse::<HostName>().ok()
    });
    let asked = ask("/", &[data]);
    if let Some(name) = &named {
        assert_eq!(asked.as_ref(), Some(name), "a name that a request may not ask for");
    }
    let Some(host) = asked else { return };
    is_the_host_of(&host, data);
    // What names it twice, or otherwise, asks for nothing.
    assert_eq!(ask("/", &[data, data]), None, "two hosts");
    assert_eq!(ask("/", &[data, b""]), None, "a host and an empty one");
    assert_eq!(ask("/", &[]), None, "no host");
    let Ok(text) = std::str::from_utf8(data) else { panic!("a host that is no text") };
    let text = text.trim_matches([' ', '\t']);
    assert_eq!(ask(&format!("http://x{text}/"), &[data]), None, "another in the target");
    assert_eq!(ask(&format!("http://u@{text}/"), &[data]), None, "a user in the target");
    assert_eq!(ask(&format!("http://{text}/"), &[data]), Some(host), "the same in the target");
}

/// The host that a request with this target and these values of Host asks for.
fn ask(target: &str, hosts: &[&[u8]]) -> Option<HostName> {
    let mut text = format!("GET {target} HTTP/1.1\r\n").into_bytes();
    for host in hosts {
        text.extend_from_slice(&[b"host: ", *host, b"\r\n"].concat());
    }
    text.extend_from_slice(b"\r\n");
    let end = HeadEnd::default().find(&text).ok()??;
    // Bytes that end the line make another request, of which nothing is asked here.
    if end != text.len() {
        return None;
    }
    let head = RequestHead::parse(&text).ok()?;
    if head.fields().len() != hosts.len() {
        return None;
    }
    let arrival =
        Arrival { peer: IpAddr::V4(Ipv4Addr::LOCALHOST), tls: false, certificate: None, odd_names: Default::default() };
    let hosts = HostSet::default();
    identify(Rc::new(head), &arrival, &Trust::default(), &hosts, RequestId::new(0)).ok().map(|request| request.host)
}

/// What is asked for is what stands there, in lower case and without port.
fn is_the_host_of(host: &HostName, value: &[u8]) {
    let text = std::str::from_utf8(value).unwrap().trim_matches([' ', '\t']).to_ascii_lowercase();
    let port = text.strip_prefix(host.as_str()).expect("the host stands in front");
    if let Some(port) = port.strip_prefix(':') {
        assert!(port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit()), "the port {port:?}");
        assert!((1..=65_535).contains(&port.parse::<u32>().unwrap()), "the port {port:?}");
    } else {
        assert!(port.is_empty(), "{port:?} behind the host");
    }
    is_a_name(host.as_str());
}

fn names(text: &str) {
    let Ok(name) = text.parse::<HostName>() else {
        assert!(!is_beyond_doubt(text), "a plain name is refused");
        return;
    };
    is_a_name(name.as_str());
    assert_eq!(name.as_str(), text.to_ascii_lowercase(), "another name");
    assert_eq!(name.to_string().parse::<HostName>().as_ref(), Ok(&name), "no fixed point");
    assert_eq!(text.to_ascii_uppercase().parse::<HostName>().as_ref(), Ok(&name), "case matters");
    for odd in [format!("{text}."), format!(".{text}"), format!("{text}:1"), format!("{text}\0"), format!(" {text}")] {
        assert!(odd.parse::<HostName>().is_err(), "{odd:?}");
    }
}

/// Labels of letters, in number and length as one sees them.
fn is_beyond_doubt(text: &str) -> bool {
    (1..=60).contains(&text.len())
        && text.split('.').all(|label| !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_alphabetic()))
}

/// RFC 1035 §2.3.4, RFC 1123 §2.1, and nothing that could be an address.
fn is_a_name(name: &str) {
    assert!((1..=253).contains(&name.len()));
    for label in name.split('.') {
        assert!((1..=63).contains(&label.len()), "the label {label:?}");
        let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        assert!(label.bytes().all(fits) && !label.starts_with('-') && !label.ends_with('-'), "the label {label:?}");
    }
    assert!(name.parse::<IpAddr>().is_err());
    assert!(!is_number_to_resolvers(name), "{name} is an address to inet_aton");
    // WHATWG's parser takes a name for an address when its last label is a number in any base.
    let last = name.rsplit('.').next().unwrap();
    assert!(!is_number(last), "{name} ends in a number");
}

/// As inet_aton reads: one to four numbers, each decimal, octal or hexadecimal.
fn is_number_to_resolvers(name: &str) -> bool {
    let labels: Vec<&str> = name.split('.').collect();
    labels.len() <= 4 && labels.iter().all(|label| is_number(label))
}

fn is_number(label: &str) -> bool {
    match label.strip_prefix("0x") {
        Some(digits) => digits.bytes().all(|byte| byte.is_ascii_hexdigit()),
        None => !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()),
    }
}

/// A pattern is written as it was read, and stands for what it says.
fn patterns(text: &str) {
    let Ok(pattern) = text.parse::<HostPattern>() else {
        assert!(text.parse::<HostName>().is_err(), "a name that is no pattern");
        return;
    };
    assert_eq!(pattern.to_string(), text.to_ascii_lowercase());
    assert_eq!(pattern.to_string().parse::<HostPattern>().as_ref(), Ok(&pattern));
    assert!(pattern.covers(&pattern));
    match &pattern {
        HostPattern::Exact(name) => assert!(pattern.matches(name)),
        HostPattern::Wildcard(parent) => {
            is_a_name(parent.as_str());
            assert!(!pattern.matches(parent), "a wildcard stands for its parent");
            if let Ok(child) = format!("a.{parent}").parse::<HostName>() {
                assert!(pattern.matches(&child) && pattern.covers(&HostPattern::Exact(child)));
            }
            if let Ok(grandchild) = format!("a.b.{parent}").parse::<HostName>() {
                assert!(!pattern.matches(&grandchild), "a wildcard stands for two labels");
            }
        }
    }
}

/// A destination's URL names the host that stands in it.
fn urls(text: &str) {
    let Ok(url) = format!("https://{text}").parse::<DestinationUrl>() else { return };
    is_a_name(url.host.as_str());
    assert!(text.to_ascii_lowercase().starts_with(url.host.as_str()), "another host");
    assert!(url.port > 0);
    assert!(url.prefix().is_empty() || url.prefix().starts_with('/'));
    let again: DestinationUrl = url.to_string().parse().expect("a URL that was read");
    assert_eq!(again, url, "another URL when written");
}
