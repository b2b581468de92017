//! What an authorizer is told of a request.
//!
//! The forms are those of Lambda authorizers
//! (<https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-lambda-authorizer-input.html>,
//! <https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-lambda-authorizer.html>), so that functions which
//! are there need not change. Paths are canonical, as they are in the ARN: an authorizer never judges another reading than
//! the one that was matched. Headers that would not reach a destination as they came are left out.

use http::Method;
use postern_config::document::PayloadFormat;
use serde_json::{Map, Value, json};
use time::OffsetDateTime;

use super::{External, Format, Question};
use crate::buffer::Buffer;
use crate::http1::{Outbound, text, write_field};
use crate::place::TokenPlace;
use crate::snapshot::table::parameters;

/// A call that is to be made: head and body.
pub(crate) struct Call {
    pub(crate) head: Outbound,
    pub(crate) body: Vec<u8>,
}

impl External {
    /// The call about a request. `arrives` says of a header, in lower case, whether it may go on.
    pub(crate) fn call(&self, question: &Question<'_>, arn: &str, arrives: impl Fn(&str) -> bool) -> Call {
        let told = match &self.authorizer.format {
            Format::Plain { headers, .. } => {
                return Call { head: self.plain(question, headers, arrives), body: Vec::new() };
            }
            Format::Token => json!({
                "type": "TOKEN",
                "authorizationToken": self.values(question).first().copied().unwrap_or_default(),
                "methodArn": arn,
            }),
            Format::Request(PayloadFormat::V1) => self.version_1(question, arn, &arrives),
            Format::Request(PayloadFormat::V2) => self.version_2(question, arn, &arrives),
        };
        let mut head = self.begin(&Method::POST, question);
        head.extend_from_slice(b"content-type: application/json\r\naccept: application/json\r\n");
        Call { head: Outbound::new(head, Method::POST, false), body: told.to_string().into_bytes() }
    }

