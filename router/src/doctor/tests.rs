//! Golden pairs: an answer as it comes (`golden/doctor/NAME.http`, behind lines that say how it was asked for), and beside
//! it what is said of it (`NAME.txt`). `POSTERN_UPDATE_GOLDEN=1` writes the latter anew; read the difference before
//! committing it. The phrases are those of API Gateway's documentation ("Troubleshoot 403 errors", "Gateway response types").

use std::path::{Path, PathBuf};
use std::time::Duration;

use http::Method;

use super::answer::{Asked, Outcome, judge};
use super::network::{self, Look};
use super::{Place, Trust, Verdict, visit};
use crate::http1::ResponseHead;
use crate::reject::Reason;
use crate::snapshot::AddressRefused;
use crate::upstream::Unresolved;
use crate::upstream::probe::{NotConnected, Secured, Seen, Sighting, Unproved, Went};
use crate::upstream::shown::Leaf;

const API: &str = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com";
/// 2026-11-21T12:00:00Z.
const NOW: i64 = 1_795_262_400;

fn place(host: &str) -> Place {
    Place {
        destination: "private-apis".to_owned(),
        dial: host.to_owned(),
        port: 443,
        host: host.to_owned(),
        tls: Some(Trust { name: host.to_owned(), roots: "amazon".to_owned() }),
        networks: vec!["10.20.0.0/16".to_owned()],
        prefix: "/prod".to_owned(),
        method: "GET".to_owned(),
        target: "/prod/orders".to_owned(),
        iam: false,
    }
}

fn answers() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/doctor");
    let entries = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = entries.filter(|path| path.extension().is_some_and(|end| end == "http")).collect();
    paths.sort();
    paths
}

/// What is said of an answer that stands in a file.
fn said(text: &str) -> String {
    let (mut place, mut asked) = (place(API), Asked { now: NOW, ..Asked::default() });
    let mut rest = text;
    while let Some((line, after)) = rest.strip_prefix("# ").and_then(|rest| rest.split_once('\n')) {
        match line.split_once(' ').unwrap_or((line, "")) {
            ("host", host) => place.host = host.to_owned(),
            ("url-path", prefix) => place.prefix = prefix.to_owned(),
            ("target", target) => place.target = target.to_owned(),
            ("iam", _) => place.iam = true,
            ("signed", _) => asked.signed = Some(Ok(())),
            ("refused", why) => asked.signed = Some(Err(why.to_owned())),
            ("credentials", _) => asked.credentials = true,
            ("public", _) => asked.public = true,
            other => panic!("{other:?}"),
        }
        rest = after;
    }
    let (head, body) = rest.split_once("\n\n").unwrap_or((rest, ""));
    let head = format!("{}\r\n\r\n", head.trim_end().replace('\n', "\r\n"));
    let mut answered = visit::answered(&ResponseHead::parse(head.as_bytes(), &Method::GET).unwrap());
    answered.body = visit::plain(body.as_bytes());
    let steps = judge(&place, &Outcome::Answered(answered), &asked);
    steps.iter().map(|step| format!("{}\n", step.to_text())).collect()
}

#[test]
fn every_answer_is_told_apart_as_it_is_written_down() {
    let paths = answers();
    assert!(paths.len() > 20, "only {} answers", paths.len());
    for path in paths {
        let said = said(&std::fs::read_to_string(&path).unwrap());
        let expected = path.with_extension("txt");
        if std::env::var_os("POSTERN_UPDATE_GOLDEN").is_some() {
            std::fs::write(&expected, &said).unwrap();
        }
        let standing = std::fs::read_to_string(&expected).unwrap_or_default();
        assert_eq!(said, standing, "{} differs; POSTERN_UPDATE_GOLDEN=1 writes it anew", expected.display());
    }
}

#[test]
fn nothing_of_a_body_is_told_but_known_phrases() {
    for path in answers() {
        let text = std::fs::read_to_string(&path).unwrap();
        // What a client sent, and API Gateway repeats.
        assert!(!said(&text).contains("secret"), "{}", path.display());
    }
    let mut answered = super::word::Answered { status: 403, ..Default::default() };
    answered.body = "arn:aws:execute-api:eu-west-1:********1234:a1/prod/GET/x\u{1b}[2J secret".to_owned();
    assert_eq!(answered.resource(), Some("arn:aws:execute-api:eu-west-1:********1234:a1/prod/GET/x"));
    answered.body = format!("arn:aws:execute-api:{}", "a".repeat(1_000));
    assert_eq!(answered.resource(), None);
}

