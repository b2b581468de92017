//! What a client signed for the destination arrives as it was signed: the signature is recomputed there, from what
//! arrived alone.

mod places;

use postern_tests::{Origin, Received, Reply, Request, Router, Site, boundary_with, python_program, registration, run};
use serde_json::{Value, json};

/// The name of a private API, which the client signs for and the destination is sent as Host.
const API: &str = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com";

#[test]
fn what_botocore_signed_verifies_at_the_destination() {
    let origin = recording();
    let router = routed(&origin, API);
    let cases = cases();
    let signed = program("sign", &Value::from(cases));
    let mut arrived = Vec::new();
    for one in signed.as_array().unwrap() {
        let name = one["name"].as_str().unwrap();
        let answer = send(&router, one, name.contains("chunked"));
        assert_eq!(answer, 200, "{name}");
        let seen = origin.last();
        assert_eq!((seen.method.as_str(), seen.target.as_str()), (text(one, "method"), text(one, "target")), "{name}");
        assert_eq!(hex(&seen.body), text(one, "body"), "{name}");
        assert_eq!(seen.all("host"), [API], "{name}");
        arrived.push(request(name, &seen));
    }
    assert!(arrived.len() >= 30);
    for judged in program("verify", &Value::from(arrived.clone())).as_array().unwrap() {
        assert_eq!(judged["ok"], true, "{}: {}", judged["name"], judged["why"]);
    }
    // What verifies everything would verify this too.
    let mut damaged = Vec::new();
    for one in &arrived {
        for field in ["method", "target", "body", "host", "x-amz-date", "x-custom", "x-amz-security-token"] {
            let mut one = one.clone();
            match field {
                "method" => one["method"] = json!("TRACE"),
                "target" => one["target"] = json!(text(&one, "target").replacen("iam", "Iam", 1)),
                "body" => one["body"] = json!(format!("{}20", text(&one, "body"))),
                name => {
                    let headers = one["headers"].as_array_mut().unwrap();
                    let Some(header) = headers.iter_mut().find(|header| header[0] == name) else { continue };
                    header[1] = json!(format!("{}x", header[1].as_str().unwrap()));
                }
            }
            one["name"] = json!(format!("{}, {field} changed", text(&one, "name")));
            damaged.push(one);
        }
    }
    for judged in program("verify", &Value::from(damaged)).as_array().unwrap() {
        assert_eq!(judged["ok"], false, "{}", judged["name"]);
    }
}

#[test]
fn the_published_vectors_verify_at_the_destination() {
    let origin = recording();
    let site = Site::new(
        &boundary(origin.port(), "example.amazonaws.com"),
        &[iam("/", origin.port(), "example.amazonaws.com", "path: raw")],
    );
    // The vectors were signed in 2015.
    let router = Router::start(&site.merged(), &[], &[("POSTERN_ROUTER_LIMITS__SIGNATURE_SKEW", "0s")]);
    router.until_ready();
    let vectors = program("vectors", &Value::Null);
    let vectors = vectors.as_array().unwrap();
    // The vectors themselves, before anything has touched them.
    for judged in program("verify", &Value::from(vectors.clone())).as_array().unwrap() {
        let vector = vectors.iter().find(|vector| vector["name"] == judged["name"]).unwrap();
        assert!(judged["ok"] == true || vector["valid_http"] == false, "{}: {}", judged["name"], judged["why"]);
    }
    let mut arrived = Vec::new();
    for vector in vectors {
        let name = text(vector, "name");
        let before = origin.received().len();
        // Real key ids have at least 16 characters, and the id itself is not signed.
        let vector: Value =
            serde_json::from_str(&vector.to_string().replace("AKIDEXAMPLE", "AKIDEXAMPLEEXAMPLE")).unwrap();
        if vector["valid_http"] == false {
            // Raw spaces, folded lines, bytes beyond ASCII: refused, or nothing is done to them.
            match send(&router, &vector, false) {
                400 => assert_eq!(origin.received().len(), before, "{name}"),
                status => assert_eq!((status, origin.last().target.as_str()), (200, text(&vector, "target")), "{name}"),
            }
            continue;
        }
        assert_eq!(send(&router, &vector, false), 200, "{name}");
        let seen = origin.last();
        assert_eq!(seen.target, text(&vector, "target"), "{name}");
        let mut one = request(name, &seen);
        for field in ["secret", "double", "normalize"] {
            one[field] = vector[field].clone();
        }
        arrived.push(one);
    }
    assert!(arrived.len() >= 30, "{} vectors", arrived.len());
    for judged in program("verify", &Value::from(arrived)).as_array().unwrap() {
        assert_eq!(judged["ok"], true, "{}: {}", judged["name"], judged["why"]);
    }
}

