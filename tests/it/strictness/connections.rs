//! `Connection`: takes off what it may, and nothing that the router or the destination relies on (RFC 9110 §7.6.1).

use postern_tests::{Case, Way};

use super::{TARGET, get, post_sized};

/// Fields that no client can take off or make arrive; a router may also refuse to be told so.
const SENSITIVE: [(&str, &str); 18] = [
    ("x-user-id", "x-user-id: forged\r\n"),
    ("X-User-Id", "X-User-Id: forged\r\n"),
    ("x-forwarded-for", "x-forwarded-for: forged\r\n"),
    ("x-forwarded-host", "x-forwarded-host: forged\r\n"),
    ("x-forwarded-proto", "x-forwarded-proto: forged\r\n"),
    ("forwarded", "forwarded: forged\r\n"),
    ("x-real-ip", "x-real-ip: forged\r\n"),
    ("x-request-id", "x-request-id: forged\r\n"),
    ("via", ""),
    ("host", ""),
    ("Host", ""),
    ("host, content-length, authorization", ""),
    ("content-length", ""),
    ("transfer-encoding", ""),
    ("connection", ""),
    ("keep-alive", "keep-alive: timeout=forged\r\n"),
    ("proxy-connection", "proxy-connection: forged\r\n"),
    ("te", "te: forged\r\n"),
];

/// Lists of plain names.
const LISTS: [&str; 12] = [
    "x-hop", "X-HOP", "x-hop, keep-alive", "keep-alive, x-hop", ",x-hop,", ", ,x-hop, ,", "x-hop,x-hop",
    "x-a,\tx-hop\t,x-b", "x-hop\r\nconnection: x-b", "x-b\r\nconnection: x-hop", "x-b\r\nx-c: d\r\nConnection: x-hop",
    "TE, x-hop",
];

/// Lists with something in them that is no name.
const ODD: [&str; 16] = [
    "", ",", "x hop", "x-hop;a=b", "\"x-hop\"", "(x-hop)", "@", "x-hop=1", "x:hop", "*", "x-hop\u{a0}", "close;",
    "close=1", "clo se", "keep-alive;timeout=5", "[x-hop]",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for (named, fields) in SENSITIVE {
        let all = format!("connection: {named}\r\n{fields}");
        cases.push(Case::either(format!("GET naming {named}"), get(&all)));
        cases.push(Case::either(format!("POST naming {named}"), post_sized(&all, "hello")));
        let behind = format!("{fields}connection: close, {named}\r\n");
        cases.push(Case::either(format!("closing and naming {named}"), get(&behind)));
    }
    for (name, value) in [("authorization", "kept"), ("cookie", "a=kept"), ("content-type", "text/kept")] {
        let fields = format!("connection: {name}\r\n{name}: {value}\r\n");
        cases.push(Case::either(format!("naming {name}"), post_sized(&fields, "hello")).keeps(name, value));
    }
    for list in LISTS {
        let fields = format!("connection: {list}\r\nx-hop: forged\r\nx-kept: 1\r\n");
        let name = format!("the list {}", list.escape_default());
        cases.push(Case::forwarded(name, get(&fields), "GET", TARGET, "").keeps("x-kept", "1"));
    }
    for odd in ODD {
        let fields = format!("connection: {odd}\r\nx-kept: 1\r\n");
        let bytes = super::latin(&get(&fields));
        cases.push(Case::either(format!("the odd list {}", odd.escape_default()), bytes).keeps("x-kept", "1"));
    }
    for fields in [
        "keep-alive: timeout=5\r\n",
        "proxy-connection: keep-alive\r\n",
        "connection: keep-alive\r\nkeep-alive: max=1\r\n",
        "proxy-authorization: Basic forged\r\n",
        "te: gzip\r\n",
        "te: trailers, deflate;q=0.5\r\n",
        "te:\r\n",
        "connection: te\r\nte: trailers\r\n",
        "trailer: x-a\r\n",
        "connection: keep-alive\r\nconnection: keep-alive\r\n",
    ] {
        let name = format!("hop by hop: {}", fields.escape_default());
        cases.push(Case::forwarded(name, get(fields), "GET", TARGET, ""));
    }
    let many: String = (0..80).map(|index| format!("x-{index}, ")).collect();
    let fields = format!("connection: {many}x-hop\r\nx-hop: forged\r\n");
    cases.push(Case::forwarded("naming eighty", get(&fields), "GET", TARGET, ""));
    // Nothing follows on a connection that its client ends.
    for list in ["close", "Close", "CLOSE", "close, x-hop", "x-hop, close", ",close,", "close\r\nconnection: x-hop"] {
        let fields = format!("connection: {list}\r\n{}", if list.contains("hop") { "x-hop: forged\r\n" } else { "" });
        let case = Case::forwarded(format!("closing: {}", list.escape_default()), get(&fields), "GET", TARGET, "");
        cases.push(case.sent(&[Way::Whole, Way::Bytewise]));
    }
    cases
}
