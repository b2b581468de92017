//! The inputs, member by member as AWS documents them.

use postern_config::document::PayloadFormat;

use super::*;
use crate::http1::Framing;

/// Head and body of the call about a request. Headers that begin with `x-own-` do not go on.
fn told(external: &External, head: &RequestHead) -> (String, String) {
    let question = question(head);
    let arn = external.arn(&question).unwrap();
    let call = external.call(&question, &arn, |name| !name.starts_with("x-own-") && name != "host");
    let head = String::from_utf8(call.head.framed(Framing::None).to_vec()).unwrap();
    (head, String::from_utf8(call.body).unwrap())
}

fn json_of(external: &External, head: &RequestHead) -> Value {
    serde_json::from_str(&told(external, head).1).unwrap()
}

#[test]
fn a_token_authorizer_is_told_the_token_and_what_is_called() {
    let external = external(&json!({"account": "123456789012"}));
    let head = head(&["GET /pets/7?x=1 HTTP/1.1", "host: api.example.com", "Authorization: Bearer a\"b\\c"]);
    let (written, body) = told(&external, &head);
    assert_eq!(
        written,
        "POST /authorize HTTP/1.1\r\nhost: auth.example.com\r\nx-request-id: 0123456789abcdef\r\n\
         content-type: application/json\r\naccept: application/json\r\ncontent-length: 0\r\n\r\n"
    );
    let expected = json!({
        "type": "TOKEN",
        "authorizationToken": "Bearer a\"b\\c",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/GET/pets/7",
    });
    assert_eq!(serde_json::from_str::<Value>(&body).unwrap(), expected);
}

const LINES: [&str; 9] = [
    "POST /request?a=1&b=%20x&a=2&c HTTP/1.1",
    "host: api.example.com",
    "HeaderAuth1: headerValue1",
    "X-Own-Tenant: forged",
    "accept: a",
    "Accept: b",
    "cookie: sid=1; other=2",
    "user-agent: agent",
    "x-bytes: \u{fc}",
];

#[test]
fn a_request_authorizer_is_told_format_1_as_rest_apis_have_it() {
    let sources = json!([{"header": "headerauth1"}, {"query": "b"}]);
    let external = external(&json!({"speaks": "request", "identity_sources": sources, "account": "123456789012"}));
    let expected = json!({
        "type": "REQUEST",
        "methodArn": "arn:aws:execute-api:us-east-1:123456789012:abcdef1234/prod/POST/request",
        "resource": "/request",
        "path": "/request",
        "httpMethod": "POST",
        "headers": {
            "HeaderAuth1": "headerValue1", "accept": "a", "Accept": "b", "cookie": "sid=1; other=2",
            "user-agent": "agent", "x-bytes": "\u{fc}", "Host": "api.example.com",
        },
        "multiValueHeaders": {
            "HeaderAuth1": ["headerValue1"], "accept": ["a"], "Accept": ["b"], "cookie": ["sid=1; other=2"],
            "user-agent": ["agent"], "x-bytes": ["\u{fc}"], "Host": ["api.example.com"],
        },
        "queryStringParameters": {"a": "2", "b": " x", "c": ""},
        "multiValueQueryStringParameters": {"a": ["1", "2"], "b": [" x"], "c": [""]},
        "pathParameters": {},
        "stageVariables": {},
        "requestContext": {
            "path": "/request", "accountId": "123456789012", "resourceId": "postern", "stage": "prod",
            "requestId": "0123456789abcdef", "identity": {"sourceIp": "192.0.2.7", "userAgent": "agent"},
            "resourcePath": "/request", "httpMethod": "POST", "apiId": "abcdef1234", "domainName": "api.example.com",
        },
    });
    assert_eq!(json_of(&external, &head(&LINES)), expected);
}

#[test]
fn a_request_authorizer_is_told_format_2_as_http_apis_have_it() {
    let sources = json!([{"header": "headerauth1"}, {"query": "b"}]);
    let members = json!({"speaks": "request", "payload": PayloadFormat::V2, "identity_sources": sources});
    let expected = json!({
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": "arn:aws:execute-api:us-east-1:postern:abcdef1234/prod/POST/request",
        "identitySource": ["headerValue1", "%20x"],
        "routeKey": "$default",
        "rawPath": "/request",
        "rawQueryString": "a=1&b=%20x&a=2&c",
        "cookies": ["sid=1", "other=2"],
        "headers": {
            "headerauth1": "headerValue1", "accept": "a,b", "user-agent": "agent", "x-bytes": "\u{fc}",
            "host": "api.example.com",
        },
        "queryStringParameters": {"a": "1,2", "b": " x", "c": ""},
        "requestContext": {
            "accountId": "postern", "apiId": "abcdef1234", "domainName": "api.example.com", "domainPrefix": "api",
            "http": {
                "method": "POST", "path": "/request", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.7",
                "userAgent": "agent",
            },
            "requestId": "0123456789abcdef", "routeKey": "$default", "stage": "prod",
            "time": "12/Mar/2020:19:03:58 +0000", "timeEpoch": 1_584_039_838_000_i64,
        },
        "pathParameters": {},
        "stageVariables": {},
    });
    assert_eq!(json_of(&external(&members), &head(&LINES)), expected);
}

#[test]
fn a_plain_authorizer_gets_what_is_named_and_nothing_else() {
    let sources = json!([{"cookie": "sid"}, {"header": "x-key"}]);
    let members = json!({"speaks": "plain", "identity_sources": sources, "headers": ["accept", "x-own-tenant"]});
    let lines = [
        "DELETE /a?x=1 HTTP/1.1", "host: api.example.com", "cookie: other=2; sid=1", "X-Key: k", "accept: a",
        "x-own-tenant: forged", "x-other: o", "x-forwarded-for: 203.0.113.1", "authorization: Bearer secret",
    ];
    let (written, body) = told(&external(&members), &head(&lines));
    assert_eq!(
        written,
        "GET /authorize HTTP/1.1\r\nhost: auth.example.com\r\nx-request-id: 0123456789abcdef\r\n\
         x-forwarded-method: DELETE\r\nx-forwarded-proto: https\r\nx-forwarded-host: api.example.com\r\n\
         x-forwarded-uri: /a?x=1\r\nx-forwarded-for: 192.0.2.7\r\nx-key: k\r\naccept: a\r\ncookie: sid=1\r\n\r\n"
    );
    assert_eq!(body, "");
}

#[test]
fn a_path_with_two_readings_is_told_to_nobody() {
    let (external, head) = (external(&json!({})), head(&["GET /a HTTP/1.1", "host: api.example.com"]));
    let mut question = question(&head);
    question.about.path = None;
    assert_eq!(external.arn(&question).unwrap_err().reason, Reason::PathAmbiguous);
}
