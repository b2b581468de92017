//! `doctor`, against a real destination for each cause: what it says has the words that somebody on call would look for.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener};

use postern_tests::{
    Authority, Certificate, Dns, Origin, Output, RawOrigin, Received, Reply, Site, TlsOrigin, Validity, boundary_with,
    registration, run, run_in,
};
use serde_json::Value;

const API: &str = "a1b2c3d4e5.execute-api.eu-west-1.amazonaws.com";
const WILDCARD: &str = "*.execute-api.eu-west-1.amazonaws.com";
const PRIVATE: &str = "orders.apis.internal.example.com";
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

#[track_caller]
fn says(told: &str, words: &[&str]) {
    for word in words {
        assert!(told.contains(word), "\"{word}\" is missing in:\n{told}");
    }
}

/// The line of one step.
#[track_caller]
fn line<'t>(told: &'t str, step: &str) -> &'t str {
    let found = told.lines().find(|line| line.split_whitespace().nth(1) == Some(step));
    found.unwrap_or_else(|| panic!("no step {step} in:\n{told}"))
}

/// A place whose one route leads to `url` with `host`, where names are what `dns` says.
struct Ward {
    site: Site,
    dns: Dns,
}

impl Ward {
    fn new(
        ports: &[u16],
        authority: Option<&Authority>,
        registrations: &[String],
        dns: impl Fn(&str) -> Vec<IpAddr> + Send + 'static,
    ) -> Self {
        let mut site = Site::empty();
        let more = authority.map_or_else(String::new, |authority| {
            let roots = authority.write(site.path(), "roots.pem");
            format!(", tls: {{roots: {{pem_file: {}}}}}", roots.display())
        });
        let boundary = format!(
            "
apiVersion: postern/v1
kind: Boundary
hosts: [api.example.com]
destinations:
  - {{name: private-apis, hosts: ['*.apis.internal.example.com', {API}], schemes: [http, https], ports: {ports:?}, addresses: [127.0.0.0/8]{more}}}
"
        );
        site.publish(&boundary, registrations);
        Self { site, dns: Dns::start(move |name, _| dns(name)) }
    }

    fn doctor(&self, words: &[&str]) -> Output {
        let merged = self.site.merged();
        let mut all = vec!["doctor", "--allow-loopback-destinations", "--config", merged.to_str().unwrap()];
        all.extend(words);
        let (variable, servers) = self.dns.setting();
        run_in("postern-router", &all, &[(variable, &servers)])
    }

    /// What is said of the route, in which something is found.
    #[track_caller]
    fn finds(&self, words: &[&str]) -> String {
        let output = self.doctor(words);
        assert_eq!(output.code, 1, "{}{}", output.out, output.err);
        output.out
    }
}

fn route(root: &str, url: &str, host: &str) -> String {
    format!("{{root: {root}, owner: team-orders, destination: {{url: '{url}', host: {host}}}}}")
}

fn everything_is_here(_: &str) -> Vec<IpAddr> {
    vec![HERE]
}

fn over_tls(authority: &Authority, certificate: &Certificate, host: &str) -> (TlsOrigin, Ward) {
    let origin = TlsOrigin::start(certificate);
    let port = origin.origin().port();
    let ward = Ward::new(
        &[port],
        Some(authority),
        &[route("/orders", &format!("https://{PRIVATE}:{port}/prod"), host)],
        everything_is_here,
    );
    (origin, ward)
}

#[test]
fn a_name_that_nobody_knows() {
    let ward = Ward::new(&[443], None, &[route("/orders", &format!("https://{PRIVATE}"), PRIVATE)], |_| Vec::new());
    let told = ward.finds(&["/orders#default"]);
    says(line(&told, "name"), &["failed", PRIVATE, "no such name", "127.0.0.1:", "private hosted zone"]);
    says(&told, &["skipped  connect", "skipped  answer", "look at name first"]);
    // The name of a private API itself.
    let ward = Ward::new(&[443], None, &[route("/orders", &format!("https://{API}/prod"), API)], |_| Vec::new());
    says(line(&ward.finds(&["/orders#default"]), "name"), &["failed", "private DNS"]);
}

