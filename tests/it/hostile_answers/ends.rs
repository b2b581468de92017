//! Where an answer ends, what comes in front of it and behind it, and what of its head is for the next hop alone.

use super::{Ask, Hostile, Then, ok};

/// A whole answer that nobody asked for.
const FORGED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";

pub(super) fn cases() -> Vec<Hostile> {
    let mut cases = Vec::new();
    behind(&mut cases);
    bodiless(&mut cases);
    interim(&mut cases);
    next_hop(&mut cases);
    cases
}

/// Bytes behind an answer's end.
fn behind(cases: &mut Vec<Hostile>) {
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n";
    let plain = ok("ok");
    for (what, more) in
        [("a byte", "x"), ("a line end", "\r\n"), ("an answer", FORGED), ("a head", "HTTP/1.1 200 OK\r\n")]
    {
        for (framing, answer) in [("a length", plain.as_str()), ("chunks", chunked)] {
            let bytes = format!("{answer}{more}");
            cases.push(Hostile::clean(format!("{what} behind {framing}"), bytes.clone(), 200, "ok"));
            cases.push(Hostile::clean(format!("{what} behind {framing} of a POST"), bytes, 200, "ok").ask(Ask::Post));
        }
    }
    let long = format!("{plain}{}", "x".repeat(200_000));
    cases.push(Hostile::clean("200 KB behind a length", long, 200, "ok"));
    let empty = format!("{}{FORGED}", ok(""));
    cases.push(Hostile::clean("an answer behind nothing", empty, 200, ""));
    cases.push(Hostile::clean("an answer and the end", plain, 200, "ok").then(Then::Close));
    let closing = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok{FORGED}");
    cases.push(Hostile::clean("an answer behind the last", closing, 200, "ok"));
    let closing = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\nok";
    cases.push(Hostile::clean("an announced end that does not come", closing, 200, "ok"));
    let old = "HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nok";
    cases.push(Hostile::clean("1.0 with a length", old, 200, "ok"));
    let old = "HTTP/1.0 200 OK\r\n\r\nall of it";
    cases.push(Hostile::clean("1.0 until the end", old, 200, "all of it").then(Then::Close));
    let closed = "HTTP/1.1 200 OK\r\nconnection: Close\r\n\r\nall of it";
    cases.push(Hostile::clean("1.1 until the end", closed, 200, "all of it").then(Then::Close));
}

/// Answers that have no body, and say or send one.
fn bodiless(cases: &mut Vec<Hostile>) {
    for (name, bytes) in [
        ("HEAD and a body", ok("ok")),
        ("HEAD and an answer", format!("{}{FORGED}", ok(""))),
        ("HEAD and chunks", "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".to_owned()),
    ] {
        cases.push(Hostile::clean(name, bytes, 200, "").ask(Ask::Head));
    }
    for (name, fields) in [
        ("HEAD and a length", "content-length: 1000\r\n"),
        ("HEAD and an encoding", "transfer-encoding: chunked\r\n"),
        ("HEAD and nothing", ""),
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        cases.push(Hostile::clean(name, bytes, 200, "").ask(Ask::Head).kept());
    }
    for status in [204_u16, 304] {
        let with = |fields: &str, body: &str| format!("HTTP/1.1 {status} x\r\n{fields}\r\n{body}");
        cases.push(Hostile::clean(format!("{status}"), with("", ""), status, "").kept());
        cases.push(Hostile::clean(format!("{status} and bytes"), with("", "ok"), status, ""));
        cases.push(Hostile::clean(format!("{status} and an answer"), with("", FORGED), status, ""));
        cases.push(Hostile::either(format!("{status} and a body"), with("content-length: 2\r\n", "ok"), status, ""));
        cases.push(
            Hostile::either(format!("{status} and a length of 0"), with("content-length: 0\r\n", ""), status, "")
                .kept(),
        );
        cases.push(
            Hostile::either(format!("{status} and a length"), with("content-length: 5\r\n", ""), status, "").kept(),
        );
        let chunks = with("transfer-encoding: chunked\r\n", "2\r\nok\r\n0\r\n\r\n");
        cases.push(Hostile::either(format!("{status} and chunks"), chunks, status, ""));
        let none = with("transfer-encoding: chunked\r\n", "0\r\n\r\n");
        cases.push(Hostile::either(format!("{status} and no chunks"), none, status, ""));
    }
    let reset = "HTTP/1.1 205 x\r\ncontent-length: 0\r\n\r\n";
    cases.push(Hostile::clean("205", reset, 205, "").kept());
}

