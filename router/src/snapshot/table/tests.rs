//! The table against a reference that looks at every route: any table, any request, any order of filling.

use std::cmp::Reverse;
use std::sync::Arc;

use http::Method;

use crate::http1::Fields;
use postern_config::document::RouteMatch;
use postern_config::value::{HostName, RootPath, Segment, Template, Timestamp};
use proptest::prelude::*;

use super::{Entry, Found, Passed, Query, RouteTable, build};
use crate::snapshot::{PathPlan, RoutePlan, Timeouts};

/// A route as the reference sees it.
#[derive(Debug, Clone)]
pub(super) struct Spec {
    id: String,
    root: RootPath,
    matching: RouteMatch,
    held_since: u64,
    raw: bool,
}

pub(super) fn spec(id: &str, root: &str, matching: &str) -> Spec {
    let matching = serde_json::from_str(matching).unwrap();
    Spec { id: id.to_owned(), root: root.parse().unwrap(), matching, held_since: 1, raw: false }
}

pub(super) fn table(specs: &[Spec], rules: &[RootPath]) -> RouteTable {
    let entries = specs
        .iter()
        .map(|spec| Entry {
            plan: Arc::new(RoutePlan {
                id: spec.id.as_str().into(),
                origins: "".into(),
                owner: "team".into(),
                targets: Box::default(),
                ways: Box::default(),
                insists: true,
                signed_as_asked: false,
                rights: crate::rights::Rights::default(),
                identity_headers: Box::default(),
                identity_headers_tried: Box::default(),
                identity_token: None,
                timeouts: Timeouts::default(),
                limits: Box::default(),
                telemetry: Default::default(),
                body_max: 0,
                path: PathPlan::Keep,
                raw_path: spec.raw,
                websocket: None,
            }),
            root: &spec.root,
            matching: &spec.matching,
            held_since: spec.held_since,
            lease_until: None,
        })
        .collect();
    build(entries, rules.iter())
}

struct Ask<'a> {
    host: &'a str,
    path: &'a str,
    method: &'a str,
    headers: &'a [(&'static str, &'static str)],
    query: Option<&'a str>,
}

fn ask(table: &RouteTable, ask: &Ask<'_>) -> Result<String, Vec<String>> {
    let segments: Vec<&str> = match &ask.path[1..] {
        "" => Vec::new(),
        rest => rest.split('/').collect(),
    };
    let headers: Fields = ask.headers.iter().copied().collect();
    let method: Method = ask.method.parse().unwrap();
    let query = Query {
        host: ask.host,
        segments: &segments,
        ambiguous: false,
        method: &method,
        headers: &headers,
        query: ask.query,
        now: 0,
    };
    match table.find(&query, |_, _| {}) {
        Found::Route(route) => Ok(route.id.to_string()),
        Found::OtherMethods(methods) => Err(methods.into_iter().map(str::to_owned).collect()),
        Found::Nothing => Err(Vec::new()),
    }
}

/// The order of `DESIGN.md` §4 as a key; the greatest answers.
fn reference(specs: &[Spec], rules: &[RootPath], ask: &Ask<'_>) -> Option<String> {
    let host: HostName = ask.host.parse().unwrap();
    let path: RootPath = ask.path.parse().unwrap();
    let segments: Vec<&str> = path.segments().collect();
    let fence = rules.iter().filter(|rule| rule.covers(&path)).map(|rule| rule.segments().count()).max().unwrap_or(0);
    let fits = |spec: &&Spec| {
        let methods = &spec.matching.methods;
        let headers = spec
            .matching
            .headers
            .iter()
            .all(|(name, value)| ask.headers.iter().any(|(key, found)| *key == name.as_str() && found == value));
        let query = spec.matching.query.iter().all(|(name, value)| {
            ask.query.unwrap_or_default().split('&').any(|part| part == format!("{name}={value}"))
        });
        let hosts = &spec.matching.hosts;
        (hosts.is_empty() || hosts.iter().any(|pattern| pattern.matches(&host)))
            && shape(spec, &segments).is_some()
            && (methods.is_empty() || methods.iter().any(|method| method.as_str() == ask.method))
            && headers
            && query
            && spec.root.segments().count() >= fence
    };
    let key = |spec: &&Spec| {
        let hosts = &spec.matching.hosts;
        let exact_host = hosts.iter().any(|pattern| pattern.to_string() == ask.host);
        (
            exact_host,
            !hosts.is_empty(),
            shape(spec, &segments),
            !spec.matching.methods.is_empty(),
            spec.matching.headers.len(),
            spec.matching.query.len(),
            Reverse(spec.held_since),
            Reverse(spec.id.clone()),
        )
    };
    specs.iter().filter(fits).max_by_key(key).map(|spec| spec.id.clone())
}