#[test]
fn a_name_whose_addresses_are_not_allowed_and_none_is_dialled() {
    let origin = Origin::named("orders");
    let port = origin.port();
    let registrations = [
        route(
            "/metadata",
            &format!("http://metadata.apis.internal.example.com:{port}"),
            "metadata.apis.internal.example.com",
        ),
        route("/public", &format!("https://{API}:{port}/prod"), API),
        route("/mixed", &format!("http://mixed.apis.internal.example.com:{port}"), "mixed.apis.internal.example.com"),
    ];
    let ward = Ward::new(&[port], None, &registrations, |name| {
        let addresses: &[&str] = match name.split('.').next().unwrap() {
            "metadata" => &["169.254.169.254"],
            "mixed" => &["127.0.0.1", "10.99.0.1"],
            _ => &["52.95.120.1"],
        };
        addresses.iter().map(|address| address.parse().unwrap()).collect()
    });
    let told = ward.finds(&["/metadata#default"]);
    says(
        line(&told, "address"),
        &["failed", "169.254.169.254 is not dialled", "link-local or metadata", "never dialled"],
    );
    says(&told, &["skipped  connect", "skipped  answer", "look at address first"]);
    let told = ward.finds(&["/public#default"]);
    says(line(&told, "address"), &["failed", "52.95.120.1 is not dialled", "127.0.0.0/8", "private DNS is off"]);
    assert_eq!(origin.connections(), 0);
    let told = ward.finds(&["/mixed#default"]);
    says(line(&told, "address"), &["unclear", "10.99.0.1 is not dialled", "the others are used"]);
    says(line(&told, "answer"), &["ok", "200"]);
}

#[test]
fn a_port_that_nobody_listens_on() {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let ward =
        Ward::new(&[port], None, &[route("/orders", &format!("http://{PRIVATE}:{port}"), PRIVATE)], everything_is_here);
    let told = ward.finds(&["/orders#default"]);
    says(line(&told, "connect"), &["failed", "127.0.0.1: connection refused", "nothing listens on that port"]);
    says(&told, &["look at connect first"]);
}

#[test]
fn a_connection_that_hangs() {
    // A listener that takes nobody: what comes when its queue is full is dropped, as a security group drops it.
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None).unwrap();
    socket.bind(&SocketAddr::from(([127, 0, 0, 1], 0)).into()).unwrap();
    socket.listen(0).unwrap();
    let address = socket.local_addr().unwrap().as_socket().unwrap();
    let patience = std::time::Duration::from_millis(300);
    let mut queued = Vec::new();
    while let Ok(stream) = std::net::TcpStream::connect_timeout(&address, patience) {
        queued.push(stream);
        assert!(queued.len() < 64, "the queue is never full");
    }
    let port = address.port();
    let ward =
        Ward::new(&[port], None, &[route("/orders", &format!("http://{PRIVATE}:{port}"), PRIVATE)], everything_is_here);
    let told = ward.finds(&["/orders#default", "--timeout", "500ms"]);
    says(line(&told, "connect"), &["failed", "timed out", "500 ms", "security group"]);
}

#[test]
fn one_of_two_addresses_that_is_dead() {
    let origin = Origin::named("orders");
    let port = origin.port();
    let both = |_: &str| vec![HERE, "127.0.0.2".parse().unwrap()];
    let ward = Ward::new(&[port], None, &[route("/orders", &format!("http://{PRIVATE}:{port}"), PRIVATE)], both);
    let told = ward.finds(&["/orders#default"]);
    says(line(&told, "connect"), &["failed", "127.0.0.2: connection refused; of 127.0.0.1 in", "zone"]);
    says(line(&told, "answer"), &["ok", "200"]);
}

#[test]
fn a_handshake_that_never_ends_and_a_port_without_tls() {
    // Holds every connection and says nothing.
    let mute = RawOrigin::start(|_| {
        loop {
            std::thread::park();
        }
    });
    let plain = Origin::named("orders");
    let registrations = [
        route("/mute", &format!("https://{PRIVATE}:{}", mute.port()), PRIVATE),
        route("/plain", &format!("https://{PRIVATE}:{}", plain.port()), PRIVATE),
    ];
    let ward = Ward::new(&[mute.port(), plain.port()], None, &registrations, everything_is_here);
    let told = ward.finds(&["/mute#default", "--timeout", "500ms"]);
    says(line(&told, "tls"), &["failed", "the handshake takes longer than 500 ms"]);
    let told = ward.finds(&["/plain#default"]);
    says(line(&told, "tls"), &["failed", "tls_failed", "whether the port speaks TLS"]);
}

