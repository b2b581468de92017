//! When a request is one for an authorizer.

use super::*;
use crate::stage::authenticate::{Certificates, Memory, Outcome, Way, authenticate};

/// What comes of a request with these headers, in one word.
fn outcome(ways: &[Way], pairs: &[(&str, &str)], query: Option<&str>) -> &'static str {
    let fields = pairs.iter().copied().collect::<Fields>();
    match authenticate(ways, &fields, query, Certificates::default(), NOW, &Memory::default()) {
        Ok(Outcome::Consult(_)) => "asked",
        Ok(Outcome::Proved(caller)) if caller.via() == "none" => "nobody",
        Ok(Outcome::Proved(caller)) if caller.via() == "iam" => "signed",
        Ok(_) => "something else",
        Err(rejection) => rejection.reason.code(),
    }
}

#[test]
fn it_is_asked_when_all_that_it_reads_is_there_once() {
    let sources = json!([{"header": "x-key"}, {"cookie": "sid"}, {"query": "t"}]);
    let way = Way::External(Arc::new(external(&json!({"speaks": "request", "identity_sources": sources}))));
    let (key, sid) = (("X-Key", "k"), ("cookie", "sid=1"));
    for (pairs, query, expected) in [
        (vec![key, sid], Some("t=1"), "asked"),
        (vec![key, sid, ("authorization", "Nonsense")], Some("t=1"), "asked"),
        (vec![], None, "credentials_missing"),
        (vec![key, sid], None, "credentials_missing"),
        (vec![key], Some("t=1"), "credentials_missing"),
        (vec![sid], Some("t=1"), "credentials_missing"),
        (vec![key, sid], Some("t="), "credentials_missing"),
        (vec![("x-key", ""), sid], Some("t=1"), "credentials_missing"),
        (vec![key, key, sid], Some("t=1"), "credentials_invalid"),
        (vec![key, sid, sid], Some("t=1"), "credentials_invalid"),
        (vec![key, sid], Some("t=1&t=1"), "credentials_invalid"),
        (vec![key, sid], Some("%74=1"), "credentials_invalid"),
        (vec![("x-key", "\u{fc}"), sid], Some("t=1"), "credentials_invalid"),
    ] {
        assert_eq!(outcome(std::slice::from_ref(&way), &pairs, query), expected, "{pairs:?} {query:?}");
    }
}

#[test]
fn beside_other_ways_one_of_them_is_meant() {
    let sources = json!([{"header": "x-key"}, {"header": "x-device"}]);
    let way = Way::External(Arc::new(external(&json!({"speaks": "request", "identity_sources": sources}))));
    let signature = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260901/eu-west-1/execute-api/aws4_request, \
                     SignedHeaders=host, Signature=0000000000000000000000000000000000000000000000000000000000000000";
    let (key, device, signed) = (("x-key", "k"), ("x-device", "d"), ("authorization", signature));
    let ways = [Way::None, Way::Iam, way];
    for (pairs, expected) in [
        (vec![], "nobody"),
        (vec![signed], "signed"),
        (vec![signed, device], "signed"),
        (vec![key, device], "asked"),
        (vec![key, device, signed], "credentials_invalid"),
        // Half of it is no reason to take somebody for nobody.
        (vec![key], "credentials_missing"),
    ] {
        assert_eq!(outcome(&ways, &pairs, None), expected, "{pairs:?}");
    }
}
