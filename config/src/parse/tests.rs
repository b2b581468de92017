//! Documents as people write them, and what is said of their slips.

use super::*;
use crate::document::{BoundaryDocument, Registration};
use crate::schema;

fn problems(text: &str) -> Vec<String> {
    let value = values(text).unwrap().remove(0);
    match document::<Registration>(&value, schema::registration()) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.0.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn every_problem_is_told_at_once_with_its_place_and_remedy() {
    let found = problems(
        "root: /orders/\nowner: 7\nmatch: {hosts: ['a b', ok.example.com], method: [GET]}\n\
         destination: {url: 'ftp://x', weigth: 3}\npolicies: {timeouts: {connect: 5}, authentication: {any_of: [jwt]}}\n",
    );
    let all = found.join("\n");
    for expected in [
        "/root: \"/orders/\" ends with a slash (write /orders)",
        "/owner: ",
        "/match/hosts/0: \"a b\" has a character that no host name has",
        "/match/method: unknown field (did you mean \"methods\"?)",
        "/destination/url: \"ftp://x\" does not begin with https:// or http://",
        "/destination/weigth: unknown field (did you mean \"weight\"?)",
        "/policies/timeouts/connect: ",
        "/policies/authentication/any_of/0: \"jwt\" is no way to authenticate",
    ] {
        assert!(all.contains(expected), "{expected}\nin\n{all}");
    }
    assert_eq!(found.len(), 8, "{all}");
}

#[test]
fn a_field_without_a_value_is_not_a_field_left_out() {
    let found = problems(
        "root: /orders\nowner: team\ndestination: {url: https://a.example.com}\npolicies:\n  authentication:\n",
    );
    assert_eq!(found, ["/policies/authentication: has no value (give it a value, or take the line out)"]);
}

#[test]
fn a_missing_field_is_named() {
    let found = problems("root: /orders\n");
    assert_eq!(found, ["the document: the field \"owner\" is missing (e.g. owner: team-orders)"]);
}

#[test]
fn a_key_given_twice_is_refused_in_both_formats() {
    for text in ["{\"a\": 1, \"a\": 2}", "a: 1\na: 2\n", "{a: 1, a: 2}", "{\"x\": {\"a\": 1, \"a\": 2}}"] {
        assert_eq!(values(text).unwrap_err().kind, ProblemKind::Syntax, "{text}");
    }
}

#[test]
fn odd_texts_are_problems_and_no_panics() {
    let deep = "[".repeat(100_000);
    let wide = format!("{}{}", "[".repeat(40), "]".repeat(40));
    for text in
        ["{", "{\"a\":", "a: [", "\u{0}", "a: &x [*x]", "a: *nope", &deep, &wide, "{\"a\":1}}", "%", "- - -\n-: :"]
    {
        let _ = values(text).map(|values| assert!(values.len() < 3));
    }
    assert!(values(&deep).is_err() && values(&wide).is_err());
    assert_eq!(values("").unwrap(), Vec::<Value>::new());
    assert_eq!(values("---\na: 1\n---\nb: 2\n").unwrap().len(), 2);
}

#[test]
fn a_boundary_is_read_from_both_formats() {
    let yaml = "apiVersion: postern/v1\nkind: Boundary\nhosts: [api.example.com]\ndestinations:\n  - name: a\n    hosts: [a.internal.example.com]\n";
    let from_yaml = values(yaml).unwrap().remove(0);
    let json = serde_json::to_string(&from_yaml).unwrap();
    let from_json = values(&json).unwrap().remove(0);
    assert_eq!(from_yaml, from_json);
    document::<BoundaryDocument>(&from_json, schema::boundary()).unwrap();
}

#[test]
fn words_stay_words_and_numbers_numbers() {
    let text = "a: yes\nb: on\nc: No\nd: y\ne: true\nf: 2026-12-31\ng: 12:30:00\nh: !!str 5\ni: 0o17\nj: \"7\"\n";
    let expected = serde_json::json!({
        "a": "yes", "b": "on", "c": "No", "d": "y", "e": true, "f": "2026-12-31", "g": "12:30:00", "h": "5", "i": 15,
        "j": "7",
    });
    for text in
        [text.to_owned(), text.replace('\n', "\r\n"), format!("\u{feff}{text}"), format!("---\n{text}...\n---\n")]
    {
        assert_eq!(values(&text).unwrap(), std::slice::from_ref(&expected), "{text:?}");
    }
    assert_eq!(values("\u{feff}{\"a\": 1}\n").unwrap(), [serde_json::json!({"a": 1})]);
}

#[test]
fn references_cannot_make_a_small_file_large() {
    use std::fmt::Write as _;
    let mut laughs = String::from("a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol, lol]\n");
    for level in 1..10 {
        let before = format!("*a{}", level - 1);
        writeln!(laughs, "a{level}: &a{level} [{}]", vec![before; 10].join(", ")).unwrap();
    }
    let many = format!("a: &a [{}]\nb: [{}]\n", vec!["x"; 200].join(", "), vec!["*a"; 900].join(", "));
    let chain: String = (0..2_000).map(|n| format!("a{n}: &a{n} x\n")).collect();
    for text in [laughs, many, chain] {
        let started = std::time::Instant::now();
        let problem = values(&text).unwrap_err();
        assert_eq!(problem.kind, ProblemKind::Limit, "{problem}");
        assert!(started.elapsed().as_secs() < 10);
    }
    assert_eq!(values("a: &x [1]\nb: *x\n").unwrap(), [serde_json::json!({"a": [1], "b": [1]})]);
}

#[test]
fn what_has_a_second_reading_is_refused_with_its_line() {
    for (text, expected) in [
        ("x: &x {a: 1}\ny:\n  <<: *x\n", "line 3, column 3: a merge key"),
        ("a: !!set {x, y}\n", "line 1, column 10: the tag \"!!set\""),
        ("a: 1\nb: .nan\n", "line 2, column 4: \".nan\" is no finite number"),
        ("a: 1e999\n", "line 1, column 4: \"1e999\" is no finite number"),
        ("{\"a\": 1e999}", "line 1, column 11: number out of range"),
        ("? {a: 1}\n: b\n", "line 1, column 3: a key is a list or a mapping"),
        ("~: b\n", "line 1, column 1: a key is empty"),
        ("a: 1\na: 2\n", "line 2, column 1: the key \"a\" is given twice"),
        ("{\"a\": 1,\n\"a\": 2}", "line 2, column 3: the key \"a\" is given twice"),
        ("hosts: [*.example.com]\n", "line 1, column 9: a text that begins with *"),
        ("a:\n\t- b\n", "line 2, column 2: tabs"),
    ] {
        let problem = values(text).unwrap_err();
        assert!(problem.message.contains(expected) && problem.hint.is_some(), "{text}: {problem}");
    }
    // A tag must not turn what is written into another text.
    assert_eq!(values("a: !!binary aGVsbG8=\n").unwrap(), [serde_json::json!({"a": "aGVsbG8="})]);
}

#[test]
fn a_long_list_of_registrations_fits() {
    let one = "- {root: /a, name: b, owner: c, destination: {url: https://a.example.com}}\n";
    assert_eq!(values(&one.repeat(30_000)).unwrap()[0].as_array().unwrap().len(), 30_000);
    assert_eq!(values(&"---\na: 1\n".repeat(3_000)).unwrap().len(), 3_000);
    let scalar = format!("a: \"{}\"\n", "x".repeat(4 * 1024 * 1024));
    assert_eq!(values(&scalar).unwrap().len(), 1);
}