#[test]
fn certificates_that_are_not_believed_and_not_a_byte_of_a_request() {
    let (known, stranger) = (Authority::new("corporate"), Authority::new("stranger"));
    let rows = [
        (known.sign(&[PRIVATE], Validity::Over), "tls_expired", "expired on 2021-01-01", "renew"),
        (known.sign(&[PRIVATE], Validity::NotYet), "tls_expired", "is not valid before 2090-01-01", "clock"),
        (
            known.sign(&["billing.apis.internal.example.com"], Validity::Now),
            "tls_name_mismatch",
            "the certificate is for billing.apis.internal.example.com",
            "verification cannot be turned off",
        ),
        (stranger.sign(&[PRIVATE], Validity::Now), "tls_unknown_issuer", "signed by CN=stranger", "pem_file"),
        (Certificate::self_signed(&[PRIVATE]), "tls_unknown_issuer", "signed by itself", "roots"),
        (
            known.sign(&[WILDCARD], Validity::Now),
            "tls_name_mismatch",
            "the certificate is for *.execute-api.eu-west-1.amazonaws.com",
            "set destination.host of the registration to API_ID.execute-api.eu-west-1.amazonaws.com",
        ),
    ];
    for (certificate, reason, found, remedy) in rows {
        let (origin, ward) = over_tls(&known, &certificate, PRIVATE);
        let told = ward.finds(&["/orders#default", "-H", "authorization: Bearer of-the-caller"]);
        says(line(&told, "tls"), &["failed", reason, found, remedy]);
        says(&told, &["skipped  answer", "look at tls first"]);
        assert!(origin.origin().connections() > 0, "{reason}: never dialled, which shows nothing");
        assert_eq!((origin.handshakes(), origin.bytes()), (0, 0), "{reason}: {found}");
    }
    // The last of them is a private-zone name in front of API Gateway.
    let (_origin, ward) = over_tls(&known, &known.sign(&[WILDCARD], Validity::Now), PRIVATE);
    says(line(&ward.finds(&["/orders#default"]), "sni"), &["failed", "API Gateway is behind it"]);
}

/// What API Gateway answers, and the step, the words and the remedy that tell it apart.
const REFUSALS: [(&str, u16, &str, &str, &[&str]); 14] = [
    (
        "/method",
        403,
        "MissingAuthenticationTokenException",
        "{\"message\":\"Missing Authentication Token\"}",
        &["failed   stage", "the API has no GET for /prod/method", "get-stages", "ok       api-id"],
    ),
    (
        "/forbidden",
        403,
        "ForbiddenException",
        "{\"message\":\"Forbidden\"}",
        &["unclear  api-id", "get-rest-api --rest-api-id a1b2c3d4e5 --region eu-west-1", "unclear  stage", "x-api-key"],
    ),
    (
        "/explicit",
        403,
        "AccessDeniedException",
        "{\"Message\":\"User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:eu-west-1:********1234:a1b2c3d4e5/prod/GET/explicit with an explicit deny\"}",
        &["failed   policy", "explicit deny", "aws:SourceVpce", "a1b2c3d4e5/prod/GET/explicit", "ok       stage"],
    ),
    (
        "/implicit",
        403,
        "AccessDeniedException",
        "{\"Message\":\"User: anonymous is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:eu-west-1:********1234:a1b2c3d4e5/prod/GET/implicit\"}",
        &["failed   policy", "implicit deny", "let the policy allow execute-api:Invoke"],
    ),
    (
        "/identity",
        403,
        "AccessDeniedException",
        "{\"Message\":\"User: arn:aws:sts::111122223333:assumed-role/a/b is not authorized to perform: execute-api:Invoke on resource: arn:aws:execute-api:eu-west-1:********1234:a1b2c3d4e5/prod/GET/identity because no identity-based policy allows the execute-api:Invoke action\"}",
        &["failed   iam", "a policy of the caller's", "role allow execute-api:Invoke"],
    ),
    (
        "/expired",
        403,
        "InvalidSignatureException",
        "{\"message\":\"Signature expired: 20261121T110000Z is now earlier than 20261121T115500Z\"}",
        &["failed   iam", "signature expired", "sign anew"],
    ),
    (
        "/mismatch",
        403,
        "InvalidSignatureException",
        "{\"message\":\"The request signature we calculated does not match the signature you provided.\"}",
        &["failed   iam", "does not match", "Host, path and query"],
    ),
    (
        "/token",
        403,
        "ExpiredTokenException",
        "{\"message\":\"The security token included in the request is expired\"}",
        &["failed   iam", "security token has expired"],
    ),
    (
        "/key",
        403,
        "UnrecognizedClientException",
        "{\"message\":\"The security token included in the request is invalid.\"}",
        &["failed   iam", "not known"],
    ),
    (
        "/bearer",
        403,
        "IncompleteSignatureException",
        "{\"message\":\"Authorization header requires 'Credential' parameter. Authorization=Bearer of-the-caller\"}",
        &["failed   iam", "no AWS signature", "a Bearer token is not taken"],
    ),
    (
        "/authorizer",
        403,
        "AccessDeniedException",
        "{\"Message\":\"User is not authorized to access this resource\"}",
        &["failed   answer", "authorizer refuses the caller", "ok       policy"],
    ),
    (
        "/unauthorized",
        401,
        "UnauthorizedException",
        "{\"message\":\"Unauthorized\"}",
        &["unclear  answer", "asks for credentials"],
    ),
    (
        "/throttled",
        429,
        "TooManyRequestsException",
        "{\"message\":\"Too Many Requests\"}",
        &["failed   answer", "too many requests", "usage plan"],
    ),
    (
        "/late",
        504,
        "InternalServerErrorException",
        "{\"message\": \"Endpoint request timed out\"}",
        &["failed   answer", "waited for its own integration", "29 s"],
    ),
];

