//! Which credentials count, which way they choose, and what a refused client is told.

use http::header::{RETRY_AFTER, WWW_AUTHENTICATE};

use super::*;
use crate::reject::Reason;

const SIGNATURE: &str = "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20260101/eu-west-1/execute-api/aws4_request, \
     SignedHeaders=host;x-amz-date, Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn realm(name: &str) -> Way {
    // The cheapest argon2id there is: m=8, t=1.
    let hash = super::realms::argon2id(b"secret");
    let document = json!({"name": name, "users": [{"name": "alice", "hash": hash}]});
    Way::Basic(Arc::new(Realm::compile(&serde_json::from_value(document).unwrap())))
}

fn jwt() -> Way {
    corp()[0].clone()
}

fn keyless() -> Way {
    Way::Jwt(Arc::new(
        Issuer::compile(
            &document(
                &json!({"name": "dark", "issuer": "https://dark.example/", "jwks_url": "https://dark.example/k"}),
                &[],
            ),
            &secrets(),
        )
        .unwrap(),
    ))
}

/// What comes of a request, in one word.
fn outcome(ways: &[Way], headers: &Fields, query: Option<&str>) -> String {
    match decide(ways, headers, query, Certificates::default(), NOW, &Memory::default()) {
        Ok(Outcome::Proved(principal)) => principal.via().to_owned(),
        Ok(Outcome::Ask(_)) => "ask".to_owned(),
        Ok(Outcome::Consult(_)) => "consult".to_owned(),
        Err(flaw) => format!("{flaw:?}"),
    }
}

#[test]
fn the_credentials_that_are_there_choose_the_way() {
    let bearer = format!("Bearer {}", good());
    let bad_bearer = format!("Bearer {}x", good());
    let basic = "Basic YWxpY2U6c2VjcmV0";
    let (jwt, ops) = (jwt(), realm("ops"));
    let table: &[(&[Way], Option<&str>, &str)] = &[
        // On an open route credentials are the destination's.
        (&[], None, "none"),
        (&[], Some(&bearer), "none"),
        (&[Way::None], Some(&bad_bearer), "none"),
        (&[Way::None], Some("Nonsense"), "none"),
        (std::slice::from_ref(&jwt), None, "Missing"),
        (std::slice::from_ref(&jwt), Some(&bearer), "jwt:corp"),
        (std::slice::from_ref(&jwt), Some(basic), "NotAccepted"),
        (std::slice::from_ref(&jwt), Some(SIGNATURE), "NotAccepted"),
        (std::slice::from_ref(&ops), Some(&bearer), "NotAccepted"),
        (std::slice::from_ref(&ops), Some(basic), "ask"),
        (&[Way::Iam], None, "Missing"),
        (&[Way::Iam], Some(SIGNATURE), "iam"),
        (&[Way::Iam], Some(&bearer), "NotAccepted"),
        (&[Way::None, Way::Iam], None, "none"),
        (&[Way::None, Way::Iam], Some(&bearer), "NotAccepted"),
        // Bad is refused where nothing would have passed.
        (&[Way::None, jwt.clone()], None, "none"),
        (&[Way::None, jwt.clone()], Some(&bearer), "jwt:corp"),
        (&[Way::None, jwt.clone()], Some(&bad_bearer), "Signature"),
        (&[Way::None, jwt.clone()], Some(basic), "NotAccepted"),
        (&[Way::None, jwt.clone()], Some("Digest username=alice"), "NotAccepted"),
        (&[Way::None, jwt.clone()], Some("Bearer"), "Malformed"),
        (&[ops.clone(), jwt.clone(), Way::Iam], Some(&bearer), "jwt:corp"),
        (&[ops.clone(), jwt.clone(), Way::Iam], Some(basic), "ask"),
        (&[ops.clone(), jwt.clone(), Way::Iam], Some(SIGNATURE), "iam"),
        (&[ops.clone(), jwt.clone(), Way::Iam], None, "Missing"),
    ];
    for (index, (ways, header, expected)) in table.iter().enumerate() {
        let headers = header.map_or_else(Fields::default, authorization);
        assert_eq!(outcome(ways, &headers, None), *expected, "row {index}: {header:?}");
    }
}

