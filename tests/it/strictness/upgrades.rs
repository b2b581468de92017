//! Other protocols, tunnels and expectations: none passes, and no byte is sent on as if one had (RFC 9110 §7.8,
//! §9.3.6 and §10.1.1).

use postern_tests::{Case, Way};

use super::{FIELDS, HIDDEN, TARGET, get, post_sized, with_line};

const UPGRADES: [&str; 18] = [
    "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: AQIDBAUGBwgJCgsMDQ4PEC==\r\n",
    "connection: Upgrade\r\nUpgrade: WebSocket\r\n",
    "connection: keep-alive, Upgrade\r\nupgrade: websocket\r\n",
    "upgrade: websocket\r\n",
    "connection: upgrade\r\n",
    "connection: Upgrade, HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    "connection: HTTP2-Settings\r\nupgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    "upgrade: h2c\r\nhttp2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    "connection: upgrade\r\nupgrade: h2c\r\n",
    "http2-settings: AAMAAABkAARAAAAAAAIAAAAA\r\n",
    "http2-settings: a\r\nhttp2-settings: b\r\nconnection: upgrade, http2-settings\r\nupgrade: h2c\r\n",
    "connection: upgrade\r\nupgrade: TLS/1.0, HTTP/1.1\r\n",
    "connection: upgrade\r\nupgrade: h2c, websocket\r\n",
    "connection: upgrade\r\nupgrade: websocket\r\nupgrade: h2c\r\n",
    "connection: upgrade\r\nupgrade: connect-udp\r\ncapsule-protocol: ?1\r\n",
    "connection: upgrade\r\nupgrade:\r\n",
    "connection: upgrade\r\nupgrade: websocket, x y\r\n",
    "connection:upgrade\r\nconnection: x-a\r\nx-a: forged\r\nupgrade: foo/2\r\n",
];

const EXPECTATIONS: [&str; 18] = [
    "200-ok", "100", "continue", "100-continue, x", "x, 100-continue", "100-continue, 100-continue",
    "100-continue;q=1", "100 continue", "\"100-continue\"", "100-continuee", "x100-continue", "", "100-continue,",
    "101-switching-protocols", "x=y", "100-continue=1", "417", "meow",
];

const TUNNELS: [&str; 12] = [
    "CONNECT api.example.com:443 HTTP/1.1",
    "CONNECT api.example.com:80 HTTP/1.1",
    "CONNECT api.example.com HTTP/1.1",
    "CONNECT other.example.org:443 HTTP/1.1",
    "CONNECT 127.0.0.1:80 HTTP/1.1",
    "CONNECT [::1]:80 HTTP/1.1",
    "CONNECT /c/mk0000000 HTTP/1.1",
    "CONNECT http://api.example.com/c/mk0000000 HTTP/1.1",
    "CONNECT * HTTP/1.1",
    "CONNECT :80 HTTP/1.1",
    "CONNECT api.example.com: HTTP/1.1",
    "CONNECT user@api.example.com:80 HTTP/1.1",
];

pub(super) fn cases() -> Vec<Case> {
    let mut cases = Vec::new();
    for upgrade in UPGRADES {
        let name = upgrade.escape_default();
        cases.push(Case::either(format!("GET, {name}"), get(upgrade)));
        cases.push(Case::either(format!("POST, {name}"), post_sized(upgrade, HIDDEN)));
    }
    for expectation in EXPECTATIONS {
        let fields = format!("expect: {expectation}\r\n");
        cases.push(Case::either(format!("expecting {expectation:?}"), post_sized(&fields, HIDDEN)));
        cases.push(Case::either(format!("expecting {expectation:?} without a body"), get(&fields)));
    }
    for (name, fields) in [
        ("twice", "expect: 100-continue\r\nexpect: 100-continue\r\n"),
        ("beside another", "expect: 100-continue\r\nexpect: x\r\n"),
        ("without a body", "expect: 100-continue\r\n"),
    ] {
        let body = if name == "without a body" { "" } else { HIDDEN };
        cases.push(Case::either(format!("expecting {name}"), post_sized(fields, body)));
    }
    let old = post_sized("expect: 100-continue\r\n", "hello").replacen("HTTP/1.1", "HTTP/1.0", 1);
    cases.push(Case::either("expecting in 1.0", old));
    for line in TUNNELS {
        cases.push(Case::declined(line, with_line(line), &[400, 405, 501]));
        let length = HIDDEN.len();
        let bytes = format!("{line}\r\n{FIELDS}content-length: {length}\r\n\r\n{HIDDEN}");
        cases.push(Case::declined(format!("{line} with a body"), bytes, &[400, 405, 501]));
    }
    for method in ["TRACE", "CONNECT"] {
        cases.push(Case::declined(
            format!("{method} of a path"),
            with_line(&format!("{method} {TARGET}/x HTTP/1.1")),
            &[400, 405, 501],
        ));
    }
    // In front of everything this could be the beginning of HTTP/2, which is another matter.
    for (name, bytes) in [
        ("the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_owned()),
        ("the preface with a frame", format!("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\u{4}\0\0\0\0\0{HIDDEN}")),
        ("half of the preface", "PRI * HTTP/2.0\r\n\r\n".to_owned()),
    ] {
        cases.push(Case::refused(name, bytes).sent(&[Way::Pipelined]));
    }
    cases.push(Case::declined("the preface for 1.1", with_line("PRI * HTTP/1.1"), &[400, 405, 501]));
    cases.push(Case::refused("a preface with fields", with_line("PRI * HTTP/2.0")).sent(&[Way::Pipelined]));
    for fields in ["expect: 100-continue\r\n", "Expect: 100-Continue\r\n", "EXPECT:100-CONTINUE\r\n"] {
        let name = format!("right: {}", fields.escape_default());
        cases.push(Case::forwarded(name, post_sized(fields, "hello"), "POST", TARGET, "hello"));
    }
    let chunked = super::post("transfer-encoding: chunked\r\nexpect: 100-continue\r\n", "5\r\nhello\r\n0\r\n\r\n");
    cases.push(Case::forwarded("right: expecting with chunks", chunked, "POST", TARGET, "hello"));
    cases
}