/// API Gateway, as far as it refuses.
fn gateway(request: &Received) -> Reply {
    let answer = |status: u16, more: &str, body: &str| {
        let length = body.len();
        let head = format!("HTTP/1.1 {status} Told\r\nx-amzn-requestid: 1\r\nx-amz-apigw-id: TxYz\r\n{more}");
        Reply::Raw(format!("{head}content-length: {length}\r\n\r\n{body}").into_bytes())
    };
    let path = request.target.strip_prefix("/prod").unwrap_or_default();
    match REFUSALS.iter().find(|(known, ..)| *known == path) {
        Some((_, status, kind, body, _)) => answer(*status, &format!("x-amzn-errortype: {kind}\r\n"), body),
        None if path.starts_with("/orders") => answer(200, "", "[]"),
        None => answer(403, "x-amzn-errortype: ForbiddenException\r\n", "{\"message\":\"Forbidden\"}"),
    }
}

fn behind_a_gateway(registration: impl Fn(u16) -> String) -> (TlsOrigin, Ward) {
    let authority = Authority::new("Amazon");
    let origin = TlsOrigin::answering(&authority.sign(&[WILDCARD], Validity::Now), gateway);
    let port = origin.origin().port();
    let ward = Ward::new(&[port], Some(&authority), &[registration(port)], everything_is_here);
    (origin, ward)
}

fn to_the_stage(port: u16) -> String {
    route("/", &format!("https://{PRIVATE}:{port}/prod"), API)
}

#[test]
fn what_api_gateway_refuses_is_told_apart() {
    let (_origin, ward) = behind_a_gateway(to_the_stage);
    for (path, status, kind, _, words) in REFUSALS {
        let told = ward.finds(&["/#default", "--path", path]);
        says(&told, words);
        says(line(&told, "answer"), &[&format!("{status} {kind}")]);
        says(&told, &["ok       tls", &format!("SNI and Host are both {API}, dialled as {PRIVATE}")]);
        // A body may repeat a token.
        assert!(!told.contains("of-the-caller"), "{told}");
    }
}

#[test]
fn a_url_without_a_stage() {
    let (_origin, ward) = behind_a_gateway(|port| route("/orders", &format!("https://{PRIVATE}:{port}"), API));
    let told = ward.finds(&["/orders#default"]);
    says(line(&told, "stage"), &["failed", "destination.url has no path", "\"orders\"", "https://NAME/prod"]);
    says(&told, &["look at stage first"]);
}

#[test]
fn a_healthy_private_api_has_nothing_to_look_at_and_is_asked_once() {
    let (origin, ward) = behind_a_gateway(|port| route("/orders", &format!("https://{PRIVATE}:{port}/prod"), API));
    let output = ward.doctor(&["/orders#default", "--path", "/orders/7"]);
    assert_eq!(output.code, 0, "{}{}", output.out, output.err);
    says(
        &output.out,
        &[
            "ok       api-id", "a1b2c3d4e5 in eu-west-1", "ok       stage    \"prod\"", "signed by CN=Amazon",
            "nothing found",
        ],
    );
    let received = origin.origin().received();
    assert_eq!(received.len(), 1);
    assert_eq!((received[0].method.as_str(), received[0].target.as_str()), ("GET", "/prod/orders/7"));
    assert_eq!(received[0].header("authorization"), None);
    // What is said for people is there for programs too.
    let output = ward.doctor(&["/orders#default", "--output", "json"]);
    let told: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((&told["look_at"], &told["visits"][0]["host"]), (&Value::Null, &Value::from(API)));
    let steps = told["visits"][0]["steps"].as_array().unwrap();
    let names: Vec<&str> = steps.iter().map(|step| step["step"].as_str().unwrap()).collect();
    assert_eq!(names, ["name", "address", "connect", "tls", "sni", "api-id", "stage", "policy", "iam", "answer"]);
    let output = ward.doctor(&["/orders#default", "--path", "/method", "--output", "json"]);
    let told: Value = serde_json::from_str(&output.out).unwrap();
    assert_eq!((output.code, &told["route"]["verdict"]), (1, &Value::from("unclear")));
}