#[test]
fn authorization_has_one_form() {
    let ways = [jwt(), realm("ops")];
    let token = good();
    for (value, expected) in [
        (format!("Bearer {token}"), "jwt:corp"),
        (format!("bearer {token}"), "jwt:corp"),
        (format!("BEARER {token}"), "jwt:corp"),
        ("basic YWxpY2U6c2VjcmV0".to_owned(), "ask"),
        (format!("Bearer  {token}"), "Malformed"),
        (format!("Bearer\t{token}"), "Malformed"),
        (format!(" Bearer {token}"), "NotAccepted"),
        (format!("Bearer {token} "), "Malformed"),
        (format!("Bearer {token}, Bearer {token}"), "Malformed"),
        (format!("Bearer{token}"), "Malformed"),
        (format!("Bearer: {token}"), "NotAccepted"),
        (format!("Bearer={token}"), "Malformed"),
        (format!("JWT {token}"), "NotAccepted"),
        (format!("Token {token}"), "NotAccepted"),
        (format!("Negotiate {token}"), "NotAccepted"),
        (token.clone(), "Malformed"),
        (String::new(), "Malformed"),
        (" ".to_owned(), "NotAccepted"),
        ("Bearer ".to_owned(), "Malformed"),
        ("Bearer =".to_owned(), "Malformed"),
        ("Bearer undefined".to_owned(), "TokenParts"),
        ("Basic ".to_owned(), "Malformed"),
        ("Basic YWxpY2U6c2VjcmV0 ".to_owned(), "Malformed"),
        ("Basic YWxpY2U6c2VjcmV0,YWxpY2U6c2VjcmV0".to_owned(), "Malformed"),
        ("Basic YWxpY2U6c2VjcmV0=".to_owned(), "BasicEncoding"),
        ("Basic YWxpY2U".to_owned(), "BasicEncoding"),
        ("Basic YWxpY2V4".to_owned(), "BasicEncoding"),
        ("Basic YWxp-2U_".to_owned(), "BasicEncoding"),
        ("Basic /2E6Yg==".to_owned(), "BasicEncoding"),
        ("Basic YTpiAA==".to_owned(), "BasicControl"),
        ("Basic YQphOmI=".to_owned(), "BasicControl"),
        (format!("Basic {}", "A".repeat(1025)), "BasicTooLong"),
        (format!("Bearer {}", "A".repeat(16 * 1024 + 1)), "TokenTooLong"),
        (format!("Bearer {}", "A".repeat(16 * 1024)), "TokenParts"),
    ] {
        let shown = &value[..value.len().min(40)];
        assert_eq!(outcome(&ways, &authorization(&value), None), expected, "{shown}");
    }
    let mut raw = Fields::default();
    raw.push("authorization", b"Bearer \xff");
    assert_eq!(outcome(&ways, &raw, None), "Malformed");
    let mut twice = authorization(&format!("Bearer {token}"));
    twice.push("Authorization", format!("Bearer {token}").as_bytes());
    assert_eq!(outcome(&ways, &twice, None), "Several");
    let mut mixed = authorization(&format!("Bearer {token}"));
    mixed.push("authorization", b"Basic YWxpY2U6c2VjcmV0");
    assert_eq!(outcome(&ways, &mixed, None), "Several");
}

#[test]
fn signatures_have_one_form() {
    let fine = SIGNATURE.to_owned();
    let asymmetric = SIGNATURE
        .replace("HMAC-SHA256", "ECDSA-P256-SHA256")
        .replace("/eu-west-1", "")
        .replace("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef", &"30".repeat(70));
    let table = [
        (fine.clone(), "iam"),
        (fine.replace(", ", ","), "iam"),
        (asymmetric.clone(), "iam"),
        (fine.replace("AWS4", "aws4"), "NotAccepted"),
        (fine.replace("SHA256", "SHA1"), "NotAccepted"),
        (fine.replace("AKIAIOSFODNN7EXAMPLE", "AKIA"), "SignatureForm"),
        (fine.replace("AKIAIOSFODNN7EXAMPLE", &"A".repeat(129)), "SignatureForm"),
        (fine.replace("20260101", "2026-01-01"), "SignatureForm"),
        (fine.replace("/eu-west-1", ""), "SignatureForm"),
        (fine.replace("/aws4_request", "/aws5_request"), "SignatureForm"),
        (fine.replace("/aws4_request", "/aws4_request/x"), "SignatureForm"),
        (fine.replace("host;", ""), "SignatureForm"),
        (fine.replace("host;", "Host;"), "SignatureForm"),
        (fine.replace("host;", "host;;"), "SignatureForm"),
        (fine.replace("0123", "012"), "SignatureForm"),
        (fine.replace("0123", "012G"), "SignatureForm"),
        (fine.replace("abcdef", "ABCDEF"), "SignatureForm"),
        (format!("{fine}, Signature=00"), "SignatureForm"),
        (format!("{fine}, Extra=1"), "SignatureForm"),
        (format!("{fine},"), "SignatureForm"),
        (fine.replace("Signature=", "Sig="), "SignatureForm"),
        (asymmetric.replace("/20260101", "/20260101/eu-west-1"), "SignatureForm"),
        (asymmetric.replace("3030", "300"), "SignatureForm"),
        ("AWS4-HMAC-SHA256 ".to_owned(), "SignatureForm"),
        ("AWS4-HMAC-SHA256".to_owned(), "Malformed"),
        ("AWS AKIAIOSFODNN7EXAMPLE:frJIUN8DYpKDtOLCwo//yllqDzg=".to_owned(), "NotAccepted"),
    ];
    for (value, expected) in table {
        assert_eq!(outcome(&[Way::Iam], &authorization(&value), None), expected, "{value}");
    }
}