fn connected(tls: Option<Result<Secured, Unproved>>) -> Went {
    Went::Connected { took: Duration::from_millis(3), tls }
}

fn leaf(names: &[&str], valid: (i64, i64)) -> Leaf {
    let names = names.iter().map(|name| (*name).to_owned()).collect();
    Leaf { names, issuer: "CN=Amazon RSA 2048 M02".to_owned(), own_issuer: false, valid }
}

fn unproved(reason: Reason, leaf: Leaf) -> Went {
    connected(Some(Err(Unproved { reason, words: String::new(), leaf: Some(leaf) })))
}

fn secured(leaf: Leaf) -> Went {
    connected(Some(Ok(Secured { version: "TLS 1.3", leaf: Some(leaf) })))
}

/// What is said of a way, step by step.
fn way(place: &Place, went: Vec<(&str, Went)>) -> String {
    let seen = went.into_iter().map(|(address, went)| Seen { address: address.parse().unwrap(), went }).collect();
    told(place, Ok(seen))
}

fn told(place: &Place, resolved: Result<Vec<Seen>, Unresolved>) -> String {
    let sighting = Sighting { resolved, took: Duration::from_millis(2) };
    let look = Look { resolver: "10.20.0.2:53", patience: Duration::from_secs(2), now: NOW };
    network::judge(place, &sighting, &look).iter().map(|step| format!("{}\n", step.to_text())).collect()
}

#[track_caller]
fn says(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.contains(word), "\"{word}\" is missing in:\n{told}");
    }
}

const DAY: i64 = 86_400;

#[test]
fn a_way_without_a_flaw_has_nothing_to_look_at() {
    let good = leaf(&["*.execute-api.eu-west-1.amazonaws.com"], (NOW - DAY, NOW + 100 * DAY));
    let told = way(&place(API), vec![("10.20.0.7", secured(good))]);
    assert!(!told.contains("do:"), "{told}");
    says(&told, &["10.20.0.7, by 10.20.0.2:53", "100 days", "SNI and Host are both"]);
}

#[test]
fn names_without_addresses_are_told_apart_by_whose_they_are() {
    let absent = || Err(Unresolved::Absent("no records".into()));
    says(&told(&place(API), absent()), &["failed   name", "private DNS"]);
    let mut endpoint = place(API);
    endpoint.dial = "vpce-0abc.execute-api.eu-west-1.vpce.amazonaws.com".to_owned();
    says(&told(&endpoint, absent()), &["endpoint is still there", "in eu-west-1"]);
    says(&told(&place("orders.internal.example.com"), absent()), &["private hosted zone", "skipped  connect"]);
    says(&told(&place(API), Err(Unresolved::Late)), &["port 53", "no answer from the name server in time"]);
}

#[test]
fn addresses_that_are_not_dialled_say_why_and_what_to_do() {
    let public = way(&place(API), vec![("52.95.120.1", Went::Refused(AddressRefused::Outside))]);
    says(&public, &["failed   address", "52.95.120.1 is not dialled", "private DNS is off", "skipped  connect"]);
    let outside = way(&place(API), vec![("10.99.0.1", Went::Refused(AddressRefused::Outside))]);
    says(&outside, &["operations add its network to addresses", "10.20.0.0/16"]);
    let private = way(&place("a.example.com"), vec![("10.99.0.1", Went::Refused(AddressRefused::Private))]);
    says(&private, &["operations name its network"]);
    let metadata = AddressRefused::Forbidden(postern_config::value::Forbidden::LinkLocal);
    says(&way(&place(API), vec![("169.254.169.254", Went::Refused(metadata))]), &["never dialled, whatever"]);
    let good = leaf(&[API], (0, NOW + 100 * DAY));
    let mixed = vec![("10.20.0.7", secured(good)), ("52.95.120.1", Went::Refused(AddressRefused::Outside))];
    says(&way(&place(API), mixed), &["unclear  address", "the others are used", "ok       connect"]);
    // Endpoints have addresses of both families, and a boundary may name one.
    let good = leaf(&[API], (0, NOW + 100 * DAY));
    let both = vec![("10.20.0.7", secured(good)), ("fd12::7", Went::Refused(AddressRefused::Outside))];
    says(&way(&place(API), both), &["ok       address", "fd12::7 is not dialled"]);
}