#[test]
fn a_request_brings_what_is_given_and_changes_nothing_unless_it_is_told_to() {
    let origin = Origin::start(|request| match request.target.as_str() {
        "/orders/fails" => Reply::Body(503, Vec::new()),
        "/orders/gone" => Reply::Body(404, Vec::new()),
        "/orders/cut" => Reply::RawThenClose(b"HTTP/1.1 200".to_vec()),
        _ => Reply::ok("fine"),
    });
    let port = origin.port();
    let site = Site::new(
        &boundary_with(&[port], ""),
        &[
            registration("/orders", port, ""),
            registration(
                "/orders",
                port,
                "name: writes\nmatch: {methods: [POST], path: '/orders/{id}/items', headers: {x-api-version: '2'}, query: {preview: '1 2'}}",
            ),
        ],
    );
    let merged = site.merged();
    let doctor = |words: &[&str]| {
        let words: Vec<&str> = ["doctor", "--allow-loopback-destinations", "--config", merged.to_str().unwrap()]
            .into_iter()
            .chain(words.iter().copied())
            .collect();
        run("postern-router", &words)
    };
    let output = doctor(&["/orders#default", "-H", "authorization: Bearer of-the-caller"]);
    assert_eq!(output.code, 0, "{}", output.out);
    assert_eq!(origin.last().header("authorization"), Some("Bearer of-the-caller"));
    // The route's own conditions are met, and its method is not used unasked.
    let output = doctor(&["/orders#writes"]);
    says(&output.out, &["unclear  route", "does not take GET", "give --method"]);
    let last = origin.last();
    assert_eq!((last.method.as_str(), last.target.as_str()), ("GET", "/orders/doctor/items?preview=1%202"));
    assert_eq!(last.header("x-api-version"), Some("2"));
    let output = doctor(&["/orders#writes", "--method", "POST"]);
    assert_eq!((output.code, origin.last().method.as_str()), (0, "POST"), "{}", output.out);
    // By a request, as explain takes it; also one that would change something.
    let output = doctor(&["DELETE https://api.example.com/orders/7"]);
    assert_eq!((output.code, origin.last().method.as_str()), (0, "GET"), "{}", output.out);
    says(&output.out, &["/orders#default of team answers GET https://api.example.com/orders/7"]);
    for (path, words) in [
        ("/orders/fails", ["failed   answer", "503", "the destination itself fails"]),
        ("/orders/gone", ["unclear  answer", "404", "give --path"]),
        ("/orders/cut", ["failed   answer", "destination_reset", "Look for a crash"]),
    ] {
        says(&doctor(&["/orders#default", "--path", path]).out, &words);
    }
}

#[test]
fn what_is_no_route_is_told_and_nothing_is_dialled_that_the_router_would_not_dial() {
    let origin = Origin::named("orders");
    let port = origin.port();
    let site = Site::new(&boundary_with(&[port], ""), &[registration("/orders", port, "")]);
    let merged = site.merged();
    let doctor = |words: &[&str]| {
        let words: Vec<&str> =
            ["doctor", "--config", merged.to_str().unwrap()].into_iter().chain(words.iter().copied()).collect();
        run("postern-router", &words)
    };
    // As a router would be that was started without the flag.
    let output = doctor(&["/orders#default"]);
    assert_eq!(output.code, 1);
    says(
        &output.out,
        &[
            "failed   route",
            "put aside",
            "--allow-loopback-destinations",
            "give this command the same flags and settings",
        ],
    );
    let output = doctor(&["/order#default"]);
    assert_eq!(output.code, 2);
    says(&output.err, &["there is no route \"/order#default\"", "did you mean \"/orders#default\"?"]);
    let output = doctor(&["GET https://api.example.com/nothing"]);
    assert_eq!(output.code, 1);
    says(&output.out, &["failed   route", "route_not_found"]);
    let output = doctor(&["GET https://elsewhere.example.com/orders"]);
    says(&output.out, &["failed   route", "host_not_listed"]);
    let output = doctor(&["/orders#default", "--destination", "other", "--allow-loopback-destinations"]);
    assert_eq!(output.code, 2);
    says(&output.err, &["does not lead to \"other\", but to local"]);
    assert_eq!(origin.connections(), 0);
    let help = run("postern-router", &["doctor", "--help"]);
    says(&help.out, &["Examples:", "postern-router doctor '/orders#default'", "--destination"]);
}
