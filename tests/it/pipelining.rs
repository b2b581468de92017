//! Several requests on one connection: answered in their order, each for itself, also when a body between them is
//! refused, unwanted or asked for.

use postern_tests::{Arrival, Heard, Recorder, Router, Site, StrictClient, boundary_with, registration};

fn scene() -> (Recorder, Site, Router) {
    let recorder = Recorder::start();
    let policies = "policies: {body: {max: 1MiB}}";
    let site = Site::new(&boundary_with(&[recorder.port()], ""), &[registration("/", recorder.port(), policies)]);
    let router = Router::serve(&site.merged());
    (recorder, site, router)
}

const HOST: &str = "host: api.example.com\r\n";
const UNKNOWN: &str = "host: other.example.org\r\n";

fn get(target: &str) -> String {
    format!("GET {target} HTTP/1.1\r\n{HOST}\r\n")
}

/// The status and the body, when that is what came.
fn heard(client: &mut StrictClient, by_head: bool) -> (u16, String) {
    match client.hear(by_head, false) {
        Heard::Answer(answer, _) => (answer.status, String::from_utf8_lossy(&answer.body).into_owned()),
        other => panic!("{other:?}"),
    }
}

/// The next answer is the one to `GET target`, or the connection has ended.
fn own_or_ended(client: &mut StrictClient, target: &str) -> Result<bool, String> {
    match client.hear(false, false) {
        Heard::Answer(answer, _) if answer.body == format!("GET {target}").as_bytes() => Ok(true),
        Heard::Cut(bytes) if bytes.is_empty() => Ok(false),
        other => Err(format!("{other:?}")),
    }
}

/// Targets of what arrived; panics over what is not whole.
fn targets(recorder: Recorder, router: Router) -> Vec<String> {
    drop(router);
    let arrivals = recorder.into_arrivals();
    let whole = arrivals.into_iter().map(|arrival| match arrival {
        Arrival::Whole(message) => message.target,
        other => panic!("{other:?}"),
    });
    whole.collect()
}

#[test]
fn requests_that_come_together_are_answered_in_their_order() {
    let (recorder, _site, router) = scene();
    let mut client = StrictClient::connect(router.address());
    let mut sent = String::new();
    for index in 0..100 {
        sent += &match index % 5 {
            0 => get(&format!("/{index}")),
            1 => format!("POST /{index} HTTP/1.1\r\n{HOST}content-length: 5\r\n\r\nhello"),
            2 => format!("PUT /{index} HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"),
            3 => format!("HEAD /{index} HTTP/1.1\r\n{HOST}\r\n"),
            _ => format!("POST /{index} HTTP/1.1\r\n{UNKNOWN}content-length: 5\r\n\r\nGET /"),
        };
    }
    client.write(sent.as_bytes());
    for index in 0..100 {
        let answer = heard(&mut client, index % 5 == 3);
        match index % 5 {
            4 => assert_eq!(answer.0, 421, "{index}: {answer:?}"),
            kind => {
                let body = [format!("GET /{index}"), format!("POST /{index}"), format!("PUT /{index}"), String::new()];
                assert_eq!(answer, (200, body[kind].clone()), "{index}");
            }
        }
    }
    drop(client);
    let arrived = targets(recorder, router);
    let wanted: Vec<String> = (0..100).filter(|index| index % 5 != 4).map(|index| format!("/{index}")).collect();
    assert_eq!(arrived, wanted);
}

#[test]
fn nothing_behind_the_last_request_of_a_connection_is_served() {
    let (recorder, _site, router) = scene();
    let lasts = [
        format!("GET /last HTTP/1.1\r\n{HOST}connection: close\r\n\r\n"),
        format!("GET /last HTTP/1.1\r\n{HOST}connection: x-a, Close\r\n\r\n"),
        format!("POST /last HTTP/1.1\r\n{HOST}connection: close\r\ncontent-length: 5\r\n\r\nhello"),
    ];
    for last in &lasts {
        let mut client = StrictClient::connect(router.address());
        client.write(format!("{}{last}{}", get("/first"), get("/behind")).as_bytes());
        assert_eq!(heard(&mut client, false).1, "GET /first");
        assert!(heard(&mut client, false).1.ends_with(" /last"), "{last:?}");
        assert!(client.ends(), "more came behind {last:?}");
    }
    // A client of 1.0 that asks for nothing else has one request for each connection.
    let mut old = StrictClient::connect(router.address());
    old.write(format!("GET /old HTTP/1.0\r\n{HOST}\r\n{}", get("/behind")).as_bytes());
    assert!(
        matches!(old.hear(false, true), Heard::Answer(answer, _) if answer.status == 200 && answer.body == b"GET /old")
    );
    assert!(old.ends(), "more came behind 1.0");
    drop(old);
    let arrived = targets(recorder, router);
    assert!(!arrived.contains(&"/behind".to_owned()), "{arrived:?}");
}

/// Requests that are refused for their head, without a body.
fn refused(framing: &str) -> [(u16, String); 3] {
    [
        (421, format!("POST /a HTTP/1.1\r\n{UNKNOWN}{framing}\r\n")),
        (400, format!("POST /a/../b HTTP/1.1\r\n{HOST}{framing}\r\n")),
        (501, format!("TRACE /a HTTP/1.1\r\n{HOST}{framing}\r\n")),
    ]
}

