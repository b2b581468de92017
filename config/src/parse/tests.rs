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