    /// The first line, and what every call says.
    fn begin(&self, method: &Method, question: &Question<'_>) -> Buffer {
        let mut head = Buffer::small();
        for part in [method.as_str(), " ", &*self.authorizer.path, " HTTP/1.1\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
        head.extend_from_slice(self.authorizer.destination.host_line());
        write_field(&mut head, b"x-request-id", question.id.as_bytes());
        head
    }

    fn plain(&self, question: &Question<'_>, headers: &[Box<str>], arrives: impl Fn(&str) -> bool) -> Outbound {
        let fields = question.head.fields();
        let mut head = self.begin(&Method::GET, question);
        let about = &question.about;
        for (name, value) in [
            ("x-forwarded-method", about.method),
            ("x-forwarded-proto", question.scheme),
            ("x-forwarded-host", about.host),
            ("x-forwarded-uri", question.head.target()),
            ("x-forwarded-for", &about.client.to_canonical().to_string()),
        ] {
            write_field(&mut head, name.as_bytes(), value.as_bytes());
        }
        for (name, value) in fields.iter() {
            let Some(name) = text(name).map(str::to_ascii_lowercase) else { continue };
            let is_source = self.places().iter().any(|place| place.is_header(&name));
            if is_source || (headers.iter().any(|one| **one == *name) && arrives(&name)) {
                write_field(&mut head, name.as_bytes(), value);
            }
        }
        if !headers.iter().any(|one| **one == *"cookie") {
            let found = self.places().iter().zip(self.values(question));
            let cookies: Vec<String> =
                found.filter_map(|(place, value)| Some(format!("{}={value}", place.cookie()?))).collect();
            if !cookies.is_empty() {
                write_field(&mut head, b"cookie", cookies.join("; ").as_bytes());
            }
        }
        Outbound::new(head, Method::GET, false)
    }

    fn version_1(&self, question: &Question<'_>, arn: &str, arrives: &impl Fn(&str) -> bool) -> Value {
        let about = &question.about;
        let path = about.path.unwrap_or("/");
        let (headers, all_headers) = both(headers(question, self.places(), arrives));
        let (query, whole_query) = both(
            parameters(question.head.query().unwrap_or_default())
                .map(|(name, value)| (name.into_owned(), value.into_owned())),
        );
        json!({
            "type": "REQUEST",
            "methodArn": arn,
            "resource": path,
            "path": path,
            "httpMethod": about.method,
            "headers": headers,
            "multiValueHeaders": all_headers,
            "queryStringParameters": query,
            "multiValueQueryStringParameters": whole_query,
            "pathParameters": {},
            "stageVariables": {},
            "requestContext": {
                "path": path,
                "accountId": self.api.account,
                "resourceId": "postern",
                "stage": self.api.stage,
                "requestId": question.id,
                "identity": {
                    "sourceIp": about.client.to_canonical().to_string(),
                    "userAgent": user_agent(question),
                },
                "resourcePath": path,
                "httpMethod": about.method,
                "apiId": self.api.id,
                "domainName": about.host,
            },
        })
    }

    fn version_2(&self, question: &Question<'_>, arn: &str, arrives: &impl Fn(&str) -> bool) -> Value {
        let about = &question.about;
        let path = about.path.unwrap_or("/");
        let sent = headers(question, self.places(), arrives);
        let sent: Vec<_> = sent.map(|(name, value)| (name.to_ascii_lowercase(), value)).collect();
        let cookies: Vec<&str> = sent
            .iter()
            .filter(|(name, _)| name == "cookie")
            .flat_map(|(_, value)| value.split(';').map(str::trim))
            .filter(|pair| !pair.is_empty())
            .collect();
        let query = parameters(question.head.query().unwrap_or_default());
        json!({
            "version": "2.0",
            "type": "REQUEST",
            "routeArn": arn,
            "identitySource": self.values(question).as_slice(),
            "routeKey": "$default",
            "rawPath": path,
            "rawQueryString": question.head.query().unwrap_or_default(),
            "cookies": cookies,
            "headers": joined(sent.iter().filter(|(name, _)| name != "cookie").cloned()),
            "queryStringParameters": joined(query.map(|(name, value)| (name.into_owned(), value.into_owned()))),
            "requestContext": {
                "accountId": self.api.account,
                "apiId": self.api.id,
                "domainName": about.host,
                "domainPrefix": about.host.split('.').next(),
                "http": {
                    "method": about.method,
                    "path": path,
                    "protocol": "HTTP/1.1",
                    "sourceIp": about.client.to_canonical().to_string(),
                    "userAgent": user_agent(question),
                },
                "requestId": question.id,
                "routeKey": "$default",
                "stage": self.api.stage,
                "time": written(about.now),
                "timeEpoch": about.now.saturating_mul(1_000),
            },
            "pathParameters": {},
            "stageVariables": {},
        })
    }
}

/// Headers that are text and go on, as they came, and the host.
fn headers<'q>(
    question: &'q Question<'_>,
    sources: &'q [TokenPlace],
    arrives: &'q impl Fn(&str) -> bool,
) -> impl Iterator<Item = (String, String)> + 'q {
    let fields = question.head.fields().iter().filter_map(move |(name, value)| {
        let (name, value) = (text(name)?, std::str::from_utf8(value).ok()?);
        let lower = name.to_ascii_lowercase();
        (sources.iter().any(|place| place.is_header(&lower)) || arrives(&lower))
            .then(|| (name.to_owned(), value.to_owned()))
    });
    fields.chain(std::iter::once(("Host".to_owned(), question.about.host.to_owned())))
}

/// The last value of each name, and all of them.
fn both(pairs: impl Iterator<Item = (String, String)>) -> (Map<String, Value>, Map<String, Value>) {
    let (mut last, mut all) = (Map::new(), Map::<String, Value>::new());
    for (name, value) in pairs {
        last.insert(name.clone(), value.clone().into());
        if let Some(values) = all.entry(name).or_insert_with(|| Value::Array(Vec::new())).as_array_mut() {
            values.push(value.into());
        }
    }
    (last, all)
}

/// The values of each name with commas between.
fn joined(pairs: impl Iterator<Item = (String, String)>) -> Map<String, Value> {
    let mut all = Map::new();
    for (name, value) in pairs {
        let joined = match all.get(&name).and_then(Value::as_str) {
            Some(before) => format!("{before},{value}"),
            None => value,
        };
        all.insert(name, joined.into());
    }
    all
}

fn user_agent<'q>(question: &'q Question<'_>) -> Option<&'q str> {
    question.head.fields().get("user-agent").and_then(text)
}

/// `12/Mar/2020:19:03:58 +0000`.
fn written(unix: i64) -> String {
    let at = OffsetDateTime::from_unix_timestamp(unix).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    let month = &at.month().to_string()[..3];
    let (day, year, hour, minute, second) = (at.day(), at.year(), at.hour(), at.minute(), at.second());
    format!("{day:02}/{month}/{year}:{hour:02}:{minute:02}:{second:02} +0000")
}