#[test]
fn a_request_without_a_signature_or_with_half_of_one_goes_nowhere() {
    let origin = recording();
    let router = routed(&origin, API);
    let good = "AWS4-HMAC-SHA256 Credential=AKIDTESTTESTTEST/20260101/eu-west-1/execute-api/aws4_request, \
                SignedHeaders=host;x-amz-date, Signature=";
    for (what, request) in [
        ("nothing", Request::new("GET", "/iam")),
        ("a password", Request::new("GET", "/iam").header("authorization", "Basic YTpi")),
        ("a token", Request::new("GET", "/iam").header("authorization", "Bearer abc")),
        ("an empty signature", Request::new("GET", "/iam").header("authorization", good)),
        ("a short one", Request::new("GET", "/iam").header("authorization", &format!("{good}{}", "a".repeat(63)))),
        (
            "no host in it",
            Request::new("GET", "/iam")
                .header("authorization", &format!("{}{}", good.replace("host;", ""), "a".repeat(64))),
        ),
        ("half of a presigned query", Request::new("GET", "/iam?X-Amz-Signature=ab&X-Amz-Algorithm=AWS4-HMAC-SHA256")),
    ] {
        let answer = router.send(&request);
        assert!(matches!(answer.status, 400 | 401), "{what}: {}", answer.status);
    }
    assert_eq!(origin.received().len(), 0);
}

#[test]
fn a_signature_that_cannot_be_right_there_is_answered_here_and_the_log_says_why() {
    let origin = recording();
    let router = routed(&origin, API);
    let now = |ago: i64| {
        let format = time::macros::format_description!("[year][month][day]T[hour][minute][second]Z");
        (time::OffsetDateTime::now_utc() - time::Duration::seconds(ago)).format(format).unwrap()
    };
    let signed = |scope: &str, names: &str, ago: i64| {
        let at = now(ago);
        let value = format!(
            "AWS4-HMAC-SHA256 Credential=AKIDTESTTESTTEST/{}/{scope}/aws4_request, SignedHeaders={names}, Signature={}",
            &at[..8],
            "a".repeat(64)
        );
        Request::new("GET", "/iam").header("x-amz-date", &at).header("authorization", &value)
    };
    let (here, names) = ("eu-west-1/execute-api", "host;x-amz-date");
    assert_eq!(router.send(&signed(here, names, 0)).status, 200);
    let before = origin.received().len();
    for (request, reason, words) in [
        (signed("us-east-1/execute-api", names, 0), "sigv4_scope_mismatch", ["us-east-1", "eu-west-1"]),
        (signed("eu-west-1/s3", names, 0), "sigv4_scope_mismatch", ["signed for s3", "execute-api"]),
        (
            signed(here, "host;x-amz-date;x-forwarded-for", 0),
            "sigv4_header_mismatch",
            ["x-forwarded-for", "does not arrive"],
        ),
        (signed(here, names, 3_600), "sigv4_date_skew", ["signed at 20", "too long ago"]),
        (signed(here, names, -3_600), "sigv4_date_skew", ["signed at 20", "yet to come"]),
    ] {
        let answer = router.send(&request);
        assert_eq!((answer.status, answer.reason()), (403, Some(reason)));
        assert!(!answer.text().contains("eu-west-1"), "{}", answer.text());
        let line = router.logged(answer.header("x-request-id").unwrap());
        let detail = line["detail"].as_str().unwrap();
        assert!(words.iter().all(|word| detail.contains(word)), "{detail}");
    }
    assert_eq!(origin.received().len(), before);
}