/// How well a pattern fits: exact, then its length, then literals from the left, then closed.
fn shape(spec: &Spec, path: &[&str]) -> Option<(bool, usize, Vec<bool>, bool)> {
    let template: Template = match &spec.matching.path {
        Some(template) => template.clone(),
        None => format!("{}/{{rest*}}", spec.root.as_str().trim_end_matches('/')).parse().unwrap(),
    };
    let open = matches!(template.segments().last(), Some(Segment::Rest(_)));
    let fixed: Vec<&Segment> = template.segments().iter().filter(|one| !matches!(one, Segment::Rest(_))).collect();
    let long_enough = if open { path.len() >= fixed.len() } else { path.len() == fixed.len() };
    let fits = fixed.iter().zip(path).all(|(segment, text)| match segment {
        Segment::Literal(literal) => literal == text,
        _ => !text.is_empty(),
    });
    let literals: Vec<bool> = fixed.iter().map(|segment| matches!(segment, Segment::Literal(_))).collect();
    let exact = !open && literals.iter().all(|literal| *literal);
    (long_enough && fits).then_some((exact, fixed.len(), literals, !open))
}

fn arb_spec() -> impl Strategy<Value = Spec> {
    let segment = prop::sample::select(vec!["a", "b", "c"]);
    let root = prop::collection::vec(segment, 0..3).prop_map(|segments| format!("/{}", segments.join("/")));
    let tail = prop::sample::select(vec!["", "/{x}", "/a", "/{x}/b", "/{r*}", "/{x}/{r*}", "/a/{r*}", "/b/c", "none"]);
    let hosts = prop::sample::select(vec![
        "[]", "[\"h.example.com\"]", "[\"*.example.com\"]", "[\"h.example.com\",\"*.example.com\"]",
    ]);
    let methods = prop::sample::select(vec!["[]", "[\"GET\"]", "[\"POST\",\"GET\"]", "[\"POST\"]"]);
    let headers = prop::sample::select(vec!["{}", "{\"x-a\":\"1\"}", "{\"x-a\":\"1\",\"x-b\":\"2\"}"]);
    let query = prop::sample::select(vec!["{}", "{\"q\":\"1\"}"]);
    (root, tail, hosts, methods, headers, query, 1..3_u64).prop_map(
        |(root, tail, hosts, methods, headers, query, held)| {
            let path = match tail {
                "none" => String::new(),
                tail => {
                    let joined = format!("{}{tail}", root.trim_end_matches('/'));
                    format!(",\"path\":\"{}\"", if joined.is_empty() { "/" } else { &joined })
                }
            };
            let matching =
                format!("{{\"hosts\":{hosts},\"methods\":{methods},\"headers\":{headers},\"query\":{query}{path}}}");
            Spec { held_since: held, ..spec("", &root, &matching) }
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn the_table_answers_as_the_reference_does(
        mut specs in prop::collection::vec(arb_spec(), 1..16),
        paths in prop::collection::vec(prop::collection::vec(prop::sample::select(vec!["a", "b", "c", "d"]), 0..5), 8),
        rules in prop::collection::vec(prop::sample::select(vec!["/", "/a", "/a/b", "/b/c", "/c"]), 0..3),
        rotation in 0..16_usize,
    ) {
        for (index, spec) in specs.iter_mut().enumerate() {
            spec.id = format!("{}#{index}", spec.root);
        }
        let rules: Vec<RootPath> = rules.into_iter().map(|rule| rule.parse().unwrap()).collect();
        let built = table(&specs, &rules);
        let mut shuffled = specs.clone();
        shuffled.rotate_left(rotation % specs.len());
        let again = table(&shuffled, &rules);
        let headers: [&[(&str, &str)]; 3] = [&[], &[("x-a", "1")], &[("x-a", "1"), ("x-b", "2")]];
        for path in paths {
            let path = format!("/{}", path.join("/"));
            for host in ["h.example.com", "o.example.com", "h.example.org"] {
                for (method, headers, query) in [("GET", headers[0], None), ("POST", headers[1], Some("q=1")), ("PUT", headers[2], Some("q=1"))] {
                    let asked = Ask { host, path: &path, method, headers, query };
                    let expected = reference(&specs, &rules, &asked);
                    prop_assert_eq!(ask(&built, &asked).ok(), expected.clone(), "{} {} {}", method, host, path);
                    prop_assert_eq!(ask(&again, &asked).ok(), expected);
                }
            }
        }
    }
}

#[test]
fn other_methods_are_told_and_other_paths_are_not() {
    let table = table(
        &[spec("/a#1", "/a", r#"{"methods":["PUT","GET"]}"#), spec("/a#2", "/a", r#"{"methods":["MKCOL"]}"#)],
        &[],
    );
    let asked = |method, path| ask(&table, &Ask { host: "h", path, method, headers: &[], query: None });
    assert_eq!(asked("POST", "/a/x"), Err(vec!["GET".to_owned(), "MKCOL".to_owned(), "PUT".to_owned()]));
    assert_eq!(asked("MKCOL", "/a"), Ok("/a#2".to_owned()));
    assert_eq!(asked("POST", "/b"), Err(Vec::new()));
}

#[test]
fn a_condition_given_twice_is_not_met() {
    let table = table(&[spec("/a#1", "/a", r#"{"headers":{"x-v":"1"},"query":{"p":"a b"}}"#)], &[]);
    for (headers, query, expected) in [
        (&[("x-v", "1")][..], "p=a+b", true),
        (&[("x-v", "1")], "p=a%20b&z=1", true),
        (&[("x-v", "2")], "p=a+b", false),
        (&[("x-v", "1")], "p=a+b&p=a+b", false),
        (&[("x-v", "1")], "p=a+b&%70=c", false),
        (&[], "p=a+b", false),
    ] {
        let found = ask(&table, &Ask { host: "h", path: "/a", method: "GET", headers, query: Some(query) });
        assert_eq!(found.is_ok(), expected, "{headers:?} {query}");
    }
    let headers = Fields::from_iter([("x-v", "1"), ("x-v", "2")]);
    let query = Query {
        host: "h",
        segments: &["a"],
        ambiguous: false,
        method: &Method::GET,
        headers: &headers,
        query: Some("p=a+b"),
        now: 0,
    };
    let mut passed = Vec::new();
    assert!(matches!(table.find(&query, |_, why| passed.push(why)), Found::Nothing));
    assert_eq!(passed, [Passed::Header("x-v".to_owned())]);
}

#[test]
fn a_variable_takes_no_empty_segment_and_a_trailing_slash_is_a_segment() {
    let table = table(&[spec("/a#t", "/a", r#"{"path":"/a/{id}"}"#), spec("/a#p", "/a", "{}")], &[]);
    let asked = |path| ask(&table, &Ask { host: "h", path, method: "GET", headers: &[], query: None });
    assert_eq!(asked("/a/7"), Ok("/a#t".to_owned()));
    for path in ["/a", "/a/", "/a/7/", "/a/7/b"] {
        assert_eq!(asked(path), Ok("/a#p".to_owned()), "{path}");
    }
}

#[test]
fn an_ended_lease_does_not_answer() {
    let one = spec("/a#1", "/a", "{}");
    let lease: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let plan = Arc::clone(&table(std::slice::from_ref(&one), &[]).routes()[0]);
    let entry = Entry { plan, root: &one.root, matching: &one.matching, held_since: 1, lease_until: Some(lease) };
    let table = build(vec![entry], std::iter::empty());
    let headers = Fields::default();
    for (now, answers) in [(lease.unix() - 1, true), (lease.unix(), false)] {
        let query = Query {
            host: "h",
            segments: &["a"],
            ambiguous: false,
            method: &Method::GET,
            headers: &headers,
            query: None,
            now,
        };
        assert_eq!(matches!(table.find(&query, |_, _| {}), Found::Route(_)), answers);
    }
}

#[test]
fn a_raw_route_is_only_raw_where_nothing_else_lies_below_it() {
    let raw = |id: &str, root: &str| Spec { raw: true, ..spec(id, root, "{}") };
    let headers = Fields::default();
    let answers = |table: &RouteTable| {
        let query = Query {
            host: "h",
            segments: &["files"],
            ambiguous: true,
            method: &Method::GET,
            headers: &headers,
            query: None,
            now: 0,
        };
        matches!(table.find(&query, |_, _| {}), Found::Route(_))
    };
    assert!(answers(&table(&[raw("/files#r", "/files")], &[])));
    assert!(!answers(&table(&[spec("/files#r", "/files", "{}")], &[])));
    assert!(!answers(&table(&[raw("/files#r", "/files"), spec("/files/admin#x", "/files/admin", "{}")], &[])));
    assert!(!answers(&table(&[raw("/files#r", "/files")], &["/files/admin".parse().unwrap()])));
    assert!(!answers(&table(
        &[raw("/files#r", "/files"), spec("/files#t", "/files", r#"{"path":"/files/admin"}"#)],
        &[]
    )));
}