/// Interim answers in front of the final one (RFC 9110 §15.2).
fn interim(cases: &mut Vec<Hostile>) {
    let fine = ok("ok");
    for status in [100_u16, 102, 103, 150, 199] {
        let one = format!("HTTP/1.1 {status} x\r\n\r\n");
        cases.push(Hostile::clean(format!("{status} once"), format!("{one}{fine}"), 200, "ok").kept());
        let posted = Hostile::clean(format!("{status} once for a POST"), format!("{one}{fine}"), 200, "ok");
        cases.push(posted.ask(Ask::Post).kept());
        cases.push(
            Hostile::clean(format!("{status} sixteen times"), format!("{}{fine}", one.repeat(16)), 200, "ok").kept(),
        );
        cases.push(Hostile::refused(format!("{status} seventeen times"), format!("{}{fine}", one.repeat(17))));
        cases.push(Hostile::refused(format!("{status} a thousand times"), one.repeat(1_000)));
        cases.push(Hostile::refused(format!("{status} and the end"), one).then(Then::Close));
    }
    for (name, bytes) in [
        ("101", format!("HTTP/1.1 101 x\r\n\r\n{fine}")),
        ("101 to websocket", format!("HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n{fine}")),
        ("101 to h2c", "HTTP/1.1 101 x\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n\0\0\0\u{4}\0\0\0\0\0".to_owned()),
        ("101 with a length", format!("HTTP/1.1 101 x\r\ncontent-length: 2\r\n\r\nok{fine}")),
        ("101 behind 100", format!("HTTP/1.1 100 x\r\n\r\nHTTP/1.1 101 x\r\n\r\n{fine}")),
        ("101 behind 103", format!("HTTP/1.1 103 x\r\n\r\nHTTP/1.1 101 x\r\nupgrade: a\r\n\r\n{fine}")),
        ("100 with a body", format!("HTTP/1.1 100 x\r\ncontent-length: 2\r\n\r\nok{fine}")),
        ("103 with chunks", format!("HTTP/1.1 103 x\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n{fine}")),
        ("100 with a bad field", format!("HTTP/1.1 100 x\r\nx a: b\r\n\r\n{fine}")),
        ("100 with NUL", format!("HTTP/1.1 100 x\r\nx-a: \0\r\n\r\n{fine}")),
        ("103 of 100 KiB", format!("HTTP/1.1 103 x\r\nlink: {}\r\n\r\n{fine}", "a".repeat(100 << 10))),
        ("sixteen of 60 KiB", format!("HTTP/1.1 103 x\r\nlink: {}\r\n\r\n", "a".repeat(60 << 10)).repeat(17)),
    ] {
        cases.push(Hostile::refused(name, bytes));
    }
    let length = format!("HTTP/1.1 100 x\r\ncontent-length: 0\r\n\r\n{fine}");
    cases.push(Hostile::either("100 with a length of 0", length, 200, "ok").kept());
    let length = format!("HTTP/1.1 103 x\r\ncontent-length: {}\r\n\r\n{fine}", fine.len());
    cases.push(Hostile::either("103 that claims the answer as its body", length, 200, "ok").kept());
    let hints = format!("HTTP/1.1 103 x\r\nlink: </a>\r\nconnection: x-hop\r\nx-hop: forged\r\n\r\n{fine}");
    cases.push(Hostile::either("103 with fields", hints, 200, "ok").kept());
}

/// Fields that are not for the client.
fn next_hop(cases: &mut Vec<Hostile>) {
    for fields in [
        "connection: x-hop\r\nx-hop: forged\r\n",
        "x-hop: forged\r\nConnection: keep-alive, X-Hop\r\n",
        "connection: ,x-hop,\r\nx-hop: forged\r\n",
        "connection: x-a\r\nconnection: x-hop\r\nx-hop: forged\r\n",
        "keep-alive: timeout=forged\r\n",
        "proxy-connection: forged\r\n",
        "upgrade: h2c\r\n",
        "connection: upgrade\r\nupgrade: websocket\r\n",
        "te: trailers\r\n",
        "trailer: x-a\r\n",
        "http2-settings: forged\r\n",
        "proxy-authenticate: forged\r\n",
        "x-postern-reason: forged\r\n",
        "x-request-id: forged\r\n",
    ] {
        let bytes = format!("HTTP/1.1 200 OK\r\n{fields}x-kept: 1\r\ncontent-length: 2\r\n\r\nok");
        let case = Hostile::clean(format!("fields {}", fields.escape_default()), bytes, 200, "ok");
        cases.push(case.kept().keeps("x-kept", "1"));
    }
    for named in ["content-length", "transfer-encoding", "connection", "date", "content-type, x-kept"] {
        let bytes = format!("HTTP/1.1 200 OK\r\nconnection: {named}\r\ncontent-length: 2\r\n\r\nok");
        cases.push(Hostile::either(format!("naming {named}"), bytes, 200, "ok").kept());
        let bytes =
            format!("HTTP/1.1 200 OK\r\nconnection: {named}\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n");
        cases.push(Hostile::either(format!("naming {named}, in chunks"), bytes, 200, "ok").kept());
    }
    let redirect = "HTTP/1.1 302 x\r\nlocation: http://169.254.169.254/latest\r\ncontent-length: 0\r\n\r\n";
    let case = Hostile::clean("a redirect elsewhere", redirect, 302, "").kept();
    cases.push(case.keeps("location", "http://169.254.169.254/latest"));
}
