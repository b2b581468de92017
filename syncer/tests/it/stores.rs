//! The real binary against stores that fail in ways no emulator does. Whatever they do, the file stays as it was.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::scene;
use crate::stub::{self, Asked, Reply};

fn once(address: SocketAddr, out: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_postern-syncer"))
        .args([
            "run", "--boundary", "s3://bucket/boundary.yaml", "--registrations", "dynamodb://table", "--once", "--out",
        ])
        .arg(out)
        .env_clear()
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "hunter2-secret")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .env("AWS_MAX_ATTEMPTS", "1")
        .env("POSTERN_SYNCER_OPERATION_TIMEOUT", "500ms")
        .output()
        .unwrap()
}

fn boundary() -> Reply {
    Reply::new(200, scene::BOUNDARY).with("etag", "\"one\"")
}

fn item(root: &str) -> Value {
    json!({"root": {"S": root}, "name": {"S": "default"}, "owner": {"S": "team"}, "version": {"N": "1"},
           "destination": {"M": {"url": {"S": "https://a.internal.example.com"}}}})
}

fn key(root: &str) -> Value {
    json!({"root": {"S": root}, "name": {"S": "default"}})
}

fn dynamodb(value: &Value) -> Reply {
    Reply::new(200, value.to_string()).with("content-type", "application/x-amz-json-1.0")
}

fn version(number: u64) -> Reply {
    dynamodb(&json!({"Item": {"root": {"S": "#registry"}, "name": {"S": "#"}, "version": {"N": number.to_string()}}}))
}

fn error(status: u16, code: &str) -> Reply {
    Reply::new(
        status,
        json!({"__type": format!("com.amazonaws.dynamodb.v20120810#{code}"), "message": "no"}).to_string(),
    )
    .with("content-type", "application/x-amz-json-1.0")
}

fn operation(asked: &Asked) -> &str {
    let target = asked.headers.get("x-amz-target").and_then(|value| value.to_str().ok()).unwrap_or_default();
    target.rsplit('.').next().unwrap_or_default()
}

fn page(items: &[&str], next: Option<&str>) -> Reply {
    let mut page = json!({"Items": items.iter().map(|root| item(root)).collect::<Vec<_>>(), "Count": items.len()});
    if let Some(next) = next {
        page["LastEvaluatedKey"] = key(next);
    }
    dynamodb(&page)
}

fn starts_from(asked: &Asked) -> Option<String> {
    let body: Value = serde_json::from_slice(&asked.body).unwrap();
    assert_eq!(body["ConsistentRead"], json!(true));
    Some(body.pointer("/ExclusiveStartKey/root/S")?.as_str()?.to_owned())
}

/// Runs against the scripts; tells the exit code, what was printed, and the routes in the file.
fn check(
    s3: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    table: impl Fn(&Asked, usize) -> Reply + Send + Sync + 'static,
) -> (i32, String, Option<Vec<String>>) {
    let count = AtomicUsize::new(0);
    let address = stub::serve(move |asked| match operation(asked) {
        "" => s3(asked),
        _ => table(asked, count.fetch_add(1, Ordering::Relaxed)),
    });
    let directory = tempfile::tempdir().unwrap();
    let output = once(address, directory.path());
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(!said.contains("hunter2"), "{said}");
    let file = std::fs::read_to_string(directory.path().join("merged.json")).ok();
    let routes = file.map(|text| {
        let value: Value = serde_json::from_str(&text).unwrap();
        value["routes"].as_array().unwrap().iter().map(|route| route["root"].as_str().unwrap().to_owned()).collect()
    });
    (output.status.code().unwrap(), said, routes)
}

fn one_page(asked: &Asked, _: usize) -> Reply {
    if operation(asked) == "GetItem" { version(7) } else { page(&["/a"], None) }
}

#[test]
fn both_stores_are_merged() {
    let (code, said, routes) = check(|_| boundary(), one_page);
    assert_eq!((code, routes), (0, Some(vec!["/a".to_owned()])), "{said}");
}