#[test]
fn connections_that_fail_are_told_apart() {
    let refused = || Went::Unconnected(NotConnected::Refused);
    says(&way(&place(API), vec![("10.20.0.7", refused())]), &["connection refused", "nothing listens", "skipped  tls"]);
    let silent = way(&place(API), vec![("10.20.0.7", Went::Unconnected(NotConnected::Silent))]);
    says(&silent, &["timed out", "2000 ms", "security group"]);
    let lost = Went::Unconnected(NotConnected::Failed("Network is unreachable (os error 101)".to_owned()));
    says(&way(&place(API), vec![("10.20.0.7", lost)]), &["Network is unreachable", "routes"]);
    let good = leaf(&[API], (0, NOW + 100 * DAY));
    let half = way(&place(API), vec![("10.20.0.7", secured(good)), ("10.20.1.9", refused())]);
    says(&half, &["failed   connect", "10.20.1.9: connection refused; of 10.20.0.7", "zone", "ok       tls"]);
}

#[test]
fn certificates_that_are_not_believed_are_told_with_what_they_are() {
    let region = || leaf(&["*.execute-api.eu-west-1.amazonaws.com"], (0, NOW + 100 * DAY));
    let private = place("orders.apis.internal.example.com");
    let told = way(&private, vec![("10.20.0.7", unproved(Reason::TlsNameMismatch, region()))]);
    says(
        &told,
        &[
            "tls_name_mismatch",
            "the certificate is for *.execute-api.eu-west-1.amazonaws.com",
            "failed   sni",
            "destination.host to API_ID.execute-api.eu-west-1.amazonaws.com",
        ],
    );
    let elsewhere = leaf(&["*.execute-api.us-east-1.amazonaws.com"], (0, NOW + 100 * DAY));
    let told = way(&place(API), vec![("10.20.0.7", unproved(Reason::TlsNameMismatch, elsewhere))]);
    says(&told, &["the endpoint is of us-east-1 and the API of eu-west-1"]);
    let expired = leaf(&[API], (0, NOW - DAY));
    let told = way(&place(API), vec![("10.20.0.7", unproved(Reason::TlsExpired, expired))]);
    says(&told, &["tls_expired", "expired on 2026-11-20", "renew"]);
    let stranger = leaf(&[API], (0, NOW + 100 * DAY));
    let told = way(&place(API), vec![("10.20.0.7", unproved(Reason::TlsUnknownIssuer, stranger))]);
    says(&told, &["tls_unknown_issuer", "roots (amazon)", "signed by CN=Amazon RSA 2048 M02", "pem_file"]);
    let soon = way(&place(API), vec![("10.20.0.7", secured(leaf(&[API], (0, NOW + 3 * DAY))))]);
    says(&soon, &["unclear  tls", "(3 days)", "ends soon"]);
    let endpoint = place("vpce-0abc.execute-api.eu-west-1.vpce.amazonaws.com");
    let told = way(&endpoint, vec![("10.20.0.7", unproved(Reason::TlsNameMismatch, region()))]);
    says(&told, &["the endpoint's own name, which chooses no API"]);
}

#[test]
fn the_first_that_failed_comes_before_what_is_only_unclear() {
    let told = way(&place(API), vec![("10.20.0.7", Went::Unconnected(NotConnected::Refused))]);
    assert!(told.starts_with(&format!("{:<8} name", Verdict::Ok.word())), "{told}");
    let [unclear, failed] =
        [super::Step::unclear("api-id", "perhaps", "look"), super::Step::failed("stage", "no", "mend it")];
    assert_eq!(super::first_found(&[&unclear, &failed]), Some(&failed));
    assert_eq!(super::first_found(&[&unclear]), Some(&unclear));
    assert_eq!(super::first_found(&[&super::Step::ok("name", "fine")]), None);
}