#[test]
fn a_body_that_comes_behind_its_refusal_is_read_away_or_ends_the_connection() {
    let (recorder, _site, router) = scene();
    let hidden = get("/smuggled");
    let mut findings = Vec::new();
    let mut kept = 0;
    // What is read away is at most 64 KiB, and at that all of it.
    let drained = 64 * 1024;
    for length in [1, 50, 1_000, 50_000, drained - 1, drained, drained + 1, 70_000, 1_500_000] {
        let body = hidden.repeat(length / hidden.len() + 1)[..length].to_owned();
        let sized = (format!("content-length: {length}\r\n"), body.clone());
        let chunked = ("transfer-encoding: chunked\r\n".to_owned(), format!("{length:x}\r\n{body}\r\n0\r\n\r\n"));
        // How long a body in chunks becomes nobody knows.
        for ((framing, body), goes_on) in [(sized, length <= drained), (chunked, false)] {
            for (status, head) in refused(&framing) {
                let mut client = StrictClient::connect(router.address());
                client.write(head.as_bytes());
                assert_eq!(heard(&mut client, false).0, status, "{head:?}");
                client.write(body.as_bytes());
                client.write(get("/next").as_bytes());
                match own_or_ended(&mut client, "/next") {
                    Ok(went_on) if went_on == goes_on => kept += usize::from(went_on),
                    Ok(went_on) => findings.push(format!("{length} bytes behind {head:?}: went on: {went_on}")),
                    Err(finding) => findings.push(format!("{length} bytes behind {head:?}: {finding}")),
                }
            }
        }
    }
    eprintln!("{kept} of 54 connections went on");
    assert!(findings.is_empty(), "{}", findings.join("\n"));
    let arrived = targets(recorder, router);
    assert_eq!(arrived.iter().filter(|target| *target != "/next").count(), 0);
    assert_eq!(arrived.len(), kept);
}

#[test]
fn an_expectation_is_answered_by_the_router_and_a_refused_one_leaves_nothing_in_doubt() {
    let (recorder, _site, router) = scene();
    let mut client = StrictClient::connect(router.address());
    for index in 0..3 {
        let head = format!("POST /{index} HTTP/1.1\r\n{HOST}expect: 100-continue\r\ncontent-length: 5\r\n\r\n");
        client.write(head.as_bytes());
        // The router asks for the body before the destination has answered, for that one answers only behind it.
        assert!(client.is_asked_to_continue(), "{index}");
        client.write(format!("hello{}", get("/next")).as_bytes());
        assert_eq!(heard(&mut client, false), (200, format!("POST /{index}")));
        assert_eq!(heard(&mut client, false), (200, "GET /next".to_owned()));
    }
    // Whether the client sends its body behind a refusal nobody knows. What it sends is that body, or not read.
    let hidden = get("/smuggled");
    let framing = format!("expect: 100-continue\r\ncontent-length: {}\r\n", hidden.len());
    for (status, head) in refused(&framing) {
        let mut client = StrictClient::connect(router.address());
        client.write(head.as_bytes());
        match client.hear(false, false) {
            Heard::Answer(answer, interim) => assert_eq!((answer.status, interim), (status, Vec::new()), "{head:?}"),
            other => panic!("{head:?}: {other:?}"),
        }
        client.write(format!("{hidden}{}", get("/next")).as_bytes());
        own_or_ended(&mut client, "/next").unwrap();
    }
    drop(client);
    let arrived = targets(recorder, router);
    assert!(!arrived.contains(&"/smuggled".to_owned()), "{arrived:?}");
}

#[test]
fn a_body_beyond_its_bound_ends_in_a_refusal_and_nothing_behind_it_is_read() {
    let (recorder, _site, router) = scene();
    let hidden = get("/smuggled");
    let heads = ["content-length: 1048577\r\n\r\n", "content-length: 99999999999\r\n\r\n"];
    for head in heads {
        let mut client = StrictClient::connect(router.address());
        client.write(format!("POST /large HTTP/1.1\r\n{HOST}{head}{hidden}{hidden}").as_bytes());
        assert_eq!(heard(&mut client, false).0, 413, "{head:?}");
    }
    let mut client = StrictClient::connect(router.address());
    let chunk = format!("{:x}\r\n{}\r\n", 1 << 16, "a".repeat(1 << 16)).repeat(17);
    client.write(
        format!("POST /large HTTP/1.1\r\n{HOST}transfer-encoding: chunked\r\n\r\n{chunk}0\r\n\r\n{hidden}").as_bytes(),
    );
    match client.hear(false, false) {
        Heard::Answer(answer, _) => assert_eq!(answer.status, 413),
        // The rest of what is sent may tear the answer down.
        Heard::Cut(_) => {}
        other => panic!("{other:?}"),
    }
    assert!(client.ends(), "a connection with half a body on it goes on");
    drop(router);
    for arrival in recorder.into_arrivals() {
        assert!(matches!(arrival, Arrival::Cut(_)), "{arrival:?}");
    }
}
