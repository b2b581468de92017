//! The oracle catches what it is there to catch, and passes what is right.

use super::{Asked, Stop, answer, request};

const HOST: &str = "host: localhost:80\r\n";

fn judged(bytes: &str) -> Result<usize, Stop> {
    request(bytes.as_bytes()).map(|(_, taken)| taken)
}

fn is_wrong<T>(judged: &Result<T, Stop>) -> bool {
    matches!(judged, Err(Stop::Wrong(_)))
}

#[test]
fn requests_in_the_one_form_pass_and_end_where_they_end() {
    for (more, body) in [
        ("", ""),
        ("content-length: 0\r\n", ""),
        ("content-length: 5\r\n", "hello"),
        ("transfer-encoding: chunked\r\n", "5\r\nhello\r\nA\r\n0123456789\r\n0\r\n\r\n"),
        ("te: trailers\r\nx-a:\t1 \r\nx-b:\r\nx-c: \u{e9}\r\n", ""),
    ] {
        let bytes = format!("GET /a?b=%2F HTTP/1.1\r\n{HOST}{more}\r\n{body}");
        assert_eq!(judged(&format!("{bytes}GET ")), Ok(bytes.len()), "{bytes:?}");
        for cut in 0..bytes.len() {
            assert_eq!(request(&bytes.as_bytes()[..cut]), Err(Stop::More), "{:?}", &bytes.as_bytes()[..cut]);
        }
    }
    let (message, _) =
        request(b"PUT / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n").unwrap();
    assert_eq!((message.method.as_str(), message.target.as_str(), message.body.as_slice()), ("PUT", "/", &b"x"[..]));
}

#[test]
fn requests_with_two_readings_are_caught() {
    let lines = [
        "GET / HTTP/1.0\r\n", "GET  / HTTP/1.1\r\n", "GET / HTTP/1.1 \r\n", " GET / HTTP/1.1\r\n",
        "\r\nGET / HTTP/1.1\r\n", "GET / HTTP/1.1\n", "GET /\rHTTP/1.1\r\n", "GET /#a HTTP/1.1\r\n",
        "GET /\u{e9} HTTP/1.1\r\n", "G@T / HTTP/1.1\r\n", "GET http://a/ HTTP/1.1\r\n", "GET * HTTP/1.1\r\n",
        "GET /\0 HTTP/1.1\r\n", "GET / HTTP/2.0\r\n", "/ HTTP/1.1\r\n",
    ];
    for line in lines {
        assert!(is_wrong(&judged(&format!("{line}{HOST}\r\n"))), "{line:?}");
    }
    let fields = [
        "", "host: a\r\nhost: a\r\n", "host: \r\n", "host: a, b\r\n", "host: a@b\r\n", "host: a\r\n x: y\r\n",
        "host : a\r\n", "host: a\r\n: b\r\n", "host: a\r\nnone\r\n", "host: a\r\nx: \u{1}\r\n",
        "host: a\r\nx: a\rb\r\n", "host: a\nx: b\r\n", "host: a\r\nx_y: b\r\n", "host: a\r\nx.y: b\r\n",
        "host: a\r\nx(: b\r\n", "host: a\r\nconnection: close\r\n", "host: a\r\nte: gzip\r\n",
        "host: a\r\nupgrade: h2c\r\n", "host: a\r\nhttp2-settings: a\r\n", "host: a\r\ntrailer: b\r\n",
        "host: a\r\nexpect: 100-continue\r\n", "host: a\r\nkeep-alive: 5\r\n", "host: a\r\nproxy-authorization: b\r\n",
        "host: a\r\nx: \u{7f}\r\n", "host: a\r\nx: b\r\n\n",
    ];
    for fields in fields {
        assert!(is_wrong(&judged(&format!("GET / HTTP/1.1\r\n{fields}\r\n"))), "{fields:?}");
    }
}

#[test]
fn requests_with_odd_framing_are_caught() {
    let framings = [
        "content-length: 0\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: chunked\r\ncontent-length: 0\r\n",
        "content-length: 0\r\ncontent-length: 0\r\n",
        "content-length: +0\r\n",
        "content-length: 00\r\n",
        "content-length:\r\n",
        "content-length: 0, 0\r\n",
        "content-length: 0x0\r\n",
        "content-length: 99999999999999999999999\r\n",
        "transfer-encoding: Chunked\r\n",
        "transfer-encoding: gzip, chunked\r\n",
        "transfer-encoding:\r\n",
        "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
        "transfer-encoding: identity\r\n",
    ];
    for framing in framings {
        assert!(is_wrong(&judged(&format!("POST / HTTP/1.1\r\n{HOST}{framing}\r\n0\r\n\r\n"))), "{framing:?}");
    }
    let bodies = [
        "5;a=b\r\nhello\r\n0\r\n\r\n", "05\r\nhello\r\n0\r\n\r\n", " 5\r\nhello\r\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n", "5\nhello\r\n0\r\n\r\n", "5\r\nhello0\r\n\r\n", "5\r\nhello\n0\r\n\r\n", "-1\r\n",
        "0x5\r\n", "\r\n", "g\r\n", "fffffffffffffffff\r\n", "0\r\nx: y\r\n\r\n", "0\n\r\n", "0\r\n\n", "0;\r\n\r\n",
        "00\r\n\r\n",
    ];
    for body in bodies {
        let bytes = format!("POST / HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n{body}");
        assert!(is_wrong(&judged(&bytes)), "{body:?}");
    }
}

#[test]
fn answers_in_the_one_form_pass_and_those_with_two_readings_are_caught() {
    let judged = |text: &str, by_head, ended| {
        answer(text.as_bytes(), Asked { by_head, ended, old: false }).map(|(_, taken)| taken)
    };
    for (text, by_head, behind) in [
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok", false, "x"),
        ("HTTP/1.1 200 \r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", false, "x"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n", true, "x"),
        ("HTTP/1.1 304 Not\r\ncontent-length: 2\r\n\r\n", false, "x"),
        ("HTTP/1.1 204 No\r\n\r\n", false, "x"),
        ("HTTP/1.1 100 Continue\r\n\r\n", false, "x"),
        ("HTTP/1.1 200 OK\r\n\r\nall of it", false, ""),
    ] {
        assert_eq!(judged(&format!("{text}{behind}"), by_head, true), Ok(text.len()), "{text:?}");
    }
    let old = |text: &str| answer(text.as_bytes(), Asked { old: true, ..Asked::default() });
    assert!(old("HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n").is_ok());
    assert!(is_wrong(&old("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n")));
    assert_eq!(judged("HTTP/1.1 200 OK\r\n\r\nall of it", false, false), Err(Stop::More));
    assert_eq!(judged("HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nok", false, true), Err(Stop::More));
    for text in [
        "HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.0 200 OK\r\n\r\n",
        "HTTP/1.1 99 OK\r\n\r\n",
        "HTTP/1.1 1000 OK\r\n\r\n",
        "HTTP/1.1 2x0 OK\r\n\r\n",
        "HTTP/1.1 200 O\0K\r\n\r\n",
        "HTTP/1.1 600 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 0\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nx: \r \r\n\r\n",
        "HTTP/1.1 200 OK\r\nconnection: x-a\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 204 No\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 100 Continue\r\ncontent-length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nupgrade: h2c\r\n\r\n",
        "HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
        "ok",
    ] {
        assert!(is_wrong(&judged(&format!("{text}\r\n"), false, true)), "{text:?}");
    }
}