#[test]
fn a_presigned_query_counts_where_signatures_do() {
    let fine = "a=1&X-Amz-Algorithm=AWS4-HMAC-SHA256\
        &X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20260101%2Feu-west-1%2Fexecute-api%2Faws4_request\
        &X-Amz-Date=20260101T000000Z&X-Amz-Expires=300&X-Amz-SignedHeaders=host%3bx-a\
        &X-Amz-Signature=0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
    let none = Fields::default();
    let table = [
        (fine.to_owned(), "iam"),
        (fine.replace("%2F", "/"), "iam"),
        (format!("{fine}&X-Amz-Security-Token=x"), "iam"),
        ("a=1".to_owned(), "Missing"),
        (fine.replace("X-Amz-Signature", "X-Amz-Sig"), "SignatureForm"),
        (fine.replace("X-Amz-Algorithm", "X-Amz-Alg"), "SignatureForm"),
        (fine.replace("X-Amz-Date=20260101T000000Z", "X-Amz-Date=now"), "SignatureForm"),
        (fine.replace("X-Amz-Expires=300", "X-Amz-Expires=-1"), "SignatureForm"),
        (fine.replace("host", "hosts"), "SignatureForm"),
        (format!("{fine}&X-Amz-Signature=00"), "SignatureForm"),
        (format!("{fine}&X-Amz-Credential=x"), "SignatureForm"),
    ];
    for (query, expected) in table {
        assert_eq!(outcome(&[Way::Iam], &none, Some(&query)), expected, "{query}");
    }
    let ways = [Way::Iam, jwt()];
    assert_eq!(outcome(&ways, &none, Some(fine)), "iam");
    // Two proofs: which one counts would be the destination's guess.
    assert_eq!(outcome(&ways, &authorization(&format!("Bearer {}", good())), Some(fine)), "Several");
    assert_eq!(outcome(&ways, &authorization(SIGNATURE), Some(fine)), "Several");
    // Where signatures prove nothing, the query is the destination's.
    assert_eq!(outcome(&[jwt()], &none, Some(fine)), "Missing");
    assert_eq!(outcome(&[Way::None, jwt()], &none, Some(fine)), "none");
}

