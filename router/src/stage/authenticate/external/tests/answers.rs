//! Answers, real ones and hostile ones.

use http::StatusCode;

use super::*;
use crate::snapshot::ClaimPath;

const PETS: &str = "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/pets";

/// What an answer with status 200 comes to, for the request of an ARN.
fn outcome_at(body: &str, arn: &str) -> String {
    let external = external(&json!({"account": "123456789012"}));
    let ruling = match external.judge(StatusCode::OK, &Fields::default(), body.as_bytes()) {
        Ok(ruling) => ruling,
        Err(fault) => return external.failed(&fault).reason.code().to_owned(),
    };
    match external.apply(&ruling, arn) {
        Ok(caller) => format!("passes as {caller:?}"),
        Err(rejection) => rejection.reason.code().to_owned(),
    }
}

fn outcome(body: &str) -> String {
    outcome_at(body, PETS)
}

fn policy(statements: &Value) -> String {
    json!({"principalId": "user", "policyDocument": {"Version": "2012-10-17", "Statement": statements}}).to_string()
}

fn allowing(resource: &Value) -> String {
    policy(&json!([{"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource}]))
}

#[test]
fn answers_of_the_manual_mean_what_it_says() {
    // "Output from an API Gateway Lambda authorizer", and the blueprint of a TOKEN function.
    let documented = r#"{
  "principalId": "yyyyyyyy",
  "policyDocument": {
    "Version": "2012-10-17",
    "Statement": [
      {
        "Action": "execute-api:Invoke",
        "Effect": "Allow|Deny",
        "Resource": "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/pets"
      }
    ]
  },
  "context": {
    "stringKey": "value",
    "numberKey": "1",
    "booleanKey": "true"
  },
  "usageIdentifierKey": "{api-key}"
}"#;
    assert_eq!(outcome(documented), "authorizer_answer_invalid", "as it stands there it is neither");
    assert_eq!(outcome(&documented.replace("Allow|Deny", "Allow")), "passes as yyyyyyyy via external:legacy");
    assert_eq!(outcome(&documented.replace("Allow|Deny", "Deny")), "authorizer_denied");
    // HTTP APIs: the simple form and the one of the Node.js example.
    let simple = r#"{"isAuthorized": true, "context": {"exampleKey": "exampleValue"}}"#;
    assert_eq!(outcome(simple), "passes as  via external:legacy");
    assert_eq!(outcome(&simple.replace("true", "false")), "authorizer_denied");
    let node = r#"{"isAuthorized": true, "context": {"stringKey": "value", "numberKey": 1, "booleanKey": true,
        "arrayKey": ["value1", "value2"], "mapKey": {"value1": "value2"}}}"#;
    assert_eq!(outcome(node), "passes as  via external:legacy");
    for unauthorized in ["\"Unauthorized\"", " \"Unauthorized\"\n", r#"{"errorMessage": "Unauthorized", "trace": []}"#]
    {
        assert_eq!(outcome(unauthorized), "credentials_invalid");
    }
    assert_eq!(
        outcome(r#"{"errorMessage": "2020-01-01 Task timed out after 3.00 seconds"}"#),
        "authorizer_unavailable"
    );
}

#[test]
fn a_deny_wins_and_what_nobody_allows_is_denied() {
    let allow = |resource: &str| json!({"Effect": "Allow", "Action": "execute-api:Invoke", "Resource": resource});
    let deny = |action: &str, resource: &str| json!({"Effect": "Deny", "Action": action, "Resource": resource});
    for (statements, passes) in [
        (json!([allow("*")]), true),
        (allow("*"), true),
        (json!([]), false),
        (json!([allow("*"), deny("execute-api:Invoke", PETS)]), false),
        (json!([deny("execute-api:Invoke", PETS), allow("*")]), false),
        (json!([allow("*"), deny("EXECUTE-API:invoke", "*")]), false),
        (json!([allow("*"), deny("execute-api:*", "*")]), false),
        (json!([allow("*"), deny("*", "*")]), false),
        (json!([allow("*"), deny("execute-api:ManageConnections", "*")]), true),
        (json!([allow("*"), deny("s3:*", "*")]), true),
        (json!([allow("*"), deny("execute-api:Invoke", "arn:aws:execute-api:*:*:*/*/POST/*")]), true),
        (json!([{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]), false),
        (
            json!([{"Effect": "Allow", "Action": ["s3:*", "execute-api:Inv?ke"], "Resource": ["arn:aws:s3:::*", PETS]}]),
            true,
        ),
    ] {
        assert_eq!(outcome(&policy(&statements)).starts_with("passes"), passes, "{statements}");
    }
}

#[test]
fn wildcards_stand_for_what_iam_lets_them_stand_for() {
    let arn = |path: &str| format!("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/{path}");
    for (pattern, asked, passes) in [
        ("*", arn("GET/"), true),
        ("arn:*", arn("GET/"), true),
        ("arn:aws:execute-api:*", arn("GET/a"), true),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/*/GET/*", arn("GET/a/b"), true),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/a?c", arn("GET/abc"), true),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/a?c", arn("GET/ac"), false),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/a*", arn("GET/b"), false),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/get/a", arn("GET/a"), false),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/a", arn("GET/a/"), false),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/a", arn("GET/ab"), false),
        ("arn:aws:execute-api:us-east-1:123456789012:other/prod/GET/*", arn("GET/a"), false),
        ("arn:aws:execute-api:us-east-1:*:*/prod/GET/x:y", arn("GET/x:y"), true),
        ("arn:aws:execute-api:*:abcdef1234/prod/GET/*", arn("GET/a"), false),
        ("arn:aws:*:abcdef1234/*", arn("GET/a"), false),
        ("arn:aws:execute-api:us*12:123456789012:abcdef1234/prod/GET/a", arn("GET/a"), false),
        ("arn:aws:execute-api:us-east-1:123456789012:*a*b*c*d", arn("GET/aabbccxd"), true),
        ("arn:aws:execute-api:us-east-1:123456789012:*a*b*c*d", arn("GET/aabbccdx"), false),
        // What a client writes is text, whatever it looks like.
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/a", arn("GET/*"), false),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/%2A", arn("GET/%2A"), true),
        ("arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/a%20b", arn("GET/a b"), false),
    ] {
        assert_eq!(outcome_at(&allowing(&json!(pattern)), &asked).starts_with("passes"), passes, "{pattern} {asked}");
    }
    // Its time grows with the text, not with what stars could stand for.
    let stars = format!("arn:aws:execute-api:us-east-1:123456789012:{}", "*a".repeat(900));
    assert_eq!(outcome_at(&allowing(&json!(stars)), &arn(&"a".repeat(8_000))), "passes as user via external:legacy");
}

#[test]
fn what_is_not_understood_lets_nobody_pass() {
    let with = |at: &str, value: Value| {
        let mut answer: Value = serde_json::from_str(&policy(&json!([{
            "Effect": "Allow", "Action": "execute-api:Invoke", "Resource": "*"
        }])))
        .unwrap();
        let (parent, member) = at.rsplit_once('/').unwrap();
        match answer.pointer_mut(at) {
            Some(place) => *place = value,
            None => answer.pointer_mut(parent).unwrap()[member] = value,
        }
        answer.to_string()
    };
    assert!(outcome(&with("/principalId", json!("u"))).starts_with("passes"));
    let statement = "/policyDocument/Statement/0";
    for (at, value) in [
        (format!("{statement}/Condition"), json!({"IpAddress": {"aws:SourceIp": "10.0.0.0/8"}})),
        (format!("{statement}/NotAction"), json!("x")),
        (format!("{statement}/NotResource"), json!("x")),
        (format!("{statement}/Principal"), json!("*")),
        (format!("{statement}/Effect"), json!("allow")),
        (format!("{statement}/Effect"), json!(["Allow"])),
        (format!("{statement}/Action"), json!(null)),
        (format!("{statement}/Action"), json!([])),
        (format!("{statement}/Action"), json!([1])),
        (format!("{statement}/Resource"), json!({})),
        (format!("{statement}/Resource"), json!([])),
        (format!("{statement}/Resource"), json!("/pets")),
        (format!("{statement}/Resource"), json!("arn:aws:execute-api")),
        (format!("{statement}/Resource"), json!("arn:aws:execute-api:*:*:*/*/GET/${aws:username}")),
        (format!("{statement}/Resource"), json!(format!("arn:{}*", "a".repeat(2_048)))),
        (statement.to_owned(), json!("Allow")),
        ("/policyDocument/Statement".to_owned(), json!("Allow")),
        ("/policyDocument/Statement".to_owned(), json!(null)),
        ("/policyDocument/Version".to_owned(), json!("2027-01-01")),
        ("/policyDocument/statement".to_owned(), json!([])),
        ("/policyDocument".to_owned(), json!("{}")),
        ("/policyDocument".to_owned(), json!([])),
        ("/principalId".to_owned(), json!(7)),
        ("/principalId".to_owned(), json!("")),
        ("/principalId".to_owned(), json!("a\nb")),
        ("/principalId".to_owned(), json!("a".repeat(1_025))),
        ("/isAuthorized".to_owned(), json!(true)),
        ("/isAuthorized".to_owned(), json!(false)),
        ("/context".to_owned(), json!("x")),
        ("/context".to_owned(), json!([])),
        ("/context".to_owned(), json!({"a": "x".repeat(8 * 1_024)})),
        ("/context".to_owned(), (0..65).map(|n| (n.to_string(), json!(n))).collect::<Map<_, _>>().into()),
        ("/somethingNew".to_owned(), json!(true)),
    ] {
        assert_eq!(outcome(&with(&at, value.clone())), "authorizer_answer_invalid", "{at} {value}");
    }
    let many: Vec<String> = (0..1_000).map(|n| format!("arn:aws:execute-api:*:*:*/{n}")).collect();
    assert_eq!(outcome(&allowing(&json!(many))), "authorizer_answer_invalid");
    for body in [
        "",
        "null",
        "true",
        "200",
        "[]",
        "{}",
        "<html>",
        "{\"isAuthorized\": true",
        "{\"isAuthorized\": \"true\"}",
        "{\"isAuthorized\": 1}",
        "{\"isAuthorized\": null}",
        "{\"isAuthorized\": true}{}",
        "{\"isAuthorized\": false, \"isAuthorized\": true}",
        "{\"isauthorized\": true}",
        "{\"context\": {}}",
        "{\"principalId\": \"a\"}",
        "\"Authorized\"",
        "{\"policyDocument\": {\"Statement\": []}}",
    ] {
        assert_eq!(outcome(body), "authorizer_answer_invalid", "{body}");
    }
}

#[test]
fn a_status_is_a_word_of_its_own() {
    let body = br#"{"isAuthorized": true}"#;
    let word = |speaks: &str, status: u16| {
        let external = external(&json!({"speaks": speaks}));
        let ruling = external.judge(StatusCode::from_u16(status).unwrap(), &Fields::default(), body);
        let applied = ruling.map_err(|fault| external.failed(&fault)).and_then(|ruling| external.apply(&ruling, PETS));
        applied.map_or_else(|rejection| rejection.reason.code().to_owned(), |_| "passes".to_owned())
    };
    for (status, json, plain) in [
        (200, "passes", "passes"),
        (201, "authorizer_answer_invalid", "authorizer_answer_invalid"),
        (204, "authorizer_answer_invalid", "authorizer_answer_invalid"),
        (302, "authorizer_answer_invalid", "authorizer_answer_invalid"),
        (401, "authorizer_answer_invalid", "credentials_invalid"),
        (403, "authorizer_answer_invalid", "authorizer_denied"),
        (404, "authorizer_answer_invalid", "authorizer_answer_invalid"),
        (429, "authorizer_unavailable", "authorizer_unavailable"),
        (500, "authorizer_unavailable", "authorizer_unavailable"),
        (599, "authorizer_unavailable", "authorizer_unavailable"),
    ] {
        assert_eq!((word("token", status).as_str(), word("plain", status).as_str()), (json, plain), "{status}");
    }
}

#[test]
fn a_context_becomes_claims_and_hostile_values_become_no_header() {
    let body = json!({"principalId": "u-1", "isAuthorized": true, "context": {
        "text": "a,b", "number": 7, "flag": false, "none": null, "list": ["a"], "object": {"a": "b"},
        "line": "a\r\nx-admin: 1", "nul": "\u{0}", "blank": " admin", "empty": "", "a.b": "dot",
    }});
    let external = external(&json!({}));
    let ruling = external.judge(StatusCode::OK, &Fields::default(), body.to_string().as_bytes()).ok().unwrap();
    let caller = external.apply(&ruling, PETS).ok().unwrap();
    let claim = |path: &str| caller.claim(&ClaimPath(path.split('.').map(Into::into).collect()));
    for (path, expected) in [
        ("sub", Some("u-1")),
        ("context.text", Some("a,b")),
        ("context.number", Some("7")),
        ("context.flag", Some("false")),
        ("context.none", None),
        ("context.list", None),
        ("context.object.a", None),
        ("context.line", None),
        ("context.nul", None),
        ("context.blank", None),
        ("context.empty", None),
        ("context.a.b", None),
        ("context", None),
        ("text", None),
    ] {
        assert_eq!(claim(path).as_deref(), expected, "{path}");
    }
    assert!(!caller.holds("read") && caller.roles() == Some(&[]));
}

#[test]
fn headers_of_a_plain_answer_become_claims_once() {
    let external = external(&json!({"speaks": "plain", "copy": ["x-user", "x-odd", "x-none"]}));
    let fields = |pairs: &[(&str, &str)]| pairs.iter().copied().collect::<Fields>();
    let judged = |fields: &Fields| external.judge(StatusCode::OK, fields, b"");
    let ruling = judged(&fields(&[("X-User", "alice"), ("x-odd", "\u{fc}"), ("x-other", "o")])).ok().unwrap();
    let caller = external.apply(&ruling, PETS).ok().unwrap();
    assert_eq!(caller.said(&["context"]), Some(&json!({"x-user": "alice"})));
    assert!(matches!(judged(&fields(&[("x-user", "a"), ("X-User", "a")])), Err(Fault::Invalid(_))));
    assert!(matches!(judged(&fields(&[("x-user", &"a".repeat(9_000))])), Err(Fault::Invalid(_))));
}