#[test]
fn a_boundary_that_cannot_be_read_is_no_news() {
    let xml = |status: u16, code: &str| {
        Reply::new(status, format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>no</Message></Error>"))
    };
    let stalls = Reply { stalls: true, ..Reply::new(200, "") };
    for (reply, expected) in [
        (xml(403, "AccessDenied"), "s3:ListBucket"),
        (xml(404, "NoSuchKey"), "last good boundary"),
        (xml(404, "NoSuchKey").with("x-amz-delete-marker", "true"), "last good boundary"),
        (boundary().with("x-amz-delete-marker", "true"), "delete marker"),
        (xml(500, "InternalError"), "s3://bucket/boundary.yaml"),
        (xml(503, "SlowDown"), "s3://bucket/boundary.yaml"),
        (Reply::new(301, "").with("location", "http://127.0.0.1:1/"), "s3://bucket/boundary.yaml"),
        (stalls, "s3://bucket/boundary.yaml"),
        (Reply::new(200, ""), "0 documents"),
        (Reply::new(200, "[]"), "boundary"),
        (Reply::new(200, scene::BOUNDARY.replace("hosts: [api", "host: [api")), "did you mean"),
        (Reply::new(200, &scene::BOUNDARY.as_bytes()[..200]), "boundary"),
        (Reply::new(200, vec![0x1f, 0x8b, 0x08, 0xff]), "UTF-8"),
        (Reply::new(200, vec![b'#'; 33 << 20]), "more than 33554432 bytes"),
        (Reply::new(200, format!("{}\n---\n{}", scene::BOUNDARY, scene::BOUNDARY)), "2 documents"),
    ] {
        let status = reply.status;
        let (code, said, routes) = check(move |_| reply.clone(), one_page);
        assert_eq!((code, routes), (1, None), "{status} {said}");
        assert!(said.contains(expected), "{expected} in {said}");
        assert!(said.contains("the file was left as it was"), "{said}");
    }
}

#[test]
fn an_object_that_did_not_change_is_not_sent_again() {
    let sent = Arc::new(AtomicUsize::new(0));
    let counted = Arc::clone(&sent);
    let address = stub::serve(move |asked| match (operation(asked), asked.headers.get("if-none-match")) {
        ("", Some(etag)) if etag == "\"one\"" => Reply::new(304, ""),
        ("", _) => {
            counted.fetch_add(1, Ordering::Relaxed);
            boundary()
        }
        _ => one_page(asked, 0),
    });
    let directory = tempfile::tempdir().unwrap();
    let mut child = Command::new(env!("CARGO_BIN_EXE_postern-syncer"))
        .args([
            "run", "--boundary", "s3://bucket/boundary.yaml", "--registrations", "dynamodb://table", "--interval",
            "50ms",
        ])
        .args(["--admin", "127.0.0.1:0", "--out"])
        .arg(directory.path())
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    crate::reconciling::until(|| directory.path().join("merged.json").exists());
    std::thread::sleep(std::time::Duration::from_millis(500));
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(sent.load(Ordering::Relaxed), 1);
    let history = std::fs::read_dir(directory.path().join("history")).unwrap().count();
    assert_eq!(history, 1);
}

#[test]
fn a_scan_is_whole_or_it_is_none() {
    type Script = fn(&Asked, usize) -> Reply;
    let cases: [(Script, &str); 8] = [
        (|_, _| error(400, "ResourceNotFoundException"), "dynamodb://table"),
        (|_, _| error(400, "AccessDeniedException"), "dynamodb://table"),
        (
            |asked, _| if operation(asked) == "GetItem" { version(1) } else { error(400, "ThrottlingException") },
            "Scan on",
        ),
        // The second page fails.
        (
            |asked, _| match (operation(asked), starts_from_of(asked)) {
                ("GetItem", _) => version(1),
                (_, None) => page(&["/a"], Some("/a")),
                _ => error(500, "InternalServerError"),
            },
            "Scan on",
        ),
        // The key never moves on.
        (|asked, _| if operation(asked) == "GetItem" { version(1) } else { page(&[], Some("/a")) }, "round in circles"),
        // A page comes twice.
        (
            |asked, _| match (operation(asked), starts_from_of(asked).as_deref()) {
                ("GetItem", _) => version(1),
                (_, None) => page(&["/a"], Some("/a")),
                (_, Some("/a")) => page(&["/a"], Some("/b")),
                _ => page(&["/c"], None),
            },
            "twice",
        ),
        // Somebody writes during every scan.
        (
            |asked, count| if operation(asked) == "GetItem" { version(count as u64) } else { page(&["/a"], None) },
            "moved during",
        ),
        (
            |asked, _| {
                if operation(asked) == "GetItem" { Reply { stalls: true, ..Reply::default() } } else { page(&[], None) }
            },
            "dynamodb",
        ),
    ];
    for (index, (script, expected)) in cases.into_iter().enumerate() {
        let (code, said, routes) = check(|_| boundary(), script);
        assert_eq!((code, routes), (1, None), "{index} {said}");
        assert!(said.contains(expected), "{index}: {expected} in {said}");
    }
}

fn starts_from_of(asked: &Asked) -> Option<String> {
    if operation(asked) == "Scan" { starts_from(asked) } else { None }
}

#[test]
fn a_scan_goes_on_over_empty_pages_and_again_when_the_table_moved() {
    let (code, said, routes) = check(
        |_| boundary(),
        |asked, _| match (operation(asked), starts_from_of(asked).as_deref()) {
            ("GetItem", _) => version(1),
            (_, None) => page(&["/a"], Some("/a")),
            (_, Some("/a")) => page(&[], Some("/b")),
            (_, Some("/b")) => page(&[], Some("/c")),
            _ => page(&["/z"], None),
        },
    );
    assert_eq!((code, routes), (0, Some(vec!["/a".to_owned(), "/z".to_owned()])), "{said}");
    // Version 1 before the first scan, 2 behind it and from then on.
    let (code, said, routes) = check(
        |_| boundary(),
        |asked, count| match (operation(asked), count) {
            ("GetItem", 0) => version(1),
            ("GetItem", _) => version(2),
            (_, 1) => page(&["/early"], None),
            _ => page(&["/late"], None),
        },
    );
    assert_eq!((code, routes), (0, Some(vec!["/late".to_owned()])), "{said}");
    // Nobody counts the writes: no version, still a scan.
    let (code, said, routes) = check(
        |_| boundary(),
        |asked, _| if operation(asked) == "GetItem" { dynamodb(&json!({})) } else { page(&["/a"], None) },
    );
    assert_eq!((code, routes), (0, Some(vec!["/a".to_owned()])), "{said}");
}

fn apply(address: SocketAddr, directory: &Path) -> (i32, String) {
    let file = directory.join("route.yaml");
    std::fs::write(&file, scene::good("/a").to_string()).unwrap();
    let output = Command::new(env!("CARGO_BIN_EXE_postern-syncer"))
        .args(["route", "apply", "--registrations", "dynamodb://table"])
        .arg(&file)
        .env_clear()
        .env("AWS_ENDPOINT_URL", format!("http://{address}"))
        .env("AWS_REGION", "eu-west-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .env("AWS_MAX_ATTEMPTS", "1")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.code().unwrap(), said)
}

fn cancelled(reasons: &Value) -> Reply {
    let kind = "com.amazonaws.dynamodb.v20120810#TransactionCanceledException";
    Reply::new(400, json!({"__type": kind, "Message": "cancelled", "CancellationReasons": reasons}).to_string())
        .with("content-type", "application/x-amz-json-1.0")
}

#[test]
fn a_write_that_meets_another_is_tried_again_and_one_that_may_not_be_says_who_holds_it() {
    let conflict = json!([{"Code": "None"}, {"Code": "TransactionConflict", "Message": "busy"}]);
    let mut held = item("/a");
    held["owner"] = json!({"S": "another-team"});
    held["version"] = json!({"N": "9"});
    let taken = json!([{"Code": "ConditionalCheckFailed", "Item": held}, {"Code": "None"}]);
    let moved = json!([{"Code": "ConditionalCheckFailed", "Item": item("/a")}, {"Code": "None"}]);
    let cases = [
        (vec![cancelled(&conflict), cancelled(&conflict), dynamodb(&json!({}))], 0, "applied /a#default version 1"),
        (vec![cancelled(&taken)], 1, "it is held by another-team (version 9), not by team"),
        (vec![cancelled(&moved)], 1, "somebody else wrote version 1 meanwhile; run this again"),
        (vec![error(400, "AccessDeniedException")], 1, "TransactWriteItems on dynamodb://table"),
    ];
    for (replies, expected_code, expected) in cases {
        let count = AtomicUsize::new(0);
        let address = stub::serve(move |asked| match operation(asked) {
            "GetItem" => dynamodb(&json!({})),
            "TransactWriteItems" => {
                let body: Value = serde_json::from_slice(&asked.body).unwrap();
                assert_eq!(body.pointer("/TransactItems/0/Put/Item/version"), Some(&json!({"N": "1"})));
                assert_eq!(body.pointer("/TransactItems/1/Update/UpdateExpression"), Some(&json!("ADD #version :one")));
                replies[count.fetch_add(1, Ordering::Relaxed).min(replies.len() - 1)].clone()
            }
            other => panic!("{other} was not to be asked"),
        });
        let directory = tempfile::tempdir().unwrap();
        let (code, said) = apply(address, directory.path());
        assert_eq!(code, expected_code, "{said}");
        assert!(said.contains(expected), "{expected} in {said}");
    }
}