#[test]
fn the_token_names_the_issuer_that_verifies_it() {
    let all = signers();
    let partner = Issuer::compile(
        &document(
            &json!({"name": "partner", "issuer": "https://partner.example/"}),
            &[all.ed.key(&json!({"kid": "p"}))],
        ),
        &secrets(),
    );
    let partner = Way::Jwt(Arc::new(partner.unwrap()));
    let ways = [jwt(), partner.clone()];
    let theirs = claims(&json!({"iss": "https://partner.example/"}));
    let token = |header: &str, payload: &str| all.ed.token(Signing::EdDSA, header, payload);
    assert_eq!(present(&ways, &good()).unwrap().via(), "jwt:corp");
    assert_eq!(present(&ways, &token(r#"{"alg":"EdDSA","kid":"p"}"#, &theirs)).unwrap().via(), "jwt:partner");
    // The partner's key, the corporation's name: no issuer's keys speak for another.
    let forged = token(r#"{"alg":"EdDSA","kid":"p"}"#, &claims(&json!({})));
    assert_eq!(present(&ways, &forged).err(), Some(Flaw::UnknownKey));
    assert_eq!(present(&[partner], &good()).err(), Some(Flaw::UnknownIssuer));
}

#[test]
fn an_issuer_without_keys_is_nobody_elses_fault() {
    let dark = claims(&json!({"iss": "https://dark.example/"}));
    let theirs = signers().p256.token(Signing::ES256, r#"{"alg":"ES256"}"#, &dark);
    for token in [&good(), &theirs, "a.b.c", "garbage"] {
        assert_eq!(present(&[keyless()], token).err(), Some(Flaw::NoKeys), "{token}");
    }
    let both = [keyless(), jwt()];
    assert_eq!(present(&both, &theirs).err(), Some(Flaw::NoKeys));
    assert_eq!(present(&both, &good()).unwrap().via(), "jwt:corp");
    assert_eq!(outcome(&both, &Fields::default(), None), "Missing");

    let rejection =
        authenticate(&[keyless()], &authorization("Bearer a.b.c"), None, Default::default(), NOW, &Default::default())
            .err()
            .unwrap();
    assert_eq!(rejection.reason, Reason::KeysMissing);
    assert_eq!(rejection.reason.status(), 503);
    assert_eq!(rejection.headers, [(RETRY_AFTER, HeaderValue::from_static("10"))]);
}

#[test]
fn a_refused_client_is_told_the_ways_and_no_more() {
    let told = |ways: &[Way], header: Option<&str>| {
        let headers = header.map_or_else(Fields::default, authorization);
        let rejection =
            authenticate(ways, &headers, None, Default::default(), NOW, &Default::default()).err().expect("refused");
        assert_eq!(rejection.reason.status(), 401);
        assert!(rejection.headers.iter().all(|(name, _)| name == WWW_AUTHENTICATE));
        let values = rejection.headers.iter().map(|(_, value)| value.to_str().unwrap().to_owned());
        (rejection.reason, values.collect::<Vec<_>>())
    };
    let plain = r#"Bearer realm="postern""#;
    let invalid = r#"Bearer realm="postern", error="invalid_token", error_description="the token is not valid""#;
    let expired = r#"Bearer realm="postern", error="invalid_token", error_description="the token has expired""#;
    let ops = r#"Basic realm="ops", charset="UTF-8""#;
    let old = signers().ed.token(Signing::EdDSA, r#"{"alg":"EdDSA"}"#, &claims(&json!({"exp": 1})));
    let (jwt, realm) = (jwt(), realm("ops"));
    let all = [Way::None, jwt.clone(), jwt.clone(), realm.clone(), Way::Iam];

    assert_eq!(told(std::slice::from_ref(&jwt), None), (Reason::CredentialsMissing, vec![plain.into()]));
    assert_eq!(told(std::slice::from_ref(&realm), None), (Reason::CredentialsMissing, vec![ops.into()]));
    assert_eq!(told(&[Way::Iam], None), (Reason::CredentialsMissing, vec!["AWS4-HMAC-SHA256".into()]));
    let both = vec![plain.to_owned(), ops.to_owned(), "AWS4-HMAC-SHA256".to_owned()];
    assert_eq!(told(&all[1..], None), (Reason::CredentialsMissing, both.clone()));
    assert_eq!(told(&all, Some("Digest x")), (Reason::CredentialsInvalid, both));
    assert_eq!(told(&all[1..2], Some("Bearer a.b.c")), (Reason::TokenInvalid, vec![invalid.into()]));
    assert_eq!(told(&all[1..4], Some("Bearer a.b.c")), (Reason::TokenInvalid, vec![invalid.into(), ops.into()]));
    assert_eq!(told(&[jwt], Some(&format!("Bearer {old}"))), (Reason::TokenExpired, vec![expired.into()]));
}

#[test]
fn a_refusal_shows_nothing_of_the_credentials() {
    let ways = [jwt(), realm("ops")];
    let marked =
        signers().ed.token(Signing::EdDSA, r#"{"alg":"EdDSA","kid":"MARK"}"#, &claims(&json!({"sub": "MARK"})));
    for value in
        [format!("Bearer {marked}"), "Bearer MARK".into(), "Basic MARK".into(), "MARK MARK".into(), "MARK".into()]
    {
        let rejection = authenticate(&ways, &authorization(&value), None, Default::default(), NOW, &Default::default())
            .err()
            .expect("refused");
        let shown = format!("{rejection:?} {:?}", rejection.headers);
        assert!(!shown.contains("MARK"), "{shown}");
    }
}