#[test]
fn a_route_that_would_change_what_is_signed_is_refused() {
    let two = format!(
        "root: /hosts\nowner: team\ndestinations: [{{url: 'http://localhost:1', host: {API}, weight: 1}}, \
         {{url: 'http://localhost:1', weight: 1}}]\npolicies: {{authentication: {{any_of: [iam]}}}}\n"
    );
    let cases = [
        ("prefix", "/rewrite", iam("/prefix", 1, API, "") + "rewrite: {prefix: /v1}\n"),
        ("strip", "/rewrite", iam("/strip", 1, API, "") + "rewrite: {prefix: /}\n"),
        ("path", "/rewrite", iam("/path", 1, API, "") + "match: {path: '/path/{id}'}\nrewrite: {path: '/v1/{id}'}\n"),
        ("stage", "/destination/url", iam("/stage", 1, API, "").replace("localhost:1", "localhost:1/prod")),
        ("hosts", "/destinations", two),
        ("two", "/policies/authentication", iam("/two", 1, API, "").replace("[iam]", "[iam, none]")),
    ];
    let told =
        refused(&boundary(1, API), &cases.iter().map(|(name, _, text)| (*name, text.as_str())).collect::<Vec<_>>());
    for (name, at, _) in &cases {
        let why = told(name, at);
        assert!(why.contains("sign") || *name == "two", "{name}: {why}");
    }
}

/// Why the syncer refuses each of some registrations, by its root's name and the place in it.
fn refused(boundary: &str, registrations: &[(&str, &str)]) -> impl Fn(&str, &str) -> String + use<> {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).to_str().unwrap().to_owned();
    std::fs::write(path("boundary.yaml"), boundary).unwrap();
    std::fs::create_dir(path("registrations")).unwrap();
    for (name, text) in registrations {
        std::fs::write(format!("{}/{name}.yaml", path("registrations")), text).unwrap();
    }
    let (boundary, registrations, out) = (path("boundary.yaml"), path("registrations"), path("out"));
    let flags = ["run", "--once", "--output", "json", "--allow-loopback-destinations", "--boundary", &boundary];
    let once = run("postern-syncer", &[&flags[..], &["--registrations", &registrations, "--out", &out]].concat());
    let told: Value = serde_json::from_str(&once.out).unwrap_or_else(|_| panic!("{once:?}"));
    move |name, at| {
        let all = told["refused"].as_array().unwrap();
        let mine = all.iter().find(|one| one["id"] == format!("/{name}#default"));
        let conditions = mine.unwrap_or_else(|| panic!("{name}: {told}"))["conditions"].as_array().unwrap();
        let why = conditions.iter().find(|one| one["reason"] == "IncompatiblePolicies" && one["at"] == at);
        why.unwrap_or_else(|| panic!("{name} at {at}: {conditions:?}"))["message"].as_str().unwrap().to_owned()
    }
}

/// What clients sign: methods, paths, queries, headers, bodies, tokens, presigned URLs.
fn cases() -> Vec<Value> {
    let mut cases = Vec::new();
    let mut add = |name: &str,
                   method: &str,
                   target: &str,
                   headers: &[(&str, &str)],
                   body: &[u8],
                   token: Option<&str>,
                   presign: bool| {
        cases.push(json!({
            "name": name, "method": method, "url": format!("https://{API}{target}"), "headers": headers, "body": hex(body),
            "token": token, "presign": presign,
        }));
    };
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"] {
        add(&format!("the method {method}"), method, "/iam/1", &[], b"", None, false);
    }
    for target in [
        "/iam", "/iam/", "/iam/a.b/~c/-_", "/iam/%20/%C3%A4%E1%88%B4", "/iam/%c3%a4", "/iam/a%2Bb+c", "/iam/%25/%7Eu",
        "/iam/a:b@c!d$e&f'(g)*h,i=j", "/iam/%3Fnot=query", "/raw-iam/a%2Fb/c;d=e", "/raw-iam/%2e%2e/x",
        "/iam?b=2&a=1&a=0", "/iam?e=&f=1", "/iam?x=%2F%2f&y=%20", "/iam?u=%C3%A4&%E1%88%B4=v",
        "/iam?sig=a%3Db&~t=._-~", "/iam?Action=Do&action=do", "/iam/x?y=%2B&z=%26%3D",
    ] {
        add(&format!("the target {target}"), "GET", target, &[], b"", None, false);
    }
    let custom: &[(&str, &str)] =
        &[("content-type", "application/json; charset=utf-8"), ("x-custom", "a b \"c\""), ("cookie", "a=1; b=2")];
    add("signed headers and a body", "POST", "/iam/h", custom, b"{\"a\": [1, 2]}", None, false);
    add("a header twice", "GET", "/iam/h", &[("x-custom", "2"), ("x-custom", "1")], b"", None, false);
    add(
        "an encoding that is signed",
        "GET",
        "/iam/h",
        &[("accept-encoding", "gzip, br"), ("accept", "*/*")],
        b"",
        None,
        false,
    );
    add("a session", "PUT", "/iam/s", &[("x-custom", "s")], b"body", Some("IQoJb3JpZ2luX2VjE//////////token=="), false);
    let binary: Vec<u8> = (0..100_000_u32).map(|index| u8::try_from(index % 256).unwrap()).collect();
    add("a large binary body", "POST", "/iam/b", &[("content-type", "application/octet-stream")], &binary, None, false);
    add("a chunked body", "POST", "/iam/c", &[], b"streamed in chunks", None, false);
    add("a presigned URL", "GET", "/iam/p?a=1&b=%20", &[], b"", None, true);
    add("a presigned URL of a session", "GET", "/iam/p", &[], b"", Some("IQoJb3JpZ2luX2VjE//////////token=="), true);
    cases
}

fn recording() -> Origin {
    Origin::start(|_| Reply::Raw(b"HTTP/1.1 200 x\r\ncontent-length: 0\r\n\r\n".to_vec()))
}

fn boundary(port: u16, host: &str) -> String {
    boundary_with(&[port], "").replace("[localhost]", &format!("[localhost, {host}]"))
}

fn iam(root: &str, port: u16, host: &str, more: &str) -> String {
    let comma = if more.is_empty() { "" } else { ", " };
    format!(
        "root: {root}\nowner: team\ndestination: {{url: 'http://localhost:{port}', host: {host}}}\n\
         policies: {{authentication: {{any_of: [iam]}}{comma}{more}}}\n"
    )
}

fn routed(origin: &Origin, host: &str) -> Router {
    let site = Site::new(
        &boundary(origin.port(), host),
        &[
            iam("/iam", origin.port(), host, ""),
            iam("/raw-iam", origin.port(), host, "path: raw"),
            registration("/open", origin.port(), ""),
        ],
    );
    Router::serve(&site.merged())
}

/// Sends a signed request to the router under the router's own name, and gives the status.
fn send(router: &Router, signed: &Value, chunked: bool) -> u16 {
    let method = text(signed, "method");
    let mut request = Request::new(method, text(signed, "target"));
    for header in signed["headers"].as_array().unwrap() {
        let (name, value) = (header[0].as_str().unwrap(), header[1].as_str().unwrap());
        if !["host", "content-length"].contains(&&*name.to_ascii_lowercase()) {
            request = request.header(name, value);
        }
    }
    let body = bytes(text(signed, "body"));
    let mut client = router.client();
    if chunked {
        client.write(&request.header("transfer-encoding", "chunked").bytes()).unwrap();
        for part in body.chunks(5) {
            client.write(format!("{:x}\r\n", part.len()).as_bytes()).unwrap();
            client.write(part).unwrap();
            client.write(b"\r\n").unwrap();
        }
        client.write(b"0\r\n\r\n").unwrap();
        return client.read(false).unwrap().status;
    }
    let request = if body.is_empty() { request } else { request.body(body) };
    client.send(&request).status
}

/// What arrived, for the verifier.
fn request(name: &str, seen: &Received) -> Value {
    let headers: Vec<Value> =
        seen.headers.iter().map(|(name, value)| json!([name.to_ascii_lowercase(), value])).collect();
    json!({
        "name": name, "method": seen.method, "target": seen.target, "headers": headers, "body": hex(&seen.body),
        "secret": "tests-secret-key", "double": true, "normalize": false,
    })
}

fn program(command: &str, given: &Value) -> Value {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), given.to_string()).unwrap();
    let mut arguments = vec!["tests/python/sign.py", command];
    if !given.is_null() {
        arguments.push(file.path().to_str().unwrap());
    }
    let output = python_program(&arguments);
    assert_eq!(output.code, 0, "{}", output.err);
    serde_json::from_str(&output.out).unwrap()
}

fn text<'v>(value: &'v Value, field: &str) -> &'v str {
    value[field].as_str().unwrap_or_else(|| panic!("no {field} in {value}"))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn bytes(hex: &str) -> Vec<u8> {
    (0..hex.len() / 2).map(|at| u8::from_str_radix(&hex[2 * at..2 * at + 2], 16).unwrap()).collect()
}
